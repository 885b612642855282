"""`hub serve` under load from a second process, beside other services of the same classifier.

    python benchmarks/serving.py [--fastapi PYTHON] [--paddlehub PYTHON] [--simple-server PYTHON]
                                 [--seconds 10] [--overload-s 300] [--updates 100] [--soak-s 0]
                                 [--wrk] [--json FILE]

The model is `ernie-pocket-zh`, fine-tuned for a few steps on the example (its speed does not depend
on how well it learned), exported to ONNX in int8. The texts are the example's test sentences, one a
request. The others serve the same fine-tuned folder in fp32, each from an interpreter of its own:
FastAPI with a pipeline of transformers (PyTorch); PaddleHub's serving of a module that classifies
with PaddleNLP, a process for each processor; PaddleNLP's SimpleServer, which needs PaddlePaddle 2.

Each figure comes from a client in a process of its own on the same processors: what it takes, the
service does not have. Read the ratios. With --wrk that is `wrk` (Debian's package) where every
client asks again as soon as it is answered: it takes less of the processors than one in Python.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "crosswoz_intent"
TOKEN = "benchmark-admin-token"
CLIENTS = 64
WITH_WRK = False  # main's option


@dataclass(frozen=True)
class Peer:
    """Another service of the same classifier.

    Attributes:
        name: what the table calls it.
        path: where texts are posted.
        body: the JSON of a text, as a function of it.
        command: of its interpreter, the fine-tuned folder, a scratch folder and the port.
    """

    name: str
    path: str
    body: Callable[[str], Any]
    command: Callable[[str, Path, Path, int], Sequence[str]]


def _fastapi(python: str, run: Path, scratch: Path, port: int) -> list[str]:
    return [python, str(PEERS_FOLDER / "fastapi_pipeline.py"), str(run), str(port)]


def _paddlehub(python: str, run: Path, scratch: Path, port: int) -> list[str]:
    """With as many processes as there are processors."""
    module = {"init_args": {"directory": str(PEERS_FOLDER / "paddlehub_module")}}
    config = {
        "modules_info": {"travel": {**module, "predict_args": {}}}, "port": port,
        "use_multiprocess": True, "workers": os.cpu_count(),
    }  # fmt: skip
    (scratch / "paddlehub.json").write_text(json.dumps(config))
    script = Path(python).parent / "hub"
    return [str(script), "serving", "start", "-c", str(scratch / "paddlehub.json")]


def _simple_server(python: str, run: Path, scratch: Path, port: int) -> list[str]:
    script = Path(python).parent / "paddlenlp"
    options = ["--app_dir", str(PEERS_FOLDER), "--host", "127.0.0.1", "--port", str(port)]
    return [str(script), "server", "simple_server:app", *options]


PEERS_FOLDER = Path(__file__).parent / "serving_peers"
PEERS = (
    Peer("fastapi", "/predict", lambda text: {"text": text}, _fastapi),
    Peer("paddlehub", "/predict/travel", lambda text: {"texts": [text]}, _paddlehub),
    Peer(
        "simple_server", "/models/travel",
        lambda text: {
            "data": {"text": [text]}, "parameters": {"max_seq_len": 128, "batch_size": 1},
        },
        _simple_server,
    ),
)  # fmt: skip
OURS = Peer("hub", "/v1/models/travel:predict", lambda text: {"text": text}, lambda *_: [])


def sentences() -> list[str]:
    """The example's test sentences, shuffled."""
    lines = (EXAMPLE / "test.tsv").read_text("utf-8").splitlines()[1:]
    texts = [line.split("\t")[0] for line in lines]
    random.Random(1).shuffle(texts)
    return texts


# --- the client, in a process of its own ---------------------------------------------------------


