"""An exported folder answers by itself, refuses what was changed, and needs no PaddlePaddle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas
import pytest

import hub
from hub.errors import DataError, InputError, MissingPackageError, ModelError, OutputError
from hub.inference.export import export
from hub.training.finetune import finetune

TEXTS = ["今天下雨吗", "听一首歌", "", "买 2 张 iPhone 票？", "明天天气好吗" * 30]


@pytest.fixture(scope="module")
def module(tiny_folder: Path) -> hub.Module:
    """A small classifier, not trained."""
    return hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐", "车票"])


@pytest.fixture(scope="module", params=["onnx", "paddle"])
def exported(
    request: pytest.FixtureRequest, module: hub.Module, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The classifier, exported for each engine."""
    folder = tmp_path_factory.mktemp("exported") / str(request.param)
    assert export(module, folder, str(request.param)).verification.difference < 1e-5
    return folder


def test_it_gives_the_modules_answers_at_any_batch_size(module: hub.Module, exported: Path) -> None:
    predictor = hub.Predictor(exported)
    expected = module.predict(TEXTS, probabilities=True)
    for batch_size in (1, 2, 32):
        answers = predictor.predict(TEXTS, probabilities=True, batch_size=batch_size)
        for answer, wanted in zip(answers, expected, strict=True):
            assert answer["label"] == wanted["label"]
            assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
    assert predictor.predict(TEXTS) == module.predict(TEXTS)
    assert predictor.predict([]) == []


def test_a_run_holds_its_export_to_its_answers(tiny_folder: Path, tmp_path: Path) -> None:
    """What the command does with a run's recorded rows, Python does as well."""
    rows = "".join(
        f"{text}\t{label}\n" for text, label in zip(TEXTS, "天天音音天", strict=True) if text
    )
    data = tmp_path / "train.tsv"
    data.write_text(f"原话\t归属\n{rows}", encoding="utf-8")
    finetune(
        data, tmp_path / "run", dev=data, model=str(tiny_folder),
        text_column="原话", label_column="归属", changes={"max_steps": 1}, progress=False,
    )  # fmt: skip
    run = hub.Module(directory=tmp_path / "run")
    found = run.export(tmp_path / "int8", precision="int8", static=True, max_drop=100)
    assert found.verification.metric == "accuracy" and found.verification.texts == 4
    record = json.loads((tmp_path / "int8" / "metrics.json").read_text("utf-8"))
    assert record["data"]["columns"]["dev"]["text_column"] == "原话"
    data.unlink()
    with pytest.raises(DataError, match="nothing was written"):
        run.export(tmp_path / "again", precision="int8")
    # What is trained further is no longer what the run's rows were measured with.
    hub.Trainer(run, progress=False).train([("好", "天"), ("差", "音")], epochs=1)
    assert run.export(tmp_path / "again", precision="int8").verification.metric is None


def test_what_is_no_list_of_texts_is_refused(module: hub.Module, exported: Path) -> None:
    frame = pandas.DataFrame({"text": TEXTS[:2]})
    for model in (module, hub.Predictor(exported)):
        for wrong in (frame, {"text": "好"}, Path("texts.txt"), b"x", 3):
            with pytest.raises(InputError, match=r"no list of texts|is a path"):
                model.predict(wrong)  # type: ignore[arg-type]
            with pytest.raises(InputError, match=r"no list of texts|is a path"):
                model.pipe(wrong)  # type: ignore[arg-type]
        assert model.predict(frame["text"]) == model.predict(TEXTS[:2])
        # PaddleHub's call, and NumPy's numbers.
        assert model.predict(TEXTS, np.int64(20), 2, False) == model.predict(
            data=TEXTS, max_seq_len=20
        )
        with pytest.raises(InputError, match="max_seq_len is 65"):
            model.predict(TEXTS, 65)
    with pytest.raises(InputError, match="on the CPU"):
        hub.Predictor(exported).predict(TEXTS, use_gpu=True)


