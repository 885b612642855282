"""PaddleHub 2.x's calls work with only the import changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.backend import paddle
from hub.errors import ModelError, UnknownModelError

Rows = list[tuple[str, str]]


def test_the_classification_demo(
    tiny_folder: Path, toy_train: Rows, toy_dev: Rows, tmp_path: Path
) -> None:
    import hub

    label_map = dict(enumerate(sorted({label for _, label in toy_train})))
    model = hub.Module(name=str(tiny_folder), task="seq-cls", label_map=label_map)
    optimizer = paddle.optimizer.Adam(learning_rate=1e-2, parameters=model.parameters())
    trainer = hub.Trainer(model, optimizer, checkpoint_dir=tmp_path / "ckpt", use_gpu=False)
    trainer.train(
        toy_train, epochs=12, batch_size=8, eval_dataset=toy_dev, log_interval=10, save_interval=1
    )
    data = [[text] for text, _ in toy_dev]
    results = model.predict(data, max_seq_len=50, batch_size=1, use_gpu=False)
    assert results == model.predict(data, 50, 1, False) == model.predict(data=data, max_seq_len=50)
    assert model.get_tokenizer() is model.tokenizer
    right = sum(mine == row[1] for mine, row in zip(results, toy_dev, strict=True))
    assert right / len(toy_dev) == trainer.evaluate(toy_dev, batch_size=4)["accuracy"]
    assert right / len(toy_dev) > 0.5


def test_what_was_trained_is_loaded_as_the_demo_does(
    tiny_folder: Path, toy_train: Rows, toy_dev: Rows, tmp_path: Path
) -> None:
    import hub

    given = {"task": "seq-cls", "label_map": sorted({label for _, label in toy_train})}
    model = hub.Module(name=str(tiny_folder), **given)
    trainer = hub.Trainer(model, checkpoint_dir=tmp_path / "ckpt", progress=False)
    trainer.train(toy_train, epochs=2, batch_size=8, eval_dataset=toy_dev)
    model.save(tmp_path / "saved")
    paddle.save(model.state_dict(), str(tmp_path / "module.pdparams"))
    paddle.save(model.network.state_dict(), str(tmp_path / "network.pdparams"))
    texts = [text for text, _ in toy_dev]
    wanted = model.predict(texts, probabilities=True)
    assert wanted != hub.Module(name=str(tiny_folder), **given).predict(texts, probabilities=True)
    for place in (
        "ckpt/best_model/model.pdparams", "ckpt", "ckpt/best.safetensors", "saved",
        "saved/model.safetensors", "module.pdparams", "network.pdparams",
    ):  # fmt: skip
        again = hub.Module(name=str(tiny_folder), **given, load_checkpoint=str(tmp_path / place))
        assert again.predict(texts, probabilities=True) == wanted, place
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no weights"):
        hub.Module(name=str(tiny_folder), **given, load_checkpoint=tmp_path / "empty")
    with pytest.raises(ModelError, match="There is no file"):
        hub.Module(name=str(tiny_folder), **given, load_checkpoint=tmp_path / "no.pdparams")


def test_paddlehubs_versions_of_a_model_are_one_here(caplog: pytest.LogCaptureFixture) -> None:
    import hub

    module = hub.Module("ernie-pocket-zh", "2.0.2", task="seq-cls", num_classes=2)
    assert module.name == "ernie-pocket-zh" and "2.0.2" in caplog.text
    with pytest.raises(UnknownModelError, match=r"no version '3\.1\.0'"):
        hub.Module("ernie-pocket-zh", "3.1.0")


def test_labels_may_be_numbers(tiny_folder: Path) -> None:
    import hub

    model = hub.Module(name=str(tiny_folder), task="seq-cls", num_classes=2)
    rows = [("今天下雨", 0), ("听一首歌", 1)] * 8
    hub.Trainer(model, progress=False).train(rows, epochs=1, batch_size=4)
    assert model.predict(["今天下雨"])[0] in {"0", "1"}
