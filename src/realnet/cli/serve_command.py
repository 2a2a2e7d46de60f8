"""``realnet serve``."""

import ipaddress
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli import history_options
from realnet.cli.console import console, say, warn
from realnet.cli.options import DeviceOption
from realnet.cli.signal_options import HeartbeatOption, SignalsOption, SinkOption, signals_to
from realnet.distribution import install_hint
from realnet.errors import UserError, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from realnet.serving import ServedModel
    from realnet.serving.service import Teach
    from realnet.serving.workshop import Workshop


def serve(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Folders of runs or exports; NAME=FOLDER gives one another name.")
    ] = None,
    shelf: Annotated[
        Path | None, typer.Option(help="Serve every run and export in this folder, each loaded when it is asked for.")
    ] = None,
    memory: Annotated[
        float, typer.Option(help="GiB that the inspectors of --shelf may take; others make room.", min=0)
    ] = 4.0,
    host: Annotated[str, typer.Option(help="Address to listen on (default: this machine alone).")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free one.", min=0, max=65535)] = 8000,
    api_key: Annotated[
        str | None, typer.Option(envvar="REALNET_API_KEY", help="Key that requests must carry (8 characters at least).")
    ] = None,
    max_bytes: Annotated[int, typer.Option(help="Largest request.", min=1024)] = 32 * 2**20,
    max_pixels: Annotated[int, typer.Option(help="Largest image.", min=1)] = 50_000_000,
    rate: Annotated[
        int | None, typer.Option("--requests-per-minute", help="Of one client (default: any number).", min=1)
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images judged together.", min=1, max=256)] = 8,
    waiting: Annotated[int, typer.Option(help="Requests in hand; more are told to come back (503).", min=1)] = 64,
    minimum_area: Annotated[int, typer.Option(help="Pixels of the smallest defect that counts; 0: any.", min=0)] = 0,
    sink: SinkOption = None,
    signals: SignalsOption = "all",
    heartbeat: HeartbeatOption = None,
    queue: Annotated[
        Path, typer.Option("--sink-queue", help="File in which signals wait until their receivers take them.")
    ] = Path("signals.sqlite"),
    device: DeviceOption = "auto",
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    history: history_options.HistoryOption = None,
    keep_images: history_options.KeepOption = None,
    keep_days: history_options.KeepDays = None,
    keep_size: history_options.KeepSize = None,
    teach: Annotated[
        bool,
        typer.Option("--teach", help="Let the page teach runs the images that people confirmed as good in --history."),
    ] = False,
    create: Annotated[
        Path | None,
        typer.Option(help="With --teach: folder in which the page makes inspectors of good images, and keeps these."),
    ] = None,
    log_level: history_options.LogLevel = "info",
    log_json: history_options.LogJson = False,
) -> None:
    """Serve inspectors over HTTP, with a page to try them: POST /v1/inspect, /health, /metrics, /openapi.json."""
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client") if not find_spec(name)]
    if missing:
        raise UserError(f"Serving needs {' and '.join(missing)}: {install_hint('serve')}.")
    if api_key is not None and len(api_key) < 8:
        raise UserError("An API key has 8 characters at least; one from `openssl rand -hex 16` is hard to guess.")

    if create is not None and not teach:
        raise UserError("--create lets the page make inspectors and teach them: give --teach as well.")
    if create is not None and create.exists() and not create.is_dir():
        raise UserError(f"{create} is a file; give --create a folder.")
    if create is not None and shelf is not None:
        raise UserError("--shelf serves a folder as it is, and --create makes inspectors in one: give one of the two.")
    if teach and history is None and create is None:
        raise UserError(
            "--teach learns what people say of results: name a results store with --history, or, to give good images "
            "on the page, a folder with --create."
        )
    if teach and api_key is None and not _local(host):
        raise UserError(f"Whoever reaches {host} could change what is judged by --teach: give --api-key as well.")

    if runs if shelf is not None else not runs and create is None:
        raise UserError(
            "Name runs and exports to serve, or with --shelf a folder that holds many of them; --teach --create FOLDER "
            "needs none."
        )
    history_options.set_up_logs(log_level, log_json)
    from realnet.inspection.loading import judging_device
    from realnet.manifest import is_export
    from realnet.serving import Settings, make_app, open_models, open_shelf
    from realnet.serving.listening import listen, run

    settings = Settings(
        api_key=api_key, max_bytes=max_bytes, max_pixels=max_pixels, requests_per_minute=rate, batch_size=batch_size,
        waiting=waiting,
    )  # fmt: skip
    store, retention = history_options.open_store(history, keep_images, keep_days, keep_size) or (None, None)
    socket = listen(host, port)
    workshop = None if create is None else _workshop(create, device, minimum_area)
    named = {Path(place).resolve() for place in runs or ()}
    made_before = [] if workshop is None else [str(made) for made in workshop.runs() if made.resolve() not in named]
    runs = [*(runs or ()), *made_before]
    folders = [Path(place if Path(place).is_dir() else place.rpartition("=")[2]) for place in runs]
    judging_device(device, bool(folders) and all(is_export(folder) for folder in folders), say)
    models: Mapping[str, ServedModel]
    with console.status("Loading"):
        if shelf is None:
            models = open_models(runs, device, minimum_area)
        else:
            models, said = open_shelf(shelf, int(memory * 2**30), device, minimum_area)
            say(*said)
    address = f"http://{_shown(host)}:{socket.getsockname()[1]}/"
    served = ", ".join(models) if shelf is None else f"{plural(len(models), 'inspector')} of {shelf}"
    say(f"Serving {served or 'a page to make the first inspector on'} at {address} (Ctrl-C ends it).")
    if api_key is None and not _local(host):
        warn(f"Whoever reaches {host} can use this server: give it --api-key, or a proxy that asks who it is.")
    if open_page:
        import webbrowser

        webbrowser.open(address)
    with signals_to(sink, queue, signals, heartbeat, warn) as told_of:
        teacher = _teacher(device) if teach else None
        run(make_app(models, settings, store, retention, told_of, teacher, workshop), socket)
        if store is not None:
            store.close()
    console.print("Goodbye: the server has ended.")


def _teacher(device: str) -> "Teach":
    from realnet.model.devices import choose_device
    from realnet.training.correcting import correct_by_store

    return partial(correct_by_store, device=choose_device(device))


def _workshop(folder: Path, device: str, minimum_area: int) -> "Workshop":
    """What makes inspectors of good images, and lets further ones join, on the device that they are served on."""
    from realnet import choices
    from realnet.data import check_dataset
    from realnet.model.devices import choose_device
    from realnet.progress import Listener
    from realnet.run_folder import Run
    from realnet.serving.workshop import Workshop
    from realnet.training.correcting import apply_correction, prepare_correction
    from realnet.training.doubts import doubts_of
    from realnet.training.known_images import NOTHING_SAID, Said
    from realnet.training.launch import Launch
    from realnet.training.many_products import train_products

    place = choose_device(device)

    def make(images: Path, run: Path) -> list[str]:
        heard = Listener()
        categories = choices.one_inspector(images, None, ())
        settings = choices.training_configuration(images, categories, "instant", [], None, heard.say)
        heard.said += check_dataset(categories, need_test=False)
        train_products(categories, settings, run, Launch(place), heard)
        return [*heard.said, *doubts_of(Run(run))]

    def teach(run: Path, images: Sequence[Path], said: Said = NOTHING_SAID) -> list[str]:
        correction = prepare_correction(run, [(image, image.name) for image in images], [], place, said=said)
        apply_correction(run, correction)
        return correction.sentences()

    def leave_out(run: Path, image: str) -> list[str]:
        return teach(run, [], Said(exclude=(image,)))

    return Workshop(folder, make, teach, leave_out, place, minimum_area)


def _local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
