"""A small model taught by a large one, on labelled texts and on texts without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.compression.rewriting import check_output
from hub.data import TextDataset
from hub.data.examples import Example
from hub.errors import InputError
from hub.module import Module
from hub.tasks.sequence_classification import SequenceClassification, has_pairs
from hub.training.callbacks import Callback
from hub.training.distillation import Teacher
from hub.training.finetune import FinetuneResult, finetune

# Texts that the teacher is asked about at a time.
_AT_A_TIME = 2_000


def distil(
    teacher: Module,
    student: str,
    train: TextDataset,
    output: str | Path,
    *,
    dev: Any = None,
    unlabelled: Sequence[str] = (),
    weight: float = 0.7,
    temperature: float = 2.0,
    changes: dict[str, Any] | None = None,
    overwrite: bool = False,
    command: str = "",
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> FinetuneResult:
    """Fine-tune a student on what a teacher answers, and write its folder.

    The loss is the labels' cross-entropy and the divergence from the teacher's probabilities
    (https://arxiv.org/abs/1503.02531). Texts without labels have the teacher's answer for a label.

    Args:
        teacher: a fine-tuned classifier.
        student: a name of the catalogue or a model folder.
        train: labelled rows, with the teacher's labels.
        output: the folder to write; it is that of `hub finetune`.
        dev: anything `hub.load_dataset` takes; None sets a tenth of `train` aside.
        unlabelled: more texts of the same use.
        weight: the teacher's part of the loss.
        temperature: see `Teacher`.
        changes: training arguments that differ from the student's recommended ones.
        overwrite: replace the model in `output`.
        command: what the user typed, for the model card.
        callbacks: more things to do along the run.
        progress: show a progress bar.
        say: told what happens, a line at a time.

    Raises:
        InputError: teacher, data and student do not fit together.
        OutputError: the folder holds something.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    check_output(Path(output), overwrite)
    task = teacher.task
    if not isinstance(task, SequenceClassification):
        raise InputError(
            f"{teacher.name} does not classify texts; only classifiers teach and are taught."
        )
    lessons = Teacher(teacher, weight, temperature)
    lessons.check(type(task).from_data(train))
    if dev is None:
        train, dev = train.split(0.1, (changes or {}).get("seed") or 42)
    if unlabelled:
        if has_pairs(train):
            raise InputError("Texts without labels cannot be added to pairs of texts.")
        known = set(train.texts)
        new = [text for text in dict.fromkeys(unlabelled) if text not in known]
        examples: list[Example] = []
        for start in range(0, len(new), _AT_A_TIME):
            part = new[start : start + _AT_A_TIME]
            answers = teacher.predict(part)
            examples += [
                Example(text, label, start + place + 1)
                for place, (text, label) in enumerate(zip(part, answers, strict=True))
            ]
        say(f"taught    {len(new):,} texts without labels have the teacher's answers")
        train = replace(train, examples=[*train.examples, *examples])
    return finetune(
        train, output, dev=dev, model=student, task=task.name, changes=changes, teacher=lessons,
        overwrite=overwrite, command=command, callbacks=callbacks, progress=progress, say=say,
    )  # fmt: skip
