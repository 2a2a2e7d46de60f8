"""The server as an ASGI application."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from realnet import __version__
from realnet.errors import UserError
from realnet.history import Retention, Store
from realnet.limits.limits_chart import chart_png
from realnet.serving import schemas
from realnet.serving.history import add_history
from realnet.serving.limits import Gate, Refusal
from realnet.serving.models import ServedModel
from realnet.serving.service import Service, Teach, log_request, logged
from realnet.serving.settings import Settings
from realnet.serving.shelf import loaded_of
from realnet.serving.uploads import read_json, read_upload
from realnet.serving.workshop import Gathered, Workshop
from realnet.signals.delivery import Signals

_log = logging.getLogger("realnet.serving")
_SCRIPTS = ("page", "report", "history", "parts", "region", "live", "making", "docs")
_FILES = ("page.css", "docs.css", *(f"{name}.js" for name in _SCRIPTS))
_PAGE = {"/": "index.html", **{f"/{name}": name for name in _FILES}, "/docs": "docs.html"}
# The page loads nothing from elsewhere, and no other page may frame it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PROBLEM = {"model": schemas.Problem}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {**_PROBLEM, "description": description}
    for status, description in {
        400: "No image, a damaged or too large one, or a body that cannot be read.",
        401: "No API key, or a wrong one.",
        404: "No such model.",
        408: "The request came too slowly.",
        413: "Too many bytes.",
        415: "Another content type.",
        422: "A field is wrong, or the image cannot be aligned.",
        429: "Too many requests of this client.",
        500: "The server failed.",
        503: "Too many requests at once.",
    }.items()
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        **schemas.InspectRequest.model_json_schema()["properties"],
                        "image": {"type": "string", "format": "binary", "description": "The image file."},
                    },
                }
            },
            "application/json": {"schema": schemas.InspectRequest.model_json_schema()},
        },
    }
}


def make_app(
    models: Mapping[str, ServedModel],
    settings: Settings | None = None,
    store: Store | None = None,
    retention: Retention | None = None,
    signals: Signals | None = None,
    teach: Teach | None = None,
    workshop: Workshop | None = None,
) -> FastAPI:
    """The application: ``/v1/inspect``, ``/v1/models``, ``/v1/history``, ``/health``, ``/metrics``, ``/openapi.json``,
    and its pages.

    Args:
        models: by name, one at least unless there is a workshop.
        settings: limits; default: those of :class:`Settings`.
        store: where results go; None: nowhere.
        retention: what may leave the store; default: nothing.
        signals: told of every verdict; its owner closes it.
        teach, workshop: as for :class:`~realnet.serving.service.Service`.

    Example:
        >>> from realnet.serving import make_app, open_models  # doctest: +SKIP
        >>> app = make_app(open_models(["runs/bottle"]))  # doctest: +SKIP
    """
    if not models and workshop is None:
        raise ValueError("a server needs at least one model")
    service = Service(models, settings or Settings(), store, retention or Retention(), signals, teach, workshop)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="RealNet",
        version=__version__,
        description="Visual inspection: a score, a verdict and the suspicious regions of an image.",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere; /docs draws /openapi.json by its own.
        docs_url=None,
        redoc_url=None,
        exception_handlers={
            Refusal: _refuse,
            UserError: _cannot,
            RequestValidationError: _wrong,
            HTTPException: _not_there,
        },
    )
    app.add_middleware(Gate, settings=service.settings)
    _add_inspection(app, service)
    posts = APIRouter(dependencies=[Depends(logged)])
    _add_models(app, posts, service)
    _add_making(app, posts, service)
    app.include_router(posts)
    add_history(app, service)
    _add_page(app)
    return app


async def _refuse(request: Request, error: Refusal) -> Response:
    return error.response()


async def _cannot(request: Request, error: UserError) -> Response:
    _log.error("request failed: %s", error, extra={"facts": {"path": request.url.path}})
    return Refusal(503, str(error), {"Retry-After": "5"}).response()


async def _wrong(request: Request, error: RequestValidationError) -> Response:
    problem = error.errors()[0]
    return Refusal(422, f"The request is wrong: {problem['loc'][-1]}: {problem['msg']}.").response()


async def _not_there(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": f"{error.detail}: {request.method} {request.url.path}."}, error.status_code)


def _add_inspection(app: FastAPI, service: Service) -> None:
    @app.post("/v1/inspect", response_model=schemas.InspectAnswer, responses=_REFUSALS, openapi_extra=_BODY)
    async def inspect(request: Request) -> Any:
        """Judge one image."""
        status, began = 200, time.monotonic()
        try:
            return await service.inspect(request)
        except Refusal as refusal:
            status = refusal.status
            return refusal.response()
        except Exception as error:
            # The client gets a sentence, the log a line: what the reason was is not the client's business.
            status = 500
            _log.error("request failed: %s: %s", type(error).__name__, error)
            return Refusal(500, "The server failed on this request; its log says why.").response()
        finally:
            service.metrics.requests.labels(str(status)).inc()
            log_request(request, status, began)

    @app.get("/health", response_model=schemas.Health)
    async def health() -> schemas.Health:
        """Whether the server is up."""
        return schemas.Health(
            version=__version__, models=list(service.models), uptime_seconds=time.monotonic() - service.started
        )

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Figures in the text format of Prometheus."""
        waiting = service.signals.waiting() if service.signals is not None else {}
        return Response(
            service.metrics.text(loaded_of(service.models), waiting),
            media_type="text/plain; version=0.0.4; charset=utf-8",
        )


