"""`/admin`: new versions, traffic, rollback. The gate has seen to the token."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hub.errors import InputError, RequestError
from hub.serving.answering import Json
from hub.serving.fleet import Fleet
from hub.serving.gate import record_of
from hub.serving.logs import event
from hub.serving.requests import check_fields, check_number, check_string, read_object
from hub.serving.service import Service
from hub.serving.settings import check_model_name, check_version_name


class Admin:
    """The administration.

    Args:
        service: the models of this process.
        fleet: all processes, which change together.
    """

    def __init__(self, service: Service, fleet: Fleet) -> None:
        self._service, self._fleet = service, fleet

    async def status(self, request: Request) -> Response:
        """The models, and why a new version of one was refused."""
        models = self._service.status()
        refusals = await self._fleet.refusals()
        for model in models:
            model["refused"] = refusals.get(model["name"])
        return Json({"models": models})

    async def deploy(self, request: Request) -> Response:
        """Load a version and let it answer all requests, some of them, or none that is seen."""
        body = await self._body(request, ("source", "version", "percent", "shadow", "force"))
        change: dict[str, Any] = {"source": check_string(body.get("source"), "source", 4000)}
        if body.get("version") is not None:
            change["version"] = _named(check_version_name, body["version"])
        if body.get("percent") is not None:
            change["percent"] = check_number(body["percent"], "percent", 0, 100)
        for name in ("shadow", "force"):
            if not isinstance(body.get(name, False), bool):
                raise RequestError(422, "bad_field", f"{name!r} must be true or false.")
            change[name] = body.get(name, False)
        if change["shadow"] and "percent" in change:
            raise RequestError(422, "bad_field", "A shadow takes no percentage.")
        return await self._change(request, "deploy", change)

    async def unload(self, request: Request) -> Response:
        """Unload a version that answers nobody."""
        return await self._change(request, "unload", {"version": request.path_params["version"]})

    async def traffic(self, request: Request) -> Response:
        """Share the requests out otherwise among the versions that are loaded."""
        body = await self._body(request, ("weights", "shadow"))
        weights = body.get("weights")
        if not isinstance(weights, dict) or not 0 < len(weights) <= 20:
            raise RequestError(422, "bad_field", "'weights' must be an object: version -> weight.")
        change: dict[str, Any] = {
            "weights": {
                _named(check_version_name, name): check_number(weight, "weights", 0, 1e6)
                for name, weight in weights.items()
            }
        }
        if body.get("shadow") is not None:
            change["shadow"] = _named(check_version_name, body["shadow"])
        return await self._change(request, "traffic", change)

    async def rollback(self, request: Request) -> Response:
        """Go back to what was before the last change."""
        return await self._change(request, "rollback", {})

    async def reload(self, request: Request) -> Response:
        """Look at every source again, as on SIGHUP."""
        event("admin", do="reload", caller=record_of(request.scope).caller)
        return Json(await asyncio.shield(self._fleet.change({"do": "reload"})))

    async def _body(self, request: Request, fields: tuple[str, ...]) -> dict[str, Any]:
        body = await read_object(request, self._service.settings.limits)
        check_fields(body, fields)
        return body

    async def _change(self, request: Request, do: str, change: dict[str, Any]) -> Response:
        name = _named(check_model_name, request.path_params["name"])
        known = self._service.models
        if name not in known:
            # Another spelling of a known name is that name.
            try:
                name = self._service.find(name).plan.name
            except RequestError:
                if do != "deploy":
                    raise
        event("admin", do=do, model=name, caller=record_of(request.scope).caller)
        # An administrator who hangs up does not stop a change half way.
        done = await asyncio.shield(self._fleet.change({**change, "do": do, "model": name}))
        model = next(m for m in self._service.status() if m["name"] == name)
        return Json({**done, **model})


def _named(check: Any, value: Any) -> str:
    try:
        return str(check(value))
    except (InputError, TypeError):
        raise RequestError(
            422, "bad_name", "A name or a version has characters it may not have."
        ) from None
