"""ModelScope, over its public HTTP interface."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlencode

from hub.constants import MODELSCOPE_ENDPOINT_VARIABLES, MODELSCOPE_TOKEN_VARIABLE
from hub.errors import DownloadError
from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile
from hub.registry.http import Client, public_url
from hub.registry.sources.base import Listing, RepositorySource, choose_files


class ModelScopeSource(RepositorySource):
    """A model repository of ModelScope."""

    kind = "modelscope"

    @property
    def _address(self) -> str:
        chosen = (os.environ.get(name) for name in MODELSCOPE_ENDPOINT_VARIABLES)
        endpoint = next(filter(None, chosen), "www.modelscope.cn")
        if "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        return f"{endpoint.rstrip('/')}/api/v1/models/{self.repository}/repo"

    def list_files(self) -> Listing:
        """Ask for the revision's files, with sizes and checksums."""
        token = os.environ.get(MODELSCOPE_TOKEN_VARIABLE)
        query = urlencode({"Revision": self.revision, "Recursive": "True"})
        with Client(token, token_name=MODELSCOPE_TOKEN_VARIABLE) as client:
            try:
                text = client.read(f"{self._address}/files?{query}")
            except DownloadError as error:
                if error.status != 404:
                    raise
                raise DownloadError(
                    f"{public_url(self._address)}: there is no such repository or no revision "
                    f"{self.revision!r}, or the token in {MODELSCOPE_TOKEN_VARIABLE} has no access "
                    "to it.",
                    status=404,
                ) from error
        files = {file["Path"]: file for file in self._understand(text)}
        names = choose_files(list(files), self.tokenizer_kind, self.label)
        remote = [self._remote(files[name]) for name in names]
        return Listing(self.revision, remote, token, MODELSCOPE_TOKEN_VARIABLE)

    def _understand(self, text: bytes) -> list[dict[str, Any]]:
        try:
            answer = json.loads(text)
            files = [file for file in answer["Data"]["Files"] if file["Type"] == "blob"]
            if not all(isinstance(file["Path"], str) for file in files):
                raise ValueError("a path is not a text")
            return files
        except (ValueError, KeyError, TypeError) as error:
            raise DownloadError(
                f"{public_url(self._address)} does not answer as ModelScope does ({error!r})."
            ) from error

    def _remote(self, file: dict[str, Any]) -> RemoteFile:
        query = urlencode({"Revision": self.revision, "FilePath": file["Path"]})
        expected = Expected(
            size=file.get("Size"),
            sha256=file.get("Sha256") or None,
            known_from=public_url(self._address),
        )
        return RemoteFile(file["Path"], f"{self._address}?{query}", expected)
