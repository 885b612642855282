"""Entities in the user's own characters: sub-words, spaces, emoji, long texts, engines."""

from __future__ import annotations

import json
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
from hub.tasks import AnswerOptions, TokenClassification, create_task, predict
from hub.tokenizers import Tokenizer, WordPieceTokenizer, load_tokenizer
from tests.golden import layouts

ERNIE_TINY = Path(__file__).parents[1] / "golden" / "ernie_tiny"
LABELS = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
# The network below gives these tokens the tag of that number, and all others O.
TAGS = {"北": 1, "上": 1, "京": 2, "海": 2, "iphone": 3, "ip": 3, "##hone": 0, "公": 4, "司": 4}
TOKENIZER = WordPieceTokenizer.from_vocabulary(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *TAGS, "在", "的", "15", "##5"]
)
TASK = create_task("ner", LABELS)


def tagger(batch: Batch) -> np.ndarray:
    """A network that knows the tag of every token by heart."""
    by_id = np.zeros(64, np.int64)
    for token, tag in TAGS.items():
        number = TOKENIZER.token_to_id(token)
        assert number is not None
        by_id[number] = tag
    return np.eye(5, dtype=np.float32)[by_id[batch.input_ids]] * 5


def entities(text: Any, max_seq_len: int = 64, long_text: str = "cut") -> Any:
    return predict(TASK, TOKENIZER, tagger, text, max_seq_len=max_seq_len, long_text=long_text)


def brief(found: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(e["text"], e["type"], e["start"]) for e in found]


def test_an_entity_has_text_type_place_and_score() -> None:
    (only,) = entities("我在北京")
    assert only == {
        "text": "北京",
        "type": "LOC",
        "start": 2,
        "end": 4,
        "score": pytest.approx(np.exp(5) / (np.exp(5) + 4)),
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("在", []),
        ("北京上海", [("北京", "LOC", 0), ("上海", "LOC", 2)]),
        ("😀 北 京，iPhone公司", [("北 京", "LOC", 2), ("iPhone公司", "ORG", 6)]),
        # A word in two pieces has the first one's tag; the other's does not count.
        ("👨\u200d👩\u200d👧在 IPHONE 公司的", [("IPHONE 公司", "ORG", 7)]),
        ("\u3000北\u200b京", [("北\u200b京", "LOC", 1)]),
    ],
)
def test_entities_stand_in_the_users_own_characters(
    text: str, wanted: list[tuple[str, str, int]]
) -> None:
    found = entities(text)
    assert brief(found) == wanted
    for entity in found:
        assert text[entity["start"] : entity["end"]] == entity["text"]


@settings(max_examples=200, deadline=None)
@given(st.text("北京上海在的 ", max_size=90), st.integers(8, 24))
def test_entities_of_windows_are_those_of_the_whole_text(text: str, max_seq_len: int) -> None:
    assert entities(text, max_seq_len, "window") == entities(text, 512)


def test_an_entity_across_every_edge_is_whole() -> None:
    text = "北" + "京" * 100  # one entity, as long as the text
    (only,) = entities(text, 16, "window")
    assert (only["start"], only["end"]) == (0, 101)
    assert len(entities(text, 16)[0]["text"]) == 14


def test_ernie_tinys_spaces_are_no_part_of_an_entity() -> None:
    tokenizer: Tokenizer = load_tokenizer(ERNIE_TINY)
    text = "我在 北京  的酒店"
    (passage,) = tokenizer.encode([text], return_offsets=True)
    assert (passage.offsets or [])[1] == (0, 1)

    def all_one(batch: Batch) -> np.ndarray:
        shape = (*batch.input_ids.shape, 5)
        return np.broadcast_to(np.eye(5, dtype=np.float32)[1], shape)  # B-LOC everywhere

    found = predict(TASK, tokenizer, all_one, text, max_seq_len=64)
    assert "".join(e["text"] for e in found) == text.replace(" ", "")
    assert all(e["text"] == e["text"].strip() for e in found)


