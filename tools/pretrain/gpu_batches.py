"""Batches that are assembled and masked on the GPU, which the CPU could not do fast enough."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from batches import BEGINS_WORD, CLS, ID, MASK, NGRAM_WEIGHTS, SEP, SPECIAL, Corpus


class GpuCorpus:
    """A corpus's ids on a device, and its batches without end.

    Args:
        corpus: the texts.
        device: where they are to be.
        seed: of the order of the batches.
    """

    def __init__(self, corpus: Corpus, device: str, seed: int) -> None:
        self._corpus, self._device, self._seed = corpus, device, seed
        self._ids = torch.from_numpy(corpus.ids.astype(np.int32)).to(device)
        self._rarity = torch.from_numpy(corpus.rarity).float().to(device)
        self._offsets = torch.arange(1024, device=device)
        self._epoch, self._order = 0, iter(corpus.order(seed))

    @property
    def tokens(self) -> int:
        return self._corpus.tokens

    def rows(self) -> torch.Tensor:
        """The next batch's texts with `[CLS]` and `[SEP]`, int32 [B, T], word bits in them."""
        texts = next(self._order, None)
        if texts is None:
            self._epoch += 1
            self._order = iter(self._corpus.order(self._seed + self._epoch))
            texts = next(self._order)
        starts = torch.from_numpy(self._corpus.starts[texts]).to(self._device, non_blocking=True)
        inner = self._ids[starts[:, None] + self._offsets[: self._corpus.length(texts)]]
        edge = inner.new_full((len(texts), 1), BEGINS_WORD)
        return torch.cat([edge | CLS, inner, edge | SEP], dim=1)

    def inputs(self, part: float, vocabulary: int) -> tuple[torch.Tensor, ...]:
        """What `Pocket.losses` takes: the next batch, with this part of its tokens masked."""
        rows = self.rows()
        ids = (rows & ID).long()
        weights = self._rarity[ids]
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
        bag = torch.stack([ids.float(), weights], dim=-1)
        return *mask(rows, part, vocabulary), bag


@cache
def _starting(part: float) -> float:
    """How likely a word must begin an n-gram so that this part of all words is in one."""
    reach = np.cumsum(NGRAM_WEIGHTS[::-1])[::-1]  # of at least 1, 2, ... words
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - np.prod(1 - middle * reach) < part else (low, middle)
    return low


def mask(
    rows: torch.Tensor, part: float, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mask whole words and n-grams of them, as `batches.mask` does, without waiting for the device.

    Its number of places is fixed by the batch's shape; where fewer tokens were drawn, the last
    places are of tokens that stand there unmasked.

    Returns:
        The ids [B, T], the places to guess in the batch read row by row [N], what stood there [N].
    """
    ids = (rows & ID).long()
    count, length = ids.shape
    own = ids >= SPECIAL
    words = (((rows & BEGINS_WORD) > 0) | ~own).cumsum(1) - 1  # their numbers in the row
    begins = torch.rand(ids.shape, device=ids.device) < _starting(part)
    reach = torch.tensor(np.cumsum(NGRAM_WEIGHTS), dtype=torch.float32).to(ids.device)
    sizes = torch.bucketize(torch.rand(ids.shape, device=ids.device), reach) + 1
    drawn = begins.clone()
    for back in range(1, len(NGRAM_WEIGHTS)):
        drawn[:, back:] |= begins[:, :-back] & (sizes[:, :-back] > back)
    chosen = (drawn.gather(1, words) & own).flatten()
    keys = chosen.float() + own.flatten() * torch.rand(count * length, device=ids.device)
    places = keys.topk(int(part * count * (length - 2))).indices
    flat = ids.flatten()
    targets = flat[places]
    fate = torch.rand(len(places), device=ids.device)
    others = torch.randint(SPECIAL, vocabulary, fate.shape, device=ids.device)
    masked = torch.where(fate < 0.8, MASK, torch.where(fate < 0.9, targets, others))
    masked = torch.where(chosen[places], masked, targets)
    return flat.scatter(0, places, masked).view(count, length), places, targets
