"""Fine-tuning side by side: this package, transformers' Trainer, and a PaddleNLP loop.

    python benchmarks/finetune.py DATA_FOLDER [--sets smp2017_ecdt chnsenticorp] [--shape nano|base]
        [--transformers PYTHON] [--paddlenlp PYTHON] [--epochs 3] [--rows N] [--max-seq-len 128]
        [--bf16] [--rounds 1] [--output finetune.json]

DATA_FOLDER holds a folder for each set with `train.tsv` and `dev.tsv` (columns text and label).
Each side is a process of its own, in turns: the same initial weights (nano: those of
`ernie-pocket-zh`; base: ERNIE 3.0 Base's shape with random ones), the same rows, epochs, batch size
of 32, learning rate, schedule and 0.01 of weight decay, an evaluation of the dev rows after every
epoch, and as many threads as there are processors. Otherwise each is used as its documentation
says: transformers with its `Trainer` and padding to the longest row of a batch; PaddleNLP with its
tokenizer, data collator and model, a loop over them, and Paddle as installed.

--transformers PYTHON has transformers, accelerate and PyTorch; --paddlenlp PYTHON has PaddleNLP and
PaddlePaddle. What is not given is left out. With --bf16 the sides that can train so are measured in
bfloat16 as well. The figures: rows a second over the whole training,
evaluations included; seconds from the process's start to its end; its peak memory; the last
epoch's accuracy on dev. Of several rounds, each with a seed of its own, the medians, and the mean
and standard deviation of the accuracy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import (
    make_base_model,
    paddlenlp_classifier,
    peak_memory_mb,
    read_table,
    run_side,
)

BATCH, RATE, DECAY, WARMUP = 32, 4e-4, 0.01, 0.1


class Data:
    """What every side learns from, with labels as numbers."""

    def __init__(self, job: dict[str, Any]) -> None:
        folder = Path(job["data"])
        texts, labels = zip(*read_table(folder / "train.tsv"), strict=True)
        dev_texts, dev_labels = zip(*read_table(folder / "dev.tsv"), strict=True)
        self.dev_texts = list(dev_texts)
        self.texts = list(texts[: job["rows"]])
        self.names = sorted(set(labels))
        number = {name: place for place, name in enumerate(self.names)}
        self.labels = [number[label] for label in labels[: job["rows"]]]
        self.dev_labels = [number[label] for label in dev_labels]


# --- the three sides, each a process ------------------------------------------------------------


def train_with_hub(job: dict[str, Any], data: Data) -> tuple[float, float]:
    """Seconds of training, and the accuracy."""
    import hub
    from hub.training.arguments import TrainingArguments
    from hub.training.trainer import Trainer

    module = hub.Module(
        directory=job["model"], task="seq-cls", label_map=data.names, classifier_pooling="cls"
    )
    arguments = TrainingArguments(
        epochs=job["epochs"], batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY,
        warmup_ratio=WARMUP, max_seq_len=job["max_seq_len"], max_steps=job["max_steps"],
        patience=None, seed=job["seed"], precision="bf16" if job["bf16"] else "fp32",
    )  # fmt: skip
    trainer = Trainer(module, arguments=arguments, progress=False)

    def rows(texts: list[str], labels: list[int]) -> list[tuple[str, str]]:
        return [(text, data.names[label]) for text, label in zip(texts, labels, strict=True)]

    started = time.perf_counter()
    trainer.train(rows(data.texts, data.labels), eval_dataset=rows(data.dev_texts, data.dev_labels))
    return time.perf_counter() - started, trainer.state.history[-1]["dev_accuracy"]


def train_with_transformers(job: dict[str, Any], data: Data) -> tuple[float, float]:
    """The same with `transformers.Trainer`."""
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    model = AutoModelForSequenceClassification.from_pretrained(
        job["model"], num_labels=len(data.names)
    )

    class Rows(torch.utils.data.Dataset):  # type: ignore[misc]
        def __init__(self, texts: list[str], labels: list[int]) -> None:
            self.encoded = tokenizer(texts, truncation=True, max_length=job["max_seq_len"])
            self.labels = labels

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, place: int) -> dict[str, Any]:
            row = {name: values[place] for name, values in self.encoded.items()}
            return {**row, "labels": self.labels[place]}

    def accuracy(outputs: Any) -> dict[str, float]:
        right = np.argmax(outputs.predictions, axis=-1) == outputs.label_ids
        return {"accuracy": float(np.mean(right))}

    started = time.perf_counter()
    train, dev = Rows(data.texts, data.labels), Rows(data.dev_texts, data.dev_labels)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch, num_train_epochs=job["epochs"], max_steps=job["max_steps"] or -1,
            per_device_train_batch_size=BATCH, per_device_eval_batch_size=64, learning_rate=RATE,
            weight_decay=DECAY, warmup_steps=WARMUP, eval_strategy="epoch", save_strategy="no",
            use_cpu=True, bf16=job["bf16"], report_to=[], disable_tqdm=True, seed=job["seed"],
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, train_dataset=train, eval_dataset=dev, compute_metrics=accuracy,
            data_collator=DataCollatorWithPadding(tokenizer),
        )  # fmt: skip
        trainer.train()
        found = [
            log["eval_accuracy"] for log in trainer.state.log_history if "eval_accuracy" in log
        ]
        seconds = time.perf_counter() - started
        return seconds, found[-1] if found else trainer.evaluate()["eval_accuracy"]


def train_with_paddlenlp(job: dict[str, Any], data: Data) -> tuple[float, float]:
    """The same with PaddleNLP's tokenizer, collator and model in a loop."""
    import paddle
    from paddlenlp.data import DataCollatorWithPadding
    from paddlenlp.transformers import LinearDecayWithWarmup

    paddle.seed(job["seed"])
    model, tokenizer = paddlenlp_classifier(Path(job["model"]), len(data.names))

    started = time.perf_counter()

    def encode(texts: list[str], labels: list[int]) -> list[dict[str, Any]]:
        limit = job["max_seq_len"]
        encoded = tokenizer(texts, max_seq_len=limit, truncation=True)
        return [
            {"input_ids": ids, "token_type_ids": types, "labels": label}
            for ids, types, label in zip(
                encoded["input_ids"], encoded["token_type_ids"], labels, strict=True
            )
        ]

    collator = DataCollatorWithPadding(tokenizer)
    train = paddle.io.DataLoader(
        encode(data.texts, data.labels), batch_size=BATCH, shuffle=True, collate_fn=collator
    )
    dev = paddle.io.DataLoader(
        encode(data.dev_texts, data.dev_labels), batch_size=64, collate_fn=collator
    )
    steps = job["max_steps"] or len(train) * job["epochs"]
    schedule = LinearDecayWithWarmup(RATE, steps, WARMUP)
    decayed = [
        p.name for n, p in model.named_parameters() if not any(k in n for k in ("bias", "norm"))
    ]
    optimizer = paddle.optimizer.AdamW(
        schedule, parameters=model.parameters(), weight_decay=DECAY,
        apply_decay_param_fun=decayed.__contains__,
        grad_clip=paddle.nn.ClipGradByGlobalNorm(1.0),
    )  # fmt: skip
    done, accuracy = 0, 0.0
    while done < steps:
        model.train()
        for batch in train:
            labels = batch.pop("labels")
            loss = paddle.nn.functional.cross_entropy(model(**batch), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.clear_grad()
            done += 1
            if done == steps:
                break
        model.eval()
        right = 0
        with paddle.no_grad():
            for batch in dev:
                labels = batch.pop("labels")
                right += int((model(**batch).argmax(-1) == labels.reshape([-1])).sum())
        accuracy = right / len(data.dev_labels)
    return time.perf_counter() - started, accuracy


_IN_BF16 = ", bf16"
SIDES = {
    "hub": train_with_hub,
    f"hub{_IN_BF16}": train_with_hub,
    "transformers": train_with_transformers,
    f"transformers{_IN_BF16}": train_with_transformers,
    "PaddleNLP": train_with_paddlenlp,
}


def work(job: dict[str, Any]) -> None:
    """Train on one side; the figures go to the job's file."""
    data = Data(job)
    side = job["side"]
    seconds, accuracy = SIDES[side]({**job, "bf16": side.endswith(_IN_BF16)}, data)
    rows = len(data.labels) * job["epochs"]
    if job["max_steps"]:
        rows = job["max_steps"] * BATCH
    figures = {
        "rows_per_s": rows / seconds,
        "accuracy": accuracy,
        "memory_mb": peak_memory_mb(),
    }
    Path(job["result"]).write_text(json.dumps(figures))


# --- the benchmark -------------------------------------------------------------------------------


def make_model(shape: str, folder: Path) -> None:
    """The weights that all sides begin with, as a folder that all of them can read."""
    import hub

    if shape == "nano":
        hub.Module(name="ernie-pocket-zh", task="fill-mask").save(folder)
    else:
        make_base_model(folder)


def measure(side: str, python: str, job: dict[str, Any]) -> dict[str, float]:
    """Run one side in a process of its own."""
    started = time.perf_counter()
    figures = run_side(__file__, python, {**job, "side": side})
    return {**figures, "seconds": time.perf_counter() - started}


def table(runs: list[dict[str, Any]]) -> str:
    """The medians in Markdown, a set and a side a line."""
    lines = [
        "| data | side | rows/s | ratio | seconds in all | peak memory, MB | dev accuracy |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(run["data"] for run in runs):
        of_set = [run for run in runs if run["data"] == name]
        ours = [run["rows_per_s"] for run in of_set if run["side"] == "hub"]
        for side in SIDES:
            its = [run for run in of_set if run["side"] == side]
            if not its:
                continue
            rates = [run["rows_per_s"] for run in its]
            ratio = statistics.median(o / r for o, r in zip(ours, rates, strict=False))
            middle = {
                key: statistics.median(run[key] for run in its)
                for key in ("rows_per_s", "seconds", "memory_mb")
            }
            accuracies = [100 * run["accuracy"] for run in its]
            spread = f" ± {statistics.stdev(accuracies):.2f}" if len(its) > 1 else ""
            lines.append(
                f"| {name} | {side} | {middle['rows_per_s']:.1f} | {ratio:.2f} "
                f"| {middle['seconds']:.0f} | {middle['memory_mb']:,.0f} "
                f"| {statistics.mean(accuracies):.2f}{spread} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data sets are")
    parser.add_argument("--sets", nargs="+", default=["smp2017_ecdt", "chnsenticorp"])
    parser.add_argument("--shape", choices=("nano", "base"), default="nano")
    parser.add_argument("--transformers", metavar="PYTHON")
    parser.add_argument("--paddlenlp", metavar="PYTHON")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, help="learn from the first so many rows")
    parser.add_argument("--max-steps", type=int, help="stop after so many steps")
    parser.add_argument("--max-seq-len", type=int, default=128)
    parser.add_argument("--bf16", action="store_true", help="measure bfloat16 as well")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("finetune.json"))
    arguments = parser.parse_args()
    pythons = {
        "hub": sys.executable,
        "transformers": arguments.transformers,
        "PaddleNLP": arguments.paddlenlp,
    }
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        make_model(arguments.shape, model)
        for seed in range(1, arguments.rounds + 1):
            for name in arguments.sets:
                for side in SIDES:
                    python = pythons[side.removesuffix(_IN_BF16)]
                    if python is None or (side.endswith(_IN_BF16) and not arguments.bf16):
                        continue
                    job = {
                        "data": str((arguments.folder / name).resolve()), "model": str(model),
                        "epochs": arguments.epochs, "rows": arguments.rows,
                        "max_steps": arguments.max_steps, "max_seq_len": arguments.max_seq_len,
                        "seed": seed,
                    }  # fmt: skip
                    figures = measure(side, python, job)
                    runs.append({"data": name, "side": side, **figures})
                    print(f"{name}, {side}: {figures}", file=sys.stderr, flush=True)
                    arguments.output.write_text(json.dumps(runs, indent=1) + "\n")
    print(table(runs))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        # The folder of this script holds none of the packages, and must hide none.
        sys.path.pop(0)
        work(json.loads(sys.argv[2]))
    else:
        main()
