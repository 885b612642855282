"""What a classifier reads of a text: the first token, or the mean over all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hub
from hub.backend import paddle
from hub.compression.pruning import prune
from hub.data import load_dataset
from hub.data.batches import collate
from hub.errors import InputError, ModelError
from hub.inference.export import export
from hub.models.ernie.config import ErnieConfig
from hub.training.finetune import finetune

Rows = list[tuple[str, str]]
TEXTS = ["听", "今天下雨吗", "高铁票多少钱一张呢谢谢"]


def classifier(folder: Path, pooling: str | None) -> hub.Module:
    return hub.Module(
        directory=folder, task="seq-cls", label_map=["甲", "乙"], classifier_pooling=pooling
    )


def inputs(module: hub.Module, texts: list[str]) -> list[paddle.Tensor]:
    encoded = module.tokenizer.encode(texts, 32)
    batch = collate(encoded, np.arange(len(texts)), module.tokenizer.pad_token_id)
    return [paddle.to_tensor(array) for array in batch.inputs.values()]


def test_the_mean_is_over_tokens_and_not_over_padding(tiny_folder: Path) -> None:
    module = classifier(tiny_folder, "mean")
    sequences, _ = hub.Module(directory=tiny_folder)(*inputs(module, TEXTS))
    head = module.network.classifier
    for place, text in enumerate(TEXTS):
        tokens = sequences[place, : len(text) + 2]
        expected = head(tokens.mean(axis=0, keepdim=True)).numpy()
        alone = module(*inputs(module, [text])).numpy()
        together = module(*inputs(module, TEXTS)).numpy()[place : place + 1]
        assert np.abs(alone - expected).max() < 1e-5
        assert np.abs(together - expected).max() < 1e-5
    first = classifier(tiny_folder, None)(*inputs(module, TEXTS)).numpy()
    assert np.abs(first - module(*inputs(module, TEXTS)).numpy()).max() > 0.01


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_fine_tuned_folder_and_its_exports_read_as_it_was_trained(
    tiny_folder: Path, tmp_path: Path, toy_train: Rows, toy_dev: Rows, pooling: str
) -> None:
    run = tmp_path / "run"
    finetune(
        toy_train, run, dev=toy_dev, model=str(tiny_folder), classifier_pooling=pooling,
        changes={"epochs": 1}, progress=False, say=lambda line: None,
    )  # fmt: skip
    module = hub.Module(directory=run)
    assert module.config.classifier_pooling == pooling
    scores = module.predict(TEXTS, probabilities=True)
    for format in ("onnx", "paddle"):
        export(module, tmp_path / format, format)
        exported = hub.Predictor(tmp_path / format).predict(TEXTS, probabilities=True)
        for one, other in zip(scores, exported, strict=True):
            assert one["label"] == other["label"]
            assert one["score"] == pytest.approx(other["score"], abs=1e-4)
    # transformers reads the first token: it is to refuse a folder that reads the mean.
    kind = json.loads((run / "config.json").read_text(encoding="utf-8"))["model_type"]
    assert (kind == "ernie") == (pooling == "cls")


def test_a_pruned_folder_reads_what_its_model_reads(
    tiny_folder: Path, tmp_path: Path, toy_train: Rows
) -> None:
    module = hub.Module(
        directory=tiny_folder, task="seq-cls", label_map=sorted({label for _, label in toy_train}),
        classifier_pooling="mean",
    )  # fmt: skip
    prune(module, load_dataset(toy_train), tmp_path / "pruned", width=0.5)
    values = json.loads((tmp_path / "pruned" / "config.json").read_text(encoding="utf-8"))
    assert values["model_type"] == "ernie-mean-pooling"
    assert hub.Module(directory=tmp_path / "pruned").config.classifier_pooling == "mean"


def test_other_tasks_of_a_model_that_classifies_by_the_mean_stay_as_they_were(
    tiny_folder: Path, tmp_path: Path
) -> None:
    module = hub.Module(
        directory=tiny_folder, task="ner", label_map=["O", "B-甲", "I-甲"],
        classifier_pooling="mean",
    )  # fmt: skip
    module.save(tmp_path / "ner")
    values = json.loads((tmp_path / "ner" / "config.json").read_text(encoding="utf-8"))
    assert (values["model_type"], values["classifier_pooling"]) == ("ernie", "mean")
    assert hub.Module(directory=tmp_path / "ner").config == module.config


def test_what_is_no_pooling_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(InputError, match="classifier_pooling must be one of cls, mean, not 'max'"):
        classifier(tiny_folder, "max")
    with pytest.raises(ModelError, match="'max'; supported are cls, mean"):
        ErnieConfig.from_dict({"classifier_pooling": "max"})
    assert "classifier_pooling" not in ErnieConfig().to_dict()
