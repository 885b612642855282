"""The Hugging Face Hub, and servers that speak its protocol (`HF_ENDPOINT`).

`huggingface_hub` says what a repository holds; the bytes come through this package's downloader,
which checks them against the hub's SHA-256 and resumes. It fetches plain HTTP addresses: the hub's
newer transfer service (Xet) does not go through mirrors.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hub.constants import HF_ENDPOINT_VARIABLE
from hub.errors import DownloadError
from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile
from hub.registry.http import Attempts, public_url
from hub.registry.sources.base import Listing, RepositorySource, choose_files

# The Hub takes no larger file into git itself.
_LARGEST_IN_GIT = 10_000_000
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_Result = TypeVar("_Result")


class HuggingFaceSource(RepositorySource):
    """A model repository of the Hub."""

    kind = "huggingface"

    @property
    def _endpoint(self) -> str:
        # huggingface_hub reads the variable once, when it is imported.
        return (os.environ.get(HF_ENDPOINT_VARIABLE) or "https://huggingface.co").rstrip("/")

    def list_files(self) -> Listing:
        """Ask the hub for the files of the revision's commit, with sizes and checksums."""
        import huggingface_hub

        token = huggingface_hub.get_token()
        api = huggingface_hub.HfApi(endpoint=self._endpoint, token=token or False)
        info = self._ask(
            lambda: api.model_info(self.repository, revision=self.revision, files_metadata=True)
        )
        siblings = {file.rfilename: file for file in info.siblings or ()}
        names = choose_files(list(siblings), self.tokenizer_kind, self.label)
        commit = info.sha or self.revision
        files = [self._remote(commit, siblings[name]) for name in names]
        return Listing(commit, files, token, "HF_TOKEN")

    def _remote(self, commit: str, file: Any) -> RemoteFile:
        import huggingface_hub

        name = file.rfilename
        url = huggingface_hub.hf_hub_url(
            self.repository, name, revision=commit, endpoint=self._endpoint
        )
        expected = Expected(
            size=file.size,
            sha256=file.lfs.sha256 if file.lfs else None,
            # Of a small file the hub names git's hash. A mirror may not say that a large one is
            # kept outside git, where this is the hash of something else.
            git_sha1=None if file.lfs or (file.size or 0) > _LARGEST_IN_GIT else file.blob_id,
            known_from=public_url(self._endpoint),
        )
        return RemoteFile(name, url, expected)

    def list_local(self) -> Listing | None:
        """The files in Hugging Face's own cache, if the model is there."""
        import huggingface_hub

        config = huggingface_hub.try_to_load_from_cache(
            self.repository, "config.json", revision=self.revision
        )
        if not isinstance(config, str):
            return None
        folder = Path(config).parent
        try:
            there = [path.name for path in folder.iterdir()]
            names = choose_files(there, self.tokenizer_kind, self.label)
        except DownloadError:
            return None
        return Listing(folder.name, [], local={name: folder / name for name in names})

    def _ask(self, question: Callable[[], _Result]) -> _Result:
        attempts = Attempts()
        while True:
            try:
                return question()
            except Exception as error:  # its own errors, its HTTP library's, the socket's
                attempts.failed(self._explain(error))

    def _explain(self, error: Exception) -> DownloadError:
        from huggingface_hub import errors

        where = f"{public_url(self._endpoint)}, {self.repository}"
        if isinstance(error, errors.GatedRepoError):
            return DownloadError(
                f"{where}: access must be asked for on the model's page, and a token with that "
                "right given in HF_TOKEN.",
                status=403,
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return DownloadError(f"{where}: there is no revision {self.revision!r}.", status=404)
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if status == 401 and "invalid credentials" in str(error).lower():
            return DownloadError(f"{where}: the token in HF_TOKEN is not valid.", status=status)
        # Of a private repository the hub does not even say that it is there.
        if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
            return DownloadError(
                f"{where}: there is no such repository, or it is private and HF_TOKEN has no "
                "access to it.",
                status=status,
            )
        if isinstance(status, int):
            wait = response.headers.get("retry-after", "") if response is not None else ""
            return DownloadError(
                f"{where} answered {status}.",
                transient=status in _TRANSIENT,
                status=status,
                retry_after_s=float(wait) if wait.isdigit() else None,
            )
        return DownloadError(f"{where} cannot be reached ({type(error).__name__}).")
