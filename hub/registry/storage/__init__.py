"""Places that hold a team's catalogue: a folder, an HTTP server, an object store."""

from hub.registry.storage.base import Storage
from hub.registry.storage.folder import FolderStorage


def open_storage(location: str, quiet: bool = False) -> Storage:
    """The storage at `location`: a path, `file://`, `http(s)://`, or what fsspec knows (`s3://`).

    Args:
        location: the place.
        quiet: show no progress bar.

    Raises:
        CatalogueError: the location cannot be understood.
        MissingPackageError: the package for this kind of object store is not installed.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        return FolderStorage(location)
    if scheme == "file":
        return FolderStorage(rest)
    if scheme in ("http", "https"):
        from hub.registry.storage.http import HttpStorage

        return HttpStorage(location, quiet)
    from hub.registry.storage.objects import ObjectStorage

    return ObjectStorage(location, quiet)


__all__ = ["Storage", "open_storage"]