def test_tags_that_break_the_scheme_are_not_taken_one_by_one() -> None:
    """An inner tag without a first one is likelier O than what no text has."""
    logits = np.array([[2, 0, 3, 0, 0], [5, 0, 0, 0, 0], [0, 4, 0, 0, 0], [0, 0, 3, 0, 4]])
    encoded = TASK, TOKENIZER, lambda batch: np.pad(logits, ((1, 1), (0, 0)))[None]
    assert brief(predict(*encoded, "上在北京", max_seq_len=64)) == [("北京", "LOC", 2)]


def test_labels_that_are_marks_alone_are_of_one_type() -> None:
    task = create_task("ner", ["O", "B", "I", "E", "S"])
    assert isinstance(task, TokenClassification) and task.types == ["ENTITY"]
    found = predict(task, TOKENIZER, tagger, "在北京在", max_seq_len=64)
    assert brief(found) == [("北京", "ENTITY", 1)]


def test_entities_are_not_ranked() -> None:
    with pytest.raises(InputError, match="top_k"):
        predict(TASK, TOKENIZER, tagger, ["北京"], max_seq_len=9, options=AnswerOptions(top_k=2))


# --- models --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned model as transformers writes it."""
    path = tmp_path_factory.mktemp("models") / "tagger"
    layouts.write_folder(path, layouts.layouts()["ernie-1.0-base-zh"], "ForTokenClassification")
    config = json.loads((path / "config.json").read_text("utf-8"))
    config["id2label"] = {str(number): label for number, label in enumerate(LABELS)}
    config["label2id"] = {label: number for number, label in enumerate(LABELS)}
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


TEXTS = ["今天气好吗", "我要听一首歌 iPhone", "", "😀今天" * 30]


def test_a_folder_of_transformers_brings_its_task_and_labels(folder: Path) -> None:
    module = hub.Module(directory=folder)
    assert module.task is not None and module.task.name == "token-classification"
    assert module.task.labels == LABELS
    answers = module.predict(TEXTS, long_text="window")
    assert any(answers) and answers[2] == []
    for text, found in zip(TEXTS, answers, strict=True):
        for entity in found:
            assert text[entity["start"] : entity["end"]] == entity["text"]
            assert entity["type"] in ("LOC", "ORG") and 0 < entity["score"] <= 1


@pytest.mark.parametrize("engine", ["onnx", "paddle"])
def test_an_exported_model_finds_the_same_entities(
    folder: Path, tmp_path: Path, engine: str
) -> None:
    module = hub.Module(directory=folder)
    assert export(module, tmp_path / "exported", engine).verification.difference < 1e-5
    predictor = hub.Predictor(tmp_path / "exported")
    for long_text in ("cut", "window"):
        ours = module.predict(TEXTS, long_text=long_text)
        theirs = predictor.predict(TEXTS, long_text=long_text)
        assert [brief(found) for found in ours] == [brief(found) for found in theirs]


def test_scores_are_there_and_probabilities_are_not(folder: Path) -> None:
    with pytest.raises(InputError, match=r"token-classification has no probabilities.*scores"):
        hub.Module(directory=folder).predict(TEXTS, probabilities=True)


def test_a_saved_model_is_the_same(folder: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=folder, long_text="window")
    module.save(tmp_path / "saved")
    again = hub.Module(directory=tmp_path / "saved")
    assert again.long_text == "window"
    assert again.predict(TEXTS) == module.predict(TEXTS)
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["ErnieForTokenClassification"]
    assert config["id2label"]["3"] == "B-ORG" and "problem_type" not in config


def test_another_kind_of_head_is_not_taken_for_this_one(folder: Path, tmp_path: Path) -> None:
    from hub.inference.loading import load

    export(hub.Module(directory=folder), tmp_path / "exported", "onnx")
    with pytest.raises(InputError, match="was exported for token-classification, not fill-mask"):
        load(tmp_path / "exported", task="fill-mask")
    bare = tmp_path / "bare"
    layouts.write_folder(bare, layouts.layouts()["ernie-1.0-base-zh"], "ForMaskedLM")
    with pytest.raises(ModelError, match="not fine-tuned for token-classification"):
        load(bare, task="ner")
    with pytest.raises(ModelError, match="--task fill-mask"):
        load(bare)
    assert load(bare, task="fill-mask").task.name == "fill-mask"  # type: ignore[union-attr]
