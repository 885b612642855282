"""What a model reaches on public Chinese data sets, beside a linear baseline and published figures.

    python benchmarks/accuracy.py DATA_FOLDER [--model NAME] [--sets smp2017_ecdt ...] [--seeds 1]
                                  [--random-weights] [--set key=value ...] [--exported]
                                  [--output accuracy.json] [--table]

DATA_FOLDER holds a folder for each set with train, dev and test files (`.tsv` or `.conll`); where a
set has no test file, dev is tested on and a tenth of train chooses the epoch. Every run is
`hub finetune` with the model's recommended settings and a fixed seed, then an evaluation on the
test rows. With --exported the model is also exported for every engine, and the test rows are
answered again: how many answers are the module's, and what the figures are. Results are kept in
--output as they come and a run that is there is not repeated; --table prints them as Markdown, the
mean over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hub.data import TextDataset, load_dataset
from hub.files import write_text
from hub.inference.export import export
from hub.inference.loading import evaluate, load_module
from hub.inference.predictor import Predictor
from hub.inference.verification import Reference, without_scores
from hub.module import Module
from hub.tasks import labelled_task_type
from hub.training.baseline import LinearBaseline
from hub.training.finetune import finetune


@dataclass(frozen=True)
class DataSet:
    """A data set of the benchmark.

    Attributes:
        metric: what it is measured by.
        published: a figure of others on the same test rows, and whose; "" if there is none that can
            be compared.
        task: what is learned; None finds it out.
        rows: at most so many rows are trained on (the first ones); None is all.
        parts: two other sets of the same texts, whose labels are put together: intents and slots.
        options: what the task is besides.
    """

    metric: str
    published: str
    task: str | None = None
    rows: int | None = None
    parts: tuple[str, str] | None = None
    options: tuple[tuple[str, Any], ...] = ()


SETS = {
    "smp2017_ecdt": DataSet("accuracy", "ensemble of CNNs and RNNs, F1 93.55 (arXiv:1806.07914)"),
    "crosswoz_intent": DataSet("accuracy", ""),
    "crosswoz_multi": DataSet("micro_f1", "", "multi-label"),
    "thucnews_title10": DataSet(
        "accuracy", "on 180,000 rows: TextCNN 91.22, FastText 92.23, BERT 94.83"
        " (github.com/649453932)",
    ),
    "chnsenticorp": DataSet(
        "accuracy", "BERT 94.7, ERNIE 1.0 95.3, means of 10 (github.com/ymcui/Chinese-BERT-wwm)"
    ),
    "tnews": DataSet("accuracy", "few rows: fine-tuned RoBERTa-wwm-ext 49.3, BERT 40.5 (FewCLUE)"),
    "fewclue_eprstmt": DataSet(
        "accuracy", "fine-tuned RoBERTa-wwm-ext 63.2, BERT 61.9 (FewCLUE)"
    ),
    "fewclue_bustm": DataSet(
        "accuracy", "fine-tuned RoBERTa-wwm-ext 55.5, BERT 54.1 (FewCLUE)"
    ),
    "msra_ner": DataSet("f1", "BERT-base 94.62 (github.com/lemonhu/NER-BERT-pytorch)", "ner"),
    "weibo_ner": DataSet("f1", "", "ner", options=(("crf", True),)),
    "cluener2020": DataSet(
        "f1", "dev: BERT 79.63, with CRF 80.76 (github.com/lonePatient/BERT-NER-Pytorch)", "ner"
    ),
    "crosswoz_slots": DataSet("f1", "", "ner", options=(("crf", True),)),
    "crosswoz_joint": DataSet(
        "sentence_accuracy", "", "joint", parts=("crosswoz_intent", "crosswoz_slots"),
        options=(("crf", True),),
    ),
}  # fmt: skip


EXPORTS = (
    ("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8"),
    ("paddle", "fp32"),
)  # fmt: skip


def put_together(folder: Path, parts: tuple[str, str], scratch: Path) -> Path:
    """A folder with the texts of two sets that have an intent in one and slots in the other.

    The same text with and without white space is one: tables of characters lose it.
    """
    for part in ("train", "dev", "test"):
        one, other = (find(folder.parent / name, part) for name in parts)
        if one is None or other is None:
            raise SystemExit(f"{parts[0]} or {parts[1]} has no {part} file.")
        data = load_dataset(one)
        intents = {"".join(text.split()): label for text, label in zip(
            data.texts, data.labels, strict=True
        )}  # fmt: skip
        lines = []
        for example in load_dataset(other, kind="token-classification"):
            intent = intents.get("".join(example.text.split()))
            if intent is not None:
                entities = [asdict(entity) for entity in example.label]
                row = {"text": example.text, "intent": intent, "entities": entities}
                lines.append(json.dumps(row, ensure_ascii=False))
        write_text(scratch / f"{part}.jsonl", "\n".join(lines) + "\n")
    return scratch


def find(folder: Path, part: str) -> Path | None:
    """The file of a part of a data set."""
    names = (folder / f"{part}.{suffix}" for suffix in ("tsv", "conll", "jsonl", "json"))
    return next((path for path in names if path.exists()), None)


def compare_exported(
    module: Module, train: TextDataset, test: TextDataset, metric: str, scratch: Path
) -> list[dict[str, Any]]:
    """How the exported models' answers to the test rows differ from the module's."""
    own = without_scores(module.predict(test.texts))
    # What the export itself looks at; the test rows are answered by what it wrote.
    reference = Reference(module, test.with_examples(test.examples[:200]))
    compared = []
    for format, precision in EXPORTS:
        folder = scratch / f"{format}-{precision}"
        made = export(
            module, folder, format, precision=precision, reference=reference, max_drop=100,
            calibration=train.texts,
        )  # fmt: skip
        predictor = Predictor(folder)
        answers = without_scores(predictor.predict(test.texts))
        compared.append({
            "format": format, "precision": precision,
            "equal": sum(one == other for one, other in zip(own, answers, strict=True)),
            metric: evaluate(predictor, test)[metric],
            "bytes": made.size_bytes,
        })  # fmt: skip
    return compared


def run(
    name: str, folder: Path, model: str, seed: int, changes: dict[str, Any], exported: bool,
    pretrained: bool,
) -> dict[str, Any]:  # fmt: skip
    """Fine-tune and evaluate once; everything that the table needs."""
    data_set = SETS[name]
    if data_set.parts is not None:
        with tempfile.TemporaryDirectory() as joined:
            return _run(name, put_together(folder, data_set.parts, Path(joined)), model, seed,
                        changes, exported, pretrained)  # fmt: skip
    return _run(name, folder, model, seed, changes, exported, pretrained)


def _run(
    name: str, folder: Path, model: str, seed: int, changes: dict[str, Any], exported: bool,
    pretrained: bool,
) -> dict[str, Any]:  # fmt: skip
    data_set = SETS[name]
    kind = None if data_set.task is None else labelled_task_type(data_set.task).name
    train_file, dev_file, test_file = (find(folder, part) for part in ("train", "dev", "test"))
    if train_file is None:
        raise SystemExit(f"{folder} has no train.tsv or train.conll.")
    train = load_dataset(train_file, kind=kind)
    if data_set.rows:
        train = train.with_examples(train.examples[: data_set.rows])
    dev = None if dev_file is None else load_dataset(dev_file, kind=train.kind, split="dev")
    if test_file is None:
        if dev is None:
            raise SystemExit(f"{folder} has neither dev nor test rows.")
        test, test_file = dev, dev_file
        train, dev = train.split(0.1, 42)
    else:
        test = load_dataset(test_file, kind=train.kind, split="test")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        result = finetune(
            train, Path(scratch) / "run", dev=dev, model=model, task=data_set.task,
            task_options=dict(data_set.options), pretrained=pretrained,
            changes={**changes, "seed": seed}, progress=False,
            say=lambda line: print(f"    {line}", file=sys.stderr, flush=True),
        )  # fmt: skip
        loaded = load_module(Path(scratch) / "run")
        figures = evaluate(loaded, test)
        compared = (
            compare_exported(loaded, train, test, data_set.metric, Path(scratch))
            if exported
            else None
        )
    task = loaded.task
    baseline = None
    if LinearBaseline.can_answer(task):
        fitted = LinearBaseline(task).fit(train.texts, task.targets(train))
        baseline = fitted.evaluate(test.texts, task.targets(test))
    return {
        "set": name, "model": model, "pretrained": pretrained, "seed": seed,
        "test": test_file.name, "figures": figures,
        "rows": {"train": len(train), "test": len(test)}, "baseline": baseline,
        "exported": compared, "epochs": len(result.summary["history"]),
        "seconds": round(time.monotonic() - started), "arguments": result.summary["arguments"],
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> str:
    """The results in Markdown, a set a line, in the order of `SETS`."""
    lines = [
        "| data set | rows: train, test | metric | linear SVM | fine-tuned | seeds | published |",
        "|---|---:|---|---:|---:|---:|---|",
    ]
    for name, data_set in SETS.items():
        its = [run for run in runs if run["set"] == name]
        if not its:
            continue
        figures = [100 * run["figures"][data_set.metric] for run in its]
        spread = f" ± {statistics.stdev(figures):.2f}" if len(figures) > 1 else ""
        baseline = its[0]["baseline"]
        shown = f"{100 * baseline[data_set.metric]:.2f}" if baseline else ""
        rows = its[0]["rows"]
        lines.append(
            f"| {name} | {rows['train']:,}, {rows['test']:,} | {data_set.metric.replace('_', ' ')} "
            f"| {shown} | **{statistics.mean(figures):.2f}**{spread} | {len(figures)} "
            f"| {data_set.published} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data sets are")
    parser.add_argument("--model", default="ernie-pocket-zh", help="a name or a folder")
    parser.add_argument("--random-weights", action="store_true", help="begin without its own")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=1, help="runs of each")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE",
                        help="training arguments other than recommended")  # fmt: skip
    parser.add_argument("--exported", action="store_true", help="compare the exported models too")
    parser.add_argument("--output", type=Path, default=Path("accuracy.json"))
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    arguments = parser.parse_args()
    runs = json.loads(arguments.output.read_text()) if arguments.output.exists() else []
    if not arguments.table:
        changes = {k: json.loads(v) for k, v in (pair.split("=", 1) for pair in arguments.set)}
        for seed in range(1, arguments.seeds + 1):
            for name in arguments.sets:
                if any(r["set"] == name and r["seed"] == seed for r in runs):
                    continue
                print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
                own = arguments.folder / name
                runs.append(
                    run(
                        name, own, arguments.model, seed, changes, arguments.exported,
                        not arguments.random_weights,
                    )
                )  # fmt: skip
                write_text(arguments.output, json.dumps(runs, indent=1) + "\n")
    print(table(runs))


if __name__ == "__main__":
    main()
