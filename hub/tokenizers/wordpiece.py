"""BERT's and ERNIE's tokenizer: basic tokenization, then WordPiece, in Rust.

The text is cleaned of control characters, Chinese characters are set apart, words are lower-cased
and split at punctuation, and each word is cut by greedy longest match
(https://arxiv.org/abs/1810.04805, section 3; https://arxiv.org/abs/1609.08144, section 4.1).

The two originals differ in the basic tokenization. BERT's is that of `transformers`, whose Rust
knows the characters of Unicode 8. ERNIE's is that of PaddleNLP, which also splits words at symbols
(￥, ☆, emoji), and knows the characters of its Python's Unicode.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from hub.constants import CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE
from hub.errors import ModelError
from hub.files import write_text
from hub.tokenizers.base import SPECIAL_TOKENS, Pieces, Tokenizer, read_vocabulary
from hub.tokenizers.plain import PlainTexts, is_plain
from hub.wording import must_be_one_of

# A longer word becomes [UNK], as in the originals.
MAX_WORD_CHARACTERS = 100
STYLES = ("ernie", "bert")
# Where ERNIE splits besides: symbols, a few characters that look like them, and the CJK ideographs
# that the library's own list leaves out; punctuation, because its list ends with Unicode 8.
_SYMBOLS = r"[\p{S}\p{P}²º〇µØŋƱ\x{2B820}-\x{2B91F}]"
# Control characters and accents that came after Unicode 8.
_INVISIBLE, _ACCENTS = r"\p{C}", r"[\p{C}\p{Mn}]"


class WordPieceTokenizer(Tokenizer):
    """Turn texts into the ids of a WordPiece vocabulary.

    Args:
        backend: a `tokenizers.Tokenizer`, complete with its post-processor.
        lowercase: whether `backend` lower-cases; written to `tokenizer_config.json`.
    """

    def __init__(self, backend: tokenizers.Tokenizer, lowercase: bool = True) -> None:
        self.backend = backend
        self.lowercase = lowercase
        # A file may bring settings of its own for both, which are done here.
        backend.no_padding()
        backend.no_truncation()
        self._odd_to_longer = isinstance(backend.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        self._plain = PlainTexts(self._cut) if _splits_at_every_sign(backend) else None

    @classmethod
    def from_vocabulary(
        cls, entries: Sequence[str], lowercase: bool = True, style: str = "ernie"
    ) -> WordPieceTokenizer:
        """Build the tokenizer of ERNIE or BERT for a vocabulary; an entry's position is its id.

        An entry that stands twice keeps its last id, as in the originals.

        Args:
            entries: the vocabulary.
            lowercase: lower-case texts, and strip accents.
            style: "ernie" as PaddleNLP, "bert" as `transformers`.

        Raises:
            ModelError: a special token is missing, or there is no such style.
        """
        if style not in STYLES:
            raise ModelError(must_be_one_of("The tokenizer's style", STYLES, style))
        ids = {entry: index for index, entry in enumerate(entries)}
        missing = [token for token in SPECIAL_TOKENS if token not in ids]
        if missing:
            raise ModelError(f"The vocabulary lacks {', '.join(missing)}.")
        backend = tokenizers.Tokenizer(
            models.WordPiece(
                vocab=ids, unk_token="[UNK]", max_input_chars_per_word=MAX_WORD_CHARACTERS
            )
        )
        backend.normalizer, backend.pre_tokenizer = _basic_tokenization(lowercase, style)
        backend.decoder = decoders.WordPiece(prefix="##")
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0",
            pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
            special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
        )
        backend.add_special_tokens(list(SPECIAL_TOKENS))
        return cls(backend, lowercase)

    @classmethod
    def from_folder(cls, folder: Path, style: str | None = None) -> WordPieceTokenizer:
        """Read `tokenizer.json` or, where there is none, `vocab.txt`.

        A vocabulary alone does not say how words are split: that is `style`, or else what
        `model_type` is in `config.json`, or else "ernie".

        Raises:
            ModelError: neither is there, or the file is damaged.
        """
        settings = _read_object(folder / TOKENIZER_CONFIG_FILE)
        lowercase = bool(settings.get("do_lower_case", True))
        style = style or _read_object(folder / CONFIG_FILE).get("model_type")
        try:
            if (folder / TOKENIZER_FILE).exists():
                text = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
                return cls(tokenizers.Tokenizer.from_str(text), lowercase)
            if (folder / VOCABULARY_FILE).exists():
                entries = read_vocabulary(folder / VOCABULARY_FILE)
                return cls.from_vocabulary(entries, lowercase, style or "ernie")
        except ModelError:
            raise
        except Exception as error:  # tokenizers raises plain Exception for a bad file
            raise ModelError(f"The tokenizer in {folder} cannot be read: {error}.") from error
        raise ModelError(
            f"{folder} has no tokenizer: neither {TOKENIZER_FILE} nor {VOCABULARY_FILE}."
        )

    def save(self, folder: Path, max_seq_len: int) -> None:
        """Write `tokenizer.json`, `vocab.txt` and `tokenizer_config.json` for `transformers`."""
        # The library's own `save` raises a bare Exception where a disk is full.
        write_text(folder / TOKENIZER_FILE, self.backend.to_str(pretty=True))
        # The line is the id. Of an entry that stands twice in the original (as "$" does in
        # ERNIE 3.0's) only the last id is kept, and the other needs a line all the same.
        names = {number: entry for entry, number in self.backend.get_vocab().items()}
        rows = (names.get(n, f"[unused-id-{n}]") for n in range(self.id_count))
        write_text(folder / VOCABULARY_FILE, "".join(f"{entry}\n" for entry in rows))
        settings = {
            # Takes tokenizer.json as it is; the classes for BERT build their own from vocab.txt.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "do_lower_case": self.lowercase,
            "model_max_length": max_seq_len,
            **{
                f"{name}_token": f"[{name.upper()}]"
                for name in ("pad", "cls", "sep", "mask", "unk")
            },
        }
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        write_text(folder / TOKENIZER_CONFIG_FILE, text)

    @property
    def files(self) -> list[str]:
        """The names of the files that `save` writes."""
        return [TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, VOCABULARY_FILE]

    @property
    def id_count(self) -> int:
        """The highest id and 1: the embeddings a model must have."""
        return max(self.backend.get_vocab().values()) + 1

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's entries for `ids`; an id beyond the vocabulary is `[UNK]`."""
        return [self.backend.id_to_token(number) or "[UNK]" for number in ids]

    def token_to_id(self, token: str) -> int | None:
        """The id of a vocabulary entry; None if it is not one."""
        number: int | None = self.backend.token_to_id(token)
        return number

    def _pieces(self, texts: list[str], return_offsets: bool) -> Iterator[Pieces]:
        plain = [self._plain is not None and is_plain(text) for text in texts]
        others = [text for text, is_one in zip(texts, plain, strict=True) if not is_one]
        encode = self.backend.encode_batch if return_offsets else self.backend.encode_batch_fast
        made = iter(encode(others, add_special_tokens=False))
        for text, is_one in zip(texts, plain, strict=True):
            known = self._plain if is_one else None
            if known is None:
                encoded = next(made)
                yield encoded.ids, encoded.offsets if return_offsets else None
            elif return_offsets:
                yield known.ids_and_spans(text)
            else:
                yield known.ids(text), None

    def _cut(self, word: str) -> Any:
        encoded = self.backend.encode(word, add_special_tokens=False)
        return encoded.ids, encoded.offsets


