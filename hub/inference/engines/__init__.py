"""The engines that run an exported graph. Each takes a `Batch` and returns float32 output."""

from __future__ import annotations

from pathlib import Path

from hub.errors import ModelError
from hub.inference.engines.parallel import ParallelEngine
from hub.machine import thread_count
from hub.tasks.base import Forward

# Engine -> the files of the graph; the first is the graph itself.
GRAPH_FILES = {
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
    "paddle": ("model.json", "model.pdiparams"),
}
# Engine -> what it can compute in; the first is what it does unless it is told otherwise.
PRECISIONS = {
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "int8", "bf16"),
    "paddle": ("fp32", "bf16"),
}


# The tokens of a part of a batch: for short and long texts alike, fewer cost more calls and more
# cost padding. OpenVINO prepares every shape anew, and is given few.
_ONNX_TOKENS = 96


def open_engine(engine: str, folder: Path, threads: int | None, precision: str = "fp32") -> Forward:
    """Load the graph of `folder` into its engine; None threads is one a processor.

    Raises:
        ModelError: the engine or its precision is unknown, or the graph is damaged.
        MissingPackageError: the engine's package is not installed.
    """
    if precision not in PRECISIONS.get(engine, ()):
        raise ModelError(
            f"{folder} asks for the engine {engine!r} in {precision}, which this package does not "
            "have."
        )
    count = threads or thread_count()
    if engine == "onnx":
        from hub.inference.engines.onnx import OnnxEngine

        path = folder / GRAPH_FILES["onnx"][0]
        return ParallelEngine(
            OnnxEngine(path, count), lambda: OnnxEngine(path, 1), count, _ONNX_TOKENS
        )
    if engine == "openvino":
        from hub.inference.engines.openvino import OpenVinoEngine

        path = folder / GRAPH_FILES["openvino"][0]
        return ParallelEngine(
            OpenVinoEngine(path, count, precision),
            lambda: OpenVinoEngine(path, count, precision, streams=count),
            count,
        )
    from hub.inference.engines.paddle import PaddleEngine

    graph, weights = GRAPH_FILES["paddle"]
    return PaddleEngine(folder / graph, folder / weights, count, precision)
