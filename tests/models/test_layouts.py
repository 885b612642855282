"""Every layout of the catalogue, under every head, computes what transformers computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub
from hub.backend import paddle
from hub.errors import InputError
from hub.models.ernie import checkpoints
from hub.models.ernie.heads import ErnieForPreTraining
from hub.models.ernie.modeling import SelfAttention
from tests.golden import layouts

LAYOUTS = layouts.layouts()
GOLDEN = np.load(layouts.GOLDEN)
TOLERANCE = 1e-5
TASKS = {
    "ForSequenceClassification": "seq-cls",
    "ForTokenClassification": "token-cls",
    "ForMaskedLM": "fill-mask",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layouts")


def module_of(folders: Path, name: str, head: str) -> hub.Module:
    """The layout as a module, from the folder that transformers would write."""
    folder = folders / name / head
    if not folder.exists():
        layouts.write_folder(folder, LAYOUTS[name], head)
    return hub.Module(directory=folder, task=TASKS[head])


def given(batch: dict[str, np.ndarray]) -> list[Any]:
    return [paddle.to_tensor(batch[k]) for k in ("input_ids", "token_type_ids", "attention_mask")]


def wanted(name: str, head: str, number: int, field: str) -> np.ndarray:
    return np.asarray(GOLDEN[f"{name}/{head}/{number}/{field}"])


def compare(name: str, head: str, number: int, field: str, output: Any) -> None:
    """Compare, where a text is padded only what stands before the padding."""
    ours, theirs = output.numpy(), wanted(name, head, number, field)
    if number == 2 and ours.ndim == 3:
        ours = ours[:, -1:]  # all that is kept of the longest text
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_the_golden_file_has_every_layout_of_the_catalogue() -> None:
    assert {key.split("/")[0] for key in GOLDEN.files} - {"made_with"} == set(LAYOUTS)
    assert len(LAYOUTS) >= 17
    assert {config.max_position_embeddings for config in LAYOUTS.values()} >= {512, 513, 600, 2048}


@pytest.mark.parametrize("head", TASKS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_logits_are_those_of_transformers(folders: Path, name: str, head: str) -> None:
    module = module_of(folders, name, head)
    for number, batch in enumerate(layouts.batches(LAYOUTS[name])):
        with paddle.no_grad():
            compare(name, head, number, "logits", module(*given(batch)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_both_pretraining_heads_are_those_of_transformers(name: str) -> None:
    config = LAYOUTS[name]
    network = ErnieForPreTraining(config)
    arrays = layouts.weights(config, "ForPreTraining")
    assert checkpoints.load_arrays(network, arrays, config.model_type, Path("seeded")) == []
    back = checkpoints.to_arrays(network, config.model_type)
    assert sorted(back) == sorted(arrays)
    network.eval()
    for number, batch in enumerate(layouts.batches(config)):
        with paddle.no_grad():
            scores, pair = network(*given(batch))
        compare(name, "ForPreTraining", number, "prediction_logits", scores)
        compare(name, "ForPreTraining", number, "seq_relationship_logits", pair)


@pytest.mark.parametrize("name", ["ernie-3.0-nano-zh", "bert-base-chinese"])
def test_positions_choose_from_the_logits_of_all_tokens(folders: Path, name: str) -> None:
    module = module_of(folders, name, "ForMaskedLM")
    batch = layouts.batches(LAYOUTS[name])[1]
    positions = np.array([3, 12, 0, 32, 12])
    with paddle.no_grad():
        every = module(*given(batch)).numpy()
        some = module(*given(batch), paddle.to_tensor(positions)).numpy()
    np.testing.assert_allclose(some, every.reshape(-1, every.shape[-1])[positions], atol=1e-6)


@pytest.mark.parametrize("name", ["ernie-tiny", "ernie-1.0-base-zh", "ernie-3.0-nano-zh"])
def test_the_exported_graph_takes_every_length_up_to_the_limit(
    folders: Path, name: str, tmp_path: Path
) -> None:
    module = module_of(folders, name, "ForSequenceClassification")
    paddle.jit.save(module, str(tmp_path / "model"))
    graph = paddle.jit.load(str(tmp_path / "model"))
    for number, batch in enumerate(layouts.batches(LAYOUTS[name])):
        compare(name, "ForSequenceClassification", number, "logits", graph(*given(batch)))


def test_more_tokens_than_positions_are_refused(folders: Path) -> None:
    module = module_of(folders, "ernie-tiny", "ForSequenceClassification")
    ids = paddle.full([1, 601], 7, "int64")
    with pytest.raises(InputError, match="601 tokens were given to a model that takes 600"):
        module(ids)


@pytest.mark.parametrize("training", [False, True])
def test_the_fused_attention_is_the_plain_one(training: bool) -> None:
    """Paddle's own function, which runs a fused kernel on a GPU; here it is computed on the CPU."""
    config = LAYOUTS["ernie-3.0-nano-zh"]
    attention = SelfAttention(config)
    attention.dropout.p = 0.0
    attention.train() if training else attention.eval()
    paddle.seed(1)
    query, key, value = (paddle.randn([2, 7, 4, 6]) for _ in range(3))
    key_bias = paddle.zeros([2, 1, 1, 7])
    key_bias[1, :, :, 4:] = -1e4
    plain = attention._attend(query, key, value, key_bias).numpy()
    fused = attention._attend_fused(query, key, value, key_bias).numpy()
    np.testing.assert_allclose(fused, plain, rtol=0, atol=TOLERANCE)
