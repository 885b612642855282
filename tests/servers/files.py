"""A file server with every fault a server can have.

Without faults it follows RFC 9110: strong entity tags, single ranges, `If-Range`. A path's faults
are used up one request each; after the last the server is itself again.
"""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import hashlib
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answered instead of the file, with `headers`.
        headers: added to the answer, or put in place of its own.
        without: headers left out.
        cut_after: the connection is reset after so many bytes of the body.
        close_after: the connection is closed in order after so many bytes of the body.
        ignore_range: the whole file is sent whatever was asked for.
        content_range: stands in the header instead of the true one.
        shift: a range starts so many bytes off, though the header is right.
        chunked: sent in chunks, without a length.
        compressed: sent with gzip, though it was not asked for.
        extra: appended to the body; the length says so.
        flip: the bit of this byte is flipped.
        content: sent instead of the file's content, with its own entity tag.
        stall_s: waits before the body.
        bytes_per_second: the body's speed.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    cut_after: int | None = None
    close_after: int | None = None
    ignore_range: bool = False
    content_range: str | None = None
    shift: int = 0
    chunked: bool = False
    compressed: bool = False
    extra: bytes = b""
    flip: int | None = None
    content: bytes | None = None
    stall_s: float = 0.0
    bytes_per_second: float | None = None


@dataclass
class Request:
    """A request as it came, and what was sent for it."""

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0
    status: int = 0


