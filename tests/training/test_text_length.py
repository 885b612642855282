"""How many tokens are read where nobody says it: 128, or 256 where that cuts many texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hub
from hub.training import text_length
from hub.training.arguments import TrainingArguments
from hub.training.text_length import fitting_length
from hub.training.trainer import Trainer

SHORT, LONG = "很好", "不" * 200


def texts(long: int, of: int = 100) -> list[str]:
    return [LONG] * long + [SHORT] * (of - long)


def module(**options: Any) -> hub.Module:
    return hub.Module(name="ernie-pocket-zh", task="seq-cls", label_map=["差", "好"], **options)


def length_of(subject: hub.Module, data: list[str], long_text: str = "cut", **changes: Any) -> int:
    return fitting_length(subject, data, long_text, TrainingArguments(**changes))


def test_more_is_read_where_more_than_a_twentieth_would_be_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = module()
    with caplog.at_level("INFO"):
        assert length_of(subject, texts(5)) == 128
        assert not caplog.messages
        assert length_of(subject, texts(6)) == 256
    assert caplog.messages == [
        "6 % of the training texts are longer than 128 tokens: 256 are read (max_seq_len)."
    ]


def test_a_sample_of_many_texts_decides() -> None:
    subject = module()
    # A file that is sorted by length: its beginning is not like the whole.
    assert length_of(subject, texts(4_000, of=50_000)[::-1]) == 256
    assert length_of(subject, texts(2_000, of=50_000)) == 128


def test_what_was_said_stays(tmp_path: Path) -> None:
    assert length_of(module(max_seq_len=128), texts(50)) == 128
    assert length_of(module(), texts(50), long_text="window") == 128
    module().save(tmp_path / "tuned")
    tuned = hub.Module(directory=tmp_path / "tuned")
    assert length_of(tuned, texts(50)) == 128


def test_a_step_that_would_not_fit_into_a_small_machine_keeps_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = module()
    assert length_of(subject, texts(50), batch_size=128) == 128
    assert length_of(subject, texts(50), batch_size=128, micro_batch_size=32) == 256
    monkeypatch.setattr(text_length, "_MOST_MEMORY", 10**9)
    assert length_of(subject, texts(50)) == 128


def test_a_model_of_few_positions_reads_what_it_can(tiny_folder: Path) -> None:
    tiny = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["差", "好"])
    assert length_of(tiny, texts(50)) == 64


def test_a_run_reads_and_keeps_the_length(tmp_path: Path) -> None:
    rows = [("好" * 150, "好"), ("差" * 150, "差")] * 4
    subject = Trainer(module(), arguments=TrainingArguments(max_steps=1), progress=False)
    subject.train(rows)
    assert subject.module.max_seq_len == 256
    subject.module.save(tmp_path / "run")
    assert hub.Module(directory=tmp_path / "run").max_seq_len == 256
    # Once trained, a module goes on as it began.
    subject.train([("好", "好"), ("差", "差")])
    assert subject.module.max_seq_len == 256
    told = Trainer(
        module(), arguments=TrainingArguments(max_steps=1, max_seq_len=100), progress=False
    )
    told.train(rows)
    assert told.module.max_seq_len == 100
