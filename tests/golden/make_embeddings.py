"""Keep the vectors that Hugging Face transformers' last layer gives for texts.

    python tests/golden/make_embeddings.py          # needs torch and transformers

Writes `tests/golden/embeddings.json`: for models of `tests/golden/transformers` the mean over a
text's tokens, as sentence-transformers' `Pooling` computes it, and the vector of `[CLS]`. The texts
are tokenized by `transformers` and computed in one padded batch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

FOLDER = Path(__file__).parent
CASES = ("bare-encoder", "bert", "ernie-1.0")
TEXTS = ["今天天气好吗", "", "我要听一首歌，好吗？", "买张票去北京。" * 3, "酒", "ticket 去北京"]


def vectors(case: str) -> dict[str, Any]:
    """Both poolings, [texts, D]."""
    folder = FOLDER / "transformers" / case
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        sequence = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    mean = (sequence * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    return {"mean": mean.tolist(), "cls": sequence[:, 0].tolist()}


def main() -> None:
    document = {
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "texts": TEXTS,
        **{case: vectors(case) for case in CASES},
    }
    path = FOLDER / "embeddings.json"
    path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
