"""More requests than can be answered; a signal to end; a process that dies."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from hub.serving.logs import LineHandler, SentenceFormatter
from hub.serving.settings import Limits
from tests.serving.client import Answer, Connection, closed_loop, open_loop, percentile
from tests.serving.conftest import ROOT, Program, Start, Threaded

PREDICT = "/v1/models/travel:predict"
BATCH = "/v1/models/travel:batch"


def test_overload_is_refused_at_once_and_what_is_accepted_is_answered_in_time(
    threaded: Callable[..., Threaded],
) -> None:
    """Three times the capacity for some seconds; afterwards all is as before."""
    service = threaded(text_s=0.005, limits=Limits(queue_texts=64))  # at most 200 texts a second
    end = time.monotonic() + 2
    done = asyncio.run(
        closed_loop(service.port, PREDICT, [{"text": "今天"}], 48, lambda: time.monotonic() > end)
    )
    capacity = len(done) / 2
    healths: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            begun = time.perf_counter()
            assert service.get("/healthz").status_code == 200
            assert service.get("/readyz").status_code == 200
            healths.append((time.perf_counter() - begun) / 2)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = 4.0
    answers = asyncio.run(open_loop(service.port, PREDICT, {"text": "今天"}, 3 * capacity, seconds))
    stop.set()
    watcher.join()
    accepted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(accepted) + len(refused) == len(answers)  # no time-out, no 5xx, no broken connection
    # The client takes its part of the same interpreter; benchmarks/serving.py has one beside it.
    assert len(accepted) >= 0.6 * capacity * seconds
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    # Client and service share one interpreter here: what is refused does not queue, that is all.
    assert percentile([answer.seconds for answer in refused], 0.5) < 0.1
    assert percentile([answer.seconds for answer in refused], 0.99) < 1.0
    # The queue, and two batches: the one that is computed and the next.
    bound = (64 + 2 * 32) / capacity + 1.0
    assert percentile([answer.seconds for answer in accepted], 0.99) < bound
    assert percentile(healths, 0.5) < 0.1
    begun = time.monotonic()
    alone = asyncio.run(closed_loop(service.port, PREDICT, [{"text": "今天"}], 1))[0]
    assert alone.status == 200 and time.monotonic() - begun < 2
    assert service.metric("hub_queue_depth", model="travel", version="1") == 0
    counted = [
        service.metric("hub_rejected_total", model=name, reason="full") for name in ("", "travel")
    ]
    assert sum(counted) == len(refused)


def test_a_full_queue_refuses_before_a_body_is_there_and_says_so_once_a_second(
    threaded: Callable[..., Threaded], caplog: pytest.LogCaptureFixture
) -> None:
    """The connection stays of use, and the log says how many lines it left out."""
    service = threaded(limits=Limits(queue_texts=2, deadline_s=20))
    service.model.blocked.clear()
    caplog.set_level("INFO", "hub.serving")

    async def work() -> tuple[list[int], list[bytes]]:
        waiting = []
        for _ in range(3):  # one is computed, two wait
            connection = Connection(service.port)
            sent = connection.request("POST", PREDICT, {"text": "今天"})
            waiting.append(asyncio.ensure_future(sent))
            await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        heads = []
        for number in range(8):
            writer.write(
                f"POST {PREDICT} HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n".encode()
            )
            heads.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))
            length = int(heads[-1].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["error"]["code"] == "queue_full"
            writer.write(b"12345")  # the body comes now, and is passed over
            if number == 6:
                await asyncio.sleep(1.1)
        writer.close()
        # A batch takes its turn: it waits for room.
        sent = Connection(service.port).request("POST", BATCH, {"texts": ["今天", "好"]})
        waiting.append(asyncio.ensure_future(sent))
        await asyncio.sleep(0.2)
        service.model.blocked.set()
        return [(await task).status for task in waiting], heads

    answered, heads = asyncio.run(work())
    assert answered == [200] * 4
    assert all(b" 429 " in head and b"retry-after: 1" in head for head in heads)
    assert all(b"x-model-version: 1" in head for head in heads)
    assert service.metric("hub_rejected_total", model="travel", reason="full") == 8
    counted = {"model": "travel", "version": "1", "arm": "none", "code": "429"}
    assert service.metric("hub_requests_total", **counted) == 8
    told = [record.facts for record in caplog.records if record.facts.get("status") == 429]
    assert [facts.get("left_out") for facts in told] == [None, 6]


def test_lines_of_one_turn_of_the_loop_are_written_together() -> None:
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Counting()
    handler = LineHandler(stream)
    log = logging.Logger("test")
    log.addHandler(handler)

    async def work() -> None:
        for number in range(3):
            log.warning("line %d", number)
        assert stream.getvalue() == ""
        await asyncio.sleep(0)
        assert stream.getvalue() == "line 0\nline 1\nline 2\n" and stream.writes == 1
        log.warning("left behind")

    asyncio.run(work())
    log.warning("without a loop")
    assert stream.getvalue().splitlines()[3:] == ["left behind", "without a loop"]


def test_a_sentence_of_the_log_is_one_line_whatever_callers_write() -> None:
    facts = {"path": "/x\nrequest  status=200\x1b[2J\u2028\x85", "model": "天气"}
    record = logging.makeLogRecord({"msg": "request\r", "facts": facts})
    line = SentenceFormatter().format(record)
    assert line.isprintable() and "model=天气" in line and "\\n" in line and "\\x1b" in line
    with_trace = logging.makeLogRecord({"msg": "failed"})
    with_trace.exc_info = (ValueError, ValueError("why"), None)
    assert SentenceFormatter().format(with_trace).splitlines() == ["failed", "ValueError: why"]


def test_health_is_told_when_no_more_requests_are_taken(
    threaded: Callable[..., Threaded],
) -> None:
    service = threaded(limits=Limits(requests=5, deadline_s=20))
    service.model.blocked.clear()

    async def work() -> tuple[list[int], int, int]:
        sent = [
            asyncio.ensure_future(
                Connection(service.port).request("POST", PREDICT, {"text": "今天"})
            )
            for _ in range(8)
        ]
        await asyncio.sleep(0.3)
        live = await Connection(service.port).request("GET", "/healthz")
        ready = await Connection(service.port).request("GET", "/readyz")
        service.model.blocked.set()
        return sorted([(await task).status for task in sent]), live.status, ready.status

    assert asyncio.run(work()) == ([200] * 5 + [429] * 3, 200, 200)


def test_an_idle_service_adds_little(threaded: Callable[..., Threaded]) -> None:
    """One caller: the median is the engine's 10 ms and not much more."""
    service = threaded(text_s=0.010)
    answers = asyncio.run(closed_loop(service.port, PREDICT, [{"text": "今天"}] * 100, 1))
    seconds = [answer.seconds for answer in answers[5:]]
    # Nagle's algorithm alone would add 40 ms; a busy machine adds a few.
    assert percentile(seconds, 0.5) < 0.010 + 0.015


