"""Random weights to train without pretraining: they know of order before anything is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hub
from hub.backend import paddle
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.initialization import initialize, teach_order
from hub.models.ernie.modeling import ErnieModel

CONFIG = ErnieConfig(
    vocab_size=60, hidden_size=96, num_hidden_layers=2, num_attention_heads=6,
    intermediate_size=192, max_position_embeddings=64, type_vocab_size=2,
)  # fmt: skip


def new_encoder(config: ErnieConfig, seed: int) -> ErnieModel:
    """An encoder that begins without pretrained weights."""
    made = ErnieModel(config)
    initialize(made, config, seed)
    teach_order(made, config, seed)
    return made


@pytest.fixture
def encoder() -> ErnieModel:
    """A new encoder of `CONFIG`."""
    made = new_encoder(CONFIG, seed=1)
    made.eval()
    return made


def attention(encoder: ErnieModel, layer: int, length: int) -> np.ndarray:
    """Where each head looks from each position, [heads, T, T], if all tokens are the same."""
    for table in (encoder.embeddings.word_embeddings, encoder.embeddings.token_type_embeddings):
        table.weight.set_value(np.zeros(table.weight.shape, np.float32))
    ids = paddle.zeros([1, length], "int64")
    x = encoder.embeddings(ids, ids)[0].numpy()
    part = encoder.layers[layer].attention
    heads = CONFIG.num_attention_heads
    query, key = (
        (x @ linear.weight.numpy()).reshape(length, heads, -1).transpose(1, 0, 2)
        for linear in (part.query, part.key)
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    weights: np.ndarray = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_half_of_the_heads_look_at_near_positions(encoder: ErnieModel) -> None:
    for layer in range(CONFIG.num_hidden_layers):
        found = attention(encoder, layer, 40)
        places = np.arange(5, 35)
        for head, distance in enumerate((-1, 1, -2)):
            assert (found[head, places].argmax(axis=-1) - places == distance).mean() > 0.9
            assert found[head, places, places + distance].mean() > 0.15  # evenly it is 0.025
        for head in (3, 4, 5):  # these begin with nothing in mind
            assert found[head].max() < 0.2


def test_the_same_seed_gives_the_same_weights(encoder: ErnieModel) -> None:
    again, other = new_encoder(CONFIG, seed=1), new_encoder(CONFIG, seed=2)
    for (name, one), (_, two) in zip(
        encoder.named_parameters(), again.named_parameters(), strict=True
    ):
        assert np.array_equal(one.numpy(), two.numpy()), name
    key = encoder.layers[0].attention.key.weight.numpy()
    assert not np.array_equal(key, other.layers[0].attention.key.weight.numpy())
    words = encoder.embeddings.word_embeddings.weight.numpy()
    positions = encoder.embeddings.position_embeddings.weight.numpy()
    assert positions.std() == pytest.approx(words.std(), rel=0.25)
    for width in (1, 2, 7):  # nothing is too narrow for it
        narrow = ErnieConfig(**{**vars(CONFIG), "hidden_size": width * 6, "intermediate_size": 8})
        new_encoder(narrow, seed=1)


def test_a_module_may_begin_without_its_own_weights(tiny_folder: Path, tmp_path: Path) -> None:
    own = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"])
    new = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"], pretrained=False)
    assert own.pretrained and not new.pretrained
    assert new.config == own.config and new.tokenizer.files == own.tokenizer.files
    theirs = dict(own.network.named_parameters())
    for name, parameter in new.network.named_parameters():
        if "embeddings.weight" in name:
            assert not np.allclose(parameter.numpy(), theirs[name].numpy(), atol=1e-3), name
    new.save(tmp_path / "saved")
    back = hub.Module(directory=tmp_path / "saved")
    assert back.predict(["今天"], probabilities=True) == new.predict(["今天"], probabilities=True)
