"""Many examples as columns of Arrow: a million short texts take 0.1 GB instead of 0.4.

Rows are kept in blocks. What of them goes beyond `MEMORY_BYTES` lies in a file without a name,
which the operating system removes when the data set, or the process, is gone: a file of any size
can be read, and memory holds a block of it at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from hub.constants import MANY_ROWS
from hub.data.examples import Entity, Example, Label, LazyExamples, Text, Utterance
from hub.data.overflow import Overflow

if TYPE_CHECKING:
    import pyarrow

# A block has fewer rows if they are long: an Arrow array holds 2 GB of text at most.
_BLOCK_CHARACTERS = 1 << 24
# What is kept in memory of one data set.
MEMORY_BYTES = 256 << 20

T = TypeVar("T")
# A block in memory, or its place in the file.
_Block = Any
# What a label is: one name, several names or entities, an intent with entities.
_NAME, _PARTS, _UTTERANCE = range(3)


class ExampleBuilder:
    """Takes examples one after the other; a few stay the list that they are.

    Attributes:
        names: the labels and types of entities, which rows hold by their numbers.
    """

    def __init__(self, names: dict[str, int] | None = None) -> None:
        self.names: dict[str, int] = {} if names is None else names
        self._waiting: list[Example] = []
        self._characters = 0
        self._blocks = _Blocks()

    def append(self, example: Example) -> None:
        """Put an example behind the others."""
        self._waiting.append(example)
        text = example.text
        self._characters += len(text) if isinstance(text, str) else len(text[0]) + len(text[1])
        full = len(self._waiting) >= MANY_ROWS or self._characters >= _BLOCK_CHARACTERS
        if full and _has_arrow():
            self._flush()

    def append_block(self, block: pyarrow.RecordBatch) -> None:
        """Put the rows of a block with the same `names` behind the others."""
        if block.num_rows:
            self._blocks.append(block)

    def finish(self) -> Sequence[Example]:
        """All examples."""
        if not self._blocks.ends:
            return self._waiting
        self._flush()
        return ArrowExamples(self._blocks, self.names)

    def _flush(self) -> None:
        if self._waiting:
            self._blocks.append(_to_block(self._waiting, self.names))
        self._waiting, self._characters = [], 0


@cache
def _has_arrow() -> bool:
    """Whether pyarrow, which comes with `datasets`, is there: a production machine may do without.

    Examples stay in a list then.
    """
    return find_spec("pyarrow") is not None


class _Blocks:
    """Record batches, the first in memory and the others in a file.

    Attributes:
        ends: the number of rows up to the end of each.
    """

    def __init__(self) -> None:
        self.ends: list[int] = []
        self._blocks: list[_Block] = []
        self._room = MEMORY_BYTES
        self._overflow = Overflow()

    def append(self, block: pyarrow.RecordBatch) -> None:
        self.ends.append(block.num_rows + (self.ends[-1] if self.ends else 0))
        self._room -= block.nbytes
        stays = self._room >= 0 or self._overflow.is_full
        self._blocks.append(block if stays else self._put(block))

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        return map(self._get, self._blocks)

    def __getitem__(self, number: int) -> pyarrow.RecordBatch:
        return self._get(self._blocks[number])

    def _put(self, block: pyarrow.RecordBatch) -> _Block:
        import pyarrow

        stream = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(stream, block.schema) as writer:
            writer.write_batch(block)
        place = self._overflow.put(memoryview(stream.getvalue()))
        return block if place is None else place

    def _get(self, block: _Block) -> pyarrow.RecordBatch:
        if not isinstance(block, tuple):
            return block
        import pyarrow

        with pyarrow.ipc.open_stream(self._overflow.get(block)) as reader:
            return reader.read_next_batch()


class _Column(Sequence[T], Generic[T]):
    """Something of each row, made when it is asked for."""

    def __init__(self, blocks: _Blocks, read: Callable[[pyarrow.RecordBatch], list[T]]) -> None:
        self._blocks = blocks
        self._read = read

    def __len__(self) -> int:
        return self._blocks.ends[-1] if self._blocks.ends else 0

    def __iter__(self) -> Iterator[T]:
        for block in self._blocks:
            yield from self._read(block)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return self._slice(range(len(self))[index])
        row = range(len(self))[index]
        number = bisect_right(self._blocks.ends, row)
        before = self._blocks.ends[number - 1] if number else 0
        return self._read(self._blocks[number].slice(row - before, 1))[0]

    def _slice(self, rows: range) -> list[T]:
        if rows.step != 1:
            return [self[row] for row in rows]
        found: list[T] = []
        start = rows.start
        while start < rows.stop:
            number = bisect_right(self._blocks.ends, start)
            before = self._blocks.ends[number - 1] if number else 0
            stop = min(rows.stop, self._blocks.ends[number])
            found += self._read(self._blocks[number].slice(start - before, stop - start))
            start = stop
        return found


class ArrowExamples(_Column[Example], LazyExamples):
    """Examples in columns; each is made when it is asked for."""

    def __init__(self, blocks: _Blocks, names: dict[str, int]) -> None:
        self._names = names
        listed = list(names)
        self._labels_of = partial(_labels_of, names=listed)
        super().__init__(blocks, partial(_examples_of, names=listed))

    @property
    def texts(self) -> Sequence[Text]:
        """The texts alone."""
        return _Column(self._blocks, _texts_of)

    @property
    def labels(self) -> Sequence[Label]:
        """The labels alone."""
        return _Column(self._blocks, self._labels_of)

    def select(self, rows: np.ndarray) -> Sequence[Example]:
        """The examples with these numbers, int64 [N], which ascend."""
        builder = ExampleBuilder(self._names)
        edges = np.searchsorted(rows, [0, *self._blocks.ends])
        starts = [0, *self._blocks.ends]
        for number, block in enumerate(self._blocks):
            chosen = rows[edges[number] : edges[number + 1]] - starts[number]
            builder.append_block(block.take(_as_indices(chosen)))
        return builder.finish()


def _as_indices(rows: np.ndarray) -> pyarrow.Array:
    import pyarrow

    return pyarrow.array(rows, pyarrow.int64())


# --- examples to blocks --------------------------------------------------------------------------


def _to_block(examples: Sequence[Example], names: dict[str, int]) -> pyarrow.RecordBatch:
    """The columns of some examples; one that would be empty is left out."""
    import pyarrow

    texts = [example.text for example in examples]
    columns = {
        "text": _strings([text if isinstance(text, str) else text[0] for text in texts]),
        "line": pyarrow.array([example.line for example in examples], pyarrow.int64()),
        **_label_columns([example.label for example in examples], names),
    }
    if any(isinstance(text, tuple) for text in texts):
        columns["pair"] = _strings([None if isinstance(text, str) else text[1] for text in texts])
    groups = [example.group for example in examples]
    if any(group is not None for group in groups):
        columns["group"] = _strings(groups)
    return pyarrow.record_batch(columns)


def _strings(values: Sequence[str | None]) -> pyarrow.Array:
    """Texts; as bytes where there is half a surrogate pair, for which UTF-8 has no place."""
    import pyarrow

    try:
        return pyarrow.array(values, pyarrow.string())
    except UnicodeEncodeError:
        encoded = [None if v is None else v.encode("utf-8", "surrogatepass") for v in values]
        return pyarrow.array(encoded, pyarrow.binary())


def _label_columns(labels: Sequence[Label], names: dict[str, int]) -> dict[str, pyarrow.Array]:
    import pyarrow

    def number(name: str) -> int:
        return names.setdefault(name, len(names))

    def place(part: str | Entity) -> tuple[int, int, int]:
        if isinstance(part, str):
            return number(part), -1, -1
        return number(part.type), part.start, part.end

    whole = pyarrow.int32()
    if all(isinstance(label, str) for label in labels):
        return {"label": pyarrow.array([number(str(label)) for label in labels], whole)}
    forms, codes, parts = [], [], []
    for label in labels:
        its_parts: Iterable[str | Entity] = ()
        if isinstance(label, str):
            form, code = _NAME, number(label)
        elif isinstance(label, Utterance):
            form, code, its_parts = _UTTERANCE, number(label.intent), label.entities
        else:
            form, code, its_parts = _PARTS, -1, label
        forms.append(form)
        codes.append(code)
        parts.append([place(part) for part in its_parts])
    lists = pyarrow.list_(whole)
    return {
        "form": pyarrow.array(forms, pyarrow.int8()),
        "label": pyarrow.array(codes, whole),
        **{
            name: pyarrow.array([[part[index] for part in row] for row in parts], lists)
            for index, name in enumerate(("parts", "starts", "ends"))
        },
    }


# --- blocks to examples --------------------------------------------------------------------------


def _list(block: pyarrow.RecordBatch, column: str) -> list[Any]:
    """A column as Python has it; a missing one is of None."""
    if column not in block.schema.names:
        return [None] * block.num_rows
    array = block.column(column)
    # NumPy makes Python's objects several times faster than Arrow does.
    values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    if array.type == "binary":
        return [None if v is None else v.decode("utf-8", "surrogatepass") for v in values]
    return values


def _texts_of(block: pyarrow.RecordBatch) -> list[Text]:
    texts = _list(block, "text")
    if "pair" not in block.schema.names:
        return texts
    pairs = zip(texts, _list(block, "pair"), strict=True)
    return [text if other is None else (text, other) for text, other in pairs]


def _labels_of(block: pyarrow.RecordBatch, names: Sequence[str]) -> list[Label]:
    codes = _list(block, "label")
    if "form" not in block.schema.names:
        return [names[code] for code in codes]
    parts = (block.column(column).to_pylist() for column in ("parts", "starts", "ends"))
    labels: list[Label] = []
    for form, code, *its_parts in zip(_list(block, "form"), codes, *parts, strict=True):
        if form == _NAME:
            labels.append(names[code])
            continue
        found: Any = tuple(
            names[part] if start < 0 else Entity(start, end, names[part])
            for part, start, end in zip(*its_parts, strict=True)
        )
        labels.append(found if form == _PARTS else Utterance(names[code], found))
    return labels


def _examples_of(block: pyarrow.RecordBatch, names: Sequence[str]) -> list[Example]:
    groups = _list(block, "group") if "group" in block.schema.names else repeat(None)
    columns = (_texts_of(block), _labels_of(block, names), _list(block, "line"))
    return list(map(Example, *columns, groups))
