"""Pretrain `ernie-pocket-zh` on one GPU, in bfloat16, for a given time.

    python tools/pretrain/train_gpu.py IDS_DIR RUN_DIR --from-model model.safetensors --minutes 12

The same model, losses and optimizers as `train.py`, in batches of 65,536 tokens that are assembled
and masked on the GPU. The learning rates fall to nothing at the end of the time, which a number in
RUN_DIR/minutes changes while it runs. Files that appear in IDS_DIR meanwhile are read too. Every
half minute RUN_DIR/log.jsonl gets a line and RUN_DIR/state.pt the weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from batches import Corpus
from evaluation import held_out
from gpu_batches import GpuCorpus
from network import Pocket
from training import VOCABULARY, Optimizers, add_arguments, load_weights, report

_WARM_UP_STEPS = 200
_PLATEAU = 0.25  # of the time; from there the rates fall in a line
_REPORT_EVERY = 30.0  # seconds


class Corpora:
    """The files of a folder, also those that come later; each batch is of one of its parts."""

    def __init__(self, folder: Path, batch: int, device: str) -> None:
        self._folder, self._batch, self._device = folder, batch, device
        self._seen: set[Path] = set()
        self._parts: list[GpuCorpus] = []
        self._generator = np.random.default_rng(5)
        first = Corpus(self._new(), batch, VOCABULARY)
        self.held_out = held_out(first, VOCABULARY)
        self._parts.append(GpuCorpus(first, device, 0))

    def _new(self) -> list[Path]:
        new = sorted(set(self._folder.glob("*.npy")) - self._seen)
        self._seen |= set(new)
        return new

    def look(self) -> None:
        """Read what has appeared in the folder."""
        if new := self._new():
            corpus = Corpus(new, self._batch, VOCABULARY, held_out=0)
            self._parts.append(GpuCorpus(corpus, self._device, 1000 * len(self._parts)))

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self._parts)

    def inputs(self, masked: float) -> tuple[torch.Tensor, ...]:
        """A batch; parts are read as often as they are large."""
        shares = np.array([part.tokens for part in self._parts]) / self.tokens
        part = self._parts[self._generator.choice(len(shares), p=shares)]
        return part.inputs(masked, VOCABULARY)


def rate_at(step: int, done: float) -> float:
    """The learning rates' share of their highest: a warm-up, a plateau, a line down to 0."""
    decay = min(1.0, (1 - done) / (1 - _PLATEAU))
    return max(0.0, min((step + 1) / _WARM_UP_STEPS, decay))


class Run:
    """A run's clock, and when it reports."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._folder, self._minutes = arguments.run, arguments.minutes
        self._started = self._reported = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def done(self) -> float:
        """How much of the time has passed, from 0 to 1."""
        return min(1.0, self.seconds / (60 * self._minutes))

    def due(self) -> bool:
        return time.monotonic() - self._reported > _REPORT_EVERY

    def report(self, model: Pocket, corpora: Corpora, device: str, **entry: float) -> None:
        """Report, and see whether the time was changed."""
        entry["seconds"] = round(self.seconds)
        report(self._folder, model, corpora.held_out, device, entry)
        changed = self._folder / "minutes"
        if changed.exists():
            self._minutes = float(changed.read_text())
        self._reported = time.monotonic()


def train(arguments: argparse.Namespace) -> None:
    """Train until the time is over."""
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is
    device = arguments.device
    run = Run(arguments)
    model = Pocket(VOCABULARY)
    load_weights(model, arguments.from_model)
    model.to(device)
    corpora = Corpora(arguments.ids, arguments.batch, device)
    print(f"{corpora.tokens:,} tokens, {run.seconds:.0f} s", flush=True)
    optimizers = Optimizers(model, arguments.muon, arguments.adam)
    losses_of = model.losses
    step = tokens = 0
    run.report(model, corpora, device, tokens=0, steps=0)
    while (done := run.done()) < 1:
        if step == arguments.eager_steps:
            losses_of = torch.compile(model.losses, dynamic=True)
        inputs = corpora.inputs(arguments.masked)
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            guessed, bag = losses_of(*inputs)
            loss = guessed + arguments.bag * bag
        loss.backward()
        optimizers.update(rate_at(step, done))
        step += 1
        tokens += inputs[0].numel()
        if step % 16 == 0:
            guessed.item()  # so that the clock is the device's
        if (step <= 64 and step % 8 == 0) or step in (arguments.eager_steps + n for n in (1, 2, 3)):
            print(f"step {step}: loss {guessed.item():.3f}, {run.seconds:.2f} s", flush=True)
        if run.due():
            entry = {"last_loss": round(guessed.item(), 3), "last_bag_loss": round(bag.item(), 3)}
            run.report(model, corpora, device, tokens=tokens, steps=step, **entry)
            corpora.look()
    run.report(model, corpora, device, tokens=tokens, steps=step)
    (arguments.run / "finished").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, batch=65_536, adam=1.5e-3)
    parser.add_argument("--from-model", type=Path, required=True, help="a model.safetensors")
    parser.add_argument("--minutes", type=float, default=12, help="how long in all")
    parser.add_argument("--eager-steps", type=int, default=32, help="before it is compiled")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    train(arguments)


if __name__ == "__main__":
    main()
