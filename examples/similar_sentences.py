"""Find the sentences most like a question: vectors, and their cosines with NumPy.

    python examples/similar_sentences.py [QUERY ...] [--file FILE] [--vectors vectors.npy]

It searches the travel questions in `examples/crosswoz_intent/dev.tsv`. Vectors that `hub embed FILE
--output vectors.npy` wrote are used with `--vectors`; without, the texts are embedded at once.

Only RocketQA's models and SimBERT in the catalogue were taught to compare sentences: a merely
pretrained one finds texts that share words. One fine-tuned on your labels groups texts as the
labels do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import hub
from hub.data.texts import read_texts

DATA = Path(__file__).parent / "crosswoz_intent" / "dev.tsv"
QUERIES = ["这家酒店的电话是多少", "附近有什么好吃的"]


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors divided by their lengths: a dot product of two is their cosine."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("queries", nargs="*", default=QUERIES, help="what to look for")
    parser.add_argument("--file", type=Path, default=DATA, help="a table, or .txt: a text a line")
    parser.add_argument("--text-column", help="the column of the text")
    parser.add_argument("--vectors", type=Path, help="the file's vectors, as hub embed wrote them")
    parser.add_argument("--model", default="ernie-pocket-zh", help="a name or a folder")
    parser.add_argument("--rows", type=int, help="search so many of the first rows only")
    parser.add_argument("--top", type=int, default=5, help="so many sentences for each query")
    arguments = parser.parse_args()

    texts = list(read_texts(arguments.file, arguments.text_column))[: arguments.rows]
    module = hub.Module(name=arguments.model)
    if arguments.vectors is None:
        vectors = module.get_embedding(texts)
    else:
        vectors = np.load(arguments.vectors, mmap_mode="r")[: arguments.rows]
        if vectors.shape != (len(texts), module.config.hidden_size):
            parser.error(
                f"{arguments.vectors} has the shape {vectors.shape}; {arguments.file} has "
                f"{len(texts)} texts and the model a width of {module.config.hidden_size}."
            )

    cosines = unit(module.get_embedding(arguments.queries)) @ unit(vectors).T
    for query, row in zip(arguments.queries, cosines, strict=True):
        print(query)
        # A text that stands in the file several times is shown once.
        best: dict[str, float] = {}
        for number in np.argsort(-row, kind="stable"):
            best.setdefault(texts[number], float(row[number]))
            if len(best) == arguments.top:
                break
        for text, cosine in best.items():
            print(f"  {cosine:.3f}  {text}")


if __name__ == "__main__":
    main()
