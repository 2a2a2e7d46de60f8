"""The same inspector behind LitServe: ``python -m benchmarks.reliability.rival RUN``; says its address, then serves."""

import socket
import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request
from starlette.formparsers import MultiPartParser

from realnet import load
from realnet.inspection.judging import Judge
from realnet.serving.answering import Decoded, answer, decode
from realnet.serving.models import ServedModel
from realnet.serving.schemas import InspectRequest

BATCH = 8
WAIT = 0.005
PIXELS = 50_000_000


class Inspection(litserve.LitAPI):
    """Decoding, judging and answering are RealNet's own functions; batching and the network are LitServe's.

    Each image is one part: for inspectors that do not cut images into tiles.
    """

    def __init__(self, run: str) -> None:
        super().__init__(max_batch_size=BATCH, batch_timeout=WAIT, api_path="/v1/inspect")
        self.folder = run

    def setup(self, device: str) -> None:
        """Load the inspector, in the worker."""
        self.judge: Judge = load(self.folder)
        self.model = ServedModel("rival", Path(self.folder), self.judge)

    def decode_request(self, request: Request) -> Decoded:
        """The image of a multipart request, decoded and made small."""
        given: Any = request
        data = given["image"].file.read()
        return decode(data, InspectRequest(image=""), self.judge, PIXELS, "nothing")

    def batch(self, inputs: list[Decoded]) -> list[Decoded]:
        """As they are: the network takes a list."""
        return inputs

    def predict(self, inputs: list[Decoded]) -> list[tuple[Decoded, Any]]:
        """Maps and scores of a batch."""
        maps, scores = self.judge.measure([item.parts[0] for item in inputs])
        return [(item, [(maps[number], float(scores[number]))]) for number, item in enumerate(inputs)]

    def unbatch(self, output: list[tuple[Decoded, Any]]) -> list[tuple[Decoded, Any]]:
        """One answer an image."""
        return output

    def encode_response(self, output: tuple[Decoded, Any]) -> dict[str, Any]:
        """The JSON that RealNet's server sends."""
        standard = self.judge.standard(output[0].looked)
        found, _ = answer(output[0], output[1], InspectRequest(image=""), self.model, standard)
        return found.model_dump()


def main() -> None:
    """Serve on a free port."""
    # Images go to the worker through a queue, which cannot take files on the disk; RealNet keeps them in memory, too.
    MultiPartParser.spool_max_size = 32 * 2**20
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = litserve.LitServer(Inspection(sys.argv[1]), accelerator="cpu", workers_per_device=1, timeout=120)
    print(f"http://127.0.0.1:{port}/", flush=True)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
