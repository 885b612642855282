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
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from batches import Corpus, mask
from evaluation import Masked, evaluate, held_out
from muon import Muon
from network import Pocket

VOCABULARY = 12_000
_WARM_UP_STEPS = 150
_SAVE_EVERY = 1e6


def rate_at(step: int, done: float) -> float:
    """The learning rates' share of their highest: a warm-up, a plateau, a line down to 3 %."""
    decay = 1.0 if done < 0.3 else max(0.03, 1 - (done - 0.3) / 0.7)
    return min(1.0, (step + 1) / _WARM_UP_STEPS) * decay


def optimizers_of(model: Pocket, muon: float, adam: float) -> list[tuple[Any, float]]:
    """The optimizers with their highest learning rates."""
    named = dict(model.named_parameters())
    matrices = [p for n, p in named.items() if n.startswith("layers") and p.dim() == 2]
    tables = [model.word.weight, model.position.weight]
    chosen = {id(p) for p in (*matrices, *tables)}
    rest = [p for p in named.values() if id(p) not in chosen]
    groups = [{"params": rest, "weight_decay": 0.0}, {"params": tables, "weight_decay": 0.01}]
    return [
        (Muon(matrices, muon), muon),
        (torch.optim.AdamW(groups, lr=adam, betas=(0.9, 0.98), fused=True), adam),
    ]


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
    optimizers = optimizers_of(model, arguments.muon, arguments.adam)
    generator = np.random.default_rng((11, rank, int(shared[1])))
    order, epoch = [], -1
    saved, started = float(shared[0]), time.monotonic()
    while float(shared[0]) < arguments.tokens:
        number = int(shared[1])
        shared[1] += 1  # two processes may draw the same number: a batch is then read twice
        if number // corpus.batches_an_epoch != epoch:
            epoch = number // corpus.batches_an_epoch
            order = corpus.order(epoch)
        rate = rate_at(int(shared[2]), float(shared[0]) / arguments.tokens)
        for optimizer, highest in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = highest * rate
        rows = corpus.rows(order[number % corpus.batches_an_epoch])
        inputs = [*mask(rows, arguments.masked, generator, VOCABULARY), corpus.bag(rows)]
        losses = model.losses(*(torch.from_numpy(x) for x in inputs))
        (losses[0] + arguments.bag * losses[1]).backward()
        others = [p for g in optimizers[1][0].param_groups for p in g["params"]]
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        shared[2] += 1
        shared[0] += rows.size
        if rank == 0 and float(shared[0]) - saved > _SAVE_EVERY:
            saved = float(shared[0])
            report(model, measured, shared, losses, started, arguments)
    if rank == 0:
        report(model, measured, shared, losses, started, arguments)


def report(
    model: Pocket,
    measured: Masked,
    shared: torch.Tensor,
    losses: tuple[torch.Tensor, torch.Tensor],
    started: float,
    arguments: argparse.Namespace,
) -> None:
    """Evaluate, write a line of the log, and keep the state."""
    loss, accuracy = evaluate(model, measured, "cpu")
    entry = {
        "tokens": int(shared[0]), "steps": int(shared[2]), "held_out_loss": round(loss, 4),
        "held_out_accuracy": round(accuracy, 5), "last_loss": round(losses[0].item(), 3),
        "last_bag_loss": round(losses[1].item(), 3), "seconds": round(time.monotonic() - started),
    }  # fmt: skip
    with (arguments.run / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    print(entry, flush=True)
    state = {"model": model.state_dict(), "shared": shared.clone()}
    torch.save(state, arguments.run / "state.pt.new")
    os.replace(arguments.run / "state.pt.new", arguments.run / "state.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ids", type=Path, help="what tokenize_corpus.py wrote")
    parser.add_argument("run", type=Path, help="the folder of the state and the log")
    parser.add_argument("--warm", type=Path, help="what warm_start.py wrote; a new run needs it")
    parser.add_argument("--from-model", type=Path, help="go on from a model.safetensors instead")
    parser.add_argument("--tokens", type=float, default=9e6, help="in all, with those of the state")
    parser.add_argument("--batch", type=int, default=8192, help="tokens of a step")
    parser.add_argument("--masked", type=float, default=0.2, help="part of a text that is masked")
    parser.add_argument("--muon", type=float, default=0.02, help="learning rate of matrices")
    parser.add_argument("--adam", type=float, default=1e-3, help="learning rate of the rest")
    parser.add_argument("--bag", type=float, default=0.15, help="weight of the second loss")
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
        from safetensors.numpy import load_file

        model.load(load_file(arguments.from_model))
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
