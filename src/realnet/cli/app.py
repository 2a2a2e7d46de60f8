"""The commands in the order of use, and one sentence and exit status 2 for a user's mistake, never a traceback."""

import functools
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any, cast

import typer

import realnet
from realnet.cli.afs_command import afs
from realnet.cli.benchmark_command import benchmark
from realnet.cli.build_command import build
from realnet.cli.calibrate_command import calibrate
from realnet.cli.console import complain, console, errors
from realnet.cli.data_commands import preview, synthesize
from realnet.cli.demo_command import demo
from realnet.cli.doctor_command import doctor
from realnet.cli.evaluate_command import evaluate
from realnet.cli.export_command import export
from realnet.cli.history_commands import feedback, history
from realnet.cli.import_command import import_official
from realnet.cli.info_commands import info, presets
from realnet.cli.inspect_command import inspect as inspect_images
from realnet.cli.limits_command import limits
from realnet.cli.score_command import score
from realnet.cli.sdas_commands import grid, sample
from realnet.cli.sdas_commands import train as train_diffusion
from realnet.cli.sdas_judging import classifier, quality, strength
from realnet.cli.serve_command import serve
from realnet.cli.teach_command import teach
from realnet.cli.train_command import train
from realnet.cli.watch_command import watch
from realnet.errors import UserError

_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="realnet",
    help="Turns a folder of good product images into an industrial visual inspector.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)
sdas = typer.Typer(
    name="sdas",
    help="Make anomaly images (SIA) with a diffusion model trained on good ones.",
    no_args_is_help=True,
    context_settings=_HELP,
)
# Newer releases of typer carry a click of their own, older ones use the package: this is ClickException of either.
_CommandLineError = cast(type[Exception], typer.BadParameter.__mro__[2])
_LOG = logging.getLogger("realnet.cli")
_NOISY = "lightning.*|torch.*|timm.*|torchmetrics.*|PIL.*"


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and mistakes only.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Print what libraries say as well, and where in the code a mistake was noticed."
    ),
]


def _with_loudness(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with ``--quiet`` and ``--verbose`` as its last options; they mean the same everywhere."""

    @functools.wraps(command)
    def heard(*, quiet: bool, verbose: bool, **options: Any) -> None:
        console.quiet = console.quiet or quiet
        if verbose:
            warnings.resetwarnings()
            logging.basicConfig(level=logging.INFO)
            _LOG.setLevel(logging.DEBUG)
        command(**options)

    own = inspect.signature(command)
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter("quiet", keyword, default=False, annotation=Quiet),
        inspect.Parameter("verbose", keyword, default=False, annotation=Verbose),
    ]
    heard.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    heard.__annotations__ = {**command.__annotations__, "quiet": Quiet, "verbose": Verbose}
    return heard


def _show_version(asked: bool) -> None:
    if asked:
        print(f"realnet {realnet.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


_COMMANDS: dict[str, tuple[Any, ...]] = {
    "Inspect": (demo, presets, train, info, inspect_images, calibrate, teach),
    "Measure": (evaluate, limits, score, benchmark, afs),
    "Synthesise": (preview, synthesize),
    "Deploy": (export, serve, watch, history, feedback, doctor, import_official),
}
for _panel, _functions in _COMMANDS.items():
    for _function in _functions:
        app.command(_function.__name__.replace("_", "-"), rich_help_panel=_panel)(_with_loudness(_function))
    if _panel == "Synthesise":
        app.add_typer(sdas, rich_help_panel=_panel)
for _function in (train_diffusion, grid, strength, sample, classifier, build, quality):
    sdas.command(_function.__name__)(_with_loudness(_function))


def main() -> None:
    """Run the command line; the console script's entry."""
    warnings.filterwarnings("ignore", module=_NOISY)
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
        _LOG.debug("Where it was noticed:", exc_info=True)
        complain(f"Error: {error.command}")
        status = 2
    except _CommandLineError as error:
        # `realnet` alone has shown its help, and there is no message.
        if str(error):
            complain(f"Error: {_usage(error)}")
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
    # Torch's threads would wait for each other by spinning, on processors that others, or our own threads, need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _usage(error: BaseException) -> str:
    """What is wrong with the command line itself, and where its help is."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    command = getattr(getattr(error, "ctx", None), "command_path", "realnet")
    message = " ".join(message.split())
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See {command} --help."
