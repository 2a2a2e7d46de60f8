"""The commands and what they share: one sentence and exit status 2 for a user's mistake, never a traceback."""

import os
import sys
import warnings
from typing import cast

import typer
from rich.console import Console

from realnet.errors import UserError

app = typer.Typer(
    name="realnet",
    help="Turns a folder of good product images into an industrial visual inspector.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Names of files may hold brackets and colons: they are printed as they are.
console = Console(markup=False, emoji=False)
errors = Console(stderr=True, markup=False, emoji=False)

# Newer releases of typer carry a click of their own, older ones use the package: this is ClickException of either.
_CommandLineError = cast(type[Exception], typer.BadParameter.__mro__[2])


def main() -> None:
    """Run the command line; the console script's entry."""
    # Modules register their commands on import; each imports torch only inside the command.
    import realnet.cli.afs_command
    import realnet.cli.benchmark_command
    import realnet.cli.build_command
    import realnet.cli.calibrate_command
    import realnet.cli.data_commands
    import realnet.cli.demo_command
    import realnet.cli.doctor_command
    import realnet.cli.evaluate_command
    import realnet.cli.export_command
    import realnet.cli.history_commands
    import realnet.cli.import_command
    import realnet.cli.inspect_command
    import realnet.cli.score_command
    import realnet.cli.sdas_judging
    import realnet.cli.serve_command
    import realnet.cli.train_command  # noqa: F401

    warnings.filterwarnings("ignore", module="lightning.*|torch.*|timm.*|torchmetrics.*|PIL.*")
    prepare_environment()
    for stream in (sys.stdout, sys.stderr):
        # A log file or an old console may know less than UTF-8: better a question mark than a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    # Under DDP this program runs once a device; only the first talks.
    console.quiet = os.environ.get("LOCAL_RANK", "0") != "0"
    try:
        status = app(prog_name="realnet", standalone_mode=False)
    except UserError as error:
        _complain(str(error))
        status = 2
    except _CommandLineError as error:
        # `realnet` alone has shown its help, and there is no message.
        if str(error):
            _complain(_usage(error))
        status = 2
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except BrokenPipeError:
        status = 1
    if status == 130:
        errors.print(
            "Interrupted. What is finished is kept; training and inspection continue with the same call and --resume."
        )
    sys.exit(status if isinstance(status, int) else 0)


def prepare_environment() -> None:
    """Set what libraries read from the environment when they are loaded, where the user has not."""
    # What decoders have to say of damaged images, we say in a sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # Large tensors are taken from the system anew each time, above all while a training is prepared: in huge pages that
    # costs a fraction of the page faults, where Linux grants them on request (PyTorch's CPU allocator).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _complain(text: str) -> None:
    errors.print(f"Error: {text}", style="red", markup=False, highlight=False, soft_wrap=True)


def _usage(error: BaseException) -> str:
    """What is wrong with the command line itself, and where its help is."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    command = getattr(getattr(error, "ctx", None), "command_path", "realnet")
    message = " ".join(message.split())
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See {command} --help."
