"""What every test gets: a clean environment, no network, and a very small model to train."""

from __future__ import annotations

import json
import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")
# Every character that the toy texts are made of, and enough others for tokenizer tests.
CHARACTERS = (
    "的一是在不了有和人这中大为上个我你他她它们好吗呢吧请帮查一下明后今天气温度雨雪风晴"
    "听唱歌曲首音乐放买卖车票站火高铁机酒店电话多少钱家什么时候去北京海南再见谢"
    "，。？！abcdefghijklmnopqrstuvwxyz0123456789"
)
_KEYS = {"天气": "雨雪风晴", "音乐": "听唱歌曲", "车票": "车票站铁"}
_FILLER = "的一是在不了有和人这中大为上个我你他她它们好吗呢吧请帮"


class NetworkForbiddenError(RuntimeError):
    """A test tried to reach another machine."""


_FOREIGN = ("HUB_", "HF_", "MODELSCOPE_", "AWS_", "TRANSFORMERS_OFFLINE", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's shell reaches a test; terminals are 100 columns, colourless.

    Every test has models and settings of its own.
    """
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "hub-home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


def _is_local(family: int, address: Any) -> bool:
    if family == getattr(socket, "AF_UNIX", None):
        return True
    host = address[0] if isinstance(address, tuple) else ""
    return host in ("localhost", "::1") or str(host).startswith("127.")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to anything but this machine raise."""
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: Any, _original: Any = original) -> Any:
            if not _is_local(self.family, address):
                raise NetworkForbiddenError(f"a test tried to connect to {address}")
            return _original(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a two-layer ERNIE that trains on a few dozen rows in about a second.

    Shared by the whole session: copy it before changing anything in it.
    """
    from hub.models.ernie.checkpoints import to_arrays
    from hub.models.ernie.config import ErnieConfig
    from hub.models.ernie.formats import write_safetensors
    from hub.models.ernie.heads import ErnieForSequenceClassification
    from hub.models.ernie.initialization import initialize

    folder = tmp_path_factory.mktemp("models") / "tiny-ernie"
    folder.mkdir()
    entries = [*SPECIAL_TOKENS, *dict.fromkeys(CHARACTERS)]
    (folder / "vocab.txt").write_text("".join(f"{e}\n" for e in entries), encoding="utf-8")
    config = ErnieConfig(
        vocab_size=len(entries),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        initializer_range=0.1,
    )
    values = {**config.to_dict(), "architectures": ["ErnieModel"]}
    (folder / "config.json").write_text(json.dumps(values, indent=2), encoding="utf-8")
    network = ErnieForSequenceClassification(config, 2)
    initialize(network, config, seed=1)
    arrays = to_arrays(network, config.model_type)
    encoder = {name: array for name, array in arrays.items() if name.startswith("ernie.")}
    write_safetensors(encoder, folder / "model.safetensors")
    return folder


def _toy_rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts of 4 to 12 characters; two of them tell which of three labels it is.

    Half of the rows are of one label, so that always answering it gives an accuracy of 0.5.
    """
    generator = random.Random(seed)
    names = list(_KEYS)
    rows = []
    for number in range(count):
        label = names[0] if number % 2 else names[1 + number // 2 % 2]
        characters = generator.choices(_KEYS[label], k=2)
        characters += generator.choices(_FILLER, k=generator.randint(2, 10))
        generator.shuffle(characters)
        rows.append(("".join(characters), label))
    return rows


@pytest.fixture(scope="session")
def toy_train() -> list[tuple[str, str]]:
    """52 rows that a tiny model can learn; half are of one label."""
    return _toy_rows(52, seed=1)


@pytest.fixture(scope="session")
def toy_dev() -> list[tuple[str, str]]:
    """24 other rows of the same kind."""
    return _toy_rows(24, seed=2)
