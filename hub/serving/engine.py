"""A model as the batcher sees it: texts in, an outcome for each out, one bad text harming none."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hub.errors import InputError, ModelError, RequestError
from hub.inference.loading import Answering
from hub.serving.answers import document, summary
from hub.tasks import AnswerOptions, Task
from hub.tasks.answering import run
from hub.tasks.passages import Passage, encode
from hub.tokenizers import Text

logger = logging.getLogger(__name__)


class Wishes(NamedTuple):
    """What a request wants to know besides the answer.

    Attributes:
        probabilities: every label's probability.
        top_k: so many of the best answers.
        long_text: "cut" or "window"; None is the model's own way.
    """

    probabilities: bool = False
    top_k: int | None = None
    long_text: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one text.

    Attributes:
        answer: the answer as a JSON object, or
        error: why there is none.
        labels: the labels that were given, for the metrics.
        confidence: the score of the best one, if the task has one.
        tokens: how many tokens were read.
    """

    answer: dict[str, Any] | None = None
    error: RequestError | None = None
    labels: tuple[str, ...] = ()
    confidence: float | None = None
    tokens: int = 0


@dataclass
class Computed:
    """What became of a batch.

    Attributes:
        outcomes: one a text.
        tokenize_s, inference_s: the time it took, in seconds.
        sizes: the texts of each batch that the network was given.
        tokens: the tokens of each, padding included.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    tokenize_s: float = 0.0
    inference_s: float = 0.0
    sizes: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


class Engine:
    """A loaded model.

    Args:
        model: what `hub.inference.loading.load` gives.
        batch_size: texts computed at a time.
    """

    def __init__(self, model: Answering, batch_size: int) -> None:
        if model.task is None:
            raise ModelError("The model has no task to answer.")
        self._model = model
        self.task: Task = model.task
        self.max_seq_len = model.max_seq_len
        self._batch_size = batch_size

    def size_of(self, text: Text, wishes: Wishes) -> int:
        """About how many tokens the network reads of a text: Chinese has one a character."""
        count = len(text) if isinstance(text, str) else sum(map(len, text)) + 1
        if (wishes.long_text or self._model.long_text) == "window":
            return count + 2
        return min(count + 2, self.max_seq_len)

    def compute(self, texts: Sequence[Text], wishes: Sequence[Wishes]) -> Computed:
        """Answer texts; an error of one of them is its own outcome. Never raises."""
        computed = Computed()
        try:
            computed.outcomes = self._answer(texts, wishes, computed)
        except Exception as error:
            if len(texts) > 1:
                # Somebody's text is to blame: each is asked alone, so that the others are answered.
                for text, wish in zip(texts, wishes, strict=True):
                    alone = self.compute([text], [wish])
                    computed.outcomes[len(computed.outcomes) :] = alone.outcomes
                    computed.sizes += alone.sizes
                    computed.tokens += alone.tokens
                    computed.tokenize_s += alone.tokenize_s
                    computed.inference_s += alone.inference_s
            else:
                computed.outcomes = [Outcome(error=_refusal(error, texts[0]))]
        return computed

    def _answer(
        self, texts: Sequence[Text], wishes: Sequence[Wishes], computed: Computed
    ) -> list[Outcome]:
        outcomes: list[Outcome] = [Outcome()] * len(texts)
        # One way of asking is the rule: then this is one group.
        for wish in dict.fromkeys(wishes):
            rows = [row for row, other in enumerate(wishes) if other == wish]
            answers = self._answer_alike([texts[row] for row in rows], wish, computed)
            for row, outcome in zip(rows, answers, strict=True):
                outcomes[row] = outcome
        return outcomes

    def _answer_alike(
        self, texts: Sequence[Text], wish: Wishes, computed: Computed
    ) -> list[Outcome]:
        task, tokenizer = self.task, self._model.tokenizer
        begun = time.perf_counter()
        for text in texts:
            _check_pair(text, task)
        long_text = wish.long_text or self._model.long_text
        passages = encode(tokenizer, texts, self.max_seq_len, long_text, task.needs_offsets)
        if task.name == "fill-mask":
            _check_masks(passages, tokenizer.mask_token_id)
        task.check(passages, tokenizer)
        computed.tokenize_s += time.perf_counter() - begun

        def forward(batch: Any) -> np.ndarray:
            started = time.perf_counter()
            output = self._model.compute(batch)
            computed.inference_s += time.perf_counter() - started
            computed.sizes.append(len(batch))
            computed.tokens.append(int(batch.input_ids.size))
            if not np.isfinite(output).all():
                raise ModelError("The network's output is not a number.")
            return output

        outputs = run(task, tokenizer, forward, passages, self._batch_size)
        answers = task.decode(outputs, passages, tokenizer, _options(task, wish))
        found = []
        for answer, passage in zip(answers, passages, strict=True):
            body = document(task.name, answer, wish.top_k is not None)
            labels, confidence = summary(task.name, body)
            tokens = sum(len(window.encoding.input_ids) for window in passage.windows)
            found.append(Outcome(body, None, labels, confidence, tokens))
        return found


def _options(task: Task, wish: Wishes) -> AnswerOptions:
    """What the task is asked: a score always comes along where there is one."""
    if task.name in ("text-classification", "multi-label-classification"):
        if wish.probabilities or task.name != "text-classification":
            return AnswerOptions(True, wish.top_k)
        return AnswerOptions(False, wish.top_k or 1)
    if task.name == "fill-mask":
        return AnswerOptions(False, wish.top_k)
    if wish.top_k is not None:
        raise InputError("top_k is for tasks that rank their answers.")
    return AnswerOptions(wish.probabilities and task.name == "intent-slots", None)


def _check_pair(text: Text, task: Task) -> None:
    if isinstance(text, tuple):
        if not task.takes_pairs or task.pairs is False:
            raise InputError("The model answers single texts, and this is a pair.")
    elif task.pairs:
        raise InputError("The model compares two texts: give a pair, as a list of two.")


def _check_masks(passages: Sequence[Passage], mask: int) -> None:
    """What the task checks too, here with words that repeat nothing of the text."""
    for passage in passages:
        if "[MASK]" not in passage.text and mask not in passage.input_ids:
            raise InputError("The text has no [MASK] to fill.")


def _refusal(error: Exception, text: Text) -> RequestError:
    """The answer to a text that could not be answered; it repeats nothing of the text."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, InputError):
        message = str(error)
        parts = [text] if isinstance(text, str) else list(text)
        # A message may quote a text's beginning.
        if any(len(part) > 1 and part[:10] in message for part in parts):
            message = "The model cannot answer this text."
        return RequestError(422, "unanswerable", message)
    logger.error("a text could not be computed", exc_info=error)
    return RequestError(500, "engine_failed", "The model failed on this text.")
