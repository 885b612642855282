"""Smaller models: what is taken out, what stays the same, what is learned from the larger one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hub
from hub.backend import paddle
from hub.cli.main import cli
from hub.compression import distillation
from hub.compression.distillation import distil
from hub.compression.pruning import importance, prune
from hub.compression.vocabulary import trim_vocabulary
from hub.data import load_dataset
from hub.errors import DataError, InputError, OutputError
from hub.inference.export import export
from hub.training.arguments import TrainingArguments
from hub.training.distillation.teacher import Teacher, divergence_from
from hub.training.trainer import Trainer

KINDS = (("雨", "天气"), ("歌", "音乐"), ("票", "车票"))
FILLER = "的一是在不了有和人这中大为上个我你他"
ROWS = [(f"{a}{sign}{b}吗", label) for a in FILLER for b in FILLER[:3] for sign, label in KINDS]
TEXTS = [text for text, _ in ROWS]
LABELS = ["天气", "音乐", "车票"]


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned classifier."""
    folder = tmp_path_factory.mktemp("compression") / "travel"
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    arguments = TrainingArguments(epochs=10, batch_size=16, learning_rate=1e-2, seed=3)
    metrics = Trainer(module, arguments=arguments, progress=False).finetune_and_eval(ROWS, ROWS)
    assert metrics["accuracy"] > 0.95
    module.save(folder)
    return folder


def logits(module: hub.Module, texts: list[str]) -> np.ndarray:
    return Teacher(module).logits(texts, LABELS)


def ignore(line: str) -> None:
    pass


def table(path: Path) -> Path:
    rows = "".join(f"{text}\t{label}\n" for text, label in ROWS)
    path.write_text("text\tlabel\n" + rows, encoding="utf-8")
    return path


# --- the vocabulary ------------------------------------------------------------------------------


def test_answers_to_texts_of_the_kept_entries_are_the_same(run: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    trimmed = trim_vocabulary(module, TEXTS, tmp_path / "trimmed")
    before, after = trimmed.entries
    assert before == module.config.vocab_size and trimmed.texts == len(TEXTS)
    # The characters of the texts and the special tokens; nothing else.
    assert after == len(set("".join(TEXTS))) + 5
    smaller = hub.Module(directory=tmp_path / "trimmed")
    assert smaller.network.encoder.embeddings.word_embeddings.weight.shape[0] == after
    assert np.abs(logits(module, TEXTS) - logits(smaller, TEXTS)).max() < 1e-5
    others = ["雨的歌票", "你在吗", "人大"]
    assert np.abs(logits(module, others) - logits(smaller, others)).max() < 1e-5
    # What was dropped is unknown.
    ids = smaller.tokenizer.encode(["京雨"])[0].input_ids
    assert smaller.tokenizer.tokens(ids) == ["[CLS]", "[UNK]", "雨", "[SEP]"]
    # It opens in the library that the form is of.
    import tokenizers

    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "trimmed" / "tokenizer.json"))
    assert backend.encode("雨的").tokens == ["[CLS]", "雨", "的", "[SEP]"]


def test_rarer_entries_go_if_asked(run: Path, tmp_path: Path) -> None:
    texts = ["雨"] * 5 + ["歌"]
    trimmed = trim_vocabulary(hub.Module(directory=run), texts, tmp_path / "t", min_count=5)
    assert trimmed.entries[1] == 6
    assert "歌" not in (tmp_path / "t" / "vocab.txt").read_text(encoding="utf-8").split()


def test_what_is_unknown_is_counted_as_the_smaller_vocabulary_cuts_it(
    run: Path, tmp_path: Path
) -> None:
    texts = ["雨雨雨歌", "雨雨"]
    for given in (texts, iter(texts)):
        module = hub.Module(directory=run)
        trimmed = trim_vocabulary(module, given, tmp_path / "t", min_count=2, overwrite=True)
        tokenizer = trimmed.module.tokenizer
        ids = [i for text in texts for i in tokenizer.encode([text])[0].input_ids[1:-1]]
        assert trimmed.unknown == ids.count(tokenizer.unk_token_id) / len(ids) == 1 / 6
    # Where every entry stays, what was unknown before is so after.
    trimmed = trim_vocabulary(module, ["雨京𠮷"], tmp_path / "u")
    assert trimmed.unknown == pytest.approx(1 / 3)


def test_half_a_surrogate_pair_in_a_text_is_read_as_the_model_reads_it(
    run: Path, tmp_path: Path
) -> None:
    texts = ["雨\ud83d歌", "票"]
    trimmed = trim_vocabulary(hub.Module(directory=run), texts, tmp_path / "t")
    assert trimmed.texts == 2 and trimmed.unknown == 0
    ids = trimmed.module.tokenizer.encode(texts[:1])[0].input_ids
    assert trimmed.module.tokenizer.tokens(ids[1:-1]) == ["雨", "歌"]