class FileServer:
    """Serves bytes, files and folders on a free port of 127.0.0.1.

    Args:
        files: path (without the first slash) -> content.
        folder: a folder served besides; `PUT` writes into it.
        token: asked for as a bearer token, if given.
        tls: (certificate, key) files, for https.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | Path] | None = None,
        folder: Path | None = None,
        token: str | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.files: dict[str, bytes | Path] = dict(files or {})
        self.folder = folder
        self.token = token
        self.requests: list[Request] = []
        self._faults: dict[str, list[Fault]] = {}
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        self.stopping = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

        class Quiet(ThreadingHTTPServer):
            daemon_threads = False  # so that closing the server waits for them
            request_queue_size = 64

            def get_request(self) -> Any:
                accepted = super().get_request()
                server._connections.add(accepted[0])
                return accepted

            def shutdown_request(self, request: Any) -> None:
                server._connections.discard(request)
                super().shutdown_request(request)

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Broken connections are what this server is for."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        scheme = "http"
        if tls is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        for connection in list(self._connections):  # clients may keep theirs open
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    def fail(self, path: str, *faults: Fault) -> None:
        """Let the next requests for `path` (or any, for "*") go wrong, one fault each."""
        with self._lock:
            self._faults.setdefault(path, []).extend(faults)

    def sent(self, path: str | None = None) -> int:
        """Bytes of bodies that left, for a path or altogether."""
        return sum(r.sent for r in self.requests if path in (None, r.path.lstrip("/")))

    # --- for the handler -------------------------------------------------------------------------

    def take_fault(self, path: str) -> Fault:
        """The fault of this request."""
        with self._lock:
            for key in (path, "*"):
                if self._faults.get(key):
                    return self._faults[key].pop(0)
        return Fault()

    def find(self, path: str, query: str) -> bytes | Path | None:
        """The content behind a path; servers with another interface override it."""
        if path in self.files:
            return self.files[path]
        if self.folder is not None:
            place = (self.folder / path).resolve()
            if place.is_file() and place.is_relative_to(self.folder.resolve()):
                return place
        return None

    def answer(self, request: Request, handler: Any) -> bool:
        """Answer in another way than with a file; whether it was done. For servers with routes."""
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FileServer

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what was asked is in `FileServer.requests`."""

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        request = self._note()
        if "content-length" not in self.headers:
            self.close_connection = True
            self.reply(request, 411)
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        path = request.path.lstrip("/")
        fault = self.owner.take_fault(path)
        if self._is_refused(request, fault):
            return
        if self.owner.folder is None:
            self.reply(request, 405)
            return
        target = self.owner.folder / path
        if self.headers.get("if-none-match") == "*" and target.exists():
            self.reply(request, 412)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        self.reply(request, 201)

    def _note(self) -> Request:
        path = unquote(urlsplit(self.path).path)
        request = Request(self.command, path, {k.lower(): v for k, v in self.headers.items()})
        self.owner.requests.append(request)
        return request

    def _is_refused(self, request: Request, fault: Fault) -> bool:
        if fault.status is not None:
            self.reply(request, fault.status, fault.headers)
            return True
        token = self.owner.token
        if token is not None and request.headers.get("authorization") != f"Bearer {token}":
            self.reply(request, 401)
            return True
        return False

    def reply(
        self,
        request: Request,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """A short answer."""
        request.status = status
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            request.sent += len(body)

    def _handle(self) -> None:
        request = self._note()
        path = request.path.lstrip("/")
        fault = self.owner.take_fault(path)
        if self._is_refused(request, fault):
            return
        if self.owner.answer(request, self):
            return
        found = self.owner.find(path, urlsplit(self.path).query)
        if found is None:
            self.reply(request, 404)
        elif fault.content is not None:
            self._send(request, fault.content, fault)
        elif isinstance(found, bytes):
            self._send(request, found, fault)
        elif fault == Fault():
            self._send_file(request, found)
        else:
            self._send(request, found.read_bytes(), fault, _file_tag(found))

    def _send_file(self, request: Request, path: Path) -> None:
        """Straight from the disk, at full speed."""
        size, tag = path.stat().st_size, _file_tag(path)
        wanted = self._range(request, size, tag)
        if wanted == "unsatisfiable":
            self.reply(request, 416, {"Content-Range": f"bytes */{size}"})
            return
        start, end = wanted if isinstance(wanted, tuple) else (0, size)
        request.status = 206 if isinstance(wanted, tuple) else 200
        self.send_response(request.status)
        for name, value in _headers(tag).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(end - start))
        if isinstance(wanted, tuple):
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD" or start == end:
            return
        with path.open("rb") as file:
            try:
                # Over TLS it sends block by block.
                self.connection.sendfile(file, start, end - start)
            finally:
                request.sent += file.tell() - start  # also when the client went away

    def _send(self, request: Request, content: bytes, fault: Fault, tag: str | None = None) -> None:
        tag = tag or f'"{hashlib.md5(content).hexdigest()}"'
        headers = _headers(tag)
        status, start, end = 200, 0, len(content)
        wanted = None if fault.ignore_range else self._range(request, len(content), tag)
        if wanted == "unsatisfiable":
            self.reply(request, 416, {"Content-Range": f"bytes */{len(content)}"})
            return
        if isinstance(wanted, tuple):
            status, (start, end) = 206, wanted
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            if fault.content_range is not None:
                headers["Content-Range"] = fault.content_range
        start = max(0, start + fault.shift) if status == 206 else start
        body = content[start:end] + fault.extra
        if fault.flip is not None and start <= fault.flip < end:
            place = fault.flip - start
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        if fault.compressed:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
            del headers["Content-Length"]
        headers.update(fault.headers)
        request.status = status
        self.send_response(status)
        for name, value in headers.items():
            if name not in fault.without:
                self.send_header(name, value)
        if "Content-Length" in fault.without:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(request, body, fault)

    def _range(self, request: Request, size: int, tag: str) -> tuple[int, int] | str | None:
        value = request.headers.get("range")
        if value is None or request.headers.get("if-range", tag) != tag:
            return None
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", value)
        if found is None or found[0] == "bytes=-":
            return None
        if not found[1]:
            return max(0, size - int(found[2])), size
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        return (start, end) if start < size else "unsatisfiable"

    def _send_body(self, request: Request, body: bytes, fault: Fault) -> None:
        self.wfile.flush()
        self.owner.stopping.wait(fault.stall_s)
        limit = len(body)
        for bound in (fault.cut_after, fault.close_after):
            limit = min(limit, bound) if bound is not None else limit
        piece = 65536
        if fault.bytes_per_second is not None:
            piece = max(1, int(fault.bytes_per_second / 50))
        for place in range(0, limit, piece):
            block = body[place : min(place + piece, limit)]
            if fault.chunked:
                self.wfile.write(b"%x\r\n" % len(block) + block + b"\r\n")
            else:
                self.wfile.write(block)
            request.sent += len(block)
            if fault.bytes_per_second is not None:
                time.sleep(len(block) / fault.bytes_per_second)
        if fault.cut_after is not None:
            # A reset instead of an orderly end: the client may lose what it had not read.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._end()
        elif fault.close_after is not None:
            self._end()
        elif fault.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _end(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        if self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            time.sleep(0.05)  # let the client read what was sent
        with contextlib.suppress(OSError):
            self.connection.close()


def _file_tag(path: Path) -> str:
    about = path.stat()
    return f'"{about.st_size:x}-{about.st_mtime_ns:x}"'


def _headers(tag: str) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "ETag": tag,
        "Last-Modified": email.utils.formatdate(0, usegmt=True),
        "Accept-Ranges": "bytes",
    }


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def random_bytes(size: int, seed: int = 0) -> bytes:
    """The same bytes each time, which no compression makes smaller."""
    import random

    return random.Random(seed).randbytes(size)


def open_files() -> int:
    """The number of files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))
