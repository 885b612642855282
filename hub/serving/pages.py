"""The pages for people: `/` to try the models at, `/docs` to read. Neither needs the internet."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hub.errors import RequestError
from hub.serving.answering import Json
from hub.serving.service import Service

_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>"
    "<rect width='32' height='32' rx='7' fill='#1f5fbf'/>"
    "<path d='M9 7v18M23 7v18M9 16h14' stroke='#fff' stroke-width='4'/></svg>"
)
# A host, or an IPv6 address in brackets, and a port: what a command can hold as it is.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Examples:
    """What the commands on the page are about.

    Attributes:
        address: where the service is, without a path.
        name: a model's name.
        version: one of its versions.
        needs_key: whether the API asks for a key.
    """

    address: str
    name: str = "NAME"
    version: str = "VERSION"
    needs_key: bool = False


class Pages:
    """What a browser is given.

    Args:
        description: the OpenAPI description.
        service: what is served.
    """

    def __init__(self, description: dict[str, Any], service: Service) -> None:
        self._description, self._service = description, service
        page = (files("hub.serving") / "page.html").read_text(encoding="utf-8")
        self._demo = _page(page) if service.settings.page else None

    async def demo(self, request: Request) -> Response:
        """The page to try the models at."""
        if self._demo is None:
            raise RequestError(404, "not_found", "This service has no page; see /docs.")
        return HTMLResponse(self._demo[0], headers=self._demo[1])

    async def docs(self, request: Request) -> Response:
        """The description for people."""
        text, headers = _page(docs_of(self._description, self._examples(request)))
        return HTMLResponse(text, headers=headers)

    async def openapi(self, request: Request) -> Response:
        """The description for programs."""
        return Json(self._description)

    async def icon(self, request: Request) -> Response:
        """The browser's icon."""
        return Response(_ICON, media_type="image/svg+xml")

    def _examples(self, request: Request) -> Examples:
        """Of whom is reading: the address that the reader used, and a model that is served.

        The page is open to everybody: where callers need a key, it names no model.
        """
        settings = self._service.settings
        address = _address_of(request) or settings.address
        if settings.api_keys is not None:
            return Examples(address, needs_key=True)
        served = next(iter(self._service.models.values()), None)
        if served is None:  # it is still loading
            return Examples(address)
        return Examples(address, served.plan.name, served.traffic.versions[0])


def _address_of(request: Request) -> str | None:
    """The address by which the reader came here, if it can stand in a command.

    A gateway that ends TLS says what it was before. It may say anything: only these commands, shown
    to who sent the request, hang on it.
    """
    headers = request.headers
    # Of several gateways the first one met the reader.
    scheme, host = (
        headers.get(f"x-forwarded-{name}", "").partition(",")[0].strip()
        for name in ("proto", "host")
    )
    if scheme.lower() not in ("http", "https"):
        scheme = request.url.scheme
    if not _HOST.fullmatch(host):
        host = headers.get("host", "")
    return f"{scheme.lower()}://{host}" if _HOST.fullmatch(host) else None


def _page(text: str) -> tuple[str, dict[str, str]]:
    """A page, and a policy by which only its own script and style run."""
    scripts = [_hash(code) for code in re.findall(r"<script>(.*?)</script>", text, re.DOTALL)]
    styles = [_hash(code) for code in re.findall(r"<style>(.*?)</style>", text, re.DOTALL)]
    policy = (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
        f"script-src {' '.join(scripts) or _NONE}; style-src {' '.join(styles) or _NONE}; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return text, {"content-security-policy": policy}


_NONE = "'none'"


def _hash(code: str) -> str:
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"'sha256-{digest}'"


_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font:14px/1.5 ui-monospace,Menlo,Consolas,monospace}
pre{background:color-mix(in srgb,currentColor 8%,transparent);padding:.75rem;overflow:auto;
border-radius:.4rem}
article{border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.5rem;
padding:.5rem 1rem;margin:1rem 0}
h3{margin:.3rem 0;overflow-wrap:anywhere}
.method{display:inline-block;min-width:4.5rem;font-weight:700;color:#1f5fbf}
@media(prefers-color-scheme:dark){.method{color:#8ab4f8}}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;
border-top:1px solid color-mix(in srgb,currentColor 20%,transparent);vertical-align:top}
"""


def docs_of(description: dict[str, Any], examples: Examples) -> str:
    """An OpenAPI description as a page without any script."""
    info = description["info"]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{_text(info['title'])} API</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{_text(info['title'])} {_text(info['version'])}</h1>",
        f"<p>{_text(info['description'])}</p>",
        "<p><a href='/'>Try it</a> · <a href='/openapi.json'>openapi.json</a></p>",
    ]
    for tag in description["tags"]:
        parts.append(f"<h2>{_text(tag['name'])}</h2><p>{_text(tag['description'])}</p>")
        for path, methods in description["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts.append(_operation(description, path, method, operation, examples))
    parts.append("</main></body></html>")
    return "".join(parts)


def _operation(
    description: dict[str, Any], path: str, method: str, operation: Any, examples: Examples
) -> str:
    parts = [
        f"<article><h3><span class=method>{method.upper()}</span> <code>{_text(path)}</code></h3>",
        f"<p>{_text(operation['summary'])}.</p>",
    ]
    body = operation.get("requestBody")
    if body is not None:
        content = next(iter(body["content"].values()))
        schema = _resolve(description, content["schema"])
        if "description" in schema:
            parts.append(f"<p>{_text(schema['description'])}</p>")
        parts.append(_fields(schema))
        headers = ["Content-Type: application/json"]
        if examples.needs_key or operation.get("security") == [{"bearer": []}]:
            headers.append("Authorization: Bearer YOUR_KEY")
        example = json.dumps(content["example"], ensure_ascii=False)
        address = examples.address + path.format(
            name=quote(examples.name), version=quote(examples.version)
        )
        parts.append(f"<pre>{_text(curl(method, address, headers, example))}</pre>")
    answer = operation["responses"]["200"]
    parts.append(f"<p>200: {_text(answer['description'])}</p></article>")
    return "".join(parts)


def curl(method: str, address: str, headers: list[str], body: str) -> str:
    """The command that sends a request."""
    lines = [f"curl -X {method.upper()} {shlex.quote(address)}"]
    lines += [f"  -H {shlex.quote(header)}" for header in headers]
    return " \\\n".join([*lines, f"  -d {shlex.quote(body)}"])


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        f"<tr><td><code>{_text(name)}</code>{' (required)' if name in required else ''}</td>"
        f"<td>{_text(_kind(field))}</td><td>{_text(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    ]
    if not rows:
        return ""
    return f"<table><tr><th>field<th>type<th>meaning</tr>{''.join(rows)}</table>"


def _kind(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(part) for part in field["anyOf"]))
    kind = field.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _resolve(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = description["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _text(value: str) -> str:
    return html.escape(value)
