"""BERT's and ERNIE's tokenizer: basic tokenization, then WordPiece, in Rust.

The text is cleaned of control characters, Chinese characters are set apart, words are lower-cased
and split at punctuation, and each word is cut by greedy longest match
(https://arxiv.org/abs/1810.04805, section 3; https://arxiv.org/abs/1609.08144, section 4.1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from hub.constants import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE
from hub.errors import ModelError
from hub.tokenizers.base import SPECIAL_TOKENS, Encoding, Text, Tokenizer, read_vocabulary

# A longer word becomes [UNK], as in the originals.
_MAX_WORD_CHARACTERS = 100


class WordPieceTokenizer(Tokenizer):
    """Turn texts into the ids of a WordPiece vocabulary.

    Args:
        backend: a `tokenizers.Tokenizer`, complete with its post-processor.
        lowercase: whether `backend` lower-cases; written to `tokenizer_config.json`.
    """

    def __init__(self, backend: tokenizers.Tokenizer, lowercase: bool = True) -> None:
        self.backend = backend
        self.lowercase = lowercase
        # Truncation and padding differ from call to call; each call sets its own.
        backend.no_padding()
        backend.no_truncation()

    @classmethod
    def from_vocabulary(cls, entries: Sequence[str], lowercase: bool = True) -> WordPieceTokenizer:
        """Build the tokenizer of ERNIE and BERT for a vocabulary; an entry's position is its id.

        An entry that stands twice keeps its last id, as in `transformers`.

        Raises:
            ModelError: a special token is missing.
        """
        ids = {entry: index for index, entry in enumerate(entries)}
        missing = [token for token in SPECIAL_TOKENS if token not in ids]
        if missing:
            raise ModelError(f"The vocabulary lacks {', '.join(missing)}.")
        backend = tokenizers.Tokenizer(
            models.WordPiece(
                vocab=ids, unk_token="[UNK]", max_input_chars_per_word=_MAX_WORD_CHARACTERS
            )
        )
        backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece(prefix="##")
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0",
            pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
            special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
        )
        backend.add_special_tokens(list(SPECIAL_TOKENS))
        return cls(backend, lowercase)

    @classmethod
    def from_folder(cls, folder: Path) -> WordPieceTokenizer:
        """Read `tokenizer.json` or, where there is none, `vocab.txt`.

        Raises:
            ModelError: neither is there, or the file is damaged.
        """
        settings = _read_settings(folder / TOKENIZER_CONFIG_FILE)
        lowercase = bool(settings.get("do_lower_case", True))
        try:
            if (folder / TOKENIZER_FILE).exists():
                text = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
                return cls(tokenizers.Tokenizer.from_str(text), lowercase)
            if (folder / VOCABULARY_FILE).exists():
                return cls.from_vocabulary(read_vocabulary(folder / VOCABULARY_FILE), lowercase)
        except ModelError:
            raise
        except Exception as error:  # tokenizers raises plain Exception for a bad file
            raise ModelError(f"The tokenizer in {folder} cannot be read: {error}.") from error
        raise ModelError(
            f"{folder} has no tokenizer: neither {TOKENIZER_FILE} nor {VOCABULARY_FILE}."
        )

    def save(self, folder: Path, max_seq_len: int) -> None:
        """Write `tokenizer.json`, `vocab.txt` and `tokenizer_config.json` for `transformers`."""
        self.backend.no_truncation()
        self.backend.save(str(folder / TOKENIZER_FILE))
        # The line is the id. Of an entry that stands twice in the original (as "$" does in
        # ERNIE 3.0's) only the last id is kept, and the other needs a line all the same.
        names = {number: entry for entry, number in self.backend.get_vocab().items()}
        rows = (names.get(n, f"[unused-id-{n}]") for n in range(self.id_count))
        text = "".join(f"{entry}\n" for entry in rows)
        (folder / VOCABULARY_FILE).write_text(text, encoding="utf-8", newline="\n")
        settings = {
            "tokenizer_class": "BertTokenizerFast",
            "do_lower_case": self.lowercase,
            "model_max_length": max_seq_len,
            **{
                f"{name}_token": f"[{name.upper()}]"
                for name in ("pad", "cls", "sep", "mask", "unk")
            },
        }
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        (folder / TOKENIZER_CONFIG_FILE).write_text(text, encoding="utf-8")

    @property
    def files(self) -> list[str]:
        """The names of the files that `save` writes."""
        return [TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, VOCABULARY_FILE]

    @property
    def id_count(self) -> int:
        """The highest id and 1: the embeddings a model must have."""
        return max(self.backend.get_vocab().values()) + 1

    @property
    def pad_token_id(self) -> int:
        """The id of `[PAD]`."""
        return int(self.backend.token_to_id("[PAD]") or 0)

    @property
    def mask_token_id(self) -> int:
        """The id of `[MASK]`."""
        return self._special("[MASK]")

    @property
    def unk_token_id(self) -> int:
        """The id of `[UNK]`."""
        return self._special("[UNK]")

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of `[PAD]`, `[CLS]`, `[SEP]`, `[MASK]` and `[UNK]`."""
        return frozenset(map(self._special, SPECIAL_TOKENS))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's entries for `ids`; an id beyond the vocabulary is `[UNK]`."""
        return [self.backend.id_to_token(number) or "[UNK]" for number in ids]

    def token_to_id(self, token: str) -> int | None:
        """The id of a vocabulary entry; None if it is not one."""
        number: int | None = self.backend.token_to_id(token)
        return number

    def _special(self, token: str) -> int:
        number = self.backend.token_to_id(token)
        if number is None:  # a tokenizer.json of somebody else's
            raise ModelError(f"The tokenizer has no {token}.")
        return int(number)

    def _encode(
        self, texts: list[Text], max_seq_len: int | None, return_offsets: bool
    ) -> list[Encoding]:
        if max_seq_len is None:
            self.backend.no_truncation()
        else:
            self.backend.enable_truncation(max_seq_len, strategy="longest_first")
        return [
            Encoding(
                encoded.ids,
                encoded.type_ids,
                bool(encoded.overflowing),
                encoded.offsets if return_offsets else None,
            )
            for encoded in self.backend.encode_batch(texts)
        ]


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.") from error
    return settings if isinstance(settings, dict) else {}
