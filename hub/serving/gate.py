"""What every request passes: an id, keys, errors as answers, security headers, the log.

Written to the ASGI protocol directly: this is on the way of every answer.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import HubError, RequestError
from hub.serving.keys import KeyFile
from hub.serving.logs import Thinned, event
from hub.serving.metrics import Metrics
from hub.serving.tracing import no_span

logger = logging.getLogger(__name__)

_ID = re.compile(r"[\w.:-]{1,64}")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
# Whoever watches over the service, or looks at its page, needs no key.
_OPEN_PATHS = frozenset(
    {"/", "/docs", "/openapi.json", "/healthz", "/livez", "/readyz", "/favicon.ico"}
    | {"/v2/health/live", "/v2/health/ready"}
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_STRICT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


@dataclass
class Record:
    """What is known of a request, for its answer, the log and the metrics."""

    request_id: str
    protocol: str
    started: float = field(default_factory=time.perf_counter)
    model: str | None = None
    version: str | None = None
    arm: str = "none"
    caller: str | None = None
    texts: int = 0
    queued_s: float = 0.0
    code: str | None = None
    counted: bool = False
    said: Any = None


def record_of(scope: Scope) -> Record:
    """The record of the request that `scope` is of."""
    record: Record = scope["hub.record"]
    return record


class Gate:
    """The outermost layer.

    Args:
        app: what answers.
        metrics: what is counted.
        keys: the callers' keys; None lets everybody in.
        admin: the administrators'; None lets nobody in.
        log_texts: whether texts and answers are logged.
        most: requests in hand at a time; more are refused at once, but for those about health.
        span: makes a span of OpenTelemetry around a request, if that is installed.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        keys: KeyFile | None,
        admin: KeyFile | None,
        log_texts: bool,
        most: int,
        span: Callable[[Scope], Any],
    ) -> None:
        self._app, self._metrics = app, metrics
        self._keys, self._admin = keys, admin
        self._log_texts, self._span = log_texts, span
        self._most, self._in_hand = most, 0
        self._refused = Thinned()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; whatever goes wrong is an answer too."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        headers = Headers(scope=scope)
        record = Record(_request_id(headers), _protocol_of(path))
        scope["hub.record"] = record
        scope["app"] = self  # so that the router raises what it refuses
        status, begun = 0, False

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                found = message.setdefault("headers", [])
                found.extend(self._own_headers(record))
                names = {name for name, _ in found}
                if b"content-security-policy" not in names:
                    found.append(_STRICT_POLICY)
                if b"cache-control" not in names:
                    found.append((b"cache-control", b"no-store"))
            await send(message)

        self._in_hand += 1
        with self._span(scope):
            try:
                self._admit(path, scope["method"], headers, record)
                await self._app(scope, receive, answer)
            except ClientDisconnect:
                record.code = "left"
                status = status or 499
            except Exception as error:
                refusal = _refusal(error)
                record.code = refusal.code
                if not begun:
                    await _send_refusal(refusal, record, answer)
                else:  # a stream that broke off cannot be taken back
                    status = refusal.status
            finally:
                self._in_hand -= 1
        self._note(path, scope["method"], record, status)

    def refuse(
        self,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
        model: str,
        version: str | None,
        refusal: Callable[[], RequestError],
    ) -> bytes | None:
        """Refuse a `POST` before anything else of it is looked at; noted as any answer.

        Args:
            path: where it goes.
            headers: its own, with names in lower case.
            model: the model that it is for.
            version: the version, if there is only one.
            refusal: why; called if the request would have been let in.

        Returns:
            The answer as it is sent, without its `date`; None if the request would not have been
            let in, which is then told in the usual way, or if it is to be traced.
        """
        if self._span is not no_span:
            return None
        found = Headers(raw=list(headers))
        record = Record(_request_id(found), _protocol_of(path), counted=True, model=model)
        try:
            self._admit(path, "POST", found, record)
        except RequestError:
            return None
        record.version = version
        reason = refusal()
        record.code = reason.code
        lines, body = _message(reason, record)
        lines += self._own_headers(record)
        lines += [_STRICT_POLICY, (b"cache-control", b"no-store")]
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        self._note(path, "POST", record, reason.status)
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (
            reason.status, HTTPStatus(reason.status).phrase.encode(), head, body
        )  # fmt: skip

    @staticmethod
    def _own_headers(record: Record) -> list[tuple[bytes, bytes]]:
        """What every answer has."""
        own = [(b"x-request-id", record.request_id.encode()), *_HEADERS]
        if record.version is not None:
            own.append((b"x-model-version", record.version.encode()))
        return own

    def _admit(self, path: str, method: str, headers: Headers, record: Record) -> None:
        """Let a request in, or not.

        Raises:
            RequestError: it is not let in.
        """
        if self._in_hand > self._most and path not in _OPEN_PATHS:
            self._metrics.rejected.labels("", "full").inc()
            raise RequestError(429, "too_many", "Too many requests are in hand.", retry_after_s=1.0)
        if path.startswith("/admin"):
            if self._admin is None:
                raise RequestError(
                    403, "no_admin", "This service was started without an admin token."
                )
            record.caller = self._admin.name_of(_secret(headers))
            if record.caller is None:
                raise RequestError(401, "admin_token", "The admin token is missing or wrong.")
            return
        if self._keys is None or path in _OPEN_PATHS or method == "OPTIONS":
            return
        record.caller = self._keys.name_of(_secret(headers))
        if record.caller is None:
            if self._admin is not None and path == "/metrics":
                record.caller = self._admin.name_of(_secret(headers))
            if record.caller is None:
                raise RequestError(401, "api_key", "The API key is missing or wrong.")

    def _note(self, path: str, method: str, record: Record, status: int) -> None:
        took = time.perf_counter() - record.started
        if record.code == "too_large":
            self._metrics.rejected.labels(record.model or "", "too_large").inc()
        if record.counted:
            model = record.model or "(unknown)"
            self._metrics.answered(model, record.version, record.arm, status, took)
        left_out = self._refused.admit() if status == 429 else 0
        if left_out is None:
            return
        quiet = path in _OPEN_PATHS or path == "/metrics"
        facts: dict[str, Any] = {
            "request_id": record.request_id,
            "method": method,
            "path": path,
            "status": status,
            "ms": round(took * 1000, 2),
        }
        if record.model is not None:
            facts.update(
                model=record.model,
                version=record.version,
                arm=record.arm,
                texts=record.texts,
                queue_ms=round(record.queued_s * 1000, 2),
            )
        if record.caller is not None:
            facts["caller"] = record.caller
        if record.code is not None:
            facts["code"] = record.code
        if left_out:
            facts["left_out"] = left_out
        if self._log_texts and record.said is not None:
            facts["said"] = record.said
        event("request", logging.DEBUG if quiet and status < 400 else logging.INFO, **facts)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    if _ID.fullmatch(given) and given.isascii():
        return given
    trace = _TRACE.fullmatch(headers.get("traceparent", ""))
    return trace[1] if trace else f"{random.getrandbits(64):016x}"  # an id, not a secret


