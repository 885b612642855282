"""Turn text shards into token ids for pretraining: uint16, the highest bit set where a word begins.

    python tools/pretrain/tokenize_corpus.py CORPUS_DIR IDS_DIR [--share zhihu=0.35 law=0.06 ...]

CORPUS_DIR holds UTF-8 shards, one text a line, plain (`.txt`) or Zstandard-compressed (`.txt.zst`).
Each becomes a `.npy` of the ids of its texts, `[SEP]` after each. --share takes a part of a shard's
lines, chosen by a fixed seed. It needs `zstandard`, and `rjieba` to be fast.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from batches import BEGINS_WORD

from hub.data.corpus import corpus_files, read_corpus
from hub.tokenizers import Tokenizer, load_tokenizer
from hub.tokenizers.units import NO_UNIT, UnitFinder

EMBEDDED = Path(__file__).parents[2] / "hub" / "registry" / "embedded" / "ernie-pocket-zh"
_LONGEST = 2_000  # characters of a line
_BATCH = 2_000


def chosen(shard: Path, share: float) -> Iterator[str]:
    """The lines of a shard that are not blank, or a part of them."""
    generator = random.Random(shard.name)
    for text in read_corpus([shard]):
        if share >= 1 or generator.random() < share:
            yield text[:_LONGEST]


def encode(finder: UnitFinder, texts: list[str], tokenizer: Tokenizer) -> np.ndarray:
    """The ids of texts, one after the other."""
    (separator,) = tokenizer.encode([""])[0].input_ids[1:]
    columns = finder.encode(texts)
    parts = []
    for ids, units in zip(columns["input_ids"], columns["units"], strict=True):
        own = np.array(ids[1:-1], np.uint16)
        of = np.array(units[1:-1])
        begins = np.diff(of, prepend=NO_UNIT) != 0
        parts += [own | np.where(begins, BEGINS_WORD, 0).astype(np.uint16), [separator]]
    return np.concatenate(parts).astype(np.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", nargs="*", default=[], metavar="SHARD=PART")
    arguments = parser.parse_args()
    shares = {name: float(part) for name, part in (s.split("=") for s in arguments.share)}
    tokenizer = load_tokenizer(EMBEDDED, "ernie")
    finder = UnitFinder(tokenizer, max_seq_len=_LONGEST * 2)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for shard in corpus_files([arguments.corpus]):
        name = shard.name.split(".")[0]
        texts = chosen(shard, shares.get(name, 1.0))
        parts = []
        while batch := list(islice(texts, _BATCH)):
            parts.append(encode(finder, batch, tokenizer))
        if parts:
            ids = np.concatenate(parts)
            np.save(arguments.output / f"{name}.npy", ids)
            print(f"{name}: {len(ids):,} tokens", flush=True)


if __name__ == "__main__":
    main()
