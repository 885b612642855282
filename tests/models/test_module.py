"""`hub.Module`: names, labels, answers, and Paddle's own ways of saving it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hub
from hub.backend import paddle
from hub.constants import home
from hub.data.batches import Batch, collate
from hub.errors import InputError, ModelError, UnknownModelError
from hub.tasks import IntentSlots
from hub.tokenizers import load_tokenizer

LABELS = ["天气", "音乐", "车票"]
TEXTS = ["今天下雨吗", "听", "", "明天北京到海南的高铁票还有吗，要 2 张", "iPhone 😀"]


@pytest.fixture(scope="module")
def module(tiny_folder: Path) -> hub.Module:
    """A small classifier, not trained."""
    return hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)


def batch_of(module: hub.Module, texts: list[str]) -> Batch:
    """Texts as the network reads them."""
    encodings = module.tokenizer.encode(texts, module.max_seq_len)
    return collate(encodings, np.arange(len(texts)), module.tokenizer.pad_token_id)


def test_a_run_in_the_home_is_checked_like_any_folder(module: hub.Module) -> None:
    run = home() / "runs" / "x"
    module.save(run)
    assert hub.Module(directory=run).task is not None
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        hub.Module(directory=run)


def test_the_folder_one_stands_in_has_a_name(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.save(tmp_path / "travel")
    monkeypatch.chdir(tmp_path / "travel")
    assert hub.Module(directory=".").name == "travel"


@pytest.mark.parametrize(
    "name", ["ernie-pocket-zh", "ernie_pocket_zh", "ERNIE_Pocket-ZH", "pocket"]
)
def test_spellings_of_a_name_find_the_model(name: str) -> None:
    module = hub.Module(name=name, task="seq-cls", num_classes=4)
    assert module.name == "ernie-pocket-zh"
    assert module.predict(["你好"])[0] in {"0", "1", "2", "3"}


def test_the_embedded_model_is_the_same_every_time() -> None:
    first, second = (hub.Module(name="pocket", task="seq-cls", num_classes=2) for _ in range(2))
    for (name, one), (_, two) in zip(
        first.named_parameters(), second.named_parameters(), strict=True
    ):
        assert (one.numpy() == two.numpy()).all(), name
    # The encoder is the file's, and the new head does not depend on the machine: its sum, kept.
    folder = Path(hub.__file__).parent / "registry" / "embedded" / "ernie-pocket-zh"
    stored = load_file(folder / "model.safetensors")["ernie.encoder.layer.3.output.dense.weight"]
    weight = first.network.encoder.layers[3].feed_forward.output.weight.numpy()
    assert (weight == stored.T.astype(np.float32)).all()
    head = first.network.classifier.weight.numpy().astype(np.float64)
    assert head.sum() == pytest.approx(-0.053340, abs=1e-5)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="'ernie-pocket-zh'"):
        hub.Module(name="ernie_pokcet_zh")
    with pytest.raises(UnknownModelError, match=r"no version '9\.9\.9'"):
        hub.Module(name="ernie-pocket-zh", version="9.9.9")


def test_labels_are_taken_as_a_map_a_list_or_a_number(tiny_folder: Path) -> None:
    for given in (dict(enumerate(LABELS)), LABELS, tuple(LABELS)):
        made = hub.Module(directory=tiny_folder, task="seq-cls", label_map=given)
        assert made.task is not None and made.task.labels == LABELS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "seq-cls", "label_map": {1: "a", 2: "b"}}, "number its labels 0 to 1"),
        ({"task": "seq-cls", "label_map": ["a", "b"], "num_classes": 3}, "num_classes is 3"),
        ({"task": "seq-cls", "label_map": ["a", "a"]}, "stands twice"),
        ({"label_map": ["a", "b"]}, "say task='seq-cls'"),
        ({"task": "translation"}, "not 'translation'"),
        ({"task": "seq-cls", "label_map": "天气"}, "must be a dictionary or a list"),
        ({"task": "seq-cls", "label_map": {"天气", "音乐"}}, "must be a dictionary or a list"),
        ({"task": "seq-cls", "label_map": {}}, "strings, one or more"),
        ({"task": "seq-cls", "label_map": ["a"]}, "two labels or more, not 'a' alone"),
        ({"task": "ner", "num_classes": 1}, "two labels or more, not '0' alone"),
        ({"task": "seq-cls", "label_map": {"0": "a", "1": "b"}}, "not '0', '1'"),
        ({"task": "seq-cls", "label_map": [1, 2]}, "strings, one or more"),
        ({"task": "seq-cls", "num_classes": 0}, "num_classes must be"),
        ({"task": "seq-cls", "max_seq_len": 65}, "3 to 64 tokens"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    tiny_folder: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        hub.Module(name=str(tiny_folder), **arguments)  # type: ignore[arg-type]


def test_placeholder_labels_of_a_bare_encoder_are_no_labels(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "bare")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = {"0": "LABEL_0", "1": "LABEL_1"}
    config |= {"id2label": names, "label2id": {v: int(k) for k, v in names.items()}}
    config["architectures"] = ["ErnieModel"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    module = hub.Module(directory=folder, task="seq-cls")
    hub.Trainer(module, progress=False).train([("今天", "甲"), ("听歌", "乙"), ("车票", "丙")], 1)
    assert module.task is not None and module.task.labels == ["丙", "乙", "甲"]
    config["architectures"] = ["ErnieForSequenceClassification"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    # A classifier by its description, whose head is not in the file: no random answers.
    with pytest.raises(ModelError, match="answers would be random"):
        hub.Module(directory=folder)


def test_a_fine_tuned_folder_asked_for_another_task_has_a_new_head(
    module: hub.Module, tiny_folder: Path, tmp_path: Path
) -> None:
    module.save(tmp_path / "saved")
    shutil.copytree(tmp_path / "saved", tmp_path / "plain")
    (tmp_path / "plain" / "hub.json").unlink()
    for folder in (tmp_path / "saved", tmp_path / "plain"):
        for task in ("ner", "multi-label"):
            other = hub.Module(directory=folder, task=task)
            assert not other.labels_given
            assert other.task is not None and not set(other.task.labels) & set(LABELS)
        # Of the same shape, and still another: as from a folder that was never fine-tuned.
        other, wanted = (
            hub.Module(directory=place, task="multi-label", label_map=LABELS, seed=4)
            for place in (folder, tiny_folder)
        )
        batch = batch_of(module, TEXTS)
        np.testing.assert_array_equal(other.compute(batch), wanted.compute(batch))
        own = hub.Module(directory=folder, task="seq-cls")
        assert own.labels_given
        np.testing.assert_array_equal(own.compute(batch), module.compute(batch))


def test_labels_of_an_unknown_architecture_are_those_of_the_task_asked_for(
    module: hub.Module, tmp_path: Path
) -> None:
    module.save(tmp_path / "saved")
    (tmp_path / "saved" / "hub.json").unlink()
    path = tmp_path / "saved" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["problem_type"]  # many folders of several labels a text do not say so
    path.write_text(json.dumps(config), encoding="utf-8")
    several = hub.Module(directory=tmp_path / "saved", task="multi-label")
    batch = batch_of(module, TEXTS)
    np.testing.assert_array_equal(several.compute(batch), module.compute(batch))
    del config["architectures"]
    path.write_text(json.dumps(config), encoding="utf-8")
    again = hub.Module(directory=tmp_path / "saved", task="seq-cls")
    assert again.predict(TEXTS) == module.predict(TEXTS)


def test_the_folders_labels_given_again_keep_its_options(tiny_folder: Path, tmp_path: Path) -> None:
    hub.Module(
        directory=tiny_folder, task="multi-label", label_map=LABELS,
        task_options={"thresholds": [0.1, 0.2, 0.9]},
    ).save(tmp_path / "several")  # fmt: skip
    tags = ["O", "B-X", "I-X"]
    hub.Module(
        directory=tiny_folder, task="ner", label_map=tags, task_options={"crf": True}
    ).save(tmp_path / "tagger")  # fmt: skip
    for name, labels in (("several", LABELS), ("tagger", tags)):
        stored = hub.Module(directory=tmp_path / name)
        again = hub.Module(directory=tmp_path / name, label_map=labels)
        assert stored.task is not None and again.task is not None
        assert again.task.options == stored.task.options != {}
        others = hub.Module(directory=tmp_path / name, label_map=[*labels[:2], "I-Y"])
        assert others.task is not None and others.task.options != stored.task.options


def test_a_folder_whose_labels_were_taken_away_is_refused(
    module: hub.Module, tmp_path: Path
) -> None:
    module.save(tmp_path / "saved")
    path = tmp_path / "saved" / "hub.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "labels": []}), encoding="utf-8")
    with pytest.raises(InputError, match=r"needs labels: neither label_map nor hub\.json"):
        hub.Module(directory=tmp_path / "saved")


def test_new_labels_leave_the_intents_and_the_crf(tiny_folder: Path) -> None:
    tags, options = ["O", "B-X", "I-X"], {"intents": ["查", "订"], "crf": True}
    module = hub.Module(directory=tiny_folder, task="joint", label_map=tags, task_options=options)
    module.set_labels(["O", "B-Y", "I-Y", "B-Z", "I-Z"])
    assert isinstance(module.task, IntentSlots)
    assert module.task.intents.labels == ["查", "订"] and module.task.slots.has_crf
    assert module.task.slots.types == ["Y", "Z"]
    module.set_labels(tags, task_options={"intents": ["退", "换", "修"]})
    assert module.predict("今天")["intent"] in ("退", "换", "修")
    unknown = hub.Module(directory=tiny_folder, task="joint")
    with pytest.raises(InputError, match="needs the intents"):
        unknown.set_labels(tags)
    with pytest.raises(InputError, match="must be a dictionary or a list"):
        module.set_labels(set(tags))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": "24"}, "hidden_size is '24'"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"hidden_act": "swish"}, "hidden_act is 'swish'"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps is '1e-12'; it must be a number from 0."),
        ({"initializer_range": "x"}, "initializer_range is 'x'"),
        ({"initializer_range": float("nan")}, "initializer_range is nan"),
        ({"hidden_dropout_prob": None}, "hidden_dropout_prob is None; it must be .* below 1"),
        ({"classifier_dropout": 1.0}, r"classifier_dropout is 1\.0"),
        ({"pad_token_id": "0"}, "pad_token_id is '0'; it must be a whole number from 0"),
        ({"model_type": "gpt2"}, "model_type is 'gpt2'"),
        ({"position_embedding_type": "relative_key"}, "only 'absolute'"),
        ({"id2label": {"0": "a", "7": "b"}, "label2id": {}}, "does not number its labels"),
        ({"id2label": ["a", "b"], "label2id": {}}, "does not number its labels"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(
    tiny_folder: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        hub.Module(directory=folder, task="seq-cls")


def test_a_configuration_without_a_type_is_read_by_its_architecture(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["model_type"]
    text = "今天。￥1"
    for name, kind in (("BertForMaskedLM", "bert"), ("ErnieModel", "ernie"), (None, "ernie")):
        config["architectures"] = None if name is None else [name]
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        arrays = load_file(tiny_folder / "model.safetensors")
        renamed = {f"{kind}.{key.partition('.')[2]}": array for key, array in arrays.items()}
        save_file(renamed, folder / "model.safetensors")
        module = hub.Module(directory=folder)
        assert module.config.model_type == kind
        # ERNIE splits words at symbols, BERT does not.
        wanted = load_tokenizer(folder, kind).encode([text])
        assert module.tokenizer.encode([text]) == wanted
        assert len(wanted[0].input_ids) == (6 if kind == "bert" else 7)


def test_name_and_directory_exclude_each_other(tiny_folder: Path) -> None:
    with pytest.raises(InputError, match="either"):
        hub.Module()
    with pytest.raises(InputError, match="either"):
        hub.Module(name="pocket", directory=tiny_folder)


def test_probabilities_sum_to_one_and_the_best_is_the_label(module: hub.Module) -> None:
    answers = module.predict(TEXTS, probabilities=True)
    assert module.predict(TEXTS) == [answer["label"] for answer in answers]
    for answer in answers:
        assert list(answer["probabilities"]) == LABELS
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
        assert answer["score"] == max(answer["probabilities"].values())
        assert answer["probabilities"][answer["label"]] == answer["score"]


def test_a_text_alone_has_its_answer_and_no_text_has_none(module: hub.Module) -> None:
    assert [module.predict("今天")] == module.predict(["今天"])
    assert module.predict([]) == []


def test_a_very_long_text_is_cut_and_said_once(
    module: hub.Module, caplog: pytest.LogCaptureFixture
) -> None:
    long = "今天下雨吗" * 20_000
    with caplog.at_level(logging.WARNING):
        answers = module.predict(["今天", long, long], probabilities=True)
    assert caplog.text.count("only their beginning was read") == 1
    assert "2 of 3 texts are longer than 64 tokens: only their beginning was read. A" in caplog.text
    assert answers[1] == answers[2]
    cut = module.predict([long[:100]], probabilities=True)[0]["probabilities"]
    assert answers[1]["probabilities"] == pytest.approx(cut, abs=1e-6)


def test_texts_are_answered_alike_alone_and_together(module: hub.Module) -> None:
    together = module.predict(TEXTS, probabilities=True)
    for text, answer in zip(TEXTS, together, strict=True):
        alone = module.predict([text], probabilities=True)[0]["probabilities"]
        assert alone == pytest.approx(answer["probabilities"], abs=1e-6)


def test_answering_leaves_every_layer_in_its_mode(tiny_folder: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    wanted = module.predict(TEXTS, probabilities=True)
    module.train()
    module.network.encoder.embeddings.eval()  # as of layers that are not trained
    modes = {name: layer.training for name, layer in module.named_sublayers(include_self=True)}
    assert len(set(modes.values())) == 2
    assert module.predict(TEXTS, probabilities=True) == wanted
    module.get_embedding(TEXTS)
    module.compute(batch_of(module, TEXTS))
    with pytest.raises(InputError, match="not a string"):
        module.predict([None])  # type: ignore[list-item]
    assert modes == {n: layer.training for n, layer in module.named_sublayers(include_self=True)}


def test_a_module_without_a_task_cannot_answer() -> None:
    encoder = hub.Module(name="pocket")
    assert encoder.task is None
    with pytest.raises(InputError, match="without a task"):
        encoder.predict(["今天"])
    with pytest.raises(InputError, match="call the module itself"):
        encoder.compute(batch_of(encoder, ["今天"]))


@pytest.mark.parametrize("reloaded", [False, True])
def test_jit_save_needs_no_argument_and_keeps_the_logits(
    module: hub.Module, tmp_path: Path, reloaded: bool
) -> None:
    path = str(tmp_path / "ernie_intent_model")
    if reloaded:
        module.save(tmp_path / "saved")
        paddle.jit.save(hub.Module(directory=tmp_path / "saved"), path)
    else:
        paddle.jit.save(module, path)
    loaded = paddle.jit.load(path)
    loaded.eval()
    config = paddle.inference.Config(f"{path}.json", f"{path}.pdiparams")
    config.disable_glog_info()
    predictor = paddle.inference.create_predictor(config)
    for texts in (TEXTS[:1], TEXTS[:2], TEXTS, ["今天天气" * 30] * 5):
        batch = batch_of(module, texts)
        wanted = module.compute(batch)
        arrays = [batch.input_ids, batch.token_type_ids, batch.attention_mask]
        static = loaded(*map(paddle.to_tensor, arrays)).numpy()
        np.testing.assert_allclose(static, wanted, rtol=0, atol=1e-5)
        for name, array in zip(predictor.get_input_names(), arrays, strict=True):
            predictor.get_input_handle(name).copy_from_cpu(array)
        predictor.run()
        output = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
        np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-5)


def test_jit_save_of_a_module_in_training_saves_what_it_answers(
    tiny_folder: Path, tmp_path: Path
) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    module.train()
    paddle.jit.save(module, str(tmp_path / "model"))
    assert module.training
    batch = batch_of(module, TEXTS)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    arrays = (batch.input_ids, batch.token_type_ids, batch.attention_mask)
    output = loaded(*map(paddle.to_tensor, arrays)).numpy()
    np.testing.assert_allclose(output, module.compute(batch), rtol=0, atol=1e-5)


def test_jit_save_after_new_labels_saves_the_new_network(tiny_folder: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"])
    paddle.jit.save(module, str(tmp_path / "old"))
    module.set_labels(list("abcde"), seed=3)
    paddle.jit.save(module, str(tmp_path / "new"))
    batch = batch_of(module, TEXTS)
    loaded = paddle.jit.load(str(tmp_path / "new"))
    loaded.eval()
    arrays = (batch.input_ids, batch.token_type_ids, batch.attention_mask)
    output = loaded(*map(paddle.to_tensor, arrays)).numpy()
    assert output.shape == (len(TEXTS), 5)
    np.testing.assert_allclose(output, module.compute(batch), rtol=0, atol=1e-5)


def test_a_saved_folder_comes_back_with_task_labels_and_logits(
    module: hub.Module, tmp_path: Path
) -> None:
    module.save(tmp_path / "saved")
    again = hub.Module(directory=tmp_path / "saved")
    assert again.task is not None and again.task.labels == LABELS
    batch = batch_of(module, TEXTS)
    np.testing.assert_array_equal(again.compute(batch), module.compute(batch))


def test_a_changed_byte_in_a_saved_folder_is_refused(module: hub.Module, tmp_path: Path) -> None:
    module.save(tmp_path / "saved")
    path = tmp_path / "saved" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors is not the file"):
        hub.Module(directory=tmp_path / "saved")


def test_load_checkpoint_puts_weights_over_the_models(
    module: hub.Module, tiny_folder: Path, tmp_path: Path
) -> None:
    module.save(tmp_path / "saved")
    other = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS, seed=5)
    batch = batch_of(module, TEXTS)
    assert np.abs(other.compute(batch) - module.compute(batch)).max() > 1e-4
    weights = tmp_path / "saved" / "model.safetensors"
    loaded = hub.Module(
        directory=tiny_folder, task="seq-cls", label_map=LABELS, seed=5, load_checkpoint=weights
    )
    np.testing.assert_array_equal(loaded.compute(batch), module.compute(batch))


def test_a_checkpoint_for_another_head_is_refused(
    module: hub.Module, tiny_folder: Path, tmp_path: Path
) -> None:
    module.save(tmp_path / "saved")
    weights = tmp_path / "saved" / "model.safetensors"
    arguments: list[dict[str, Any]] = [
        {"task": "seq-cls", "label_map": ["a", "b"]},
        {"task": "ner", "label_map": ["O", "B-X", "I-X"], "task_options": {"crf": True}},
    ]
    for given in arguments:
        with pytest.raises(ModelError, match=r"no fitting weights for .* would be random"):
            hub.Module(directory=tiny_folder, load_checkpoint=weights, **given)
    with pytest.raises(ModelError, match=r"There is no file .*none\.pdparams"):
        hub.Module(directory=tiny_folder, load_checkpoint=tmp_path / "none.pdparams")


def test_an_encoder_may_be_put_under_a_head_that_stays(
    module: hub.Module, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = hub.Module(
        directory=tiny_folder, task="seq-cls", label_map=LABELS,
        load_checkpoint=tiny_folder / "model.safetensors",
    )  # fmt: skip
    assert "is an encoder alone" in caplog.text
    np.testing.assert_array_equal(
        again.compute(batch_of(again, TEXTS)), module.compute(batch_of(module, TEXTS))
    )


def test_warnings_are_heard_in_a_script() -> None:
    script = (
        "import hub\n"
        "module = hub.Module(name='ernie-pocket-zh')\n"
        "module.get_embedding('天' * 300, use_gpu=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(hub.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 texts are longer than 128 tokens: only their beginning was read." in done.stderr


def test_random_answers_are_told_of_until_the_head_has_learned(
    tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = "was not fine-tuned for text-classification: its answers are random"
    module = hub.Module(directory=tiny_folder, task="seq-cls", num_classes=2)
    module.predict(["好"])
    module.predict(["好"])
    assert caplog.text.count(told) == 1
    module.set_labels(["a", "b"])
    module.predict(["好"])
    assert caplog.text.count(told) == 2
    module.set_labels(["a", "b"])
    optimizer = paddle.optimizer.SGD(0.1, parameters=module.parameters())
    inputs = map(paddle.to_tensor, batch_of(module, ["好"]).inputs.values())
    module(*inputs)[:, 0].sum().backward()
    optimizer.step()
    module.predict(["好"])
    assert caplog.text.count(told) == 2
