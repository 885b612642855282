"""Ctrl-C and SIGTERM while training: the step in progress is finished, then the run stops."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType

from hub.errors import HubError


class TrainingInterrupted(HubError):
    """Training was asked to stop; `exit_code` is what a shell expects of a process so ended."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def interruption(
    signal_number: int, step: int, total_steps: int, folder: Path | None
) -> TrainingInterrupted:
    """What tells that a run was stopped, and how to go on.

    Args:
        signal_number: the signal that asked for it.
        step, total_steps: where the run stands.
        folder: where its checkpoint is; None if it keeps none.
    """
    done = f"step {step} of {total_steps}"
    if folder is None:
        return TrainingInterrupted(signal_number, f"Stopped at {done}; nothing was saved.")
    return TrainingInterrupted(
        signal_number,
        f"Stopped at {done}. The run is saved in {folder}: the same command with --resume goes on "
        "from here.",
    )


class StopRequests:
    """While entered, remembers the first SIGINT or SIGTERM; a second one acts at once.

    Within another one, what it remembers is told to that one as well.

    Must be entered after PaddlePaddle is imported: its import replaces the handlers.

    Args:
        is_launched: whether Paddle's launcher has started this process. It sends SIGTERM three
            times within half a second: none of them acts at once, and after the first one the
            process ends by itself.
    """

    def __init__(self, is_launched: bool = False) -> None:
        self.received: int | None = None
        self._is_launched = is_launched
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        # Python allows handlers in the main thread only; elsewhere signals act as usual.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        around = getattr(self._previous.get(number), "__self__", None)
        if not self._is_launched:
            self._restore()
        if isinstance(around, StopRequests):
            around._remember(number, frame)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            # None stands for a handler that was not set from Python.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]
        self._previous = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if self._is_launched and self.received is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
