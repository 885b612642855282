"""Kinds of parameters that several commands take: tasks, metrics, models and data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from hub.constants import CHECKPOINT_DIRECTORY, CONFIG_FILE, MANIFEST_FILE
from hub.errors import InputError

if TYPE_CHECKING:
    _Text = click.ParamType[str]
else:  # click is generic since 8.2
    _Text = click.ParamType

# What stands in `--help`: the names that are stored. `hub.tasks`, which knows every spelling, takes
# half a second to load and is asked only for what was typed.
LEARNED_TASKS = (
    "text-classification",
    "text-matching",
    "multi-label-classification",
    "token-classification",
    "intent-slots",
)
# What a pretrained model can be asked without labels.
PRETRAINED_TASKS = ("fill-mask", "sentence-embedding")
# A spelling that says more than the task's name: that there are two texts.
_OF_PAIRS = "text-matching"


class TaskName(_Text):
    """A task by any of its spellings, such as `ner` or `seq_cls`.

    Args:
        names: those that the command can use.
    """

    name = "task"

    def __init__(self, *names: str) -> None:
        self.names = names

    @property
    def metavar(self) -> str:
        """The names, for `--help`."""
        return f"[{'|'.join(self.names)}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from hub.tasks import TASK_NAMES, task_name

        spelling = value.strip().lower().replace("_", "-")
        if TASK_NAMES.get(spelling) not in self.names:
            others = [n for n in TASK_NAMES if TASK_NAMES[n] in self.names and n not in self.names]
            self.fail(
                f"{value!r} is none of {', '.join(self.names)} (also called {', '.join(others)}).",
                param,
                ctx,
            )
        return spelling if spelling == _OF_PAIRS else task_name(spelling)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names if name.startswith(incomplete)]


class MetricName(_Text):
    """A metric as it is stored or as it is printed: `macro_f1`, `macro-F1`."""

    name = "metric"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from hub.tasks.base import metric_name

        return metric_name(value)


class ModelName(_Text):
    """A model's folder or its name.

    Raises:
        InputError: the folder is that of a run that was not finished.
    """

    name = "model"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        check_is_finished(Path(value))
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from hub.registry import list_models
        from hub.registry.store import Store

        # Shells look for folders first, and add names to them or show these instead.
        found = [CompletionItem(incomplete, type="dir")]
        names = {entry.name: entry.summary for entry in list_models()}
        names |= {f"{m.name}@{m.version}": m.manifest.task or "" for m in Store().models()}
        found += [
            CompletionItem(name, help=summary)
            for name, summary in names.items()
            if name.startswith(incomplete.replace("_", "-"))
        ]
        return found


class RunFolder(click.Path):
    """The folder of a fine-tuned model.

    Raises:
        InputError: there is no such folder, or it is that of a run that was not finished.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        folder = Path(value)
        if not folder.is_dir():
            raise InputError(
                f"There is no folder {folder}: give the folder of a fine-tuned model, as "
                "`hub finetune --output` writes it. A name is not taken here."
            )
        check_is_finished(folder)
        return folder


class DataName(_Text):
    """A data file, a folder of `datasets`, or the name of a known data set."""

    name = "data"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def check_is_finished(folder: Path) -> None:
    """See that a folder that shall be used as a model is not that of a run in progress.

    Raises:
        InputError: it is.
    """
    if not (folder / CHECKPOINT_DIRECTORY).is_dir():
        return
    if not any((folder / name).exists() for name in (MANIFEST_FILE, CONFIG_FILE)):
        raise InputError(
            f"{folder} is an unfinished run: it holds checkpoints and no model yet. Repeat the "
            "command that began it with --resume, and use the folder when that has ended."
        )
