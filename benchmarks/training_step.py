"""What each CPU setting of `hub/backend.py` gives to a fine-tuning step, setting by setting.

    python benchmarks/training_step.py [--tokens 32] [--steps 20] [--rounds 3]

Every line adds one setting to those above it. Each measurement is a process of its own, because
most settings count only before PaddlePaddle loads; the lines take turns, round after round, so that
a noisy machine is noisy to all of them. The figure is the median of all steps; the last column is
the ratio to the first line, Paddle as it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

AS_INSTALLED = {
    "MKL_DEBUG_CPU_TYPE": "0",  # MKL decides
    "FLAGS_paddle_num_threads": "1",
    "OMP_NUM_THREADS": "1",
    "FLAGS_use_stride_kernel": "1",
    "KEEP_MEMORY": "0",
    "OWN_DROPOUT": "0",
}


def settings() -> list[tuple[str, dict[str, str]]]:
    """The lines of the table: a name, and the environment it adds."""
    threads = str(os.cpu_count() or 1)
    return [
        ("Paddle as installed", {}),
        ("+ MKL's fast path on AMD", {"MKL_DEBUG_CPU_TYPE": "5"}),
        ("+ all threads", {"FLAGS_paddle_num_threads": threads, "OMP_NUM_THREADS": threads}),
        ("+ real transposes", {"FLAGS_use_stride_kernel": "0"}),
        ("+ freed memory kept", {"KEEP_MEMORY": "1"}),
        ("+ own dropout", {"OWN_DROPOUT": "1"}),
    ]


def measure(tokens: int, steps: int) -> list[float]:
    """Seconds of each step: batch 32, the shape of `ernie-pocket-zh`, AdamW."""
    import ctypes

    import numpy as np

    from hub import backend
    from hub.models.ernie import dropout
    from hub.module import Module
    from hub.tasks.losses import LossSettings
    from hub.training.arguments import TrainingArguments
    from hub.training.optimization import default_optimizer

    paddle = backend.paddle
    if os.environ["KEEP_MEMORY"] == "0":
        for option in (-1, -3):  # glibc's own thresholds for trimming and for mapping
            ctypes.CDLL(None).mallopt(option, 128 * 1024)
    if os.environ["OWN_DROPOUT"] == "0":
        dropout.Dropout.forward = lambda self, x: paddle.nn.functional.dropout(
            x, self.p, training=self.training
        )
    module = Module(name="ernie-pocket-zh", task="seq-cls", num_classes=14)
    assert module.task is not None
    optimizer = default_optimizer(module.network, TrainingArguments(), 1000)
    generator = np.random.default_rng(0)
    ids = paddle.to_tensor(generator.integers(5, 12000, (32, tokens)))
    targets = generator.integers(0, 14, 32)
    module.network.train()
    seconds = []
    for _ in range(steps + 3):
        started = time.perf_counter()
        loss = module.task.loss(module.network(ids), targets, LossSettings(), module.network)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        float(loss)
        seconds.append(time.perf_counter() - started)
    return seconds[3:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=32, help="tokens in a row")
    parser.add_argument("--steps", type=int, default=20, help="steps in a measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each line")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments.tokens, arguments.steps)))
        return
    lines = settings()
    found: dict[str, list[float]] = {name: [] for name, _ in lines}
    for _ in range(arguments.rounds):
        added = dict(AS_INSTALLED)
        for name, more in lines:
            added |= more
            environment = {**os.environ, **added}
            command = [sys.executable, __file__, "--worker", "--steps", str(arguments.steps)]
            done = subprocess.run(
                [*command, "--tokens", str(arguments.tokens)],
                env=environment,
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found[name] += json.loads(done.stdout.splitlines()[-1])
    first = statistics.median(found[lines[0][0]])
    print(f"{'setting':<26} {'s/step':>8} {'ratio':>7}")
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"{name:<26} {median:8.3f} {first / median:6.2f}x")


if __name__ == "__main__":
    main()
