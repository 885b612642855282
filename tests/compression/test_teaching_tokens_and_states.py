"""What a teacher says of tokens, and what passes through its encoder."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hub
from hub.backend import paddle
from hub.cli.main import cli
from hub.compression.distillation import distil
from hub.compression.pruning import prune
from hub.compression.students import create_student
from hub.data import load_dataset
from hub.data.batches import collate
from hub.data.encoded import EncodedTexts
from hub.errors import DataError, InputError
from hub.inference.loading import evaluate
from hub.models.creation import create_model
from hub.models.ernie.config import ErnieConfig
from hub.tasks import LabelledTask
from hub.tasks.encoded_passages import read_all
from hub.tokenizers import Tokenizer, WordPieceTokenizer
from hub.training.arguments import TrainingArguments
from hub.training.distillation.states import StateLessons, watched
from hub.training.distillation.teacher import Lessons, Teacher
from hub.training.distillation.tokens import NOWHERE, matching_tokens
from hub.training.trainer import Trainer

SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
CITIES = ("北京", "海南", "上海", "南海")
FILLER = "的一是在不了有和人这中大为个我你他它们好吗呢吧请帮"
Rows = list[dict[str, Any]]


def schedule(epochs: int) -> dict[str, Any]:
    """What a model of this size learns with."""
    return {"epochs": epochs, "learning_rate": 1e-2, "batch_size": 16, "patience": epochs}


def sentences(count: int, seed: int, intents: bool = False) -> Rows:
    """Texts with a city and perhaps a kind of ticket; verbs before the city tell the intent."""
    draw = random.Random(seed)
    rows: Rows = []
    for number in range(count):
        verb, intent = (("去", "订票"), ("电", "问话"))[number % 2]
        city = draw.choice(CITIES)
        head = "".join(draw.choices(FILLER, k=draw.randint(1, 4)))
        text = f"{head}{verb}{city}{''.join(draw.choices(FILLER, k=2))}"
        start = len(head) + 1
        row: dict[str, Any] = {
            "text": text, "entities": [{"start": start, "end": start + 2, "type": "地"}],
        }  # fmt: skip
        rows.append({**row, "intent": intent} if intents else row)
    return rows


def fitted(folder: Path, rows: Rows, task: str, **options: Any) -> hub.Module:
    module = hub.Module(directory=folder, task=task, task_options=options)
    figures = Trainer(module, progress=False).finetune_and_eval(rows, rows[:40], **schedule(12))
    assert next(iter(figures.values())) > 0.95
    return module


@pytest.fixture(scope="module")
def tagger(tiny_folder: Path) -> hub.Module:
    """A teacher of entities."""
    return fitted(tiny_folder, sentences(120, seed=1), "ner")


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrower model with another vocabulary, in which 海南 is one token."""
    folder = tmp_path_factory.mktemp("models") / "other"
    folder.mkdir()
    characters = dict.fromkeys(FILLER + "去电" + "".join(CITIES))
    entries = [*SPECIALS, "海南", *reversed(list(characters))]
    (folder / "words.txt").write_text("".join(f"{e}\n" for e in entries), encoding="utf-8")
    config = ErnieConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64, initializer_range=0.1,
    )  # fmt: skip
    create_model(folder, config, folder / "words.txt", seed=1)
    (folder / "words.txt").unlink()
    return folder


def wordpiece(*entries: str) -> Tokenizer:
    return WordPieceTokenizer.from_vocabulary([*SPECIALS, *entries])


def encoded(tokenizer: Tokenizer, text: Any, length: int = 32) -> EncodedTexts:
    return read_all(tokenizer, [text], length, "cut", return_offsets=True).encodings


# --- tokens --------------------------------------------------------------------------------------


def test_a_token_matches_the_one_over_its_first_character() -> None:
    ours, theirs = wordpiece("a", "##b", "##c", "##d", "南"), wordpiece("ab", "##cd", "南")
    (places,) = matching_tokens(
        encoded(ours, "南abcd南"), encoded(theirs, "南abcd南"), (ours, theirs)
    )
    # [CLS] 南 a ##b ##c ##d 南 [SEP], and [CLS] 南 ab ##cd 南 [SEP]
    assert places.tolist() == [0, 1, 2, 2, 3, 3, 4, 5]


