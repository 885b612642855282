"""Checkpoints of a run in progress: complete or absent, and enough to go on exactly.

checkpoint/
  latest.json         names the newest complete one
  step-120/           weights, optimizer, state.json
  step-90/            the one before it
  best.safetensors    the weights with the best dev metric so far
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.numpy

from hub.backend import paddle
from hub.constants import BEST_WEIGHTS_FILE
from hub.errors import ModelError, OtherRunError, OutputError, TrainingError
from hub.files import write_text, write_whole
from hub.models.ernie import dropout
from hub.models.ernie.formats import read_safetensors
from hub.training.sharding import Shares
from hub.training.state import TrainingState

logger = logging.getLogger(__name__)

_LATEST = "latest.json"
_STATE = "state.json"
_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_MORE = "more.safetensors"
_SCHEDULER_KEY = "LR_Scheduler"
_LEFT_OUT = object()
# What earlier versions did not write into a run's identity.
_LATER = {"shape", "task options"}


class _DamagedError(Exception):
    """A checkpoint cannot be read."""


class Companion(Protocol):
    """What else a checkpoint holds: see `hub.training.update.Update`.

    Attributes:
        shares: where several processes keep the optimizer's state, which of them keeps what.
    """

    shares: Shares | None

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays, and what JSON can hold."""

    def set_state(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        """Continue from what `get_state` gave."""


class CheckpointStore:
    """The checkpoint folder of one run.

    Args:
        folder: where; made at the first save.
        identity: what the run is made from (arguments, data, model); a checkpoint of another
            identity is refused.
        keep: how many checkpoints are kept, the newest included; where that is damaged, the one
            before it is gone on from.
        writes: whether this process writes; of several that train together only one does.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], keep: int = 2, writes: bool = True
    ) -> None:
        self.writes = writes
        self.keep = keep
        self.folder = folder
        self.identity = identity

    # --- the run ---------------------------------------------------------------------------------

    def save(
        self,
        network: paddle.nn.Layer,
        optimizer: paddle.optimizer.Optimizer,
        state: TrainingState,
        companion: Companion | None = None,
    ) -> None:
        """Write a checkpoint aside, sync it, make it the latest, then delete the one before.

        Processes that share the optimizer's state all call it at the same step.

        Raises:
            OutputError: it cannot be written; the last good checkpoint is untouched.
            TrainingError: a weight is not a number; the same.
            LostWorkerError: a process that had a share has ended; the same.
        """
        shares = None if companion is None else companion.shares
        if not self.writes:
            if shares is not None:
                shares.collect(_optimizer_tensors(network, optimizer)[0])
            return
        name = self._free_name(state.step)
        temporary = self.folder / f".{name}.{os.getpid()}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            # One after the other, so that two copies of everything are never in memory.
            weights = copy_weights(network)
            check_finite(weights, state.step)
            _save_arrays(weights, temporary / _WEIGHTS)
            del weights
            tensors, scheduler = _optimizer_tensors(network, optimizer)
            arrays = _copies(tensors) if shares is None else shares.collect(tensors)
            _save_arrays(arrays, temporary / _OPTIMIZER)
            del arrays
            more_arrays, more = ({}, {}) if companion is None else companion.get_state()
            if more_arrays:
                _save_arrays(more_arrays, temporary / _MORE)
            content = {
                "identity": self.identity,
                "state": state.to_dict(),
                "scheduler": scheduler,
                "dropout": dropout.get_state(),
                "more": more,
            }
            write_text(temporary / _STATE, json.dumps(content, ensure_ascii=False))
            temporary.replace(self.folder / name)
            write_text(self.folder / _LATEST, json.dumps({"name": name}))
        except TrainingError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        except (OSError, safetensors.SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise OutputError(
                f"The checkpoint at step {state.step} could not be written to {self.folder}: "
                f"{error}. "
                + ("The one before is intact." if self.exists() else "There is none before it.")
            ) from error
        self._remove_old(name)

    def _remove_old(self, newest: str) -> None:
        """Delete all checkpoints but the newest `keep`, and what killed processes left."""
        whole = [path for path in self.folder.glob("step-*") if path.name != newest]
        whole.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in (*whole[self.keep - 1 :], *self.folder.glob(".step-*")):
            shutil.rmtree(path, ignore_errors=True)

    def _free_name(self, step: int) -> str:
        """A name no other checkpoint has: the same step may be saved twice, ending an epoch."""
        for count in itertools.count(1):
            name = f"step-{step}" if count == 1 else f"step-{step}-{count}"
            if not (self.folder / name).exists():
                return name
        raise AssertionError("unreachable")

    def load(
        self,
        network: paddle.nn.Layer,
        optimizer: paddle.optimizer.Optimizer,
        companion: Companion | None = None,
    ) -> TrainingState:
        """Put the latest checkpoint into network, optimizer and companion, and return where the run
        stood.

        Raises:
            TrainingError: there is none, or it is damaged.
            OtherRunError: it belongs to a run with other arguments or data.
        """
        try:
            latest = json.loads((self.folder / _LATEST).read_text(encoding="utf-8"))["name"]
        except FileNotFoundError:
            raise TrainingError(
                f"{self.folder} holds no checkpoint to resume from: start without --resume."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{self.folder / _LATEST} is damaged ({type(error).__name__}: {error})."
            ) from error
        others = [path for path in self.folder.glob("step-*") if path.name != latest]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for number, name in enumerate([latest, *(path.name for path in others)]):
            try:
                return self._load(name, network, optimizer, companion)
            except _DamagedError as error:
                if number == len(others):
                    raise TrainingError(str(error)) from error
                logger.warning("%s The one before it is taken.", error)
        raise AssertionError("unreachable")

    def _load(
        self,
        name: str,
        network: paddle.nn.Layer,
        optimizer: paddle.optimizer.Optimizer,
        companion: Companion | None,
    ) -> TrainingState:
        try:
            content = json.loads((self.folder / name / _STATE).read_text(encoding="utf-8"))
            identity, state = content["identity"], TrainingState(**content["state"])
            scheduler, stream = content["scheduler"], content["dropout"]
            weights = read_safetensors(self.folder / name / _WEIGHTS)
            arrays = read_safetensors(self.folder / name / _OPTIMIZER)
            more_path = self.folder / name / _MORE
            more_arrays = read_safetensors(more_path) if more_path.exists() else {}
        except (OSError, ValueError, KeyError, TypeError, ModelError) as error:
            raise _DamagedError(
                f"The checkpoint {name} in {self.folder} is damaged ({type(error).__name__}: "
                f"{error})."
            ) from error
        changed = _changes(identity, self.identity) or _other_weights(network, weights)
        if changed:
            raise OtherRunError(
                f"The checkpoint in {self.folder} is of another run: {'; '.join(changed)}. "
                "Resume with the same arguments and data, or start again: --overwrite instead of "
                "--resume."
            )
        set_weights(network, weights)
        shares = None if companion is None else companion.shares
        kept = dict(network.named_parameters()) if shares is None else shares.own
        _restore_optimizer(kept, optimizer, arrays, scheduler)
        dropout.set_state(stream)
        if companion is not None:
            companion.set_state(more_arrays, content.get("more", {}))
        return state

    def exists(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return (self.folder / _LATEST).exists()

    # --- the best weights ------------------------------------------------------------------------

    def save_best(self, weights: dict[str, np.ndarray]) -> None:
        """Keep the weights with the best dev metric.

        Raises:
            OutputError: they cannot be written.
        """
        if not self.writes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _save_arrays(weights, self.folder / BEST_WEIGHTS_FILE)
        except (OSError, safetensors.SafetensorError) as error:
            raise OutputError(
                f"The best weights could not be written to {self.folder}: {error}."
            ) from error

    def load_best(self) -> dict[str, np.ndarray]:
        """The weights that `save_best` kept."""
        return read_safetensors(self.folder / BEST_WEIGHTS_FILE)

    def remove(self) -> None:
        """Delete the folder: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _changes(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """How a run's identity differs from a checkpoint's, in words."""
    changed = []
    for key, value in now.items():
        before = was.get(key)
        if before == value or (key in _LATER and key not in was):
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            changed += _changes(before, value)
        else:
            changed.append(f"{key} was {before!r} and is {value!r}")
    return changed


def _other_weights(network: paddle.nn.Layer, weights: dict[str, np.ndarray]) -> list[str]:
    """How a network's parameters differ from a checkpoint's by name or shape, in words."""
    now = {name: list(parameter.shape) for name, parameter in network.named_parameters()}
    was = {name: list(value.shape) for name, value in weights.items()}
    odd = next((name for name in {**now, **was} if was.get(name) != now.get(name)), None)
    return [] if odd is None else [f"the shape of {odd} was {was.get(odd)} and is {now.get(odd)}"]


def check_finite(weights: dict[str, np.ndarray], step: int) -> None:
    """See that what is kept can be gone on from.

    Raises:
        TrainingError: a weight is not a number.
    """
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise TrainingError(
                f"After step {step} {name} holds values that are not numbers: the run diverged. It "
                "was not saved; lower the learning rate."
            )


def copy_weights(network: paddle.nn.Layer) -> dict[str, np.ndarray]:
    """The network's parameters, copied out of it."""
    return _copies(dict(network.named_parameters()))


def _copies(tensors: dict[str, paddle.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def set_weights(network: paddle.nn.Layer, weights: dict[str, np.ndarray]) -> None:
    """Put weights that `copy_weights` gave back into the network."""
    for name, parameter in network.named_parameters():
        parameter.set_value(weights[name])


def _save_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    write_whole(path, lambda p: safetensors.numpy.save_file(arrays, p))


def _optimizer_tensors(
    network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer
) -> tuple[dict[str, paddle.Tensor], dict[str, Any] | None]:
    """The optimizer's tensors under names that the next process knows as well.

    Paddle names them after its parameters' own names ("linear_3.w_0_moment1_0"), which count the
    layers made in this process; here they are named after the network's structure.
    """
    values = dict(optimizer.state_dict())
    scheduler = values.pop(_SCHEDULER_KEY, None)
    values.pop("master_weights", None)
    names = {parameter.name: name for name, parameter in network.named_parameters()}
    tensors = {}
    for key, value in values.items():
        owner = max((n for n in names if key.startswith(f"{n}_")), key=len, default=None)
        if owner is not None:
            tensors[f"{names[owner]}|{key[len(owner) :]}"] = value
    return tensors, None if scheduler is None else _plain(scheduler)


def _plain(value: Any) -> Any:
    """What JSON can hold of a scheduler's state; schedulers may hold schedulers."""
    if isinstance(value, dict):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, int | float | str | None) else _LEFT_OUT


def _restore_optimizer(
    kept: dict[str, paddle.Tensor],
    optimizer: paddle.optimizer.Optimizer,
    arrays: dict[str, np.ndarray],
    scheduler: dict[str, Any] | None,
) -> None:
    """Give the optimizer its state of the parameters `kept`."""
    values: dict[str, Any] = {}
    for key, array in arrays.items():
        owner, _, suffix = key.partition("|")
        if owner in kept:
            values[kept[owner].name + suffix] = paddle.to_tensor(array)
    if scheduler is not None:
        values[_SCHEDULER_KEY] = scheduler
    optimizer.set_state_dict(values)
