"""A module exported with what its run recorded: the rows that hold the artefact to the module's
answers, and the texts that ranges for int8 are measured on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.data import TextDataset, load_dataset
from hub.data.corpus import corpus_files
from hub.data.texts import pair_of_line
from hub.errors import DataError
from hub.inference.export import Exported, export, measures_ranges
from hub.inference.run_data import RunTexts, load_rows, options_for, rows_of_run
from hub.tasks import compares_texts
from hub.tasks.answering import many_texts
from hub.tokenizers import Text

if TYPE_CHECKING:
    from hub.module import Module

logger = logging.getLogger(__name__)

# As many of a corpus are read.
_MOST_TEXTS = 10_000


def export_module(
    module: Module,
    output: str | Path,
    format: str = "onnx",
    precision: str = "fp32",
    *,
    data: Any = None,
    calibration: Any = None,
    static: bool = False,
    max_drop: float = 0.5,
    overwrite: bool = False,
    reading: Mapping[str, Any] | None = None,
) -> Exported:
    """Write `module` for an inference engine, and check that it still answers as the module does.

    Args:
        module: a module with a task.
        output: the folder to write; it appears whole or not at all.
        format: "onnx" (ONNX Runtime), "openvino" or "paddle" (Paddle Inference).
        precision: "fp32", "bf16" (OpenVINO, Paddle) or "int8" (ONNX Runtime, OpenVINO).
        data: labelled rows to compare answers on, anything `hub.load_dataset` takes; None takes the
            dev rows that the module's run recorded.
        calibration: texts of the model's use to measure int8's ranges on: a file, a folder of them,
            or the texts; None takes the training rows that the run recorded, else those of `data`.
        static: measure ranges beforehand for ONNX Runtime as well.
        max_drop: how many points the task's first metric may lose on the rows in less precision.
        overwrite: replace an exported model that is already there.
        reading: `hub.load_dataset`'s options for files of `data` and `calibration`; what is not
            said is as the run read its data.

    Returns:
        What was written, and how its answers compare with the module's.

    Raises:
        InputError: an unknown format, a precision that it does not have, a module without a task,
            or no texts to measure ranges on.
        DataError: rows or texts cannot be read.
        OutputError: the folder holds something, or cannot be written.
        MissingPackageError: the format's packages are not installed.
        ModelError: the exported graph's output differs from the module's, or loses too much.
    """
    reading = reading or {}
    must_hold = precision != "fp32" and max_drop < 100
    rows = rows_to_compare(module, data, reading, must_hold)
    texts = None
    if calibration is not None or measures_ranges(format, precision, static):
        texts = texts_to_measure(module, calibration, reading, shared=data is not None)
    exported = export(
        module, output, format, overwrite, precision=precision, data=rows, max_drop=max_drop,
        static=static, calibration=texts, run=module.folder,
    )  # fmt: skip
    if precision != "fp32" and exported.verification.metric is None:
        logger.warning(
            "No labelled rows were compared: give some (data, on the command line --data) to see "
            "what %s costs.",
            precision,
        )
    return exported


def rows_to_compare(
    module: Module, data: Any, reading: Mapping[str, Any], must_hold: bool
) -> TextDataset | None:
    """Labelled rows for a module: those that are given, or the dev rows that its run recorded.

    Args:
        module: what is exported.
        data: what was given, if anything; other arguments as in `export_module`.
        reading: how files are read.
        must_hold: whether an answer must be held to recorded rows, which then must be there.

    Raises:
        DataError: they cannot be read.
    """
    folder = module.folder
    if isinstance(data, str | Path) and folder is not None:
        return load_rows(str(data), module.task, "dev", options_for(folder, data, reading))
    if data is not None:
        kind = None if module.task is None else module.task.name
        return load_dataset(data, kind=kind, split="dev", **reading)
    if folder is None:
        return None
    try:
        return rows_of_run(folder, module, "dev", reading)
    except DataError as error:
        if must_hold:
            raise DataError(
                f"{error} So nothing was written: give labelled rows with --data, or allow "
                "whatever less precision costs with --max-drop 100."
            ) from error
        logger.warning("%s", error)
        return None


def texts_to_measure(
    module: Module, calibration: Any, reading: Mapping[str, Any], shared: bool
) -> Sequence[Text] | None:
    """Texts of a module's use: those that are given, or the training rows that its run recorded.

    Args:
        module: what is exported.
        calibration: what was given, if anything; other arguments as in `export_module`.
        reading: how files are read.
        shared: the columns that the user named may be those of the labelled rows alone.

    Raises:
        DataError: a file cannot be read.
    """
    if calibration is None:
        try:
            rows = None if module.folder is None else rows_of_run(
                module.folder, module, "train", reading
            )  # fmt: skip
        except DataError as error:
            logger.warning("%s", error)
            rows = None
        return None if rows is None else rows.texts
    pairs = compares_texts(module.task)
    if not isinstance(calibration, str | Path):
        given: Iterable[Any] = many_texts(calibration)
        return list(islice(given, _MOST_TEXTS))
    folder = module.folder or Path()
    read = RunTexts(corpus_files([calibration]), folder, reading, pairs, shared)
    texts = list(islice(read, _MOST_TEXTS))
    return [pair_of_line(text) for text in texts] if pairs else texts
