"""What the routes share: inspectors, their batchers, the results store, counters."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from starlette.requests import Request

from realnet.calibration import read_calibration, with_threshold
from realnet.calibrations import install
from realnet.data import read_image
from realnet.errors import UserError
from realnet.history import Entry, Retention, Store, read_confirmed
from realnet.history.pictures import Picture
from realnet.history.recording import Recording
from realnet.history.searching import find_whole
from realnet.inspection.judging import Judge, Standard
from realnet.inspection.overlay import as_webp, shrunk
from realnet.inspection.rows import Row
from realnet.inspection.trace import Trace
from realnet.logs import verdict_facts
from realnet.provenance import timestamp
from realnet.run_folder import Run
from realnet.serving import schemas
from realnet.serving.answering import Decoded, answer, decode
from realnet.serving.batcher import Batcher
from realnet.serving.limits import Refusal, refusing
from realnet.serving.models import NAME, NAME_RULE, ServedModel, open_models
from realnet.serving.prometheus import Metrics
from realnet.serving.settings import Settings
from realnet.serving.shelf import Shelf
from realnet.serving.uploads import read_upload
from realnet.serving.workshop import Gathered, Workshop
from realnet.signals.delivery import Signals
from realnet.signals.messages import message_of

Teach = Callable[[Path, Store], list[str]]
# Names of inspectors that a refusal lists.
_NAMED = 20
_MAKING = "An inspector is being made or taught already; wait for its end."
# Longer side of the picture of a good image to look at.
_PICTURE = 320
_log = logging.getLogger("realnet.serving")


class Service:
    """The work behind the routes.

    Args:
        store: where results go; None: nowhere.
        retention: what may leave the store.
        signals: told of every verdict; None: nobody is.
        teach: lets the run in a folder learn what people confirmed in the store, and says what came of it; None: no
            run of this server is taught.
        workshop: where inspectors are made of good images, and further ones join them; None: nowhere.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        settings: Settings,
        store: Store | None,
        retention: Retention,
        signals: Signals | None = None,
        teach: Teach | None = None,
        workshop: Workshop | None = None,
    ) -> None:
        self.teaches, self._teaching, self.workshop = teach, threading.Lock(), workshop
        self.settings, self.metrics, self.store, self.signals = settings, Metrics(), store, signals
        self.models, self.retention, self.started, self.working = models, retention, time.monotonic(), 0
        # One for all: what computes is the processor's cores, however many inspectors there are.
        self.batcher = Batcher(settings.batch_size, self.metrics.batches.observe)
        self.metrics.in_progress.set_function(lambda: self.working)
        self.recordings: dict[str, Recording] = {}
        # Decoding is the memory's peak: no more images at a time than there are cores.
        self.pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="images")

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        self.pool.shutdown()
        self.batcher.close()

    def model(self, name: str | None) -> ServedModel:
        """The model of that name, or the only one, with its latest calibration; Refusal where none is meant."""
        if name is None and len(self.models) == 1:
            name = next(iter(self.models))
        if name is None or name not in self.models:
            said = "Name a model with the field model" if name is None and self.models else "There is no such model"
            names, more = list(self.models)[:_NAMED], max(0, len(self.models) - _NAMED)
            there = f"{', '.join(names) or 'none yet'}{f' and {more} more' if more else ''}"
            raise Refusal(404, f"{said}: this server has {there}.")
        model = self.models[name]
        model.refresh()
        return model

    def describe(self, model: ServedModel) -> schemas.ModelAnswer:
        """What the server says of one of its models."""
        model.refresh()
        limits, calibration = model.limits(), model.judge.calibration
        found, digest, view = model.drift(), model.judge.origin.model_digest, model.judge.view
        confirmed = read_confirmed(self.store, digest).sentence(model.judge.threshold) if self.store else None
        return schemas.ModelAnswer(
            name=model.name,
            threshold=model.judge.threshold,
            pixel_threshold=model.judge.pixel_threshold,
            minimum_area=model.judge.minimum_area,
            image_size=model.judge.image_size,
            view=[] if view is None else [list(polygon) for polygon in view.config.polygons],
            aligned=view is not None and view.config.align != "none",
            calibration=calibration.sentences() if calibration else [],
            calibration_version=calibration.version if calibration else None,
            model_digest=digest,
            confirmed=confirmed,
            synthetic_defects=(model.folder / "synthetic_defects.png").is_file(),
            report=(model.folder / "report.html").is_file(),
            limits=limits.sentences() if limits is not None else [],
            drift=found.sentence() if found is not None and found.warns else None,
        )

    def save_threshold(self, name: str, order: schemas.ThresholdRequest) -> schemas.ModelAnswer:
        """Make a threshold that a person chose the calibrated one.

        Refusal without a key on the server, which would let anybody do it; for a model without a calibration.
        """
        if self.settings.api_key is None:
            raise Refusal(403, "Thresholds are saved on a server with an API key only: start it with --api-key.")
        model = self.model(name)
        if model.judge.calibration is None:
            raise Refusal(409, f"{name} has no calibration to start from: make one with `realnet calibrate`.")
        why = f": {order.why.strip()}" if order.why.strip() else ""
        note = f"The threshold was moved by hand by {order.who.strip()}{why}."
        install(model.folder, with_threshold(model.judge.calibration, order.threshold, note, timestamp()))
        return self.describe(model)

    def teach(self, name: str) -> schemas.TeachAnswer:
        """Let a run learn what people confirmed in the results store; Refusal where it cannot, or learns already."""
        if self.teaches is None or self.store is None:
            raise Refusal(403, "This server teaches nothing: start it with --teach and --history.")
        model = self.model(name)
        with self._alone("A run is being taught already; wait for its end."):
            said = self.teaches(model.folder, self.store)
        model.refresh()
        return schemas.TeachAnswer(sentences=said)

    def keep_good(self, name: str, data: bytes, order: schemas.InspectRequest) -> Gathered:
        """Keep a good image for an inspector, there or to be made; Refusal for a bad name, no image, or no workshop."""
        workshop = self._open_workshop(name)
        if extra := sorted(order.model_fields_set - {"image", "name"}):
            raise Refusal(422, f"A good image is given with the fields image and name, not {', '.join(extra)}.")
        with refusing(400):
            return workshop.keep(name, order.name, data, self.settings.max_pixels)

    def learn(self, name: str) -> schemas.LearnAnswer:
        """Make an inspector of the good images that were given, or let it learn further ones; Refusal if it cannot."""
        workshop = self._open_workshop(name)
        model = self.models.get(name)
        with self._alone(_MAKING):
            folder, said, seconds = workshop.learn(name, model.folder if model is not None else None)
            if model is None:
                made = open_models([f"{name}={folder}"], workshop.device, workshop.minimum_area)
                # Another dict, as the one before may be walked through at this moment. A shelf is not added to.
                self.models = {**self.models, **made}
        if model is not None:
            model.settle()
        return _learned(folder, said, seconds)

    def odd(self, name: str) -> list[schemas.OddAnswer]:
        """The good images of an inspector that score far above the others, with pictures; Refusal where it is not."""
        workshop, model = self._open_workshop(name), self.model(name)
        with refusing(409):
            levels = Run(model.folder).levels
            return [
                schemas.OddAnswer(image=file.name, picture=as_webp(shrunk(read_image(file, levels=levels), _PICTURE)))
                for file in workshop.odd(name, model.folder)
            ]

    def confirm_odd(self, name: str, image: str) -> list[schemas.OddAnswer]:
        """A person calls an odd image good; those that are left; Refusal where there is no such image."""
        workshop, model = self._open_workshop(name), self.model(name)
        with refusing(409):
            workshop.confirm(name, model.folder, image)
        model.refresh()
        return self.odd(name)

    def leave_out(self, name: str, image: str) -> schemas.LearnAnswer:
        """Let an inspector unlearn one good image, the old version judging meanwhile; Refusal if it cannot."""
        workshop, model = self._open_workshop(name), self.model(name)
        with self._alone(_MAKING):
            said, seconds = workshop.leave_out(name, model.folder, image)
        model.settle()
        return _learned(model.folder, said, seconds)

    @contextlib.contextmanager
    def _alone(self, busy: str) -> Iterator[None]:
        """One at a time makes or teaches; Refusal, with the words ``busy``, for a second, and for a user's mistake."""
        if not self._teaching.acquire(blocking=False):
            raise Refusal(409, busy)
        try:
            with refusing(409):
                yield
        finally:
            self._teaching.release()

    def _open_workshop(self, name: str) -> Workshop:
        if self.workshop is None:
            raise Refusal(403, "This server makes no inspectors: start it with --teach --create FOLDER.")
        if not NAME.fullmatch(name):
            raise Refusal(422, NAME_RULE.format(name=name))
        return self.workshop

    async def inspect(self, request: Request) -> schemas.InspectAnswer:
        """Read, judge, record and answer one request; Refusal with the reason why not."""
        if self.working >= self.settings.waiting:
            raise Refusal(503, "Too many requests at once; try again in a moment.", {"Retry-After": "1"})
        self.working += 1
        try:
            data, order = await read_upload(request, self.settings)
            with self.metrics.seconds.time():
                return await self._judge(data, order)
        finally:
            self.working -= 1

    async def _judge(self, data: bytes, request: schemas.InspectRequest) -> schemas.InspectAnswer:
        loop = asyncio.get_running_loop()
        # One that has to be loaded must not keep the others waiting.
        there = not isinstance(self.models, Shelf) or self.models.is_loaded(request.model or "")
        model = self.model(request.model) if there else await loop.run_in_executor(self.pool, self.model, request.model)
        # The same inspector from here to the answer, whatever the run is taught meanwhile.
        judge = model.judge
        decoded = await self._decode(data, request, model, judge)
        standard = self._standard(decoded, request, judge)
        waiting = [self.batcher.submit(part, judge) for part in decoded.parts]
        measured = await asyncio.gather(*map(asyncio.wrap_future, waiting))
        found, row = await loop.run_in_executor(
            self.pool, answer, decoded, measured, request, judge, standard, model.name
        )
        if self.store is not None:
            await self._record(self.store, row, model, decoded.picture)
            found.recorded = True
        if self.signals is not None:
            # Before the client has its answer: what it knows, the receivers will know.
            await loop.run_in_executor(self.pool, self._announce, found)
        model.recent.append(found.score)
        self.metrics.images.labels(model.name, found.verdict).inc()
        self.metrics.scores.labels(model.name).observe(found.score)
        _log.info("verdict", extra={"facts": verdict_facts(row, model.name)})
        return found

    async def _decode(self, data: bytes, request: schemas.InspectRequest, model: ServedModel, judge: Judge) -> Decoded:
        """The image made ready; where it cannot be read, that is a result as well."""
        loop = asyncio.get_running_loop()
        keep = self.store.keep if self.store is not None else "nothing"
        try:
            return await loop.run_in_executor(self.pool, decode, data, request, judge, self.settings.max_pixels, keep)
        except Refusal as refusal:
            row = judge.row(request.name, UserError(refusal.sentence))
            row = row if request.id is None else replace(row, id=request.id)
            if self.store is not None:
                await self._record(self.store, row, model, None)
            _log.info("verdict", extra={"facts": verdict_facts(row, model.name)})
            raise

    def _standard(self, decoded: Decoded, request: schemas.InspectRequest, judge: Judge) -> Standard:
        """What the image is judged by: the request's threshold, the inspector's, or that of an earlier result."""
        area = judge.minimum_area if request.minimum_area is None else request.minimum_area
        known = self._known(decoded, request, judge)
        if known is not None:
            trace = Trace(known.model_digest, known.calibration, known.image_hash, known.id, known.time, known.software)
            return Standard(known.threshold, judge.pixel_threshold, area, trace)
        threshold = judge.threshold if request.threshold is None else request.threshold
        trace = replace(judge.origin.trace(None, threshold), image_hash=decoded.image_hash)
        trace = trace if request.id is None else replace(trace, id=request.id)
        return Standard(threshold, judge.pixel_threshold, area, trace)

    def _known(self, decoded: Decoded, request: schemas.InspectRequest, judge: Judge) -> Entry | None:
        """The result of an image that is sent again, its answer having been lost."""
        if self.store is None or request.id is None:
            return None
        known = find_whole(self.store, request.id)
        digest = judge.origin.model_digest
        if known is not None and (known.image_hash, known.model_digest) != (decoded.image_hash, digest):
            raise Refusal(422, "That id is another image's or another model's: leave it out, or take a new one.")
        return known

    async def _record(self, store: Store, row: Row, model: ServedModel, picture: Picture | None) -> None:
        if model.name not in self.recordings:
            self.recordings[model.name] = Recording(store, model.name, "serve", self.retention)
        put = self.recordings[model.name].put
        try:
            await asyncio.get_running_loop().run_in_executor(self.pool, put, row, picture)
        except UserError as error:
            # A verdict that nobody could trace is none: the client keeps the image and comes back.
            _log.error("result not recorded: %s", error, extra={"facts": {"image": row.image}})
            raise Refusal(
                503,
                "The results store cannot be written, so there is no verdict; the log says why.",
                {"Retry-After": "5"},
            ) from error

    def _announce(self, found: schemas.InspectAnswer) -> None:
        assert self.signals is not None
        try:
            self.signals.announce(message_of({**found.model_dump(mode="json"), "image": found.name}))
        except UserError as error:
            _log.error("%s", error)
            raise Refusal(
                503, "The verdict cannot be passed on: the server's disk is full. Send the image again later."
            ) from error


def log_request(request: Request, status: int, began: float) -> None:
    """One line about a request that is answered."""
    facts = {
        "method": request.method,
        "path": request.url.path,
        "status": status,
        "milliseconds": round(1000 * (time.monotonic() - began), 1),
        "client": request.client.host if request.client else "unknown",
    }
    _log.info("request", extra={"facts": facts})


async def logged(request: Request) -> AsyncIterator[None]:
    """What routes depend on whose answers are logged."""
    began = time.monotonic()
    yield
    log_request(request, 200, began)


def _learned(folder: Path, said: list[str], seconds: float) -> schemas.LearnAnswer:
    calibration = read_calibration(folder)
    assert calibration is not None
    return schemas.LearnAnswer(
        sentences=said, good_images=len(calibration.good_scores), threshold=calibration.score,
        promised=calibration.promised, seconds=round(seconds, 1),
    )  # fmt: skip
