"""Muon: momentum whose step for a matrix is made orthogonal by five Newton-Schulz iterations.

After Keller Jordan's description, https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from network import HIDDEN

_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix to [R, C] whose singular values are all about 1."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * (square @ square)) @ x
    return x if wide else x.T


class Muon(torch.optim.Optimizer):
    """For matrices; those of query, key and value, which are one, are treated as three."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix."""
        for group in self.param_groups:
            for parameter in group["params"]:
                memory = self.state[parameter].setdefault("memory", torch.zeros_like(parameter))
                memory.mul_(group["momentum"]).add_(parameter.grad)
                update = parameter.grad.add(memory, alpha=group["momentum"])
                parts = update.split(HIDDEN) if len(update) == 3 * HIDDEN else [update]
                made = [
                    orthogonal(part) * max(1.0, part.shape[0] / part.shape[1]) ** 0.5
                    for part in parts
                ]
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(torch.cat(made), alpha=-group["lr"])
