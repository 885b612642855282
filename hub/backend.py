"""The one place that loads PaddlePaddle, after preparing the process for it.

Everything in this package that computes with Paddle says `from hub.backend import paddle`. What
makes Paddle fast on a CPU is best in the environment before the library loads:

- `MKL_DEBUG_CPU_TYPE=5`: the MKL inside Paddle's CPU build takes a slow path on AMD processors;
  matrix products run 2.5 times faster with it where AVX2 is there.
- `FLAGS_paddle_num_threads` and `OMP_NUM_THREADS`: Paddle computes on one thread without them.
- `FLAGS_use_stride_kernel=0`: transposed tensors as views cost a slow element-by-element copy in
  the next operator.
- `OMP_WAIT_POLICY=passive`: waiting threads that spin starve the others on a shared machine.
- glibc gives every large tensor back to the kernel after each step unless told to keep it.

`docs/performance.md` says what each gives. A value that the user has set always wins.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
import warnings
from pathlib import Path

from hub.constants import THREADS_VARIABLE
from hub.errors import HubError, InputError
from hub.machine import has_instructions, is_amd, thread_count

logger = logging.getLogger(__name__)

_SUPPORTED = "paddlepaddle>=3.2,<4"


# By which libraries learn how many threads to compute with.
_THREAD_VARIABLES = ("FLAGS_paddle_num_threads", "OMP_NUM_THREADS")
_threads_set_by_user = {name for name in _THREAD_VARIABLES if name in os.environ}


def environment_for(threads: int) -> dict[str, str]:
    """This process's environment for another that is to compute with so many threads.

    What the user has set stays.
    """
    environment = dict(os.environ)
    environment.setdefault(THREADS_VARIABLE, str(threads))
    for name in _THREAD_VARIABLES:
        if name not in _threads_set_by_user:  # then `_prepare_environment` has, for this process
            environment.pop(name, None)
    return environment


def _prepare_environment() -> None:
    threads = str(thread_count())
    if is_amd() and has_instructions("avx2"):
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("FLAGS_use_stride_kernel", "0")
    # Paddle's loggers talk on stderr about things that a user of this package cannot act on.
    os.environ.setdefault("GLOG_minloglevel", "2")


def _keep_freed_memory() -> None:
    """Raise glibc's thresholds so that large tensors are reused instead of unmapped."""
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_threshold, one_gib = -1, -3, 1 << 30
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(m_trim_threshold, one_gib)
        if not libc.mallopt(m_mmap_threshold, one_gib):
            libc.mallopt(m_mmap_threshold, 32 << 20)  # the most that an older glibc takes
    except (OSError, AttributeError):  # another C library
        logger.debug("mallopt is not available")


def give_back_freed_memory() -> None:
    """Let the system have the memory that is kept for the next tensors."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


_imported_before = "paddle" in sys.modules
_threads_chosen = "FLAGS_paddle_num_threads" in os.environ
_prepare_environment()
_keep_freed_memory()

# Paddle warns at every import that ccache is missing (of use to those who compile it) and that
# OMP_NUM_THREADS is set (which it must be for the other threads to be used at all).
_unheard = io.StringIO()
with warnings.catch_warnings(), contextlib.redirect_stderr(_unheard):
    warnings.filterwarnings("ignore", message=".*ccache.*")
    try:
        import paddle
    except ImportError as error:
        raise HubError(
            f"PaddlePaddle could not be loaded ({error}). Install it with: "
            f"pip install '{_SUPPORTED}'"
        ) from error

# Paddle gives the root logger a handler for the stream of that moment: nobody's warnings would be
# heard any more.
for _handler in list(logging.root.handlers):
    if getattr(_handler, "stream", None) is _unheard:
        logging.root.removeHandler(_handler)

if int(paddle.__version__.split(".")[0]) < 3:
    raise HubError(
        f"This package needs {_SUPPORTED}, but {paddle.__version__} is installed. "
        f"Install it with: pip install '{_SUPPORTED}'"
    )

if _imported_before:
    # MKL reads its variable at the first matrix product; the rest can still be told to Paddle.
    for flag in ("FLAGS_use_stride_kernel", "FLAGS_paddle_num_threads"):
        paddle.set_flags({flag: int(os.environ[flag])})
    if not _threads_chosen:
        paddle.base.core.set_num_threads(thread_count())

# Paddle answers SIGTERM and SIGINT with a C++ stack trace; leave signals to Python.
paddle.disable_signal_handler()


def use_device(name: str) -> None:
    """Compute on a device from now on.

    Args:
        name: "cpu", or any device that PaddlePaddle knows by name, with or without its number:
            "gpu", "gpu:1", "xpu", "npu:0". "auto" is an accelerator that this build of PaddlePaddle
            is for, else the CPU.

    Raises:
        InputError: PaddlePaddle cannot compute there.
    """
    if name == "auto":
        # Paddle takes GPUs and XPUs by itself, but devices of its plug-ins only when told to.
        if custom := paddle.device.get_all_custom_device_type():
            paddle.set_device(custom[0])
        return
    try:
        paddle.set_device(name)
    except (ValueError, RuntimeError, OSError) as error:
        kind = name.partition(":")[0]
        raise InputError(
            f"PaddlePaddle cannot compute on {name!r} here: it computes on "
            f"{paddle.get_device()!r}. Other devices need the build of PaddlePaddle that is made "
            f"for them (for {kind!r}: https://www.paddlepaddle.org.cn/install/quick)."
        ) from error


def use_threads(count: int) -> None:
    """Compute with so many threads from now on, also where the environment says another number.

    OpenMP keeps the number for each of Python's threads: others than this one have that of the
    environment, as it was when PaddlePaddle was loaded.
    """
    paddle.set_flags({"FLAGS_paddle_num_threads": count})
    paddle.base.core.set_num_threads(count)


def bundled_library(name: str) -> ctypes.CDLL | None:
    """A library that PaddlePaddle brings along and has loaded; None if this build has no such one.

    Args:
        name: the file's, such as "libiomp5.so".
    """
    path = Path(paddle.__file__).parent / "libs" / name
    try:
        return ctypes.CDLL(str(path)) if path.exists() else None
    except OSError as error:
        logger.debug("%s cannot be loaded: %s", path, error)
        return None


__all__ = ["bundled_library", "environment_for", "paddle", "use_device", "use_threads"]
