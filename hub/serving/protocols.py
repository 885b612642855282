"""The service's own API, and PaddleHub's.

Own: `POST /v1/models/NAME:predict` takes `{"text": ...}` or `{"texts": [...]}`, and
`POST /v1/models/NAME:batch` answers a line of JSON a text. PaddleHub's `POST /predict/NAME` takes
the arguments of a module's method (`data`, `texts` or `text`) and answers
`{"status": "000", "msg": "", "results": [...]}`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hub.errors import RequestError
from hub.serving.answering import Answerer, Json, Lines, first_error
from hub.serving.answers import label_of
from hub.serving.engine import Wishes
from hub.serving.gate import record_of
from hub.serving.requests import (
    check_fields,
    check_string,
    check_text,
    check_texts,
    in_time,
    parse_json,
    read_object,
    wishes_of,
)
from hub.serving.service import Version
from hub.tokenizers import Text

_OPTIONS = ("probabilities", "top_k", "long_text", "user", "version")
PREDICT_FIELDS = ("text", "texts", *_OPTIONS)
# Arguments of PaddleHub's methods that mean nothing here: the service chooses for itself.
_PADDLEHUB_FIELDS = (
    "data", "texts", "text", "max_seq_len", "batch_size", "use_gpu", "return_prob", "return_result",
)  # fmt: skip


class OwnProtocol:
    """`/v1`."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    async def models(self, request: Request) -> Response:
        """The models that are served."""
        return Json({"models": self._answerer.service.status()})

    async def model(self, request: Request) -> Response:
        """One of them."""
        name = self._answerer.service.find(request.path_params["name"]).plan.name
        status = self._answerer.service.status()
        return Json(next(model for model in status if model["name"] == name))

    async def predict(self, request: Request) -> Response:
        """Answer one text or several."""
        record = record_of(request.scope)
        self._answerer.admit(request, record)
        limits = self._answerer.limits
        body = await read_object(request, limits)
        check_fields(body, PREDICT_FIELDS)
        if ("text" in body) == ("texts" in body):
            raise RequestError(422, "no_texts", "Give either 'text' or 'texts'.")
        values = [body["text"]] if "text" in body else body["texts"]
        texts = check_texts(values, limits)
        user, pinned = _strings(body, "user", "version")
        version, outcomes = await self._answerer.answer(
            request, texts, wishes_of(body), pinned, user
        )
        if error := first_error(outcomes):
            raise error
        return Json(
            {
                "model": version.model,
                "version": version.name,
                "task": version.engine.task.name,
                "predictions": [outcome.answer for outcome in outcomes],
            }
        )

    async def batch(self, request: Request) -> Response:
        """Answer any number of texts, a line of JSON each.

        The body is a JSON object with `texts`, or, with a content type of `application/x-ndjson`,
        a text a line: a JSON string, or an object with `text`; options are then the query's.
        """
        record = record_of(request.scope)
        answerer, limits = self._answerer, self._answerer.limits
        answerer.admit(request, record, can_wait=True)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        texts: AsyncIterator[tuple[int, Text | RequestError]]
        if kind in ("application/x-ndjson", "application/jsonl", "application/jsonlines"):
            options = _query_of(request)
            texts = _lines(request, answerer)
        else:
            options = await read_object(request, limits)
            check_fields(options, PREDICT_FIELDS[1:])
            found = check_texts(options.get("texts"), limits, limits.batch_texts)
            texts = _given(found, request)
        wishes = wishes_of(options)
        user, pinned = _strings(options, "user", "version")
        served = answerer.service.find(request.path_params["name"])
        version = answerer.version(request, record, served, pinned, user)
        return Lines(answerer.stream(request, version, texts, wishes))


async def _given(
    texts: list[Text], request: Request
) -> AsyncIterator[tuple[int, Text | RequestError]]:
    """The texts of a body that was read; no more of them once their sender left."""
    for number, text in enumerate(texts):
        if number % 64 == 63 and await request.is_disconnected():
            return
        yield number, text


