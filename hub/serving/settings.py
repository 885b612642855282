"""What the operator of a service chooses, in one place: the command line and the workers read it.

Sizes are in bytes, times in seconds unless the name says otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hub.errors import InputError

DEFAULT_PORT = 8866
# A name in an address, a metric and a log line; looser than a catalogue's: folders are called
# anything.
_MODEL_NAME = re.compile(r"[A-Za-z0-9_\u4e00-\u9fff](?:[\w.-]{0,98}[\w])?")
# What looks like a weight and is none, as 90% is.
_WEIGHT = re.compile(r"[-+.\d][^/\\]*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}")


@dataclass(frozen=True)
class ModelSpec:
    """One version of one model, as the command line or an administrator gives it.

    Attributes:
        name: what clients call the model.
        source: a folder, or a name such as `travel@prod`.
        version: what the version is called; None is taken from the model.
        weight: its share of the traffic, against the other versions of its name.
        shadow: it answers a copy of the traffic that nobody sees.
    """

    name: str
    source: str
    version: str | None = None
    weight: float = 100.0
    shadow: bool = False


def check_model_name(name: str) -> str:
    """The name, if a model may be served under it.

    Raises:
        InputError: it may not.
    """
    if not _MODEL_NAME.fullmatch(name):
        raise InputError(
            f"A model cannot be served as {name!r}: a name begins with a Latin letter, a Chinese "
            "character, a digit or '_', and has letters, digits, '.', '-' and '_'."
        )
    return name


def check_version_name(version: str) -> str:
    """The version's name, if a version may be called so.

    Raises:
        InputError: it may not.
    """
    if not _VERSION.fullmatch(version):
        raise InputError(
            f"A version cannot be called {version!r}: use letters, digits, '.', '-', '_' and '+'."
        )
    return version


def parse_spec(text: str) -> ModelSpec:
    """Understand `SOURCE` or `NAME[@VERSION]=SOURCE[:WEIGHT|:shadow]`.

    >>> parse_spec("travel@3=runs/v3:90")
    ModelSpec(name='travel', source='runs/v3', version='3', weight=90.0, shadow=False)

    Raises:
        InputError: it cannot be understood.
    """
    left, equals, source = text.partition("=")
    if not equals or "/" in left or "\\" in left:
        left, source = "", text
    weight, shadow = 100.0, False
    if left:
        head, colon, tail = source.rpartition(":")
        if colon and tail == "shadow":
            source, shadow, weight = head, True, 0.0
        elif colon and re.fullmatch(r"\d+(\.\d+)?", tail):
            source, weight = head, float(tail)
        elif _WEIGHT.fullmatch(tail) and head and not os.path.exists(source):
            raise InputError(
                f"The weight {tail!r} of {text!r} is no number: write one such as 90, or 'shadow'."
            )
    if not source:
        raise InputError(f"{text!r} names no folder: write NAME@VERSION=FOLDER:WEIGHT.")
    name, at, version = left.partition("@")
    if at and not version:
        raise InputError(f"{text!r} has no version after the '@'.")
    try:
        check_model_name(name or _name_of(source))
    except InputError as error:
        if name:
            raise
        raise InputError(f"{error} Give it another name with NAME={source}.") from None
    return ModelSpec(
        name or _name_of(source),
        source,
        check_version_name(version) if at else None,
        weight,
        shadow,
    )


def _name_of(source: str) -> str:
    """A model is called like its folder, or like itself without the version."""
    if Path(source).is_dir():
        # As it was given: a link to one release after the other keeps its name.
        return os.path.basename(os.path.abspath(source))
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1].partition("@")[0]


def check_specs(specs: Iterable[ModelSpec]) -> list[ModelSpec]:
    """The specs, if they can be served together.

    Raises:
        InputError: they cannot.
    """
    result = list(specs)
    if not result:
        raise InputError("There is no model to serve: name a folder or a model.")
    for name in {spec.name for spec in result}:
        own = [spec for spec in result if spec.name == name]
        arms = [spec for spec in own if not spec.shadow]
        if not arms or sum(spec.weight for spec in arms) <= 0:
            raise InputError(f"No version of {name} has a share of the traffic.")
        if len(own) > 1 and any(spec.version is None for spec in own):
            raise InputError(
                f"{name} is given {len(own)} times: write {name}@VERSION=FOLDER:WEIGHT for each."
            )
        versions = [spec.version for spec in own]
        if len(set(versions)) < len(versions):
            raise InputError(f"A version of {name} is given twice.")
        if sum(spec.shadow for spec in own) > 1:
            raise InputError(f"{name} has more than one shadow version.")
    return result


@dataclass(frozen=True)
class Limits:
    """What a request may be, and how long it may take.

    Attributes:
        body_bytes: a request's body.
        texts: texts in a request.
        text_characters: characters of a text.
        batch_texts: texts in a streamed batch.
        batch_bytes: the body of a streamed batch.
        deadline_s: from a request's arrival to its answer.
        body_s: to send the headers, and to send the body.
        unread_s: for a caller to read nothing of its answer.
        queue_texts: texts that wait for a version's engine.
        requests: in hand at a time, in each worker; health is always told.
    """

    body_bytes: int = 2_000_000
    texts: int = 32
    text_characters: int = 10_000
    batch_texts: int = 100_000
    batch_bytes: int = 64_000_000
    deadline_s: float = 10.0
    body_s: float = 10.0
    unread_s: float = 60.0
    queue_texts: int = 256
    requests: int = 1000

    @property
    def request_texts(self) -> int:
        """Texts in a request: those of one wait together, so that the queue must hold them."""
        return min(self.texts, self.queue_texts)


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    Attributes:
        host, port: where it listens; port 0 is any free one.
        workers: processes that share the port.
        threads: threads that compute, in each worker; None shares the processors out.
        task: what pretrained models are asked; None is what each was made for.
        batch_size: texts computed at a time.
        batch_tokens: tokens computed at a time, padding included.
        batch_delay_ms: the longest that a text waits for company.
        api_keys, admin_token: files with a secret a line; None leaves the API open, and the
            administration closed.
        cors: origins whose pages may call the API.
        tls_certificate, tls_key: PEM files.
        watch_s: how often sources are looked at for a new version; None is never.
        user_header: the header by whose value a caller always meets the same version.
        drain_delay_s: how long `/readyz` says no before the listening socket closes.
        drain_s: how long requests in flight may take to end.
        json_logs: log JSON lines; otherwise sentences.
        log_texts: texts and answers are logged too; of a batch the first 100.
        page: whether there is a page at `/` to try the models.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    workers: int = 1
    threads: int | None = None
    task: str | None = None
    batch_size: int = 32
    batch_tokens: int = 8192
    batch_delay_ms: float = 2.0
    limits: Limits = field(default_factory=Limits)
    api_keys: str | None = None
    admin_token: str | None = None
    cors: tuple[str, ...] = ()
    tls_certificate: str | None = None
    tls_key: str | None = None
    watch_s: float | None = None
    user_header: str = "x-user-id"
    drain_delay_s: float = 0.0
    drain_s: float = 30.0
    stuck_s: float = 30.0
    json_logs: bool = True
    log_texts: bool = False
    page: bool = True

    def __post_init__(self) -> None:
        if self.host.startswith("[") and self.host.endswith("]"):  # as an address in a URL has it
            object.__setattr__(self, "host", self.host[1:-1])
        if not 0 <= self.port <= 65535:
            raise InputError(f"The port must be from 0 to 65535, not {self.port}.")
        for name in ("workers", "batch_size", "batch_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, not {getattr(self, name)}.")
        if self.batch_delay_ms < 0:
            raise InputError(f"batch_delay_ms must be 0 or more, not {self.batch_delay_ms}.")
        if self.batch_delay_ms / 1000 >= self.limits.deadline_s:
            raise InputError("batch_delay_ms must be shorter than a request's deadline.")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise InputError("TLS needs both files: --tls-cert and --tls-key.")

    @property
    def address(self) -> str:
        """Where a person finds it."""
        scheme = "http" if self.tls_certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    def at(self, port: int) -> Settings:
        """The same at another port."""
        return replace(self, port=port)

    def with_threads(self, threads: int) -> Settings:
        """The same with so many threads in each worker."""
        return replace(self, threads=threads)

    def to_json(self) -> dict[str, Any]:
        """For a worker process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """What `to_json` gave."""
        return cls(
            **{**values, "limits": Limits(**values["limits"]), "cors": tuple(values["cors"])}
        )
