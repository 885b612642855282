"""Word vectors to start pretraining from: what stands near what in the corpus, factorised.

    python tools/pretrain/warm_start.py IDS_DIR warm_start.npz --dimensions 286

Positive pointwise mutual information of tokens up to five apart, nearer ones counting more, then a
truncated singular value decomposition (https://doi.org/10.1162/tacl_a_00134). It holds a matrix of
the vocabulary's size squared in memory. It needs `torch`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

_WINDOW, _CHUNK, _SPECIAL = 5, 10_000_000, 5


def counts_of(ids: np.ndarray, size: int) -> np.ndarray:
    """How often tokens stand together, float32 [V, V], each pair divided by its distance."""
    counts = np.zeros(size * size, np.float32)
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK].astype(np.int64)
        for distance in range(1, _WINDOW + 1):
            left, right = chunk[:-distance], chunk[distance:]
            both = (left >= _SPECIAL) & (right >= _SPECIAL)
            pairs = left[both] * size + right[both]
            counts += np.bincount(pairs, minlength=size * size).astype(np.float32) / distance
    counts = counts.reshape(size, size)
    return counts + counts.T


def vectors_of(counts: np.ndarray, dimensions: int) -> np.ndarray:
    """A vector of length 1 for each token, float32 [V, dimensions]."""
    totals = counts.sum(axis=1) + 1e-6
    context = totals**0.75
    context /= context.sum()
    counts /= totals[:, None]
    counts /= context[None, :]
    np.log(np.maximum(counts, 1e-9), out=counts)
    np.maximum(counts, 0, out=counts)
    torch.manual_seed(0)
    left, values, _ = torch.svd_lowrank(torch.from_numpy(counts), q=dimensions + 20, niter=3)
    vectors = (left[:, :dimensions] * values[:dimensions].sqrt()).numpy()
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.maximum(lengths, 1e-6)
    unseen = lengths[:, 0] < 1e-3
    noise = np.random.default_rng(0).normal(size=(int(unseen.sum()), dimensions))
    vectors[unseen] = noise / np.sqrt(dimensions)
    return vectors.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ids", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--vocabulary", type=int, default=12_000)
    parser.add_argument("--dimensions", type=int, default=286)
    arguments = parser.parse_args()
    files = sorted(arguments.ids.glob("*.npy"))
    ids = np.concatenate([np.load(path) for path in files]) & 0x7FFF
    vectors = vectors_of(counts_of(ids, arguments.vocabulary), arguments.dimensions)
    frequencies = np.bincount(ids, minlength=arguments.vocabulary)
    np.savez(arguments.output, vectors=vectors, frequencies=frequencies)


if __name__ == "__main__":
    main()
