"""A folder belongs to one run at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.errors import OutputError
from hub.registry.locks import alone
from hub.training.callbacks import Callback
from hub.training.finetune import finetune
from hub.training.output_folder import occupied

Rows = list[tuple[str, str]]


class Second(Callback):
    """Begins another run in the same folder when this one is at its second step."""

    def __init__(self, begin: Any) -> None:
        self.begin, self.refusal = begin, ""

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        if state.step == 2:
            with pytest.raises(OutputError) as caught:
                self.begin(changes={"seed": 2})
            self.refusal = str(caught.value)


def test_two_runs_do_not_write_into_one_folder(
    tiny_folder: Path, toy_train: Rows, toy_dev: Rows, tmp_path: Path
) -> None:
    def begin(changes: dict[str, Any], **more: Any) -> Any:
        return finetune(
            toy_train, tmp_path / "run", dev=toy_dev, model=str(tiny_folder),
            changes={"epochs": 1, "batch_size": 8, **changes}, progress=False, **more,
        )  # fmt: skip

    second = Second(begin)
    result = begin({"seed": 1}, callbacks=[second])
    assert "Another command is writing into" in second.refusal and "--output" in second.refusal
    assert result.summary["arguments"]["seed"] == 1
    assert not (tmp_path / "run" / ".lock").exists()
    # What a killed run leaves hinders nobody.
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".lock").touch()
    with occupied(tmp_path / "killed", False, False, True):
        pass


def test_a_model_that_another_run_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "hub.json").touch()
    with (
        pytest.raises(OutputError, match="already holds a model"),
        occupied(tmp_path, False, False, True),
    ):
        pytest.fail("the folder was another's")
    with (
        occupied(tmp_path, False, True, True),
        pytest.raises(OutputError, match="no"),
        alone(tmp_path / ".lock", "no"),
    ):
        pytest.fail("the lock was another's")
    with occupied(tmp_path, False, False, False):  # a process that does not write
        pass
