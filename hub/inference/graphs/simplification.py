"""An exported graph made plainer, with the same output: what converters leave is taken out.

Constants become initializers, which tools look for weights in; nodes that do nothing go; and the
maps of query, key and value, which read the same input, become one larger map.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import helper, numpy_helper


def simplify(model: onnx.ModelProto) -> None:
    """Rewrite a graph in place."""
    constants_to_initializers(model.graph)
    drop_identities(model.graph)
    fuse_linear_maps(model.graph)


def constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Turn `Constant` nodes that hold a tensor into initializers."""
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        else:
            kept.append(node)
    _replace_nodes(graph, kept)


def drop_identities(graph: onnx.GraphProto) -> None:
    """Let readers of an `Identity` read what it reads; one that makes the graph's output stays."""
    outputs = {output.name for output in graph.output}
    same: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] not in outputs:
            same[node.output[0]] = same.get(node.input[0], node.input[0])
        else:
            for place, name in enumerate(node.input):
                node.input[place] = same.get(name, name)
            kept.append(node)
    _replace_nodes(graph, kept)


def fuse_linear_maps(graph: onnx.GraphProto) -> None:
    """Compute linear maps of one input, each a `MatMul` and an `Add`, as one and split the result.

    [K, N1], [K, N2], ... become [K, N1 + N2 + ...].
    """
    arrays = initializers(graph)
    readers = _readers(graph)
    by_input: dict[str, list[tuple[onnx.NodeProto, onnx.NodeProto, str]]] = defaultdict(list)
    for node in graph.node:
        weight = linear_weight(node, arrays)
        if weight is None:
            continue
        followers = readers[node.output[0]]
        if len(followers) != 1 or followers[0].op_type != "Add":
            continue
        add = followers[0]
        bias = add.input[1] if add.input[0] == node.output[0] else add.input[0]
        if bias in arrays and arrays[bias].shape == (weight.shape[1],):
            by_input[node.input[0]].append((node, add, bias))
    made: dict[int, list[onnx.NodeProto]] = {}
    gone: set[int] = set()
    for source, maps in by_input.items():
        if len(maps) > 1:
            made[id(maps[0][0])] = _fused(graph, source, maps, arrays)
            gone.update(id(node) for matmul, add, _ in maps for node in (matmul, add))
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        kept += made.get(id(node), [] if id(node) in gone else [node])
    _replace_nodes(graph, kept)
    drop_unread(graph)


def _fused(
    graph: onnx.GraphProto,
    source: str,
    maps: list[tuple[onnx.NodeProto, onnx.NodeProto, str]],
    arrays: dict[str, np.ndarray],
) -> list[onnx.NodeProto]:
    """What computes several maps at once; their weights are added to the graph."""
    name = f"{maps[0][0].output[0]}.fused"
    weights = np.concatenate([arrays[matmul.input[1]] for matmul, _, _ in maps], axis=1)
    biases = np.concatenate([arrays[bias] for _, _, bias in maps])
    widths = np.array([arrays[matmul.input[1]].shape[1] for matmul, _, _ in maps], np.int64)
    for suffix, array in (("weight", weights), ("bias", biases), ("widths", widths)):
        graph.initializer.append(numpy_helper.from_array(array, f"{name}.{suffix}"))
    outputs = [add.output[0] for _, add, _ in maps]
    return [
        helper.make_node("MatMul", [source, f"{name}.weight"], [f"{name}.product"]),
        helper.make_node("Add", [f"{name}.product", f"{name}.bias"], [f"{name}.sum"]),
        helper.make_node("Split", [f"{name}.sum", f"{name}.widths"], outputs, axis=-1),
    ]


# --- what rewriting needs ------------------------------------------------------------------------


def initializers(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The graph's weights, by their names."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def linear_weight(node: onnx.NodeProto, arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """The weight [K, N] of a linear map; None if the node is none."""
    weight = arrays.get(node.input[1]) if node.op_type == "MatMul" else None
    return weight if weight is not None and weight.ndim == 2 else None


def drop_unread(graph: onnx.GraphProto) -> None:
    """Take out initializers that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)
