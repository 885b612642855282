"""Filling masks: the places, the best tokens, long texts, and models without the head."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hub
from hub.data.batches import Batch
from hub.errors import InputError, ModelError
from hub.inference.export import export
from hub.models.conversion import convert
from hub.tasks import AnswerOptions, FillMask, create_task, predict
from hub.tokenizers import WordPieceTokenizer
from tests.golden import layouts

GOLDEN = Path(__file__).parents[1] / "golden" / "paddlenlp" / "ernie-3.0"
CHARACTERS = "甲乙丙丁戊己庚辛"
TOKENIZER = WordPieceTokenizer.from_vocabulary(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *CHARACTERS, "##a", "b"]
)
TASK = create_task("fill-mask", [])


def neighbour(batch: Batch) -> np.ndarray:
    """A network that knows one thing: at a mask stands what stands before it."""
    assert batch.positions is not None and len(batch.positions)
    before = batch.input_ids.reshape(-1)[batch.positions - 1]
    return np.eye(20, dtype=np.float32)[before] * 9


def fill(texts: Any, max_seq_len: int = 32, long_text: str = "cut", top_k: int = 1) -> Any:
    options = AnswerOptions(top_k=top_k)
    return predict(
        TASK, TOKENIZER, neighbour, texts, max_seq_len=max_seq_len, long_text=long_text,
        options=options, batch_size=3,
    )  # fmt: skip


def test_an_answer_is_what_transformers_gives() -> None:
    best, *others = fill("甲乙 [MASK]，丁", top_k=3)
    assert best == {
        "score": pytest.approx(np.exp(9) / (np.exp(9) + 19)),
        "token": TOKENIZER.token_to_id("乙"),
        "token_str": "乙",
        "sequence": "甲乙 乙，丁",
    }
    assert len(others) == 2 and others[0]["score"] == pytest.approx(1 / (np.exp(9) + 19))


def test_scores_are_there_and_probabilities_are_not() -> None:
    with pytest.raises(InputError, match=r"fill-mask has no probabilities.*scores already"):
        predict(
            TASK, TOKENIZER, neighbour, ["甲[MASK]"], max_seq_len=9,
            options=AnswerOptions(probabilities=True),
        )  # fmt: skip


def test_five_tokens_unless_told_otherwise() -> None:
    (answer,) = predict(TASK, TOKENIZER, neighbour, ["甲[MASK]"], max_seq_len=9)
    assert len(answer) == 5


def test_several_masks_have_an_answer_each_in_which_the_others_stay() -> None:
    first, second = fill("甲[MASK]乙[MASK]")
    assert [first[0]["sequence"], second[0]["sequence"]] == ["甲甲乙[MASK]", "甲[MASK]乙乙"]


def test_a_token_that_goes_on_with_a_word_is_written_without_its_sign() -> None:
    b, a = TOKENIZER.token_to_id("b"), TOKENIZER.token_to_id("##a")
    assert b is not None and a is not None
    output = np.eye(20, dtype=np.float32)[[a]]
    answer = predict(
        TASK, TOKENIZER, lambda batch: output, ["b[MASK]"], max_seq_len=9,
        options=AnswerOptions(top_k=1),
    )  # fmt: skip
    assert answer[0][0]["token_str"] == "##a" and answer[0][0]["sequence"] == "ba"


TEXT = st.lists(st.sampled_from([*CHARACTERS, "[MASK]"]), min_size=1, max_size=60).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXT, st.integers(5, 20))
def test_windows_answer_as_the_whole_text_would(text: str, max_seq_len: int) -> None:
    text = "甲" + text.replace("[MASK][MASK]", "[MASK]") + "甲[MASK]"
    text = text.replace("[MASK][MASK]", "[MASK]")
    whole = fill(text, 512)
    # A window's first token knows nothing of what is before it; a mask counts farther inside.
    assert fill(text, max_seq_len, "window") == whole


def test_a_mask_that_was_cut_off_is_not_passed_over() -> None:
    text = "甲" * 40 + "[MASK]"
    for cut in (text, "[MASK]" + text):
        with pytest.raises(InputError, match=r"of text 1 stands after its first 32 tokens"):
            fill(["[MASK]", cut])
    assert len(fill("甲[MASK]" + text, long_text="window")) == 2
    assert fill(text, long_text="window")[0]["token_str"] == "甲"


def test_a_text_without_a_mask_is_refused_by_its_number() -> None:
    with pytest.raises(InputError, match=r"Text 1 has no \[MASK\] to fill: '乙'"):
        fill(["[MASK]", "乙"])


def test_labels_have_no_meaning_here() -> None:
    with pytest.raises(InputError, match="takes no labels"):
        create_task("fill-mask", ["a", "b"])


# --- models --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model as transformers writes it."""
    path = tmp_path_factory.mktemp("models") / "masked"
    layouts.write_folder(path, layouts.layouts()["ernie-3.0-nano-zh"], "ForMaskedLM")
    return path


