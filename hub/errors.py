"""Every error a user can meet. Each message says what was wrong, where, and what to do.

HubError                     exit code 1
├── MissingPackageError      an optional package is not installed
├── ModelError               a model is damaged, not supported, or cannot do what is asked
├── DownloadError            a file cannot be fetched
│   ├── ChecksumError        what came is not what was expected
│   └── OfflineError         it is not on this machine, and the network is forbidden or absent
├── TrainingError            training cannot go on
├── ServingError             a service cannot start or cannot go on
└── InputError               exit code 2: what the user gave is wrong
    ├── DataError            a data file, with its lines
    ├── OutputError          the place to write to
    ├── CatalogueError       a team's catalogue refuses what is asked of it
    ├── OtherRunError        a run is resumed with other settings; a TrainingError as well
    ├── RequestError         a request to a service, with the HTTP status that answers it
    └── UnknownModelError    a model name
"""

from __future__ import annotations


class HubError(Exception):
    """The command failed. The message is a sentence for the user, not for a programmer."""

    exit_code = 1


class MissingPackageError(HubError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}'. "
            f"Install it with: pip install 'ernie-hub[{extra}]'"
        )


class ModelError(HubError):
    """A model folder is incomplete, damaged, or of a kind that is not supported."""


class DownloadError(HubError):
    """A file cannot be fetched.

    Attributes:
        transient: whether the same request may succeed later.
        status: the HTTP status that says so, if one does.
        retry_after_s: how long the server asks to wait, if it says so.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.status = status
        self.retry_after_s = retry_after_s


class ChecksumError(DownloadError):
    """What came is not what was expected: its checksum, size or content type is another."""


class OfflineError(DownloadError):
    """A model is not on this machine, and the network is forbidden or cannot be reached."""


class TrainingError(HubError):
    """Training cannot start or cannot go on."""


class ServingError(HubError):
    """A service cannot start or cannot go on."""


class InputError(HubError, ValueError):
    """What the user gave is wrong; nothing was done with it."""

    exit_code = 2


class DataError(InputError):
    """A data file cannot be read, or its rows are not usable."""


class OutputError(InputError):
    """The output folder cannot be written, or holds something worth keeping."""


class OtherRunError(InputError, TrainingError):
    """A checkpoint is of a run with other settings or data than those it shall be resumed with."""


class UnknownModelError(InputError):
    """No model has this name."""


class CatalogueError(InputError):
    """A team's catalogue refuses what is asked of it; nothing was changed."""


class RequestError(InputError):
    """A service refuses a request.

    Attributes:
        status: the HTTP status.
        code: the same for programs, a word that does not change.
        retry_after_s: when the same request may be accepted.
        allow: the HTTP methods that the address takes, where it does not take this one.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.allow = allow
