"""What `hub serve` promises of its times, each measured and put beside its limit.

    python benchmarks/serving_limits.py [--folder FOLDER] [--seconds 20] [--json FILE]

The model and the client are those of `serving.py`. To tell what overload does to the service from
what it does to the client, the service has one processor to itself there, and the client another.
Exits with 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
import serving


@dataclass(frozen=True)
class Limit:
    """One promise: a figure, and how large or small it may be."""

    promise: str
    figure: float
    limit: float
    at_most: bool = True

    @property
    def is_kept(self) -> bool:
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        kept = "" if self.is_kept else "   NOT KEPT"
        return f"{self.promise:62} {self.figure:10,.2f}  {sign} {self.limit:,.2f}{kept}"


def _at_least(promise: str, figure: float, limit: float) -> Limit:
    return Limit(promise, figure, limit, at_most=False)


def one_client(int8: Path, seconds: float) -> list[Limit]:
    """What a service adds to the model, and what batching costs and gives."""
    import hub

    predictor, took = hub.Predictor(int8), []
    for text in serving.sentences()[:400]:
        begun = time.perf_counter()
        predictor.predict([text], top_k=1)
        took.append(1000 * (time.perf_counter() - begun))
    model = statistics.median(took[50:])
    found: dict[str, list[dict[str, Any]]] = {"batched": [], "alone": []}
    for place in range(3):  # in turns
        for name, options in (("batched", ()), ("alone", ("--batch-size", "1"))):
            with serving.hub_service(int8, 8920 + place, *options) as service:
                serving.load(service.port, service.path, 2, 16)
                one = serving.load(service.port, service.path, seconds / 4, 1)
                sixteen = serving.load(service.port, service.path, seconds / 4, 16)
                found[name].append({"one": one, "sixteen": sixteen})

    def ratio(clients: str) -> float:
        return statistics.median(
            batched[clients]["per_s"] / alone[clients]["per_s"]
            for batched, alone in zip(found["batched"], found["alone"], strict=True)
        )

    p50, p99 = (
        statistics.median(each["one"][name] for each in found["batched"])
        for name in ("p50_ms", "p99_ms")
    )
    return [
        _at_least("16 clients: batches / one text at a time", ratio("sixteen"), 1.25),
        _at_least("1 client: batches / one text at a time", ratio("one"), 0.97),
        Limit("1 client: p50 beyond the model's, ms", p50 - model, 3),
        Limit("1 client: p99 beyond the model's p50, ms", p99 - model, 15),
    ]


def overload(int8: Path, seconds: float) -> list[Limit]:
    """Three times the capacity, the client on a processor of its own."""
    own, clients = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, {own})
    with serving.hub_service(int8, 8930, "--threads", "1") as service:
        os.sched_setaffinity(0, {clients})
        serving.load(service.port, service.path, 3)
        capacity = serving.load(service.port, service.path, seconds / 2)["per_s"]
        before = service.memory_mb()
        healths: list[float] = []
        done = threading.Event()

        def watch() -> None:
            with requests.Session() as session:
                while not done.wait(0.05):
                    for path in ("healthz", "readyz"):
                        begun = time.perf_counter()
                        answer = session.get(f"http://127.0.0.1:{service.port}/{path}", timeout=10)
                        healths.append(1000 * (time.perf_counter() - begun))
                        assert answer.status_code == 200

        watcher = threading.Thread(target=watch)
        watcher.start()
        found = serving.load(service.port, service.path, seconds, rate=3 * capacity)
        done.set()
        watcher.join()
        grown = service.memory_mb() - before
        time.sleep(2)
        after = serving.load(service.port, service.path, 2, 1)
    statuses = found["statuses"]
    others = sum(number for status, number in statuses.items() if status not in ("200", "429"))
    # A queue of 256 texts (the default), and the batch before it.
    wait = 1000 * (256 + 32) / capacity
    return [
        _at_least("3x load: answered, % of the capacity", 100 * found["per_s"] / capacity, 90),
        Limit("3x load: neither answered nor refused", others + found["unanswered"], 0),
        Limit("3x load: p99 of the refused, ms", found["refused_p99_ms"], 50),
        Limit("3x load: p99 of the accepted, ms", found["p99_ms"], wait),
        Limit("3x load: p99 of /healthz and /readyz, ms", _p99(healths), 50),
        Limit("3x load: memory grows by, MB", grown, 50),
        Limit("two seconds later: p50 of 1 client, ms", after["p50_ms"], 5),
    ]


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


def _is_ready(service: serving.Service) -> bool:
    time.sleep(0.02)
    try:
        return requests.get(f"http://127.0.0.1:{service.port}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def start_and_end(int8: Path) -> list[Limit]:
    """How soon it is ready, and how it ends."""
    begun = time.perf_counter()
    with serving.hub_service(int8, 8940, answers=_is_ready) as service:
        ready = time.perf_counter() - begun
        url = f"http://127.0.0.1:{service.port}"
        took = []
        with requests.Session() as session:
            session.get(url + "/healthz", timeout=5)
            for _ in range(101):
                begun = time.perf_counter()
                session.post(url + service.path, json={"text": "今天下雨吗"}, timeout=5)
                took.append(time.perf_counter() - begun)
        first = took[0] / statistics.median(took[1:])
        long = {"texts": ["今天天气不错" * 80] * 8}
        answers: list[int] = []

        def ask() -> None:
            answers.append(requests.post(url + service.path, json=long, timeout=60).status_code)

        asking = [threading.Thread(target=ask) for _ in range(32)]
        for thread in asking:
            thread.start()
        time.sleep(0.3)
        begun = time.perf_counter()
        os.kill(service.pid, signal.SIGTERM)
        while requests.get(url + "/readyz", timeout=5).status_code == 200:
            pass
        told = 1000 * (time.perf_counter() - begun)
        for thread in asking:
            thread.join()
        drained = service.wait(60)
    assert drained == 0, drained
    with serving.hub_service(int8, 8941, "--drain-delay-s", "30") as service:
        os.kill(service.pid, signal.SIGTERM)
        time.sleep(0.3)
        begun = time.perf_counter()
        os.kill(service.pid, signal.SIGTERM)
        service.wait(60)
        second = time.perf_counter() - begun
    return [
        Limit("ready after, s", ready, 10),
        Limit("first request / the median", first, 2),
        Limit("SIGTERM: /readyz says so after, ms", told, 100),
        _at_least("SIGTERM: answered of 32 requests on their way", answers.count(200), 32),
        Limit("second SIGTERM: ended after, s", second, 1),
    ]


def administration(int8: Path, scratch: Path) -> list[Limit]:
    """New versions, the way back, and the metrics."""
    other = scratch / "other"
    shutil.copytree(int8, other)
    head = {"Authorization": f"Bearer {serving.TOKEN}"}
    with serving.hub_service(int8, 8950) as service:
        url = f"http://127.0.0.1:{service.port}"
        serving.load(service.port, service.path, 3)
        took: list[float] = []
        memory: list[float] = []
        for number in range(2, 23):
            body = {"source": str(other if number % 2 else int8), "version": str(number)}
            versions = f"{url}/admin/models/travel/versions"
            requests.post(versions, json=body, headers=head, timeout=60).raise_for_status()
            serving.load(service.port, service.path, 1)
            memory.append(service.memory_mb())
        begun = time.perf_counter()
        requests.post(
            f"{url}/admin/models/travel/rollback", headers=head, timeout=60
        ).raise_for_status()
        back = time.perf_counter() - begun
        with requests.Session() as session:
            for _ in range(20):
                begun = time.perf_counter()
                session.get(url + "/metrics", timeout=5)
                took.append(1000 * (time.perf_counter() - begun))
    # Two versions stay loaded, so that a rollback takes no time.
    return [
        Limit("memory after 21 updates / after the first", memory[-1] / memory[0], 1.15),
        Limit("rollback, s", back, 1),
        Limit("a scrape of /metrics, ms", statistics.median(took), 20),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the model is made, or lies")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    limits: list[Limit] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        _, int8 = serving.prepare(folder)
        parts: list[Callable[[], list[Limit]]] = [
            lambda: one_client(int8, given.seconds),
            lambda: start_and_end(int8),
            lambda: administration(int8, Path(scratch)),
            lambda: overload(int8, given.seconds),
        ]
        for part in parts:
            for limit in part():
                print(limit, flush=True)
                limits.append(limit)
    if given.json:
        given.json.write_text(json.dumps([asdict(limit) for limit in limits], indent=2))
    sys.exit(not all(limit.is_kept for limit in limits))


if __name__ == "__main__":
    main()
