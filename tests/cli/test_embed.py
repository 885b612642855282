"""`hub embed`: every kind of file, rows in their order, a whole file or none, and sentences."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub as package
from hub.errors import InputError, OutputError
from hub.inference import embedding
from hub.inference.embedding import embed
from hub.inference.export import export
from tests.cli.conftest import Hub

# Lengths are mixed: what is computed sorted by length must come back in order.
TEXTS = ["我去北京听一首歌好吗", "听", "", "今天天气好吗？明天呢", "买 2 张票", "雨", "下雨吗"]


@pytest.fixture
def module(tiny_folder: Path) -> package.Module:
    return package.Module(directory=tiny_folder)


@pytest.fixture(scope="module")
def exported(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as an ONNX graph, normalising."""
    folder = tmp_path_factory.mktemp("exported") / "vectors"
    options = {"normalize": True}
    export(package.Module(directory=tiny_folder, task="embedding", task_options=options), folder)
    return folder


def write(path: Path, texts: list[str]) -> None:
    """A file of the kind that the extension says, with the texts in a usual column."""
    rows = [{"number": number, "text": text} for number, text in enumerate(texts)]
    kind = path.suffix
    if kind == ".txt":
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    elif kind in (".tsv", ".csv"):
        tab = "\t" if kind == ".tsv" else ","
        lines = [f"number{tab}text", *(f"{row['number']}{tab}{row['text']}" for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        import openpyxl

        book = openpyxl.Workbook()
        assert book.active is not None
        book.active.append(["number", "text"])
        for row in rows:
            book.active.append([row["number"], row["text"]])
        book.save(path)


def nothing_half(folder: Path = Path()) -> bool:
    """Whether the folder has no vectors, not even hidden ones."""
    return [path.name for path in folder.iterdir() if "npy" in path.name] == []


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["txt", "tsv", "csv", "jsonl", "parquet", "xlsx"])
def test_every_kind_of_file_has_its_vectors_in_order(
    hub: Hub, module: package.Module, tiny_folder: Path, tmp_path: Path, kind: str
) -> None:
    write(tmp_path / f"texts.{kind}", TEXTS)
    code, out, err = hub("embed", tiny_folder, f"texts.{kind}", "-o", "sub/v.npy", "-q")
    assert code == 0 and out == "", err
    assert "written   sub/v.npy: 7 x 24 float32, pooling mean" in err
    vectors = np.load("sub/v.npy", allow_pickle=False)
    assert vectors.dtype == np.float32 and vectors.shape == (7, 24)
    np.testing.assert_allclose(vectors, module.get_embedding(TEXTS), rtol=0, atol=1e-6)
    assert [path.name for path in Path("sub").iterdir()] == ["v.npy"]


def test_options_reach_the_network(hub: Hub, module: package.Module, tiny_folder: Path) -> None:
    write(Path("texts.txt"), [*TEXTS, "听一首歌" * 30])
    code, _, err = hub(
        "embed", tiny_folder, "texts.txt", "-o", "v.npy", "--pooling", "cls", "--normalize",
        "--batch-size", "2", "--max-seq-len", "20", "--long-text", "window",
    )  # fmt: skip
    assert code == 0 and "pooling cls, normalized" in err and "8/8" in err
    wanted = module.get_embedding(
        [*TEXTS, "听一首歌" * 30],
        pooling="cls", normalize=True, max_seq_len=20, long_text="window",
    )  # fmt: skip
    np.testing.assert_allclose(np.load("v.npy"), wanted, rtol=0, atol=1e-6)


def test_a_column_of_another_name_and_another_encoding(
    hub: Hub, module: package.Module, tiny_folder: Path
) -> None:
    Path("a.csv").write_bytes("编号,问题\n1,今天下雨吗\n2,听歌\n".encode("gb18030"))
    code, _, err = hub("embed", tiny_folder, "a.csv", "-o", "v.npy", "-q")
    assert code == 0 and "the text is '问题'" in err and "GB18030" in err
    Path("b.txt").write_bytes("今天下雨吗\r\n听歌".encode("gb18030"))
    code, _, err = hub("embed", tiny_folder, "b.txt", "-o", "w.npy", "-q")
    assert code == 0, err
    Path("c.tsv").write_text("甲\t乙\n1\t今天下雨吗\n2\t听歌\n", encoding="utf-8-sig")
    code, _, err = hub("embed", tiny_folder, "c.tsv", "-o", "x.npy", "-q", "--text-column", "乙")
    assert code == 0, err
    wanted = module.get_embedding(["今天下雨吗", "听歌"])
    for name in "vwx":
        np.testing.assert_allclose(np.load(f"{name}.npy"), wanted, rtol=0, atol=1e-6)


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_the_standard_input_has_a_text_a_line(
    hub: Hub, module: package.Module, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, "\ufeff听歌\r\n\n今天下雨吗".encode())
    code, _, err = hub("embed", tiny_folder, "-", "-o", "v.npy", "-q")
    assert code == 0, err
    wanted = module.get_embedding(["听歌", "", "今天下雨吗"])
    np.testing.assert_allclose(np.load("v.npy"), wanted, rtol=0, atol=1e-6)
    give(monkeypatch, "听歌\n".encode() + b"\xff\xfe\n")
    code, _, err = hub("embed", tiny_folder, "-", "-o", "w.npy", "-q")
    assert code == 2 and "Line 2 of the standard input is not UTF-8" in err
    give(monkeypatch, b"")
    code, _, err = hub("embed", tiny_folder, "-", "-o", "w.npy", "-q")
    assert code == 2 and "There is no text to embed" in err
    give(monkeypatch, b"a\n")
    code, _, err = hub("embed", tiny_folder, "-", "-o", "w.npy", "--text-column", "text")
    assert code == 2 and "no --text-column" in err
    assert [path.name for path in Path().iterdir() if "npy" in path.name] == ["v.npy"]


def test_a_file_that_cannot_be_read_is_a_sentence(hub: Hub, tiny_folder: Path) -> None:
    for name, content, *parts in (
        ("a.tsv", "甲\t乙\n1\t2\n", "no column 'text'", "'甲', '乙'", "--text-column", ".txt"),
        ("b.tsv", "text\tlabel\n好\ta\n坏\n", "b.tsv, line 3: 1 columns instead of 2"),
        ("c.jsonl", '{"text": "好"}\n{"text": 3}\n{"text": null}\n{"x": 1}\n', "3 rows have no",
         "line 2: 'text' is int, not text", "line 3: 'text' is null", "line 4: no 'text'"),
        ("d.tsv", "text_a\ttext_b\n好\t坏\n", "pairs of texts, 'text_a' and 'text_b'"),
        ("e.tsv", "text\tlabel\n", "e.tsv has no rows"),
        ("f.txt", "", "f.txt is empty"),
        ("g.doc", "好", "the extension '.doc' is unknown"),
        ("h.jsonl", '{"text": 1}\n' * 9, "9 rows have no text", "... and 4 more"),
    ):  # fmt: skip
        Path(name).write_text(content, encoding="utf-8")
        code, out, err = hub("embed", tiny_folder, name, "-o", "v.npy")
        assert code == 2 and out == "" and err.count("Error:") == 1, err
        assert all(part in err for part in parts), err
    for missing in ("none.txt", "none.tsv"):
        code, _, err = hub("embed", tiny_folder, missing, "-o", "v.npy")
        assert code == 2 and f"There is no file {missing}" in err
    code, _, err = hub("embed", tiny_folder, "a.tsv", "-o", "v.npy", "--text-column", "文")
    assert code == 2 and "no column '文'" in err
    Path("p.txt").write_bytes(b"\x00\x01" * 50)
    code, _, err = hub("embed", tiny_folder, "p.txt", "-o", "v.npy")
    assert code == 2 and "p.txt is a binary file" in err
    assert nothing_half()


# --- which model ---------------------------------------------------------------------------------


def test_an_exported_model_is_what_it_was_exported_as(
    hub: Hub, tiny_folder: Path, exported: Path
) -> None:
    write(Path("texts.txt"), TEXTS)
    code, _, err = hub("embed", exported, "texts.txt", "-o", "v.npy", "-q")
    assert code == 0 and "pooling mean, normalized" in err
    code, _, err = hub(
        "embed", exported, "texts.txt", "-o", "same.npy", "--pooling", "mean", "--normalize",
        "--max-seq-len", "64",
    )  # fmt: skip
    assert code == 0, err
    code, _, err = hub("embed", tiny_folder, "texts.txt", "-o", "w.npy", "-q", "--normalize")
    assert code == 0, err
    np.testing.assert_allclose(np.load("v.npy"), np.load("w.npy"), rtol=0, atol=1e-6)
    for options, message in (
        (("--pooling", "cls"), "exported with pooling mean, not cls"),
        (("--no-normalize",), "exported with normalize True, not False"),
        (("--max-seq-len", "32"), "exported with max_seq_len 64, not 32"),
    ):
        code, _, err = hub("embed", exported, "texts.txt", "-o", "x.npy", *options)
        assert code == 2 and message in err
    assert not Path("x.npy").exists()


def test_other_models_are_loaded_for_it_or_refused(
    hub: Hub, tiny_folder: Path, module: package.Module
) -> None:
    write(Path("texts.txt"), TEXTS)
    classifier = package.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"])
    classifier.save("run")
    code, _, err = hub("embed", "run", "texts.txt", "-o", "v.npy", "-q")
    assert code == 0, err
    np.testing.assert_allclose(np.load("v.npy"), module.get_embedding(TEXTS), rtol=0, atol=1e-6)
    export(classifier, "run-onnx")
    code, _, err = hub("embed", "run-onnx", "texts.txt", "-o", "w.npy")
    assert code == 2 and "was exported for text-classification, not sentence-embedding" in err
    code, _, err = hub("embed", "./none", "texts.txt", "-o", "w.npy")
    assert code == 2 and "There is no folder" in err
    code, _, err = hub("embed", tiny_folder, "texts.txt", "-o", "w.npy", "--max-seq-len", "65")
    assert code == 2 and "max_seq_len is 65" in err
    assert not Path("w.npy").exists()


def test_export_and_predict_know_the_task(hub: Hub, tiny_folder: Path) -> None:
    code, _, err = hub(
        "export", tiny_folder, "--task", "sentence-embedding", "--pooling", "cls", "-o", "x"
    )
    assert code == 0 and "difference from the module's vectors" in err
    manifest = json.loads(Path("x/hub.json").read_text("utf-8"))
    assert manifest["task_options"] == {"pooling": "cls", "normalize": False}
    for arguments in (("x",), (tiny_folder, "--task", "sentence-embedding")):
        code, out, err = hub("predict", *arguments, "听歌", "", "--json")
        first, second = json.loads(out)
        assert code == 0 and first["text"] == "听歌" and len(second["embedding"]) == 24
        assert all(isinstance(value, float) for value in first["embedding"])
    # Alone and beside another text the last bit may differ, by the processor's kernels.
    alone = package.Module(directory=tiny_folder).get_embedding("听歌").tolist()
    assert first["embedding"] == pytest.approx(alone, abs=1e-6)
    assert all(value == float(str(np.float32(value))) for value in first["embedding"])
    code, out, _ = hub("predict", "x", "听歌", "")
    assert code == 0 and out.splitlines()[0] == "听歌" and "24 numbers: " in out.splitlines()[1]
    code, _, err = hub("export", tiny_folder, "--normalize", "-o", "y")
    assert code == 2 and "has no task" in err
    code, _, err = hub("predict", tiny_folder, "听歌")
    assert code == 1 and f"hub embed {tiny_folder} FILE" in err


# --- how it is written ---------------------------------------------------------------------------


def test_what_is_there_is_kept_unless_told(hub: Hub, exported: Path) -> None:
    write(Path("texts.txt"), TEXTS)
    Path("v.npy").write_text("mine", encoding="utf-8")
    code, _, err = hub("embed", exported, "texts.txt", "-o", "v.npy")
    assert code == 2 and "v.npy is there already" in err and "--overwrite" in err
    assert Path("v.npy").read_text("utf-8") == "mine"
    code, _, err = hub("embed", exported, "texts.txt", "-o", "v.npy", "--overwrite", "-q")
    assert code == 0 and np.load("v.npy").shape == (7, 24)
    code, _, err = hub("embed", exported, "texts.txt", "-o", ".")
    assert code == 2 and "is a folder" in err
    Path("file").touch()
    code, _, err = hub("embed", exported, "texts.txt", "-o", "file/v.npy")
    assert code == 2 and "cannot be written" in err


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few rows, as a large file has them of thousands."""
    monkeypatch.setattr(embedding, "_ROWS", 3)


@pytest.mark.usefixtures("small_parts")
def test_parts_are_written_as_they_come(exported: Path, tmp_path: Path) -> None:
    predictor, output, told = package.Predictor(exported), tmp_path / "v.npy", [0]
    sizes = []

    def texts() -> Iterator[str]:
        for text in TEXTS * 100:
            sizes.append(sum(path.stat().st_size for path in tmp_path.glob(".v.npy*")))
            assert not output.exists()
            yield text

    def progress(rows: int) -> None:
        told[0] += rows

    assert embed(predictor, texts(), output, batch_size=2, progress=progress) == (700, 24)
    assert sizes[100] < sizes[-1] and sizes[-1] > 10_000 and told == [700]
    np.testing.assert_allclose(
        np.load(output, mmap_mode="r"), np.stack(predictor.predict(TEXTS * 100)), rtol=0, atol=1e-6
    )
    told[0] = 0
    long = ["听一首歌" * 40, "听"]
    embed(
        predictor, long, output, batch_size=2, long_text="window", overwrite=True,
        progress=progress,
    )  # fmt: skip
    assert told == [2] and np.load(output).shape == (2, 24)
    with pytest.raises(InputError, match="batch_size must be 1"):
        embed(predictor, long, output, batch_size=0, overwrite=True)


@pytest.mark.usefixtures("small_parts")
def test_a_failure_in_the_middle_leaves_nothing(
    exported: Path, tmp_path: Path, module: package.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, output = package.Predictor(exported), tmp_path / "v.npy"

    def texts() -> Iterator[str]:
        yield from TEXTS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(predictor, texts(), output, batch_size=2)
    assert nothing_half(tmp_path)
    real = Path.open

    class Full:
        """A disk that is full after a few bytes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            if self.file.tell() > 200:
                raise OSError(28, "No space left on device")
            return int(self.file.write(data))

        def tell(self) -> int:
            return int(self.file.tell())

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **more: (
            Full(real(self, mode)) if mode == "wb" else real(self, mode, **more)
        ),
    )  # fmt: skip
    with pytest.raises(OutputError, match=r"v\.npy cannot be written: No space left on device"):
        embed(predictor, TEXTS, output, batch_size=2)
    assert nothing_half(tmp_path)
    with pytest.raises(InputError, match="not loaded for sentence-embedding"):
        embed(module, TEXTS, output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_leaves_no_vectors(exported: Path, tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hub", "embed", str(exported), "-", "-o", "v.npy"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(("今天下雨吗\n" * 10_000).encode())
    process.stdin.flush()  # and it stays open: the command waits for more
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 10_000 for path in tmp_path.glob(".v.npy*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == (143 if number == signal.SIGTERM else -number)
    assert not (tmp_path / "v.npy").exists()
    if number == signal.SIGTERM:
        assert nothing_half(tmp_path)
    process.communicate()


def test_an_exported_model_needs_no_paddle(exported: Path, tmp_path: Path) -> None:
    write(tmp_path / "texts.txt", TEXTS)
    script = (
        "import sys\nsys.modules['paddle'] = None\n"
        "sys.argv = ['hub', 'embed', sys.argv[1], 'texts.txt', '-o', 'v.npy', '-q']\n"
        "from hub.cli.main import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(exported)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "v.npy").shape == (7, 24)


def test_the_help_asks_a_model_that_was_exported_for_vectors(hub: Hub) -> None:
    code, out, _ = hub("embed", "--help")
    assert code == 0 and "runs/vectors -" in out
    # Everywhere else this is an exported classifier.
    assert "travel-onnx" not in out
