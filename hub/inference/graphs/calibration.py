"""In what ranges the inputs of an exported graph's linear maps lie, on texts of its use."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper

from hub.data.batches import Batch
from hub.inference.graphs.simplification import initializers, linear_weight
from hub.third_party import load

# The part of a batch's values that a range holds. A few outliers would make the steps of all
# others coarse; they are cut to the range's end.
_KEPT = 0.9999

Ranges = dict[str, tuple[float, float]]


def linear_inputs(graph: onnx.GraphProto) -> list[str]:
    """The names of what linear maps with a weight [K, N] read, each once."""
    arrays = initializers(graph)
    maps = (node for node in graph.node if linear_weight(node, arrays) is not None)
    return list(dict.fromkeys(node.input[0] for node in maps))


def calibrate(model: onnx.ModelProto, batches: Iterable[Batch]) -> Ranges:
    """The range of every linear map's inputs: the mean of those of the batches.

    Args:
        model: a simplified graph in full precision.
        batches: texts like those that it will read; one at least.

    Returns:
        For each name of `linear_inputs` the lower and the upper end; 0 is between them.

    Raises:
        MissingPackageError: onnxruntime, which computes them, is not installed.
    """
    onnxruntime = load("onnxruntime", "onnx", "Measuring ranges for int8")
    names = linear_inputs(model.graph)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in own
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = [node.name for node in session.get_inputs()]
    ends: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for batch in batches:
        found = session.run(names, {name: getattr(batch, name) for name in inputs})
        mask = batch.attention_mask.astype(bool)
        for name, values in zip(names, found, strict=True):
            # What stands at padding is read by nobody.
            seen = values[mask] if values.shape[:2] == mask.shape else values
            ends[name].append(np.quantile(seen, (1 - _KEPT, _KEPT)))
    ranges: Ranges = {}
    for name, its in ends.items():
        low, high = np.mean(its, axis=0)
        ranges[name] = min(0.0, float(low)), max(0.0, float(high))
    return ranges
