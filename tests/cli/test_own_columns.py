"""A run whose file has columns of its own names: what follows reads them without being told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Hub

Rows = list[tuple[str, str]]


def write(path: str, rows: Rows, head: str = "句,意") -> None:
    lines = [head, *(f"{text},{label}" for text, label in rows)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def run(hub: Hub, tiny_folder: Path, toy_train: Rows, toy_dev: Rows, tmp_path: Path) -> Path:
    """A run of such files, which were named from the folder they lie in."""
    write("train.csv", toy_train)
    write("dev.csv", toy_dev)
    code, _, error = hub(
        "finetune", "train.csv", "--dev", "dev.csv", "--text-column", "句", "--label-column", "意",
        "--model", tiny_folder, "--epochs", "1", "--quiet", "--output", "run",
    )  # fmt: skip
    assert code == 0, error
    return tmp_path / "run"


def test_int8_is_held_to_the_runs_dev_rows(
    hub: Hub,
    run: Path,
    toy_dev: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    int8 = ("export", run, "--precision", "int8", "--output")
    code, out, error = hub(*int8, "a", "--json", "--max-drop", "99")
    assert code == 0, error
    assert json.loads(out)["texts"] == len(toy_dev) and json.loads(out)["before"] is not None
    for data in ("--data", "--calibration"):
        code, _, error = hub(*int8, f"b{data}", "--static", data, "../dev.csv", "--max-drop", "99")
        assert code == 0 and "metric    " in error, error
    write("other.csv", toy_dev[:5], "原话,归属")
    own = ("--text-column", "原话", "--label-column", "归属")
    code, out, error = hub(*int8, "c", "--data", "other.csv", *own, "--max-drop", "99", "--json")
    assert code == 0 and json.loads(out)["texts"] == 5, error

    (tmp_path / "dev.csv").unlink()
    code, _, error = hub(*int8, "d")
    assert code == 2 and not Path("d").exists()
    assert f"There is no file {tmp_path / 'dev.csv'}" in error
    assert "nothing was written" in error and "--data" in error and "--max-drop 100" in error
    code, _, error = hub(*int8, "d", "--max-drop", "100")
    assert code == 0 and "The dev rows" in caplog.text and "No labelled rows" in caplog.text
    caplog.clear()
    code, _, error = hub("export", run, "--output", "e")  # fp32 is compared number by number
    assert code == 0 and "The dev rows" in caplog.text


def test_int8_is_held_to_the_rows_that_were_set_aside(
    hub: Hub, tiny_folder: Path, toy_train: Rows
) -> None:
    write("all.csv", toy_train)
    code, _, error = hub(
        "finetune", "all.csv", "--text-column", "句", "--label-column", "意", "--model",
        tiny_folder, "--epochs", "1", "--quiet", "--output", "run",
    )  # fmt: skip
    assert code == 0, error
    rows = json.loads(Path("run", "metrics.json").read_text(encoding="utf-8"))["rows"]
    int8 = ("export", "run", "--precision", "int8", "--max-drop", "99", "--output")
    code, out, error = hub(*int8, "a", "--json")
    assert code == 0 and json.loads(out)["texts"] == rows["dev"] > 0, error
    write("all.csv", [("别的话", "音乐"), *toy_train])
    code, _, error = hub(*int8, "b")
    assert code == 2 and "which was changed since" in error and "--data" in error, error


def test_smaller_models_are_made_and_exported_without_naming_them(hub: Hub, run: Path) -> None:
    write("usual.csv", [("听歌", "音乐")], "text,label")
    for words in (
        ("prune", "run", "train.csv", "--width", "0.5", "--epochs", "1", "-q", "-o", "prune"),
        ("vocab", "prune", "--corpus", "train.csv", "--corpus", "usual.csv", "-o", "vocab"),
        ("quantize", "vocab", "train.csv", "--max-drop", "99", "-q", "-o", "quantize"),
        ("distil", "run", "train.csv", "--student", "1x24", "--epochs", "1", "-q", "-o", "distil"),
    ):
        # The rows to measure on are those of the run, where no others are named.
        given = ("--dev", "dev.csv") if words[0] in ("prune", "quantize") else ()
        code, _, error = hub("compress", *words, *given)
        assert code == 0 and "  on dev" in error, error
        for step in json.loads(Path(words[-1], "compression.json").read_text("utf-8")):
            assert step["metric"] == "accuracy" and step["texts_a_second"] > 0
    for made in ("quantize", "distil"):
        for again in ((), ("--overwrite",)):
            code, _, error = hub(
                "export", made, "--precision", "int8", "--max-drop", "99", "-o", f"{made}-int8",
                *again,
            )  # fmt: skip
            assert code == 0 and "metric    " in error, error
        before = json.loads(Path(made, "compression.json").read_text("utf-8"))
        steps = json.loads(Path(f"{made}-int8", "compression.json").read_text("utf-8"))
        assert steps[:-1] == before and "export: onnx int8" in error
        assert steps[-1]["what"] == "export: onnx int8"
        assert steps[-1]["megabytes"] < before[-1]["megabytes"]
        assert steps[-1]["texts_a_second"] > 0 and steps[-1]["value"] is not None


def test_files_to_be_answered_are_read_by_the_runs_columns(
    hub: Hub, run: Path, toy_dev: Rows
) -> None:
    write("asked.csv", toy_dev[:3], "句,text")
    golden = json.dumps([{"text": "听首歌", "label": "音乐"}], ensure_ascii=False)
    (run / "golden.json").write_text(golden, encoding="utf-8")
    assert hub("export", run, "--output", "exported")[0] == 0
    assert hub("export", run, "--output", "exported", "--overwrite")[0] == 0
    assert Path("exported", "golden.json").read_text(encoding="utf-8") == golden
    for model in (run, "exported"):
        assert hub("evaluate", model, "dev.csv")[0] == 0
        output = f"{Path(model).name}.jsonl"
        code, _, error = hub("predict", model, "--input", "asked.csv", "-o", output, "-q")
        assert code == 0, error
        texts = [json.loads(line)["text"] for line in Path(output).read_text("utf-8").splitlines()]
        assert texts == [text for text, _ in toy_dev[:3]]
