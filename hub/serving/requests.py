"""Reading requests: every limit, and every way in which a body can be wrong."""

from __future__ import annotations

import asyncio
import codecs
import json
import math
import sys
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request

from hub.errors import RequestError
from hub.serving.engine import Wishes
from hub.serving.settings import Limits
from hub.tokenizers import Text

Result = TypeVar("Result")


async def in_time(work: Awaitable[Result], within_s: float) -> Result:
    """What `work` gives.

    Raises:
        RequestError: it took longer: whoever sends the body is too slow.
    """
    try:
        if sys.version_info >= (3, 11):
            async with asyncio.timeout(within_s):  # makes no task of its own
                return await work
        return await asyncio.wait_for(work, within_s)
    except asyncio.TimeoutError:
        raise RequestError(408, "too_slow", "The body did not come in time.") from None


async def read_body(request: Request, most: int, within_s: float) -> bytes:
    """A request's body.

    Args:
        request: the request.
        most: the bytes it may have.
        within_s: the seconds it may take.

    Raises:
        RequestError: it is longer, or slower, or its sender left.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        _too_large(most)
    parts, size = [], 0

    async def read() -> None:
        nonlocal size
        async for part in request.stream():
            size += len(part)
            if size > most:
                _too_large(most)
            parts.append(part)

    try:
        await in_time(read(), within_s)
    except ClientDisconnect:
        raise RequestError(499, "left", "The caller left before the body was whole.") from None
    return b"".join(parts)


def _too_large(most: int) -> NoReturn:
    raise RequestError(413, "too_large", f"The body is longer than {most:,} bytes.")


def parse_json(body: bytes) -> Any:
    """A body as JSON.

    Raises:
        RequestError: it is none.
    """
    try:
        # Windows' programs begin a file with a mark that is no part of it.
        return _DECODER.decode(body.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except UnicodeDecodeError:
        raise RequestError(400, "not_utf8", "The body is not UTF-8.") from None
    except RecursionError:
        raise RequestError(400, "too_deep", "The JSON is nested too deeply.") from None
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(
            error, json.JSONDecodeError
        ) else ""  # fmt: skip
        raise RequestError(400, "not_json", f"The body is not JSON{where}.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


async def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """A body that must be a JSON object.

    Raises:
        RequestError: it is none, or beyond the limits.
    """
    return as_object(parse_json(await read_body(request, limits.body_bytes, limits.body_s)))


def as_object(value: Any) -> dict[str, Any]:
    """A JSON value that must be an object.

    Raises:
        RequestError: it is none.
    """
    if not isinstance(value, dict):
        raise RequestError(422, "not_an_object", "The body must be a JSON object.")
    return value


def check_texts(values: Any, limits: Limits, most: int | None = None) -> list[Text]:
    """JSON's texts, as the tasks take them; a list of two strings is a pair.

    Raises:
        RequestError: there are none or too many, or one is no text or too long.
    """
    if not isinstance(values, list):
        raise RequestError(422, "not_texts", "The texts must be a list of strings.")
    most = limits.request_texts if most is None else most
    if not values:
        raise RequestError(422, "no_texts", "There is no text to answer.")
    if len(values) > most:
        raise RequestError(
            422, "too_many_texts", f"There are {len(values):,} texts; at most {most:,} are taken."
        )
    return [check_text(value, number, limits) for number, value in enumerate(values)]


def check_text(value: Any, number: int, limits: Limits) -> Text:
    """One of JSON's texts: a string, or a list of one or two of them.

    Raises:
        RequestError: it is none, or too long.
    """
    if isinstance(value, str):
        return _string(value, number, limits)
    if isinstance(value, list) and 1 <= len(value) <= 2 and all(isinstance(v, str) for v in value):
        parts = [_string(part, number, limits) for part in value]
        return parts[0] if len(parts) == 1 else (parts[0], parts[1])
    raise RequestError(
        422, "not_a_text", f"Text {number} is neither a string nor a pair of two strings."
    )


def _string(value: str, number: int, limits: Limits) -> str:
    if len(value) > limits.text_characters:
        raise RequestError(
            422,
            "text_too_long",
            f"Text {number} has {len(value):,} characters; at most {limits.text_characters:,} "
            "are taken.",
        )
    if "\0" in value:
        raise RequestError(422, "nul", f"Text {number} holds a NUL character.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise RequestError(
            422, "surrogate", f"Text {number} holds half of a surrogate pair."
        ) from None
    return value


def wishes_of(body: Mapping[str, Any]) -> Wishes:
    """What a request asks besides the answer.

    Raises:
        RequestError: an option has a wrong value.
    """
    probabilities = body.get("probabilities", False)
    if not isinstance(probabilities, bool):
        raise RequestError(422, "bad_option", "'probabilities' must be true or false.")
    top_k = body.get("top_k")
    if top_k is not None and (
        not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= 1000
    ):
        raise RequestError(422, "bad_option", "'top_k' must be a whole number from 1 to 1000.")
    long_text = body.get("long_text")
    if long_text not in (None, "cut", "window"):
        raise RequestError(422, "bad_option", '\'long_text\' must be "cut" or "window".')
    return Wishes(probabilities, top_k, long_text)


def check_fields(body: Iterable[str], known: Sequence[str]) -> None:
    """See that a misspelt option is not passed over.

    Raises:
        RequestError: a field is unknown.
    """
    unknown = [name for name in body if name not in known]
    if unknown:
        raise RequestError(
            422, "unknown_field", f"A field is unknown; there is {', '.join(known)}."
        )


def check_string(value: Any, name: str, most: int = 500) -> str:
    """A field that must be a short string without control characters.

    Raises:
        RequestError: it is none.
    """
    if not isinstance(value, str) or not value or len(value) > most or not value.isprintable():
        raise RequestError(
            422, "bad_field", f"{name!r} must be a string of 1 to {most} characters."
        )
    return value


def check_number(value: Any, name: str, low: float, high: float) -> float:
    """A field that must be a number.

    Raises:
        RequestError: it is none.
    """
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not low <= value <= high
        or not math.isfinite(value)
    ):
        raise RequestError(422, "bad_field", f"{name!r} must be a number from {low:g} to {high:g}.")
    return float(value)
