"""Learning entities: their tags, the figures, a CRF, and both in a fine-tuned folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub
from hub.data.examples import Entity, Utterance
from hub.data.tags import spans_of
from hub.errors import DataError, InputError
from hub.inference.export import export
from hub.tasks import IntentSlots, TokenClassification, create_task
from hub.tasks.passages import read
from hub.tasks.token_classification import NO_TAG
from hub.tokenizers import Tokenizer, WordPieceTokenizer, read_vocabulary

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "hub" / "registry" / "embedded" / "ernie-pocket-zh"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer.from_vocabulary(read_vocabulary(EMBEDDED / "vocab.txt"))


def entities(text: str, *parts: tuple[str, str]) -> list[dict[str, Any]]:
    """Entities by their words, as JSON lines have them."""
    found, place = [], 0
    for word, kind in parts:
        place = text.index(word, place)
        found.append({"start": place, "end": place + len(word), "type": kind})
        place += len(word)
    return found


def rows_of(*texts: tuple[str, list[tuple[str, str]]]) -> Rows:
    return [{"text": text, "entities": entities(text, *parts)} for text, parts in texts]


def tags_by_token(tokenizer: Tokenizer, rows: Rows, length: int = 64) -> list[list[str]]:
    data = hub.load_dataset(rows, kind="ner")
    task = TokenClassification.from_data(data)
    passages = read(tokenizer, data.texts, length, "window", return_offsets=True)
    made = task.window_targets(passages, task.targets(data), tokenizer)
    return [[task.labels[n] if n != NO_TAG else "" for n in row] for row in made]


def test_the_first_token_of_each_word_has_its_tag(tokenizer: Tokenizer) -> None:
    text = "😀 我用iPhone15  deep learning，在北京\u3000见。"
    rows = rows_of((text, [("iPhone15", "产品"), ("deep learning", "词"), ("北京", "地")]))
    tokens = tokenizer.tokens(tokenizer.encode([text])[0].input_ids[1:-1])
    (tags,) = tags_by_token(tokenizer, rows)
    pairs = list(zip(tokens, tags, strict=True))
    assert ("iphone", "B-产品") in pairs and ("##15", "") in pairs
    assert [t for t in pairs if t[1].endswith("词")] == [("deep", "B-词"), ("le", "I-词")]
    assert ("##arning", "") in pairs
    assert pairs[-4:] == [("北", "B-地"), ("京", "I-地"), ("见", "O"), ("。", "O")]


def test_neighbours_of_one_type_are_two_entities(tokenizer: Tokenizer) -> None:
    assert tags_by_token(tokenizer, rows_of(("北京上海", [("北京", "地"), ("上海", "地")]))) == [
        ["B-地", "I-地", "B-地", "I-地"]
    ]


def test_windows_have_the_tags_of_their_own_tokens(tokenizer: Tokenizer) -> None:
    text = "一二三四五六北京七八九十"
    first, second, *_ = tags_by_token(tokenizer, rows_of((text, [("北京", "地")])), length=10)
    assert first == ["O"] * 6 + ["B-地", "I-地"]
    assert "B-地" in second and len(second) == 8


def test_types_become_tags_and_unknown_ones_are_refused() -> None:
    data = hub.load_dataset(rows_of(("北京的王", [("北京", "LOC"), ("王", "PER")])), kind="ner")
    task = TokenClassification.from_data(data)
    assert task.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert task.types == ["LOC", "PER"]
    assert task.targets(data) == [(Entity(0, 2, "LOC"), Entity(3, 4, "PER"))]
    other = hub.load_dataset(rows_of(("上海", [("上海", "ORG")])), kind="ner")
    with pytest.raises(DataError, match="'ORG' is not one of the 2"):
        task.targets(other)
    none = hub.load_dataset([{"text": "无", "entities": []}], kind="ner")
    with pytest.raises(DataError, match="no entity"):
        TokenClassification.from_data(none)
    classes = hub.load_dataset([("好", "a")])
    with pytest.raises(DataError, match="entities are needed"):
        task.targets(classes)


def test_tags_of_another_scheme_are_not_learned(tokenizer: Tokenizer) -> None:
    task = create_task("ner", ["O", "B-LOC", "M-LOC", "E-LOC", "S-LOC"])
    assert isinstance(task, TokenClassification)
    with pytest.raises(InputError, match="learned in BIO"):
        task.window_targets([], [], tokenizer)


def test_figures_equal_those_of_seqeval() -> None:
    cases = json.loads((ROOT / "tests" / "golden" / "seqeval.json").read_text("utf-8"))
    assert len(cases) == 120
    for case in cases:
        decided, targets = (
            [tuple(Entity(s.start, s.end, s.type) for s in spans_of(tags)) for tags in case[name]]
            for name in ("predicted", "truth")
        )
        kinds = {e.type for its in (*decided, *targets) for e in its}
        labels = ["O", *(f"{mark}-{kind}" for kind in sorted(kinds) for mark in "BI")]
        task = TokenClassification(labels)
        if not any(targets):
            continue
        report = case["report"]
        for score in task.scores(decided, targets):
            theirs = report.get(score.name, [0.0, 0.0, 0.0])
            assert [score.precision, score.recall, score.f1] == pytest.approx(theirs, abs=1e-12)
        figures = task.metrics(decided, targets)
        ours = [figures[name] for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx(report["micro avg"], abs=1e-12)
        if kinds == {e.type for its in targets for e in its}:
            assert figures["macro_f1"] == pytest.approx(report["macro avg"][2], abs=1e-12)


def test_class_weights_are_for_single_tags(tiny_folder: Path) -> None:
    rows = rows_of(("去北京", [("北京", "地")])) * 4
    for crf in (False, True):
        module = hub.Module(directory=tiny_folder, task="ner", task_options={"crf": crf})
        trainer = hub.Trainer(module, progress=False)
        if not crf:
            trainer.finetune_and_eval(rows, rows, epochs=1, class_weights="balanced")
            continue
        with pytest.raises(InputError, match="CRF learns the tags of a text as a whole"):
            trainer.finetune_and_eval(rows, rows, epochs=1, class_weights="balanced")


def _trips(count: int, seed: int) -> list[tuple[str, list[tuple[str, str]], str]]:
    generator = np.random.default_rng(seed)
    places, things = ["北京", "海南"], ["机票", "酒店"]
    trips = []
    for _ in range(count):
        place, thing = generator.choice(places), generator.choice(things)
        filler = "".join(generator.choice(list("我你他请帮的了好"), 3))
        text = (
            f"{filler}{place}{thing}" if generator.random() < 0.5 else f"{thing}去{place}{filler}"
        )
        order = sorted(
            [(str(place), "地"), (str(thing), "物")], key=lambda part: text.index(part[0])
        )
        trips.append((text, order, "订票" if thing == "机票" else "订房"))
    return trips


@pytest.mark.parametrize("crf", [False, True])
def test_a_model_learns_entities(tiny_folder: Path, tmp_path: Path, crf: bool) -> None:
    rows = rows_of(*((text, parts) for text, parts, _ in _trips(120, seed=1)))
    module = hub.Module(directory=tiny_folder, task="ner", task_options={"crf": crf})
    trainer = hub.Trainer(module, progress=False)
    figures = trainer.finetune_and_eval(
        rows[:90], rows[90:], epochs=15, batch_size=8, learning_rate=1e-2, patience=None
    )
    assert figures["f1"] > 0.95
    assert trainer.evaluate(rows[90:]) == figures
    text = "请帮我北京酒店"
    answer = module.predict(text)
    found = [(e["type"], e["text"], e["start"], e["end"]) for e in answer]
    assert found == [("地", "北京", 3, 5), ("物", "酒店", 5, 7)]
    assert all(0.5 < e["score"] <= 1 for e in answer)
    module.save(tmp_path / "run")
    loaded = hub.Module(directory=tmp_path / "run")
    assert loaded.task is not None and loaded.task.structure == ({"crf": True} if crf else {})
    assert loaded.predict(text) == answer
    export(loaded, tmp_path / "artefact")
    exported = hub.Predictor(tmp_path / "artefact").predict(text)
    for ours, theirs in zip(exported, answer, strict=True):
        assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-5)
        assert ours == theirs


def test_a_crfs_transitions_are_learned(tiny_folder: Path) -> None:
    rows = rows_of(*((text, parts) for text, parts, _ in _trips(40, seed=2)))
    module = hub.Module(directory=tiny_folder, task="ner", task_options={"crf": True})
    hub.Trainer(module, progress=False).finetune_and_eval(
        rows, rows, epochs=6, batch_size=8, learning_rate=1e-2, patience=None
    )
    assert module.task is not None
    learned = np.array(module.task.options["crf"]["transitions"])
    labels = module.task.labels
    begin, inner, other = (labels.index(tag) for tag in ("B-地", "I-地", "I-物"))
    assert learned[begin, inner] > learned[begin, other]


def test_what_a_crf_learned_without_dev_rows_travels(tiny_folder: Path, tmp_path: Path) -> None:
    rows = rows_of(*((text, parts) for text, parts, _ in _trips(40, seed=2)))
    module = hub.Module(directory=tiny_folder, task="ner", task_options={"crf": True})
    hub.Trainer(module, progress=False).train(rows, epochs=2, batch_size=8, learning_rate=1e-2)
    learned = module.network.crf.transitions.numpy()
    assert np.abs(learned).max() > 0.01
    module.save(tmp_path / "run")
    export(module, tmp_path / "artefact")
    for folder in ("run", "artefact"):
        stored = json.loads((tmp_path / folder / "hub.json").read_text("utf-8"))["task_options"]
        assert np.array(stored["crf"]["transitions"]) == pytest.approx(learned, abs=1e-6)
    # Weights that were changed by hand are saved as they are.
    module.network.crf.end.set_value(np.full(len(module.task.labels), 0.5, np.float32))
    module.save(tmp_path / "again")
    stored = json.loads((tmp_path / "again" / "hub.json").read_text("utf-8"))["task_options"]
    assert set(stored["crf"]["end"]) == {0.5}


def test_a_model_learns_intents_with_slots(tiny_folder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": text, "intent": intent, "entities": entities(text, *parts)}
        for text, parts, intent in _trips(120, seed=3)
    ]
    module = hub.Module(directory=tiny_folder, task="intent-slots")
    trainer = hub.Trainer(module, progress=False)
    figures = trainer.finetune_and_eval(
        rows[:90], rows[90:], epochs=15, batch_size=8, learning_rate=1e-2, patience=None
    )
    assert isinstance(module.task, IntentSlots)
    assert tuple(figures) == module.task.metric_names
    assert figures["sentence_accuracy"] > 0.9 and figures["slot_f1"] > 0.95
    text = "酒店去海南请帮我"
    answer = module.predict(text, probabilities=True)
    assert answer["intent"] == "订房" and set(answer["probabilities"]) == {"订房", "订票"}
    assert [(e["type"], e["text"]) for e in answer["slots"]] == [("物", "酒店"), ("地", "海南")]
    module.save(tmp_path / "run")
    loaded = hub.Module(directory=tmp_path / "run")
    assert loaded.predict(text, probabilities=True) == answer
    # In windows of six tokens the answer comes of the same heads.
    windows = loaded.predict(text, max_seq_len=8, long_text="window")
    assert set(windows) == {"intent", "score", "slots"}
    export(loaded, tmp_path / "artefact")
    exported = hub.Predictor(tmp_path / "artefact").predict(text)
    assert exported["intent"] == "订房" and len(exported["slots"]) == 2


def test_a_sentence_is_right_if_intent_and_slots_are() -> None:
    task = IntentSlots(["O", "B-地", "I-地"], intents=["订票", "订房"])
    truth = [Utterance("订票", (Entity(0, 2, "地"),)), Utterance("订房", ())]
    found = [Utterance("订票", (Entity(0, 3, "地"),)), Utterance("订房", ())]
    assert task.metrics(found, truth) == {
        "sentence_accuracy": 0.5, "intent_accuracy": 1.0,
        "slot_f1": 0.0, "slot_precision": 0.0, "slot_recall": 0.0,
    }  # fmt: skip
    assert task.metrics(truth, truth)["sentence_accuracy"] == 1.0
    with pytest.raises(InputError, match="needs the intents"):
        create_task("intent-slots", ["O", "B-地", "I-地"])


def test_a_model_learns_pairs(tiny_folder: Path, tmp_path: Path) -> None:
    # The answer is in the second text alone: it must have been read as such.
    generator = np.random.default_rng(0)
    rows = []
    for number in range(120):
        first, second = ("雨", "歌") if number % 2 else ("歌", "雨")
        filler = "".join(generator.choice(list("我你他请帮的了好"), 3))
        label = "同" if second == "雨" else "异"
        rows.append({"text_a": f"{filler}{first}", "text_b": f"{second}{filler}", "label": label})
    module = hub.Module(directory=tiny_folder, task="text-matching")
    trainer = hub.Trainer(module, progress=False)
    figures = trainer.finetune_and_eval(
        rows[:90], rows[90:], epochs=15, batch_size=8, learning_rate=1e-2, patience=None
    )
    assert figures["accuracy"] > 0.9
    pairs = [(row["text_a"], row["text_b"]) for row in rows[90:]]
    answers = module.predict(pairs)
    right = [row["label"] for row in rows[90:]]
    assert sum(a == b for a, b in zip(answers, right, strict=True)) == round(
        figures["accuracy"] * len(right)
    )
    assert module.predict([list(pair) for pair in pairs]) == answers  # as PaddleHub has them
    module.save(tmp_path / "run")
    loaded = hub.Module(directory=tmp_path / "run")
    assert loaded.predict(pairs) == answers
    with pytest.raises(InputError, match="trained for pairs"):
        loaded.predict("一雨的")
    export(loaded, tmp_path / "artefact")
    assert hub.Predictor(tmp_path / "artefact").predict(pairs) == answers


def test_a_pair_is_refused_where_single_texts_were_learned(tiny_folder: Path) -> None:
    task = create_task("seq-cls", ["a", "b"], {"pairs": False})
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"])
    module.set_task(task)
    with pytest.raises(InputError, match="trained for single texts"):
        module.predict([("甲", "乙")])
    tagger = hub.Module(directory=tiny_folder, task="ner", label_map=["O", "B-地", "I-地"])
    with pytest.raises(InputError, match="takes one at a time"):
        tagger.predict([("甲", "乙")])
