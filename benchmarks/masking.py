"""Whole-word masking beside the training step that waits for it.

    python benchmarks/masking.py [--rounds 5]

The texts are the example's sentences, joined to paragraphs of about 120 characters. Measured in
turns: finding the words with jieba and with rjieba (done once for a text), drawing the masks (in
every epoch), and a training step of `ernie-pocket-zh` as a masked language model on the same
batches of 32: forward, backward and AdamW.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hub.backend import paddle
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.heads import ErnieForMaskedLM
from hub.tokenizers import load_tokenizer
from hub.tokenizers.segment import Segmenter
from hub.tokenizers.units import UnitFinder
from hub.tokenizers.whole_word import IGNORED, WholeWordMaskingCollator

ROOT = Path(__file__).parents[1]
EMBEDDED = ROOT / "hub" / "registry" / "embedded" / "ernie-pocket-zh"
BATCH, CHARACTERS = 32, 120


def paragraphs() -> list[str]:
    """The example's sentences, joined."""
    lines = (ROOT / "examples" / "crosswoz_intent" / "train.tsv").read_text("utf-8").splitlines()
    text = "".join(line.split("\t")[0] for line in lines[1:])
    return [text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS)]


def measure(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each")
    rounds = parser.parse_args().rounds

    texts = paragraphs()
    tokenizer = load_tokenizer(EMBEDDED, "ernie")
    finders = {name: UnitFinder(tokenizer, Segmenter(backend=name)) for name in ("jieba", "rjieba")}
    for finder in finders.values():
        finder.encode(texts[:1])  # loads the dictionary
    columns = finders["jieba"].encode(texts)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    collator = WholeWordMaskingCollator(tokenizer)

    paddle.seed(0)
    network = ErnieForMaskedLM(ErnieConfig.from_file(EMBEDDED / "config.json"))
    network.train()
    optimizer = paddle.optimizer.AdamW(1e-4, parameters=network.parameters())

    def train(batch: dict[str, np.ndarray]) -> None:
        positions = np.flatnonzero(batch["labels"] != IGNORED)
        given = {n: paddle.to_tensor(v) for n, v in batch.items() if n != "labels"}
        logits = network(**given, positions=paddle.to_tensor(positions))
        targets = paddle.to_tensor(batch["labels"].reshape(-1)[positions])
        paddle.nn.functional.cross_entropy(logits, targets).backward()
        optimizer.step()
        optimizer.clear_grad()

    masked = [collator(batch) for batch in batches[:4]]
    train(masked[0])
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, finder in finders.items():
            seconds.setdefault(name, []).append(measure(lambda f=finder: f.encode(texts)))
        seconds.setdefault("masks", []).append(
            measure(lambda: [collator(batch) for batch in batches])
        )
        seconds.setdefault("step", []).append(measure(lambda: [train(b) for b in masked]))

    tokens = sum(len(row["input_ids"]) for row in rows)
    chosen = sum(int((collator(batch)["labels"] != IGNORED).sum()) for batch in batches)
    counts = dict.fromkeys(("jieba", "rjieba", "masks"), (tokens, chosen))
    counts["step"] = (
        sum(int(b["attention_mask"].sum()) for b in masked),
        sum(int((b["labels"] != IGNORED).sum()) for b in masked),
    )
    names = {
        "jieba": "finding words, jieba (once a text)",
        "rjieba": "finding words, rjieba (once a text)",
        "masks": "drawing masks",
        "step": "training step",
    }
    print(f"{len(texts):,} paragraphs, {tokens:,} tokens, {chosen / tokens:.1%} of them masked")
    print(f"{'':<36} {'tokens/s':>10} {'masked/s':>10} {'ratio to the step':>18}")
    for name, title in names.items():
        total, of_them = counts[name]
        ratio = statistics.median(
            (total / s) / (counts["step"][0] / t)
            for s, t in zip(seconds[name], seconds["step"], strict=True)
        )
        median = statistics.median(seconds[name])
        print(f"{title:<36} {total / median:10,.0f} {of_them / median:10,.0f} {ratio:18,.1f}")


if __name__ == "__main__":
    main()
