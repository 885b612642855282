"""What `--recompute` saves in memory and costs in time, for a step of long texts.

    python benchmarks/recomputation.py [--tokens 512] [--rows 16] [--steps 4] [--rounds 3]

The shape is that of `ernie-pocket-zh`. Each measurement is a process of its own, without and with
recomputation in turns. Memory is what the steps add to the process that has the model and its
optimizer already.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time


def measure(tokens: int, rows: int, steps: int, recompute: bool) -> tuple[float, float]:
    """Median seconds of a step, and the megabytes that steps add to the process's peak."""
    import numpy as np

    from hub.backend import paddle
    from hub.module import Module
    from hub.tasks.losses import LossSettings
    from hub.training.arguments import TrainingArguments
    from hub.training.optimization import default_optimizer

    module = Module(name="ernie-pocket-zh", task="seq-cls", num_classes=14)
    assert module.task is not None
    optimizer = default_optimizer(module.network, TrainingArguments(), 1000)
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 14, rows)
    module.network.train()
    module.network.encoder.recompute = recompute
    seconds: list[float] = []
    before = 0
    for step in range(steps + 1):
        # The first step is of short texts: it makes the gradients and the optimizer's state.
        ids = paddle.to_tensor(generator.integers(5, 12000, (rows, tokens if step else 4)))
        started = time.perf_counter()
        loss = module.task.loss(module.network(ids), targets, LossSettings(), module.network)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        float(loss)
        seconds.append(time.perf_counter() - started)
        if step == 0:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return statistics.median(seconds[1:]), (after - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=512, help="tokens in a row")
    parser.add_argument("--rows", type=int, default=16, help="rows in a step")
    parser.add_argument("--steps", type=int, default=4, help="steps in a measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    parser.add_argument("--worker", choices=["off", "on"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        given = (arguments.tokens, arguments.rows, arguments.steps, arguments.worker == "on")
        print(json.dumps(measure(*given)))
        return
    found: dict[str, list[tuple[float, float]]] = {"off": [], "on": []}
    for _ in range(arguments.rounds):
        for which, measured in found.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--worker", which]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            measured.append(tuple(json.loads(done.stdout.splitlines()[-1])))
    print(f"{arguments.rows} rows of {arguments.tokens} tokens")
    print(f"{'recompute':<10} {'s/step':>8} {'memory, MB':>11}")
    for which, measured in found.items():
        times, sizes = zip(*measured, strict=True)
        print(f"{which:<10} {statistics.median(times):8.2f} {statistics.median(sizes):11,.0f}")


if __name__ == "__main__":
    main()
