"""A request's body as what is to be done: multipart, JSON, or the image file alone."""

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from realnet.overriding import first_problem
from realnet.serving.limits import Refusal, bounded
from realnet.serving.schemas import InspectRequest
from realnet.serving.settings import Settings

_SECONDS = 60.0
Body = TypeVar("Body", bound=BaseModel)


async def read_upload(request: Request, settings: Settings) -> tuple[bytes, InspectRequest]:
    """The image file in the body of a request, and the other fields; all stays in memory, which the settings bound.

    Refusal for another content type, parameters in the URL, fields that are wrong, or a body too long or too slow.
    """
    if request.query_params:
        raise Refusal(
            422,
            f"{', '.join(request.query_params)} in the URL: nothing is read there; send it as a field of the body.",
            {"Connection": "close"},
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with _in_time():
            return await _multipart(request, settings)
    return _json(await _json_body(request, settings, "multipart/form-data or application/json"))


async def read_json(request: Request, settings: Settings, form: type[Body]) -> Body:
    """The JSON body of ``request`` as a ``form``; Refusal as of :func:`read_upload`."""
    body = await _json_body(request, settings, "application/json")
    try:
        return form.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise Refusal(422, f"The request is wrong: {first_problem(error)}.") from error


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_SECONDS):
            yield
    except TimeoutError as error:
        raise Refusal(408, f"The request did not arrive within {_SECONDS:.0f} s.", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise Refusal(400, "The client went away before its request was there.") from error


async def _json_body(request: Request, settings: Settings, kinds: str) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, f"Send {kinds}, not {kind or 'a body of no type'}.", {"Connection": "close"})
    async with _in_time():
        return b"".join([piece async for piece in bounded(request, settings)])


def _json(body: bytes) -> tuple[bytes, InspectRequest]:
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The body is no JSON.") from error
    if not isinstance(given, dict):
        raise Refusal(422, "The body is to be a JSON object with the field image.")
    order = _checked(given)
    try:
        # Browsers put "data:image/png;base64," before it.
        text = order.image.partition(",")[2] if order.image.startswith("data:") else order.image
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, "The field image is no base64 of an image file.") from error
    return data, order.model_copy(update={"image": ""})


async def _multipart(request: Request, settings: Settings) -> tuple[bytes, InspectRequest]:
    parser = MultiPartParser(request.headers, bounded(request, settings), max_files=1, max_fields=8, max_part_size=4096)
    # Never to the disk, which may be full; the body's length is bounded already.
    parser.spool_max_size = settings.max_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"The body is no valid multipart/form-data ({error.message}).") from error
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise Refusal(400, "The body is no valid multipart/form-data.") from error
    try:
        given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1 or files[0][0] != "image":
            raise Refusal(422, "Send one file, as the field image.")
        file = files[0][1]
        given.setdefault("name", (file.filename or "image")[-500:])
        order = _checked({**given, "image": ""}, strings=True)
        return await file.read(), order
    finally:
        await form.close()


def _checked(given: dict[str, Any], strings: bool = False) -> InspectRequest:
    """``given`` as a request; JSON has to have the right types, a form has nothing but strings."""
    try:
        return InspectRequest.model_validate(given, strict=not strings)
    except ValidationError as error:
        raise Refusal(422, f"The request is wrong: {first_problem(error)}.") from error
