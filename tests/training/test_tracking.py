"""Runs tracked with TensorBoard's and VisualDL's files and with a real MLflow server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from hub.cli.main import cli
from hub.errors import InputError
from hub.training.arguments import TrainingArguments
from hub.training.state import TrainingState
from hub.training.tracking import Mlflow, Tracker, trackers


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data file."""
    path = tmp_path / "train.tsv"
    kinds = (("雨", "天气"), ("歌", "音乐"))
    rows = [f"今天{kinds[n % 2][0]}{n}吗\t{kinds[n % 2][1]}\n" for n in range(40)]
    path.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server of this module's own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    process = subprocess.Popen(
        [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
            "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination", str(folder / "artifacts"), "--workers", "1",
        ],
        env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=folder, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 90
        while True:
            try:
                if requests.get(f"{address}/health", timeout=5).ok:
                    break
            except requests.ConnectionError:
                pass
            assert process.poll() is None and time.monotonic() < end, "the server did not start"
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def finetune(data: Path, tiny_folder: Path, output: Path, *more: str) -> dict[str, Any]:
    """Fine-tune as a user does; what `metrics.json` says."""
    result = CliRunner().invoke(
        cli,
        [
            "finetune", str(data), "--model", str(tiny_folder), "--output", str(output),
            "--epochs", "2", "--learning-rate", "3e-3", "-q", *more,
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return json.loads((output / "metrics.json").read_text(encoding="utf-8"))


def test_an_mlflow_server_gets_run_parameters_figures_and_a_model_version(
    server: str, data: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "intents")
    output = tmp_path / "travel"
    summary = finetune(
        data, tiny_folder, output, "--track", "mlflow", "--mlflow-model", "travel", "--seed", "7"
    )
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("intents")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "travel"
    assert run.data.params["seed"] == "7" and run.data.params["learning_rate"] == "0.003"
    history = client.get_metric_history(run.info.run_id, "dev_accuracy")
    assert [(point.step, point.value) for point in history] == [
        (entry["step"], entry["dev_accuracy"]) for entry in summary["history"]
    ]
    assert "step_loss" in run.data.metrics and "loss" in run.data.metrics
    (version,) = client.search_model_versions("name='travel'")
    assert version.version == "1" and version.run_id == run.info.run_id
    files = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "model")}
    assert {"model.safetensors", "hub.json", "report.md", "metrics.json"} <= files
    fetched = Path(client.download_artifacts(run.info.run_id, "model", str(tmp_path)))
    weights = "model.safetensors"
    assert (fetched / weights).read_bytes() == (output / weights).read_bytes()
    # Another run of the same name is the next version.
    finetune(data, tiny_folder, tmp_path / "again", "--track", "mlflow", "--mlflow-model", "travel")
    assert len(client.search_model_versions("name='travel'")) == 2


def test_a_resumed_run_is_the_same_run_of_the_server(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    first, second, other = (Mlflow(tmp_path) for _ in range(3))
    first.open(TrainingArguments())
    first.close()
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "latest.json").write_text("{}")
    second.open(TrainingArguments())
    assert second._run == first._run
    (tmp_path / "checkpoint" / "latest.json").unlink()
    other.open(TrainingArguments())
    assert other._run != first._run


def test_a_server_that_is_not_there_is_named_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match=r"server http://127\.0\.0\.1:9 cannot be used"):
        Mlflow(tmp_path).open(TrainingArguments())


def test_event_files_hold_every_figure(data: Path, tiny_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "travel"
    summary = finetune(data, tiny_folder, output, "--track", "tensorboard", "--track", "visualdl")
    wanted = [(entry["step"], entry["dev_accuracy"]) for entry in summary["history"]]

    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import masked_crc32c  # the format's checksum

    points = []
    (path,) = (output / "logs" / "tensorboard").glob("events.*")
    content = path.read_bytes()
    while content:
        length = int.from_bytes(content[:8], "little")
        assert int.from_bytes(content[8:12], "little") == masked_crc32c(content[:8])
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        for value in event.summary.value:
            if value.tag == "dev_accuracy":
                points.append((event.step, value.simple_value))
    assert points == [(step, pytest.approx(value)) for step, value in wanted]

    from visualdl import LogReader

    (path,) = (output / "logs" / "visualdl").iterdir()
    records = LogReader(file_path=str(path)).get_data("scalar", "dev_accuracy")
    assert [(r.id, r.value) for r in records] == [(s, pytest.approx(v)) for s, v in wanted]


def test_a_tracker_that_fails_is_told_of_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Tracker):
        name = "Somewhere"
        calls = 0

        def open(self, arguments: TrainingArguments) -> None:
            pass

        def write(self, figures: dict[str, float], step: int) -> None:
            self.calls += 1
            raise ConnectionError("it has gone away")

        def close(self) -> None:
            self.write({}, 0)

    tracker, state = Failing(), TrainingState(step=1)
    tracker.on_train_begin(TrainingArguments(), state, 10, "accuracy")
    tracker.on_step(state, 1.0, 4)
    tracker.on_epoch_end(state, {"step": 1, "loss": 1.0})
    tracker.on_train_end(state)
    assert tracker.calls == 1
    assert caplog.text.count("Somewhere is told nothing more of this run") == 1


def test_a_model_is_registered_with_mlflow_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --track mlflow"):
        trackers(("tensorboard",), tmp_path, "travel")
