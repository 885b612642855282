"""Tokenizers side by side: ours, the bare Rust library, and those of PaddleNLP and transformers.

    python benchmarks/tokenization.py [--paddlenlp PYTHON] [--transformers PYTHON] [--rounds 5]

The texts are 100,000 short sentences (the example's, again and again). Each round measures everyone
in turn, with tokenizers that have seen no text; a line's ratio is the median over the rounds of its
time to ours in the same round. The bare library is set up alike, and its ids and segments are read
out as Python lists, as ours are. The peers, where a Python that has them is given, tokenize 5,000
of the texts in a process of their own (loading not counted), which is scaled up.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
VOCABULARY = ROOT / "tests" / "golden" / "tokenization" / "vocab" / "ernie-1.0.txt"
ERNIE_TINY = ROOT / "tests" / "golden" / "ernie_tiny"
COUNT, PEER_COUNT = 100_000, 5_000

# Run by a peer's Python: seconds for the texts on the standard input, by each of its tokenizers.
PEER = """
import json, sys, time
import {library} as library
texts = json.load(sys.stdin)
seconds = []
for kind, folder in json.loads(sys.argv[1]):
    made = getattr(library, kind).from_pretrained(folder)
    made(texts[:10])
    start = time.perf_counter()
    made(texts, max_length=128, truncation=True)
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""
# Library -> the lines of the table, each with the tokenizer's class.
PEERS = {
    "paddlenlp.transformers": {
        "PaddleNLP": "ErnieTokenizer",
        "PaddleNLP, ernie-tiny": "ErnieTinyTokenizer",
    },
    "transformers": {"transformers": "BertTokenizer"},
}


def sentences() -> list[str]:
    """The example's sentences, repeated until they are enough."""
    rows = []
    for name in ("train", "dev", "test"):
        path = ROOT / "examples" / "crosswoz_intent" / f"{name}.tsv"
        rows += [line.split("\t")[0] for line in path.read_text("utf-8").splitlines()[1:]]
    return (rows * (COUNT // len(rows) + 1))[:COUNT]


def measure(function: Callable[[], object]) -> float:
    """Seconds, with the garbage of whoever came before out of the way."""
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peer_seconds(python: str, library: str, texts: list[str]) -> dict[str, float]:
    """A peer's seconds for COUNT texts, for each of its lines."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.txt").write_bytes(VOCABULARY.read_bytes())
        kinds = [
            (kind, str(ERNIE_TINY) if "Tiny" in kind else folder)
            for kind in PEERS[library].values()
        ]
        done = subprocess.run(
            [python, "-c", PEER.format(library=library), json.dumps(kinds)],
            input=json.dumps(texts[:PEER_COUNT]),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        )  # fmt: skip
    seconds = json.loads(done.stdout.splitlines()[-1])
    return {n: s * COUNT / PEER_COUNT for n, s in zip(PEERS[library], seconds, strict=True)}


def one_round(texts: list[str], pythons: dict[str, str]) -> dict[str, float]:
    """Everyone's seconds."""
    from hub.tokenizers import WordPieceTokenizer, load_tokenizer, read_vocabulary

    entries = read_vocabulary(VOCABULARY)
    first, second, third = (WordPieceTokenizer.from_vocabulary(entries) for _ in range(3))
    tiny, bare = load_tokenizer(ERNIE_TINY), third.backend
    bare.enable_truncation(128)
    lines: dict[str, Callable[[], object]] = {
        "hub": lambda: first.encode(texts, 128),
        "hub, with offsets": lambda: second.encode(texts, 128, return_offsets=True),
        "bare tokenizers": lambda: [(e.ids, e.type_ids) for e in bare.encode_batch(texts)],
        "hub, ernie-tiny": lambda: tiny.encode(texts, 128),
    }
    found = {name: measure(function) for name, function in lines.items()}
    for library, python in pythons.items():
        found |= peer_seconds(python, library, texts)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paddlenlp", help="a Python in which PaddleNLP 2.8 is installed")
    parser.add_argument("--transformers", help="a Python in which transformers 5 is installed")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each")
    arguments = parser.parse_args()
    given = {
        "paddlenlp.transformers": arguments.paddlenlp,
        "transformers": arguments.transformers,
    }
    pythons = {library: python for library, python in given.items() if python}

    texts = sentences()
    rounds = [one_round(texts, pythons) for _ in range(arguments.rounds)]
    print(f"{COUNT:,} sentences of {sum(map(len, texts)) / COUNT:.0f} characters")
    print(f"{'':<24} {'sentences/s':>12} {'time / hub':>11}")
    for name in rounds[0]:
        base = "hub, ernie-tiny" if name.endswith("ernie-tiny") else "hub"
        ratio = statistics.median(found[name] / found[base] for found in rounds)
        speed = COUNT / statistics.median(found[name] for found in rounds)
        print(f"{name:<24} {speed:12,.0f} {ratio:11.2f}")


if __name__ == "__main__":
    main()
