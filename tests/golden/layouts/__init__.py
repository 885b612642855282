"""Every layout of the catalogue as a small model: the same numbers in every library that makes it.

A layout is what distinguishes one published encoder from another but for its size: activation,
epsilon, positions, segments, task types. The weights are drawn from a seed and need not be stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.shapes import encoder_shapes
from hub.registry import list_models

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "transformers.npz"
CLASSES, TAGS = 3, 5
# What makes a layout; the sizes are the same for all.
_FIELDS = (
    "model_type", "max_position_embeddings", "type_vocab_size", "task_type_vocab_size",
    "use_task_id", "hidden_act", "layer_norm_eps", "pad_token_id",
)  # fmt: skip
_SIZES = {
    "vocab_size": 64,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
# Heads by what `transformers` calls the class after the model's type -> name -> shape.
_WIDTH, _WORDS = _SIZES["hidden_size"], _SIZES["vocab_size"]
_PREDICTIONS: dict[str, tuple[int, ...]] = {
    "cls.predictions.bias": (_WORDS,),
    "cls.predictions.transform.dense.weight": (_WIDTH, _WIDTH),
    "cls.predictions.transform.dense.bias": (_WIDTH,),
    "cls.predictions.transform.LayerNorm.weight": (_WIDTH,),
    "cls.predictions.transform.LayerNorm.bias": (_WIDTH,),
}
HEADS: dict[str, dict[str, tuple[int, ...]]] = {
    "ForSequenceClassification": {
        "classifier.weight": (CLASSES, _WIDTH),
        "classifier.bias": (CLASSES,),
    },
    "ForTokenClassification": {"classifier.weight": (TAGS, _WIDTH), "classifier.bias": (TAGS,)},
    "ForMaskedLM": _PREDICTIONS,
    "ForPreTraining": {
        **_PREDICTIONS,
        "cls.seq_relationship.weight": (2, _WIDTH),
        "cls.seq_relationship.bias": (2,),
    },
}


def layouts() -> dict[str, ErnieConfig]:
    """The catalogue's layouts, each under the name of the first model that has it."""
    found: dict[str, ErnieConfig] = {}
    for entry in list_models():
        whole = ErnieConfig.from_dict(dict(entry.architecture)).to_dict()
        small = ErnieConfig(**_SIZES, **{name: whole[name] for name in _FIELDS})
        if small not in found.values():
            found[entry.name] = small
    return found


def weights(config: ErnieConfig, head: str) -> dict[str, np.ndarray]:
    """The parameters by the names and in the layout of `transformers`.

    They are wide (standard deviation 0.3), so that a wrong activation or transposition shows, and
    of the layer norms around 1.
    """
    generator = np.random.default_rng(11)
    shapes = {f"{config.model_type}.{k}": v for k, v in encoder_shapes(config).items()}
    arrays = {}
    for name, shape in {**shapes, **HEADS[head]}.items():
        mean = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        arrays[name] = generator.normal(mean, 0.3, shape).astype(np.float32)
    return arrays


def batches(config: ErnieConfig) -> list[dict[str, np.ndarray]]:
    """One text, a padded batch with all segments, and one of as many tokens as there may be."""
    generator = np.random.default_rng(7)
    made = []
    for lengths in ([4], [2, 7, 11], [config.max_position_embeddings]):
        shape = (len(lengths), max(lengths))
        mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
        segments = generator.integers(0, config.type_vocab_size, shape)
        made.append(
            {
                "input_ids": generator.integers(5, _WORDS, shape) * mask,
                "token_type_ids": segments * mask,
                "attention_mask": mask,
            }
        )
    return made


def write_folder(folder: Path, config: ErnieConfig, head: str) -> None:
    """Write the model as `transformers` would."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    prefix = {"ernie": "Ernie", "bert": "Bert"}[config.model_type]
    values: dict[str, Any] = {**config.to_dict(), "architectures": [prefix + head]}
    if head in ("ForSequenceClassification", "ForTokenClassification"):
        count = HEADS[head]["classifier.bias"][0]
        values["id2label"] = {str(n): f"label {n}" for n in range(count)}
        values["label2id"] = {f"label {n}": n for n in range(count)}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    save_file(weights(config, head), folder / "model.safetensors")
    entries = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"今天气好吗我要听一首歌"]
    (folder / "vocab.txt").write_text("".join(f"{e}\n" for e in entries), encoding="utf-8")