def _strings(body: Mapping[str, Any], *names: str) -> list[str | None]:
    """Fields that are short strings, if they are there."""
    return [None if body.get(name) is None else check_string(body[name], name) for name in names]


def _query_of(request: Request) -> dict[str, Any]:
    """A query's options, as a JSON body has them."""
    options: dict[str, Any] = dict(request.query_params)
    check_fields(options, _OPTIONS)
    top_k = options.get("top_k", "")
    if top_k.isascii() and top_k.isdigit() and len(top_k) < 5:
        options["top_k"] = int(top_k)
    if "probabilities" in options:
        values = {"1": True, "true": True, "0": False, "false": False}
        options["probabilities"] = values.get(options["probabilities"].lower())
    return options


async def _lines(
    request: Request, answerer: Answerer
) -> AsyncIterator[tuple[int, Text | RequestError]]:
    """The texts of a body of JSON lines, as they come; a bad line is an error of its own.

    Raises:
        RequestError: they are too many, a line is too long, or does not come in time.
    """
    limits = answerer.limits
    number, size, rest = 0, 0, b""
    parts, waited_s = request.stream(), 0.0
    # A text's characters may be escaped: six bytes each, and a little around them.
    longest = 12 * limits.text_characters + 1000
    try:
        while True:
            begun = time.monotonic()
            part = await in_time(anext(parts, None), limits.body_s - waited_s)
            waited_s += time.monotonic() - begun
            if part is None:
                break
            size += len(part)
            if size > limits.batch_bytes:
                raise RequestError(413, "too_large", "The batch is too long.")
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > longest:
                raise RequestError(413, "too_large", "A line of the batch is too long.")
            for line in lines:
                if line.strip():
                    yield number, _line(line, number, answerer)
                    number, waited_s = number + 1, 0.0
    except ClientDisconnect:
        return
    if rest.strip():
        yield number, _line(rest, number, answerer)


def _line(line: bytes, number: int, answerer: Answerer) -> Text | RequestError:
    if number >= answerer.limits.batch_texts:
        raise RequestError(413, "too_many_texts", "The batch has too many texts.")
    try:
        value: Any = parse_json(line)
        if isinstance(value, dict):
            check_fields(value, ("text",))
            value = value.get("text")
        return check_text(value, number, answerer.limits)
    except RequestError as error:
        return error


class PaddleHubProtocol:
    """`/predict`."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    async def predict(self, request: Request) -> Response:
        """Answer the texts of `data`, `texts` or `text`."""
        record = record_of(request.scope)
        self._answerer.admit(request, record)
        limits = self._answerer.limits
        body = await read_object(request, limits)
        check_fields(body, _PADDLEHUB_FIELDS)
        given = [body[name] for name in ("data", "texts", "text") if name in body]
        if len(given) != 1:
            raise RequestError(422, "no_texts", "Give the texts as 'data', 'texts' or 'text'.")
        values = [given[0]] if isinstance(given[0], str) else given[0]
        texts = check_texts(values, limits)
        wishes = Wishes(probabilities=body.get("return_prob") is True)
        version, outcomes = await self._answerer.answer(request, texts, wishes)
        if error := first_error(outcomes):
            raise error
        answers = [_plain(version, outcome.answer or {}, wishes) for outcome in outcomes]
        return Json({"status": "000", "msg": "", "results": answers})


def _plain(version: Version, answer: dict[str, Any], wishes: Wishes) -> Any:
    """An answer as a PaddleHub module's method returns it: a label, tags, a vector."""
    task = version.engine.task.name
    if "embedding" in answer:
        return answer["embedding"]
    if task == "text-classification" and not wishes.probabilities:
        return label_of(task, answer)
    if task == "token-classification":
        return answer["entities"]
    if task == "multi-label-classification" and not wishes.probabilities:
        return [label["label"] for label in answer["labels"]]
    return answer
