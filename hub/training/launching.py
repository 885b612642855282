"""Starting the processes of a run that trains in several: Paddle's own launcher, and what it says.

`paddle.distributed.launch` starts the same command once for each device or process, gives each its
rank by environment variables, and ends all when one fails.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hub.backend import environment_for
from hub.constants import WORKER_COUNT_VARIABLE
from hub.errors import InputError, TrainingError
from hub.machine import cpu_count
from hub.training.parallel import LostWorkerError
from hub.training.signals import TrainingInterrupted

_FAILED = re.compile(r"Container rank (\d+) .* code (-?\d+) log")

_GO_ON = " If a checkpoint was written, the same command with --resume goes on from it."


@dataclass(frozen=True)
class Launch:
    """How many processes train, and where.

    Attributes:
        processes: on this machine; None is one a device.
        devices: the numbers of this machine's devices, such as "0,1"; None is all, or the CPU.
        master: for several machines, the address of one of them, "HOST:PORT".
        machines: how many there are.
        machine: this one's number, from 0; None is found out by the launcher.
    """

    processes: int | None = None
    devices: str | None = None
    master: str | None = None
    machines: int | None = None
    machine: int | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether anything was asked for, and this process is not itself one of those started."""
        asked = any(value is not None for value in vars(self).values())
        return asked and WORKER_COUNT_VARIABLE not in os.environ

    def options(self) -> list[str]:
        """The launcher's options.

        Raises:
            InputError: something is not a number or an address, or is missing.
        """
        if self.processes is not None and self.processes < 1:
            raise InputError(f"--nproc must be a number from 1, not {self.processes}.")
        if self.devices is not None and not re.fullmatch(r"\d+(,\d+)*", self.devices):
            raise InputError(f"--devices takes numbers such as 0,1 and not {self.devices!r}.")
        numbers = [] if self.devices is None else [int(n) for n in self.devices.split(",")]
        if len(set(numbers)) < len(numbers):
            raise InputError(f"--devices names a device twice: {self.devices!r}.")
        if self.master is not None and not re.fullmatch(r"\S+:\d+", self.master):
            raise InputError(f"--master takes HOST:PORT and not {self.master!r}.")
        if self.machines is not None and self.machines < 1:
            raise InputError(f"--machines must be a number from 1, not {self.machines}.")
        if self.machine is not None and not 0 <= self.machine < (self.machines or 1):
            raise InputError(
                f"--machine must be a number from 0 and below that of --machines, not "
                f"{self.machine}."
            )
        if (self.machines or 1) > 1 and self.master is None:
            raise InputError(
                "Several machines find each other by --master HOST:PORT, the address of one of "
                "them; give it on each."
            )
        given = {
            "--nproc_per_node": self.processes,
            "--devices": self.devices,
            "--master": self.master,
            "--nnodes": self.machines,
            "--rank": self.machine,
        }
        return [part for k, v in given.items() if v is not None for part in (k, str(v))]


def launch(how: Launch, command: Sequence[str]) -> None:
    """Run a `hub` command in several processes and wait for them.

    What the first process says comes on stderr. Ctrl-C and SIGTERM reach all of them once, so that
    the run stops after a step.

    Args:
        how: how many, and where.
        command: the command's arguments, without those that `how` was made from.

    Raises:
        InputError: `how` cannot be launched, or the processes refused what they were given.
        TrainingInterrupted: it was stopped; its checkpoint is written.
        TrainingError: a process failed or was killed; the others were ended.
    """
    options = how.options()
    share = max(1, cpu_count() // (how.processes or 1))
    # The launcher keeps a copy of the environment beside the processes' logs: nobody else reads
    # this folder, and it does not outlive the run.
    with tempfile.TemporaryDirectory(prefix="hub-launch-") as logs:
        said = Path(logs) / "launcher"
        with said.open("wb") as errors:
            launcher = subprocess.Popen(
                [
                    sys.executable, "-m", "paddle.distributed.launch", "--log_level", "ERROR",
                    "--log_dir", logs, *options, sys.executable, "-m", "hub", *command,
                ],
                env=environment_for(share),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                stderr=errors,
                # Ctrl-C reaches a terminal's whole session, and the processes must get it once.
                start_new_session=True,
            )  # fmt: skip
            with _Forwarding(launcher) as forwarding:
                code = launcher.wait()
        told = said.read_text(encoding="utf-8", errors="replace")
        last = _last_error(Path(logs) / "workerlog.0")
    if forwarding.received is not None:
        raise TrainingInterrupted(forwarding.received, last or "Stopped before the first step.")
    if code != 0:
        raise _failure(code, told)


def _last_error(log: Path) -> str | None:
    """What a process said at its end, which the launcher does not pass on when it is stopped."""
    if not log.exists():
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    return errors[-1].removeprefix("Error: ") if errors else None


def _failure(code: int, told: str) -> InputError | TrainingError:
    """What to tell of a launcher that ended with `code` and said `told`."""
    found = _FAILED.search(told)
    if found is None:
        last = told.strip().splitlines()[-1:] or [f"exit code {code}"]
        return TrainingError(f"The processes of the run could not be launched: {last[0]}")
    rank, ended = int(found[1]), int(found[2])
    if ended == 2:
        return InputError("The processes of the run refused what they were given; see above.")
    if ended == LostWorkerError.exit_code:
        how = "lost another, which was killed or cannot be reached"
        return TrainingError(f"Process {rank} of the run {how}; all were ended.{_GO_ON}")
    how = f"was killed ({signal.Signals(-ended).name})" if ended < 0 else f"failed ({ended})"
    return TrainingError(f"Process {rank} of the run {how}, and the others were ended.{_GO_ON}")


class _Forwarding:
    """While entered, SIGINT and SIGTERM are sent on to a launcher as one SIGTERM."""

    def __init__(self, launcher: subprocess.Popen[bytes]) -> None:
        self.received: int | None = None
        self._launcher = launcher
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _Forwarding:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._send)
        return self

    def _send(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            self._launcher.terminate()

    def __exit__(self, *details: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def without_options(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """A command's arguments without some options and their values, each two words or one with =."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in names:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in names)):
            kept.append(word)
    return kept
