"""The loop that answers texts: order, batches, and what it refuses."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.data.batches import Batch
from hub.errors import InputError
from hub.tasks import create_task, predict
from hub.tasks.base import encode, run, softmax
from hub.tokenizers import Encoding, WordPieceTokenizer

TOKENIZER = WordPieceTokenizer.from_vocabulary(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"甲乙丙丁"]
)
# "甲" is answered with the label "0", "乙" with "1", and so on: the token after [CLS] decides.
TASK = create_task("seq-cls", ["0", "1", "2", "3"])


def forward(batch: Batch) -> np.ndarray:
    """Logits that point at a text's first character."""
    first = batch.input_ids[:, 1] - TOKENIZER.encode(["甲"])[0].input_ids[1]
    return np.eye(4, dtype=np.float32)[np.clip(first, 0, 3)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=100), st.integers(1, 40))
def test_outputs_come_in_the_order_of_the_texts(lengths: list[int], batch_size: int) -> None:
    encodings = [Encoding([row] * n, [0] * n, False) for row, n in enumerate(lengths)]
    sizes: list[int] = []

    def first_and_length(batch: Batch) -> np.ndarray:
        assert len(batch) <= batch_size
        return np.stack([batch.input_ids[:, 0], batch.attention_mask.sum(1)], axis=1)

    outputs = run(first_and_length, encodings, 0, batch_size, sizes.append)
    assert outputs.tolist() == [[row, length] for row, length in enumerate(lengths)]
    assert outputs.dtype == np.float32
    assert sum(sizes) == len(lengths)


def test_outputs_may_have_any_shape_after_the_first_axis() -> None:
    encodings = [Encoding([7] * 3, [0] * 3, False)] * 5
    outputs = run(lambda batch: np.ones((len(batch), 2, 3), np.float32), encodings, 0, 2)
    assert outputs.shape == (5, 2, 3)


def test_no_text_at_all_is_refused_by_the_loop() -> None:
    with pytest.raises(InputError, match="no text"):
        run(forward, [], 0, 4)


@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_predict_answers_in_order_whatever_the_lengths(batch_size: int) -> None:
    texts = ["丙" * 9, "甲", "丁丁丁", "乙" * 20, "甲甲", "丙"]
    answers = predict(TASK, TOKENIZER, forward, texts, 32, batch_size, False)
    assert answers == ["2", "0", "3", "1", "0", "2"]


def test_predict_takes_any_iterable_of_strings() -> None:
    assert predict(TASK, TOKENIZER, forward, (t for t in "甲乙"), 8, 4, False) == ["0", "1"]  # type: ignore[arg-type]
    assert predict(TASK, TOKENIZER, forward, ("乙",), 8, 4, True)[0]["label"] == "1"


def test_predict_of_nothing_is_nothing() -> None:
    assert predict(TASK, TOKENIZER, forward, [], 8, 4, False) == []


def test_predict_refuses_a_single_string() -> None:
    with pytest.raises(InputError, match=r"predict\(\[text\]\)"):
        predict(TASK, TOKENIZER, forward, "甲乙", 8, 4, False)


@pytest.mark.parametrize("wrong", [None, 7, b"x", ["甲", "乙"], float("nan")])
def test_predict_refuses_what_is_not_a_string_and_names_it(wrong: object) -> None:
    with pytest.raises(InputError, match=rf"Text 1 is {type(wrong).__name__}, not a string"):
        predict(TASK, TOKENIZER, forward, ["甲", wrong], 8, 4, False)  # type: ignore[list-item]


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(InputError):
        predict(TASK, TOKENIZER, forward, ["甲"], 8, 0, False)


def test_a_lone_surrogate_is_refused_or_answered() -> None:
    """JSON can hold half of an emoji; the tokenizer's Rust cannot."""
    try:
        answers = predict(TASK, TOKENIZER, forward, ["甲\ud83d"], 8, 4, False)
    except InputError:
        return
    assert len(answers) == 1


def test_texts_that_are_cut_are_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        encodings = encode(TOKENIZER, ["甲" * 30, "甲", "乙" * 7, "乙" * 6], 8)
    assert [len(encoding.input_ids) for encoding in encodings] == [8, 3, 8, 8]
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 4 texts are longer than 8 tokens: only their beginning was read."
    ]


def test_texts_that_fit_give_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        encode(TOKENIZER, ["甲" * 6, ""], 8)
    assert not caplog.records


def test_softmax_is_a_distribution_that_keeps_the_order() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)) * 100
    probabilities = softmax(logits)
    assert probabilities.sum(-1) == pytest.approx(np.ones(50))
    assert (probabilities.argmax(-1) == logits.argmax(-1)).all()
