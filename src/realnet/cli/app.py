"""The commands and what they share: one sentence and exit status 2 for a user's mistake, never a traceback."""

import sys
import warnings

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
console = Console()
errors = Console(stderr=True)


def main() -> None:
    """Run the command line; the console script's entry."""
    # Modules register their commands on import; each imports torch only inside the command.
    import realnet.cli.data_commands
    import realnet.cli.demo_command
    import realnet.cli.evaluate_command
    import realnet.cli.inspect_command
    import realnet.cli.train_command  # noqa: F401

    warnings.filterwarnings("ignore", module="lightning.*|torch.*|timm.*|torchmetrics.*")
    for stream in (sys.stdout, sys.stderr):
        # A log file or an old console may know less than UTF-8: better a question mark than a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app()  # a wrong option or command ends here, with typer's own sentence and status 2
    except UserError as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
