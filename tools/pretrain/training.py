"""What training on a CPU and on a GPU have in common: options, updates, and what is written."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from evaluation import Masked, evaluate
from muon import Muon
from network import Pocket

VOCABULARY = 12_000


def add_arguments(parser: argparse.ArgumentParser, batch: int, adam: float) -> None:
    """The options of both, with the defaults that differ."""
    parser.add_argument("ids", type=Path, help="what tokenize_corpus.py wrote")
    parser.add_argument("run", type=Path, help="the folder of the state and the log")
    parser.add_argument("--batch", type=int, default=batch, help="tokens of a step")
    parser.add_argument("--masked", type=float, default=0.2, help="part of a text that is masked")
    parser.add_argument("--muon", type=float, default=0.02, help="learning rate of matrices")
    parser.add_argument("--adam", type=float, default=adam, help="learning rate of the rest")
    parser.add_argument("--bag", type=float, default=0.15, help="weight of the second loss")


def load_weights(model: Pocket, path: Path) -> None:
    """Go on from a `model.safetensors`."""
    from safetensors.numpy import load_file

    model.load(load_file(path))


class Optimizers:
    """Muon for the matrices of the layers, AdamW for everything else.

    Args:
        model: what is trained.
        muon, adam: their highest learning rates.
    """

    def __init__(self, model: Pocket, muon: float, adam: float) -> None:
        named = dict(model.named_parameters())
        matrices = [p for n, p in named.items() if n.startswith("layers") and p.dim() == 2]
        tables = [model.word.weight, model.position.weight]
        chosen = {id(p) for p in (*matrices, *tables)}
        rest = [p for p in named.values() if id(p) not in chosen]
        groups = [{"params": rest, "weight_decay": 0.0}, {"params": tables, "weight_decay": 0.01}]
        self._clipped = [*rest, *tables]
        self._with_rates: list[tuple[torch.optim.Optimizer, float]] = [
            (Muon(matrices, muon), muon),
            (torch.optim.AdamW(groups, lr=adam, betas=(0.9, 0.98), fused=True), adam),
        ]

    def update(self, rate: float) -> None:
        """One step by the gradients that are there, at this share of the highest rates."""
        torch.nn.utils.clip_grad_norm_(self._clipped, 1.0)
        for optimizer, highest in self._with_rates:
            for group in optimizer.param_groups:
                group["lr"] = highest * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def report(
    folder: Path,
    model: Pocket,
    measured: Masked,
    device: str,
    entry: dict[str, float],
    **state: Any,
) -> None:
    """Evaluate, write a line of the log, and keep the weights with what else is to be kept."""
    loss, accuracy = evaluate(model, measured, device)
    entry = {**entry, "held_out_loss": round(loss, 4), "held_out_accuracy": round(accuracy, 5)}
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    print(entry, flush=True)
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    torch.save({"model": weights, **state}, folder / "state.pt.new")
    os.replace(folder / "state.pt.new", folder / "state.pt")
