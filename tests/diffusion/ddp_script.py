"""The command line, with the weights that each process ends with written to the folder ``REALNET_TEST_STATES``."""

import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import realnet.diffusion.training_run as run
from realnet.cli import main

optimise = run.optimise


def watched(fabric: Any, denoiser: Any, *rest: Any) -> Any:
    """Train, then write the averaged weights under the process's number."""
    progress = optimise(fabric, denoiser, *rest)
    state = {name: tensor.contiguous() for name, tensor in denoiser.state_dict().items()}
    file = Path(os.environ["REALNET_TEST_STATES"]) / f"{fabric.global_rank}.safetensors"
    save_file(state, file, metadata={"steps": str(progress.step)})
    return progress


if __name__ == "__main__":
    run.optimise = watched  # type: ignore[assignment]
    main()
