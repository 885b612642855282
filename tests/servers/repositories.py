"""What servers of model repositories share: a file's hashes, its bytes, and a second host."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.servers.files import Fault, FileServer, Request

Content = bytes | Path
# What these sites keep in Git LFS: weights and other binary files.
LFS_SUFFIXES = (".safetensors", ".bin", ".pdparams", ".h5", ".onnx", ".model")


@dataclass(frozen=True)
class FileFacts:
    """What a repository tells of a file."""

    size: int
    sha256: str
    git_sha1: str
    is_lfs: bool
    pointer_size: int


def facts_of(name: str, content: Content) -> FileFacts:
    """Size and hashes as Git and Git LFS compute them."""
    size, sha256, sha1 = _hashes(*_identity(content))
    if not name.endswith(LFS_SUFFIXES):
        return FileFacts(size, sha256, sha1, False, 0)
    # Of an LFS file Git itself holds this text, and hashes it.
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    blob = f"blob {len(pointer)}\0{pointer}".encode()
    return FileFacts(size, sha256, hashlib.sha1(blob).hexdigest(), True, len(pointer))


def read(content: Content) -> bytes:
    """The bytes themselves."""
    return content if isinstance(content, bytes) else content.read_bytes()


def commit_of(files: Mapping[str, Content]) -> str:
    """A commit's name: another one as soon as a file is another."""
    lines = [f"{name} {facts_of(name, content).sha256}" for name, content in sorted(files.items())]
    return hashlib.sha1("\n".join(lines).encode()).hexdigest()


def _identity(content: Content) -> tuple[Content, int]:
    return content, 0 if isinstance(content, bytes) else content.stat().st_mtime_ns


@functools.lru_cache(maxsize=256)
def _hashes(content: Content, changed: int) -> tuple[int, str, str]:
    data = read(content)
    sha1 = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return len(data), hashlib.sha256(data).hexdigest(), sha1


class RepositoryServer(FileServer):
    """A server with routes, in front of a second one, on another port, that holds large files.

    Args:
        repositories: `organisation/name` -> path in the repository -> content. May be changed while
            the server runs.
        token: the one token that is known.
        private: repositories that only this token sees.

    Attributes:
        cdn: the second server. Its `requests` tell which headers reached it.
    """

    def __init__(
        self,
        repositories: Mapping[str, Mapping[str, Content]],
        token: str | None = None,
        private: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.repositories = {name: dict(files) for name, files in repositories.items()}
        self.known_token = token
        self.private = private
        self.cdn = _Cdn(self)
        # `answer` is called in the same thread, right after the request's fault was taken.
        self._current = threading.local()

    def __enter__(self) -> RepositoryServer:
        self.cdn.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        super().__exit__()
        self.cdn.__exit__()

    def take_fault(self, path: str) -> Fault:
        """The fault of this request."""
        self._current.fault = super().take_fault(path)
        return self._current.fault

    def cdn_url(self, facts: FileFacts) -> str:
        """A file's address on the second server, signed as those of object stores are.

        Its host has another name, too: to some clients another port alone is the same host.
        """
        address = self.cdn.url.replace("127.0.0.1", "localhost")
        return f"{address}/lfs/{facts.sha256}?X-Amz-Signature=not-for-messages"

    def send_content(
        self,
        request: Request,
        handler: Any,
        content: Content,
        headers: Mapping[str, str],
        range_status: int = 206,
    ) -> None:
        """Answer with a file, `headers` in place of its own, after the request's fault.

        Args:
            range_status: the status of an answer with a part of the file.
        """
        fault = self._current.fault
        data = fault.content if fault.content is not None else read(content)
        # If it holds, `_send` is not to compare it: the tag that it knows is another.
        held = None
        if request.headers.get("if-range") == headers["ETag"]:
            held = request.headers.pop("if-range")
        send_response = handler.send_response

        def send_status(status: int) -> None:
            if held is not None:
                request.headers["if-range"] = held
            request.status = range_status if status == 206 else status
            send_response(request.status)

        handler.send_response = send_status
        try:
            handler._send(request, data, replace(fault, headers={**headers, **fault.headers}))
        finally:
            del handler.send_response


class _Cdn(FileServer):
    """Serves what the repositories keep in Git LFS, by its hash."""

    def __init__(self, owner: RepositoryServer) -> None:
        super().__init__()
        self._owner = owner

    def find(self, path: str, query: str) -> Content | None:
        for files in self._owner.repositories.values():
            for name, content in files.items():
                if path == f"lfs/{facts_of(name, content).sha256}":
                    return content
        return None
