"""The engines that run an exported graph. Each takes a `Batch` and returns float32 output."""

from __future__ import annotations

from pathlib import Path

from hub.errors import ModelError
from hub.tasks.base import Forward

# Engine -> the files of the graph; the first is the graph itself.
GRAPH_FILES = {
    "onnx": ("model.onnx",),
    "paddle": ("model.json", "model.pdiparams"),
}


def open_engine(engine: str, folder: Path, threads: int | None) -> Forward:
    """Load the graph of `folder` into its engine; None threads is one a processor.

    Raises:
        ModelError: the engine is unknown, or the graph is damaged.
        MissingPackageError: the engine's package is not installed.
    """
    if engine == "onnx":
        from hub.inference.engines.onnx import OnnxEngine

        return OnnxEngine(folder / GRAPH_FILES["onnx"][0], threads)
    if engine == "paddle":
        from hub.inference.engines.paddle import PaddleEngine

        graph, weights = GRAPH_FILES["paddle"]
        return PaddleEngine(folder / graph, folder / weights, threads)
    raise ModelError(f"{folder} asks for the engine {engine!r}, which this package does not have.")
