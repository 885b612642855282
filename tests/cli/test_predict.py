"""`hub predict`, `evaluate` and `finetune`: every task's answers as lines and as JSON."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from hub.module import Module
from tests.cli.conftest import Hub
from tests.golden import layouts


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A masked language model."""
    layouts.write_folder(tmp_path / "masked", layouts.layouts()["ernie-tiny"], "ForMaskedLM")
    return tmp_path / "masked"


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    """A model for entities whose labels have no scheme."""
    config = layouts.layouts()["bert-base-chinese"]
    layouts.write_folder(tmp_path / "tagger", config, "ForTokenClassification")
    return tmp_path / "tagger"


def test_masks_are_filled_line_by_line_and_as_json(hub: Hub, masked: Path) -> None:
    arguments = ("predict", masked, "--task", "fill-mask", "--top-k", "3", "今[MASK]气", "[MASK]")
    code, out, _ = hub(*arguments)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 8 and lines[0] == "今[MASK]气" and lines[4] == "[MASK]"
    code, out, _ = hub(*arguments, "--json")
    first, second = json.loads(out)
    assert (first["text"], second["text"]) == ("今[MASK]气", "[MASK]")
    assert [row["sequence"] for row in first["predictions"]] == [
        line.split("\t")[1] for line in lines[1:4]
    ]
    assert f"{first['predictions'][0]['score']:7.2%}" in lines[1]


def test_several_masks_are_filled_one_after_the_other(hub: Hub, masked: Path) -> None:
    code, out, _ = hub("predict", masked, "--task", "fill-mask", "--top-k", "2", "[MASK]天[MASK]")
    assert code == 0 and len(out.splitlines()) == 5


def test_what_cannot_be_filled_is_a_sentence(hub: Hub, masked: Path, tagger: Path) -> None:
    code, _, error = hub("predict", masked, "--task", "fill-mask", "今天")
    assert code == 2 and "Text 0 has no [MASK] to fill" in error
    code, _, error = hub("predict", tagger, "--task", "fill-mask", "今[MASK]")
    assert code == 1 and "without the head for fill-mask" in error
    code, _, error = hub("predict", masked, "今天")
    assert code == 1 and "--task fill-mask" in error


