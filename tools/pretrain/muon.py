"""Muon: momentum whose step for a matrix is made orthogonal by five Newton-Schulz iterations.

After Keller Jordan's description, https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from network import HIDDEN

_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """For each of the matrices [N, R, C] the nearest whose singular values are all about 1.

    On a GPU in bfloat16, which the iteration tolerates.
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if x.is_cuda:
        x = x.bfloat16()
    for _ in range(_STEPS):
        square = x @ x.mT
        x = _A * x + (_B * square + _C * (square @ square)) @ x
    return (x if wide else x.mT).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """For matrices; those of query, key and value, which are one, are treated as three.

    Matrices of a shape are made orthogonal together: few large products instead of many small ones.
    """

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
            of_shape = defaultdict(list)
            for parameter in group["params"]:
                memory = self.state[parameter].setdefault("memory", torch.zeros_like(parameter))
                memory.mul_(group["momentum"]).add_(parameter.grad)
                update = parameter.grad.add(memory, alpha=group["momentum"])
                rows = HIDDEN if len(update) == 3 * HIDDEN else len(update)
                for target, part in zip(parameter.split(rows), update.split(rows), strict=True):
                    of_shape[tuple(part.shape)].append((target, part))
            for (rows, columns), pairs in of_shape.items():
                made = orthogonal(torch.stack([part for _, part in pairs]))
                made *= max(1.0, rows / columns) ** 0.5
                targets = [target for target, _ in pairs]
                torch._foreach_mul_(targets, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(targets, list(made.unbind()), alpha=-group["lr"])
