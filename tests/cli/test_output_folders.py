"""Where models are written: what cannot be written to is told first, and what can be is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import hub as package
from tests.cli.conftest import Hub

ROWS = "text\tlabel\n今天下雨吗\ta\n听首歌\tb\n"


@pytest.fixture
def run(hub: Hub, tiny_folder: Path, tmp_path: Path) -> Path:
    package.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save("run")
    Path("rows.tsv").write_text(ROWS, encoding="utf-8")
    return tmp_path / "run"


def test_an_export_into_the_current_folder_stays_in_it(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for more in ((), ("--overwrite",)):
        code, _, error = hub("export", run, "--output", ".", *more)
        assert code == 0, error
        # The folder is the same one, which this process and the user's shell stand in.
        assert package.Predictor(".").predict("今天") in ("a", "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "rows.tsv", "run"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_an_export_goes_where_a_link_points_to(hub: Hub, run: Path) -> None:
    Path("real").mkdir()
    for name, target in (("link", "real"), ("dangling", "not-yet")):
        Path(name).symlink_to(target)
        code, _, error = hub("export", run, "--output", name)
        assert code == 0, error
        assert Path(name).is_symlink() and Path(target, "hub.json").exists()
    code, _, error = hub("export", run, "--output", "link")
    assert code == 2 and "is not empty" in error


@pytest.mark.skipif(os.name == "nt", reason="devices")
def test_the_fastest_export_into_a_bad_place_is_a_sentence(hub: Hub, run: Path) -> None:
    code, _, error = hub("export", run, "--auto", "--output", "/dev/null/out")
    assert code == 2 and "/dev/null/out cannot be written: " in error
    code, _, error = hub("export", run, "--auto", "--output", "/dev/null")
    assert code == 2 and "/dev/null is a file" in error


def test_answers_into_a_folder_are_refused_before_the_model_is_loaded(hub: Hub) -> None:
    Path("folder").mkdir()
    code, _, error = hub(
        "predict", "none", "--input", "none.txt", "--output", "folder", "--overwrite"
    )
    assert code == 2 and "folder is a folder" in error


def test_files_are_called_what_they_are(hub: Hub) -> None:
    for name in ("a.tsv", "a"):
        code, _, error = hub("predict", "none", "--input", "none.txt", "--output", name)
        assert code == 2 and "JSON lines: give --output a.jsonl" in error
    for name in ("vectors", "vectors.txt"):
        code, _, error = hub("embed", "none", "none.txt", "--output", name)
        assert code == 2 and "NumPy file: give --output vectors.npy instead of" in error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("prune run rows.tsv --width 0.5 --dev rows.tsv --epochs -1", "epochs"),
        ("prune run rows.tsv --width 0.5 --dev rows.tsv --learning-rate -1", "learning_rate"),
        ("prune run rows.tsv --width 0.5", "too few rows"),
        ("prune run rows.tsv --width 0.5 --dev rows.tsv --batch-size 0", "batch_size"),
        ("quantize run rows.tsv --dev rows.tsv --batch-size 0", "batch_size"),
        ("quantize run rows.tsv --dev rows.tsv --epochs -1", "epochs"),
        ("distil run rows.tsv --student 1x24 --dev rows.tsv --epochs -1", "epochs"),
        ("vocab run --corpus rows.tsv --dev bad.tsv", "'zzz' is not one of the 2"),
        ("prune run bad.tsv --width 0.5 --epochs 0", "'zzz' is not one of the 2"),
    ],
)
def test_what_is_asked_for_wrongly_is_told_before_a_model_is_written(
    hub: Hub, run: Path, words: str, sentence: str
) -> None:
    Path("bad.tsv").write_text(ROWS + "唱歌\tzzz\n", encoding="utf-8")
    code, _, error = hub("compress", *words.split(), "--output", "out")
    assert code == 2 and sentence in error
    assert not Path("out").exists()


def test_rows_of_unknown_labels_can_be_left_out(hub: Hub, run: Path) -> None:
    Path("bad.tsv").write_text(ROWS + "唱歌\tzzz\n", encoding="utf-8")
    code, _, error = hub(
        "compress", "vocab", "run", "--corpus", "rows.tsv", "--dev", "bad.tsv", "--skip-bad-rows",
        "--output", "out",
    )  # fmt: skip
    assert code == 0 and Path("out/compression.json").exists(), error


def test_a_model_is_not_made_smaller_in_its_own_place(hub: Hub, run: Path) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())
    Path("elsewhere").mkdir()
    for words in (
        ("vocab", "run", "--corpus", "rows.tsv"),
        ("prune", "run", "rows.tsv", "--width", "0.5"),
        ("quantize", "run", "rows.tsv", "--dev", "rows.tsv"),
        ("distil", "run", "rows.tsv", "--student", "1x24"),
    ):
        code, _, error = hub("compress", *words, "--output", "elsewhere/../run", "--overwrite")
        assert code == 2 and "is the model that is made smaller" in error
    assert sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    ["vocab run --corpus rows.tsv", "quantize run rows.tsv --dev rows.tsv --max-drop 100"],
)
def test_what_is_told_of_a_model_goes_with_it(
    hub: Hub, run: Path, tiny_folder: Path, words: str
) -> None:
    package.Module(directory=tiny_folder, task="seq-cls", label_map=["c", "d"]).save("old")
    names = ("report.md", "README.md", "metrics.json", "metrics.jsonl", "learning_curve.png")
    for name in names:
        Path("old", name).write_text("{}", encoding="utf-8")
    code, _, error = hub("compress", *words.split(), "--output", "old", "--overwrite")
    assert code == 0, error
    assert not [name for name in names if Path("old", name).exists()]


def test_a_run_forgets_how_the_model_before_it_was_made_smaller(
    hub: Hub, run: Path, tiny_folder: Path
) -> None:
    code, _, error = hub(
        "compress", "vocab", "run", "--corpus", "rows.tsv", "-q", "--output", "out"
    )
    assert code == 0 and Path("out/compression.json").exists(), error
    Path("out/pretraining.png").write_bytes(b"")
    code, _, error = hub(
        "finetune", "rows.tsv", "--dev", "rows.tsv", "--model", tiny_folder, "--epochs", "1", "-q",
        "--output", "out", "--overwrite",
    )  # fmt: skip
    assert code == 0 and Path("out/metrics.json").exists(), error
    assert not Path("out/compression.json").exists() and not Path("out/pretraining.png").exists()