def _secret(headers: Headers) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return headers.get("x-api-key")


def _protocol_of(path: str) -> str:
    if path.startswith("/predict/"):
        return "paddlehub"
    return "v2" if path.startswith("/v2") else "v1"


def _refusal(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, HTTPException):
        return _router_refusal(error)
    if isinstance(error, HubError):
        logger.error("a request failed", exc_info=error)
        return RequestError(500, "failed", "The request failed; the log says more.")
    logger.error("a defect of hub", exc_info=error)
    return RequestError(500, "defect", "The service failed on this request; the log says more.")


def _router_refusal(error: HTTPException) -> RequestError:
    """What the router refuses, as people can use it."""
    if error.status_code == 404:
        return RequestError(404, "not_found", "There is nothing at this address; see /docs.")
    if error.status_code == 405:
        allowed = sorted((error.headers or {}).get("Allow", "").split(", "))
        return RequestError(
            405,
            "method",
            f"This address takes {' or '.join(allowed)}; see /docs.",
            allow=", ".join(allowed),
        )
    return RequestError(error.status_code, "refused", "The request is refused.")


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8 whose Chinese is readable."""
    return _ENCODER.encode(value).encode()


def error_body(refusal: RequestError, record: Record) -> dict[str, Any]:
    """A refusal in the shape of the protocol that was spoken."""
    if record.protocol == "paddlehub":
        status = "111" if refusal.status == 404 else "101"
        return {"status": status, "msg": str(refusal), "results": ""}
    if record.protocol == "v2":
        return {"error": str(refusal)}
    return {
        "error": {
            "code": refusal.code,
            "message": str(refusal),
            "request_id": record.request_id,
        }
    }


def _message(refusal: RequestError, record: Record) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers and the body that tell of a refusal."""
    body = encode_json(error_body(refusal, record))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(refusal.retry_after_s))).encode()))
    if refusal.allow is not None:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status in (408, 413):
        headers.append((b"connection", b"close"))
    return headers, body


async def _send_refusal(
    refusal: RequestError, record: Record, send: Callable[[Message], Awaitable[None]]
) -> None:
    headers, body = _message(refusal, record)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
