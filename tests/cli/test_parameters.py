"""Tasks, metrics, models and data as a user may write them, and as a shell completes them."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from hub.cli.main import cli
from hub.cli.parameters import LEARNED_TASKS, PRETRAINED_TASKS
from hub.registry import list_models
from hub.tasks import TASK_NAMES, TASKS, LabelledTask
from hub.tasks.base import metric_title
from hub.training.arguments import TrainingArguments
from hub.training.tuning import TECHNIQUES
from tests.cli.conftest import Hub

LEARNED = {"finetune": ["x"], "tune": ["x"], "data check": ["x"], "data convert": ["x", "y"]}
WRITERS = ("finetune", "tune", "export", "compress prune", "compress distil")
OUTPUT = {path: ["-o", "o"] for path in WRITERS}
COMPRESS = {  # of a folder that is there
    "compress prune": [".", "x"],
    "compress quantize": [".", "x", "--dev", "x", "-o", "o"],
    "compress distil": [".", "x", "--student", "s"],
}
GIVEN = {**LEARNED, "predict": ["m"], "export": ["m"], "serve": ["m"], "serving start": ["-m", "m"]}


def understood(path: str, *arguments: str) -> dict[str, Any]:
    """The parameters of a `hub` command; click's error for what it cannot read."""
    command: click.Command = cli
    context = cli.make_context("hub", ["env"])
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    words = [*{**GIVEN, **COMPRESS}[path], *OUTPUT.get(path, []), *arguments]
    return command.make_context(path, words, parent=context).params


# --- tasks and metrics ---------------------------------------------------------------------------


def test_help_shows_every_task() -> None:
    assert {TASK_NAMES[name] for name in LEARNED_TASKS} == {
        task.name for task in TASKS.values() if issubclass(task, LabelledTask)
    }
    assert {*LEARNED_TASKS, *PRETRAINED_TASKS} == {*TASKS, "text-matching"}


@pytest.mark.parametrize("path", GIVEN)
def test_a_task_is_taken_by_every_name_where_it_is_of_use(path: str) -> None:
    usable = {
        *(LEARNED_TASKS if path in LEARNED or path == "predict" else ()),
        *(PRETRAINED_TASKS if path not in LEARNED else ()),
    }
    option = "kind" if path.startswith("data ") else "task"
    for spelling, name in TASK_NAMES.items():
        for given in (spelling, spelling.upper().replace("-", "_")):
            if name in usable:
                # That there are two texts is more than the task's name says.
                wanted = spelling if spelling == "text-matching" else name
                assert understood(path, f"--{option}", given)[option] == wanted
            else:
                with pytest.raises(click.BadParameter, match="is none of"):
                    understood(path, f"--{option}", given)
    with pytest.raises(click.BadParameter, match=r"'nre' is none of .*also called"):
        understood(path, f"--{option}", "nre")


def test_metrics_are_taken_as_they_are_printed() -> None:
    for task in TASKS.values():
        for name in task.metric_names if issubclass(task, LabelledTask) else ():
            for spelling in (name, metric_title(name), metric_title(name).lower()):
                assert understood("finetune", "--metric", spelling)["metric"] == name
                assert understood("tune", "--metric", spelling)["metric"] == name


@pytest.mark.parametrize("path", ["finetune", "tune", *COMPRESS])
def test_the_learning_rate_has_a_short_name(path: str) -> None:
    assert understood(path, "--lr", "1e-4")["learning_rate"] == 1e-4


def test_every_setting_of_a_run_is_an_option() -> None:
    settings = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert settings <= understood("finetune").keys()
    given = understood(
        "finetune", "--weight-decay", "0", "--eval-batch-size", "8", "--warmup-ratio", "0.2",
        "--max-grad-norm", "0",
    )  # fmt: skip
    TrainingArguments().with_changes(**{name: given[name] for name in settings})
    assert (given["weight_decay"], given["warmup_ratio"], given["max_grad_norm"]) == (0, 0.2, 0)


def test_what_a_search_tries_can_be_given() -> None:
    tried = {name for changes in TECHNIQUES.values() for name in changes}
    wanted = {"learning_rate", "epochs", "batch_size", "dropout", "precision", "class_weights"}
    assert {*tried, *wanted, "long_text"} <= understood("tune").keys()
    given = understood(
        "tune", "--dropout", "0", "--r-drop", "2", "--precision", "bf16", "--long-text", "window"
    )
    assert (given["dropout"], given["r_drop"]) == (0, 2)
    assert (given["precision"], given["long_text"]) == ("bf16", "window")