def test_paddlenlps_masked_language_model_gives_its_logits() -> None:
    batches = json.loads((GOLDEN / "golden.json").read_text("utf-8"))["batches"]
    batch = next(b for b in batches if "logits" in b)
    module = hub.Module(directory=GOLDEN, task="fill-mask")
    inputs = [np.array(batch[k]) for k in ("input_ids", "token_type_ids", "attention_mask")]
    shape = inputs[0].shape
    every = np.arange(inputs[0].size)
    logits = module.compute(Batch(np.arange(shape[0]), *inputs, positions=every))
    np.testing.assert_allclose(
        logits.reshape(*shape, -1), np.array(batch["logits"]), rtol=0, atol=1e-5
    )


def test_the_best_tokens_of_a_model_are_those_of_its_logits(folder: Path) -> None:
    module = hub.Module(directory=folder, task="fill-mask")
    (one,), two = module.predict(["今[MASK]气", "[MASK]天[MASK]"], top_k=1)
    encoding = module.tokenizer.encode(["[MASK]天[MASK]"])[0]
    from hub.backend import paddle

    logits = module(paddle.to_tensor([encoding.input_ids])).numpy()[0]
    assert [part[0]["token"] for part in two] == [logits[1].argmax(), logits[3].argmax()]
    assert set(one) == {"score", "token", "token_str", "sequence"}


@pytest.mark.parametrize("engine", ["onnx", "paddle"])
def test_an_exported_model_gives_the_same_answers(
    folder: Path, tmp_path: Path, engine: str
) -> None:
    module = hub.Module(directory=folder, task="fill-mask")
    assert export(module, tmp_path / "exported", engine).verification.difference < 1e-5
    predictor = hub.Predictor(tmp_path / "exported")
    texts = ["今[MASK]气", "[MASK]天[MASK]好吗" * 9, "[MASK]"]
    for long_text in ("cut", "window"):
        ours = module.predict(texts, top_k=2, long_text=long_text)
        theirs = predictor.predict(texts, top_k=2, long_text=long_text)
        assert tokens(ours) == tokens(theirs)


def tokens(answers: Any) -> Any:
    """The tokens of answers, however deep they lie in lists."""
    return [tokens(a) if isinstance(a, list) else a["token"] for a in answers]


def test_it_is_saved_as_a_masked_language_model(folder: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=folder, task="fill-mask")
    module.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["ErnieForMaskedLM"] and "id2label" not in config
    again = hub.Module(directory=tmp_path / "saved")
    assert again.predict(["今[MASK]气"]) == module.predict(["今[MASK]气"])


def test_a_model_without_the_head_says_so(tmp_path: Path) -> None:
    config = layouts.layouts()["ernie-gram-zh"]
    layouts.write_folder(tmp_path / "gram", config, "ForSequenceClassification")
    with pytest.raises(ModelError, match="without the head for fill-mask"):
        hub.Module(directory=tmp_path / "gram", task="fill-mask")


def test_a_head_with_weights_of_its_own_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folder, tmp_path / "untied")
    arrays = load_file(folder / "model.safetensors")
    words = arrays["ernie.embeddings.word_embeddings.weight"]
    for change, refused in ((0.0, False), (1.0, True)):
        arrays["cls.predictions.decoder.weight"] = words + np.float32(change)
        save_file(arrays, tmp_path / "untied" / "model.safetensors")
        if not refused:
            hub.Module(directory=tmp_path / "untied", task="fill-mask")
            continue
        with pytest.raises(ModelError, match="differs from the word embeddings"):
            hub.Module(directory=tmp_path / "untied", task="fill-mask")


def test_what_was_converted_can_still_fill_masks(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "converted").mkdir()
    convert(folder, tmp_path / "converted")
    converted = hub.Module(directory=tmp_path / "converted", task="fill-mask")
    module = hub.Module(directory=folder, task="fill-mask")
    assert converted.predict(["今[MASK]气"]) == module.predict(["今[MASK]气"])
    assert hub.Module(directory=tmp_path / "converted").task is None


def test_the_model_that_is_not_pretrained_warns(caplog: pytest.LogCaptureFixture) -> None:
    entry_is_random = not hub.Module(name="pocket").entry.pretrained  # type: ignore[union-attr]
    module = hub.Module(name="pocket", task="fill-mask")
    assert isinstance(module.task, FillMask)
    assert ("not pretrained: its answers are random" in caplog.text) == entry_is_random


def test_it_is_not_trained_on_labelled_texts(folder: Path) -> None:
    module = hub.Module(directory=folder, task="fill-mask")
    with pytest.raises(InputError, match="was loaded for fill-mask"):
        hub.Trainer(module)
    with pytest.raises(InputError, match="takes no labels"):
        hub.Module(directory=folder, task="fill-mask", label_map=["a", "b"])
