"""Streamed batches: every text has its line, however slow the model or the sender."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.errors import RequestError
from hub.serving.settings import Limits
from tests.serving.conftest import Program, Start, Threaded
from tests.serving.test_versions import copy

BATCH = "/v1/models/travel:batch"
LINES = {"Content-Type": "application/x-ndjson"}


def stream(port: int, body: str, query: str = "") -> tuple[int, list[dict[str, Any]]]:
    """The status and the lines of an answer to JSON lines."""
    url = f"http://127.0.0.1:{port}{BATCH}{query}"
    answer = requests.post(url, body.encode(), headers=LINES, timeout=60)
    return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]


def numbered(count: int) -> str:
    """So many lines, each ended by a newline."""
    return "".join(f'"第{number}条"\n' for number in range(count))


def test_a_slow_model_answers_every_line(threaded: Callable[..., Threaded]) -> None:
    """The batch is longer than a deadline: what waits at a time is not."""
    service = threaded(text_s=0.02, batch_size=64, limits=Limits(deadline_s=2.0))
    status, lines = stream(service.port, numbered(160))
    assert status == 200 and [line["index"] for line in lines] == list(range(160))
    assert all("label" in line for line in lines)


def test_what_the_queue_refuses_is_its_lines_error(threaded: Callable[..., Threaded]) -> None:
    service = threaded()
    submit, numbers = service.batcher.submit, iter(range(100))

    def refusing(*arguments: Any) -> Any:
        if next(numbers) == 2:
            raise RequestError(429, "queue_full", "Too many texts are waiting.")
        return submit(*arguments)

    service.batcher.submit = refusing
    status, lines = stream(service.port, numbered(4))
    assert status == 200 and [line["index"] for line in lines] == [0, 1, 2, 3]
    assert ["label" in line for line in lines] == [True, True, False, True]
    assert lines[2]["error"]["code"] == "queue_full"


def test_as_many_lines_as_are_allowed_are_answered_and_no_more(
    threaded: Callable[..., Threaded], caplog: pytest.LogCaptureFixture
) -> None:
    service = threaded(limits=Limits(batch_texts=100))
    status, lines = stream(service.port, numbered(100))
    assert status == 200 and len(lines) == 100 and all("label" in line for line in lines)
    caplog.set_level("INFO", "hub.serving")
    status, lines = stream(service.port, numbered(101))
    assert status == 200 and [line.get("index") for line in lines] == [*range(100), None]
    assert all("label" in line for line in lines[:100])
    assert lines[100]["error"]["code"] == "too_many_texts"
    told = [record.facts["code"] for record in caplog.records if record.message == "request"]
    assert told == ["too_many_texts"]
    # Of a batch none of whose lines was sent yet, the status says it.
    few = threaded(limits=Limits(batch_texts=3))
    assert stream(few.port, numbered(3))[0] == 200
    assert stream(few.port, numbered(4))[0] == 413


def test_the_first_texts_of_a_batch_are_logged_where_texts_are(
    threaded: Callable[..., Threaded], caplog: pytest.LogCaptureFixture
) -> None:
    """And how long one of them waited, in any case."""
    caplog.set_level("INFO", "hub.serving")
    service = threaded(log_texts=True)
    body = "3\n" + numbered(150)
    assert stream(service.port, body)[0] == 200
    quiet = threaded()
    assert stream(quiet.port, body)[0] == 200
    facts = [record.facts for record in caplog.records if record.message == "request"]
    said = facts[0]["said"]
    assert [item["text"] for item in said] == [f"第{number}条" for number in range(100)]
    assert all(item["answer"]["label"] for item in said)
    assert "said" not in facts[1]
    assert facts[0]["queue_ms"] > 0 and facts[1]["queue_ms"] > 0


def test_options_of_a_batch_are_its_bodys_or_its_querys(
    start: Start, exported: Path, tmp_path: Path
) -> None:
    second = copy(exported, tmp_path, "v2")
    service = start(f"travel@1={exported}:100", f"travel@2={second}:0")
    for version in ("1", "2"):
        body = {"texts": ["今天"], "version": version, "user": "me"}
        assert service.post(BATCH, body).headers["x-model-version"] == version
        query = f"?version={version}&user=me&probabilities=true"
        answer = service.session.post(
            service.address + BATCH + query, '"今天"\n'.encode(), headers=LINES, timeout=20
        )
        assert answer.headers["x-model-version"] == version
        assert set(answer.json()) == {"index", "label", "score", "probabilities"}
    assert service.post(BATCH, {"texts": ["今天"], "version": "9"}).status_code == 404
    for query, status, code in (
        ("?version=9", 404, "unknown_version"),
        ("?user=", 422, "bad_field"),
        ("?probabilites=1", 422, "unknown_field"),
        ("?probabilities=perhaps", 422, "bad_option"),
        ("?top_k=many", 422, "bad_option"),
    ):
        found, (line,) = stream(service.port, '"今天"\n', query)
        assert (found, line["error"]["code"]) == (status, code)


def test_a_field_that_is_not_understood_is_its_lines_error(travel: Program) -> None:
    body = '{"text": "今天"}\n{"text": "今天", "probabilities": true}\n'
    status, (first, second) = stream(travel.port, body)
    assert status == 200 and "label" in first and second["error"]["code"] == "unknown_field"


def test_the_mark_with_which_windows_begins_a_file_is_no_part_of_it(travel: Program) -> None:
    status, lines = stream(travel.port, '\ufeff"今天"\r\n"听歌"\r\n')
    assert status == 200 and all("label" in line for line in lines) and len(lines) == 2
    body = '\ufeff{"text": "今天"}'.encode()
    answer = requests.post(f"{travel.address}/v1/models/travel:predict", body, timeout=20)
    assert answer.status_code == 200


def test_who_speaks_http_1_0_is_sent_no_chunks(travel: Program) -> None:
    """It would take their sizes for lines; the end of the connection is the end of the answer."""
    body = json.dumps({"texts": ["今天", "听歌", "买车票"]}).encode()
    for path, count in ((BATCH, 3), ("/v1/models/travel:predict", 1)):
        head = f"POST {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", travel.port), timeout=20) as client:
            client.sendall(head.encode() + body)
            answer = b""
            while part := client.recv(1 << 16):
                answer += part
        headers, _, content = answer.partition(b"\r\n\r\n")
        assert b" 200 " in headers.splitlines()[0]
        assert b"transfer-encoding" not in headers and b"connection: close" in headers
        assert len([json.loads(line) for line in content.splitlines()]) == count


@pytest.mark.parametrize("begun", [b"", b'7\r\n"ab', b'5\r\n"ab"\n\r\n'])
def test_a_sender_who_falls_silent_is_let_go(
    threaded: Callable[..., Threaded], begun: bytes
) -> None:
    """Before its first line, in the middle of one, or after one."""
    service = threaded(limits=Limits(body_s=0.5))
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
        head = f"POST {BATCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + begun)
        answer = b""
        while part := client.recv(1 << 16):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408") and b"too_slow" in answer


def test_a_request_never_has_more_texts_than_the_queue_holds(
    threaded: Callable[..., Threaded],
) -> None:
    """It would be told to come back, for ever."""
    service = threaded(limits=Limits(queue_texts=4))
    url = f"http://127.0.0.1:{service.port}/v1/models/travel:predict"
    answer = requests.post(url, json={"texts": ["今天"] * 5}, timeout=20)
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "too_many_texts"
    assert "at most 4 are taken" in answer.json()["error"]["message"]
    assert requests.post(url, json={"texts": ["今天"] * 4}, timeout=20).status_code == 200