# --- models and data -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "predict {} 你好",
        "evaluate {} test.tsv",
        "export {} -o out",
        "embed {} test.txt -o v.npy",
        "finetune train.tsv --model {} -o out",
        "serve travel@1={} --port 0",
        "register {} --name travel --version 1.0.0",
        "compress vocab {} --corpus train.tsv -o out",
    ],
)
def test_an_unfinished_run_is_called_so(hub: Hub, tmp_path: Path, words: str) -> None:
    (tmp_path / "runs" / "x" / "checkpoint" / "step-7").mkdir(parents=True)
    code, _, err = hub(*words.format("runs/x").split())
    assert code == 2
    assert "runs/x is an unfinished run" in err and "--resume" in err


@pytest.mark.parametrize(
    "words",
    [
        "vocab {} --corpus train.tsv",
        "prune {} train.tsv --width 0.5",
        "quantize {} train.tsv --dev dev.tsv",
        "distil {} train.tsv --student 2x64",
    ],
)
def test_only_a_fine_tuned_folder_is_made_smaller(hub: Hub, words: str) -> None:
    words = words.format("ernie-pocket-zh")
    code, _, err = hub("compress", *words.split(), "--output", "out")
    assert code == 2 and "There is no folder ernie-pocket-zh" in err
    assert "fine-tuned model" in err and not Path("out").exists()


@pytest.mark.parametrize("words", ["finetune fewclue_tnew -o out", "data check FewCLUE-tnew"])
def test_a_data_sets_name_that_is_near_is_proposed(hub: Hub, words: str) -> None:
    code, _, err = hub(*words.split())
    assert code == 2 and "Did you mean fewclue_tnews? `hub data list` shows all." in err
    assert "There is no file none.tsv" in hub("data", "check", "none.tsv")[2]


def test_what_tracks_a_run_is_looked_for_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "visualdl", None)  # as if it were not installed
    code, _, err = hub("finetune", "none.tsv", "-o", "out", "--track", "visualdl")
    assert code == 1
    assert err == (
        "Error: --track visualdl needs the package 'visualdl'. Install it with: "
        "pip install 'ernie-hub[track]'\n"
    )
    assert "no file none.tsv" in hub("finetune", "none.tsv", "-o", "o", "--track", "tensorboard")[2]


# --- PaddleHub's commands ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("run lac --input_text 今天", "`hub predict MODEL TEXT`"),
        ("version", "`hub --version`"),
        ("clear", "`hub cache clean`"),
        ("help", "`hub --help`"),
        ("serving stop -p 8866", "Ctrl-C"),
    ],
)
def test_paddlehubs_commands_lead_to_those_here(hub: Hub, words: str, advice: str) -> None:
    code, _, err = hub(*words.split())
    assert code == 2 and advice in err


# --- completion ----------------------------------------------------------------------------------


def complete(line: str) -> list[str]:
    """What bash proposes for the last word of a line, by the script that the READMEs name."""
    program = Path(sys.executable).with_name("hub")
    bash = shutil.which("bash")
    assert bash and program.exists()
    words = line.split(" ")
    script = (
        f'PATH="{program.parent}:$PATH"; eval "$(_HUB_COMPLETE=bash_source hub)"; '
        "compopt() { :; }; "  # it is known while bash completes a line only
        f"COMP_WORDS=({' '.join(word or repr('') for word in words)}); "
        f'COMP_CWORD={len(words) - 1}; _hub_completion hub; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_shell_completes_commands_options_tasks_and_models() -> None:
    assert complete("hub fine") == ["finetune"]
    assert complete("hub data ch") == ["check"]
    assert complete("hub finetune train.tsv --lay") == ["--layer-decay"]
    assert complete("hub finetune train.tsv --task tok") == ["token-classification"]
    names = {entry.name for entry in list_models()}
    assert set(complete("hub predict ernie_3.0_n")) == {n for n in names if "ernie-3.0-n" in n}
    assert set(complete("hub ")) >= {"finetune", "serve", "env"}


def test_completion_loads_nothing_that_takes_long() -> None:
    code = (
        "import sys; from hub.cli.main import cli; from hub.cli.predict import predict_command;"
        "from click.shell_completion import ShellComplete;"
        "complete = ShellComplete(cli, {}, 'hub', '_HUB_COMPLETE').get_completions;"
        "assert len(complete([], '')) > 20; assert len(complete(['predict'], 'ernie')) > 20;"
        "assert not {'numpy', 'paddle', 'hub.cli.serve'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
