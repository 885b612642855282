"""What the oneDNN inside PaddlePaddle computes on a CPU faster than PaddlePaddle's own kernels.

PaddlePaddle trains on CPUs in float32, and computes softmax and the gradients of GELU and layer
norms on one thread. The oneDNN that it brings along for inference has them on all threads, and
multiplies matrices in bfloat16 at twice float32's speed where the processor has instructions for it
(AVX512-BF16; AMX, where it is more). It is called here by its C interface, version 3
(https://uxlfoundation.github.io/oneDNN/v3.6/), which stays compatible within that version. The same
call gives the same numbers again: work is divided by shapes and the number of threads alone.

All tensors are on the CPU, float32 unless told otherwise. Shapes: N rows, D values in each.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from functools import cache, lru_cache
from typing import Any, Literal

from hub.backend import bundled_library, paddle
from hub.errors import HubError
from hub.machine import has_instructions

_MAJOR_VERSION = 3

# Constants of dnnl_types.h: the engine and stream, types of data, what a primitive is for, the
# places of its arguments.
_CPU, _IN_ORDER = 1, 1
_BFLOAT16, _FLOAT32 = 2, 3
_FORWARD_TRAINING, _BACKWARD = 64, 128
_GELU_ERF, _SOFTMAX = 0x31, 0x30000
_USE_SCALE_AND_SHIFT = 0x2 | 0x4
_SOURCE, _TARGET, _WEIGHTS, _BIAS = 1, 17, 33, 41
_MEAN, _VARIANCE, _SCALE, _SHIFT = 49, 50, 51, 52
_SOURCE_GRADIENT, _TARGET_GRADIENT = 129, 145
_SCALE_GRADIENT, _SHIFT_GRADIENT = 255, 256
_ANY = -(2**63)  # a length that is known when it is computed

# How many primitives of a kind are kept: one for each shape that training meets.
_KEPT = 1024


def is_available() -> bool:
    """Whether this build of PaddlePaddle has a oneDNN that can be called."""
    return _library() is not None


def has_bfloat16() -> bool:
    """Whether products in bfloat16 are faster here than in float32."""
    return is_available() and has_instructions("avx512_bf16", "amx_bf16")


def to_bfloat16(x: paddle.Tensor) -> paddle.Tensor:
    """Round `x` [N, D] to bfloat16."""
    return _filled(_rounding, _TARGET, {_SOURCE: x}, "bfloat16")


def product(
    a: paddle.Tensor,
    b: paddle.Tensor,
    transpose_a: bool = False,
    transpose_b: bool = False,
    *,
    bias: paddle.Tensor | None = None,
) -> paddle.Tensor:
    """The matrix product of two bfloat16 tensors, summed up in float32.

    Args:
        a: [N, K], or its transpose.
        b: [K, M], or its transpose.
        transpose_a, transpose_b: whether it is the transpose.
        bias: added to every row, [M].

    Returns:
        [N, M].
    """
    rows, inner = reversed(a.shape) if transpose_a else a.shape
    columns = b.shape[0 if transpose_b else 1]
    target = paddle.empty([rows, columns], "float32")
    tensors = {_SOURCE: a, _WEIGHTS: b, _TARGET: target}
    if bias is not None:
        tensors[_BIAS] = bias
    has_bias = bias is not None
    if transpose_a:
        _product(rows, inner, columns, transpose_a, transpose_b, has_bias)(tensors)
    else:
        # Compiled once for any number of rows, as fast as for one; it takes a megabyte each.
        compiled = _product(_ANY, inner, columns, transpose_a, transpose_b, has_bias)
        compiled(
            tensors, {_SOURCE: _matrix(rows, inner, _BFLOAT16), _TARGET: _matrix(rows, columns)}
        )
    return target


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """GELU by the error function (https://arxiv.org/abs/1606.08415) of `x` [N, D]."""
    return _filled(_gelu, _TARGET, {_SOURCE: x})


def gelu_gradient(x: paddle.Tensor, gradient: paddle.Tensor) -> paddle.Tensor:
    """The gradient of GELU's input `x` [N, D] from that of its output."""
    return _filled(_gelu_gradient, _SOURCE_GRADIENT, {_SOURCE: x, _TARGET_GRADIENT: gradient})


def softmax(x: paddle.Tensor) -> paddle.Tensor:
    """The softmax of every row of `x` [N, D]."""
    return _filled(_softmax, _TARGET, {_SOURCE: x})


def softmax_gradient(result: paddle.Tensor, gradient: paddle.Tensor) -> paddle.Tensor:
    """The gradient of a softmax's input from its `result` [N, D] and the gradient of that."""
    tensors = {_TARGET: result, _TARGET_GRADIENT: gradient}
    return _filled(_softmax_gradient, _SOURCE_GRADIENT, tensors)


def layer_norm(
    x: paddle.Tensor, scale: paddle.Tensor, shift: paddle.Tensor, epsilon: float
) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """Layer normalization (https://arxiv.org/abs/1607.06450) of the rows of `x` [N, D].

    Returns:
        The result [N, D], the rows' means [N] and variances [N].
    """
    rows, width = x.shape
    target, mean, variance = paddle.empty(x.shape), paddle.empty([rows]), paddle.empty([rows])
    _layer_norm(rows, width, epsilon)(
        {_SOURCE: x, _SCALE: scale, _SHIFT: shift, _TARGET: target, _MEAN: mean,
         _VARIANCE: variance}
    )  # fmt: skip
    return target, mean, variance


def layer_norm_gradient(
    x: paddle.Tensor,
    scale: paddle.Tensor,
    shift: paddle.Tensor,
    epsilon: float,
    mean: paddle.Tensor,
    variance: paddle.Tensor,
    gradient: paddle.Tensor,
) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """The gradients of the input [N, D], scale [D] and shift [D] of a layer normalization.

    Args:
        x, scale, shift, epsilon, mean, variance: what `layer_norm` was given and has returned.
        gradient: of its result, [N, D].
    """
    found = paddle.empty(x.shape), paddle.empty(scale.shape), paddle.empty(scale.shape)
    of_x, of_scale, of_shift = found
    _layer_norm_gradient(*x.shape, epsilon)(
        {_SOURCE: x, _SCALE: scale, _SHIFT: shift, _MEAN: mean, _VARIANCE: variance,
         _TARGET_GRADIENT: gradient, _SOURCE_GRADIENT: of_x, _SCALE_GRADIENT: of_scale,
         _SHIFT_GRADIENT: of_shift}
    )  # fmt: skip
    return found


# --- the library ---------------------------------------------------------------------------------


class _Version(ctypes.Structure):
    _fields_ = (
        ("major", c_int), ("minor", c_int), ("patch", c_int), ("hash", ctypes.c_char_p),
        ("cpu_runtime", c_uint), ("gpu_runtime", c_uint),
    )  # fmt: skip


class _Argument(ctypes.Structure):
    _fields_ = (("place", c_int), ("memory", c_void_p))


class _Library:
    """The loaded library with an engine and a stream, which live as long as the process."""

    def __init__(self, functions: ctypes.CDLL) -> None:
        self._functions = functions
        self.engine = self.create("engine_create", c_int(_CPU), c_size_t(0))
        self.stream = self.create("stream_create", self.engine, c_uint(_IN_ORDER))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function, whose name is given without its prefix."""
        status = getattr(self._functions, f"dnnl_{name}")(*arguments)
        if status:
            raise HubError(f"oneDNN's {name} failed with status {status}.")

    def create(self, name: str, *arguments: Any) -> c_void_p:
        """What a function makes, which it returns by its first argument."""
        made = c_void_p()
        self.call(name, byref(made), *arguments)
        return made


@cache
def _library() -> _Library | None:
    functions = bundled_library("libdnnl.so.3")
    if functions is None:
        return None
    functions.dnnl_version.restype = POINTER(_Version)
    version = functions.dnnl_version().contents.major
    return _Library(functions) if version == _MAJOR_VERSION else None


def _loaded() -> _Library:
    library = _library()
    if library is None:
        raise HubError("This build of PaddlePaddle has no oneDNN that can be called.")
    return library


# --- computations of fixed shapes ----------------------------------------------------------------


def _at_end(owner: object, library: _Library, name: str, made: c_void_p) -> None:
    """Call the function `name` for what was made when its owner is no more needed."""
    ending = weakref.finalize(owner, library.call, name, made)
    ending.atexit = False  # the library may be gone by then


class _Form:
    """The shape, type and order in memory of a tensor."""

    def __init__(self, shape: tuple[int, ...], type_: int = _FLOAT32, transposed: bool = False):
        strides = (shape[1], 1) if len(shape) == 2 else (1,)
        if transposed:
            strides = (1, shape[0])
        numbers = c_int64 * len(shape)
        self.description = _loaded().create(
            "memory_desc_create_with_strides",
            c_int(len(shape)), numbers(*shape), c_int(type_), numbers(*strides),
        )  # fmt: skip
        _at_end(self, _loaded(), "memory_desc_destroy", self.description)


@lru_cache(_KEPT)
def _matrix(rows: int, columns: int, type_: int = _FLOAT32) -> _Form:
    return _Form((rows, columns), type_)


@contextmanager
def _described(name: str, *arguments: Any) -> Iterator[c_void_p]:
    """While entered, what a function describes: a computation, to be made or to make its gradient.

    Args:
        name: the function's, without what all of them end with.
        arguments: what it is given.
    """
    library = _loaded()
    described = library.create(f"{name}_primitive_desc_create", *arguments)
    try:
        yield described
    finally:
        library.call("primitive_desc_destroy", described)


class _Primitive:
    """A computation, compiled for its forms."""

    def __init__(self, forms: dict[int, _Form], name: str, *arguments: Any) -> None:
        """Make it.

        Args:
            forms: of every tensor that it is given, by its place.
            name, arguments: what describes it; see `_described`.
        """
        library = _loaded()
        with _described(name, *arguments) as described:
            self._primitive = library.create("primitive_create", described)
        self._forms = forms
        _at_end(self, library, "primitive_destroy", self._primitive)

    def __call__(
        self, tensors: dict[int, paddle.Tensor], forms: dict[int, _Form] | None = None
    ) -> None:
        """Compute.

        Args:
            tensors: of every place; some are written to.
            forms: of those for whose form any number of rows was compiled.
        """
        library, forms = _loaded(), {**self._forms, **(forms or {})}
        arguments = (_Argument * len(tensors))()
        held = []  # what a copy of has been made has to live until all is computed
        for argument, (place, tensor) in zip(arguments, tensors.items(), strict=True):
            lying = tensor if tensor.is_contiguous() else tensor.contiguous()
            memory = library.create(
                "memory_create",
                forms[place].description, library.engine, c_void_p(lying.data_ptr()),
            )  # fmt: skip
            held.append((lying, memory))
            argument.place, argument.memory = place, memory
        try:
            library.call(
                "primitive_execute", self._primitive, library.stream, c_int(len(tensors)), arguments
            )
        finally:
            for _, memory in held:
                library.call("memory_destroy", memory)


def _filled(
    compiled: Callable[[int, int], _Primitive],
    place: int,
    tensors: dict[int, paddle.Tensor],
    type_: Literal["float32", "bfloat16"] = "float32",
) -> paddle.Tensor:
    """What a computation writes to `place`, a tensor of the same shape as those it is given."""
    shape = next(iter(tensors.values())).shape
    found = paddle.empty(shape, type_)
    compiled(*shape)({**tensors, place: found})
    return found


@lru_cache(_KEPT)
def _rounding(rows: int, width: int) -> _Primitive:
    engine = _loaded().engine
    source, target = _Form((rows, width)), _Form((rows, width), _BFLOAT16)
    return _Primitive(
        {_SOURCE: source, _TARGET: target},
        "reorder", source.description, engine, target.description, engine, None,
    )  # fmt: skip


@lru_cache(_KEPT)
def _product(
    rows: int, inner: int, columns: int, transpose_a: bool, transpose_b: bool, has_bias: bool
) -> _Primitive:
    forms = {
        _SOURCE: _Form((rows, inner), _BFLOAT16, transpose_a),
        _WEIGHTS: _Form((inner, columns), _BFLOAT16, transpose_b),
        _TARGET: _Form((rows, columns)),
    }
    if has_bias:
        forms[_BIAS] = _Form((1, columns))
    return _Primitive(
        forms, "matmul", _loaded().engine, forms[_SOURCE].description, forms[_WEIGHTS].description,
        forms[_BIAS].description if has_bias else None, forms[_TARGET].description, None,
    )  # fmt: skip


def _inputs_of_gelu(form: _Form) -> tuple[Any, ...]:
    shape = form.description
    numbers = c_float(0), c_float(0)  # which other functions of its kind take
    return (
        _loaded().engine, c_int(_FORWARD_TRAINING), c_int(_GELU_ERF), shape, shape, *numbers, None
    )  # fmt: skip


@lru_cache(_KEPT)
def _gelu(rows: int, width: int) -> _Primitive:
    form = _Form((rows, width))
    return _Primitive({_SOURCE: form, _TARGET: form}, "eltwise_forward", *_inputs_of_gelu(form))


@lru_cache(_KEPT)
def _gelu_gradient(rows: int, width: int) -> _Primitive:
    form = _Form((rows, width))
    shape = form.description
    with _described("eltwise_forward", *_inputs_of_gelu(form)) as forward:
        return _Primitive(
            {_SOURCE: form, _TARGET_GRADIENT: form, _SOURCE_GRADIENT: form},
            "eltwise_backward", _loaded().engine, c_int(_GELU_ERF), shape, shape, shape, c_float(0),
            c_float(0), forward, None,
        )  # fmt: skip


def _inputs_of_softmax(form: _Form) -> tuple[Any, ...]:
    shape, axis = form.description, c_int(1)
    engine = _loaded().engine
    return engine, c_int(_FORWARD_TRAINING), c_int(_SOFTMAX), shape, shape, axis, None


@lru_cache(_KEPT)
def _softmax(rows: int, width: int) -> _Primitive:
    form = _Form((rows, width))
    return _Primitive({_SOURCE: form, _TARGET: form}, "softmax_forward", *_inputs_of_softmax(form))


@lru_cache(_KEPT)
def _softmax_gradient(rows: int, width: int) -> _Primitive:
    form = _Form((rows, width))
    shape = form.description
    with _described("softmax_forward", *_inputs_of_softmax(form)) as forward:
        return _Primitive(
            {_TARGET: form, _TARGET_GRADIENT: form, _SOURCE_GRADIENT: form},
            "softmax_backward", _loaded().engine, c_int(_SOFTMAX), shape, shape, shape, c_int(1),
            forward, None,
        )  # fmt: skip


def _inputs_of_norm(whole: _Form, a_row: _Form, epsilon: float) -> tuple[Any, ...]:
    return (
        _loaded().engine, c_int(_FORWARD_TRAINING), whole.description, whole.description,
        a_row.description, c_float(epsilon), c_uint(_USE_SCALE_AND_SHIFT), None,
    )  # fmt: skip


@lru_cache(_KEPT)
def _layer_norm(rows: int, width: int, epsilon: float) -> _Primitive:
    whole, a_row, a_value = _Form((rows, width)), _Form((rows,)), _Form((width,))
    return _Primitive(
        {_SOURCE: whole, _TARGET: whole, _MEAN: a_row, _VARIANCE: a_row, _SCALE: a_value,
         _SHIFT: a_value},
        "layer_normalization_forward", *_inputs_of_norm(whole, a_row, epsilon),
    )  # fmt: skip


@lru_cache(_KEPT)
def _layer_norm_gradient(rows: int, width: int, epsilon: float) -> _Primitive:
    whole, a_row, a_value = _Form((rows, width)), _Form((rows,)), _Form((width,))
    shape = whole.description
    inputs = _inputs_of_norm(whole, a_row, epsilon)
    with _described("layer_normalization_forward", *inputs) as forward:
        return _Primitive(
            {_SOURCE: whole, _TARGET_GRADIENT: whole, _SOURCE_GRADIENT: whole, _MEAN: a_row,
             _VARIANCE: a_row, _SCALE: a_value, _SHIFT: a_value, _SCALE_GRADIENT: a_value,
             _SHIFT_GRADIENT: a_value},
            "layer_normalization_backward", _loaded().engine, c_int(_BACKWARD), shape, shape, shape,
            a_row.description, c_float(epsilon), c_uint(_USE_SCALE_AND_SHIFT), forward, None,
        )  # fmt: skip
