"""A vocabulary without the entries that one's texts never use.

Most of a small model's parameters are word embeddings, and a company's texts use few of them. What
is cut from a text is unchanged where all its tokens are kept: WordPiece takes the longest entry
that fits, and the entries that would have fitted are still those that fitted before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from hub.compression.rewriting import Arrays, made_aside, rewrite
from hub.errors import DataError, InputError, ModelError
from hub.module import Module
from hub.tokenizers import WordPieceTokenizer
from hub.training.output_folder import check_output

_AT_A_TIME = 2_000
_COMPARED = 256


@dataclass(frozen=True)
class Trimmed:
    """A model with a smaller vocabulary.

    Attributes:
        module: the model.
        entries: the vocabulary's entries before and after.
        texts: how many texts said what is used.
        unknown: the part of their tokens that is `[UNK]`, as the smaller vocabulary cuts them.
    """

    module: Module
    entries: tuple[int, int]
    texts: int
    unknown: float


def trim_vocabulary(
    module: Module,
    texts: Iterable[str],
    output: str | Path,
    *,
    min_count: int = 1,
    overwrite: bool = False,
) -> Trimmed:
    """Write a model without the vocabulary entries that `texts` do not use.

    Answers to texts that are made of the kept entries are the same. Other texts lose what they say
    in dropped entries: it becomes `[UNK]`, or is cut into smaller pieces that were kept.

    Args:
        module: a module with a task and a WordPiece tokenizer.
        texts: what the model will read: the training rows and as many texts of its use as there
            are. With `min_count` above 1 they are read twice.
        output: the folder to write.
        min_count: an entry is kept that is used so often.
        overwrite: replace the model in `output`.

    Raises:
        InputError: the model has no task or another tokenizer, or `min_count` is below 1.
        DataError: there are no texts, or they use no entry so often.
        OutputError: the folder holds something.
        ModelError: a text is cut otherwise than before.
    """
    folder = Path(output)
    if module.task is None:
        raise InputError(f"{module.name} has no task: fine-tune it first.")
    tokenizer = module.tokenizer
    if not isinstance(tokenizer, WordPieceTokenizer):
        raise InputError(
            f"{module.name} has a SentencePiece tokenizer; only WordPiece vocabularies are trimmed."
        )
    if min_count < 1:
        raise InputError(f"min_count must be from 1, not {min_count}.")
    check_output(folder, False, overwrite)
    if iter(texts) is texts:  # they can be read but once
        texts = list(texts)
    size = module.config.vocab_size
    counts, number = _counts(tokenizer, texts, size)
    if not number:
        raise DataError("There are no texts that say which entries are used.")
    special = sorted(tokenizer.special_ids | set(tokenizer.backend.get_added_tokens_decoder()))
    often = counts.copy()
    often[special] = min_count
    kept = np.flatnonzero(often >= min_count)
    if len(kept) == len(special):
        raise DataError(
            f"No entry is used {min_count:,} times by the {number:,} texts: nothing would be left. "
            "Give more texts, or a smaller --min-count."
        )
    new_ids = {int(old): new for new, old in enumerate(kept)}
    smaller = _remapped(tokenizer, new_ids)
    if min_count == 1:
        _compare(tokenizer, smaller, islice(texts, _COMPARED))  # all tokens stayed: so do counts
        unknown = _unknown(counts, tokenizer)
    else:
        unknown = _unknown(_counts(smaller, texts, len(kept))[0], smaller)

    def write_tokenizer(where: Path) -> None:
        smaller.save(where, module.max_seq_len)

    with made_aside(folder) as made:
        result = rewrite(
            module,
            made,
            lambda arrays: _selected(arrays, kept, size),
            {"vocab_size": len(kept), "pad_token_id": smaller.pad_token_id},
            write_tokenizer,
        )
    return Trimmed(result, (size, len(kept)), number, unknown)


def _counts(
    tokenizer: WordPieceTokenizer, texts: Iterable[str], size: int
) -> tuple[np.ndarray, int]:
    """How often texts use each entry, int64 [size], and how many texts there are."""
    counts = np.zeros(size, np.int64)
    number = 0
    rest = iter(texts)
    while part := list(islice(rest, _AT_A_TIME)):
        number += len(part)
        # All of a text counts, however much of it is read at a time.
        for encoding in tokenizer.encode(part):
            np.add.at(counts, encoding.input_ids[1:-1], 1)
    return counts, number


def _unknown(counts: np.ndarray, tokenizer: WordPieceTokenizer) -> float:
    """The part of the tokens that is `[UNK]`."""
    return float(counts[tokenizer.unk_token_id] / max(1, counts.sum()))


def _remapped(tokenizer: WordPieceTokenizer, new_ids: dict[int, int]) -> WordPieceTokenizer:
    """The same tokenizer with the entries of `new_ids` (old -> new) alone."""
    content: dict[str, Any] = json.loads(tokenizer.backend.to_str())
    model = content["model"]
    model["vocab"] = {
        entry: new_ids[number] for entry, number in model["vocab"].items() if number in new_ids
    }
    for token in content["added_tokens"]:
        token["id"] = new_ids[token["id"]]
    post = content.get("post_processor") or {}
    for token in (post.get("special_tokens") or {}).values():
        token["ids"] = [new_ids[number] for number in token["ids"]]
    for name in ("cls", "sep"):  # of BertProcessing
        if isinstance(post.get(name), list):
            post[name][1] = new_ids[post[name][1]]
    return WordPieceTokenizer(
        tokenizers.Tokenizer.from_str(json.dumps(content, ensure_ascii=False)), tokenizer.lowercase
    )


def _selected(arrays: Arrays, kept: np.ndarray, size: int) -> Arrays:
    """Of the arrays with a row for each entry, the kept rows."""
    return {
        name: array[kept]
        if array.shape[0] == size and ("word_embeddings" in name or "predictions" in name)
        else array
        for name, array in arrays.items()
    }


def _compare(before: WordPieceTokenizer, after: WordPieceTokenizer, texts: Iterable[str]) -> None:
    """See that a sample of the texts is cut as before.

    Raises:
        ModelError: it is not.
    """
    for text in texts:
        old, new = (t.tokens(t.encode([text])[0].input_ids) for t in (before, after))
        if old != new:
            raise ModelError(f"The trimmed vocabulary cuts {text!r} otherwise than before.")
