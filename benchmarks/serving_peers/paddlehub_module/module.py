"""A PaddleHub module that classifies with PaddleNLP, as PaddleHub's own text modules do.

`hub install` copies this folder; the environment says what it serves: BENCHMARK_RUN is the
fine-tuned folder, BENCHMARK_PEERS the folder of `peers.py`.
"""

import json
import os
import sys
from pathlib import Path

import paddle
from paddlehub.module.module import moduleinfo, serving

sys.path.insert(0, os.environ["BENCHMARK_PEERS"])
from peers import paddlenlp_classifier


@moduleinfo(
    name="travel",
    version="1.0.0",
    summary="intents",
    author="benchmark",
    author_email="",
    type="nlp/text_classification",
)
class Travel:
    """The classifier."""

    def __init__(self, **options: object) -> None:
        run = Path(os.environ["BENCHMARK_RUN"])
        self.model, self.tokenizer = paddlenlp_classifier(run)
        self.model.eval()
        self.labels = json.loads((run / "hub.json").read_text(encoding="utf-8"))["labels"]

    @serving
    def predict(self, texts: list[str], **options: object) -> list[str]:
        """A label for each text."""
        paddle.disable_static()  # gunicorn's workers begin in static mode
        encoded = self.tokenizer(
            texts, max_length=128, padding=True, return_tensors="pd", truncation=True
        )
        with paddle.no_grad():
            logits = self.model(encoded["input_ids"], encoded["token_type_ids"])
        return [self.labels[n] for n in logits.argmax(axis=-1).tolist()]
