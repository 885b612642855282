"""An exported graph in eight bits: a quarter of the size, and integer arithmetic where it pays.

Linear maps: weights are int8, symmetric, with a scale for each output (per channel). Their inputs
become uint8 in one of two ways (https://arxiv.org/abs/1712.05877):

- dynamically: by their own range, as they are computed (the ONNX operators DynamicQuantizeLinear
  and MatMulInteger, which ONNX Runtime computes as one kernel). No calibration is needed, and texts
  unlike those of training lose nothing;
- statically: by a range that was measured on texts beforehand (QuantizeLinear and DequantizeLinear
  around each map, from which an engine makes integer kernels of its own; OpenVINO is fastest so).

Embeddings are int8 with a scale for each row. Layer norms, softmax, biases and small tables stay
float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hub.inference.graphs.calibration import Ranges
from hub.inference.graphs.simplification import drop_unread, initializers, linear_weight

_LARGEST = 127
_LEVELS = 255
# A table this small is not worth the extra nodes.
_SMALLEST_TABLE = 10_000


def quantize(
    model: onnx.ModelProto,
    ranges: Ranges | None = None,
    keep: Callable[[str], bool] = lambda name: False,
) -> list[str]:
    """Rewrite a simplified graph in place.

    Args:
        model: a graph whose weights are initializers.
        ranges: what `calibrate` measured, to quantize statically; None quantizes dynamically.
        keep: whether the linear map with a weight of this name stays float32.

    Returns:
        The names of the weights that were quantized.
    """
    graph = model.graph
    arrays = initializers(graph)
    done: list[str] = []
    nodes: list[onnx.NodeProto] = []
    inputs: dict[str, tuple[str, str, str]] = {}
    tables: dict[str, tuple[str, str]] = {}
    made: dict[str, np.ndarray] = {}
    for node in graph.node:
        weight = linear_weight(node, arrays)
        if weight is not None and not keep(node.input[1]):
            if ranges is None:
                nodes += _linear_map(node, weight, inputs, made)
            else:
                nodes += _static_map(node, weight, ranges, made)
            done.append(node.input[1])
            continue
        table = arrays.get(node.input[0]) if node.op_type == "Gather" else None
        if table is not None and _is_table(table):
            nodes += _lookup(node, table, tables, made)
            done.append(node.input[0])
            continue
        nodes.append(node)
    # A table that is also a weight, as in masked language models, is read back for that.
    read = {name for node in nodes for name in node.input}
    restored = []
    for name, (values, scales) in tables.items():
        if name in read:
            restored.append(
                helper.make_node(
                    "DequantizeLinear", [values, f"{scales}.flat"], [f"{name}.restored"], axis=0
                )
            )
            made[f"{scales}.flat"] = made[scales].ravel()
            for node in nodes:
                for place, read_name in enumerate(node.input):
                    if read_name == name:
                        node.input[place] = f"{name}.restored"
    copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in (*restored, *nodes)]
    del graph.node[:]
    graph.node.extend(copies)
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in made.items())
    drop_unread(graph)
    return done


def quantize_symmetric(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 values and float32 scales, with `array` about values * scales.

    Args:
        array: float32, of two dimensions.
        axis: the one along which values share a scale; scales keep it with length 1.
    """
    largest = np.abs(array).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    values = np.clip(np.rint(array / scales), -_LARGEST, _LARGEST).astype(np.int8)
    return values, scales


def _is_table(array: np.ndarray) -> bool:
    return array.dtype == np.float32 and array.ndim == 2 and array.size >= _SMALLEST_TABLE


def _int8_weight(name: str, weight: np.ndarray, made: dict[str, np.ndarray]) -> list[str]:
    """The names of a weight's int8 values, scales and zeros; several maps may share them."""
    parts = [f"{name}.{part}" for part in ("int8", "scale", "zero")]
    if parts[0] not in made:
        values, scales = quantize_symmetric(weight, axis=0)
        zeros = np.zeros(weight.shape[1], np.int8)
        made.update(zip(parts, (values, scales.ravel(), zeros), strict=True))
    return parts


def _linear_map(
    node: onnx.NodeProto,
    weight: np.ndarray,
    inputs: dict[str, tuple[str, str, str]],
    made: dict[str, np.ndarray],
) -> list[onnx.NodeProto]:
    """A `MatMul` with a weight [K, N], in integers."""
    source, name, output = node.input[0], node.input[1], node.output[0]
    nodes = []
    if source not in inputs:
        inputs[source] = (f"{source}.uint8", f"{source}.scale", f"{source}.zero")
        nodes.append(helper.make_node("DynamicQuantizeLinear", [source], list(inputs[source])))
    values, scale, zero = inputs[source]
    weights, weight_scale, weight_zero = _int8_weight(name, weight, made)
    return [
        *nodes,
        helper.make_node(
            "MatMulInteger", [values, weights, zero, weight_zero], [f"{output}.int32"]
        ),
        helper.make_node("Cast", [f"{output}.int32"], [f"{output}.float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [scale, weight_scale], [f"{output}.scales"]),
        helper.make_node("Mul", [f"{output}.float", f"{output}.scales"], [output]),
    ]


def _static_map(
    node: onnx.NodeProto,
    weight: np.ndarray,
    ranges: Ranges,
    made: dict[str, np.ndarray],
) -> list[onnx.NodeProto]:
    """A `MatMul` with a weight [K, N] between what is quantized and read back."""
    source, name, output = node.input[0], node.input[1], node.output[0]
    nodes = []
    if f"{source}.scale" not in made:
        low, high = ranges[source]
        scale = np.float32((high - low) / _LEVELS or 1.0)
        made[f"{source}.scale"] = np.array(scale, np.float32)
        made[f"{source}.zero"] = np.array(round(-low / float(scale)), np.uint8)
        names = [f"{source}.scale", f"{source}.zero"]
        nodes += [
            helper.make_node("QuantizeLinear", [source, *names], [f"{source}.uint8"]),
            helper.make_node(
                "DequantizeLinear", [f"{source}.uint8", *names], [f"{source}.restored"]
            ),
        ]
    parts = _int8_weight(name, weight, made)
    return [
        *nodes,
        helper.make_node("DequantizeLinear", parts, [f"{output}.weight"], axis=1),
        helper.make_node("MatMul", [f"{source}.restored", f"{output}.weight"], [output]),
    ]


def _lookup(
    node: onnx.NodeProto,
    table: np.ndarray,
    tables: dict[str, tuple[str, str]],
    made: dict[str, np.ndarray],
) -> list[onnx.NodeProto]:
    """A `Gather` of a table's rows [V, D], each with its own scale."""
    name, places, output = node.input[0], node.input[1], node.output[0]
    if name not in tables:
        tables[name] = (f"{name}.int8", f"{name}.scale")
        made[f"{name}.int8"], made[f"{name}.scale"] = quantize_symmetric(table, axis=1)
    values, scales = tables[name]
    return [
        helper.make_node("Gather", [values, places], [f"{output}.int8"], axis=0),
        helper.make_node("Gather", [scales, places], [f"{output}.scale"], axis=0),
        helper.make_node("Cast", [f"{output}.int8"], [f"{output}.float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{output}.float", f"{output}.scale"], [output]),
    ]
