"""Whether an exported graph answers as the module did: its numbers, its answers, its metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hub.data import TextDataset
from hub.errors import InputError, ModelError
from hub.module import Module
from hub.tasks import LabelledTask, Task
from hub.tasks.answering import run
from hub.tasks.base import AnswerOptions, Forward
from hub.tasks.encoded_passages import read_all
from hub.tasks.passages import Passage, encode
from hub.tokenizers import Tokenizer

EXACT_TOLERANCE = 1e-4
_BATCH = 32
# Short, long, mixed and empty texts: what a graph with a fixed shape would get wrong.
_PROBES = (
    "你好",
    "这家酒店的电话是多少",
    "帮我查一下明天 8:30 从北京到上海的高铁票，要 2 张二等座，谢谢！",
    "iPhone 15 Pro Max 多少钱？",
    "",
    "今天天气不错，" * 40,
)


@dataclass(frozen=True)
class Verification:
    """What an exported graph's output was found to be, beside the module's.

    Attributes:
        difference: the largest absolute difference of the outputs.
        agreement: the part of the texts that are answered alike.
        texts: how many texts that was seen on.
        metric: the task's first metric; None without labelled rows.
        before, after: its value for the module and for the graph, as fractions of 1.
    """

    difference: float
    agreement: float
    texts: int
    metric: str | None = None
    before: float | None = None
    after: float | None = None

    @property
    def drop(self) -> float | None:
        """How many points the metric lost; None where it was not measured."""
        if self.before is None or self.after is None:
            return None
        return 100 * (self.before - self.after)


class Reference:
    """What a module answers, computed once for all graphs that are compared with it.

    Args:
        module: what is exported.
        data: labelled rows; None compares on a few texts that are hard for a graph.
    """

    def __init__(self, module: Module, data: TextDataset | None = None) -> None:
        task, tokenizer = module.task, module.tokenizer
        if task is None:
            raise InputError(f"{module.name} has no task to answer: fine-tune it before exporting.")
        self._task, self._tokenizer = task, tokenizer
        # (passages, batch size, the module's outputs)
        self._cases: list[tuple[Any, int, list[np.ndarray]]] = []
        probes = encode(
            tokenizer, task.probes(_PROBES), module.max_seq_len, "window", task.needs_offsets
        )
        compared: list[tuple[Any, int]] = [(probes, 1), (probes, len(probes))]
        self._targets: Any = None
        if data is not None and isinstance(task, LabelledTask):
            self._targets = task.targets(data)
            rows = read_all(
                tokenizer, data.texts, module.max_seq_len, module.long_text, task.needs_offsets
            )
            compared.append((rows, _BATCH))
        for passages, size in compared:
            outputs = run(task, tokenizer, module.compute, passages, size)
            self._cases.append((passages, size, outputs))

    def verify(self, forward: Forward) -> Verification:
        """Compare a graph's output with the module's, alone and in padded batches."""
        task, tokenizer = self._task, self._tokenizer
        differences = []
        for passages, size, ours in self._cases:
            theirs = run(task, tokenizer, forward, passages, size)
            differences += [_difference(a, b) for a, b in zip(ours, theirs, strict=True)]
        alike = _agreement(task, tokenizer, list(passages), ours, theirs)
        largest = float(max(differences))
        if self._targets is None:
            return Verification(largest, alike, len(passages))
        assert isinstance(task, LabelledTask)  # only these have targets
        name = task.metric_names[0]
        before, after = (
            task.metrics(task.decide(outputs, passages, tokenizer), self._targets)[name]
            for outputs in (ours, theirs)
        )
        return Verification(largest, alike, len(passages), name, before, after)


def check_exact(found: Verification) -> None:
    """See that a graph of full precision computes what the module does.

    Raises:
        ModelError: it does not.
    """
    if not found.difference <= EXACT_TOLERANCE:
        raise ModelError(
            f"The exported graph's output differs from the module's by {found.difference:.1e} "
            f"(allowed: {EXACT_TOLERANCE:.0e}). Nothing was kept; please report this."
        )


def check_drop(found: Verification, precision: str, max_drop: float) -> None:
    """See that a graph of less precision answers well enough.

    Raises:
        ModelError: its metric lost more than `max_drop` points, or its output is no number.
    """
    if not np.isfinite(found.difference):
        raise ModelError(f"In {precision} the graph's output is not made of numbers.")
    if found.drop is not None and found.drop > max_drop:
        trained = ", or train for int8: hub compress quantize" if precision == "int8" else ""
        raise ModelError(
            f"In {precision} {found.metric} falls by {found.drop:.2f} points, from "
            f"{found.before:.2%} to {found.after:.2%} on {found.texts:,} rows: more than "
            f"{max_drop:g}, so nothing was written. Allow more with --max-drop, or export in "
            f"fp32{trained}."
        )


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    largest = np.abs(ours - theirs).max(initial=0)
    return float(largest) if np.isfinite(largest) else float("inf")


def _agreement(
    task: Task,
    tokenizer: Tokenizer,
    passages: list[Passage],
    ours: list[np.ndarray],
    theirs: list[np.ndarray],
) -> float:
    """The part of the texts whose answers are the same but for their scores."""
    if task.name == "sentence-embedding":
        pairs = zip(ours, theirs, strict=True)
        return float(np.mean([_cosine(a, b) > 0.99 for a, b in pairs]))
    said = [
        [without_scores(answer) for answer in task.decode(o, passages, tokenizer, AnswerOptions())]
        for o in (ours, theirs)
    ]
    return float(np.mean([a == b for a, b in zip(*said, strict=True)]))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 1.0


def without_scores(answer: Any) -> Any:
    """An answer without its scores; of several tokens for a mask the first."""
    if isinstance(answer, dict):
        return {k: without_scores(v) for k, v in answer.items() if k != "score"}
    if isinstance(answer, list):
        tokens = bool(answer) and isinstance(answer[0], dict) and "token_str" in answer[0]
        return [without_scores(part) for part in (answer[:1] if tokens else answer)]
    return answer