def test_it_is_not_ready_before_it_is_warm_nor_when_its_engine_is_stuck(
    threaded: Callable[..., Threaded],
) -> None:
    service = threaded(stuck_s=0.3)
    assert service.get("/readyz").status_code == 200
    service.model.blocked.clear()

    async def stuck() -> tuple[int, int]:
        request = asyncio.ensure_future(
            Connection(service.port).request("POST", PREDICT, {"text": "今天"})
        )
        await asyncio.sleep(0.6)
        ready = await Connection(service.port).request("GET", "/readyz")
        live = await Connection(service.port).request("GET", "/healthz")
        service.model.blocked.set()
        await request
        return ready.status, live.status

    assert asyncio.run(stuck()) == (503, 200)
    assert service.get("/readyz").status_code == 200


def test_before_the_models_are_loaded_it_says_so(start: Start, run_folder: Path) -> None:
    """PaddlePaddle takes seconds to load: the port answers before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = start(run_folder, ready=False, port=port)
    seen = []
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            status = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code
        except requests.RequestException:
            status = 0
        seen.append(status)
        if status == 200:
            break
        if status == 503 and seen.count(503) == 1:
            early = requests.post(
                f"http://127.0.0.1:{port}{PREDICT}", json={"text": "今天"}, timeout=5
            )
            assert early.status_code in (200, 503)
        time.sleep(0.02)
    assert seen[-1] == 200 and 503 in seen
    begun = time.monotonic()
    assert service.label()[0]
    assert time.monotonic() - begun < 0.5  # it is warm


@pytest.mark.slow
def test_sigterm_drains_and_a_second_one_ends(start: Start, run_folder: Path) -> None:
    """PaddlePaddle, which takes signals for itself, is loaded by the service."""
    service = start(f"travel@1={run_folder}", "--drain-delay-s", "0.3", "--deadline-s", "30")
    long = {"texts": ["今天天气不错" * 400] * 4, "long_text": "window"}

    async def work() -> tuple[list[Answer], Answer, float]:
        sent = [
            asyncio.ensure_future(Connection(service.port).request("POST", PREDICT, long))
            for _ in range(32)
        ]
        await asyncio.sleep(0.5)
        begun = time.perf_counter()
        service.signal(signal.SIGTERM)
        ready = Answer(200, {}, b"", 0)
        while ready.status == 200:
            ready = await Connection(service.port).request("GET", "/readyz")
        took = time.perf_counter() - begun
        return list(await asyncio.gather(*sent)), ready, took

    answers, ready, took = asyncio.run(work())
    assert ready.status == 503 and ready.json() == {"status": "draining"}
    assert took < 1.0
    assert [answer.status for answer in answers] == [200] * 32
    assert service.wait(15) == 0
    with pytest.raises(requests.ConnectionError):
        service.get("/readyz")
    ended = []
    while not ended or (min(ended) >= 5.0 and len(ended) < 3):  # the machine may be busy
        impatient = start(f"travel@1={run_folder}", "--drain-delay-s", "20")
        impatient.signal(signal.SIGTERM)
        time.sleep(0.2)
        begun = time.monotonic()
        impatient.signal(signal.SIGTERM)
        impatient.wait(10)
        ended.append(time.monotonic() - begun)
    assert min(ended) < 5.0  # not the twenty seconds of its delay


def test_requests_are_answered_until_the_port_closes(threaded: Callable[..., Threaded]) -> None:
    """/readyz says no, so that a load balancer looks elsewhere; who has not heard it is served."""
    service = threaded(drain_delay_s=60.0)
    service.loop.call_soon_threadsafe(service.process.end, 0)
    end = time.monotonic() + 20
    while service.get("/readyz").status_code == 200 and time.monotonic() < end:
        time.sleep(0.01)
    assert service.get("/readyz").json() == {"status": "draining"}
    url = f"http://127.0.0.1:{service.port}{PREDICT}"
    assert requests.post(url, json={"text": "今天"}, timeout=20).status_code == 200
    service.service.closing = True
    refused = requests.post(url, json={"text": "今天"}, timeout=20)
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "draining"
    service.process._server.should_exit = True  # type: ignore[union-attr]


def test_a_second_signal_waits_for_nothing(tmp_path: Path) -> None:
    """Not for the engine's thread either, which Python joins at its end."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, os, signal, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from types import SimpleNamespace\n"
        "from hub.serving.logs import configure\n"
        "from hub.serving.server import Process\n"
        "from hub.serving.settings import Settings\n"
        "async def work():\n"
        "    configure(True)\n"
        "    ThreadPoolExecutor(1).submit(time.sleep, 600)\n"
        "    service = SimpleNamespace(draining=False, closing=False, models=[1])\n"
        "    process = Process(service, Settings(drain_delay_s=600), None, None)\n"
        "    process.install_signals()\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await asyncio.sleep(0.1)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(work())\n"
    )
    done = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 128 + signal.SIGTERM and '"event": "draining"' in done.stderr


