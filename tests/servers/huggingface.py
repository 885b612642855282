"""The Hugging Face Hub's read-only routes, as `huggingface_hub` 0.30 to 2.4 asks for them.

`GET /api/models/{id}[/revision/{revision}][?blobs=true]`
    the model with its files; `blobs` adds sizes and hashes.
`GET /api/models/{id}/tree/{revision}[/{folder}][?recursive=true]`
    the entries of a folder.
`HEAD|GET /{id}/resolve/{revision}/{path}`
    a file. What is in Git LFS is redirected to a second host, with its hash and size in
    `X-Linked-Etag` and `X-Linked-Size`.

Refusals carry the `X-Error-Code` by which the client chooses its exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.servers.files import Fault, Request
from tests.servers.repositories import Content, RepositoryServer, commit_of, facts_of


class HuggingFaceServer(RepositoryServer):
    """A Hub on 127.0.0.1: `HfApi(endpoint=server.url)`, or `HF_ENDPOINT`.

    Args:
        repositories: `organisation/name` -> path in the repository -> content.
        token: the one token that is known; any other is refused.
        private: repositories that only this token sees.
        gated: repositories whose files need a token that was granted access.
        granted: those of them that the token may read.
    """

    def __init__(
        self,
        repositories: Mapping[str, Mapping[str, Content]],
        token: str | None = None,
        private: tuple[str, ...] = (),
        gated: tuple[str, ...] = (),
        granted: tuple[str, ...] = (),
    ) -> None:
        super().__init__(repositories, token, private)
        self.gated = gated
        self.granted = granted
        self.branches = {"main"}

    def __enter__(self) -> HuggingFaceServer:
        super().__enter__()
        return self

    def commit(self, repository: str) -> str:
        """The commit that the branches of a repository are at."""
        return commit_of(self.repositories[repository])

    def fail_file(self, repository: str, name: str, *faults: Fault) -> None:
        """Let the next requests for a file's bytes go wrong, at whatever host they are."""
        facts = facts_of(name, self.repositories[repository][name])
        if facts.is_lfs:
            self.cdn.fail(f"lfs/{facts.sha256}", *faults)
        else:
            self.fail(f"{repository}/resolve/*/{name}", *faults)

    def take_fault(self, path: str) -> Fault:
        """The fault of this request; those of `fail_file` are for any revision."""
        fault = super().take_fault(path)
        parts = path.split("/")
        if fault == Fault() and parts[2:3] == ["resolve"]:
            fault = super().take_fault("/".join([*parts[:3], "*", *parts[4:]]))
        return fault

    def answer(self, request: Request, handler: Any) -> bool:
        """Answer one of the routes."""
        # A branch's slashes are escaped, so that the path must be taken apart before it is decoded.
        address = urlsplit(handler.path)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        options = {key: values[0].lower() for key, values in parse_qs(address.query).items()}
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            repository, route = "/".join(parts[2:4]), parts[4:]
        elif len(parts) > 4 and parts[2] == "resolve":
            repository, route = "/".join(parts[:2]), parts[2:]
        else:
            _refuse(request, handler, 404, "", "Sorry, we can't find the page you are looking for.")
            return True
        if self._is_forbidden(request, handler, repository, files=route[:1] == ["resolve"]):
            return True
        revision = route[1] if len(route) > 1 else "main"
        if revision not in {*self.branches, self.commit(repository)}:
            message = f"Invalid rev id: {revision}"
            _refuse(request, handler, 404, "RevisionNotFound", message)
        elif route[:1] == ["resolve"]:
            self._resolve(request, handler, repository, "/".join(route[2:]))
        elif route[:1] == ["tree"]:
            folder = "/".join(route[2:])
            _reply(request, handler, self._tree(repository, folder, options.get("recursive")))
        else:
            _reply(request, handler, self._model(repository, options.get("blobs") == "true"))
        return True

    def _is_forbidden(self, request: Request, handler: Any, repository: str, files: bool) -> bool:
        given = request.headers.get("authorization")
        known = given is not None and given == f"Bearer {self.known_token}"
        if given is not None and not known:
            _refuse(request, handler, 401, "", "Invalid credentials in Authorization header")
        elif not known and (repository not in self.repositories or repository in self.private):
            # Who is nobody does not learn whether it exists.
            _refuse(request, handler, 401, "", "Invalid username or password.")
        elif repository not in self.repositories:
            _refuse(request, handler, 404, "RepoNotFound", "Repository not found")
        elif files and repository in self.gated and not known:
            message = f"Access to model {repository} is restricted. You must be authenticated."
            _refuse(request, handler, 401, "GatedRepo", message)
        elif files and repository in self.gated and repository not in self.granted:
            message = f"Access to model {repository} is restricted and you are not in the list."
            _refuse(request, handler, 403, "GatedRepo", message)
        else:
            return False
        return True

    def _model(self, repository: str, blobs: bool) -> dict[str, Any]:
        siblings = []
        for name, content in sorted(self.repositories[repository].items()):
            entry: dict[str, Any] = {"rfilename": name}
            if blobs:
                facts = facts_of(name, content)
                entry |= {"size": facts.size, "blobId": facts.git_sha1}
                if facts.is_lfs:
                    entry["lfs"] = {
                        "sha256": facts.sha256,
                        "size": facts.size,
                        "pointerSize": facts.pointer_size,
                    }
            siblings.append(entry)
        return {
            "_id": "0" * 24,
            "id": repository,
            "modelId": repository,
            "author": repository.split("/")[0],
            "sha": self.commit(repository),
            "lastModified": "2026-01-02T03:04:05.000Z",
            "createdAt": "2025-01-02T03:04:05.000Z",
            "private": repository in self.private,
            "gated": "manual" if repository in self.gated else False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
        }

    def _tree(self, repository: str, folder: str, recursive: str | None) -> list[dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = {}
        prefix = f"{folder}/" if folder else ""
        for path, content in sorted(self.repositories[repository].items()):
            if not path.startswith(prefix):
                continue
            below = path[len(prefix) :].split("/")
            depth = len(below) if recursive == "true" else 1
            for end in range(1, min(depth, len(below) - 1) + 1):
                name = prefix + "/".join(below[:end])
                entries[name] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
            if depth == len(below):
                facts = facts_of(path, content)
                entry = {"type": "file", "oid": facts.git_sha1, "size": facts.size, "path": path}
                if facts.is_lfs:
                    entry["lfs"] = {
                        "oid": facts.sha256,
                        "size": facts.size,
                        "pointerSize": facts.pointer_size,
                    }
                entries[path] = entry
        return list(entries.values())

    def _resolve(self, request: Request, handler: Any, repository: str, name: str) -> None:
        commit = {"X-Repo-Commit": self.commit(repository)}
        content = self.repositories[repository].get(name)
        if content is None:
            _refuse(request, handler, 404, "EntryNotFound", "Entry not found", commit)
            return
        facts = facts_of(name, content)
        if not facts.is_lfs:
            headers = {**commit, "ETag": f'"{facts.git_sha1}"'}
            self.send_content(request, handler, content, headers)
            return
        headers = {
            **commit,
            "Location": self.cdn_url(facts),
            "X-Linked-Etag": f'"{facts.sha256}"',
            "X-Linked-Size": str(facts.size),
        }
        handler.reply(request, 302, headers, b"Found. Redirecting")


def _reply(request: Request, handler: Any, answer: object) -> None:
    body = json.dumps(answer).encode()
    handler.reply(request, 200, {"Content-Type": "application/json; charset=utf-8"}, body)


def _refuse(
    request: Request,
    handler: Any,
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    all_headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    if code:
        all_headers["X-Error-Code"] = code
    all_headers["X-Error-Message"] = quote(message, safe=" ,.:/'")
    handler.reply(request, status, all_headers, json.dumps({"error": message}).encode())
