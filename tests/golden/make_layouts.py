"""Keep what Hugging Face transformers answers for every layout of the catalogue.

    python tests/golden/make_layouts.py          # needs torch and transformers

Writes `tests/golden/layouts/transformers.npz`: for every layout, head and batch the
outputs, float32. The models and batches are those of `layouts/__init__.py`, whose weights come
from a seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from hub.models.ernie.config import ErnieConfig  # noqa: E402
from tests.golden import layouts  # noqa: E402

LABELS = {"ForSequenceClassification": layouts.CLASSES, "ForTokenClassification": layouts.TAGS}


def model(config: ErnieConfig, head: str) -> torch.nn.Module:
    """The model of `transformers` with the seeded weights."""
    kind = {"ernie": "Ernie", "bert": "Bert"}[config.model_type]
    values = {k: v for k, v in config.to_dict().items() if k != "model_type"}
    their_config = getattr(transformers, f"{kind}Config")(
        **values, num_labels=LABELS.get(head, 2), attn_implementation="eager"
    )
    made = getattr(transformers, kind + head)(their_config)
    state = {name: torch.tensor(array) for name, array in layouts.weights(config, head).items()}
    missing, unexpected = made.load_state_dict(state, strict=False)
    # The decoder is tied: its weight is the word embeddings', its bias the head's.
    tied = {f"cls.predictions.decoder.{part}" for part in ("weight", "bias")}
    # Heads over tokens have no pooler there.
    pooler = {f"{config.model_type}.pooler.dense.{part}" for part in ("weight", "bias")}
    if set(unexpected) - pooler or set(missing) - tied:
        raise SystemExit(f"{config}: {head} lacks {missing}, and does not know {unexpected}")
    made.tie_weights()
    return made.eval()


def main() -> None:
    answers: dict[str, np.ndarray] = {}
    for name, config in layouts.layouts().items():
        for head in layouts.HEADS:
            made = model(config, head)
            for number, batch in enumerate(layouts.batches(config)):
                with torch.no_grad():
                    output = made(**{k: torch.tensor(v) for k, v in batch.items()})
                for field in ("logits", "prediction_logits", "seq_relationship_logits"):
                    value = getattr(output, field, None)
                    if value is not None:
                        # Of the longest text the last token is enough: every other one is in it.
                        kept = value[:, -1:] if number == 2 and value.ndim == 3 else value
                        answers[f"{name}/{head}/{number}/{field}"] = kept.numpy()
    made_with = f"transformers {transformers.__version__}, torch {torch.__version__}"
    np.savez_compressed(layouts.GOLDEN, made_with=made_with, **answers)
    print(f"{len(layouts.layouts())} layouts, {len(answers)} outputs, {made_with}")


if __name__ == "__main__":
    main()
