"""Train the WordPiece vocabulary of `ernie-pocket-zh` from a folder of text shards.

    python tools/pretrain/make_vocabulary.py CORPUS_DIR vocab.txt --size 12000

The shards are UTF-8 text, one paragraph a line, plain (`.txt`) or Zstandard-compressed
(`.txt.zst`). The result is a `vocab.txt` in BERT's form, one entry a line. It needs
`tokenizers` and `zstandard`.

Chinese characters are always single tokens (the pre-tokenizer puts spaces around them), so the
vocabulary is: the special tokens, every character frequent enough, and merged pieces for what is
left: Latin words, numbers and their continuations.
"""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from shards import lines, shards
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

# ERNIE's order: [PAD] 0, [CLS] 1, [SEP] 2, [MASK] 3.
SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]


def train(corpus: Path, size: int, characters: int) -> list[str]:
    """Return the vocabulary as a list, the position being the id."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=50,
        limit_alphabet=characters,
        special_tokens=SPECIAL_TOKENS,
        continuing_subword_prefix="##",
    )
    texts = chain.from_iterable(map(lines, shards(corpus)))
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder of .txt and .txt.zst shards")
    parser.add_argument("output", type=Path, help="the vocab.txt to write")
    parser.add_argument("--size", type=int, default=12000, help="number of entries")
    parser.add_argument("--characters", type=int, default=8000, help="single characters kept")
    arguments = parser.parse_args()
    vocabulary = train(arguments.corpus, arguments.size, arguments.characters)
    arguments.output.write_text("".join(f"{entry}\n" for entry in vocabulary), encoding="utf-8")


if __name__ == "__main__":
    main()
