"""The CRF beside the sum over all sequences of tags, and its decoding beside all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hub.backend import paddle
from hub.data.tags import can_follow
from hub.errors import InputError
from hub.models.ernie.crf import LinearChainCRF
from hub.tasks.crf import CrfDecoder, keeps_the_scheme, likeliest_legal

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
K = len(LABELS)


def scores(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return (
        generator.normal(size=(K, K)).astype(np.float32),
        generator.normal(size=K).astype(np.float32),
        generator.normal(size=K).astype(np.float32),
    )


def score_of(
    tags: tuple[int, ...], emissions: np.ndarray, parts: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> float:
    transitions, start, end = parts
    value = start[tags[0]] + end[tags[-1]] + sum(emissions[n, tag] for n, tag in enumerate(tags))
    return float(value + sum(transitions[a, b] for a, b in itertools.pairwise(tags)))


def is_legal(tags: tuple[int, ...]) -> bool:
    names: list[str | None] = [None, *(LABELS[tag] for tag in tags)]
    return all(can_follow(a, str(b)) for a, b in itertools.pairwise(names))


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_that_of_all_sequences(seed: int) -> None:
    parts = scores(seed)
    generator = np.random.default_rng(seed + 100)
    lengths = [4, 1, 3, 2]
    emissions = generator.normal(size=(len(lengths), 4, K)).astype(np.float32)
    tags = generator.integers(0, K, (len(lengths), 4))
    mask = np.array([[float(n < length) for n in range(4)] for length in lengths], np.float32)
    crf = LinearChainCRF(K)
    for name, value in zip(("transitions", "start", "end"), parts, strict=True):
        getattr(crf, name).set_value(value)
    loss = crf.loss(*map(paddle.to_tensor, (emissions, tags, mask)))
    expected = 0.0
    for row, length in enumerate(lengths):
        every = [
            score_of(t, emissions[row], parts) for t in itertools.product(range(K), repeat=length)
        ]
        right = score_of(tuple(tags[row, :length]), emissions[row], parts)
        expected += np.logaddexp.reduce(every) - right
    assert float(loss) == pytest.approx(expected / sum(lengths), rel=1e-4)
    loss.backward()
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in crf.parameters())


@pytest.mark.parametrize("seed", range(6))
def test_the_best_legal_tags_and_how_likely_they_are(seed: int) -> None:
    parts = scores(seed)
    generator = np.random.default_rng(seed)
    texts = [generator.normal(size=(length, K)) * 2 for length in (3, 1, 5, 0, 4, 2)]
    tags, shares = CrfDecoder(LABELS, *parts).decode(texts)
    assert [len(found) for found in tags] == [len(text) for text in texts]
    for text, found, likely in zip(texts, tags, shares, strict=True):
        if not len(text):
            continue
        every = [t for t in itertools.product(range(K), repeat=len(text)) if is_legal(t)]
        values = np.array([score_of(t, text, parts) for t in every])
        assert tuple(found) == every[int(values.argmax())]
        weights = np.exp(values - np.logaddexp.reduce(values))
        for place, tag in enumerate(found):
            mine = sum(w for t, w in zip(every, weights, strict=True) if t[place] == tag)
            assert likely[place] == pytest.approx(mine, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_without_a_crf_the_likeliest_legal_tags_are_found(seed: int) -> None:
    generator = np.random.default_rng(seed)
    texts = [generator.normal(size=(length, K)) for length in (3, 1, 5, 0, 4, 2)]
    for text, found in zip(texts, likeliest_legal(LABELS, texts), strict=True):
        every = [t for t in itertools.product(range(K), repeat=len(text)) if is_legal(t)]
        assert keeps_the_scheme(LABELS, found)
        assert tuple(found) == max(every, key=lambda t: text[np.arange(len(t)), list(t)].sum())
        for tags in itertools.product(range(K), repeat=len(text)):
            assert keeps_the_scheme(LABELS, np.array(tags, np.int64)) == is_legal(tags)


def test_no_inner_tag_after_o_whatever_was_learned() -> None:
    transitions = np.zeros((K, K))
    transitions[0, 2] = 50.0  # O to I-LOC
    emissions = np.zeros((6, K))
    emissions[:, 2] = 30.0
    emissions[0, 0] = 40.0
    (tags,), _ = CrfDecoder(LABELS, transitions, np.zeros(K), np.zeros(K)).decode([emissions])
    assert is_legal(tuple(tags))


def test_one_batch_of_texts_is_like_each_alone() -> None:
    generator = np.random.default_rng(0)
    decoder = CrfDecoder(LABELS, *scores(1))
    texts = [generator.normal(size=(generator.integers(0, 30), K)) for _ in range(150)]
    together, _ = decoder.decode(texts)
    for text, found in zip(texts, together, strict=True):
        assert decoder.decode([text])[0][0].tolist() == found.tolist()


def test_scores_of_another_number_of_tags_are_refused() -> None:
    with pytest.raises(InputError, match="CRF over 5 tags"):
        CrfDecoder(LABELS, np.zeros((4, 4)), np.zeros(4), np.zeros(4))
