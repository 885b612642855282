"""OpenVINO, on Intel's and compatible processors."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from hub.data.batches import Batch
from hub.errors import ModelError
from hub.third_party import load

# OpenVINO's binding prepares something at the first inference of a process, and two threads that
# come to it at once wait for each other for ever.
_first_inference = threading.Lock()


class OpenVinoEngine:
    """A graph compiled by OpenVINO for the CPU; safe to be called from several threads.

    Args:
        path: the `.xml` file; its weights lie beside it.
        threads: how many threads compute.
        precision: "fp32", "bf16" to compute in bfloat16, or "int8" as the graph says.
        streams: how many calls are computed at once; they share the threads.

    Raises:
        MissingPackageError: openvino is not installed.
        ModelError: the files cannot be loaded.
    """

    def __init__(self, path: Path, threads: int, precision: str = "fp32", streams: int = 1) -> None:
        openvino = load("openvino", "openvino", "Running an OpenVINO model")
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": str(streams),
        }
        try:
            core = openvino.Core()
            self._compiled = core.compile_model(core.read_model(path), "CPU", options)
        except Exception as error:  # openvino raises RuntimeError and its own errors
            raise ModelError(f"{path} cannot be loaded by OpenVINO: {error}.") from error
        self._inputs = [port.get_any_name() for port in self._compiled.inputs]
        # A request of its own for each thread: one cannot be used by two at a time.
        self._local = threading.local()
        nothing, one = np.zeros((1, 2), np.int64), np.zeros(1, np.int64)
        with _first_inference:
            self(Batch(one, nothing, nothing, nothing + 1, one))

    def __call__(self, batch: Batch) -> np.ndarray:
        """The graph's output for a batch, float32 [B, ...]."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        feeds = {name: getattr(batch, name) for name in self._inputs}
        # The request's memory is used again by its next call.
        output: np.ndarray = request.infer(feeds)[0].copy()
        return output
