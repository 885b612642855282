"""What a user can give wrong is answered with one sentence, exit code 2, and nothing written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.cli.main import main

Hub = Callable[..., tuple[int, str, str]]

GOOD = "text\tlabel\n今天下雨吗\t天气\n听一首歌\t音乐\n明天晴吗\t天气\n唱歌吧\t音乐\n"


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A small good file."""
    path = tmp_path / "train.tsv"
    path.write_text(GOOD, encoding="utf-8")
    return path


def refused(answer: tuple[int, str, str], *parts: str, code: int = 2) -> None:
    """Assert one sentence on stderr with the given parts, and no traceback."""
    exit_code, out, err = answer
    assert exit_code == code, err
    assert not Path("out").is_dir() or any(Path("out").iterdir())  # no empty folder is left
    assert out == ""
    assert "Traceback" not in err
    assert err.count("Error:") == 1
    for part in parts:
        assert part in err, err


def test_a_missing_file(hub: Hub) -> None:
    refused(hub("finetune", "none.tsv", "-o", "out"), "There is no file none.tsv")


def test_an_empty_file(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "empty.tsv").touch()
    refused(hub("finetune", "empty.tsv", "-o", "out"), "empty.tsv is empty")


def test_one_label_only(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("text\tlabel\n你好\t问候\n早上好\t问候\n", encoding="utf-8")
    answer = hub("finetune", "one.tsv", "-o", "out")
    refused(answer, "All 2 rows of one.tsv have the label '问候'", "at least two")


def test_a_dev_label_that_training_lacks(hub: Hub, train: Path, tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("text\tlabel\n买票\t车票\n", encoding="utf-8")
    answer = hub("finetune", train, "--dev", "dev.tsv", "-o", "out")
    refused(answer, "dev.tsv, line 2", "'车票'", "--skip-bad-rows")


def test_wrong_column_names(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_text("原话\t归属\n你好\t问候\n", encoding="utf-8")
    answer = hub("finetune", "c.tsv", "-o", "out")
    refused(answer, "no column 'text' and 'label'", "'原话', '归属'", "--text-column")


def test_a_file_without_a_line_of_names(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "n.tsv").write_text("你好\t问候\n再见\t道别\n", encoding="utf-8")
    refused(hub("finetune", "n.tsv", "-o", "out"), "first line is a row already", "text<TAB>label")
    (tmp_path / "n.csv").write_text("你好 问候\n再见 道别\n", encoding="utf-8")
    refused(hub("finetune", "n.csv", "-o", "out"), "no comma in its first line", "one column")


def test_a_misspelt_data_set(hub: Hub) -> None:
    refused(hub("finetune", "fewclue-tnew", "-o", "out"), "Did you mean fewclue_tnews")


def test_a_binary_file(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_bytes(bytes(range(256)) * 10)
    refused(hub("finetune", "b.tsv", "-o", "out"), "b.tsv is a binary file")


def test_a_bad_row_is_named_before_anything_is_trained(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text(GOOD + "没有标签\n", encoding="utf-8")
    answer = hub("finetune", "r.tsv", "-o", "out")
    refused(answer, "r.tsv, line 6: 1 columns instead of 2", "--skip-bad-rows")


def test_bad_rows_can_be_skipped_and_are_counted(
    hub: Hub, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "r.tsv").write_text(GOOD * 1 + "没有标签\n\t天气\n", encoding="utf-8")
    (tmp_path / "dev.tsv").write_text(GOOD + "买票\t车票\n", encoding="utf-8")
    code, _, err = hub(
        "finetune", "r.tsv", "--dev", "dev.tsv", "--skip-bad-rows", "-o", "out",
        "--model", tiny_folder, "--epochs", "1", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    assert "skipped   2 rows of r.tsv, the first in line 6" in err
    assert "skipped   1 row of dev.tsv, the first in line 6: the label '车票'" in err


def test_nothing_is_left_to_choose_by(hub: Hub, train: Path, tmp_path: Path) -> None:
    dev = tmp_path / "dev.tsv"
    dev.write_text("text\tlabel\n今天\t日期\n", encoding="utf-8")
    answer = hub("finetune", train, "--dev", dev, "-o", "out", "--skip-bad-rows")
    refused(answer, "dev.tsv has no row that the model can be measured with", "'日期'")


def test_an_output_folder_that_is_a_file(hub: Hub, train: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    refused(hub("finetune", train, "-o", "out"), "out is a file")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_an_output_folder_that_cannot_be_written(hub: Hub, train: Path) -> None:
    # Below a device no folder can be made, not even by root.
    answer = hub("finetune", train, "--dev", train, "-o", "/dev/null/out")
    exit_code, _, err = answer
    assert exit_code == 2
    assert err.splitlines()[-1] == "Error: /dev/null/out cannot be written: Not a directory."


def test_an_output_folder_with_another_model(
    hub: Hub, train: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    options = ["--model", str(tiny_folder), "--epochs", "1", "--quiet", "-o", "out"]
    assert hub("finetune", train, "--dev", train, *options)[0] == 0
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    answer = hub("finetune", train, "--dev", train, *options)
    refused(answer, "out already holds a model", "--overwrite")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert hub("finetune", train, "--dev", train, *options, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--r-drop", "1"], "r_drop compares"),
        (["--crf", "--label-smoothing", "0.1"], "a CRF learns the tags of a text as a whole"),
        (["--precision", "fp16"], "trains in fp16 on GPUs"),
        (["--freeze-layers", "9"], "the model has 2 layers"),
    ],
)
def test_options_that_do_not_fit_leave_an_unfinished_run(
    hub: Hub, tmp_path: Path, tiny_folder: Path, options: list[str], part: str
) -> None:
    tagged = tmp_path / "train.conll"
    tagged.write_text("去\tO\n北\tB-地\n京\tI-地\n\n" * 4, encoding="utf-8")
    latest = tmp_path / "out" / "checkpoint" / "latest.json"
    latest.parent.mkdir(parents=True)
    latest.write_text('{"name": "step-7"}', encoding="utf-8")
    given = ["--dev", tagged, "--model", tiny_folder, "-q", "-o", "out", "--overwrite"]
    answer = hub("finetune", tagged, *given, *options)
    refused(answer, part)
    assert latest.exists()


def test_an_output_folder_with_files_of_the_user(hub: Hub, train: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").touch()
    for options in ([], ["--overwrite"]):
        refused(hub("finetune", train, "-o", "out", *options), "not this package's")
    assert (tmp_path / "out" / "thesis.docx").exists()


def test_what_a_run_left_that_never_saved_anything_may_go(
    hub: Hub, train: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "out" / "checkpoint").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint" / "best.safetensors").write_bytes(b"half")
    (tmp_path / "out" / "metrics.jsonl").touch()
    options = ["--model", str(tiny_folder), "--epochs", "1", "--quiet", "-o", "out"]
    code, _, err = hub("finetune", train, "--dev", train, *options)
    assert code == 0, err
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_resume_without_an_unfinished_run(hub: Hub, train: Path) -> None:
    refused(hub("finetune", train, "-o", "out", "--resume"), "no unfinished run")


def test_an_unknown_model_name(hub: Hub, train: Path) -> None:
    answer = hub("finetune", train, "-o", "out", "--model", "ernie_poket_zh")
    refused(answer, "There is no model 'ernie_poket_zh'", "'ernie-pocket-zh'", "hub list")


def test_settings_out_of_range(hub: Hub, train: Path) -> None:
    refused(hub("finetune", train, "-o", "out", "--learning-rate", "-1"), "learning_rate")
    refused(hub("finetune", train, "-o", "out", "--epochs", "0"), "epochs")
    answer = hub("finetune", train, "--dev", train, "-o", "out", "--max-seq-len", "100000")
    refused(answer, "max_seq_len")


def test_a_text_of_100000_characters_is_cut_and_said(
    hub: Hub, train: Path, tmp_path: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = "今天下雨吗" * 20_000
    (tmp_path / "long.tsv").write_text(GOOD + f"{long}\t天气\n", encoding="utf-8")
    options = ["--model", str(tiny_folder), "--epochs", "1", "--quiet", "-o", "out"]
    code, _, err = hub("finetune", "long.tsv", "--dev", train, *options)
    assert code == 0, err
    assert "1 of 5 texts are longer than" in caplog.text
    code, out, _ = hub("predict", "out", long, "--json")
    assert code == 0 and '"label"' in out


def test_models_that_are_none(hub: Hub, train: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(hub("predict", "nowhere", "你好"), "There is no model 'nowhere'", "nor as a folder")
    refused(hub("predict", "empty", "你好"), "empty is not a model folder", code=1)
    refused(hub("evaluate", "empty", train), "empty is not a model folder", code=1)
    refused(hub("export", "empty", "-o", "out"), "empty is not a model folder", code=1)


def test_an_export_never_replaces_what_is_no_export(
    hub: Hub, train: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    options = ["--model", str(tiny_folder), "--epochs", "1", "--quiet", "-o", "out"]
    assert hub("finetune", train, "--dev", train, *options)[0] == 0
    refused(hub("export", "out", "-o", "out"), "not empty")
    refused(hub("export", "out", "-o", "out", "--overwrite"), "not an exported model's")
    code, _, err = hub("export", "out", "-o", "served")
    assert code == 0, err
    refused(hub("export", "served", "-o", "again"), "is an exported model", code=1)
    assert hub("export", "out", "-o", "served", "--overwrite")[0] == 0


def test_a_misspelt_command(hub: Hub) -> None:
    refused(hub("finetun", "x"), "There is no command 'finetun'", "'finetune'")


def test_debug_shows_the_traceback(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from hub.errors import DataError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUB_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["hub", "finetune", "none.tsv", "-o", "out"])
    with pytest.raises(DataError):
        main()
