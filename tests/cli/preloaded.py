"""What the server process of :mod:`tests.cli.process` loads before it forks itself."""

import contextlib
import gc
import importlib
import io
import os

_NAMES = (
    "realnet.training.run",
    "realnet.evaluation.evaluate",
    "realnet.report.run_report",
    "realnet.diffusion.training_run",
    "diffusers.models.unets.unet_2d",
    "torch.utils.tensorboard",
    "typer.rich_utils",
    "realnet.api.making",
    "realnet.api.using",
    "realnet.benchmark.outputs",
    "realnet.benchmark.runner",
    "realnet.history.recording",
    "realnet.inspection.loading",
    "realnet.inspection.result_folder",
    "realnet.inspection.sources",
    "realnet.limits.measuring",
    "realnet.tested",
    "realnet.training.correcting",
    "realnet.training.many_products",
    "realnet.cli.app",
)

gc.disable()  # imports leave no garbage
# The commands' consoles look at the terminal as they are made: this is what they see in every call.
os.environ["COLUMNS"] = "200"
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for name in _NAMES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
gc.freeze()
gc.enable()
