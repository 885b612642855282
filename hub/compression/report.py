"""What each step of making a model smaller cost and gave: one table for the whole chain."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hub.constants import COMPRESSION_FILE, WEIGHTS_FILE
from hub.data import TextDataset
from hub.errors import ModelError
from hub.files import write_text
from hub.inference.loading import evaluate
from hub.module import Module
from hub.tasks import LabelledTask
from hub.tasks.base import metric_title

_TIMED_TEXTS = 256
_ROUNDS = 3


@dataclass(frozen=True)
class Step:
    """A model of the chain.

    Attributes:
        what: how it was made from the one before; "start" is the first.
        parameters: how many it has.
        megabytes: the size of its weights' file.
        texts_a_second: what it answers in this process, in batches of 32; None if there were no
            texts to measure with. Figures of different runs were measured at different times.
        metric: what `value` is, "" if there were no labelled rows.
        value: its metric on the dev rows, as a fraction.
    """

    what: str
    parameters: int
    megabytes: float
    texts_a_second: float | None = None
    metric: str = ""
    value: float | None = None


def measure(what: str, module: Module, folder: Path, dev: TextDataset | None) -> Step:
    """Measure a model that was written to `folder`."""
    size = sum(parameter.size for parameter in module.network.parameters())
    megabytes = (folder / WEIGHTS_FILE).stat().st_size / 1e6
    if dev is None:
        return Step(what, size, megabytes)
    texts = list(dev.texts[:_TIMED_TEXTS])
    module.predict(texts[:32])
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        module.predict(texts)
        seconds.append(time.perf_counter() - started)
    rate = len(texts) / min(seconds)
    if not isinstance(module.task, LabelledTask):
        return Step(what, size, megabytes, rate)
    metric = module.task.metric_names[0]
    value = float(evaluate(module, dev)[metric])
    return Step(what, size, megabytes, rate, metric, value)


def chain_of(folder: Path) -> list[Step]:
    """The steps by which the model in a folder was made; empty if it was not made smaller.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / COMPRESSION_FILE
    if not path.exists():
        return []
    try:
        return [Step(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}).") from error


def write_chain(folder: Path, steps: Sequence[Step]) -> None:
    """Keep the steps beside the model."""
    text = json.dumps([asdict(step) for step in steps], ensure_ascii=False, indent=1)
    write_text(folder / COMPRESSION_FILE, text + "\n")


def table(steps: Sequence[Step]) -> list[str]:
    """The chain in lines, a step a line."""
    lines = [f"{'':28} {'parameters':>12} {'MB':>8} {'texts/s':>8}  on dev"]
    for step in steps:
        rate = "" if step.texts_a_second is None else f"{step.texts_a_second:,.0f}"
        value = "" if step.value is None else f"{metric_title(step.metric)} {step.value:.2%}"
        lines.append(
            f"{step.what:28} {step.parameters:>12,} {step.megabytes:>8.1f} {rate:>8}  {value}"
        )
    return lines
