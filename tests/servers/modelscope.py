"""ModelScope's read-only routes, as its client asks for them.

The routes, parameters and fields are those of the packages `modelscope_hub` (`_legacy_api.py`,
`_download.py`, of July 2026) and, before it, `modelscope` (`hub/file_download.py`):

`GET /api/v1/models/{id}/repo/files?Revision=&Recursive=True[&Root=]`
    the files, with size and SHA-256 of each, folders among them.
`HEAD|GET /api/v1/models/{id}/repo?Revision=&FilePath=`
    a file. The site answers a range with the status 200, not 206, though it sends the right part
    and the right `Content-Range`.
`GET /api/v1/models/{id}/revisions`
    branches and tags.

A token is sent as the cookie `m_session_id`, as a bearer token, or both. What may not be seen or is
not there is answered with 404; the `Code` in the answer tells which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.files import Fault, Request
from tests.servers.repositories import Content, RepositoryServer, commit_of, facts_of

NOT_FOUND = 10010205001
NO_ACCESS = 10010200001
NO_REVISION = 10990101004


class ModelScopeServer(RepositoryServer):
    """A ModelScope on 127.0.0.1, for `MODELSCOPE_ENDPOINT`.

    Args:
        repositories: `organisation/name` -> path in the repository -> content.
        token: the one token that is known.
        private: repositories that only this token sees.
        range_status: of an answer with a part of a file; 200 on the real site.
        redirect: whether large files are redirected to a second host, as inside Alibaba's cloud.
    """

    def __init__(
        self,
        repositories: Mapping[str, Mapping[str, Content]],
        token: str | None = None,
        private: tuple[str, ...] = (),
        range_status: int = 200,
        redirect: bool = False,
    ) -> None:
        super().__init__(repositories, token, private)
        self.range_status = range_status
        self.redirect = redirect
        self.branches = {"master"}
        self._file_faults: dict[tuple[str, str], list[Fault]] = {}

    def __enter__(self) -> ModelScopeServer:
        super().__enter__()
        return self

    def fail_file(self, repository: str, name: str, *faults: Fault) -> None:
        """Let the next requests for a file's bytes go wrong, at whatever host they are."""
        facts = facts_of(name, self.repositories[repository][name])
        if self.redirect and facts.is_lfs:
            self.cdn.fail(f"lfs/{facts.sha256}", *faults)
        else:
            self._file_faults.setdefault((repository, name), []).extend(faults)

    def answer(self, request: Request, handler: Any) -> bool:
        """Answer one of the routes."""
        address = urlsplit(handler.path)
        options = {key: values[0] for key, values in parse_qs(address.query).items()}
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        repository, route = "/".join(parts[3:5]), parts[5:]
        files = self.repositories.get(repository)
        revision = options.get("Revision") or "master"
        if parts[:3] != ["api", "v1", "models"] or files is None:
            _refuse(request, handler, NOT_FOUND, "获取模型信息失败，信息：record not found")
        elif repository in self.private and not self._is_known(request):
            _refuse(request, handler, NO_ACCESS, "没有权限访问该模型")
        elif route == ["revisions"]:
            branches = [{"Revision": name, "CreatedAt": 1767323045} for name in self.branches]
            _reply(request, handler, {"RevisionMap": {"Branches": branches, "Tags": []}})
        elif revision not in {*self.branches, commit_of(files)}:
            _refuse(request, handler, NO_REVISION, "获取模型目录树失败，信息：no such revision")
        elif route == ["repo", "files"]:
            recursive = options.get("Recursive", "").lower() == "true"
            entries = _entries(files, options.get("Root", "").strip("/"), recursive)
            _reply(request, handler, {"Files": entries})
        elif route == ["repo"] and options.get("FilePath") in files:
            self._send_file(request, handler, repository, options["FilePath"])
        else:
            # The site's own code for this is not known; its client looks at the status alone.
            _refuse(request, handler, NOT_FOUND, "获取文件失败，信息：record not found")
        return True

    def _is_known(self, request: Request) -> bool:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get("m_session_id")
        given = (request.headers.get("authorization", ""), cookie.value if cookie else None)
        return f"Bearer {self.known_token}" == given[0] or self.known_token == given[1]

    def _send_file(self, request: Request, handler: Any, repository: str, name: str) -> None:
        content = self.repositories[repository][name]
        facts = facts_of(name, content)
        if self.redirect and facts.is_lfs:
            handler.reply(request, 302, {"Location": self.cdn_url(facts)})
            return
        # All files of a repository have one path: its faults are told apart by the query.
        if waiting := self._file_faults.get((repository, name)):
            self._current.fault = waiting.pop(0)
            if self._current.fault.status is not None:
                handler.reply(request, self._current.fault.status, self._current.fault.headers)
                return
        headers = {"ETag": f'"{facts.sha256}"'}
        self.send_content(request, handler, content, headers, self.range_status)


def _entries(files: Mapping[str, Content], root: str, recursive: bool) -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    commit = commit_of(files)
    prefix = f"{root}/" if root else ""
    for path, content in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        below = path[len(prefix) :].split("/")
        depth = len(below) if recursive else 1
        for end in range(1, min(depth, len(below) - 1) + 1):
            folder = prefix + "/".join(below[:end])
            entries[folder] = _entry(folder, commit, "tree", "16384")
        if depth == len(below):
            facts = facts_of(path, content)
            entries[path] = {
                **_entry(path, commit, "blob", "33188"),
                "IsLFS": facts.is_lfs,
                "Sha256": facts.sha256,
                "Size": facts.size,
            }
    return list(entries.values())


def _entry(path: str, commit: str, kind: str, mode: str) -> dict[str, Any]:
    return {
        "CommitMessage": "Upload folder",
        "CommittedDate": 1767323045,
        "CommitterName": "someone",
        "InCheck": False,
        "IsLFS": False,
        "Mode": mode,
        "Name": path.rpartition("/")[2],
        "Path": path,
        "Revision": commit,
        "Sha256": "",
        "Size": 0,
        "Type": kind,
    }


def _reply(request: Request, handler: Any, data: object) -> None:
    answer = {"Code": 200, "Data": data, "Message": "success", "RequestId": "0", "Success": True}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    handler.reply(request, 200, headers, json.dumps(answer, ensure_ascii=False).encode())


def _refuse(request: Request, handler: Any, code: int, message: str) -> None:
    answer = {"Code": code, "Message": message, "RequestId": "0", "Success": False}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    handler.reply(request, 404, headers, json.dumps(answer, ensure_ascii=False).encode())
