"""A model that compares two texts reads tables of pairs, its own training file first of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.module import Module
from tests.cli.conftest import Hub

PAIRS = [("今天下雨吗", "明天下雨吗"), ("听首歌", "买火车票"), ("几点\t了", ""), ("海南", "北京")]


@pytest.fixture
def run(hub: Hub, tiny_folder: Path) -> Path:
    """A run that was taught with `pairs.csv`."""
    lines = [f'"{a}","{b}",{n % 2}' for n, (a, b) in enumerate(PAIRS * 3) if b]
    Path("pairs.csv").write_text("\n".join(["甲,乙,label", *lines]) + "\n", encoding="utf-8")
    code, _, error = hub(
        "finetune", "pairs.csv", "--dev", "pairs.csv", "--text-column", "甲",
        "--text-pair-column", "乙", "--model", tiny_folder, "--epochs", "1", "-q", "-o", "run",
    )  # fmt: skip
    assert code == 0, error
    return Path("run")


def write(names: tuple[str, str]) -> Path:
    rows = [json.dumps(dict(zip(names, pair, strict=True)), ensure_ascii=False) for pair in PAIRS]
    Path("asked.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Path("asked.jsonl")


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (("text_a", "text_b"), ()),
        (("甲", "乙"), ()),  # the run's own
        (("丙", "丁"), ("--text-column", "丙", "--text-pair-column", "丁")),
    ],
)
def test_every_pair_of_a_table_is_answered(
    hub: Hub, run: Path, names: tuple[str, str], more: tuple[str, ...]
) -> None:
    code, _, error = hub(
        "predict", run, "--input", write(names), "-o", "out.jsonl", "-p", "-q", *more
    )
    assert code == 0, error
    lines = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    # As a line of a .txt file has them: a tab divides the two.
    assert [line["text"] for line in lines] == [f"{a.replace(chr(9), ' ')}\t{b}" for a, b in PAIRS]
    wanted = Module(directory=run).predict(PAIRS, probabilities=True)
    for line, answer in zip(lines, wanted, strict=True):
        assert line["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-4)


def test_columns_that_are_not_named_are_asked_for(hub: Hub, run: Path) -> None:
    for more, sentence in (
        ((), "Name the right ones with --text-column and --text-pair-column"),
        (("--text-column", "丙"), "only '丙' is read: name the column of the second"),
    ):
        code, _, error = hub("predict", run, "--input", write(("丙", "丁")), "-o", "o.jsonl", *more)
        assert code == 2 and sentence in error
    # One column may have both.
    Path("asked.jsonl").write_text('{"text": "听首歌\\t买票"}\n', encoding="utf-8")
    assert hub("predict", run, "--input", "asked.jsonl", "-o", "o.jsonl", "-q")[0] == 0


def test_a_second_column_is_for_pairs(hub: Hub, tiny_folder: Path, tmp_path: Path) -> None:
    Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save("single")
    write(("甲", "乙"))
    for more, sentence in (
        (("--text-column", "甲", "--text-pair-column", "乙"), "for models that compare two texts"),
        ((), "has no column 'text'"),
    ):
        code, _, error = hub("predict", "single", "--input", "asked.jsonl", "-o", "o.jsonl", *more)
        assert code == 2 and sentence in error
    write(("text_a", "text_b"))
    code, _, error = hub("predict", "single", "--input", "asked.jsonl", "-o", "o.jsonl")
    assert code == 2 and "has pairs of texts, 'text_a' and 'text_b'" in error


def test_pairs_say_what_a_vocabulary_needs_and_where_values_lie(hub: Hub, run: Path) -> None:
    code, _, error = hub("compress", "vocab", run, "--corpus", "pairs.csv", "-o", "trimmed")
    assert code == 0, error
    kept = Path("trimmed/vocab.txt").read_text(encoding="utf-8").split()
    assert {*"今天下雨吗", *"买火车票", *"北京"} <= set(kept)
    named = ("--text-column", "一", "--text-pair-column", "二")
    for names, more in ((None, ()), (("text_a", "text_b"), ()), (("一", "二"), named)):
        corpus = write(names) if names else "pairs.csv"
        code, _, error = hub(
            "export", run, "--precision", "int8", "--static", "--calibration", corpus,
            "--max-drop", "99", "-o", "int8", "--overwrite", *more,
        )  # fmt: skip
        assert code == 0, error