def test_a_vocabulary_of_nothing_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No entry is used 100,000 times"):
        trim_vocabulary(hub.Module(directory=run), TEXTS, tmp_path / "t", min_count=100_000)
    assert not (tmp_path / "t").exists()


def test_words_are_still_cut_as_before(tiny_folder: Path, tmp_path: Path) -> None:
    """Entries that are the beginnings of others, and continuing pieces."""
    from hub.tokenizers import WordPieceTokenizer

    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    entries = list("abcdefgh") + ["##" + c for c in "abcdefgh"] + ["ab", "abc", "##cd", "##de"]
    specials = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
    used = [*specials, *entries]
    rest = module.config.vocab_size - len(used)
    module.tokenizer = WordPieceTokenizer.from_vocabulary(used + [f"x{n}" for n in range(rest)])
    texts = ["abcde abd", "abcd hgf"]
    trimmed = trim_vocabulary(module, texts, tmp_path / "t").module
    for text in texts:
        cut = [
            m.tokenizer.tokens(m.tokenizer.encode([text])[0].input_ids) for m in (module, trimmed)
        ]
        assert cut[0] == cut[1]
    assert np.abs(logits(module, texts) - logits(trimmed, texts)).max() < 1e-5


def test_a_fill_mask_models_vocabulary_is_trimmed_with_its_head(tmp_path: Path) -> None:
    module = hub.Module(name="ernie-pocket-zh", task="fill-mask")
    trimmed = trim_vocabulary(module, TEXTS, tmp_path / "t").module
    assert trimmed.config.vocab_size < 40
    (before,), (after,) = (m.predict(["你[MASK]雨吗"], top_k=900) for m in (module, trimmed))
    kept = [answer["token_str"] for answer in after]
    assert len(kept) > 10
    # The scores of those that stayed are in the same proportions.
    scores = {answer["token_str"]: answer["score"] for answer in before}
    common = [token for token in kept if token in scores]
    ratios = [a["score"] / scores[a["token_str"]] for a in after if a["token_str"] in common]
    assert len(ratios) > 3 and max(ratios) / min(ratios) < 1.001


