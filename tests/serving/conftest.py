import io
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image

from realnet.history import Store
from realnet.serving import ServedModel, Settings, make_app, open_models
from realnet.serving.listening import listen
from realnet.serving.service import Teach
from realnet.serving.workshop import Workshop
from realnet.training.teaching import learn, save_lesson
from tests.data.layouts import picture


@contextmanager
def serving(
    models: Mapping[str, ServedModel],
    settings: Settings | None = None,
    store: Store | None = None,
    teach: Teach | None = None,
    workshop: Workshop | None = None,
) -> Iterator[str]:
    """A server in a thread; its address."""
    opened = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(make_app(models, settings, store, teach=teach, workshop=workshop), log_level="error")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be calibrated."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def workshop(trained: Path, tmp_path: Path) -> Workshop:
    """Makes a copy of the run of whatever it is given, and lets it learn in earnest."""

    def make(images: Path, run: Path) -> list[str]:
        shutil.copytree(trained, run)
        return [f"Made of {len(list(images.iterdir()))} images."]

    def join(run: Path, files: Sequence[Path]) -> list[str]:
        lesson = learn(run, files, [file.name for file in files])
        save_lesson(run, lesson)
        return lesson.sentences()

    return Workshop(tmp_path / "made", make, join, lambda run, image: [])


@pytest.fixture(scope="session")
def models(trained: Path) -> dict[str, ServedModel]:
    """Two inspectors: the same run under two names."""
    return open_models([f"first={trained}", f"second={trained}"])


def as_png(array: np.ndarray) -> bytes:
    """The contents of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def png() -> bytes:
    """A PNG file of a defective product, 64 x 64."""
    return as_png(picture(np.random.default_rng(8), defect=True)[0])


@pytest.fixture(scope="session")
def server(models: dict[str, ServedModel]) -> Iterator[str]:
    with serving(models) as address:
        yield address
