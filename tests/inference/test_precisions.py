"""Every task in every engine and precision: answers of a whole test set are the module's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import hub
from hub.data.batches import collate
from hub.errors import InputError, ModelError
from hub.inference import verification
from hub.inference.choosing import export_fastest
from hub.inference.export import export
from hub.inference.graphs.calibration import calibrate, linear_inputs
from hub.inference.verification import Reference
from hub.module import Module

_PARTS = ("北京", "海南", "酒店", "车票")


def _rows(kind: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of a toy task that a small model learns at once."""
    draw = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        place, thing = _PARTS[draw.integers(2)], _PARTS[2 + draw.integers(2)]
        filler = "请帮我查"[: draw.integers(1, 5)]
        text = filler + place + thing
        spans = [
            {"text": place, "type": "地", "start": len(filler), "end": len(filler) + 2},
            {"text": thing, "type": "物", "start": len(filler) + 2, "end": len(filler) + 4},
        ]
        intent = "订房" if thing == "酒店" else "订票"
        if kind == "classification":
            rows.append({"text": text, "label": intent})
        elif kind == "pairs":
            rows.append({"text_a": filler + place, "text_b": thing, "label": intent})
        elif kind == "multi-label":
            rows.append({"text": text, "labels": sorted({place, intent})})
        elif kind == "entities":
            rows.append({"text": text, "entities": spans})
        else:
            rows.append({"text": text, "intent": intent, "slots": spans})
    return rows


TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "classification": ("seq-cls", {}),
    "pairs": ("seq-cls", {}),
    "multi-label": ("multi-label", {}),
    "entities": ("ner", {"crf": True}),
    "joint": ("intent-slots", {}),
}
ENGINES = [
    ("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8"),
    ("openvino", "bf16"),
    ("paddle", "fp32"), ("paddle", "bf16"),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tiny_folder: Path) -> Callable[[str], tuple[Module, hub.data.TextDataset]]:
    """A model that has learned a toy task, and the test rows of it; made once a task."""
    made: dict[str, tuple[Module, hub.data.TextDataset]] = {}

    def get(kind: str) -> tuple[Module, hub.data.TextDataset]:
        if kind not in made:
            task, options = TASKS[kind]
            module = hub.Module(directory=tiny_folder, task=task, task_options=options)
            hub.Trainer(module, progress=False).finetune_and_eval(
                _rows(kind, 90, 1), _rows(kind, 30, 2), epochs=12, batch_size=8,
                learning_rate=1e-2, patience=None,
            )  # fmt: skip
            assert module.task is not None
            test = hub.load_dataset(_rows(kind, 60, 3), kind=module.task.name)
            made[kind] = (module, test)
        return made[kind]

    return get


