"""From texts to labels: every engine of this package beside others with the same weights.

    python benchmarks/inference.py DATA_FOLDER [--sets smp2017_ecdt chnsenticorp]
        [--shape nano|base] [--texts 400] [--epochs 3] [--max-steps N]
        [--transformers PYTHON] [--optimum PYTHON] [--paddlenlp PYTHON] [--rounds 3]
        [--output inference.json]

A classifier is fine-tuned on each set (nano: `ernie-pocket-zh` for --epochs; base: ERNIE 3.0 Base's
shape with random weights, which is as fast), exported for every engine and precision, and asked the
first --texts test texts: one at a time, and in batches of 32. Each side is a process of its own
with as many threads as there are processors, in turns; all of it counts, from the text to the
label. The sides:

- `hub ENGINE PRECISION`: `hub.Predictor` on the exported folder;
- `session fp32` and `session int8`: the limit, a plain ONNX Runtime session and the bare tokenizer
  on the same graphs, texts sorted by length beforehand;
- `transformers`: its text-classification pipeline (PyTorch), from PYTHON;
- `optimum`: the same pipeline over ONNX Runtime, the graph exported by it as BERT's (it knows no
  ERNIE), from PYTHON;
- `PaddleNLP`: its tokenizer, its padding, and Paddle Inference with oneDNN on the exported graph,
  from PYTHON.

Figures: the median latency of one text, texts a second in batches, the time to load, the peak
memory of the process, and the accuracy on those texts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import make_base_model, peak_memory_mb, read_table, run_side

BATCH, ALONE = 32, 60
Answer = Callable[[list[str], int], list[str]]
HUB = [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8"),
       ("openvino", "bf16"), ("paddle", "fp32")]  # fmt: skip


# --- the sides: each gives a function from texts and a batch size to labels ----------------------


def hub_side(job: dict[str, Any]) -> Answer:
    """`hub.Predictor`."""
    import hub

    predictor = hub.Predictor(job["folder"])
    return lambda texts, size: predictor.predict(texts, batch_size=size)


def session_side(job: dict[str, Any]) -> Answer:
    """ONNX Runtime and `tokenizers` with nothing around them."""
    import numpy as np
    import onnxruntime
    import tokenizers

    folder = Path(job["folder"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    names = [node.name for node in session.get_inputs()]
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    manifest = json.loads((folder / "hub.json").read_text(encoding="utf-8"))
    tokenizer.enable_truncation(manifest["max_seq_len"])
    tokenizer.enable_padding()
    labels = manifest["labels"]

    def answer(texts: list[str], size: int) -> list[str]:
        found = []
        for start in range(0, len(texts), size):
            encoded = tokenizer.encode_batch_fast(texts[start : start + size])
            arrays = {
                "input_ids": np.array([e.ids for e in encoded], np.int64),
                "token_type_ids": np.array([e.type_ids for e in encoded], np.int64),
                "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
            }
            (logits, *_) = session.run(None, {name: arrays[name] for name in names})
            found += [labels[n] for n in logits.argmax(-1)]
        return found

    return answer


def transformers_side(job: dict[str, Any]) -> Answer:
    """`transformers.pipeline`."""
    from transformers import pipeline

    return _asking(pipeline("text-classification", model=job["run"], device="cpu"), job)


def export_with_optimum(job: dict[str, Any]) -> None:
    """Write the run's graph as optimum does, beside it."""
    from optimum.exporters.onnx import main_export
    from optimum.exporters.onnx.model_configs import BertOnnxConfig
    from transformers import AutoConfig

    task = "text-classification"
    shape = BertOnnxConfig(AutoConfig.from_pretrained(job["run"]), task=task)
    main_export(
        job["run"], f"{job['run']}-optimum", task=task, custom_onnx_configs={"model": shape},
        do_validation=False,
    )  # fmt: skip


def optimum_side(job: dict[str, Any]) -> Answer:
    """`transformers.pipeline` over ONNX Runtime."""
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import AutoTokenizer, pipeline

    model = ORTModelForSequenceClassification.from_pretrained(f"{job['run']}-optimum")
    tokenizer = AutoTokenizer.from_pretrained(job["run"])
    return _asking(pipeline("text-classification", model=model, tokenizer=tokenizer), job)