def _basic_tokenization(
    lowercase: bool, style: str
) -> tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer]:
    """What happens to a text before WordPiece."""
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    split = pre_tokenizers.BertPreTokenizer()
    if style == "bert":
        return normalizer, split
    clean = normalizers.Replace(tokenizers.Regex(_ACCENTS if lowercase else _INVISIBLE), "")
    at_symbols = pre_tokenizers.Split(tokenizers.Regex(_SYMBOLS), "isolated")
    return normalizers.Sequence([normalizer, clean]), pre_tokenizers.Sequence([at_symbols, split])


def _splits_at_every_sign(backend: tokenizers.Tokenizer) -> bool:
    """Whether it is ERNIE's or BERT's, as those made here, and has no words of its own besides."""
    added = backend.get_added_tokens_decoder().values()
    return (
        isinstance(backend.model, models.WordPiece)
        and all("[" in token.content for token in added)
        and any(
            _same(backend.normalizer, normalizer) and _same(backend.pre_tokenizer, split)
            for lowercase in (True, False)
            for normalizer, split in (_basic_tokenization(lowercase, style) for style in STYLES)
        )
    )


def _same(one: Any, other: Any) -> bool:
    """Whether two parts of tokenizers are of one kind and have the same settings."""
    return type(one) is type(other) and bool(one.__getstate__() == other.__getstate__())


def _read_object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.") from error
    return settings if isinstance(settings, dict) else {}