def test_tokens_that_the_teacher_cut_off_match_nothing() -> None:
    one = wordpiece(*"南北东西")
    (places,) = matching_tokens(
        encoded(one, "南北东西"), encoded(one, "南北东西", length=4), (one, one)
    )
    assert places.tolist() == [0, 1, 2, NOWHERE, NOWHERE, 3]


def test_each_text_of_a_pair_matches_itself() -> None:
    ours, theirs = wordpiece(*"南北东西"), wordpiece("南", "北", "东", "##西", "东西")
    pair = ("南北", "北南")
    (places,) = matching_tokens(encoded(ours, pair), encoded(theirs, pair), (ours, theirs))
    assert places.tolist() == [0, 1, 2, 3, 4, 5, 6]
    (places,) = matching_tokens(
        encoded(ours, ("", "北")), encoded(theirs, ("", "北")), (ours, theirs)
    )
    assert places.tolist() == [0, 1, 2, 3]


# --- states --------------------------------------------------------------------------------------


def softmax(x: np.ndarray) -> np.ndarray:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    result: np.ndarray = shifted / shifted.sum(-1, keepdims=True)
    return result


def test_states_are_compared_as_the_papers_have_it(tiny_folder: Path) -> None:
    """Against plain NumPy, with padding, where teacher and student read alike."""
    teacher, student = (hub.Module(directory=tiny_folder) for _ in range(2))
    draw = np.random.default_rng(0)
    for parameter in student.network.encoder.layers.parameters():
        noise = draw.normal(size=parameter.shape, scale=0.1)
        parameter.set_value(parameter.numpy() + noise.astype(np.float32))
    texts = ["今天下雨吗", "听歌"]
    passages = read_all(teacher.tokenizer, texts, 16, "cut", return_offsets=True)
    places = matching_tokens(
        passages.encodings, passages.encodings, (teacher.tokenizer, teacher.tokenizer)
    )
    rows = np.array([0, 1])
    ids = np.array([[*p.windows[0].encoding.input_ids, 0, 0, 0][:7] for p in passages])
    lengths = passages.encodings.lengths
    seen = []
    for module in (student, teacher):
        module.eval()
        with watched(module.network.encoder, True, True) as states:
            module.network.encoder(paddle.to_tensor(ids))
        hidden, related = states.hidden, states.related
        seen.append([[t.numpy().astype(float) for t in kept] for kept in (hidden, related)])
    (own_hidden, own_related), (hidden_wanted, related_wanted) = seen
    assert len(own_hidden) == 3 and len(own_related) == 3
    wanted_hidden = np.mean([
        np.concatenate([((a - b) ** 2).mean(-1)[n, : lengths[n]] for n in rows]).mean()
        for a, b in zip(own_hidden, hidden_wanted, strict=True)
    ])  # fmt: skip
    apart = []
    for a, b in zip(own_related, related_wanted, strict=True):
        parts = []
        for n in rows:
            heads = []
            for head in range(4):
                cut = slice(6 * head, 6 * head + 6)
                x, y = a[n, : lengths[n], cut], b[n, : lengths[n], cut]
                p, q = softmax(y @ y.T / 6**0.5), softmax(x @ x.T / 6**0.5)
                heads.append((p * np.log(p / q)).sum(-1))
            parts.append(np.mean(heads, axis=0))
        apart.append(np.concatenate(parts).mean())
    for hidden, relations, wanted in (
        (1.0, 0.0, wanted_hidden), (0.0, 2.0, 2 * np.mean(apart)),
        (0.5, 1.0, 0.5 * wanted_hidden + np.mean(apart)),
    ):  # fmt: skip
        lessons = StateLessons(
            teacher.network.encoder, passages.encodings, places, 0, hidden, relations
        )
        with lessons.given_to(student.network, seed=1):
            student.network.encoder(paddle.to_tensor(ids))
            assert float(lessons.loss(rows)) == pytest.approx(wanted, rel=1e-4)
            if relations == 0:
                continue
            lessons.loss(rows).backward()
            gradient = student.network.encoder.layers[-1].attention.query.weight.grad
            assert gradient is not None and float(gradient.abs().sum()) > 0
            student.network.clear_gradients()


