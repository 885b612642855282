"""A WordPiece vocabulary from a corpus (https://arxiv.org/abs/1609.08144, as in BERT).

Chinese characters are always single tokens, as the tokenizer puts spaces around them. The
vocabulary is therefore: the special tokens, every character that is frequent enough, and merged
pieces of what is left, such as Latin words and numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from tqdm.auto import tqdm

from hub.errors import DataError, InputError
from hub.files import write_text
from hub.tokenizers.base import SPECIAL_TOKENS, whole_text
from hub.tokenizers.merging import learn_merges, spelled
from hub.tokenizers.wordpiece import MAX_WORD_CHARACTERS, WordPieceTokenizer


def train_vocabulary(
    texts: Iterable[str],
    size: int = 12_000,
    *,
    characters: int = 8_000,
    min_frequency: int = 50,
    lowercase: bool = True,
    style: str = "ernie",
    progress: bool = False,
) -> list[str]:
    """Learn a vocabulary.

    Args:
        texts: the corpus.
        size: the number of entries at the most, special tokens included.
        characters: the number of single characters at the most, as far as `size` has room for
            them; rarer ones become `[UNK]`.
        min_frequency: how often two pieces must stand together to be merged.
        lowercase: lower-case texts and strip accents, as the tokenizer then has to.
        style: where the tokenizer splits texts: see `WordPieceTokenizer.from_vocabulary`.
        progress: show a progress bar.

    Returns:
        The entries; an entry's place is its id. They are the special tokens, the single characters
        and the letters inside words, each by code point, and the merged pieces, the most frequent
        first. The same texts always give the same entries, in whatever order they come.

    Raises:
        DataError: there are no texts.
        InputError: a number is out of its limits.
        ModelError: there is no such style.
    """
    least = len(SPECIAL_TOKENS) + 1
    if size < least or characters < 1 or min_frequency < 1:
        raise InputError(
            f"A vocabulary takes at least {least} entries, 1 character and a frequency of 1; given "
            f"are {size}, {characters} and {min_frequency}."
        )
    characters = min(characters, size - len(SPECIAL_TOKENS))
    words = count_words(texts, lowercase, style, progress)
    if not words:
        raise DataError("The corpus has no text to learn a vocabulary from.")
    singles: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            singles[character] += count
    kept = set(_most_frequent(singles, characters))
    # A word with a rarer character is [UNK] as a whole: its pieces would never be used.
    usable = {word: count for word, count in words.items() if kept.issuperset(word)}
    inside: Counter[str] = Counter()
    for word, count in usable.items():
        for piece in spelled(word)[1:]:
            inside[piece] += count
    entries = [*SPECIAL_TOKENS, *sorted(kept)]
    entries += sorted(_most_frequent(inside, size - len(entries)))
    entries += islice(learn_merges(usable, min_frequency), size - len(entries))
    return entries


def count_words(
    texts: Iterable[str], lowercase: bool, style: str = "ernie", progress: bool = False
) -> Counter[str]:
    """Count the words of a corpus as the tokenizer that is made for it sees them: a Chinese
    character is one."""
    # One without a vocabulary: an entry that it would split otherwise could never be used.
    tokenizer = WordPieceTokenizer.from_vocabulary(SPECIAL_TOKENS, lowercase, style).backend
    normalizer, splitter = tokenizer.normalizer, tokenizer.pre_tokenizer
    chunks: Counter[str] = Counter()
    bar = tqdm(texts, desc="Counting words", unit=" texts", disable=not progress, leave=False)
    for texts_together in _together(bar):
        chunks.update(normalizer.normalize_str(whole_text(texts_together)).split())
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word, _ in splitter.pre_tokenize_str(chunk):
            if len(word) <= MAX_WORD_CHARACTERS:
                words[word] += count
    return words


def _together(texts: Iterable[str], characters: int = 100_000) -> Iterator[str]:
    """Join texts: one call of the normalizer costs more than a sentence's characters do."""
    waiting: list[str] = []
    length = 0
    for text in texts:
        waiting.append(text)
        length += len(text)
        if length >= characters:
            yield "\n".join(waiting)
            waiting, length = [], 0
    yield "\n".join(waiting)


def _most_frequent(counts: Counter[str], number: int) -> list[str]:
    """Of equally frequent ones the first by code point, so that the choice is always the same."""
    return sorted(counts, key=lambda entry: (-counts[entry], entry))[:number]


def is_cased(entries: Iterable[str]) -> bool:
    """Whether a vocabulary is of texts that kept their upper case.

    It has a word in upper case: a tokenizer that lower-cases would never use it. Published
    vocabularies of lower-cased texts have upper case in marks such as `[CLS]` and `<S>` alone.
    """
    words = (entry.removeprefix("##") for entry in entries)
    return any(word.isalpha() and word != word.lower() for word in words)


def write_vocabulary(entries: Iterable[str], path: Path) -> None:
    """Write a `vocab.txt` in BERT's form, an entry a line, whole or not at all."""
    write_text(path, "".join(f"{entry}\n" for entry in entries))
