"""Steps whose loss or gradients are not numbers: named and kept with their texts, and left out if
that is asked for."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path

import numpy as np

from hub.errors import TrainingError
from hub.files import write_text
from hub.tasks.encoded_passages import EncodedPassages

logger = logging.getLogger(__name__)

# Steps in a row that may be left out.
_MOST = 3
_SHOWN = 8


class NonFiniteGradientsError(TrainingError):
    """The gradients' norm is not a number; no weight has been changed by them.

    Attributes:
        norm: infinity or not a number.
    """

    def __init__(self, norm: float) -> None:
        super().__init__(
            f"The norm of the gradients is {norm}: the run diverged. Lower the learning rate."
        )
        self.norm = norm


class NonFiniteSteps:
    """Decides what becomes of such steps.

    Args:
        passages: the training texts.
        is_skipped: leave such a step out; three in a row stop the run all the same.
        folder: where the texts of a step that stops the run are written; None is nowhere.
    """

    def __init__(self, passages: EncodedPassages, is_skipped: bool, folder: Path | None) -> None:
        self._passages = passages
        self._is_skipped = is_skipped
        self._folder = folder
        self._in_a_row = 0

    def passed(self) -> None:
        """A step was as it should be."""
        self._in_a_row = 0

    def refuse(
        self, what: str, value: float, step: int, windows: np.ndarray, learning_rate: float
    ) -> None:
        """Stop at a step, or leave it out if that is asked for.

        Args:
            what: what of the step is not a number: its "loss" or its "gradient norm".
            value: what it is.
            step: its number, from 1.
            windows: the numbers of the windows that it learned from.
            learning_rate: its learning rate.

        Raises:
            TrainingError: it stops.
        """
        self._in_a_row += 1
        rows = list(dict.fromkeys(self._passages.rows_of(windows).tolist()))
        shown = ", ".join(str(row + 1) for row in rows[:_SHOWN])
        if len(rows) > _SHOWN:
            shown += ", ..."
        told = f"The {what} of step {step} is {value} (rows {shown} of the training data)"
        if self._is_skipped and self._in_a_row < _MOST:
            logger.warning("%s: the step is left out.", told)
            return
        kept = self._keep(step, rows)
        where = f" Its texts are in {kept}." if kept else ""
        raise TrainingError(
            f"{told}: the run diverged. Lower the learning rate ({learning_rate:.1e}).{where}"
        )

    def _keep(self, step: int, rows: list[int]) -> Path | None:
        """Write the step's texts, one a line; the file, if it could be written."""
        if self._folder is None:
            return None
        path = self._folder / f"nonfinite-step-{step}.jsonl"
        lines = [{"row": row + 1, "text": self._passages.texts[row]} for row in rows]
        with suppress(OSError):  # the run's error is the news
            self._folder.mkdir(parents=True, exist_ok=True)
            # Half a surrogate pair, which a text may hold, is no UTF-8: JSON's escapes are.
            write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
            return path
        return None