@pytest.mark.slow
def test_workers_share_a_port_and_one_that_is_killed_is_replaced(
    start: Start, exported: Path, token_file: Path, tmp_path: Path
) -> None:
    service = start(
        f"travel@1={exported}", "--workers", "2", "--admin-token", token_file, "--drain-s", "5"
    )
    first = service.children()
    assert len(first) == 2
    done = threading.Event()
    found: list[Answer] = []

    def load() -> None:
        bodies = [{"text": "今天"}]
        found.extend(asyncio.run(closed_loop(service.port, PREDICT, bodies, 16, done.is_set)))

    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(1.5)
    os.kill(first[0], signal.SIGKILL)
    end = time.monotonic() + 20
    while time.monotonic() < end and not service.events("worker_replaced"):
        time.sleep(0.05)
    second = service.children()
    time.sleep(0.5)
    done.set()
    thread.join()
    assert len(second) == 2 and first[1] in second and first[0] not in second
    broken = [answer for answer in found if answer.status == 0]
    assert {answer.status for answer in found} <= {0, 200}
    assert len(broken) <= 16  # those that the dead worker had in hand
    assert len(found) > 200
    # A change reaches both, the new one too; the counts are those of all three.
    body = {"source": str(exported), "version": "2"}
    assert service.admin("POST", "/models/travel/versions", body).status_code == 200
    versions = {requests.post(service.address + PREDICT, json={"text": "今天"}, timeout=5).json()[
        "version"
    ] for _ in range(30)}  # fmt: skip
    assert versions == {"2"}
    assert service.admin("POST", "/models/travel/rollback").status_code == 200
    versions = {requests.post(service.address + PREDICT, json={"text": "今天"}, timeout=5).json()[
        "version"
    ] for _ in range(30)}  # fmt: skip
    assert versions == {"1"}
    wanted = 'hub_requests_total{arm="split",code="200",model="travel",version="1"} '
    text = service.get("/metrics").text
    counted = float(next(x for x in text.splitlines() if x.startswith(wanted)).split()[-1])
    answered = len(found) - len(broken) + 30
    # What the dead worker had counted in its last second is lost.
    assert 0.4 * answered < counted <= answered
    assert "hub_ready 2.0" in text
    broken_version = {"source": str(tmp_path / "nothing"), "version": "3"}
    assert service.admin("POST", "/models/travel/versions", broken_version).status_code == 422
    service.signal(signal.SIGTERM)
    assert service.wait(15) == 0