def test_ranges_are_measured_on_texts_and_not_on_the_characters_of_a_path(
    module: hub.Module, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("今天下雨吗\n听一首歌\n", encoding="utf-8")
    graphs = []
    for number, given in enumerate(
        (
            str(tmp_path / "texts.txt"),
            tmp_path / "texts.txt",
            (t for t in ["今天下雨吗", "听一首歌"]),
        )
    ):
        module.export(tmp_path / f"{number}", precision="int8", static=True, calibration=given)
        graphs.append((tmp_path / f"{number}" / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1] == graphs[2]


def test_texts_are_answered_as_they_come(module: hub.Module, exported: Path) -> None:
    read: list[str] = []

    def source() -> Iterator[str]:
        for text in TEXTS * 3:
            read.append(text)
            yield text

    for model in (module, hub.Predictor(exported)):
        answers = model.pipe(source(), window=4)
        assert not read
        first = next(answers)
        assert len(read) == 4
        assert [first, *answers] == model.predict(TEXTS * 3)
        read.clear()
        assert list(model.pipe([])) == []
        assert "score" in next(model.pipe(TEXTS, probabilities=True))
        with pytest.raises(InputError, match="One text alone"):
            model.pipe("你好")
        with pytest.raises(InputError, match="window"):
            model.pipe(TEXTS, window=0)
        with pytest.raises(InputError, match="not a string"):
            list(model.pipe([1]))  # type: ignore[list-item]


def test_a_module_exports_itself(module: hub.Module, tmp_path: Path) -> None:
    rows = [(text, "天气") for text in TEXTS if text]
    found = module.export(tmp_path / "int8", precision="int8", data=rows, max_drop=100)
    assert (found.engine, found.precision) == ("onnx", "int8")
    assert found.verification.metric == "accuracy" and found.verification.texts == len(rows)
    assert hub.Predictor(tmp_path / "int8").predict(TEXTS) is not None
    with pytest.raises(OutputError, match="not empty"):
        module.export(tmp_path / "int8")
    module.export(tmp_path / "int8", overwrite=True)
    assert hub.Predictor(tmp_path / "int8").predict(TEXTS) == module.predict(TEXTS)
    with pytest.raises(InputError, match="measured on texts"):
        module.export(tmp_path / "static", precision="int8", static=True)
    module.export(tmp_path / "static", precision="int8", static=True, calibration=TEXTS)
    with pytest.raises(DataError, match="大风"):
        module.export(tmp_path / "else", data=[("有风", "大风")])


def test_onnx_answers_from_many_threads_are_those_of_one(
    module: hub.Module, tmp_path: Path
) -> None:
    export(module, tmp_path / "m", "onnx")
    predictor = hub.Predictor(tmp_path / "m", threads=1)
    alone = [predictor.predict([text]) for text in TEXTS * 10]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: predictor.predict([text]), TEXTS * 10))
    assert together == alone


def test_a_changed_byte_a_missing_file_and_a_newer_format_are_refused(
    exported: Path, tmp_path: Path
) -> None:
    graph = "model.onnx" if (exported / "model.onnx").exists() else "model.pdiparams"
    changed = shutil.copytree(exported, tmp_path / "changed")
    content = bytearray((changed / graph).read_bytes())
    content[len(content) // 2] ^= 1
    (changed / graph).write_bytes(content)
    with pytest.raises(ModelError, match=graph):
        hub.Predictor(changed)
    missing = shutil.copytree(exported, tmp_path / "missing")
    (missing / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        hub.Predictor(missing)
    newer = shutil.copytree(exported, tmp_path / "newer")
    text = (newer / "hub.json").read_text(encoding="utf-8")
    (newer / "hub.json").write_text(
        text.replace('"format_version": 1', '"format_version": 2'), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="Upgrade"):
        hub.Predictor(newer)


def test_a_graph_of_an_opset_that_the_engine_does_not_know_is_refused(
    module: hub.Module, tmp_path: Path
) -> None:
    """As an artefact made by a later version of the libraries would have it."""
    import onnx

    from hub.registry.manifest import parse_manifest, write_manifest

    folder = tmp_path / "m"
    export(module, folder, "onnx")
    graph = onnx.load(folder / "model.onnx")
    graph.opset_import[0].version = 999
    onnx.save(graph, folder / "model.onnx")
    manifest = parse_manifest((folder / "hub.json").read_text(encoding="utf-8"), "hub.json")
    write_manifest(folder, manifest, manifest.files)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded by ONNX Runtime.*opset"):
        hub.Predictor(folder)


def test_the_onnx_engine_imports_neither_paddle_nor_datasets(
    module: hub.Module, tmp_path: Path
) -> None:
    export(module, tmp_path / "m", "onnx")
    code = (
        "import sys, hub\n"
        f"print(hub.Predictor({str(tmp_path / 'm')!r}).predict(['今天下雨吗'])[0])\n"
        "heavy = {'paddle', 'datasets', 'sklearn', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == module.predict(["今天下雨吗"])[0]


def test_an_export_that_fails_leaves_nothing(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hub.inference import verification

    monkeypatch.setattr(verification, "EXACT_TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differs from the module's"):
        export(module, tmp_path / "out" / "m", "onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_package_names_the_extra_to_install(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'ernie-hub\[onnx\]'"):
        export(module, tmp_path / "m", "onnx")
    monkeypatch.delitem(sys.modules, "paddle2onnx")
    export(module, tmp_path / "m", "onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match="onnxruntime"):
        hub.Predictor(tmp_path / "m")


def test_wrong_arguments_are_refused(module: hub.Module, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tflite' is unknown"):
        export(module, tmp_path / "m", "tflite")
    with pytest.raises(ModelError, match="not an exported model"):
        hub.Predictor(tiny_folder)
    with pytest.raises(InputError, match="no folder"):
        hub.Predictor(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        export(module, tmp_path / "file", "onnx")
