"""Files at fixed addresses, such as those in Baidu's object store."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile
from hub.registry.sources.base import Listing


class AddressSource:
    """A model whose files each have an address.

    Args:
        kind: what messages call the place.
        files: name in the model folder -> (address, what is known of the file).
    """

    def __init__(self, kind: str, files: Mapping[str, tuple[str, Expected]]) -> None:
        hosts = {urlsplit(url).hostname or "" for url, _ in files.values()}
        self.label = f"{kind} ({', '.join(sorted(hosts))})"
        self.key = kind
        self._files = files

    def list_files(self) -> Listing:
        """What the catalogue says; nobody is asked."""
        files = [RemoteFile(name, url, known) for name, (url, known) in self._files.items()]
        return Listing(None, files)

    def list_local(self) -> Listing | None:
        """Nothing: no other program keeps these."""
        return None