def test_entities_are_told_with_their_place(hub: Hub, tagger: Path) -> None:
    text = "今天气好吗 iPhone"
    code, out, _ = hub("predict", tagger, text, "", "--json")
    document, nothing = json.loads(out)
    assert code == 0 and document["entities"] and nothing == {"text": "", "entities": []}
    for entity in document["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    code, out, _ = hub("predict", tagger, text)
    assert code == 0 and len(out.splitlines()) == 1 + len(document["entities"])
    first = document["entities"][0]
    assert out.splitlines()[1].endswith(
        f"{first['type']}\t{first['text']}\t{first['start']}-{first['end']}"
    )
    code, _, error = hub("evaluate", tagger, _rows())
    assert code == 2 and "'label' is no list of entities" in error


def test_a_line_of_the_standard_input_ends_where_the_file_says(
    hub: Hub, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save("run")
    texts = ["第一行\u2028仍是", "\x85还\x0c是\x1c", "", "末"]
    given = "\ufeff" + "\r\n".join(texts)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    code, out, error = hub("predict", "run", "--json")
    assert code == 0, error
    assert [row["text"] for row in json.loads(out)] == texts
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n")))
    code, _, error = hub("predict", "run")
    assert code == 2 and "Line 1 of the standard input is not UTF-8" in error


def test_a_dash_is_the_standard_input(
    hub: Hub, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save("run")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("今天\n气好\n".encode())))
    code, out, error = hub("predict", "run", "--input", "-", "--json")
    assert code == 0 and [row["text"] for row in json.loads(out)] == ["今天", "气好"], error
    code, _, error = hub("predict", "run", "--input", "-", "--output", "a.jsonl")
    assert code == 2 and "< texts.txt > answers.json" in error
    code, _, error = hub("predict", "run", "--input", "-", "今天", "--output", "a.jsonl")
    assert code == 2 and not Path("a.jsonl").exists()


def test_the_folder_of_a_file_is_made(hub: Hub, tiny_folder: Path) -> None:
    Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save("run")
    code, _, error = hub("predict", "run", "--input", _rows(), "-q", "--output", "p/a.jsonl")
    assert code == 0 and Path("p/a.jsonl").exists(), error
    Path("corpus.txt").write_text("今天天气好\n" * 9, encoding="utf-8")
    code, _, error = hub(
        "vocab", "train", "corpus.txt", "--min-frequency", "2", "-q", "--output", "v/w/vocab.txt"
    )
    assert code == 0 and Path("v/w/vocab.txt").exists(), error
    code, _, error = hub("vocab", "train", "corpus.txt", "--output", "corpus.txt/vocab.txt")
    assert code == 2 and "cannot be written" in error


def test_figures_are_measured_with_as_many_threads_as_wanted(hub: Hub, tiny_folder: Path) -> None:
    Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save("run")
    code, out, error = hub("evaluate", "run", _rows(), "--threads", "1", "-q", "--json")
    assert code == 0 and json.loads(out)["rows"] == 2, error
    assert hub("evaluate", "run", _rows(), "--threads", "0")[0] == 2


def test_a_model_without_labels_is_not_evaluated(hub: Hub, tiny_folder: Path) -> None:
    Module(directory=tiny_folder, task="sentence-embedding").save("vectors")
    code, _, error = hub("evaluate", "vectors", _rows())
    assert code == 2
    assert "sentence-embedding has no labels to be measured with" in error


def _rows() -> Path:
    path = Path("rows.tsv")
    path.write_text("text\tlabel\n今天\ta\n气好\tb\n", encoding="utf-8")
    return path


def test_long_texts_in_windows_all_the_way(
    hub: Hub, tiny_folder: Path, toy_train: list[tuple[str, str]]
) -> None:
    rows = [("的一是在不了有和" * 2 + text, label) for text, label in toy_train]
    Path("long.tsv").write_text(
        "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8"
    )
    code, _, _ = hub(
        "finetune", "long.tsv", "--dev", "long.tsv", "--model", tiny_folder, "--output", "run",
        "--max-seq-len", "16", "--epochs", "20", "--batch-size", "8", "--learning-rate", "0.01",
        "--patience", "20", "--long-text", "window", "--recompute", "--quiet",
    )  # fmt: skip
    assert code == 0
    assert json.loads(Path("run/hub.json").read_text("utf-8"))["long_text"] == "window"
    assert hub("export", "run", "--output", "exported")[0] == 0
    for model in ("run", "exported"):
        _, out, _ = hub("evaluate", model, "long.tsv", "--json")
        _, cut, _ = hub("evaluate", model, "long.tsv", "--json", "--long-text", "cut")
        assert json.loads(out)["accuracy"] >= 0.7 > 0.6 > json.loads(cut)["accuracy"]
        _, out, _ = hub("predict", model, rows[0][0], "--top-k", "2", "--json")
        (document,) = json.loads(out)
        _, best, _ = hub("predict", model, rows[0][0])
        assert document["labels"][0]["label"] == best.split("\t")[0]
        assert len(document["labels"]) == 2


@pytest.mark.parametrize("task", ["seq-cls", "multi-label"])
def test_rows_that_the_model_does_not_know_are_refused_or_skipped(
    hub: Hub, tiny_folder: Path, task: str
) -> None:
    for name, pairs in (("one", False), ("two", True)):
        options = {"pairs": pairs}
        Module(directory=tiny_folder, task=task, label_map=["a", "b"], task_options=options).save(
            name
        )
    lines = [
        {"text": "今天", "label": "a"},
        {"text": "今天", "label": "c"},
        {"text": ["今天", "气好"], "label": "b"},
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines), "utf-8")
    Path("all.jsonl").write_text(json.dumps(lines[1]) + "\n", "utf-8")
    code, _, error = hub("evaluate", "one", "rows.jsonl")
    assert code == 2 and "line 3: one text, no pair, is needed here" in error
    code, _, error = hub("evaluate", "two", "rows.jsonl")
    assert code == 2 and "line 1: a pair of texts is needed here" in error
    for model in ("one", "two"):
        code, out, error = hub("evaluate", model, "rows.jsonl", "--skip-bad-rows", "--json")
        assert code == 0, error
        assert (json.loads(out)["rows"], json.loads(out)["skipped_rows"]) == (1, 2)
    code, _, error = hub("evaluate", "one", "all.jsonl", "--skip-bad-rows")
    assert code == 2
    assert "no row that the model can be measured with. In line 1: the label 'c' is not" in error
