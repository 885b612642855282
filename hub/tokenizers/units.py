"""Which tokens belong together: those of a word, or of a phrase that a dictionary knows.

This is the slow half of whole-word masking, and the same in every epoch: it is done once for a text
and kept. `hub.tokenizers.whole_word` draws the masks.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hub.errors import InputError
from hub.tokenizers.base import Encoding, Text, Tokenizer
from hub.tokenizers.knowledge import KnowledgeDictionary
from hub.tokenizers.segment import Segmenter

# What a token that is never masked has instead of a unit's number.
NO_UNIT = -1


class UnitFinder:
    """Encodes texts and finds their units; made to be given to `datasets.Dataset.map`.

    A unit is a word, as the segmenter cuts it, or a phrase of the dictionary, which goes before
    words. A word of WordPiece is never divided between units. `[CLS]`, `[SEP]` and `[UNK]` belong
    to none.

    Args:
        tokenizer: the model's.
        segmenter: cuts texts into words; None is jieba as it comes.
        knowledge: phrases and entities; None knows none.
        max_seq_len: longer texts are cut to so many tokens, special ones included.

    >>> rows.map(UnitFinder(tokenizer), batched=True, num_proc=2)  # doctest: +SKIP
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        segmenter: Segmenter | None = None,
        knowledge: KnowledgeDictionary | None = None,
        max_seq_len: int = 128,
    ) -> None:
        self.tokenizer = tokenizer
        self.segmenter = segmenter or Segmenter()
        self.knowledge = knowledge
        self.max_seq_len = max_seq_len

    def __call__(self, rows: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
        """Encode a batch of rows.

        Args:
            rows: the column `text`, or `text_a` and `text_b`.

        Returns:
            A row a text, of T tokens: `input_ids`, `token_type_ids`, `units` (each token's unit,
            `NO_UNIT` for none; numbers rise along the text) and `knowledge`, the numbers of the
            units that come from the dictionary.

        Raises:
            InputError: the columns are missing.
        """
        if "text" in rows:
            return self.encode(rows["text"])
        if "text_a" in rows and "text_b" in rows:
            return self.encode(list(zip(rows["text_a"], rows["text_b"], strict=True)))
        raise InputError(
            f"Whole-word masking takes rows with a text (or text_a and text_b), not with "
            f"{', '.join(map(repr, rows))}."
        )

    def encode(self, texts: Iterable[Text]) -> dict[str, list[Any]]:
        """The same for texts, or pairs of texts."""
        texts = list(texts)
        encodings = self.tokenizer.encode(texts, self.max_seq_len, return_offsets=True)
        columns: dict[str, list[Any]] = {
            name: [] for name in ("input_ids", "token_type_ids", "units", "knowledge")
        }
        for text, encoding in zip(texts, encodings, strict=True):
            units, knowledge = self._units(text, encoding)
            columns["input_ids"].append(encoding.input_ids)
            columns["token_type_ids"].append(encoding.token_type_ids)
            columns["units"].append(units)
            columns["knowledge"].append(knowledge)
        return columns

    @property
    def fingerprint(self) -> str:
        """A digest of all that the result depends on but the texts; names a cache."""
        knowledge = "" if self.knowledge is None else self.knowledge.fingerprint
        tokenizer = self.tokenizer.fingerprint()
        parts = [self.segmenter.fingerprint, knowledge, str(self.max_seq_len), tokenizer]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _units(self, text: Text, encoding: Encoding) -> tuple[list[int], list[int]]:
        parts = text if isinstance(text, tuple) else (text,)
        boundaries = [self._boundaries(part) for part in parts]
        tokens = self.tokenizer.tokens(encoding.input_ids)
        special = self.tokenizer.special_ids
        units: list[int] = []
        knowledge: list[int] = []
        number, part, segment = -1, NO_UNIT, 0
        offsets = encoding.offsets or []
        columns = (tokens, encoding.input_ids, encoding.token_type_ids, offsets)
        for token, token_id, kind, (start, _) in zip(*columns, strict=True):
            if token_id in special:
                units.append(NO_UNIT)
                part = NO_UNIT
                continue
            starts, of_phrase = boundaries[kind]
            # SentencePiece's sign for a space stands, without a width, before its word.
            its_part = bisect_right(starts, start) - 1
            goes_on = (
                part != NO_UNIT and kind == segment and (its_part == part or token.startswith("##"))
            )
            if not goes_on:
                number += 1
                if of_phrase[its_part]:
                    knowledge.append(number)
            units.append(number)
            part, segment = its_part, kind
        return units, knowledge

    def _boundaries(self, text: str) -> tuple[list[int], list[bool]]:
        """Where the parts of a text begin, and whether each is a phrase of the dictionary."""
        mentions = self.knowledge.find(text) if self.knowledge is not None else []
        starts: list[int] = []
        of_phrase: list[bool] = []
        place = 0
        for mention in mentions:
            between = self.segmenter.starts(text[place : mention.start])
            starts += [place + start for start in between] + [mention.start]
            of_phrase += [False] * len(between) + [True]
            place = mention.end
        rest = self.segmenter.starts(text[place:])
        starts += [place + start for start in rest]
        of_phrase += [False] * len(rest)
        return starts, of_phrase
