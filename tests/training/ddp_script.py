"""The command line, with the state that each process ends with written to the folder ``REALNET_TEST_STATES``."""

import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import realnet.training.run as run
from realnet.cli import main

optimise = run.optimise


def watched(fabric: Any, task: Any, *rest: Any) -> Any:
    """Train, then write the model's state under the process's number."""
    progress = optimise(fabric, task, *rest)
    state = {name: tensor.contiguous() for name, tensor in task.model.state_dict().items()}
    file = Path(os.environ["REALNET_TEST_STATES"]) / f"{fabric.global_rank}.safetensors"
    save_file(state, file, metadata={"steps": str(progress.step), "best": str(progress.best_value)})
    return progress


if __name__ == "__main__":
    run.optimise = watched  # type: ignore[assignment]
    main()
