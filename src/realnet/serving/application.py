"""The server as an ASGI application."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from realnet import __version__
from realnet.errors import UserError
from realnet.serving.answering import answer, decode
from realnet.serving.batcher import Batcher
from realnet.serving.limits import Gate, Refusal
from realnet.serving.messages import Health, InspectAnswer, InspectRequest, ModelAnswer, Problem
from realnet.serving.metrics import Metrics
from realnet.serving.models import ServedModel
from realnet.serving.reading import read_order
from realnet.serving.settings import Settings
from realnet.signals.delivery import Signals
from realnet.signals.messages import message_of

_log = logging.getLogger("realnet.serving")
_PAGE = {
    "/": "index.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/report.js": "report.js",
    "/docs": "docs.html",
    "/docs.css": "docs.css",
    "/docs.js": "docs.js",
}
# The page loads nothing from elsewhere, and no other page may frame it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
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
                        "image": {"type": "string", "format": "binary", "description": "The image file."},
                        **{
                            name: field
                            for name, field in InspectRequest.model_json_schema()["properties"].items()
                            if name != "image"
                        },
                    },
                }
            },
            "application/json": {"schema": InspectRequest.model_json_schema()},
        },
    }
}


class Service:
    """What the routes share: models, their batchers, the pool that decodes and draws, counters."""

    def __init__(self, models: Mapping[str, ServedModel], settings: Settings, signals: Signals | None = None) -> None:
        self.models, self.settings, self.metrics, self.signals = models, settings, Metrics(), signals
        self.started, self.working = time.monotonic(), 0
        self.batchers = {
            name: Batcher(model.judge, settings.batch_size, self.metrics.batches.observe)
            for name, model in models.items()
        }
        # Decoding is the memory's peak: no more images at a time than there are cores.
        self.pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="images")

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        self.pool.shutdown()
        for batcher in self.batchers.values():
            batcher.close()

    def model(self, name: str | None) -> ServedModel:
        """The model of that name; the only one where there is no other.

        Raises:
            Refusal: where there is none, or one of several has to be named.
        """
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name is None or name not in self.models:
            said = "Name a model with the field model" if name is None else "There is no such model"
            raise Refusal(404, f"{said}: this server has {', '.join(self.models)}.")
        return self.models[name]

    async def inspect(self, request: Request) -> InspectAnswer:
        """Read, judge and answer one request.

        Raises:
            Refusal: with the reason why not.
        """
        if self.working >= self.settings.waiting:
            raise Refusal(503, "Too many requests at once; try again in a moment.", {"Retry-After": "1"})
        self.working += 1
        self.metrics.in_progress.set(self.working)
        try:
            order = await read_order(request, self.settings)
            with self.metrics.seconds.time():
                return await self._judge(order.data, order.request)
        finally:
            self.working -= 1
            self.metrics.in_progress.set(self.working)

    async def _judge(self, data: bytes, request: InspectRequest) -> InspectAnswer:
        model = self.model(request.model)
        loop = asyncio.get_running_loop()
        decoded = await loop.run_in_executor(self.pool, decode, data, request, model.judge, self.settings.max_pixels)
        batcher = self.batchers[model.name]
        measured = await asyncio.gather(*(asyncio.wrap_future(batcher.submit(part)) for part in decoded.parts))
        found = await loop.run_in_executor(self.pool, answer, decoded, measured, request, model)
        if self.signals is not None:
            # Before the client has its answer: what it knows, the receivers will know.
            await loop.run_in_executor(self.pool, self._announce, found)
        model.recent.append(found.score)
        self.metrics.images.labels(model.name, found.verdict).inc()
        self.metrics.scores.labels(model.name).observe(found.score)
        return found

    def _announce(self, found: InspectAnswer) -> None:
        assert self.signals is not None
        fields = found.model_dump(mode="json")
        try:
            self.signals.announce(message_of({**fields, "image": found.name}, uuid.uuid4().hex))
        except UserError as error:
            _log.error("%s", error)
            raise Refusal(
                503, "The verdict cannot be passed on: the server's disk is full. Send the image again later."
            ) from error


def make_app(
    models: Mapping[str, ServedModel], settings: Settings | None = None, signals: Signals | None = None
) -> FastAPI:
    """The application: ``/v1/inspect``, ``/v1/models``, ``/health``, ``/metrics``, ``/openapi.json``, and its pages.

    Args:
        models: by name, one at least.
        settings: limits; default: those of :class:`Settings`.
        signals: told of every verdict; its owner closes it.

    Example:
        >>> from realnet.serving import make_app, open_models  # doctest: +SKIP
        >>> app = make_app(open_models(["runs/bottle"]))  # doctest: +SKIP
    """
    if not models:
        raise ValueError("a server needs at least one model")
    service = Service(models, settings or Settings(), signals)

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
    )
    app.add_middleware(Gate, settings=service.settings)
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(HTTPException, _not_there)
    _add_inspection(app, service)
    _add_models(app, service)
    _add_page(app)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"{error.detail}: {request.method} {request.url.path}."}, error.status_code)


def _add_inspection(app: FastAPI, service: Service) -> None:
    @app.post("/v1/inspect", response_model=InspectAnswer, responses=_REFUSALS, openapi_extra=_BODY)
    async def inspect(request: Request) -> Any:
        """Judge one image."""
        status = 200
        try:
            return await service.inspect(request)
        except Refusal as refusal:
            status = refusal.status
            return refusal.response()
        except Exception as error:
            # The client gets a sentence, the log a line: what the reason was is not the client's business.
            status = 500
            _log.error("A request failed: %s: %s", type(error).__name__, error)
            return Refusal(500, "The server failed on this request; its log says why.").response()
        finally:
            service.metrics.requests.labels(str(status)).inc()

    @app.get("/health", response_model=Health)
    async def health() -> Health:
        """Whether the server is up."""
        return Health(
            version=__version__, models=list(service.models), uptime_seconds=time.monotonic() - service.started
        )

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Figures in the text format of Prometheus."""
        waiting = service.signals.waiting() if service.signals is not None else {}
        return Response(
            service.metrics.text(service.models, waiting), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", response_model=list[ModelAnswer])
    async def models() -> list[ModelAnswer]:
        """The inspectors of this server."""
        return [_describe(model) for model in service.models.values()]

    @app.get("/v1/models/{name}/synthetic-defects", response_class=FileResponse, responses={404: {"model": Problem}})
    async def synthetic_defects(name: str) -> Response:
        """The sheet of synthetic defects that the run was trained on, a PNG."""
        return _file(service.model(name), "synthetic_defects.png", "image/png")

    @app.get("/v1/models/{name}/report", response_class=FileResponse, responses={404: {"model": Problem}})
    async def report(name: str) -> Response:
        """The report of the run's evaluation, HTML."""
        return _file(service.model(name), "report.html", "text/html")


def _describe(model: ServedModel) -> ModelAnswer:
    found, view = model.drift(), model.judge.view
    return ModelAnswer(
        name=model.name,
        threshold=model.judge.threshold,
        pixel_threshold=model.judge.pixel_threshold,
        minimum_area=model.judge.minimum_area,
        image_size=model.judge.image_size,
        view=[] if view is None else [list(polygon) for polygon in view.config.polygons],
        aligned=view is not None and view.config.align != "none",
        calibration=model.calibration.sentences() if model.calibration else [],
        synthetic_defects=model.file("synthetic_defects.png") is not None,
        report=model.file("report.html") is not None,
        drift=found.sentence() if found is not None and found.warns else None,
    )


def _file(model: ServedModel, name: str, kind: str) -> Response:
    path = model.file(name)
    if path is None:
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