def _asking(classify: Any, job: dict[str, Any]) -> Answer:
    def answer(texts: list[str], size: int) -> list[str]:
        results = classify(texts, batch_size=size, truncation=True, max_length=job["max_seq_len"])
        return [result["label"] for result in results]

    return answer


def paddlenlp_side(job: dict[str, Any]) -> Answer:
    """Paddle Inference behind PaddleNLP's tokenizer, as its deployment examples have it."""
    from paddle import inference
    from paddlenlp.data import Pad, Tuple
    from paddlenlp.transformers import ErnieTokenizer

    folder = Path(job["folder"])
    config = inference.Config(str(folder / "model.json"), str(folder / "model.pdiparams"))
    config.disable_gpu()
    config.enable_mkldnn()
    config.set_cpu_math_library_num_threads(os.cpu_count() or 1)
    config.switch_use_feed_fetch_ops(False)
    predictor = inference.create_predictor(config)
    names = predictor.get_input_names()
    inputs = [predictor.get_input_handle(name) for name in names]
    output = predictor.get_output_handle(predictor.get_output_names()[0])
    tokenizer = ErnieTokenizer(str(Path(job["run"]) / "vocab.txt"))
    labels = json.loads((folder / "hub.json").read_text(encoding="utf-8"))["labels"]
    pad = Tuple(Pad(pad_val=tokenizer.pad_token_id, dtype="int64"), Pad(pad_val=0, dtype="int64"))

    def answer(texts: list[str], size: int) -> list[str]:
        found = []
        for start in range(0, len(texts), size):
            encoded = tokenizer(
                texts[start : start + size], max_seq_len=job["max_seq_len"], truncation=True
            )
            ids, types = pad(
                list(zip(encoded["input_ids"], encoded["token_type_ids"], strict=True))
            )
            arrays = {"input_ids": ids, "token_type_ids": types}
            arrays["attention_mask"] = (ids != tokenizer.pad_token_id).astype("int64")
            for name, handle in zip(names, inputs, strict=True):
                handle.copy_from_cpu(arrays[name])
            predictor.run()
            found += [labels[n] for n in output.copy_to_cpu().argmax(-1)]
        return found

    return answer


SIDES = {
    "hub": hub_side,
    "session": session_side,
    "transformers": transformers_side,
    "optimum": optimum_side,
    "PaddleNLP": paddlenlp_side,
}


def work(job: dict[str, Any]) -> None:
    """Measure one side; the figures go to the job's file."""
    rows = read_table(Path(job["data"]))[: job["texts"]]
    texts = [text for text, _ in rows]
    if job["side"] == "optimum":
        exporting = multiprocessing.Process(target=export_with_optimum, args=(job,))
        exporting.start()
        exporting.join()  # its memory is not what answering takes
    started = time.perf_counter()
    answer = SIDES[job["side"]](job)
    answer(texts[:1], 1)
    load_s = time.perf_counter() - started
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    is_sorted = job["side"] == "session"
    asked = [texts[n] for n in order] if is_sorted else texts
    answer(asked[:BATCH], BATCH)
    latencies, rates, labels = [], [], []
    for _ in range(job["rounds"]):
        for text in texts[:ALONE]:
            started = time.perf_counter()
            answer([text], 1)
            latencies.append(time.perf_counter() - started)
        started = time.perf_counter()
        labels = answer(asked, BATCH)
        rates.append(len(texts) / (time.perf_counter() - started))
    wanted = [rows[n][1] for n in order] if is_sorted else [label for _, label in rows]
    figures = {
        "latency_ms": 1000 * statistics.median(latencies),
        "texts_per_s": statistics.median(rates),
        "load_s": load_s,
        "memory_mb": peak_memory_mb(),
        "accuracy": statistics.fmean(a == b for a, b in zip(labels, wanted, strict=True)),
    }
    Path(job["result"]).write_text(json.dumps(figures))


