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

from hub.compression.rewriting import Arrays, check_output, rewrite
from hub.errors import DataError, InputError, ModelError
from hub.module import Module
from hub.tokenizers import WordPieceTokenizer

_AT_A_TIME = 2_000
_COMPARED = 256


@dataclass(frozen=True)
class Trimmed:
    """A model with a smaller vocabulary.

    Attributes:
        module: the model.
        entries: the vocabulary's entries before and after.
        texts: how many texts said what is used.
        unknown: the part of their tokens that is `[UNK]`, before and after alike.
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
            are.
        output: the folder to write.
        min_count: an entry is kept that is used so often.
        overwrite: replace the model in `output`.

    Raises:
        InputError: the model has no task or another tokenizer, or `min_count` is below 1.
        DataError: there are no texts.
        OutputError: the folder holds something.
        ModelError: an answer changed.
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
    check_output(folder, overwrite)
    size = module.config.vocab_size
    counts = np.zeros(size, np.int64)
    sample: list[str] = []
    number = 0
    rest = iter(texts)
    while part := list(islice(rest, _AT_A_TIME)):
        sample += part[: max(0, _COMPARED - len(sample))]
        number += len(part)
        # All of a text counts, however much of it is read at a time.
        for encoded in tokenizer.backend.encode_batch_fast(part, add_special_tokens=False):
            np.add.at(counts, encoded.ids, 1)
    if not number:
        raise DataError("There are no texts that say which entries are used.")
    unknown = counts[tokenizer.unk_token_id] / max(1, counts.sum())
    special = sorted(tokenizer.special_ids | set(tokenizer.backend.get_added_tokens_decoder()))
    counts[special] = min_count
    kept = np.flatnonzero(counts >= min_count)
    new_ids = {int(old): new for new, old in enumerate(kept)}
    smaller = _remapped(tokenizer, new_ids)

    def write_tokenizer(where: Path) -> None:
        smaller.save(where, module.max_seq_len)

    result = rewrite(
        module,
        folder,
        lambda arrays: _selected(arrays, kept, size),
        {"vocab_size": len(kept), "pad_token_id": smaller.pad_token_id},
        write_tokenizer,
    )
    if min_count == 1:
        _compare(module, result, sample)
    return Trimmed(result, (size, len(kept)), number, float(unknown))


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


def _compare(before: Module, after: Module, texts: list[str]) -> None:
    """See that a sample of the texts is answered as before.

    Raises:
        ModelError: it is not.
    """
    for text in texts:
        old = before.tokenizer.tokens(before.tokenizer.encode([text])[0].input_ids)
        new = after.tokenizer.tokens(after.tokenizer.encode([text])[0].input_ids)
        if old != new:
            raise ModelError(f"The trimmed vocabulary cuts {text!r} otherwise than before.")
