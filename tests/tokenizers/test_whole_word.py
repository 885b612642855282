"""Whole-word masking: what is masked, how much, and that it can be done again."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import InputError
from hub.tokenizers import Tokenizer, WordPieceTokenizer, read_vocabulary
from hub.tokenizers.knowledge import KnowledgeDictionary
from hub.tokenizers.units import NO_UNIT, UnitFinder
from hub.tokenizers.whole_word import IGNORED, MaskingArguments, WholeWordMaskingCollator

ROOT = Path(__file__).parents[2]
VOCABULARY = ROOT / "hub" / "registry" / "embedded" / "ernie-pocket-zh" / "vocab.txt"
PHRASES = [("北京大学", "ORG"), ("天安门", "LOC"), ("deep learning", "")]

_PIECES = (
    "北京大学", "天安门", "我", "爱", "学习", "的", "研究生命起源", "deep learning", "iPhone15",
    "，", "。", " ", "2024年", "𠀀", "😀", "[MASK]", "[UNK]", "unbelievable", "あ",
)  # fmt: skip
_TEXTS = st.lists(st.sampled_from(_PIECES), max_size=40).map("".join)
_ROWS = st.lists(st.one_of(_TEXTS, st.tuples(_TEXTS, _TEXTS)), min_size=1, max_size=6)
_ARGUMENTS = st.builds(
    MaskingArguments,
    probability=st.floats(0.01, 0.99),
    ngram_weights=st.lists(st.floats(0, 1), min_size=1, max_size=5)
    .filter(lambda weights: sum(weights) > 0.01)
    .map(tuple),
    seed=st.integers(0, 2**62),
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer.from_vocabulary(read_vocabulary(VOCABULARY))


@pytest.fixture(scope="module")
def finder(tokenizer: Tokenizer) -> UnitFinder:
    return UnitFinder(tokenizer, knowledge=KnowledgeDictionary(PHRASES), max_seq_len=64)


@pytest.fixture(scope="module")
def sentences(finder: UnitFinder) -> list[dict[str, Any]]:
    path = ROOT / "examples" / "crosswoz_intent" / "train.tsv"
    texts = [line.split("\t")[0] for line in path.read_text("utf-8").splitlines()[1:]]
    return rows_of(finder, texts)


def rows_of(finder: UnitFinder, texts: Any) -> list[dict[str, Any]]:
    columns = finder.encode(texts)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@settings(max_examples=120, deadline=None)
@given(texts=_ROWS, arguments=_ARGUMENTS, epoch=st.integers(0, 1000))
def test_every_batch_keeps_the_promises(
    finder: UnitFinder, texts: Any, arguments: MaskingArguments, epoch: int
) -> None:
    rows = rows_of(finder, texts)
    collator = WholeWordMaskingCollator(finder.tokenizer, arguments)
    collator.epoch = epoch
    batch = collator(rows)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids, labels = batch["input_ids"][number], batch["labels"][number]
        units = np.array(row["units"])
        chosen = labels[:length] != IGNORED
        # The original text can be recovered.
        assert np.where(chosen, labels[:length], ids[:length]).tolist() == row["input_ids"]
        # Never a special token, nor padding.
        assert not chosen[units == NO_UNIT].any()
        assert (labels[length:] == IGNORED).all()
        assert (ids[length:] == finder.tokenizer.pad_token_id).all()
        assert batch["attention_mask"][number].tolist() == [
            int(place < length) for place in range(len(ids))
        ]
        assert batch["token_type_ids"][number, :length].tolist() == row["token_type_ids"]
        # Whole units only.
        for unit in set(units[units != NO_UNIT].tolist()):
            assert len(set(chosen[units == unit].tolist())) == 1
        # Never more than the budget.
        own = int((units != NO_UNIT).sum())
        budget = max(1, round(arguments.probability * own))
        assert chosen.sum() <= budget
        # And as much of it as units of this length allow.
        sizes = Counter(units[units != NO_UNIT].tolist())
        left = [size for unit, size in sizes.items() if not chosen[units == unit].any()]
        assert not left or min(left) > budget - chosen.sum()


@settings(max_examples=25, deadline=None)
@given(texts=_ROWS, arguments=_ARGUMENTS, epoch=st.integers(0, 10))
def test_masks_depend_on_seed_epoch_and_text_alone(
    finder: UnitFinder, texts: Any, arguments: MaskingArguments, epoch: int
) -> None:
    rows = rows_of(finder, texts)
    together = WholeWordMaskingCollator(finder.tokenizer, arguments)
    together.epoch = epoch
    batch = together(rows)
    for number, row in enumerate(rows):
        alone = WholeWordMaskingCollator(finder.tokenizer, arguments)
        alone([rows[-1 - number]])  # what was drawn before does not matter
        alone.epoch = epoch
        single = alone([row])
        length = len(row["input_ids"])
        for name, values in single.items():
            assert values[0].tolist() == batch[name][number, :length].tolist()


@lru_cache
def collator_of(tokenizer: Tokenizer, arguments: MaskingArguments) -> WholeWordMaskingCollator:
    return WholeWordMaskingCollator(tokenizer, arguments)


def masks(
    tokenizer: Tokenizer, rows: list[dict[str, Any]], epoch: int = 0, **changes: Any
) -> dict[str, np.ndarray]:
    collator = collator_of(tokenizer, MaskingArguments(**changes))
    collator.epoch = epoch
    return collator(rows)


def test_masks_are_fresh_in_every_epoch_and_with_every_seed(
    tokenizer: Tokenizer, sentences: list[dict[str, Any]]
) -> None:
    first = masks(tokenizer, sentences)["labels"]
    assert (masks(tokenizer, sentences)["labels"] == first).all()
    for other in (masks(tokenizer, sentences, epoch=1), masks(tokenizer, sentences, seed=7)):
        both = ((first != IGNORED) & (other["labels"] != IGNORED)).sum()
        # Two independent draws of 15 % share about 15 % of their tokens.
        assert both < 0.3 * (first != IGNORED).sum()


def test_about_fifteen_percent_of_the_tokens_are_chosen(
    tokenizer: Tokenizer, sentences: list[dict[str, Any]]
) -> None:
    own = sum(unit != NO_UNIT for row in sentences for unit in row["units"])
    chosen = (masks(tokenizer, sentences)["labels"] != IGNORED).sum()
    assert 0.13 < chosen / own < 0.155


def test_of_the_chosen_80_10_10(tokenizer: Tokenizer, sentences: list[dict[str, Any]]) -> None:
    batch = masks(tokenizer, sentences)
    chosen = batch["labels"] != IGNORED
    ids, original = batch["input_ids"][chosen], batch["labels"][chosen]
    count = len(ids)
    assert count > 5_000
    masked = (ids == tokenizer.mask_token_id).sum() / count
    kept = (ids == original).sum() / count
    assert abs(masked - 0.8) < 0.015
    assert abs(kept - 0.1) < 0.012
    drawn = ids[(ids != tokenizer.mask_token_id) & (ids != original)]
    assert not set(drawn.tolist()) & tokenizer.special_ids
    # From all of the vocabulary: its four quarters alike.
    quarters = np.bincount(drawn * 4 // tokenizer.id_count, minlength=4) / len(drawn)
    assert (abs(quarters - 0.25) < 0.06).all()


def test_every_place_of_a_text_is_as_likely(tokenizer: Tokenizer) -> None:
    words = ["北京", "大学", "学习", "研究", "生命", "起源", "朋友", "工作", "世界", "城市"]
    row = rows_of(UnitFinder(tokenizer), ["，".join(words)])[0]
    hits = np.zeros(len(row["input_ids"]))
    for epoch in range(1_500):
        batch = masks(tokenizer, [row], epoch, ngram_weights=(1.0,))
        hits += batch["labels"][0] != IGNORED
    own = [unit for unit in row["units"] if unit != NO_UNIT]
    of_words = hits[[n for n, unit in enumerate(row["units"]) if own.count(unit) == 2]]
    assert len(of_words) == 20
    assert of_words.max() / of_words.min() < 1.4


def test_ngrams_come_with_their_weights(tokenizer: Tokenizer) -> None:
    # 400 words of one token each, so few of them chosen that two n-grams hardly ever touch.
    row = {
        "input_ids": [1, *[100] * 400, 2],
        "token_type_ids": [0] * 402,
        "units": [NO_UNIT, *range(400), NO_UNIT],
        "knowledge": [],
    }
    runs: Counter[int] = Counter()
    for epoch in range(800):
        batch = masks(tokenizer, [row], epoch, probability=0.03)
        places = np.flatnonzero(batch["labels"][0] != IGNORED)
        for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
            runs[len(run)] += 1
    total = sum(runs.values())
    # The last n-gram of a text is cut to what is left of its budget, and so a little shorter.
    for length, weight in enumerate((0.4, 0.3, 0.2, 0.1), start=1):
        assert abs(runs[length] / total - weight) < 0.09
    assert runs[1] > runs[2] > runs[3] > runs[4]


def test_an_ngram_stays_in_its_text_of_a_pair(tokenizer: Tokenizer) -> None:
    # Two texts of two words each: an n-gram that crossed would take more than two.
    row = {
        "input_ids": [1, 100, 101, 2, 102, 103, 2],
        "token_type_ids": [0, 0, 0, 0, 1, 1, 1],
        "units": [NO_UNIT, 0, 1, NO_UNIT, 2, 3, NO_UNIT],
        "knowledge": [],
    }
    crossed = masked_in_both = 0
    for epoch in range(400):
        labels = masks(
            tokenizer, [row], epoch, probability=0.5, ngram_weights=(0.0, 1.0)
        )["labels"][0]  # fmt: skip
        chosen = np.flatnonzero(labels != IGNORED).tolist()
        assert len(chosen) == 2
        crossed += chosen == [2, 4]
        masked_in_both += chosen[0] < 3 < chosen[1]
    # Both halves are masked, at times together: when a text's last word was drawn first.
    assert masked_in_both > 0
    first_half = sum(
        (masks(tokenizer, [row], e, probability=0.25)["labels"][0][:3] != IGNORED).any()
        for e in range(400)
    )
    assert 120 < first_half < 280
    # [2, 4] still comes of two draws, once in 12; an n-gram that crossed would make it once in 4.
    assert crossed < 400 / 6


def test_phrases_go_before_words(finder: UnitFinder) -> None:
    row = rows_of(finder, ["我们明天上午一起去北京大学学习怎么写论文好不好呀谢谢大家"])[0]
    assert row["knowledge"]
    places = [n for n, unit in enumerate(row["units"]) if unit in row["knowledge"]]
    assert len(places) == 4
    for epoch in range(50):
        labels = masks(finder.tokenizer, [row], epoch)["labels"][0]
        assert (labels[places] != IGNORED).all()


def test_a_short_text_has_one_token_masked_if_a_word_is_so_short(tokenizer: Tokenizer) -> None:
    finder = UnitFinder(tokenizer)
    rows = rows_of(finder, ["好", "天安门", "", "𠀀"])
    counts = (masks(tokenizer, rows)["labels"] != IGNORED).sum(axis=1).tolist()
    assert counts == [1, 0, 0, 0]  # 天安门 is one word of three, which a budget of one cannot pay


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probability": 0.0}, "probability"),
        ({"probability": 1.0}, "probability"),
        ({"probability": float("nan")}, "probability"),
        ({"ngram_weights": ()}, "ngram_weights"),
        ({"ngram_weights": (0.0, 0.0)}, "ngram_weights"),
        ({"ngram_weights": (1.0, -0.1)}, "ngram_weights"),
        ({"mask_share": 0.9, "random_share": 0.2}, "mask_share"),
        ({"mask_share": -0.1}, "mask_share"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_arguments_out_of_their_limits_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskingArguments(**changes)
