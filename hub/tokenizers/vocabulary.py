"""A WordPiece vocabulary from a corpus (https://arxiv.org/abs/1609.08144, as in BERT).

Chinese characters are always single tokens, as BERT's pre-tokenizer puts spaces around them. The
vocabulary is therefore: the special tokens, every character that is frequent enough, and merged
pieces of what is left, such as Latin words and numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from hub.errors import DataError, InputError
from hub.files import write_text

# ERNIE's order: [PAD] 0, [CLS] 1, [SEP] 2, [MASK] 3.
SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")


def train_vocabulary(
    texts: Iterable[str],
    size: int = 12_000,
    *,
    characters: int = 8_000,
    min_frequency: int = 50,
    lowercase: bool = True,
    progress: bool = False,
) -> list[str]:
    """Learn a vocabulary.

    Args:
        texts: the corpus.
        size: the number of entries at the most, special tokens included.
        characters: the number of single characters at the most; rarer ones become `[UNK]`.
        min_frequency: how often two pieces must stand together to be merged.
        lowercase: lower-case texts and strip accents, as the tokenizer then has to.
        progress: show a progress bar.

    Returns:
        The entries; an entry's place is its id.

    Raises:
        DataError: there are no texts.
        InputError: a number is out of its limits.
    """
    least = len(SPECIAL_TOKENS) + 1
    if size < least or characters < 1 or min_frequency < 1:
        raise InputError(
            f"A vocabulary takes at least {least} entries, 1 character and a frequency of 1; given "
            f"are {size}, {characters} and {min_frequency}."
        )
    if characters >= size:
        characters = size - len(SPECIAL_TOKENS)
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        limit_alphabet=characters,
        special_tokens=list(SPECIAL_TOKENS),
        continuing_subword_prefix="##",
        show_progress=progress,
    )
    tokenizer.train_from_iterator(texts, trainer)
    numbers = tokenizer.get_vocab()
    if len(numbers) <= len(SPECIAL_TOKENS):
        raise DataError("The corpus has no text to learn a vocabulary from.")
    # Letters that also continue words are entries twice, which may be more than was asked for.
    return sorted(numbers, key=numbers.__getitem__)[:size]


def write_vocabulary(entries: Iterable[str], path: Path) -> None:
    """Write a `vocab.txt` in BERT's form, an entry a line, whole or not at all."""
    write_text(path, "".join(f"{entry}\n" for entry in entries))