def test_a_map_to_the_teachers_width_is_learned_and_leaves_nothing(
    tagger: hub.Module, other_folder: Path
) -> None:
    student = hub.Module(directory=other_folder, task="ner", label_map=tagger.task.labels)
    names = set(student.network.state_dict())
    teacher = Teacher(tagger, hidden_states=1.0, relations=1.0)
    passages = read_all(student.tokenizer, [r["text"] for r in sentences(8, 2)], 32, "cut", True)
    lessons = teacher.lessons(student.task, student, passages)
    with lessons.given_to(student.network, seed=1):
        more = set(student.network.state_dict()) - names
        assert more == {f"teacher_maps.{n}.{p}" for n in (0, 1) for p in ("weight", "bias")}
    assert set(student.network.state_dict()) == names


# --- whole runs ----------------------------------------------------------------------------------


def test_a_tagger_of_another_vocabulary_is_taught(
    tagger: hub.Module, other_folder: Path, tmp_path: Path
) -> None:
    """Two labelled rows, and many without labels: the student finds what the teacher finds."""
    more = [row["text"] for row in sentences(150, seed=5)]
    test = load_dataset(sentences(60, seed=6), kind="ner")
    distil(
        tagger, str(other_folder), load_dataset(sentences(2, seed=4), kind="ner"),
        tmp_path / "student", dev=sentences(20, seed=7), unlabelled=more, hidden_states=0.1,
        relations=0.1, changes=schedule(15),
        progress=False, say=lambda line: None,
    )  # fmt: skip
    student = hub.Module(directory=tmp_path / "student")
    assert student.config.hidden_size == 12
    assert evaluate(student, test)["f1"] > 0.9
    # It is saved without what was learned for teaching alone.
    assert not any("teacher" in name for name in student.network.state_dict())


def test_the_teachers_tags_alone_teach(tagger: hub.Module, other_folder: Path) -> None:
    """With all weight on the teacher's answers wrong labels do no harm."""
    rows = sentences(120, seed=8)
    wrong = [{**r, "entities": [{"start": 0, "end": 1, "type": "地"}]} for r in rows]
    student = hub.Module(directory=other_folder, task="ner", label_map=tagger.task.labels)
    trainer = Trainer(student, teacher=Teacher(tagger, weight=1.0), progress=False)
    trainer.finetune_and_eval(wrong, rows[:30], **schedule(12))
    assert evaluate(student, load_dataset(sentences(60, seed=6), kind="ner"))["f1"] > 0.9


def test_a_crf_is_taught(tiny_folder: Path, other_folder: Path, tmp_path: Path) -> None:
    rows = sentences(120, seed=1)
    teacher = fitted(tiny_folder, rows, "ner", crf=True)
    distil(
        teacher, str(other_folder), load_dataset(rows, kind="ner"), tmp_path / "student",
        dev=rows[:30], changes=schedule(8),
        progress=False, say=lambda line: None,
    )  # fmt: skip
    student = hub.Module(directory=tmp_path / "student")
    assert student.task is not None and student.task.structure == {"crf": True}
    assert evaluate(student, load_dataset(sentences(60, seed=6), kind="ner"))["f1"] > 0.9


