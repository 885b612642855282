"""`hub export --auto`: the engine and precision that is fastest here and answers as well."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.data import TextDataset
from hub.errors import InputError, MissingPackageError, ModelError, OutputError
from hub.inference.engines import PRECISIONS
from hub.inference.export import Exported, check_output, export, put_in_place
from hub.inference.exporting import rows_to_compare, texts_to_measure
from hub.inference.predictor import Predictor
from hub.inference.verification import Reference
from hub.module import Module
from hub.tokenizers import Text

_BATCH = 32
_MOST_TEXTS = 256
_ROUNDS = 5
# What is asked where a run has no sentences of its own.
_SENTENCES = (
    "这家酒店的电话是多少",
    "附近有什么好吃的",
    "帮我查一下明天从北京到上海的高铁票",
    "你好",
)


@dataclass(frozen=True)
class Candidate:
    """An engine in a precision, as it was measured.

    Attributes:
        engine, precision: which.
        exported: what was written; None if it was not.
        texts_a_second: from text to answer, in batches of 32; None as above.
        latency_ms: the median for one text alone.
        reason: why it is not taken: the sentence of the error.
    """

    engine: str
    precision: str
    exported: Exported | None = None
    texts_a_second: float | None = None
    latency_ms: float | None = None
    reason: str = ""


def export_fastest(
    module: Module,
    output: str | Path,
    *,
    data: Any = None,
    max_drop: float = 0.5,
    calibration: Any = None,
    overwrite: bool = False,
    reading: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Candidate, list[Candidate]]:
    """Export a module in every way there is, and keep the one that answers most texts a second.

    Args:
        module: a module with a task.
        output: the folder to write.
        data: labelled rows, as `export_module` has them; their texts are asked, and no candidate
            may lose more than `max_drop` points on them. Where there are none, a few sentences are.
        max_drop, calibration, overwrite, reading: as `export_module` has them.
        say: told of each candidate as it was measured.

    Returns:
        The one that was kept, and all.

    Raises:
        OutputError: the folder holds something, or cannot be written.
        ModelError: none can be exported.
    """
    folder = Path(output).resolve()
    check_output(folder, overwrite, module.tokenizer.files)
    reading = reading or {}
    rows = rows_to_compare(module, data, reading, must_hold=max_drop < 100)
    measured_on = texts_to_measure(module, calibration, reading, shared=data is not None)
    reference = Reference(module, rows)
    texts = _texts(module, rows)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            written: list[tuple[Candidate, Predictor | None]] = []
            for engine, precisions in PRECISIONS.items():
                for precision in precisions:
                    place = Path(scratch) / f"{engine}-{precision}"
                    say(f"export    {engine} {precision} ...")
                    written.append(
                        _export(
                            module, place, engine, precision, reference, max_drop,
                            measured_on or texts,
                        )
                    )  # fmt: skip
            measured = _measure(written, texts)
            usable = [c for c in measured if c.texts_a_second is not None]
            if not usable:
                reasons = "; ".join(f"{c.engine} {c.precision}: {c.reason}" for c in measured)
                raise ModelError(f"{module.name} cannot be exported: {reasons}")
            best = max(usable, key=lambda c: c.texts_a_second or 0.0)
            assert best.exported is not None
            put_in_place(best.exported.folder, folder, module.folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return best, measured


def _texts(module: Module, data: TextDataset | None) -> list[Text]:
    task = module.task
    if task is None:
        raise InputError(f"{module.name} has no task to answer: fine-tune it before exporting.")
    if data is not None and len(data):
        return list(data.texts[:_MOST_TEXTS])
    texts: list[Text] = list(task.probes(_SENTENCES * (_MOST_TEXTS // len(_SENTENCES))))
    return [(str(text), str(text)) for text in texts] if task.pairs else texts


def _export(
    module: Module,
    place: Path,
    engine: str,
    precision: str,
    reference: Reference,
    max_drop: float,
    calibration: Sequence[Text],
) -> tuple[Candidate, Predictor | None]:
    try:
        exported = export(
            module, place, engine, precision=precision, reference=reference, max_drop=max_drop,
            calibration=calibration,
        )  # fmt: skip
        return Candidate(engine, precision, exported), Predictor(place)
    except (MissingPackageError, ModelError) as error:
        return Candidate(engine, precision, reason=str(error)), None


def _measure(
    written: Sequence[tuple[Candidate, Predictor | None]], texts: Sequence[Text]
) -> list[Candidate]:
    """Ask all candidates in turn, several times: a machine that is busy for a moment is so for
    each."""
    seconds: dict[int, list[float]] = {}
    alone: dict[int, list[float]] = {}
    for _ in range(_ROUNDS):
        for number, (_, predictor) in enumerate(written):
            if predictor is None:
                continue
            started = time.perf_counter()
            predictor.predict(texts, batch_size=_BATCH)
            seconds.setdefault(number, []).append(time.perf_counter() - started)
            for text in texts[:_BATCH]:
                started = time.perf_counter()
                predictor.predict([text])
                alone.setdefault(number, []).append(time.perf_counter() - started)
    return [
        candidate if number not in seconds
        else Candidate(
            candidate.engine,
            candidate.precision,
            candidate.exported,
            len(texts) / float(np.min(seconds[number])),
            1000 * float(np.median(alone[number])),
        )
        for number, (candidate, _) in enumerate(written)
    ]  # fmt: skip
