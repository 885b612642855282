"""The main job as a user types it: the installed `hub` command, in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "crosswoz_intent"


def hub(
    *arguments: str | Path, cwd: Path, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "hub", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's data and `runs/travel`, fine-tuned with a few steps."""
    folder = tmp_path_factory.mktemp("main-job")
    shutil.copytree(EXAMPLES, folder / "data")
    done = hub(
        "finetune", "data/train.tsv", "--dev", "data/dev.tsv", "--output", "runs/travel",
        "--max-steps", "12", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "talk.txt").write_text(done.stderr, encoding="utf-8")
    assert done.stdout == ""
    return folder


def test_the_run_tells_data_baseline_progress_and_verdict(run: Path) -> None:
    talk = (run / "talk.txt").read_text(encoding="utf-8")
    assert "data/train.tsv: 3,305 rows, 14 labels" in talk
    assert "NOT pretrained" in talk or "million parameters;" in talk
    assert "baseline  linear SVM over character 1-3-grams: accuracy 97." in talk
    assert "rows/s" in talk and "loss=" in talk
    assert "verdict   the fine-tuned model LOSES to the linear baseline" in talk


def test_the_run_leaves_model_figures_report_and_plots(run: Path) -> None:
    folder = run / "runs" / "travel"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md", "config.json", "confusion_matrix.png", "hub.json", "learning_curve.png",
        "metrics.json", "metrics.jsonl", "model.safetensors", "report.md", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt",
    }  # fmt: skip
    summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert summary["rows"] == {"train": 3305, "dev": 1489}
    assert summary["baseline"]["dev"]["accuracy"] > 0.97
    assert summary["beats_baseline"] is False
    assert len(summary["labels"]) == 14 and "打车" in summary["labels"]
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "does not beat the baseline" in report
    assert "![confusion matrix](confusion_matrix.png)" in report
    assert "| 问推荐菜 | 20 |" in report
    mistakes = report.split("## The most confident mistakes")[1].splitlines()
    assert len([line for line in mistakes if line.startswith("| ")]) == 22  # head, rule, 20 rows
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "base_model: ernie-pocket-zh" in card and "--max-steps 12" in card
    for plot in ("learning_curve.png", "confusion_matrix.png"):
        assert (folder / plot).read_bytes().startswith(b"\x89PNG")


def test_evaluate_gives_fractions_that_equal_its_own_predictions(run: Path) -> None:
    done = hub("evaluate", "runs/travel", "data/test.tsv", "--json", cwd=run)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    rows = [line.split("\t") for line in (run / "data/test.tsv").read_text().splitlines()[1:]]
    assert figures["rows"] == len(rows) == 1936
    texts = "".join(f"{text}\n" for text, _ in rows)
    answered = hub("predict", "runs/travel", cwd=run, stdin=texts).stdout.splitlines()
    right = sum(
        line.split("\t")[0] == label for line, (_, label) in zip(answered, rows, strict=True)
    )
    assert figures["accuracy"] == pytest.approx(right / len(rows))


def test_predict_shows_every_label_with_its_probability(run: Path) -> None:
    done = hub("predict", "runs/travel", "这家酒店的电话是多少", "--probabilities", cwd=run)
    head, *lines = done.stdout.splitlines()
    assert head == "这家酒店的电话是多少"
    shares = [float(line.split("%")[0]) for line in lines]
    assert len(shares) == 14
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("format", ["onnx", "paddle"])
def test_the_exported_model_answers_as_the_run_does(run: Path, format: str) -> None:
    target = f"runs/travel-{format}"
    done = hub("export", "runs/travel", "--format", format, "--output", target, cwd=run)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    ours = hub("evaluate", "runs/travel", "data/test.tsv", "--json", cwd=run)
    theirs = hub("evaluate", target, "data/test.tsv", "--json", cwd=run)
    assert json.loads(ours.stdout) == json.loads(theirs.stdout)
    question = ["这家酒店的电话是多少", "--probabilities", "--json"]
    mine = json.loads(hub("predict", "runs/travel", *question, cwd=run).stdout)[0]
    exported = json.loads(hub("predict", target, *question, cwd=run).stdout)[0]
    assert exported["label"] == mine["label"]
    assert exported["probabilities"] == pytest.approx(mine["probabilities"], abs=1e-5)


def _data(folder: Path) -> list[str]:
    return ["finetune", str(EXAMPLES / "train.tsv"), "--dev", str(EXAMPLES / "dev.tsv"), "--quiet",
            "--max-steps", "14", "--output", str(folder)]  # fmt: skip


def _interrupt_after_start(folder: Path, number: int) -> tuple[int, str]:
    """Start a run, send it the signal during its first epoch, return exit code and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hub", *_data(folder)],
        stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    assert process.stderr is not None
    talk = ""
    for line in process.stderr:
        talk += line
        if line.startswith("baseline"):
            break
    time.sleep(1.0)  # the baseline is fitted just before the first step
    os.kill(process.pid, number)
    talk += process.stderr.read()
    return process.wait(timeout=120), talk


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_resumes_to_the_same_weights(
    run: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    exit_code, talk = _interrupt_after_start(tmp_path / "stopped", number)
    assert exit_code == code, talk
    assert "--resume goes on from here" in talk
    again = hub(*_data(tmp_path / "stopped"), cwd=tmp_path)
    assert again.returncode == 2 and "unfinished run" in again.stderr
    measured = json.loads((tmp_path / "stopped" / "checkpoint" / "baseline.json").read_text())
    resumed = hub(*_data(tmp_path / "stopped"), "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    kept = json.loads((tmp_path / "stopped" / "metrics.json").read_text(encoding="utf-8"))
    assert kept["baseline"] == measured  # with the seconds that it took: it was not fitted again
    whole = hub(*_data(tmp_path / "whole"), cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("stopped", "whole")
    ]
    assert weights[0] == weights[1]
    assert not (tmp_path / "stopped" / "checkpoint").exists()


def test_help_answers_without_the_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['hub', '--help']\n"
        "from hub.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'paddle', 'numpy', 'datasets', 'sklearn', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "finetune" in done.stdout


def test_a_reader_that_leaves_the_pipe_is_no_error(run: Path) -> None:
    command = f"{sys.executable} -m hub show ernie-pocket-zh | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=run)
    assert "Traceback" not in done.stderr
