"""How well a model guesses masked tokens of texts that it is not trained on."""

from __future__ import annotations

import numpy as np
import torch
from batches import Corpus, mask
from network import Pocket
from torch.nn import functional

_SEED = 7
_MASKED = 0.15
_TOKENS = 4096

Masked = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def held_out(corpus: Corpus, vocabulary: int) -> Masked:
    """The held-out texts, 15 % of their tokens masked, the same ones at every call."""
    generator = np.random.default_rng(_SEED)
    return [mask(r, _MASKED, generator, vocabulary) for r in corpus.held_out_batches(_TOKENS)]


@torch.no_grad()
def evaluate(model: Pocket, batches: Masked, device: str) -> tuple[float, float]:
    """Loss and accuracy at the masked places."""
    loss = right = count = 0.0
    for ids, places, targets in batches:
        hidden = model.encode(torch.from_numpy(ids).to(device)).flatten(0, 1)
        scores = model.scores(hidden[torch.from_numpy(places).to(device)]).float()
        truth = torch.from_numpy(targets).to(device)
        loss += functional.cross_entropy(scores, truth, reduction="sum").item()
        right += (scores.argmax(-1) == truth).sum().item()
        count += len(truth)
    return loss / count, right / count