def _bare(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {k: _bare(v) for k, v in answer.items() if k != "score"}
    return [_bare(part) for part in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(("engine", "precision"), ENGINES)
def test_answers_to_a_whole_test_set_are_the_modules(
    trained: Any, tmp_path: Path, kind: str, engine: str, precision: str
) -> None:
    module, test = trained(kind)
    exported = export(
        module, tmp_path / "m", engine, precision=precision, data=test, calibration=test.texts[:20]
    )
    found = exported.verification
    assert found.before is not None and found.before > 0.8  # it has learned something to lose
    assert found.texts == len(test)
    predictor = hub.Predictor(tmp_path / "m")
    assert (predictor.engine, predictor.precision) == (engine, precision)
    ours, theirs = (_bare(m.predict(test.texts)) for m in (module, predictor))
    alike = float(np.mean([a == b for a, b in zip(ours, theirs, strict=True)]))
    assert alike == pytest.approx(found.agreement)
    assert alike == 1 if precision == "fp32" else alike >= 0.95
    if precision == "fp32":
        assert found.difference < 1e-4
        assert found.after == found.before


@pytest.mark.parametrize(("engine", "precision"), ENGINES)
def test_vectors_and_masks_too(
    tiny_folder: Path, tmp_path: Path, engine: str, precision: str
) -> None:
    options = {"normalize": True}
    module = hub.Module(directory=tiny_folder, task="embedding", task_options=options)
    texts = ["今天天气好吗", "听歌", "北京酒店多少钱"]
    export(module, tmp_path / "m", engine, precision=precision, calibration=texts)
    ours, theirs = (np.stack(m.predict(texts)) for m in (module, hub.Predictor(tmp_path / "m")))
    cosines = (ours * theirs).sum(axis=1)
    assert (cosines > (0.99999 if precision == "fp32" else 0.99)).all()


def test_int8_is_a_quarter_of_the_size_embeddings_included(tmp_path: Path) -> None:
    module = hub.Module(name="ernie-pocket-zh", task="seq-cls", label_map=["a", "b"])
    sizes = {}
    for precision in ("fp32", "int8"):
        export(module, tmp_path / precision, precision=precision)
        sizes[precision] = (tmp_path / precision / "model.onnx").stat().st_size
    assert sizes["int8"] / sizes["fp32"] < 0.26  # scales and layer norms stay float32
    graph = onnx.load(tmp_path / "int8" / "model.onnx").graph
    large = [t for t in graph.initializer if np.prod(t.dims) > 20_000]
    assert {t.data_type for t in large} == {onnx.TensorProto.INT8}
    assert "MatMulInteger" in {node.op_type for node in graph.node}


def test_ranges_are_those_of_the_texts_without_their_padding(trained: Any, tmp_path: Path) -> None:
    module, test = trained("classification")
    export(module, tmp_path / "m")
    model = onnx.load(tmp_path / "m" / "model.onnx")
    tokenizer = module.tokenizer
    encodings = [tokenizer.encode([text])[0] for text in ("去", *test.texts[:3])]
    padded = collate(encodings, np.arange(4), tokenizer.pad_token_id)
    # Alone and in a batch with padding a text has the same ranges, but for the batches' mean.
    alone = [collate(encodings, np.array([row]), tokenizer.pad_token_id) for row in range(4)]
    together = calibrate(model, [padded])
    each = [calibrate(model, [batch]) for batch in alone]
    assert set(together) == set(linear_inputs(model.graph)) and len(together) > 8
    for name, (low, high) in together.items():
        assert low <= 0 <= high and low < high
        # Of so few values the ends are all but the largest and the smallest.
        ends = [its[name] for its in each]
        assert low == pytest.approx(min(e[0] for e in ends), abs=0.05 * (high - low))
        assert high == pytest.approx(max(e[1] for e in ends), abs=0.05 * (high - low))
        means = np.mean(ends, axis=0)
        assert np.allclose(calibrate(model, alone)[name], means, atol=1e-5)


@pytest.mark.parametrize("kind", TASKS)
def test_static_ranges_in_onnx_runtime_too(trained: Any, tmp_path: Path, kind: str) -> None:
    module, test = trained(kind)
    found = export(module, tmp_path / "m", precision="int8", data=test, static=True).verification
    assert found.agreement >= 0.95
    graph = onnx.load(tmp_path / "m" / "model.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert "QuantizeLinear" in kinds and "DynamicQuantizeLinear" not in kinds
    large = [t for t in graph.initializer if np.prod(t.dims) > 20_000]
    assert {t.data_type for t in large} <= {onnx.TensorProto.INT8}


def test_without_texts_nothing_is_measured(trained: Any, tmp_path: Path) -> None:
    module, _ = trained("classification")
    with pytest.raises(InputError, match="--calibration FILE"):
        export(module, tmp_path / "m", "openvino", precision="int8")
    assert not list(tmp_path.iterdir())


def test_openvinos_int8_is_a_quarter_of_the_size(tmp_path: Path) -> None:
    module = hub.Module(name="ernie-pocket-zh", task="seq-cls", label_map=["a", "b"])
    texts = ["今天下雨吗", "去北京的车票多少钱"]
    for precision in ("fp32", "int8"):
        export(module, tmp_path / precision, "openvino", precision=precision, calibration=texts)
    sizes = [(tmp_path / p / "model.bin").stat().st_size for p in ("int8", "fp32")]
    assert sizes[0] / sizes[1] < 0.27


def test_a_metric_that_falls_too_far_is_refused_and_nothing_is_written(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, test = trained("classification")
    # As if quantization had damaged the classifier.
    original = verification.run

    def damaged(task: Any, tokenizer: Any, forward: Any, *rest: Any) -> Any:
        outputs = original(task, tokenizer, forward, *rest)
        return outputs if forward == module.compute else [-output for output in outputs]

    monkeypatch.setattr(verification, "run", damaged)
    with pytest.raises(ModelError, match=r"In int8 accuracy falls by .* --max-drop"):
        export(module, tmp_path / "m", precision="int8", data=test)
    assert not list(tmp_path.iterdir())
    exported = export(module, tmp_path / "m", precision="int8", data=test, max_drop=100)
    assert exported.verification.drop is not None and exported.verification.drop > 0.5


def test_precisions_that_an_engine_does_not_have_are_refused(trained: Any, tmp_path: Path) -> None:
    module, _ = trained("classification")
    with pytest.raises(InputError, match="paddle is not exported in int8; onnx and openvino are"):
        export(module, tmp_path / "m", "paddle", precision="int8")
    with pytest.raises(InputError, match="onnx is not exported in bf16; openvino and paddle are"):
        export(module, tmp_path / "m", precision="bf16")


def test_another_engines_precision_in_the_manifest_is_refused(trained: Any, tmp_path: Path) -> None:
    module, _ = trained("classification")
    export(module, tmp_path / "m")
    path = tmp_path / "m" / "hub.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "precision": "int3"}), encoding="utf-8")
    with pytest.raises(ModelError, match="'onnx' in int3"):
        hub.Predictor(tmp_path / "m")


def test_the_fastest_that_holds_its_metric_is_kept(trained: Any, tmp_path: Path) -> None:
    module, test = trained("classification")
    lines: list[str] = []
    best, measured = export_fastest(module, tmp_path / "m", data=test, say=lines.append)
    assert len(measured) == len(ENGINES) == len(lines)
    rates = [c.texts_a_second for c in measured if c.texts_a_second is not None]
    assert best.texts_a_second == max(rates)
    predictor = hub.Predictor(tmp_path / "m")
    assert (predictor.engine, predictor.precision) == (best.engine, best.precision)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_rows_of_another_task_are_refused(trained: Any) -> None:
    module, _ = trained("classification")
    _, others = trained("entities")
    with pytest.raises(InputError):
        Reference(module, others)


def test_query_key_and_value_are_one_map_in_every_layer(trained: Any, tmp_path: Path) -> None:
    module, _ = trained("classification")
    export(module, tmp_path / "m")
    graph = onnx.load(tmp_path / "m" / "model.onnx").graph
    widths = [t.dims[1] for t in graph.initializer if len(t.dims) == 2 and t.dims[0] == 24]
    # Two layers of a width of 24: 72 columns for the three; 24 and 48 for the others.
    assert widths.count(72) == 2 and widths.count(48) == 2
    assert widths.count(24) == 3  # the attentions' outputs and the pooler
