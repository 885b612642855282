"""The optimizer's state divided among the processes of a run: ZeRO's first stage.

AdamW keeps two numbers for every weight. Each process keeps those of its own share of the
parameters only, changes these by the summed gradients, and sends them to the others
(https://arxiv.org/abs/1910.02054, section 5.1). The weights become what they become without.
"""

from __future__ import annotations

import numpy as np

from hub.backend import paddle
from hub.errors import InputError
from hub.training.parallel import Group, buckets, divided


class Shares:
    """Which process changes which parameter.

    Args:
        network: its trained parameters are shared out, about as many weights to each process.
        group: the processes.

    Raises:
        InputError: there is one process alone.
    """

    def __init__(self, network: paddle.nn.Layer, group: Group) -> None:
        if group.size == 1:
            raise InputError(
                "shard_optimizer divides the optimizer's state among the processes of a run, and "
                "this one has a single process: give --nproc or --devices too."
            )
        self._group = group
        self._parts: list[dict[str, paddle.Tensor]] = [{} for _ in range(group.size)]
        sizes = [0] * group.size
        trained = {name: p for name, p in network.named_parameters() if not p.stop_gradient}
        # The largest first, each to the process that has least: all processes find the same.
        for name in sorted(trained, key=lambda name: -trained[name].size):
            rank = sizes.index(min(sizes))
            self._parts[rank][name] = trained[name]
            sizes[rank] += trained[name].size

    @property
    def own(self) -> dict[str, paddle.Tensor]:
        """The parameters of this process's share, by their names in the network."""
        return self._parts[self._group.rank]

    def exchange(self) -> None:
        """Send this process's share of the weights to the others, and take theirs.

        Raises:
            LostWorkerError: another process has ended.
        """
        for rank, part in enumerate(self._parts):
            for bucket in buckets(list(part.values())):
                flat = paddle.concat([parameter.detach().reshape([-1]) for parameter in bucket])
                self._group.broadcast(flat, rank)
                if rank != self._group.rank:
                    for parameter, values in divided(flat, bucket):
                        parameter.set_value(values)

    def collect(self, tensors: dict[str, paddle.Tensor]) -> dict[str, np.ndarray]:
        """What all processes' optimizers keep, put together in the first process.

        All processes call it at the same step.

        Args:
            tensors: what this process's optimizer keeps, float32.

        Returns:
            In the first process all of it; in the others nothing.

        Raises:
            LostWorkerError: another process has ended.
        """
        shapes = self._group.gather([(name, tensor.shape) for name, tensor in tensors.items()])
        collected = {}
        if self._group.is_first:
            collected = {name: tensor.numpy() for name, tensor in tensors.items()}
        for rank, listed in enumerate(shapes[1:], start=1):
            if self._group.rank not in (0, rank):
                continue
            for name, shape in listed:
                is_own = self._group.rank == rank
                tensor = tensors[name] if is_own else paddle.empty(shape)
                self._group.send_to_first(tensor, rank)
                if not is_own:
                    collected[name] = tensor.numpy()
        return collected