def load(
    port: int, path: str, seconds: float, clients: int = CLIENTS, rate: float | None = None
) -> dict[str, Any]:
    """What a client in another process measured; see `load_client.py`."""
    peer = next(peer for peer in (OURS, *PEERS) if peer.path == path)
    if rate is None and WITH_WRK:
        return _load_by_wrk(port, peer, seconds, clients)
    bodies = json.dumps([peer.body(text) for text in sentences()])
    command = [sys.executable, str(ROOT / "benchmarks" / "load_client.py"), str(port), path]
    command += [str(seconds), "--clients", str(clients)]
    command += [] if rate is None else ["--rate", str(rate)]
    done = subprocess.run(command, input=bodies, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# wrk's: every request is the next of the bodies; at the end the figures as JSON.
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local number = 0
function request()
  number = number % #BODIES + 1
  return wrk.format(nil, nil, nil, BODIES[number])
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency, requests)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('{"asked": %d, "refused": %d, "failed": %d, "us": %d, '
    .. '"p50_us": %d, "p99_us": %d}', summary.requests, errors.status, bad, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def _load_by_wrk(port: int, peer: Peer, seconds: float, clients: int) -> dict[str, Any]:
    """What `wrk` measured on one thread, in the shape of `load_client.py`'s figures."""
    bodies = [json.dumps(peer.body(text), ensure_ascii=False) for text in sentences()]
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
        # JSON's strings are Lua's: what they escape, both escape alike.
        quoted = ", ".join(json.dumps(body, ensure_ascii=False) for body in bodies)
        script.write(f"local BODIES = {{{quoted}}}\n{_SCRIPT}")
        script.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}", "--timeout", "30",
             "-s", script.name, f"http://127.0.0.1:{port}{peer.path}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = json.loads(done.stdout[done.stdout.rindex("{") :])
    answered = found["asked"] - found["refused"]
    statuses = {"200": answered, "others": found["refused"], "0": found["failed"]}
    return {
        "per_s": round(answered / found["us"] * 1e6, 1),
        "p50_ms": round(found["p50_us"] / 1000, 2),
        "p99_ms": round(found["p99_us"] / 1000, 2),
        "statuses": {status: count for status, count in statuses.items() if count},
    }


# --- the model -----------------------------------------------------------------------------------


def prepare(folder: Path) -> tuple[Path, Path]:
    """The fine-tuned folder, and its int8 export."""
    run, int8 = folder / "run", folder / "int8"
    hub = [sys.executable, "-m", "hub"]
    quiet = {"check": True, "stdout": sys.stderr}
    if not run.exists():
        data = [str(EXAMPLE / "train.tsv"), "--dev", str(EXAMPLE / "dev.tsv")]
        # The others read the first token of a text.
        options = ["--max-steps", "10", "--classifier-pooling", "cls", "--quiet"]
        subprocess.run([*hub, "finetune", *data, "--output", str(run), *options], **quiet)
    if not int8.exists():
        options = ["--precision", "int8", "--max-drop", "100", "--output", str(int8)]
        subprocess.run([*hub, "export", str(run), *options], **quiet)
    return run, int8


def bare(folder: Path, seconds: float) -> dict[str, float]:
    """Texts a second without any service: one at a time, and 32 together."""
    import hub

    predictor, texts = hub.Predictor(folder), sentences()
    result = {}
    for name, size in (("one", 1), ("batch", 32)):
        predictor.predict(texts[:64], batch_size=size)
        begun, count, place = time.perf_counter(), 0, 0
        while time.perf_counter() - begun < seconds:
            part = texts[place : place + size] or texts[:size]
            place = (place + size) % len(texts)
            predictor.predict(part, top_k=1, batch_size=size)
            count += len(part)
        result[name] = round(count / (time.perf_counter() - begun), 1)
    return result


# --- the services --------------------------------------------------------------------------------


class Service:
    """`hub serve`, or the peer, until the end of a `with`."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        path: str,
        scratch: Path,
        answers: Callable[[Service], bool] | None = None,
        **environment: str,
    ) -> None:
        self.port, self.path, self._scratch = port, path, scratch
        self._answers = answers or _answers
        self._command, self._environment = list(command), environment

    def __enter__(self) -> Service:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, stderr=self._log, stdout=self._log, cwd=self._scratch,
            env={**os.environ, **self._environment},
        )  # fmt: skip
        self.pid = self._process.pid
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if self._answers(self):
                return self
        self._log.seek(0)
        raise SystemExit(f"the service did not start: {self._log.read().decode()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self.wait(60)

    def wait(self, timeout: float) -> int:
        """The exit code, once it has ended."""
        return self._process.wait(timeout)

    def memory_mb(self) -> float:
        """Its resident memory, with that of its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        pages = sum(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in [self.pid, *children]
        )
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _answers(service: Service) -> bool:
    """Whether a service has answered a text."""
    try:
        return bool(load(service.port, service.path, 0.2, 1)["statuses"].get("200"))
    except subprocess.CalledProcessError:
        time.sleep(0.3)
        return False


def hub_service(
    folder: Path, port: int, *options: str, answers: Callable[[Service], bool] | None = None
) -> Service:
    """`hub serve` of an exported folder."""
    token = folder.parent / "token"
    token.write_text(TOKEN)
    command = [sys.executable, "-m", "hub", "serve", f"travel@1={folder}", "--port", str(port)]
    command += ["--admin-token", str(token), *options]
    return Service(command, port, OURS.path, token.parent, answers)


def peer_service(peer: Peer, python: str, run: Path, scratch: Path, port: int) -> Service:
    """Another service of the fine-tuned folder; what it keeps, it keeps in `scratch`."""
    return Service(
        peer.command(python, run, scratch, port), port, peer.path, scratch, BENCHMARK_RUN=str(run),
        BENCHMARK_PEERS=str(PEERS_FOLDER.parent), BENCHMARK_SCRATCH=str(scratch),
        HUB_HOME=str(scratch / "hub-home"),
    )  # fmt: skip


def overload(service: Service, capacity: float, seconds: float) -> dict[str, Any]:
    """Twice what it sustains; its memory meanwhile; and how it is two seconds later."""
    load(service.port, service.path, 5)
    before, memory = service.memory_mb(), []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(5):
            memory.append(service.memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = load(service.port, service.path, seconds, rate=2 * capacity)
    done.set()
    watcher.join()
    time.sleep(2)
    after = load(service.port, service.path, 3, clients=1)
    return {
        **result,
        "memory_before_mb": before,
        "memory_first_mb": memory[0] if memory else before,
        "memory_last_mb": memory[-1] if memory else before,
        "afterwards_p50_ms": after["p50_ms"],
        "afterwards_statuses": after["statuses"],
    }


def updates(service: Service, folder: Path, count: int, scratch: Path) -> dict[str, Any]:
    """Hot updates while 16 clients ask."""
    import requests

    sources = [folder, scratch / "other"]
    if not sources[1].exists():
        shutil.copytree(folder, sources[1])
    result: dict[str, Any] = {}
    took: list[float] = []
    finished = threading.Event()

    def ask() -> None:
        found: dict[str, int] = {}
        while not finished.is_set():
            for status, number in load(service.port, service.path, 3, 16)["statuses"].items():
                found[status] = found.get(status, 0) + number
        result["statuses"] = found

    asking = threading.Thread(target=ask)
    asking.start()
    memory = []
    for number in range(2, 2 + count):
        body = {"source": str(sources[number % 2]), "version": str(number)}
        answer = requests.post(
            f"http://127.0.0.1:{service.port}/admin/models/travel/versions",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=120,
        )
        answer.raise_for_status()
        took.append(answer.json()["took_s"])
        memory.append(service.memory_mb())
    finished.set()
    asking.join()
    took.sort()
    return {
        **result,
        "updates": count,
        "update_p50_s": took[len(took) // 2],
        "memory_after_10_mb": memory[min(9, len(memory) - 1)],
        "memory_last_mb": memory[-1],
    }


def soak(service: Service, rate: float, seconds: float) -> dict[str, Any]:
    """Half load for long; the memory after its first tenth, and at its end."""
    first = load(service.port, service.path, seconds / 10, 16, rate)
    before = service.memory_mb()
    rest = load(service.port, service.path, 0.9 * seconds, 16, rate)
    after = service.memory_mb()
    return {
        "seconds": seconds,
        "statuses": {**first["statuses"], **rest["statuses"]},
        "p99_ms": rest["p99_ms"],
        "memory_before_mb": before,
        "memory_after_mb": after,
        "growth_percent": round(100 * (after / before - 1), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for peer in PEERS:
        parser.add_argument(f"--{peer.name.replace('_', '-')}", metavar="PYTHON")
    parser.add_argument("--folder", type=Path, help="where the model is made, or lies")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--overload-s", type=float, default=300.0)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--soak-s", type=float, default=0.0)
    parser.add_argument("--wrk", action="store_true", help="ask with wrk")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    global WITH_WRK
    WITH_WRK = given.wrk
    peers = [(peer, python) for peer in PEERS if (python := getattr(given, peer.name))]
    results: dict[str, Any] = {}

    def tell(name: str, value: Any) -> None:
        results[name] = value
        print(f"{name:24} {json.dumps(value)}", flush=True)
        if given.json:
            given.json.write_text(json.dumps(results, indent=2))

    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        run, int8 = prepare(folder)
        rounds = []
        for number in range(given.rounds):
            code = f"import json, pathlib, sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); "
            code += f"import serving; print(json.dumps(serving.bare(pathlib.Path({str(int8)!r}), "
            code += f"{given.seconds / 2})))"
            alone = json.loads(subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True
            ).stdout)  # fmt: skip
            found: dict[str, Any] = {"bare": alone}
            with hub_service(int8, 8901) as service:
                load(service.port, service.path, 2)
                found["hub"] = load(service.port, service.path, given.seconds)
                found["hub_1"] = load(service.port, service.path, given.seconds / 2, 1)
                half = found["hub"]["per_s"] / 2
                found["hub_half"] = load(service.port, service.path, given.seconds, 64, half)
            with hub_service(int8, 8902, "--batch-size", "1") as service:
                load(service.port, service.path, 2)
                found["hub_unbatched"] = load(service.port, service.path, given.seconds)
            for place, (peer, python) in enumerate(peers):
                own = Path(scratch) / peer.name
                own.mkdir(exist_ok=True)
                with peer_service(peer, python, run, own, 8910 + place) as service:
                    load(service.port, service.path, 2)
                    found[peer.name] = load(service.port, service.path, given.seconds)
            rounds.append(found)
            tell(f"round {number + 1}", found)
        capacity = statistics.median(found["hub"]["per_s"] for found in rounds)
        others = {
            "hub / bare, one at a time": lambda found: found["bare"]["one"],
            "hub / bare, 32 together": lambda found: found["bare"]["batch"],
            "hub / unbatched": lambda found: found["hub_unbatched"]["per_s"],
        }
        for peer, _ in peers:
            others[f"hub / {peer.name}"] = lambda found, name=peer.name: found[name]["per_s"]
        ratios = {
            name: statistics.median(found["hub"]["per_s"] / of(found) for found in rounds)
            for name, of in others.items()
        }
        tell("median ratios", {name: round(value, 2) for name, value in ratios.items()})
        if given.updates:
            with hub_service(int8, 8904) as service:
                tell("hot updates", updates(service, int8, given.updates, Path(scratch)))
        if given.overload_s:
            with hub_service(int8, 8905) as service:
                tell("overload", overload(service, capacity, given.overload_s))
        if given.soak_s:
            with hub_service(int8, 8906) as service:
                tell("soak", soak(service, capacity / 2, given.soak_s))


if __name__ == "__main__":
    main()
