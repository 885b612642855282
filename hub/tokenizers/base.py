"""What every tokenizer does, so that the rest of the package needs to know no kind of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Text = str | tuple[str, str]


@dataclass(frozen=True)
class Encoding:
    """One text (or pair of texts) as the model reads it; the lists are T long."""

    input_ids: list[int]
    token_type_ids: list[int]
    truncated: bool


class Tokenizer(Protocol):
    """Turns texts into the ids that a model was trained with.

    Attributes:
        id_count: the highest id and 1: the embeddings a model must have.
        pad_token_id: the id of `[PAD]`.
        files: the names of the files that `save` writes.
    """

    @property
    def id_count(self) -> int: ...
    @property
    def pad_token_id(self) -> int: ...
    @property
    def files(self) -> list[str]: ...

    def encode(self, texts: Sequence[Text], max_seq_len: int | None = None) -> list[Encoding]:
        """Encode texts, or pairs, to at most `max_seq_len` tokens each, special ones included."""

    def __call__(
        self, text: str | Iterable[str], max_seq_len: int = ..., return_offsets: bool = False
    ) -> dict[str, Any]:
        """Encode one text, or several: a list for one, lists for several."""

    def save(self, folder: Path, max_seq_len: int) -> None:
        """Write what `load_tokenizer` reads."""


def whole_text(text: Any) -> Any:
    """Half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD."""
    if isinstance(text, tuple):
        return tuple(map(whole_text, text))
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def read_vocabulary(path: Path) -> list[str]:
    """Read a `vocab.txt`: an entry a line, or two columns of which the first is the entry."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line.rstrip("\r").split("\t")[0] for line in lines]
