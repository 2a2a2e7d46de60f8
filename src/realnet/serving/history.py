"""The routes of the results store: search, review, feedback, pictures, and the course over time."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request, Response

from realnet import history as h
from realnet.errors import UserError
from realnet.history.pictures import for_browsers
from realnet.history.searching import count, moment
from realnet.serving.limits import Refusal, refusing
from realnet.serving.schemas import About, FeedbackRequest, HistoryAnswer, Problem, TrendAnswer
from realnet.serving.service import Service, logged
from realnet.serving.uploads import read_json

_MOST = 200
_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "No such result, or a server without a results store."},
    422: {"model": Problem, "description": "A field is wrong."},
}
_LOGGED = [Depends(logged)]
Limit = Annotated[int, Query(ge=1, le=_MOST)]


def add_history(app: FastAPI, service: Service) -> None:
    """Add the routes to ``app``."""

    def store() -> h.Store:
        if service.store is None:
            raise Refusal(404, "This server keeps no results: start it with --history realnet.sqlite.")
        return service.store

    _add_reading(app, service, store)

    @app.post("/v1/history/{result}/feedback", response_model=h.Entry, responses=_REFUSALS, dependencies=_LOGGED)
    async def feedback(result: str, request: Request) -> Any:
        """Say whether the image of a result is good or defective; the latest verdict of a person counts."""
        opened, entry = store(), _entry(store(), result)
        order = await read_json(request, service.settings, FeedbackRequest)
        await asyncio.to_thread(opened.add_feedback, entry.id, order.label, order.who, order.why)
        return _entry(opened, entry.id)


def _add_reading(app: FastAPI, service: Service, store: Any) -> None:
    @app.get("/v1/about", response_model=About)
    async def about() -> About:
        """What this server can do beyond judging."""
        return About(
            history=service.store is not None,
            keeps="nothing" if service.store is None else service.store.keep,
            saves_thresholds=bool(service.settings.api_key),
            teaches=service.teaches is not None and service.store is not None,
            creates=service.workshop is not None,
        )

    @app.get("/v1/history", response_model=HistoryAnswer, responses=_REFUSALS)
    def search(
        since: str | None = None,
        until: str | None = None,
        verdict: Literal["good", "anomalous", "unknown", "unreadable"] | None = None,
        label: Literal["good", "defective"] | None = None,
        model: str | None = None,
        above: float | None = None,
        below: float | None = None,
        image: str | None = None,
        before: int | None = None,
        limit: Limit = 50,
        source: str | None = None,
    ) -> HistoryAnswer:
        """Results of the store, the latest first; `before`: the number of the last one of the page before."""
        query = h.Query(
            _moment(since), _moment(until), verdict, label, model, above, below, image, before, limit, source
        )  # fmt: skip
        return HistoryAnswer(total=count(store(), query), results=h.search(store(), query))

    @app.get("/v1/history/trend", response_model=TrendAnswer, responses=_REFUSALS)
    def trend(
        by: Literal["hour", "day"] = "hour", model: str | None = None, since: str | None = None, limit: Limit = 100
    ) -> TrendAnswer:
        """Levels and alarms by hour or day."""
        return TrendAnswer(spans=h.trend(store(), by, h.Query(since=_moment(since), model=model, limit=limit)))

    @app.get("/v1/history/review", response_model=list[h.Entry], responses=_REFUSALS)
    def review(model: str | None = None, limit: Limit = 50) -> list[h.Entry]:
        """What a person should look at next."""
        return h.review(store(), model, limit)

    @app.get("/v1/history/{result}", response_model=h.Entry, responses=_REFUSALS)
    def one(result: str) -> h.Entry:
        """One result; the first digits of its id do, six at least."""
        return _entry(store(), result)

    @app.get("/v1/history/{result}/picture", response_class=Response, responses=_REFUSALS)
    def picture(result: str) -> Response:
        """The picture that was kept of a result's image."""
        content = store().picture(_entry(store(), result).id)
        if content is None:
            raise Refusal(404, "No picture of this image was kept.")
        shown, kind = for_browsers(content)
        return Response(shown, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})


def _entry(store: h.Store, result: str) -> h.Entry:
    try:
        return h.find(store, result)
    except UserError as error:
        raise Refusal(404, "There is no such result, or there are several.") from error


def _moment(text: str | None) -> str | None:
    with refusing(422):
        return None if text is None else moment(text)
