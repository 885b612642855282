"""A run's clock, and its checkpoints: when one is due, and how a run ends before its last step."""

from __future__ import annotations

import time
from typing import NoReturn

from hub.training.checkpoints import CheckpointStore
from hub.training.parallel import LostWorkerError, lost_worker
from hub.training.signals import interruption
from hub.training.state import TrainingState
from hub.training.update import Update


class Keeper:
    """What fine-tuning and pretraining do alike to lose nothing.

    Args:
        state: where the run stands; its seconds go on from here.
        update: changes the weights.
        store: where the run is kept, if anywhere.
        every_minutes: how often.
    """

    def __init__(
        self,
        state: TrainingState,
        update: Update,
        store: CheckpointStore | None,
        every_minutes: float,
    ) -> None:
        self._state = state
        self._update = update
        self._store = store
        self._every_s = 60 * every_minutes
        self._started = time.monotonic() - state.seconds
        self._saved = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved > self._every_s

    def note_time(self) -> None:
        """Bring the state's seconds up to now."""
        self._state.seconds = time.monotonic() - self._started

    def save(self) -> None:
        """Write a checkpoint, if the run is kept."""
        if self._store is None:
            return
        self.note_time()
        update = self._update
        self._store.save(update.network, update.optimizer, self._state, update)
        self._saved = time.monotonic()

    def give_up(self, error: LostWorkerError) -> NoReturn:
        """Keep what was learned before a step that another process did not finish.

        Where that process had a share of it, the last checkpoint is what there is.

        Raises:
            LostWorkerError: always; it says how to go on.
        """
        self._update.optimizer.clear_grad()
        if self._update.shares is None:
            self.save()
        is_kept = self._store is not None and self._store.exists()
        raise lost_worker(error, self._state.step, self._state.total_steps, is_kept)

    def stop(self, signal_number: int) -> NoReturn:
        """Keep the run, and end it as a signal asks.

        Raises:
            TrainingInterrupted: always; it says how to go on.
        """
        self.save()
        folder = None if self._store is None else self._store.folder
        raise interruption(signal_number, self._state.step, self._state.total_steps, folder)
