"""What the benchmarks beside other packages share: each side is a process of its own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_table(path: Path) -> list[tuple[str, str]]:
    """Texts and labels of a table with columns of these names."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["text"], row["label"]) for row in rows]


def peak_memory_mb() -> float:
    """The most memory this process has had; `getrusage` would count that of its parent too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def make_base_model(folder: Path) -> None:
    """A model of ERNIE 3.0 Base's shape with random weights and the embedded model's vocabulary."""
    import hub
    from hub.models.creation import create_model, read_shape

    vocabulary = Path(hub.__file__).parent / "registry/embedded/ernie-pocket-zh/vocab.txt"
    folder.mkdir(parents=True, exist_ok=True)
    create_model(folder, read_shape("ernie-3.0-base-zh"), vocabulary, 1)


def run_side(script: str, python: str, job: dict[str, Any]) -> dict[str, float]:
    """Run a side by `PYTHON SCRIPT --work JOB`; the figures that it writes to the job's file."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "figures.json"
        done = subprocess.run(
            [python, script, "--work", json.dumps({**job, "result": str(result)})],
            env={**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"{job['side']} failed:\n{done.stderr[-3000:]}")
        figures: dict[str, float] = json.loads(result.read_text())
        return figures


def paddlenlp_classifier(folder: Path, labels: int | None = None) -> tuple[Any, Any]:
    """PaddleNLP's ERNIE classifier with a folder's weights, and its tokenizer.

    Args:
        folder: a model folder of this package.
        labels: how many there are, if the folder's own head is not wanted.
    """
    from paddlenlp.transformers import (
        ErnieConfig,
        ErnieForSequenceClassification,
        ErnieTokenizer,
    )

    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size",
        "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "pad_token_id",
    )  # fmt: skip
    config = ErnieConfig(
        **{name: shape[name] for name in names if name in shape},
        num_labels=labels or len(shape["id2label"]), use_task_id=False,
    )  # fmt: skip
    model = ErnieForSequenceClassification(config)
    weights = model.state_dict()
    for name, value in _paddlenlp_weights(folder, shape["num_hidden_layers"]):
        if list(weights[name].shape) == list(value.shape):  # or it is another head
            weights[name].set_value(value.astype("float32"))
    return model, ErnieTokenizer(str(folder / "vocab.txt"))


def _paddlenlp_weights(folder: Path, layers: int) -> Iterator[tuple[str, Any]]:
    """The model's weights under PaddleNLP's names; its linear maps are the transpose."""
    from safetensors.numpy import load_file

    arrays = load_file(folder / "model.safetensors")
    ours, theirs = "ernie.encoder.layer", "ernie.encoder.layers"
    pairs = [
        (f"ernie.embeddings.{name}_embeddings.weight", f"ernie.embeddings.{name}_embeddings.weight")
        for name in ("word", "position", "token_type")
    ]
    for kind in ("weight", "bias"):
        pairs.append((f"classifier.{kind}", f"classifier.{kind}"))
        pairs.append((f"ernie.embeddings.LayerNorm.{kind}", f"ernie.embeddings.layer_norm.{kind}"))
        pairs.append((f"ernie.pooler.dense.{kind}", f"ernie.pooler.dense.{kind}"))
        for n in range(layers):
            for one, other in (
                ("attention.self.query", "self_attn.q_proj"),
                ("attention.self.key", "self_attn.k_proj"),
                ("attention.self.value", "self_attn.v_proj"),
                ("attention.output.dense", "self_attn.out_proj"),
                ("attention.output.LayerNorm", "norm1"),
                ("intermediate.dense", "linear1"),
                ("output.dense", "linear2"),
                ("output.LayerNorm", "norm2"),
            ):
                pairs.append((f"{ours}.{n}.{one}.{kind}", f"{theirs}.{n}.{other}.{kind}"))
    for one, other in pairs:
        if one in arrays:
            is_linear = arrays[one].ndim == 2 and "embeddings" not in one
            yield other, arrays[one].T if is_linear else arrays[one]
