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
from hub.inference.engines import GRAPH_FILES
from hub.inference.export import Exported
from hub.inference.loading import Answering, evaluate
from hub.inference.predictor import Predictor
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
        megabytes: the size of its weights, or of the exported graph.
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
    megabytes = (folder / WEIGHTS_FILE).stat().st_size / 1e6
    return _measured(what, module, _parameters(module), megabytes, dev)


def measure_exported(module: Module, exported: Exported, dev: TextDataset | None) -> Step:
    """Measure what `module` was exported to."""
    megabytes = sum(
        (exported.folder / name).stat().st_size for name in GRAPH_FILES[exported.engine]
    )
    what = f"export: {exported.engine} {exported.precision}"
    predictor = Predictor(exported.folder)
    return _measured(what, predictor, _parameters(module), megabytes / 1e6, dev)


def _parameters(module: Module) -> int:
    return sum(parameter.size for parameter in module.network.parameters())


def _measured(
    what: str, model: Answering, parameters: int, megabytes: float, dev: TextDataset | None
) -> Step:
    if dev is None:
        return Step(what, parameters, megabytes)
    texts = list(dev.texts[:_TIMED_TEXTS])
    model.predict(texts[:32])
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        model.predict(texts)
        seconds.append(time.perf_counter() - started)
    rate = len(texts) / min(seconds)
    if not isinstance(model.task, LabelledTask):
        return Step(what, parameters, megabytes, rate)
    metric = model.task.metric_names[0]
    value = float(evaluate(model, dev)[metric])
    return Step(what, parameters, megabytes, rate, metric, value)


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
