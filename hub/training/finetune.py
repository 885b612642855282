"""`hub finetune`: from a data file to a model folder with its report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.backend import paddle, use_device
from hub.constants import (
    CHECKPOINT_DIRECTORY,
    DEFAULT_MODEL,
    LOG_FILE,
    METRICS_FILE,
)
from hub.data import TextDataset, load_dataset
from hub.data.loading import with_dev
from hub.files import write_text
from hub.inference.run_data import record
from hub.models.installation import check_name_is_known
from hub.module import Module
from hub.onednn import has_bfloat16
from hub.tasks import IntentSlots, LabelledTask, TokenClassification, labelled_task_type
from hub.tasks.base import Metrics, Targets, metric_title
from hub.tasks.encoded_passages import read_all
from hub.tasks.known_rows import known_rows
from hub.training.arguments import TrainingArguments
from hub.training.baseline import LinearBaseline
from hub.training.callbacks import Callback, HistoryFile
from hub.training.checkpoints import CheckpointStore
from hub.training.distillation.teacher import Teacher
from hub.training.loop import compute_outputs
from hub.training.output_folder import check_output, occupied, writing
from hub.training.parallel import be_silent, join, where_it_computes
from hub.training.provenance import versions
from hub.training.rehearsal import Estimate
from hub.training.report import Evaluation, write_report
from hub.training.trainer import Trainer, check_metric, default_arguments
from hub.wording import counted, duration

Say = Callable[[str], None]
_BASELINE_FILE = "baseline.json"


@dataclass(frozen=True)
class FinetuneResult:
    """What a run ended with: the content of `metrics.json`, and where the folder is."""

    folder: Path
    summary: dict[str, Any]


def finetune(
    train: Any,
    output: str | Path,
    *,
    dev: Any = None,
    model: str = DEFAULT_MODEL,
    task: str | None = None,
    task_options: dict[str, Any] | None = None,
    classifier_pooling: str | None = None,
    pretrained: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    skip_bad_rows: bool = False,
    scheme: str | None = None,
    repair_tags: bool = False,
    changes: dict[str, Any] | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
    teacher: Teacher | None = None,
    command: str = "",
    dry_run: bool = False,
    progress: bool = True,
    say: Say = print,
) -> FinetuneResult:
    """Fine-tune a model on a file and write its folder.

    The folder holds the model (see `hub.Module.save`), `metrics.json`,
    `metrics.jsonl` with an epoch a line, `report.md` with its plots, and a model card.

    Args:
        train: anything `hub.load_dataset` takes.
        output: the folder to write.
        dev: the same; None is the dev part of a data set known by name, and else a tenth of the
            training rows, set aside.
        model: a name of the catalogue, a team's model, or a model folder.
        task: what is to be learned, in any spelling; None finds it out from the data.
        task_options: what the task is besides its labels, such as `crf=True`.
        classifier_pooling: what a classifier reads of a text, as `hub.Module` takes it.
        pretrained: False begins with random weights of the model's shape.
        resume: go on with the unfinished run in `output`.
        overwrite: replace the model in `output`.
        text_column: the column with the text; None takes one of a usual name.
        text_pair_column: the column with the second text of a pair.
        label_column: the column with the label; None as above.
        skip_bad_rows: leave unusable rows out instead of refusing the file.
        scheme: how tags are written; None finds it out.
        repair_tags: read tags that break their scheme for what they can mean.
        changes: training arguments that differ from the model's recommended ones.
        device: where to compute: see `hub.backend.use_device`.
        callbacks: more things to do along the run.
        teacher: a model to learn from beside the labels.
        command: what the user typed, for the model card.
        dry_run: only say how long the run would take and how much memory, from a few of its steps;
            the result's summary is that estimate, and `output` is left as it is.
        progress: show a progress bar.
        say: told what happens, a line at a time.

    Raises:
        InputError: the data, the arguments or the output folder are not usable; nothing was done.
        TrainingInterrupted: Ctrl-C or SIGTERM; `resume` goes on.
    """
    folder = Path(output)
    use_device(device)
    group = join()
    if group.is_first:
        check_output(folder, resume, overwrite)
    else:
        progress, say = False, be_silent
    # What costs nothing to refuse is refused first.
    arguments = TrainingArguments().with_changes(**(changes or {}))
    if not Path(model).is_dir():
        check_name_is_known(model)

    options: dict[str, Any] = {
        "text_column": text_column,
        "text_pair_column": text_pair_column,
        "label_column": label_column,
        "skip_bad_rows": skip_bad_rows,
        "scheme": scheme,
        "repair_tags": repair_tags,
    }
    kind = None if task is None else labelled_task_type(task).name
    train_data = load_dataset(train, kind=kind, split="train", **options)
    learned = labelled_task_type(train_data.kind).from_data(train_data, **(task_options or {}))
    check_metric(arguments.metric, learned)
    train_data, dev_data = with_dev(train_data, train, dev, arguments.seed, **options)
    if skip_bad_rows:
        dev_data = known_rows(dev_data, learned)
    dev_targets = learned.targets(dev_data)
    for data in (train_data, dev_data):
        _describe(data, say)

    module = Module(
        name=model,
        task=learned.name,
        label_map=learned.labels,
        task_options=learned.options,
        classifier_pooling=classifier_pooling,
        pretrained=pretrained,
        max_seq_len=arguments.max_seq_len,
        seed=arguments.seed,
    )
    arguments = default_arguments(module).with_changes(**(changes or {}))
    metric = check_metric(arguments.metric, learned)
    trainer = Trainer(
        module,
        checkpoint_dir=folder / CHECKPOINT_DIRECTORY,
        arguments=arguments,
        callbacks=[HistoryFile(folder / LOG_FILE), *callbacks],
        teacher=teacher,
        progress=progress,
    )
    trainer.check(arguments)
    _describe_model(module, arguments.precision, say)
    if dry_run:
        trainer.checkpoint_dir = None
        estimate = trainer.rehearse(train_data, dev_data)
        _describe_estimate(estimate, say)
        return FinetuneResult(folder, estimate.to_dict())
    with occupied(folder, resume, overwrite, group.is_first):
        baseline = None
        if group.is_first:
            kept = folder / CHECKPOINT_DIRECTORY / _BASELINE_FILE
            baseline = _kept_baseline(kept) if resume else None
            if baseline is None and LinearBaseline.can_answer(learned):
                baseline = _baseline(learned, train_data, dev_data, dev_targets, metric)
                _keep_baseline(kept, baseline)
        if baseline is not None:
            shown = _show(baseline["dev"], learned)
            fitted = f"fitted in {baseline['seconds']:.1f} s"
            say(f"baseline  {baseline['name']}: {shown} on dev, {fitted}")
        started = time.monotonic()
        metrics = trainer.finetune_and_eval(train_data, dev_data, resume=resume)
        if not group.is_first:
            return FinetuneResult(folder, {})
        seconds = max(trainer.state.seconds, time.monotonic() - started)

        passages = read_all(
            module.tokenizer, dev_data.texts, module.max_seq_len, module.long_text,
            trainer.task.needs_offsets,
        )  # fmt: skip
        outputs = compute_outputs(module, passages, arguments.eval_batch_size)
        decided = trainer.task.decide(outputs, passages, module.tokenizer)
        beats = None
        if baseline is not None:
            beats = metrics[baseline["metric"]] > baseline["dev"][baseline["metric"]]
        summary = {
            "task": learned.name,
            "base_model": module.base_model,
            "pretrained": module.pretrained,
            "labels": learned.labels,
            "rows": {"train": len(train_data), "dev": len(dev_data)},
            "skipped_rows": {"train": len(train_data.skipped), "dev": len(dev_data.skipped)},
            "dev": metrics,
            "baseline": baseline,
            "beats_baseline": beats,
            "metric": metric,
            "best_epoch": trainer.state.best_epoch,
            "history": trainer.state.history,
            "seconds": round(seconds, 1),
            "arguments": arguments.to_dict(),
            "data": {
                "train": train_data.source,
                "dev": dev_data.source,
                **record(folder, train=train_data, dev=dev_data),
            },
            "command": command,
            "versions": versions(),
        }
        evaluation = Evaluation(dev_data, dev_targets, decided, outputs)
        _write_folder(folder, module, summary, trainer.task, evaluation)
        for callback in callbacks:
            callback.on_saved(folder)
        shown = _show(metrics, learned)
        say(f"model     {module.base_model}: {shown} on dev, trained in {seconds:.0f} s")
        if baseline is not None:
            say(verdict(summary))
        return FinetuneResult(folder, summary)


def _baseline(
    task: LabelledTask, train: TextDataset, dev: TextDataset, dev_targets: Targets, metric: str
) -> dict[str, Any]:
    """The linear baseline's figures, and the metric by which it is compared."""
    baseline = LinearBaseline(task).fit(train.texts, task.targets(train))
    figures = baseline.evaluate(dev.texts, dev_targets)
    return {
        "name": baseline.name,
        "seconds": baseline.seconds,
        "dev": figures,
        "metric": metric if metric in figures else next(iter(figures)),
    }


