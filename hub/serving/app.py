"""The application: its routes, and what answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.serving.admin import Admin
from hub.serving.answering import Answerer, Json
from hub.serving.binary_tensors import HEADER as TENSORS_HEADER
from hub.serving.fleet import Fleet
from hub.serving.gate import Gate
from hub.serving.keys import KeyFile
from hub.serving.metrics import CONTENT_TYPE_LATEST
from hub.serving.open_inference import OpenInferenceProtocol
from hub.serving.openapi import describe
from hub.serving.pages import Pages
from hub.serving.protocols import OwnProtocol, PaddleHubProtocol
from hub.serving.service import Service
from hub.serving.tracing import span_maker

# What a request may say in its headers, besides who its user is.
_HEADERS = (
    "authorization", "content-type", "traceparent", "tracestate", "x-api-key", "x-model-version",
    "x-request-id", TENSORS_HEADER,
)  # fmt: skip

Endpoint = Callable[[Request], Awaitable[Response]]


class _ModelName(StringConvertor):
    """A model's name, which has no colon: `NAME:predict` is another address, and takes POST."""

    regex = "[^/:]+"


register_url_convertor("model", _ModelName())


class Answering:
    """An endpoint as an ASGI application.

    Starlette would wrap it in two layers that answer errors, which the gate does.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def create_app(
    service: Service, fleet: Fleet, keys: KeyFile | None, admin_keys: KeyFile | None
) -> ASGIApp:
    """The ASGI application of a service.

    Args:
        service: the models of this process.
        fleet: all processes together.
        keys: the callers' keys; None lets everybody in.
        admin_keys: the administrators'; None closes the administration.
    """
    # Not a whole `Starlette`: that answers errors itself, before the gate can.
    app: ASGIApp = Gate(
        Router(_routes(service, fleet), redirect_slashes=False),
        service.metrics,
        keys,
        admin_keys,
        service.settings.log_texts,
        service.settings.limits.requests,
        span_maker(),
    )
    if service.settings.cors:
        app = CORSMiddleware(
            app,
            allow_origins=list(service.settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=[*_HEADERS, service.settings.user_header],
            expose_headers=["retry-after", "x-model-version", "x-request-id", TENSORS_HEADER],
        )
    return app


def _routes(service: Service, fleet: Fleet) -> list[Route]:
    """What is at which address; the most asked for first, as they are looked through in turn."""
    answerer = Answerer(service)
    own, paddlehub = OwnProtocol(answerer), PaddleHubProtocol(answerer)
    v2, admin = OpenInferenceProtocol(answerer), Admin(service, fleet)
    pages = Pages(describe(service.settings.limits), service)

    async def health(_: Request) -> Response:
        return Json({"status": "ok"})

    async def ready(_: Request) -> Response:
        reason = service.not_ready()
        body = {"status": "ready" if reason is None else reason}
        return Json(body, 200 if reason is None else 503)

    async def metrics(_: Request) -> Response:
        return Response(await fleet.metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    def post(path: str, endpoint: Endpoint) -> Route:
        return Route(path, Answering(endpoint), methods=["POST"])

    def get(path: str, endpoint: Endpoint) -> Route:
        return Route(path, Answering(endpoint), methods=["GET"])

    v2_model = "/v2/models/{name}"
    v2_version = "/v2/models/{name}/versions/{version}"
    return [
        post("/v1/models/{name}:predict", own.predict),
        post("/predict/{name}", paddlehub.predict),
        post(f"{v2_model}/infer", v2.infer),
        post(f"{v2_version}/infer", v2.infer),
        post("/v1/models/{name}:batch", own.batch),
        get("/healthz", health),
        get("/livez", health),
        get("/readyz", ready),
        get("/metrics", metrics),
        get("/v1/models", own.models),
        get("/v1/models/{name:model}", own.model),
        get("/v2", v2.server),
        get("/v2/health/live", v2.live),
        get("/v2/health/ready", v2.ready),
        get(v2_model, v2.model),
        get(f"{v2_model}/ready", v2.model_ready),
        get(v2_version, v2.model),
        get(f"{v2_version}/ready", v2.model_ready),
        get("/", pages.demo),
        get("/docs", pages.docs),
        get("/openapi.json", pages.openapi),
        get("/favicon.ico", pages.icon),
        get("/admin/models", admin.status),
        post("/admin/models/{name}/versions", admin.deploy),
        Route(
            "/admin/models/{name}/versions/{version}", Answering(admin.unload), methods=["DELETE"]
        ),
        Route("/admin/models/{name}/traffic", Answering(admin.traffic), methods=["PUT"]),
        post("/admin/models/{name}/rollback", admin.rollback),
        post("/admin/reload", admin.reload),
    ]