def test_intents_and_slots_are_taught_together(
    tiny_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    rows = sentences(160, seed=1, intents=True)
    teacher = fitted(tiny_folder, rows, "intent-slots")
    distil(
        teacher, str(other_folder), load_dataset(rows[:2], kind="intent-slots"),
        tmp_path / "student", dev=rows[:30], unlabelled=[row["text"] for row in rows], weight=1.0,
        changes=schedule(15), progress=False,
        say=lambda line: None,
    )  # fmt: skip
    test = load_dataset(sentences(60, seed=6, intents=True), kind="intent-slots")
    assert evaluate(hub.Module(directory=tmp_path / "student"), test)["sentence_accuracy"] > 0.9


@pytest.mark.parametrize("states", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["token-classification", "intent-slots"])
def test_a_batch_in_parts_is_taught_as_a_whole_one(
    tiny_folder: Path, kind: str, states: float
) -> None:
    """A text counts by its words where tags are learned, and by its tokens where states are."""
    rows = sentences(12, seed=1, intents=kind == "intent-slots")
    rows[0]["text"] += "一的是在不了有和人这中大" * 3  # so that texts differ in length
    data = load_dataset(rows, kind=kind)
    student, teacher = (hub.Module(directory=tiny_folder, task=kind) for _ in range(2))
    for seed, module in enumerate((student, teacher)):
        assert isinstance(module.task, LabelledTask)
        module.set_task(type(module.task).from_data(data), seed)
    trainer = Trainer(student, teacher=Teacher(teacher, 1.0, 2.0, states, states), progress=False)
    train = trainer._encode(data, 64, "cut")
    lessons = trainer._lessons(train, TrainingArguments())
    assert lessons is not None

    def batch(numbers: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        return numbers, [train.window_targets[row] for row in numbers]

    def loss(numbers: np.ndarray, whole: Any) -> float:
        inputs = collate(train.encodings, numbers, student.tokenizer.pad_token_id).inputs
        output = student.network(*map(paddle.to_tensor, inputs.values()))
        return float(lessons.loss(paddle.zeros([]), output, batch(numbers)[1], numbers, whole))

    every = np.arange(len(rows))
    with lessons.given_to(student.network, seed=1):
        parts = [loss(every[n : n + 5], batch(every)) for n in range(0, len(rows), 5)]
        assert sum(parts) == pytest.approx(loss(every, None), rel=1e-4)


def test_micro_batches_are_taught_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["hidden_dropout_prob"] = config["attention_probs_dropout_prob"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    rows = sentences(24, seed=1)
    rows[0]["text"] += "一的是在不了有和人这中大" * 3
    teacher = fitted(tiny_folder, sentences(120, seed=1), "ner")
    losses = []
    for size in (None, 3):
        student = hub.Module(directory=folder, task="ner")
        trainer = Trainer(student, teacher=Teacher(teacher, relations=0.5), progress=False)
        trainer.train(rows, epochs=2, batch_size=8, learning_rate=1e-2, micro_batch_size=size)
        losses.append([entry["loss"] for entry in trainer.state.history])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_labels_in_another_order_are_the_teachers(tagger: hub.Module, tiny_folder: Path) -> None:
    assert tagger.task is not None
    labels = list(reversed(tagger.task.labels))
    student = hub.Module(directory=tiny_folder, task="ner", label_map=labels)
    texts = [row["text"] for row in sentences(5, seed=2)]
    passages = read_all(student.tokenizer, texts, 32, "cut", return_offsets=True)
    lessons: Lessons = Teacher(tagger).lessons(student.task, student, passages)
    ours = read_all(tagger.tokenizer, texts, 32, "cut", return_offsets=True)
    from hub.tasks.answering import run

    wanted = run(tagger.task, tagger.tokenizer, tagger.compute, ours, 8)
    for row, output in enumerate(wanted):
        assert np.allclose(lessons._outputs[row], output[:, ::-1], atol=1e-5)


def test_a_pruned_tagger_recovers_with_its_teacher(tagger: hub.Module, tmp_path: Path) -> None:
    tagger.save(tmp_path / "run")
    rows = sentences(120, seed=1)
    whole, data = hub.Module(directory=tmp_path / "run"), load_dataset(rows, kind="ner")
    dev = load_dataset(rows[:30], kind="ner")
    prune(
        whole, data, tmp_path / "small", width=0.25, layers=1, dev=dev, recovery=schedule(8),
        progress=False,
    )  # fmt: skip
    test = load_dataset(sentences(60, seed=6), kind="ner")
    assert evaluate(hub.Module(directory=tmp_path / "small"), test)["f1"] > 0.9


# --- students by their shape ---------------------------------------------------------------------


def test_a_student_as_wide_begins_as_its_teacher(tagger: hub.Module, tmp_path: Path) -> None:
    module = hub.Module(directory=create_student("1x24", tagger, tmp_path))
    ours, theirs = module.network.encoder, tagger.network.encoder
    assert np.array_equal(
        ours.embeddings.word_embeddings.weight.numpy(),
        theirs.embeddings.word_embeddings.weight.numpy(),
    )
    assert np.array_equal(
        ours.layers[0].feed_forward.output.weight.numpy(),
        theirs.layers[1].feed_forward.output.weight.numpy(),
    )
    assert module.config.intermediate_size == tagger.config.intermediate_size


def test_a_narrower_student_begins_with_the_components_of_the_embeddings(
    tagger: hub.Module, tmp_path: Path
) -> None:
    module = hub.Module(directory=create_student("2x12", tagger, tmp_path))
    assert module.config.num_attention_heads == 4 and module.config.intermediate_size == 48
    ours = module.network.encoder.embeddings.word_embeddings.weight.numpy()
    theirs = tagger.network.encoder.embeddings.word_embeddings.weight.numpy().astype(float)
    theirs -= theirs.mean(axis=0)
    spread = np.linalg.svd(theirs, compute_uv=False) ** 2
    assert ((ours - ours.mean(axis=0)) ** 2).sum() == pytest.approx(spread[:12].sum(), rel=1e-3)


def test_a_narrower_student_of_a_teacher_without_all_heads_has_whole_ones(
    tagger: hub.Module, tmp_path: Path
) -> None:
    tagger.save(tmp_path / "run")
    rows = load_dataset(sentences(30, seed=1), kind="ner")
    teacher = prune(hub.Module(directory=tmp_path / "run"), rows, tmp_path / "narrow", heads=2)
    assert teacher.config.attention_size == 12 < teacher.config.hidden_size
    module = hub.Module(directory=create_student("2x16", teacher, tmp_path))
    assert module.config.num_attention_heads == 2 and module.config.head_dim is None
    assert module.network.encoder.layers[0].attention.query.weight.shape == [16, 16]
    # One as wide takes over the teacher's layers.
    as_wide = hub.Module(directory=create_student("1x24", teacher, tmp_path))
    assert as_wide.network.encoder.layers[0].attention.query.weight.shape == [24, 12]


def test_the_command_teaches_a_new_model_of_a_shape(tagger: hub.Module, tmp_path: Path) -> None:
    tagger.save(tmp_path / "run")
    data = tmp_path / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in sentences(80, seed=1)]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = CliRunner().invoke(
        cli,
        [
            "compress", "distil", str(tmp_path / "run"), str(data), "--student", "1x12", "--dev",
            str(data), "--hidden-states", "0.5", "--relations", "0.5", "--epochs", "12",
            "--learning-rate", "1e-2", "--batch-size", "16", "-q", "--json", "--output",
            str(tmp_path / "small"),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    start, made = json.loads(result.stdout)
    assert made["what"] == "distil: 1x12" and made["parameters"] < start["parameters"] / 2
    assert made["value"] > 0.9


def test_what_cannot_be_taught_is_refused(
    tagger: hub.Module, other_folder: Path, tmp_path: Path
) -> None:
    rows = load_dataset(sentences(20, seed=1), kind="ner")
    for student, settings, reason in (
        ("3x24", {}, "at most its teacher's 2 layers and width of 24"),
        ("1x12x5", {}, "5 heads do not fit a width of 12"),
        ("1x24x2", {}, "give the teacher's 4"),
        (str(other_folder), {"relations": -1.0}, "from 0"),
        (str(other_folder), {"changes": {"recompute": True}, "relations": 1.0}, "recompute"),
    ):
        with pytest.raises(InputError, match=reason):
            distil(
                tagger, student, rows, tmp_path / "s", progress=False, say=lambda line: None,
                **settings,
            )  # fmt: skip
    student = hub.Module(directory=other_folder, task="ner", label_map=tagger.task.labels)
    with pytest.raises(InputError, match="reads each text at once"):
        Trainer(student, teacher=Teacher(tagger), progress=False).finetune_and_eval(
            sentences(20, seed=1), max_seq_len=6, long_text="window"
        )
    other = load_dataset(
        [{"text": "去北京", "entities": [{"start": 1, "end": 3, "type": "人"}]}] * 20, kind="ner"
    )
    with pytest.raises(InputError, match="knows other labels"):
        distil(tagger, str(other_folder), other, tmp_path / "s", progress=False)
    classified = load_dataset([("雨", "是"), ("歌", "否")], kind="text-classification")
    with pytest.raises(DataError, match="There is no entity"):
        distil(tagger, str(other_folder), classified, tmp_path / "s", progress=False)