def _keep_baseline(path: Path, baseline: dict[str, Any]) -> None:
    """Keep the figures beside the run's checkpoints: to fit it again takes as long again."""
    with suppress(OSError):  # then they are measured again
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(baseline))


def _kept_baseline(path: Path) -> dict[str, Any] | None:
    """What an unfinished run has measured on the same rows: with others it is not gone on with."""
    try:
        baseline: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return baseline


def verdict(summary: dict[str, Any]) -> str:
    """One sentence: does the fine-tuned model beat the baseline?"""
    name = summary["baseline"]["metric"]
    ours, theirs = summary["dev"][name], summary["baseline"]["dev"][name]
    points = f"{abs(ours - theirs) * 100:.2f} points of {metric_title(name)}"
    if summary["beats_baseline"]:
        return f"verdict   the fine-tuned model beats the baseline by {points}."
    if ours == theirs:
        return "verdict   the fine-tuned model only equals the linear baseline."
    advice = (
        "more data or more epochs may help"
        if summary["pretrained"]
        else f"{summary['base_model']} is not pretrained; a pretrained --model will do better"
    )
    return f"verdict   the fine-tuned model LOSES to the linear baseline by {points}: {advice}."


# --- the output folder ---------------------------------------------------------------------------


def _write_folder(
    folder: Path,
    module: Module,
    summary: dict[str, Any],
    task: LabelledTask,
    evaluation: Evaluation,
) -> None:
    with writing(folder):
        module.save(folder)
        write_text(folder / METRICS_FILE, json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
        write_report(folder, summary, task, evaluation)
    CheckpointStore(folder / CHECKPOINT_DIRECTORY, {}).remove()


# --- talking -------------------------------------------------------------------------------------


def _describe(data: TextDataset, say: Say) -> None:
    for note in data.notes:
        say(f"note      {note}")
    parts = [f"data      {data.source}: {counted(len(data), 'row')}"]
    for what, counts in _counts(data).items():
        if counts:
            common, rare = next(iter(counts.items())), list(counts.items())[-1]
            parts.append(
                f"{len(counts)} {what}, from {common[0]} ({common[1]:,}) to {rare[0]} ({rare[1]:,})"
            )
    say(", ".join(parts))
    if data.skipped:
        first = data.skipped[0]
        say(
            f"skipped   {counted(len(data.skipped), 'row')} of {data.source}, the first in line "
            f"{first.line}: {first.reason}"
        )


def _counts(data: TextDataset) -> dict[str, dict[str, int]]:
    """How often each label occurs, by what the labels are."""
    if data.kind == TokenClassification.name:
        return {"types of entities": data.entity_counts()}
    if data.kind == IntentSlots.name:
        return {"intents": data.label_counts(), "types of slots": data.entity_counts()}
    return {"labels": data.label_counts()}


def _describe_model(module: Module, precision: str, say: Say) -> None:
    size = sum(parameter.size for parameter in module.network.parameters())
    trained = "" if module.pretrained else ", NOT pretrained"
    say(
        f"model     {module.name}: {module.config.num_hidden_layers} layers, "
        f"{size / 1e6:.1f} million parameters{trained}; {where_it_computes()}"
        f"{', ' + precision if precision != 'fp32' else ''}"
    )
    if precision == "fp32" and paddle.get_device() == "cpu" and has_bfloat16():
        say("          this processor trains faster with --precision bf16")


def _describe_estimate(estimate: Estimate, say: Say) -> None:
    memory = estimate.memory_mb
    say(
        f"dry run   {counted(estimate.steps, 'step')} an epoch: {duration(estimate.epoch_s)}, and "
        f"{duration(estimate.evaluation_s)} to measure the dev rows after it"
    )
    say(
        f"          at most {duration(estimate.total_s)} for {counted(estimate.epochs, 'epoch')}"
        f"{'' if memory is None else f', {memory:,.0f} MB of memory'}"
    )
    say("          nothing was written; the same command without --dry-run begins the run")


def _show(metrics: Metrics, task: LabelledTask) -> str:
    """The task's first two metrics, as far as they are there."""
    names = [name for name in task.metric_names if name in metrics][:2]
    return ", ".join(f"{metric_title(name)} {metrics[name]:.2%}" for name in names)
