"""The loop that answers texts: order, batches, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.data.batches import Batch
from hub.errors import InputError
from hub.tasks import AnswerOptions, create_task
from hub.tasks import predict as predict_texts
from hub.tasks.answering import run
from hub.tasks.base import softmax
from hub.tasks.passages import Passage, read
from hub.tokenizers import Encoding, WordPieceTokenizer
from hub.tokenizers.windows import Window

TOKENIZER = WordPieceTokenizer.from_vocabulary(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"甲乙丙丁"]
)
# "甲" is answered with the label "0", "乙" with "1", and so on: the token after [CLS] decides.
TASK = create_task("seq-cls", ["0", "1", "2", "3"])


def forward(batch: Batch) -> np.ndarray:
    """Logits that point at a text's first character."""
    first = batch.input_ids[:, 1] - TOKENIZER.encode(["甲"])[0].input_ids[1]
    return np.eye(4, dtype=np.float32)[np.clip(first, 0, 3)]


def predict(
    texts: Any, max_seq_len: int = 8, batch_size: int = 4, probabilities: bool = False
) -> Any:
    """The loop with the task above."""
    options = AnswerOptions(probabilities)
    return predict_texts(
        TASK, TOKENIZER, forward, texts, max_seq_len=max_seq_len, batch_size=batch_size,
        options=options,
    )  # fmt: skip


@pytest.mark.parametrize("number", [0, 1.5, "2", None])
def test_numbers_of_answers_and_texts_are_whole(number: Any) -> None:
    message = f"must be a whole number from 1, not {number!r}"
    with pytest.raises(InputError, match=message):
        predict(["甲"], batch_size=number)
    if number is not None:
        with pytest.raises(InputError, match=message):
            AnswerOptions(top_k=number)
    assert AnswerOptions(top_k=np.int64(2)).top_k == 2  # type: ignore[arg-type]


def test_of_many_probabilities_the_best_are_given_if_asked_for() -> None:
    passages = read(TOKENIZER, ["甲"], 8, "cut", False)
    logits = [np.array([1.0, 3.0, 0.0, 2.0])]
    (every,) = TASK.decode(logits, passages, TOKENIZER, AnswerOptions(True))
    (best,) = TASK.decode(logits, passages, TOKENIZER, AnswerOptions(True, 2))
    assert list(every["probabilities"]) == ["0", "1", "2", "3"]
    assert list(best["probabilities"]) == ["1", "3"] and best["label"] == "1"
    assert best["probabilities"]["3"] == every["probabilities"]["3"]


def whole(encodings: list[Encoding]) -> list[Passage]:
    """Each encoding as a text of one window."""
    return [Passage("", [Window(encoding)]) for encoding in encodings]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=100), st.integers(1, 40))
def test_outputs_come_in_the_order_of_the_texts(lengths: list[int], batch_size: int) -> None:
    encodings = [Encoding([row] * n, [0] * n, False) for row, n in enumerate(lengths)]
    sizes: list[int] = []

    def first_and_length(batch: Batch) -> np.ndarray:
        assert len(batch) <= batch_size
        sizes.append(len(batch))
        return np.stack([batch.input_ids[:, 0], batch.attention_mask.sum(1)], axis=1)

    outputs = run(TASK, TOKENIZER, first_and_length, whole(encodings), batch_size)
    assert [o.tolist() for o in outputs] == [[row, length] for row, length in enumerate(lengths)]
    assert sum(sizes) == len(lengths)


def test_outputs_may_have_any_shape_after_the_first_axis() -> None:
    passages = whole([Encoding([7] * 3, [0] * 3, False)] * 5)
    outputs = run(TASK, TOKENIZER, lambda batch: np.ones((len(batch), 2, 3)), passages, 2)
    assert [output.shape for output in outputs] == [(2, 3)] * 5


def test_no_text_at_all_is_refused_by_the_loop() -> None:
    with pytest.raises(InputError, match="no text"):
        run(TASK, TOKENIZER, forward, [], 4)


def test_a_text_in_windows_has_the_mean_of_their_outputs() -> None:
    # "甲" decides for label 0, "乙" for 1, by the first token of a window.
    long = "甲" * 12 + "乙" * 30
    for long_text, wanted in (("cut", "0"), ("window", "1")):
        answers = predict_texts(
            TASK, TOKENIZER, forward, [long, "丙"], max_seq_len=10, long_text=long_text
        )
        assert answers == [wanted, "2"]
    (passage,) = read(TOKENIZER, [long], 10, "window")
    starts = [window.encoding.input_ids[1] for window in passage.windows]
    share = starts.count(TOKENIZER.encode(["乙"])[0].input_ids[1]) / len(starts)
    (output,) = run(TASK, TOKENIZER, forward, [passage], 3)
    assert 0.5 < share < 1 and output.tolist() == pytest.approx([1 - share, share, 0, 0])


def test_one_text_alone_has_its_answer_alone() -> None:
    assert predict("乙甲") == "1"
    assert predict("乙甲", probabilities=True)["label"] == "1"


def test_the_best_labels_come_with_their_scores() -> None:
    options = AnswerOptions(top_k=2)
    (answer,) = predict_texts(TASK, TOKENIZER, forward, ["丙"], max_seq_len=8, options=options)
    assert [row["label"] for row in answer] == ["2", "0"]
    assert answer[0]["score"] == pytest.approx(np.e / (np.e + 3))
    with pytest.raises(InputError, match="top_k"):
        AnswerOptions(top_k=0)


@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_predict_answers_in_order_whatever_the_lengths(batch_size: int) -> None:
    texts = ["丙" * 9, "甲", "丁丁丁", "乙" * 20, "甲甲", "丙"]
    answers = predict(texts, 32, batch_size, False)
    assert answers == ["2", "0", "3", "1", "0", "2"]


def test_predict_takes_any_iterable_of_strings() -> None:
    assert predict((t for t in "甲乙"), 8, 4, False) == ["0", "1"]  # type: ignore[arg-type]
    assert predict(("乙",), 8, 4, True)[0]["label"] == "1"


def test_predict_of_nothing_is_nothing() -> None:
    assert predict([], 8, 4, False) == []


@pytest.mark.parametrize("wrong", [None, 7, b"x", ["甲", "乙", "丙"], float("nan")])
def test_predict_refuses_what_is_not_a_string_and_names_it(wrong: object) -> None:
    with pytest.raises(InputError, match=rf"Text 1 is {type(wrong).__name__}, not a string"):
        predict(["甲", wrong], 8, 4, False)  # type: ignore[list-item]


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(InputError):
        predict(["甲"], 8, 0, False)


def test_a_lone_surrogate_is_refused_or_answered() -> None:
    """JSON can hold half of an emoji; the tokenizer's Rust cannot."""
    try:
        answers = predict(["甲\ud83d"], 8, 4, False)
    except InputError:
        return
    assert len(answers) == 1


def test_softmax_is_a_distribution_that_keeps_the_order() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)) * 100
    probabilities = softmax(logits)
    assert probabilities.sum(-1) == pytest.approx(np.ones(50))
    assert (probabilities.argmax(-1) == logits.argmax(-1)).all()
