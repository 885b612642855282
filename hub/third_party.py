"""Optional libraries, some of which report their use to their makers unless told not to.

They are loaded here, with that switched off: nothing leaves the machine that nobody asked for. A
value that the user has set for a library's switch wins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hub.errors import MissingPackageError

# The switch of each library in the environment; processes that it starts inherit it.
_SWITCHES = {
    "mlflow": ("MLFLOW_DISABLE_TELEMETRY", "true"),
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}
# OpenVINO has none, but does without the package that reports.
_REPORTERS = {"openvino": "openvino_telemetry"}


def load(name: str, extra: str, purpose: str, package: str | None = None) -> Any:
    """Import an optional library.

    Args:
        name: the library.
        extra: the extra of this package that installs it.
        purpose: what it is needed for, as the beginning of a sentence.
        package: what is installed for it, if that has another name.

    Raises:
        MissingPackageError: it is not installed.
    """
    if name in _SWITCHES:
        variable, value = _SWITCHES[name]
        os.environ.setdefault(variable, value)
    try:
        with _missing(_REPORTERS.get(name)):
            library = import_module(name)
    except ImportError:
        raise MissingPackageError(package or name, extra, purpose) from None
    return library


@contextmanager
def _missing(reporter: str | None) -> Iterator[None]:
    """While entered, a package that is not loaded yet cannot be."""
    if reporter is None or reporter in sys.modules:
        yield
        return
    sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[reporter]
