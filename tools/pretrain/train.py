"""Pretrain `ernie-pocket-zh` as a masked language model on a CPU, in PyTorch.

    python tools/pretrain/train.py IDS_DIR RUN_DIR --warm warm_start.npz --tokens 9e6

Whole words and n-grams of words are masked, a fifth of a text's tokens, 80/10/10; the batches are
texts of one length, so that nothing is padded. Matrices of the layers are updated by Muon
(https://kellerjordan.github.io/posts/muon/), everything else by AdamW.

Each of --processes trains with one thread on batches of its own and updates the same weights
without waiting for the others (https://arxiv.org/abs/1106.5730): on a machine that is busy with
other work, threads that wait for each other would stand still. RUN_DIR/state.pt is written after
every million tokens; the same command goes on from it. RUN_DIR/log.jsonl has the held-out loss and
accuracy.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from batches import Corpus, mask
from evaluation import Masked, held_out
from network import Pocket
from training import VOCABULARY, Optimizers, add_arguments, load_weights, report

_WARM_UP_STEPS = 150
_SAVE_EVERY = 1e6


def rate_at(step: int, done: float) -> float:
    """The learning rates' share of their highest: a warm-up, a plateau, a line down to 3 %."""
    decay = 1.0 if done < 0.3 else max(0.03, 1 - (done - 0.3) / 0.7)
    return min(1.0, (step + 1) / _WARM_UP_STEPS) * decay


def work(
    rank: int,
    model: Pocket,
    corpus: Corpus,
    measured: Masked,
    shared: torch.Tensor,
    arguments: argparse.Namespace,
) -> None:
    """Train until enough tokens were seen by all processes together.

    `shared` holds what they have in common: tokens, batches drawn, steps.
    """
    torch.set_num_threads(1)
    optimizers = Optimizers(model, arguments.muon, arguments.adam)
    generator = np.random.default_rng((11, rank, int(shared[1])))
    order, epoch = [], -1
    saved, started = float(shared[0]), time.monotonic()

    def entry() -> dict[str, float]:
        return {
            "tokens": int(shared[0]), "steps": int(shared[2]),
            "last_loss": round(losses[0].item(), 3), "last_bag_loss": round(losses[1].item(), 3),
            "seconds": round(time.monotonic() - started),
        }  # fmt: skip

    while float(shared[0]) < arguments.tokens:
        number = int(shared[1])
        shared[1] += 1  # two processes may draw the same number: a batch is then read twice
        if number // corpus.batches_an_epoch != epoch:
            epoch = number // corpus.batches_an_epoch
            order = corpus.order(epoch)
        rate = rate_at(int(shared[2]), float(shared[0]) / arguments.tokens)
        rows = corpus.rows(order[number % corpus.batches_an_epoch])
        inputs = [*mask(rows, arguments.masked, generator, VOCABULARY), corpus.bag(rows)]
        losses = model.losses(*(torch.from_numpy(x) for x in inputs))
        (losses[0] + arguments.bag * losses[1]).backward()
        optimizers.update(rate)
        shared[2] += 1
        shared[0] += rows.size
        if rank == 0 and float(shared[0]) - saved > _SAVE_EVERY:
            saved = float(shared[0])
            report(arguments.run, model, measured, "cpu", entry(), shared=shared.clone())
    if rank == 0:
        report(arguments.run, model, measured, "cpu", entry(), shared=shared.clone())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, batch=8192, adam=1e-3)
    parser.add_argument("--warm", type=Path, help="what warm_start.py wrote; a new run needs it")
    parser.add_argument("--from-model", type=Path, help="go on from a model.safetensors instead")
    parser.add_argument("--tokens", type=float, default=9e6, help="in all, with those of the state")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Pocket(VOCABULARY)
    shared = torch.zeros(3, dtype=torch.float64)
    if (arguments.run / "state.pt").exists():
        state = torch.load(arguments.run / "state.pt", weights_only=True)
        model.load_state_dict(state["model"])
        shared.copy_(state["shared"])
    elif arguments.from_model is not None:
        load_weights(model, arguments.from_model)
    else:
        model.start(arguments.warm)
    corpus = Corpus(arguments.ids, arguments.batch, VOCABULARY)
    print(f"{corpus.tokens:,} tokens in {corpus.batches_an_epoch:,} batches", flush=True)
    measured = held_out(corpus, VOCABULARY)
    model.share_memory()
    shared.share_memory_()
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=work, args=(rank, model, corpus, measured, shared, arguments))
        for rank in range(arguments.processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