def _add_models(app: FastAPI, posts: APIRouter, service: Service) -> None:
    @app.get("/v1/models", response_model=list[schemas.ModelAnswer])
    async def models() -> list[schemas.ModelAnswer]:
        """The inspectors of this server that are in memory."""
        return [service.describe(model) for model in loaded_of(service.models).values()]

    @app.get("/v1/models/{name}", response_model=schemas.ModelAnswer, responses={404: _PROBLEM})
    def one(name: str) -> schemas.ModelAnswer:
        """One inspector, which is loaded where it is not in memory."""
        return service.describe(service.model(name))

    @posts.post("/v1/models/{name}/calibration", response_model=schemas.ModelAnswer, responses=_REFUSALS)
    async def calibration(name: str, request: Request) -> Any:
        """Make a threshold that a person chose the calibrated one, as a new version; needs a server with a key."""
        return service.save_threshold(name, await read_json(request, service.settings, schemas.ThresholdRequest))

    @posts.post("/v1/models/{name}/teach", response_model=schemas.TeachAnswer, responses={**_REFUSALS, 409: _PROBLEM})
    def teach(name: str) -> Any:
        """Let the run learn the images that people confirmed as good in the results store; takes seconds."""
        return service.teach(name)

    @app.get("/v1/models/{name}/synthetic-defects", response_class=FileResponse, responses={404: _PROBLEM})
    async def synthetic_defects(name: str) -> Response:
        """The sheet of synthetic defects that the run was trained on, a PNG."""
        return _file(service.model(name), "synthetic_defects.png", "image/png")

    @app.get("/v1/models/{name}/limits", response_class=Response, responses={404: _PROBLEM})
    def limits(name: str) -> Response:
        """What it finds of drawn defects at the threshold in force: the chart of `realnet limits`, a PNG."""
        found = service.model(name).limits()
        if found is None:
            raise Refusal(404, f"Nobody has measured yet what {name} finds: run `realnet limits`.")
        return Response(chart_png(found, name), media_type="image/png")

    @app.get("/v1/models/{name}/report", response_class=FileResponse, responses={404: _PROBLEM})
    async def report(name: str) -> Response:
        """The report of the run's evaluation, HTML."""
        return _file(service.model(name), "report.html", "text/html")


def _add_making(app: FastAPI, posts: APIRouter, service: Service) -> None:
    refusals = {**_REFUSALS, 403: _PROBLEM, 409: _PROBLEM}

    @app.get("/v1/good", response_model=list[schemas.GatheredAnswer])
    def gathered() -> list[schemas.GatheredAnswer]:
        """The good images that were given, by inspector."""
        found = service.workshop.gathered() if service.workshop is not None else []
        return [_gathered(service, one) for one in found]

    @posts.post(
        "/v1/models/{name}/good", response_model=schemas.GatheredAnswer, responses=refusals, openapi_extra=_BODY
    )
    async def good(name: str, request: Request) -> Any:
        """Keep a good image for the inspector of that name, which need not be there yet; nothing is learned by it."""
        upload = await read_upload(request, service.settings)
        kept = await asyncio.get_running_loop().run_in_executor(service.pool, service.keep_good, name, *upload)
        return _gathered(service, kept)

    @posts.post("/v1/models/{name}/learn", response_model=schemas.LearnAnswer, responses=refusals)
    def learn(name: str) -> Any:
        """Make the inspector of its good images, or let it learn those that it has not; takes seconds."""
        return service.learn(name)

    @app.get("/v1/models/{name}/odd", response_model=list[schemas.OddAnswer], responses=refusals)
    def odd(name: str) -> list[schemas.OddAnswer]:
        """The good images that score far above the others, for a person to look at."""
        return service.odd(name)

    @posts.post("/v1/models/{name}/odd/{image}/keep", response_model=list[schemas.OddAnswer], responses=refusals)
    def confirm_odd(name: str, image: str) -> Any:
        """A person says that the image is good: it is not named again. Answers with those that are left."""
        return service.confirm_odd(name, image)

    @posts.post("/v1/models/{name}/odd/{image}/leave-out", response_model=schemas.LearnAnswer, responses=refusals)
    def leave_out(name: str, image: str) -> Any:
        """Let the inspector unlearn the image, which is no good one; takes seconds."""
        return service.leave_out(name, image)


def _gathered(service: Service, found: Gathered) -> schemas.GatheredAnswer:
    return schemas.GatheredAnswer(made=found.name in service.models, **asdict(found))


def _file(model: ServedModel, name: str, kind: str) -> Response:
    path = model.folder / name
    if not path.is_file():  # exports have few
        raise Refusal(404, f"{model.name} has no {name}.")
    return FileResponse(path, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})


def _add_page(app: FastAPI) -> None:
    folder = files("realnet.serving") / "page"
    for place, name in _PAGE.items():
        # As text in memory: the package may lie in an archive.
        text = (folder / name).read_text(encoding="utf-8")
        kind = {"html": "text/html", "css": "text/css", "js": "text/javascript"}[name.rpartition(".")[2]]
        app.add_route(place, _always(Response(text, media_type=kind, headers=_PAGE_HEADERS)), include_in_schema=False)


def _always(response: Response) -> Callable[[Request], Response]:
    return lambda request: response
