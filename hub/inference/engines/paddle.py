"""Paddle Inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hub.backend import paddle
from hub.data.batches import Batch
from hub.errors import ModelError
from hub.onednn import has_bfloat16


class PaddleEngine:
    """A graph in a Paddle Inference predictor, on the CPU.

    Args:
        graph: the program (`.json`).
        weights: its parameters (`.pdiparams`).
        threads: how many threads compute.
        precision: "fp32", or "bf16" to multiply matrices in bfloat16 where the processor can.

    Raises:
        ModelError: the files cannot be loaded.
    """

    def __init__(self, graph: Path, weights: Path, threads: int, precision: str = "fp32") -> None:
        config = paddle.inference.Config(str(graph), str(weights))
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(threads)
        config.disable_glog_info()
        if precision == "bf16" and has_bfloat16():
            config.enable_mkldnn()
            config.enable_mkldnn_bfloat16()
        try:
            self._predictor = paddle.inference.create_predictor(config)
        except Exception as error:  # C++ errors arrive as several types
            raise ModelError(f"{graph} cannot be loaded by Paddle Inference: {error}.") from error
        self._inputs = self._predictor.get_input_names()
        self._output = self._predictor.get_output_names()[0]

    def __call__(self, batch: Batch) -> np.ndarray:
        """The graph's output for a batch, float32 [B, ...]."""
        for name in self._inputs:
            self._predictor.get_input_handle(name).copy_from_cpu(getattr(batch, name))
        self._predictor.run()
        output: np.ndarray = self._predictor.get_output_handle(self._output).copy_to_cpu()
        return output
