"""A version from its folder to an engine that has proved itself.

Before a version may answer anybody it has answered texts of all lengths with finite numbers, fast
enough; it does its predecessor's task with at least its labels; and if its folder has a
`golden.json`, it gives the answers that stand there.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import DEFAULT_MAX_SEQ_LEN, GOLDEN_FILE
from hub.data.batches import Batch
from hub.errors import HubError, ModelError, ServingError
from hub.inference.loading import Answering, load
from hub.registry.manifest import read_manifest
from hub.serving.answers import essence
from hub.serving.engine import Engine, Wishes
from hub.serving.plans import VersionPlan
from hub.serving.settings import Settings
from hub.serving.sources import check_unchanged
from hub.tasks import SentenceEmbedding, Task
from hub.tokenizers import Text

logger = logging.getLogger(__name__)

_PROBES = (
    "你好",
    "",
    "帮我查一下明天 8:30 从北京到上海的高铁票，要 2 张二等座，谢谢！",
    "天气" * 200,
)


def open_version(
    plan: VersionPlan, settings: Settings, like: Task | None = None, force: bool = False
) -> Engine:
    """Load and try a version; it takes seconds and belongs into a thread.

    Args:
        plan: the version.
        settings: the service's.
        like: the task that it takes over, if it has a predecessor.
        force: whether another task, or other labels, are meant.

    Raises:
        HubError: it cannot be loaded, or did not prove itself.
    """
    check_unchanged(plan.folder, plan.digest)
    model = _load(plan, settings)
    if like is not None and not force and model.task is not None:
        _check_like(model.task, like)
    _check_columns(model)
    engine = Engine(model, settings.batch_size)
    _warm_up(engine, settings)
    _check_golden(engine, Path(plan.folder))
    check_unchanged(plan.folder, plan.digest)
    return engine


def _load(plan: VersionPlan, settings: Settings) -> Answering:
    try:
        manifest = read_manifest(Path(plan.folder), check_content=False)
        pretrained = manifest is None or manifest.task is None
        task = settings.task if pretrained else None
        try:
            return load(plan.folder, settings.threads, task)
        except ModelError:
            if task is not None or not pretrained:
                raise
            # A pretrained model answers with vectors, as PaddleHub's serving has it.
            return load(plan.folder, settings.threads, SentenceEmbedding.name)
    except HubError:
        raise
    except Exception as error:  # whatever a damaged file makes a library raise
        raise ModelError(f"{plan.folder} cannot be loaded: {type(error).__name__}.") from error


def _check_like(task: Task, like: Task) -> None:
    if task.name != like.name:
        raise ServingError(f"The new version is for {task.name}, the old one for {like.name}.")
    missing = [label for label in like.labels if label not in task.labels]
    if missing:
        raise ServingError(
            f"The new version lacks {len(missing)} of the old one's labels, such as "
            f"{missing[0]!r}: its callers may not expect that. Force it if it is meant."
        )


def _check_columns(model: Answering) -> None:
    """See that the network has an output for each label."""
    task = model.task
    assert task is not None  # `Engine` sees to it
    if task.name not in ("text-classification", "multi-label-classification"):
        return
    ids = np.full((1, 4), model.tokenizer.pad_token_id, np.int64)
    ones, zeros = np.ones_like(ids), np.zeros_like(ids)
    output = model.compute(Batch(np.arange(1), ids, zeros, ones))
    if output.shape[-1] != len(task.labels):
        raise ServingError(
            f"The network answers with {output.shape[-1]} numbers for {len(task.labels)} labels."
        )


def _warm_up(engine: Engine, settings: Settings) -> None:
    """Let it answer texts of all lengths, alone and in a full batch.

    Raises:
        ServingError: an answer is wrong in itself, or takes too long.
    """
    probes: list[Text] = list(engine.task.probes([*_PROBES, "好" * DEFAULT_MAX_SEQ_LEN]))
    if engine.task.pairs:
        probes = [(str(probe), "你好") for probe in probes]
    for texts in (
        *([probe] for probe in probes),
        (probes * settings.batch_size)[: settings.batch_size],
    ):
        begun = time.monotonic()
        computed = engine.compute(texts, [Wishes()] * len(texts))
        failed = next((outcome.error for outcome in computed.outcomes if outcome.error), None)
        if failed is not None:
            raise ServingError(f"The new version cannot answer a text to try it: {failed}")
        if len(texts) == 1 and time.monotonic() - begun > settings.limits.deadline_s:
            raise ServingError("The new version takes longer for a text than a request may take.")


def _check_golden(engine: Engine, folder: Path) -> None:
    """Compare answers with those that lie beside the model: [{"text": ..., "label": ...}, ...].

    Raises:
        ServingError: one differs.
    """
    path = folder / GOLDEN_FILE
    if not path.exists():
        return
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
        texts = [_text(row["text"]) for row in rows]
        wanted = [{key: value for key, value in row.items() if key != "text"} for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ServingError(
            f'{path} cannot be read: it holds [{{"text": ..., "label": ...}}, ...] ({error}).'
        ) from error
    outcomes = engine.compute(texts, [Wishes()] * len(texts)).outcomes
    for number, (outcome, row) in enumerate(zip(outcomes, wanted, strict=True), start=1):
        if outcome.answer is None:
            raise ServingError(f"Text {number} of {GOLDEN_FILE} cannot be answered.")
        try:
            expected = essence(engine.task.name, row)
        except (KeyError, TypeError, IndexError) as error:
            raise ServingError(f"Row {number} of {GOLDEN_FILE} holds no answer.") from error
        if essence(engine.task.name, outcome.answer) != expected:
            raise ServingError(f"The new version answers text {number} of {GOLDEN_FILE} otherwise.")


def _text(value: Any) -> Text:
    if isinstance(value, str):
        return value
    first, second = value
    return (str(first), str(second))
