"""An intent classifier in Python: fine-tune, evaluate, predict, save for inference.

    python examples/intent_classifier.py [--steps N]

It trains on the travel questions in `examples/crosswoz_intent` and writes to `runs/`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import paddle

import hub

DATA = Path(__file__).parent / "crosswoz_intent"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, help="stop after this many training steps")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where to write")
    arguments = parser.parse_args()

    train = hub.load_dataset(DATA / "train.tsv")
    labels = dict(enumerate(sorted(set(train.labels))))

    # A model by its name; `-` and `_` are the same. `hub list` shows what there is.
    module = hub.Module(name="ernie_pocket_zh", task="seq-cls", label_map=labels)

    # Without an optimizer: AdamW with warm-up and linear decay.
    trainer = hub.Trainer(module)
    metrics = trainer.finetune_and_eval(train, DATA / "dev.tsv", max_steps=arguments.steps)
    print("dev: ", {name: round(value, 4) for name, value in metrics.items()})
    metrics = trainer.evaluate(DATA / "test.tsv")
    print("test:", {name: round(value, 4) for name, value in metrics.items()})

    text = "这家酒店的电话是多少"
    print(text, "->", module.predict([text])[0])

    # The model folder: weights, tokenizer, labels and what else the model knows.
    module.save(arguments.output / "intent")
    again = hub.Module(directory=arguments.output / "intent")
    assert again.predict([text]) == module.predict([text])

    # Paddle's own static program: the module knows its inputs.
    program = str(arguments.output / "ernie_intent_model")
    paddle.jit.save(module, program)
    loaded = paddle.jit.load(program)
    inputs = [paddle.to_tensor([ids]) for ids in module.tokenizer(text).values()]
    loaded.eval()
    difference = np.abs(loaded(*inputs).numpy() - module(*inputs).numpy()).max()
    print(f"paddle.jit.load: logits differ by {difference:.1e} at most")

    # For a machine without PaddlePaddle: an ONNX graph with its tokenizer and labels.
    module.export(arguments.output / "intent-onnx", overwrite=True)
    predictor = hub.Predictor(arguments.output / "intent-onnx")
    print(text, "->", predictor.predict([text], probabilities=True)[0]["label"], "(ONNX Runtime)")


if __name__ == "__main__":
    main()