def test_workers_end_with_their_supervisor(start: Start, exported: Path) -> None:
    service = start(f"travel@1={exported}", "--workers", "2")
    children = service.children()
    service.signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while time.monotonic() < end and any(Path(f"/proc/{pid}/exe").exists() for pid in children):
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in children)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
def test_a_soak_at_half_load_grows_nothing(start: Start, exported: Path) -> None:
    """A short one: memory, open files and threads after it are those of its first seconds."""
    service = start(f"travel@1={exported}")

    def state() -> tuple[float, int, int]:
        files = len(os.listdir(f"/proc/{service.pid}/fd"))
        threads = len(os.listdir(f"/proc/{service.pid}/task"))
        return service.memory_mb(), files, threads

    bodies = {"texts": ["今天下雨吗", "听一首歌"]}
    asyncio.run(open_loop(service.port, PREDICT, bodies, 60, 3))
    before = state()
    answers = asyncio.run(open_loop(service.port, PREDICT, bodies, 60, 12))
    after = state()
    assert {answer.status for answer in answers} == {200}
    assert after[0] < before[0] + 3
    assert after[1] <= before[1] + 2 and after[2] <= before[2] + 1


def test_a_model_that_cannot_be_loaded_ends_the_start_with_a_sentence(
    start: Start, exported: Path, tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(exported, tmp_path / "bad")
    (folder / "model.onnx").write_bytes(b"x" * (folder / "model.onnx").stat().st_size)
    for workers in ("1", "2"):
        service = start(folder, "--workers", workers, ready=False)
        assert service.wait(30) == 1
        assert "model.onnx" in service.text() and "Traceback" not in service.text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_is_none_is_one_sentence_at_once(start: Start, workers: str) -> None:
    service = start("nosuch", "--workers", workers, "--drain-delay-s", "60", ready=False)
    assert service.wait(30) == 2
    assert service.text().startswith("Error: There is no model 'nosuch'")


def test_the_log_is_json_with_ids_and_without_texts(start: Start, exported: Path) -> None:
    service = start(f"travel@1={exported}")
    answer = service.post(PREDICT, {"text": "我的秘密"}, headers={"X-Request-Id": "mine-7"})
    assert answer.headers["x-request-id"] == "mine-7"
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = service.post(PREDICT, {"text": "我的秘密"}, headers={"traceparent": trace})
    assert traced.headers["x-request-id"] == "0af7651916cd43dd8448eb211c80319c"
    forged = service.post(PREDICT, {"text": "我的秘密"}, headers={"X-Request-Id": "a b\tc"})
    assert forged.headers["x-request-id"] != "a b\tc"
    mine = service.wait_for_event("request", request_id="mine-7")
    assert (mine["status"], mine["model"], mine["version"]) == (200, "travel", "1")
    assert mine["texts"] == 1 and mine["ms"] > 0 and "queue_ms" in mine
    service.wait_for_event("request", request_id=forged.headers["x-request-id"])
    assert all(json.loads(line) for line in service.text().splitlines())
    assert "秘密" not in service.text()
    talkative = start(f"travel@1={exported}", "--log-texts")
    talkative.post(PREDICT, {"text": "我的秘密"})
    request = talkative.wait_for_event("request")
    assert request["said"][0]["text"] == "我的秘密" and request["said"][0]["answer"]["label"]


def test_readiness_is_counted(travel: Program) -> None:
    assert "hub_ready 1.0" in travel.get("/metrics").text
