"""Write a pretrained state as the embedded model: half precision, with its log and its curve.

python tools/pretrain/write_model.py RUN_DIR MODEL_DIR
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from network import Pocket
from safetensors.numpy import save_file


def draw(log: list[dict[str, float]], path: Path) -> None:
    """The held-out loss and accuracy by the tokens seen."""
    tokens = [entry["tokens"] / 1e6 for entry in log]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(tokens, [entry["held_out_loss"] for entry in log], marker="o")
    left.set(title="held-out loss", xlabel="million tokens")
    right.plot(tokens, [100 * e["held_out_accuracy"] for e in log], marker="o", color="tab:orange")
    right.set(title="masked tokens guessed, %", xlabel="million tokens")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    state = torch.load(arguments.run / "state.pt", weights_only=True)["model"]
    model = Pocket(state["word.weight"].shape[0])
    model.load_state_dict(state)
    arrays = {name: value.astype(np.float16) for name, value in model.arrays().items()}
    save_file(arrays, arguments.output / "model.safetensors", metadata={"format": "pt"})
    log = [json.loads(line) for line in (arguments.run / "log.jsonl").read_text().splitlines()]
    draw(log, arguments.output / "pretraining.png")


if __name__ == "__main__":
    main()