def test_what_cannot_be_trimmed_is_refused(run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    with pytest.raises(DataError, match="no texts"):
        trim_vocabulary(module, [], tmp_path / "t")
    with pytest.raises(InputError, match="min_count"):
        trim_vocabulary(module, TEXTS, tmp_path / "t", min_count=0)
    with pytest.raises(InputError, match="has no task"):
        trim_vocabulary(hub.Module(directory=tiny_folder), TEXTS, tmp_path / "t")
    (tmp_path / "t").mkdir(exist_ok=True)
    (tmp_path / "t" / "thesis.doc").write_text("x")
    with pytest.raises(OutputError, match="not this package's"):
        trim_vocabulary(module, TEXTS, tmp_path / "t", overwrite=True)


# --- layers and units ----------------------------------------------------------------------------


def test_importance_is_what_a_units_removal_changes_to_first_order(run: Path) -> None:
    module = hub.Module(directory=run)
    data = load_dataset(ROWS, kind="text-classification")
    scores = importance(module, data, 1).units
    layer = module.network.encoder.layers[0].feed_forward
    assert scores.shape == (2, module.config.intermediate_size)
    # A unit whose outgoing weights are zero changes nothing.
    weight = layer.output.weight.numpy()
    weight[7] = 0
    layer.output.weight.set_value(weight)
    assert importance(module, data, 1).units[0, 7] == 0 < np.median(scores[0])


def test_units_that_do_nothing_go_first_and_answers_stay(run: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    size = module.config.intermediate_size
    idle = np.random.default_rng(0).permutation(size)[: size // 2]
    for layer in module.network.encoder.layers:
        weight = layer.feed_forward.output.weight.numpy()
        weight[idle] = 0
        layer.feed_forward.output.weight.set_value(weight)
    data = load_dataset(ROWS, kind="text-classification")
    smaller = prune(module, data, tmp_path / "narrow", width=0.5)
    assert smaller.config.intermediate_size == size - size // 2
    assert np.abs(logits(module, TEXTS) - logits(smaller, TEXTS)).max() < 1e-5


def test_heads_that_do_nothing_go_first_and_answers_stay(run: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    idle = ((0, 2), (1, 3))  # of four heads of six columns
    for layer, heads in zip(module.network.encoder.layers, idle, strict=True):
        weight = layer.attention.output.weight.numpy()
        for head in heads:
            weight[6 * head : 6 * head + 6] = 0
        layer.attention.output.weight.set_value(weight)
    data = load_dataset(ROWS, kind="text-classification")
    scores = importance(module, data, 1).heads
    assert [tuple(np.flatnonzero(row == 0)) for row in scores] == list(idle)
    smaller = prune(module, data, tmp_path / "narrow", heads=2)
    assert smaller.config.num_attention_heads == 2 and smaller.config.head_size == 6
    assert smaller.network.encoder.layers[0].attention.query.weight.shape == [24, 12]
    assert np.abs(logits(module, TEXTS) - logits(smaller, TEXTS)).max() < 1e-5
    # It is kept, pruned further, and exported as it is.
    again = prune(smaller, data, tmp_path / "narrower", heads=1, width=0.5)
    assert hub.Module(directory=tmp_path / "narrower").config == again.config
    size = sum(p.size for p in again.network.encoder.parameters())
    assert size == again.config.parameter_count
    answers = smaller.predict(TEXTS, probabilities=True)
    for engine in ("onnx", "openvino", "paddle"):
        export(smaller, tmp_path / engine, engine)
        exported = hub.Predictor(tmp_path / engine).predict(TEXTS, probabilities=True)
        scores = np.array([[a["score"] for a in said] for said in (answers, exported)])
        assert np.abs(scores[0] - scores[1]).max() < 1e-4


def test_a_model_that_was_trained_with_frozen_layers_is_pruned(run: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    data = load_dataset(ROWS, kind="text-classification")
    Trainer(module, progress=False).finetune_and_eval(ROWS, ROWS, epochs=1, freeze_layers=1)
    frozen = [p.stop_gradient for p in module.network.parameters()]
    assert any(frozen)
    scores = importance(module, data, 1)
    assert [p.stop_gradient for p in module.network.parameters()] == frozen
    module.save(tmp_path / "run")
    wanted = importance(hub.Module(directory=tmp_path / "run"), data, 1)
    assert np.array_equal(scores.heads, wanted.heads)
    assert np.array_equal(scores.units, wanted.units)


def test_layers_go_at_even_distances(run: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    data = load_dataset(ROWS, kind="text-classification")
    smaller = prune(module, data, tmp_path / "shallow", layers=1)
    assert len(smaller.network.encoder.layers) == 1
    ours = smaller.network.encoder.layers[0].attention.query.weight.numpy()
    assert np.array_equal(ours, module.network.encoder.layers[0].attention.query.weight.numpy())


def test_the_chain_of_commands_is_reported_and_recovers(run: Path, tmp_path: Path) -> None:
    data = table(tmp_path / "rows.tsv")
    narrow, final = tmp_path / "narrow", tmp_path / "final"

    def call(*words: str) -> list[dict[str, Any]]:
        result = CliRunner().invoke(cli, ["compress", *words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        steps: list[dict[str, Any]] = json.loads(result.stdout)
        return steps

    call(
        "prune", str(run), str(data), "--width", "0.25", "--dev", str(data), "--output",
        str(narrow), "--epochs", "8", "--learning-rate", "1e-2", "-q",
    )  # fmt: skip
    steps = call(
        "vocab", str(narrow), "--corpus", str(data), "--dev", str(data), "--output", str(final)
    )
    assert [step["what"] for step in steps] == ["start", "prune: width 0.25", "vocab"]
    sizes = [step["parameters"] for step in steps]
    assert sizes[0] > sizes[1] > sizes[2]
    assert steps[0]["megabytes"] > steps[1]["megabytes"] > steps[2]["megabytes"]
    assert steps[1]["value"] == steps[2]["value"] > 0.95
    assert all(step["texts_a_second"] > 0 for step in steps)
    assert json.loads((final / "compression.json").read_text(encoding="utf-8")) == steps
    assert hub.Module(directory=final).predict(["的雨一吗"]) == ["天气"]


def test_what_cannot_be_pruned_is_refused(run: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=run)
    data = load_dataset(ROWS, kind="text-classification")
    for changes, reason in (
        ({"width": 0.0}, "width must be"),
        ({"layers": 3}, "layers must be from 1 to the model's 2"),
        ({"heads": 0}, "heads must be from 1 to the model's 4"),
        ({}, "Nothing would be taken out"),
    ):
        with pytest.raises(InputError, match=reason):
            prune(module, data, tmp_path / "t", **changes)


# --- a teacher -----------------------------------------------------------------------------------


def test_the_teachers_loss_is_the_divergence_at_the_temperature() -> None:
    draw = np.random.default_rng(1)
    ours, theirs = draw.normal(size=(2, 6, 3)).astype(np.float32)

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)

    p, q = softmax(theirs / 3), softmax(ours / 3)
    wanted = 9 * (p * np.log(p / q)).sum(-1).mean()
    assert float(divergence_from(paddle.to_tensor(ours), theirs, 3.0)) == pytest.approx(
        wanted, rel=1e-4
    )
    assert float(divergence_from(paddle.to_tensor(theirs), theirs, 3.0)) < 1e-6


def test_each_label_by_itself_counts_in_the_teachers_loss_as_in_the_labels() -> None:
    draw = np.random.default_rng(1)
    ours, theirs = draw.normal(size=(2, 6, 40)).astype(np.float32)
    p, q = (1 / (1 + np.exp(-x / 3)) for x in (theirs, ours))
    wanted = 9 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    found = float(divergence_from(paddle.to_tensor(ours), theirs, 3.0, several=True))
    assert found == pytest.approx(wanted, rel=1e-3)


def test_a_student_learns_what_labels_alone_do_not_say(
    run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """Three labelled rows, and many without labels: the student ends near the teacher."""
    teacher = hub.Module(directory=run, max_seq_len=24, long_text="window")
    lines: list[str] = []
    distil(
        teacher, str(tiny_folder), load_dataset(ROWS[:3], kind="text-classification"),
        tmp_path / "student", dev=ROWS[-30:], unlabelled=TEXTS,
        changes={"epochs": 10, "learning_rate": 1e-2, "batch_size": 16}, progress=False,
        say=lines.append,
    )  # fmt: skip
    # Those with labels are learned as they are, and those that are measured with not at all.
    assert f"taught    {len(TEXTS) - 33} texts" in "\n".join(lines)
    student = hub.Module(directory=tmp_path / "student")
    assert (student.max_seq_len, student.long_text) == (24, "window")  # as much as its teacher
    answers = np.array([student.predict(TEXTS), teacher.predict(TEXTS)])
    alike = (answers[0] == answers[1]).mean()
    assert alike > 0.9
    # Nearer to the teacher's logits than training on labels alone comes.
    alone = hub.Module(directory=tiny_folder, task="seq-cls", label_map=student.task.labels)
    Trainer(alone, progress=False).finetune_and_eval(
        ROWS, ROWS[-30:], epochs=10, learning_rate=1e-2, batch_size=16
    )
    theirs = logits(teacher, TEXTS)
    apart = [float(np.abs(logits(m, TEXTS) - theirs).mean()) for m in (student, alone)]
    assert apart[0] < apart[1]


def test_texts_that_are_measured_with_are_not_taught(run: Path, tmp_path: Path) -> None:
    teacher = hub.Module(directory=run)
    labelled = load_dataset(ROWS[:100], kind="text-classification")
    unlabelled = [f" {text} " for text in TEXTS]
    counts = []
    for name, dev in (("aside", None), ("given", ROWS[-30:])):
        rows = distil(
            teacher, "1x12", labelled, tmp_path / name, dev=dev, unlabelled=unlabelled,
            changes={"max_steps": 1}, progress=False, say=ignore,
        ).summary["rows"]  # fmt: skip
        counts.append((rows["train"], rows["dev"]))
    # Every text is learned from or measured with.
    (aside, tenth), (given, thirty) = counts
    assert aside == len(TEXTS) - tenth and tenth > 0
    assert given == len(TEXTS) - thirty and thirty == 30


def test_a_students_new_weights_are_those_of_the_seed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = hub.Module(directory=run)
    begun: list[np.ndarray] = []

    def taught(*arguments: Any, model: str, **options: Any) -> None:
        student = hub.Module(directory=Path(model))
        begun.append(student.network.encoder.layers[0].attention.query.weight.numpy())

    monkeypatch.setattr(distillation, "finetune", taught)
    for seed in (1, 2, 1):
        distil(
            teacher, "1x12", load_dataset(ROWS), tmp_path / "s", dev=ROWS, changes={"seed": seed}
        )
    assert np.array_equal(begun[0], begun[2]) and not np.array_equal(begun[0], begun[1])


def test_a_teacher_of_something_else_is_refused(
    run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    teacher = hub.Module(directory=run)
    other = load_dataset([("雨", "是"), ("歌", "否")], kind="text-classification")
    with pytest.raises(InputError, match="knows other labels"):
        distil(teacher, str(tiny_folder), other, tmp_path / "s", progress=False)
    encoder = hub.Module(directory=tiny_folder)
    rows = load_dataset(ROWS, kind="text-classification")
    with pytest.raises(InputError, match="was not fine-tuned"):
        distil(encoder, str(tiny_folder), rows, tmp_path / "s", progress=False)
    with pytest.raises(InputError, match="weight is from 0 to 1"):
        distil(teacher, str(tiny_folder), rows, tmp_path / "s", weight=2.0, progress=False)
