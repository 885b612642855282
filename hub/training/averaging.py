"""The moving average of the weights along a run, which often does better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hub.backend import paddle


class AveragedWeights:
    """An exponential moving average (https://arxiv.org/abs/1412.6980, section 7.2).

    The first steps' decay is lower, `(1 + step) / (10 + step)`, so that the average soon forgets
    the weights that the run began with.

    Args:
        network: its parameters are averaged.
        decay: how much of the average a step keeps, below 1.
    """

    def __init__(self, network: paddle.nn.Layer, decay: float) -> None:
        self._parameters = dict(network.named_parameters())
        self._decay = decay
        self._averages = {
            name: parameter.detach().clone() for name, parameter in self._parameters.items()
        }

    def update(self, step: int) -> None:
        """Take in the weights after step `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                if not parameter.stop_gradient:
                    average = self._averages[name]
                    average.add_((parameter.detach() - average) * (1 - decay))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While entered, the network has the averages as its weights."""
        kept = {name: parameter.numpy() for name, parameter in self._parameters.items()}
        try:
            for name, parameter in self._parameters.items():
                parameter.set_value(self._averages[name])
            yield
        finally:
            for name, parameter in self._parameters.items():
                parameter.set_value(kept[name])

    def get_state(self) -> dict[str, np.ndarray]:
        """The averages by their parameters' names."""
        return {name: average.numpy() for name, average in self._averages.items()}

    def set_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Continue from what `get_state` gave."""
        for name, average in self._averages.items():
            average.set_value(arrays[name])