# --- the benchmark -------------------------------------------------------------------------------


def make_run(shape: str, folder: Path, scratch: Path, epochs: int, max_steps: int | None) -> Path:
    """A fine-tuned classifier."""
    from hub.training.finetune import finetune

    model, changes = "ernie-pocket-zh", {"epochs": epochs, "max_steps": max_steps, "seed": 1}
    if shape == "base":
        base = scratch / "base"
        make_base_model(base)
        model, changes = str(base), {"max_steps": 2, "seed": 1}
    run = scratch / f"run-{folder.name}"
    finetune(
        folder / "train.tsv", run, dev=folder / "dev.tsv", model=model, changes=changes,
        classifier_pooling="cls",  # what the others read
        progress=False, say=lambda line: print(f"    {line}", file=sys.stderr, flush=True),
    )  # fmt: skip
    return run


def table(runs: list[dict[str, Any]]) -> str:
    """The figures in Markdown, a set and a side a line."""
    lines = [
        "| data | side | one text, ms | texts/s | ratio | load, s | memory, MB | accuracy |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(run["data"] for run in runs):
        of_set = [run for run in runs if run["data"] == name]
        best = next(run for run in of_set if run["side"] == "hub onnx int8")["texts_per_s"]
        for run in of_set:
            lines.append(
                f"| {name} | {run['side']} | {run['latency_ms']:.2f} | {run['texts_per_s']:,.0f} "
                f"| {best / run['texts_per_s']:.2f} | {run['load_s']:.2f} "
                f"| {run['memory_mb']:,.0f} | {100 * run['accuracy']:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data sets are")
    parser.add_argument("--sets", nargs="+", default=["smp2017_ecdt", "chnsenticorp"])
    parser.add_argument("--shape", choices=("nano", "base"), default="nano")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-steps", type=int, help="fine-tune for so many steps at most")
    parser.add_argument("--transformers", metavar="PYTHON")
    parser.add_argument("--optimum", metavar="PYTHON")
    parser.add_argument("--paddlenlp", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("inference.json"))
    arguments = parser.parse_args()
    import hub
    from hub.inference.export import export

    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as kept:
        scratch = Path(kept)
        for name in arguments.sets:
            folder = (arguments.folder / name).resolve()
            run = make_run(arguments.shape, folder, scratch, arguments.epochs, arguments.max_steps)
            module = hub.Module(directory=run)
            train_texts = [text for text, _ in read_table(folder / "train.tsv")]
            sides: list[tuple[str, str, str, Path]] = []
            for engine, precision in HUB:
                output = scratch / f"{name}-{engine}-{precision}"
                export(module, output, engine, precision=precision, calibration=train_texts)
                sides.append((f"hub {engine} {precision}", "hub", sys.executable, output))
            for precision in ("fp32", "int8"):
                output = scratch / f"{name}-onnx-{precision}"
                sides.append((f"session {precision}", "session", sys.executable, output))
            if arguments.transformers:
                sides.append(("transformers", "transformers", arguments.transformers, run))
            if arguments.optimum:
                sides.append(("optimum", "optimum", arguments.optimum, run))
            if arguments.paddlenlp:
                output = scratch / f"{name}-paddle-fp32"
                sides.append(("PaddleNLP", "PaddleNLP", arguments.paddlenlp, output))
            for title, side, python, output in sides:
                job = {
                    "name": title, "side": side, "folder": str(output), "run": str(run),
                    "data": str(folder / "test.tsv"), "texts": arguments.texts,
                    "rounds": arguments.rounds, "max_seq_len": module.max_seq_len,
                }  # fmt: skip
                figures = run_side(__file__, python, job)
                runs.append({"data": name, "side": title, **figures})
                print(f"{name}, {title}: {figures}", file=sys.stderr, flush=True)
                arguments.output.write_text(json.dumps(runs, indent=1) + "\n")
    print(table(runs))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        # The folder of this script holds none of the packages, and must hide none.
        sys.path.pop(0)
        work(json.loads(sys.argv[2]))
    else:
        main()
