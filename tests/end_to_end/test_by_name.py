"""From a name to answers, typed as a user types it, with real servers of this machine's own.

A hub that speaks Hugging Face's protocol, and an S3 store: `hub` processes fetch a model from each,
fine-tune it, and predict; another machine takes the result from the team's catalogue.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.servers.huggingface import HuggingFaceServer
from tests.servers.s3 import s3_store

Hub = Callable[..., subprocess.CompletedProcess[str]]
QUESTION = "明天下雨还是下雪"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Hub]:
    """A machine of a name: a home and a folder of its own."""

    def machine(name: str) -> Hub:
        folder = tmp_path / name
        folder.mkdir()

        def hub(
            *arguments: str | Path, environment: Mapping[str, str] | None = None
        ) -> subprocess.CompletedProcess[str]:
            own = {"HOME": str(folder), "HUB_HOME": str(folder / "模型"), "HF_HOME": str(folder)}
            done = subprocess.run(
                [sys.executable, "-m", "hub", *map(str, arguments)],
                cwd=folder,
                env={**os.environ, **own, **(environment or {})},
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=300,
                check=False,
            )
            assert "Traceback" not in done.stderr
            return done

        return hub

    return machine


@pytest.fixture
def data(
    tmp_path: Path, toy_train: list[tuple[str, str]], toy_dev: list[tuple[str, str]]
) -> tuple[Path, Path]:
    paths = []
    for name, rows in (("train", toy_train), ("dev", toy_dev)):
        path = tmp_path / f"{name}.tsv"
        lines = [f"{text}\t{label}\n" for text, label in rows]
        path.write_text("text\tlabel\n" + "".join(lines), encoding="utf-8")
        paths.append(path)
    return paths[0], paths[1]


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def finetune(hub: Hub, model: str, data: tuple[Path, Path], **options: object) -> None:
    train, dev = data
    ok(
        hub(
            "finetune", train, "--dev", dev, "--model", model, "--output", "runs/toy",
            "--epochs", "12", "--learning-rate", "0.01", "--batch-size", "8", "--quiet",
            **options,
        )
    )  # fmt: skip


def test_from_a_hub_to_answers(
    machine: Callable[[str], Hub], data: tuple[Path, Path], tiny_folder: Path
) -> None:
    files = {path.name: path.read_bytes() for path in tiny_folder.iterdir()}
    hub = machine("laptop")
    with HuggingFaceServer({"team/tiny-ernie": files}) as server:
        online = {"HF_ENDPOINT": server.url}
        finetune(hub, "hf://team/tiny-ernie", data, environment=online)
        fetched = len(server.requests)
        assert fetched > 0
    answers = json.loads(ok(hub("evaluate", "runs/toy", data[1], "--json")))
    assert answers["accuracy"] > 0.8
    assert ok(hub("predict", "runs/toy", QUESTION)).startswith("天气\t")
    # The server is gone: the model is still there.
    offline = {"HUB_OFFLINE": "1"}
    train, dev = data
    again = hub(
        "finetune", train, "--dev", dev, "--model", "hf://team/tiny-ernie", "-o", "runs/again",
        "--max-steps", "2", "--quiet", environment=offline,
    )  # fmt: skip
    ok(again)


def test_from_an_object_store_to_answers_on_another_machine(
    machine: Callable[[str], Hub], data: tuple[Path, Path], tiny_folder: Path
) -> None:
    first, second = machine("first"), machine("second")
    with s3_store() as store:
        online = {**store.environment, "HUB_CATALOGUE": f"{store.url}/models"}
        ok(first("register", tiny_folder, "--name", "tiny", "--version", "1.0.0"))
        ok(first("push", "tiny@1.0.0", "--alias", "base", environment=online))
        # The second machine knows the name only.
        finetune(second, "tiny@base", data, environment=online)
        answer = ok(second("predict", "runs/toy", QUESTION))
        assert answer.startswith("天气\t")
        ok(second("export", "runs/toy", "--format", "onnx", "--output", "runs/toy-onnx"))
        ok(second("register", "runs/toy-onnx", "--name", "toy", "--version", "1.0.0"))
        ok(second("push", "toy", "--alias", "prod", environment=online))
        assert ok(first("predict", "toy@prod", QUESTION, environment=online)) == answer
    # Without the store, what was pulled goes on answering.
    assert ok(first("predict", "toy@prod", QUESTION, environment={"HUB_OFFLINE": "1"})) == answer
    missing = first("predict", "other@prod", QUESTION, environment={"HUB_OFFLINE": "1"})
    assert missing.returncode == 2
    assert "There is no model 'other'" in missing.stderr
