"""The arithmetic, names and layout are those of Hugging Face transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import hub
from hub.backend import paddle

GOLDEN = Path(__file__).parents[1] / "golden" / "transformers"
CLASSIFIERS = ("ernie-1.0", "ernie-3.0", "bert")
TOLERANCE = 1e-5


def batches(case: str) -> list[dict[str, np.ndarray]]:
    """The golden batches with what transformers answered."""
    document: dict[str, Any] = json.loads((GOLDEN / case / "golden.json").read_text("utf-8"))
    integers = ("input_ids", "token_type_ids", "attention_mask")
    return [
        {k: np.array(v, np.int64 if k in integers else np.float32) for k, v in batch.items()}
        for batch in document["batches"]
    ]


def answers(module: hub.Module, batch: dict[str, np.ndarray]) -> Any:
    """The module's output for a golden batch."""
    names = ("input_ids", "token_type_ids", "attention_mask")
    with paddle.no_grad():
        return module(*(paddle.to_tensor(batch[name]) for name in names))


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_logits_are_those_of_transformers(case: str) -> None:
    module = hub.Module(directory=GOLDEN / case)
    for batch in batches(case):
        logits = answers(module, batch).numpy()
        np.testing.assert_allclose(logits, batch["logits"], rtol=0, atol=TOLERANCE)


def test_a_bare_encoder_without_prefixed_names_gives_both_outputs() -> None:
    module = hub.Module(directory=GOLDEN / "bare-encoder")
    assert module.task is None
    for batch in batches("bare-encoder"):
        sequence, pooled = answers(module, batch)
        np.testing.assert_allclose(sequence.numpy(), batch["sequence"], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(pooled.numpy(), batch["pooled"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_labels_and_task_come_from_the_configuration(case: str) -> None:
    module = hub.Module(directory=GOLDEN / case)
    assert module.task is not None
    assert module.task.labels == ["天气", "音乐", "车票"]
    assert module.predict(["今天天气好吗"])[0] in module.task.labels


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_saving_gives_back_the_same_tensors(case: str, tmp_path: Path) -> None:
    hub.Module(directory=GOLDEN / case).save(tmp_path / "saved")
    theirs = load_file(GOLDEN / case / "model.safetensors")
    ours = load_file(tmp_path / "saved" / "model.safetensors")
    assert sorted(ours) == sorted(theirs)
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


def test_padding_does_not_change_an_answer() -> None:
    module = hub.Module(directory=GOLDEN / "ernie-3.0")
    batch = batches("ernie-3.0")[1]
    together = answers(module, batch).numpy()
    for row, length in enumerate(batch["attention_mask"].sum(axis=1)):
        alone = {k: v[row : row + 1, :length] for k, v in batch.items() if k != "logits"}
        np.testing.assert_allclose(
            answers(module, alone).numpy()[0], together[row], rtol=0, atol=TOLERANCE
        )


def test_a_missing_mask_is_made_from_the_padding() -> None:
    module = hub.Module(directory=GOLDEN / "ernie-3.0")
    batch = batches("ernie-3.0")[1]
    with paddle.no_grad():
        logits = module(
            paddle.to_tensor(batch["input_ids"]), paddle.to_tensor(batch["token_type_ids"])
        ).numpy()
    np.testing.assert_allclose(logits, batch["logits"], rtol=0, atol=TOLERANCE)
