"""PyTorch's and Paddle's weight files, read without running what is in them.

`pytorch_model.bin` and `model_state.pdparams` are pickles: unpickling them as their libraries do
runs any function that the file names. The unpickler here knows the few names that tensors are made
of and refuses every other; it never calls a function of the file's choice.

Formats: PyTorch's zip archive (https://pytorch.org/docs/stable/notes/serialization.html), since
version 1.6; `paddle.save` of a state dict (NumPy arrays, since Paddle 2.0).
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hub.errors import ModelError

Arrays = dict[str, np.ndarray]

# Paddle keeps the parameters' own names beside the weights under this key.
_PADDLE_NAMES = "StructuredToParameterName@@"
_TORCH_STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": np.uint16,  # widened below
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "BoolStorage": np.bool_,
}


class _Refused(Exception):
    """The pickle names something that is not part of a tensor."""


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """The float32 numbers of bfloat16 ones, of which NumPy has the bits alone (uint16).

    They are the upper half of a float32's.
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


class _Unpickler(pickle.Unpickler):
    """An unpickler that finds the given names and no others."""

    def __init__(
        self, file: Any, known: dict[tuple[str, str], Any], load: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(file, encoding="latin1")
        self._known = known
        self._load = load

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        if self._load is None:
            raise _Refused("a persistent object")
        return self._load(pid)


def read_paddle(path: Path) -> Arrays:
    """Read a `.pdparams` file: names and layout as Paddle has them, bfloat16 widened.

    Raises:
        ModelError: the file is damaged, holds more than arrays, or asks to run code.
    """

    def latin1(text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise _Refused(f"the encoding {encoding}")
        return text.encode("latin1")

    # `_reconstruct` makes an empty array, which the pickle then fills through its state.
    def empty(kind: type, shape: tuple[int, ...], code: Any) -> np.ndarray:
        return np.empty(0, np.float32)

    known: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): _plain_dtype,
        ("_codecs", "encode"): latin1,
        ("collections", "OrderedDict"): _own_mapping(),
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        known[module, "_reconstruct"] = empty
    with path.open("rb") as file:
        values = _load(path, _Unpickler(file, known))
    values.pop(_PADDLE_NAMES, None)
    # Layouts before Paddle 2.1 keep (name, array) pairs.
    arrays = _arrays_of(
        path,
        {k: v[1] if isinstance(v, tuple) and len(v) == 2 else v for k, v in values.items()},
    )
    # Weights are no whole numbers: `paddle.save` writes the bits of bfloat16 so.
    return {k: bfloat16_to_float32(v) if v.dtype == np.uint16 else v for k, v in arrays.items()}


def read_torch(path: Path) -> Arrays:
    """Read a `pytorch_model.bin`: names and layout as PyTorch has them, bfloat16 widened.

    Raises:
        ModelError: the file is damaged, holds more than tensors, is of PyTorch's format before 1.6,
            or asks to run code.
    """
    if not zipfile.is_zipfile(path):
        raise ModelError(
            f"{path} is not a whole PyTorch file, or is of the format before PyTorch 1.6: save it "
            "again with a newer PyTorch, or as safetensors."
        )
    with zipfile.ZipFile(path) as archive:
        index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if index is None:
            raise ModelError(f"{path} is a zip archive, but not a PyTorch weight file.")
        folder = index.removesuffix("data.pkl")

        def storage(pid: tuple[str, tuple[str, Any], str, str, int]) -> np.ndarray:
            _, (name, dtype), key, _, count = pid
            member = archive.getinfo(f"{folder}data/{key}")
            if member.compress_type != zipfile.ZIP_STORED:
                raise _Refused("compressed data")
            values = np.frombuffer(archive.read(member), dtype)[:count]
            return bfloat16_to_float32(values) if name == "BFloat16Storage" else values

        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _own_mapping(),
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): lambda data, requires_grad, hooks: data,
            **{("torch", name): (name, dtype) for name, dtype in _TORCH_STORAGES.items()},
        }
        with archive.open(index) as file:
            values = _load(path, _Unpickler(file, known, storage))
    return _arrays_of(path, values)


def _own_mapping() -> type[OrderedDict[str, Any]]:
    """A class of its own for each file: a pickle may set attributes on what it finds."""

    class Mapping(OrderedDict[str, Any]):
        pass

    return Mapping


def _plain_dtype(code: str, align: bool = False, copy: bool = False) -> np.dtype[Any]:
    dtype = np.dtype(code)
    if dtype.hasobject or dtype.fields is not None:
        raise _Refused(f"the data type {code}")
    return dtype


def _tensor(
    storage: np.ndarray,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    *unused: Any,
) -> np.ndarray:
    """PyTorch's `_rebuild_tensor_v2` in NumPy, with the bounds checked."""
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    numbers = (offset, *size, *stride)
    if any(n < 0 for n in numbers) or (0 not in size and last >= len(storage)):
        raise _Refused("a tensor larger than its data")
    if 0 in size:
        return np.empty(size, storage.dtype)
    steps = [s * storage.itemsize for s in stride]
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)
    return view.copy()


def _load(path: Path, unpickler: _Unpickler) -> dict[str, Any]:
    try:
        values = unpickler.load()
    except _Refused as error:
        raise ModelError(
            f"{path} asks for {error}, which is no part of a weight file: it was not loaded, and "
            "nothing in it was run. Get the model from a source you trust, as safetensors."
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise ModelError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Copy or download it again."
        ) from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} holds a {type(values).__name__}, not named weights.")
    return dict(values)


def _arrays_of(path: Path, values: dict[Any, Any]) -> Arrays:
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ModelError(f"{path}: {name!r} is a {type(value).__name__}, not an array.")
    return values
