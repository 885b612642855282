"""A small model taught by a large one, on labelled texts and on texts without labels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.compression.students import create_student, is_shape
from hub.data import TextDataset
from hub.data.examples import Example, Label
from hub.data.loading import with_dev
from hub.errors import InputError
from hub.module import Module
from hub.tasks import LabelledTask
from hub.tasks.encoded_passages import read_all
from hub.tasks.sequence_classification import SequenceClassification, has_pairs
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.distillation.teacher import Teacher
from hub.training.finetune import FinetuneResult, finetune
from hub.training.loop import compute_outputs
from hub.training.output_folder import check_output

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
    hidden_states: float = 0.0,
    relations: float = 0.0,
    changes: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    command: str = "",
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> FinetuneResult:
    """Fine-tune a student on what a teacher answers, and write its folder.

    The loss is the labels' and the divergence from the teacher's probabilities
    (https://arxiv.org/abs/1503.02531), and if asked for how far what passes through the encoders
    lies apart. Texts without labels have the teacher's answer for a label.

    Args:
        teacher: a fine-tuned model.
        student: a name of the catalogue, a model folder, or a shape such as "2x128" for a new model
            of 2 layers that are 128 wide: see `create_student`.
        train: labelled rows, with the teacher's labels.
        output: the folder to write; it is that of `hub finetune`.
        dev: anything `hub.load_dataset` takes; None sets a tenth of `train` aside.
        unlabelled: more texts of the same use.
        weight: the part of the loss that is the teacher's answers.
        temperature, hidden_states, relations: see `Teacher`.
        changes: training arguments that differ from the student's recommended ones. It reads as
            much of a text as its teacher, unless they say otherwise.
        resume: go on with the unfinished run in `output`.
        overwrite: replace the model in `output`.
        command: what the user typed, for the model card.
        callbacks: more things to do along the run.
        progress: show a progress bar.
        say: told what happens, a line at a time.

    Raises:
        InputError: teacher, data and student do not fit together.
        OutputError: the folder holds something.
        TrainingInterrupted: Ctrl-C or SIGTERM; `resume` goes on.
    """
    check_output(Path(output), resume, overwrite)
    seed = TrainingArguments().with_changes(**(changes or {})).seed
    task = teacher.task
    if not isinstance(task, LabelledTask):
        raise InputError(f"{teacher.name} was not fine-tuned: it has no answers to teach.")
    lessons = Teacher(teacher, weight, temperature, hidden_states, relations)
    lessons.check(type(task).from_data(train, **task.structure))
    train, dev = with_dev(train, train, dev, seed)
    if unlabelled:
        if has_pairs(train):
            raise InputError("Texts without labels cannot be added to pairs of texts.")
        # What has a label needs no answer, and what is measured with is not learned from.
        known = {str(text).strip() for rows in (train, dev) for text in rows.texts}
        new = [text for text in dict.fromkeys(unlabelled) if text.strip() not in known]
        examples = [
            Example(text, label, number + 1)
            for number, (text, label) in enumerate(zip(new, _answers(teacher, new), strict=True))
        ]
        say(f"taught    {len(new):,} texts without labels have the teacher's answers")
        train = replace(train, examples=[*train.examples, *examples])
    reads_as_teacher = {"max_seq_len": teacher.max_seq_len, "long_text": teacher.long_text}
    with tempfile.TemporaryDirectory() as scratch:
        name = student
        if is_shape(student):
            name = str(create_student(student, teacher, Path(scratch), seed))
        return finetune(
            train, output, dev=dev, model=name, task=task.name, task_options=task.structure,
            changes={**reads_as_teacher, **(changes or {})}, teacher=lessons, resume=resume,
            overwrite=overwrite, command=command, callbacks=callbacks, progress=progress, say=say,
        )  # fmt: skip


def _answers(teacher: Module, texts: Sequence[str]) -> list[Label]:
    """What the teacher answers, in the form of labels."""
    task = teacher.task
    assert isinstance(task, LabelledTask)  # `distil` sees to it
    labels: list[Label] = []
    for start in range(0, len(texts), _AT_A_TIME):
        part = texts[start : start + _AT_A_TIME]
        if isinstance(task, SequenceClassification):
            answers = teacher.predict(part)
            labels += [tuple(a) if isinstance(a, list) else a for a in answers]
            continue
        passages = read_all(
            teacher.tokenizer, part, teacher.max_seq_len, teacher.long_text, task.needs_offsets
        )
        outputs = compute_outputs(teacher, passages, 64)
        labels += task.decide(outputs, passages, teacher.tokenizer)
    return labels
