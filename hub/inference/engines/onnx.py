"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hub.data.batches import Batch
from hub.errors import ModelError
from hub.third_party import load


class OnnxEngine:
    """A graph in an ONNX Runtime session, on the CPU.

    Args:
        path: the `.onnx` file.
        threads: how many threads compute.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        ModelError: the file cannot be loaded.
    """

    def __init__(self, path: Path, threads: int) -> None:
        onnxruntime = load("onnxruntime", "onnx", "Running an ONNX model")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # Threads that wait for the next call's work would take a processor from whoever has some.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {error}.") from error
        self._inputs = [node.name for node in self._session.get_inputs()]

    def __call__(self, batch: Batch) -> np.ndarray:
        """The graph's output for a batch, float32 [B, ...]."""
        feeds = {name: getattr(batch, name) for name in self._inputs}
        output: np.ndarray = self._session.run(None, feeds)[0]
        return output
