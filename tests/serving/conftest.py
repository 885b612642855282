"""Models to serve, and services that run: as a program, or in a thread with a stand-in engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from hub.data.batches import Batch
from hub.inference.loading import load
from hub.serving.app import create_app
from hub.serving.fleet import LocalFleet, LocalMember
from hub.serving.metrics import Metrics
from hub.serving.planner import Planner
from hub.serving.server import Process, bind
from hub.serving.service import Service
from hub.serving.settings import Settings, parse_spec

ROOT = Path(__file__).parents[2]
TOKEN = "an-administrators-token"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="session")
def run_folder(
    tiny_folder: Path, toy_train: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A small classifier, fine-tuned for a moment."""
    from hub.training.finetune import finetune

    folder = tmp_path_factory.mktemp("runs")
    table = folder / "train.tsv"
    rows = "".join(f"{text}\t{label}\n" for text, label in toy_train)
    table.write_text("text\tlabel\n" + rows, encoding="utf-8")
    finetune(
        table,
        folder / "travel",
        dev=table,
        model=str(tiny_folder),
        changes={"epochs": 3, "learning_rate": 3e-3, "batch_size": 8},
        progress=False,
        say=lambda line: None,
    )
    return folder / "travel"


@pytest.fixture(scope="session")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, exported to ONNX: it loads in a moment, without PaddlePaddle."""
    import hub
    from hub.inference.export import export

    folder = tmp_path_factory.mktemp("exported") / "travel"
    export(hub.Module(directory=run_folder), folder, "onnx")
    return folder


class Program:
    """`hub serve` as a program of its own.

    Args:
        arguments: the command's, without the port.
        log: where its log goes.
        environment: variables it gets besides those of this process.
        command: `serve`, or another spelling.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        environment: dict[str, str] | None = None,
        command: Sequence[str] = ("serve",),
        port: int = 0,
        scheme: str = "http",
    ) -> None:
        self.log = log
        self.session = requests.Session()
        self._file = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hub", *command, *map(str, arguments), "--port", str(port)],
            stderr=self._file,
            stdout=self._file,
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
        self.port, self.pid = port, self._process.pid
        self._scheme = scheme

    def wait_until_ready(self, within_s: float = 40.0) -> Program:
        """Wait for the line that says where it listens."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            for line in self.events("ready"):
                self.port = int(line["address"].rpartition(":")[2])
                return self
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"it did not start: {self.text()}")

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET."""
        return self.session.get(self.address + path, timeout=20, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """POST a JSON body."""
        return self.session.post(self.address + path, json=body, timeout=60, **options)

    def admin(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request of the administrator."""
        address = f"{self.address}/admin{path}"
        return self.session.request(method, address, json=body, timeout=60, headers=ADMIN)

    def label(self, text: str = "今天下雨吗") -> tuple[str, str]:
        """The label and the version of an answer."""
        body = self.post("/v1/models/travel:predict", {"text": text}).json()
        return body["predictions"][0]["label"], body["version"]

    def text(self) -> str:
        """The log."""
        self._file.flush()
        return self.log.read_text(encoding="utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name in the log."""
        found = []
        for line in self.text().splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict) and value.get("event") == name:
                    found.append(value)
        return found

    def wait_for_event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first event of this name and with these fields: a log line follows its answer."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for event in self.events(name):
                if fields.items() <= event.items():
                    return event
            time.sleep(0.02)
        raise AssertionError(f"no {name} with {fields} in the log: {self.text()}")

    def children(self) -> list[int]:
        """The processes it started."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(number) for number in path.read_text().split()]

    def memory_mb(self) -> float:
        """Its resident memory."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, within_s: float = 40.0) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait(within_s)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._file.close()
        self.session.close()


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `hub serve ARGUMENTS`; it is ended with the test."""
    started: list[Program] = []

    def run(*arguments: str | Path, ready: bool = True, **options: Any) -> Program:
        program = Program(arguments, tmp_path / f"log-{len(started)}.txt", **options)
        started.append(program)
        return program.wait_until_ready() if ready else program

    yield run
    for program in started:
        program.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with the administrator's token."""
    path = tmp_path / "admin-token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture(scope="module")
def travel(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A service of the classifier, shared by a file of tests."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "admin-token").write_text(TOKEN)
    arguments = [f"travel@1={exported}", "--admin-token", str(folder / "admin-token")]
    program = Program(arguments, folder / "log.txt").wait_until_ready()
    yield program
    program.stop()


class Slow:
    """A model whose network takes its time, or fails, as a test wants it.

    Args:
        folder: the model that answers.
        text_s: seconds that each text takes.
    """

    def __init__(self, folder: Path, text_s: float = 0.0) -> None:
        self._model = load(folder, threads=1)
        self.text_s = text_s
        self.batches: list[tuple[int, int]] = []  # texts, tokens with padding
        self.blocked = threading.Event()
        self.blocked.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def compute(self, batch: Batch) -> np.ndarray:
        """The network's output, later."""
        self.blocked.wait(30)
        time.sleep(self.text_s * len(batch))
        self.batches.append((len(batch), int(batch.input_ids.size)))
        return self._model.compute(batch)


class Threaded:
    """A service in a thread of this process, whose model is a `Slow` one."""

    def __init__(self, folder: Path, model: Slow, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.metrics = Metrics()
        self._folder = folder
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(20)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            time.sleep(0.01)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.service = service = Service(self.settings, self.metrics)
        specs = [parse_spec(f"travel@1={self._folder}")]
        planner = Planner(lambda: [LocalMember(service)], specs, self.metrics)
        listener = bind(self.settings)
        self.port = listener.getsockname()[1]
        self.process = Process(service, self.settings, listener, planner.refresh)
        await planner.start()
        engine = service.models["travel"].versions["1"].engine
        engine._model = self.model
        self._started.set()
        self.gate = create_app(service, LocalFleet(planner, self.metrics), None, None)
        await self.process.serve(self.gate)

    @property
    def batcher(self) -> Any:
        """The queue before the model."""
        return self.service.models["travel"].versions["1"].batcher

    def get(self, path: str) -> requests.Response:
        """GET."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=20)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of `/metrics`; 0 if there is none."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        """End it."""
        self.model.blocked.set()
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.process.end, 0)
            self._thread.join(20)


@pytest.fixture
def threaded(exported: Path) -> Iterator[Callable[..., Threaded]]:
    """Start a service in a thread: `text_s`, and any of `Settings`."""
    started: list[Threaded] = []

    def run(text_s: float = 0.0, **settings: Any) -> Threaded:
        model = Slow(exported, text_s)
        service = Threaded(exported, model, Settings(port=0, threads=1, **settings))
        started.append(service)
        return service

    yield run
    for service in started:
        service.stop()
