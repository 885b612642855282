"""New versions come beside the old, prove themselves, and take over without a failed request."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hub
from hub.errors import OutputError, RequestError
from hub.inference.export import export
from hub.models.registration import register
from hub.registry.manifest import parse_manifest, write_manifest
from hub.registry.store import Store
from hub.registry.team import TeamCatalogue
from hub.serving.engine import Wishes
from hub.serving.metrics import Metrics
from hub.serving.plans import ModelPlan, deployed
from hub.serving.sources import resolve
from tests.serving.client import Answer, closed_loop
from tests.serving.conftest import Program, Start, Threaded

PREDICT = "/v1/models/travel:predict"


def under_load(service: Program, work: Callable[[], Any], clients: int = 8) -> list[Answer]:
    """Every answer that clients had while `work` was done."""
    done = threading.Event()
    found: list[Answer] = []

    def load() -> None:
        bodies = [{"texts": ["今天下雨吗", "听一首歌", "买车票"]}]
        found.extend(asyncio.run(closed_loop(service.port, PREDICT, bodies, clients, done.is_set)))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return found


def copy(exported: Path, folder: Path, name: str) -> Path:
    """The same model under another digest."""
    made = shutil.copytree(exported, folder / name)
    rewrite(made, base_model=name)
    return made


def rewrite(folder: Path, **changes: Any) -> None:
    """Change what `hub.json` says, and let it list the files as they are."""
    manifest = parse_manifest((folder / "hub.json").read_text(encoding="utf-8"), "hub.json")
    values = {**manifest.__dict__, **changes}
    write_manifest(folder, type(manifest)(**values), list(manifest.files))


def replace(service: Threaded, source: Path) -> None:
    """Serve version 2 only: nothing stays for a rollback."""
    plan = service.service.models["travel"].plan
    changed = deployed(plan, str(source), resolve(str(source)), "2", None, False)
    alone = ModelPlan("travel", changed.now)

    async def switch() -> None:
        await service.service.prepare([alone])
        service.service.commit([alone])

    asyncio.run_coroutine_threadsafe(switch(), service.loop).result(20)


def failed_reloads(service: Program) -> float:
    """How many versions were refused, as `/metrics` counts them."""
    sample = 'hub_model_reloads_total{model="travel",result="failed"} '
    lines = service.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(sample)).removeprefix(sample))


@pytest.fixture
def service(start: Start, exported: Path, token_file: Path) -> Program:
    """Version 1, with an administrator."""
    return start(f"travel@1={exported}", "--admin-token", token_file)


@pytest.mark.slow
def test_a_hundred_hot_updates_under_load_fail_no_request(
    service: Program, exported: Path, tmp_path: Path
) -> None:
    """Every request has one version's answer; the version only moves forward; memory stays."""
    folders = [copy(exported, tmp_path, f"v{number % 2}") for number in range(2)]
    took = []
    service.label()
    before = 0.0

    def update() -> None:
        nonlocal before
        for number in range(2, 102):
            body = {"source": str(folders[number % 2]), "version": str(number)}
            answer = service.admin("POST", "/models/travel/versions", body)
            assert answer.status_code == 200, answer.text
            took.append(answer.json()["took_s"])
            if number == 12:
                before = service.memory_mb()

    answers = under_load(service, update)
    assert {answer.status for answer in answers} == {200}
    assert len(answers) > 500
    for answer in answers:
        body = answer.json()
        assert answer.headers["x-model-version"] == body["version"]
        assert len(body["predictions"]) == 3
    met: dict[int, list[int]] = {}
    for answer in answers:
        met.setdefault(answer.client, []).append(int(answer.headers["x-model-version"]))
    assert len(met) == 8
    for versions in met.values():
        assert versions == sorted(versions)  # nobody meets an older one than before
    assert len({version for versions in met.values() for version in versions}) > 50
    assert service.memory_mb() < 1.15 * before + 10
    status = service.get("/v1/models/travel").json()
    assert [version["version"] for version in status["versions"]] == ["100", "101"]
    # The series of versions that are gone are gone too.
    metrics = service.get("/metrics").text
    assert 'version="50"' not in metrics and 'version="101"' in metrics
    assert 'hub_model_reloads_total{model="travel",result="loaded"} 101.0' in metrics


def test_a_canary_grows_is_pinned_and_rolled_back(
    service: Program, exported: Path, tmp_path: Path
) -> None:
    second = copy(exported, tmp_path, "v2")
    body = {"source": str(second), "version": "2", "percent": 20}
    answer = service.admin("POST", "/models/travel/versions", body)
    assert answer.status_code == 200, answer.text
    shares = {version["version"]: version["share"] for version in answer.json()["versions"]}
    assert shares == {"1": 0.8, "2": 0.2}

    def arm(user: int) -> str:
        request = {"text": "今天", "user": f"user-{user}"}
        return str(service.post(PREDICT, request).json()["version"])

    arms = [arm(user) for user in range(200)]
    assert 20 <= arms.count("2") <= 60
    assert arms[:50] == [arm(user) for user in range(50)]
    by_header = service.post(PREDICT, {"text": "今天"}, headers={"X-User-Id": "user-7"}).json()
    assert by_header["version"] == arms[7]
    for version in ("1", "2"):
        pinned = service.post(PREDICT, {"text": "今天"}, headers={"X-Model-Version": version})
        assert pinned.json()["version"] == version
    weights = {"weights": {"1": 50, "2": 50}}
    assert service.admin("PUT", "/models/travel/traffic", weights).status_code == 200
    wider = [arm(user) for user in range(200)]
    assert all(new == "2" for old, new in zip(arms, wider, strict=True) if old == "2")
    assert service.admin("PUT", "/models/travel/traffic", {"weights": {"2": 1}}).status_code == 200
    assert {arm(user) for user in range(20)} == {"2"}
    begun = time.monotonic()
    assert service.admin("POST", "/models/travel/rollback").status_code == 200
    assert time.monotonic() - begun < 1
    assert [arm(user) for user in range(50)] == wider[:50]
    missing = service.admin("PUT", "/models/travel/traffic", {"weights": {"9": 1}})
    assert missing.status_code == 404
    in_use = service.admin("DELETE", "/models/travel/versions/2")
    assert in_use.status_code == 409
    text = service.get("/metrics").text
    assert 'arm="split",code="200",model="travel",version="2"' in text
    assert 'arm="pinned",code="200",model="travel",version="1"' in text


def test_a_shadow_answers_unseen_and_is_compared(
    start: Start, exported: Path, tmp_path: Path
) -> None:
    second = copy(exported, tmp_path, "v2")
    service = start(f"travel@1={exported}", f"travel@2={second}:shadow")
    for number in range(20):
        assert service.label(f"今天{number}")[1] == "1"
    time.sleep(0.3)
    text = service.get("/metrics").text
    assert 'hub_shadow_total{model="travel",result="same",version="2"} 20.0' in text
    assert 'hub_inferences_total{model="travel",version="2"} 20.0' in text


def test_eight_broken_versions_change_nothing(
    service: Program, exported: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    """Each is refused with a reason, and version 1 answers as before."""
    import onnx

    def broken(name: str) -> Path:
        return copy(exported, tmp_path, name)

    def graph(folder: Path, change: Callable[[Any], None]) -> None:
        model = onnx.load(folder / "model.onnx")
        change(model)
        onnx.save(model, folder / "model.onnx")
        rewrite(folder)

    def not_a_number(model: Any) -> None:
        weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        weights.raw_data = b"\xff" * len(weights.raw_data)

    missing, truncated, nan, labels, vocabulary, golden, junk = map(
        broken, ["missing", "truncated", "nan", "labels", "vocab", "golden", "junk"]
    )
    (missing / "model.onnx").unlink()
    content = (truncated / "model.onnx").read_bytes()
    (truncated / "model.onnx").write_bytes(content[: len(content) // 2])
    graph(nan, not_a_number)
    rewrite(labels, labels=["天气", "音乐"])
    words = json.loads((vocabulary / "tokenizer.json").read_text(encoding="utf-8"))
    model = words["model"]["vocab"]
    special = {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"}
    words["model"]["vocab"] = {
        word: number if word in special else number + 5000 for word, number in model.items()
    }
    (vocabulary / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    rewrite(vocabulary)
    expected = service.label("今天下雨")[0]
    other = next(label for label in ("天气", "音乐", "车票") if label != expected)
    rows = [{"text": "今天下雨", "label": other}]
    (golden / "golden.json").write_text(json.dumps(rows), encoding="utf-8")
    (junk / "model.onnx").write_bytes(b"\x08\x07junk" * 1000)
    rewrite(junk)
    task = tmp_path / "other-task"
    embedding = hub.Module(directory=tiny_folder, task="sentence-embedding")
    export(embedding, task, "onnx")
    cases = [missing, truncated, nan, labels, vocabulary, golden, junk, task]
    reasons = []

    def deploy() -> None:
        for number, folder in enumerate(cases, start=2):
            body = {"source": str(folder), "version": str(number)}
            answer = service.admin("POST", "/models/travel/versions", body)
            assert answer.status_code == 422, (folder.name, answer.text)
            error = answer.json()["error"]
            assert error["code"] == "version_refused"
            assert str(tmp_path) not in answer.text and "Traceback" not in answer.text
            reasons.append(error["message"])

    answers = under_load(service, deploy, clients=2)
    assert {(answer.status, answer.headers.get("x-model-version")) for answer in answers} == {
        (200, "1")
    }
    assert "golden.json otherwise" in reasons[5]
    assert "for sentence-embedding" in reasons[7]
    status = service.admin("GET", "/models").json()["models"][0]
    assert status["refused"]["reason"] == reasons[7]
    assert [version["version"] for version in status["versions"]] == ["1"]
    # Those too that are refused by their files' sizes, before anything is loaded.
    assert failed_reloads(service) == 8
    (golden / "golden.json").write_text(
        json.dumps([{"text": "今天下雨", "label": expected}]), encoding="utf-8"
    )
    good = {"source": str(golden), "version": "10"}
    assert service.admin("POST", "/models/travel/versions", good).status_code == 200


def test_several_processes_refuse_a_version_once(
    start: Start, exported: Path, tmp_path: Path, token_file: Path
) -> None:
    """Whether each of them tried it or none; before the first there is a zero to rise from."""
    service = start(f"travel@1={exported}", "--workers", "2", "--admin-token", token_file)
    assert failed_reloads(service) == 0
    missing, labels = copy(exported, tmp_path, "missing"), copy(exported, tmp_path, "labels")
    (missing / "model.onnx").unlink()
    rewrite(labels, labels=["天气", "音乐"])
    for count, folder in enumerate((missing, labels), start=1):
        body = {"source": str(folder), "version": "2"}
        assert service.admin("POST", "/models/travel/versions", body).status_code == 422
        assert failed_reloads(service) == count


def test_fewer_labels_need_to_be_meant(
    service: Program, exported: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    export(
        hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "体育", "音乐"]),
        tmp_path / "v2",
        "onnx",
    )
    body: dict[str, Any] = {"source": str(tmp_path / "v2"), "version": "2"}
    refused = service.admin("POST", "/models/travel/versions", body)
    assert refused.status_code == 422 and "车票" in refused.json()["error"]["message"]
    body["force"] = True
    assert service.admin("POST", "/models/travel/versions", body).status_code == 200


def test_a_slow_version_is_refused(start: Start, exported: Path, token_file: Path) -> None:
    from hub.errors import ServingError
    from hub.serving.engine import Engine
    from hub.serving.loading import _warm_up
    from hub.serving.settings import Limits, Settings
    from tests.serving.conftest import Slow

    settings = Settings(limits=Limits(deadline_s=0.1), batch_size=2)
    with pytest.raises(ServingError, match="takes longer"):
        _warm_up(Engine(Slow(exported, 0.15), 2), settings)
    _warm_up(Engine(Slow(exported, 0.0), 2), settings)


@pytest.mark.slow
def test_a_watched_folder_is_taken_when_it_is_whole_and_not_before(
    start: Start, exported: Path, tmp_path: Path
) -> None:
    """A version that is copied slowly: `hub.json` is the last file to appear."""
    second = copy(exported, tmp_path, "v2")
    place = shutil.copytree(exported, tmp_path / "prod")
    service = start(f"travel={place}", "--watch", "0.2")
    first = service.label()[1]

    def write() -> None:
        (place / "hub.json").unlink()
        for path in sorted(second.iterdir()):
            if path.name != "hub.json":
                content = path.read_bytes()
                half = len(content) // 2
                (place / path.name).write_bytes(content[:half])
                time.sleep(0.2)
                (place / path.name).write_bytes(content)
        assert service.label()[1] == first
        assert service.events("model_renewed") == []
        shutil.copy(second / "hub.json", place / "hub.json.new")
        (place / "hub.json.new").rename(place / "hub.json")
        end = time.monotonic() + 20
        while service.label()[1] == first and time.monotonic() < end:
            time.sleep(0.05)

    answers = under_load(service, write, clients=2)
    assert {answer.status for answer in answers} == {200}
    second_version = service.label()[1]
    assert second_version != first
    # One that does not prove itself is tried once, and changes nothing.
    rewrite(place, labels=["天气", "音乐"])
    time.sleep(1.0)
    assert service.label()[1] == second_version
    assert len(service.events("version_refused")) == 1


@pytest.mark.slow
def test_a_private_catalogues_alias_is_followed(
    start: Start, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`hub alias travel@2.0.0 prod`: --watch takes it; SIGHUP takes it without --watch."""
    catalogue = TeamCatalogue(str(tmp_path / "catalogue"), quiet=True)
    theirs = Store(tmp_path / "another-machine")
    for number in (1, 2, 3):
        folder = copy(exported, tmp_path, f"v{number}")
        stored = register(folder, "travel", f"{number}.0.0", theirs)
        catalogue.publish(stored, ["prod"] if number == 1 else [])
    monkeypatch.setenv("HUB_CATALOGUE", str(tmp_path / "catalogue"))
    service = start("travel@prod", "--watch", "0.2")
    assert service.label()[1] == "1.0.0"
    catalogue.set_alias("travel", "prod", "2.0.0")
    end = time.monotonic() + 20
    while service.label()[1] != "2.0.0" and time.monotonic() < end:
        time.sleep(0.05)
    assert service.label()[1] == "2.0.0"
    service.stop()
    service = start("travel@prod")
    catalogue.set_alias("travel", "prod", "3.0.0")
    time.sleep(0.5)
    assert service.label()[1] == "2.0.0"
    service.signal(signal.SIGHUP)
    while service.label()[1] != "3.0.0" and time.monotonic() < end + 20:
        time.sleep(0.05)
    assert service.label()[1] == "3.0.0"


def test_a_service_that_still_starts_is_not_ended_by_a_hangup(start: Start, exported: Path) -> None:
    """Whoever renewed a folder tells the service so, not knowing what it is about."""
    service = start(f"travel@1={exported}", ready=False)
    status = Path(f"/proc/{service.pid}/status")
    end = time.monotonic() + 20
    while not int(status.read_text().partition("SigIgn:")[2].split()[0], 16) & 1:
        assert not service.events("ready") and time.monotonic() < end
        time.sleep(0.002)
    service.signal(signal.SIGHUP)
    assert service.wait_until_ready().label()[1] == "1"


def test_a_batch_that_is_being_streamed_ends_with_the_version_it_began_with(
    threaded: Callable[..., Threaded], exported: Path
) -> None:
    import requests

    service = threaded(text_s=0.002)
    url = f"http://127.0.0.1:{service.port}/v1/models/travel:batch"
    body = {"texts": ["今天"] * 300}
    answer = requests.post(url, json=body, stream=True, timeout=30)
    lines = answer.iter_lines(chunk_size=None)
    first = json.loads(next(lines))
    assert first["index"] == 0
    replace(service, exported)
    rest = [json.loads(line) for line in lines]
    assert [line["index"] for line in rest] == list(range(1, 300))
    assert all("label" in line for line in rest)


def test_a_body_that_comes_slowly_is_answered_by_what_is_served_then(
    threaded: Callable[..., Threaded], exported: Path
) -> None:
    """Its version has ended meanwhile: nobody would take its texts from that queue."""
    service = threaded()
    old = service.batcher
    body = json.dumps({"text": "今天"}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
        client.sendall(head.encode() + body[:5])
        while not service.process._server.server_state.tasks:  # type: ignore[union-attr]
            time.sleep(0.01)
        replace(service, exported)
        end = time.monotonic() + 20
        while 'version="1"' in service.metrics.text() and time.monotonic() < end:
            time.sleep(0.02)
        client.sendall(body[5:])
        answer = client.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 200") and b"x-model-version: 2" in answer
    assert 'version="1"' not in service.metrics.text()

    async def late() -> None:
        with pytest.raises(RequestError, match="stopping"):
            old.submit(["今天"], Wishes(), time.monotonic() + 10)

    asyncio.run(late())


def test_a_version_that_is_gone_makes_no_series_again() -> None:
    """A caller may read its answer so slowly that the version has ended before."""
    metrics = Metrics()
    metrics.begin("travel", "1", "0" * 64)
    metrics.answered("travel", "1", "split", 200, 0.01)
    assert 'code="200",model="travel",version="1"' in metrics.text()
    metrics.forget("travel", "1")
    metrics.answered("travel", "1", "split", 200, 0.01)
    assert 'version="1"' not in metrics.text()
    assert 'code="200",model="travel",version="none"' in metrics.text()


def test_the_golden_answers_travel_with_a_model(
    exported: Path, run_folder: Path, tmp_path: Path
) -> None:
    """To the store and the catalogue, and past an export over them."""
    folder = shutil.copytree(exported, tmp_path / "travel")
    golden = json.dumps([{"text": "今天下雨", "label": "天气"}])
    (folder / "golden.json").write_text(golden, encoding="utf-8")
    store = Store(tmp_path / "store")
    stored = register(folder, "travel", "1.0.0", store)
    assert "golden.json" in stored.manifest.files
    catalogue = TeamCatalogue(str(tmp_path / "catalogue"), quiet=True)
    catalogue.publish(stored, ["prod"])
    there = Store(tmp_path / "another-machine")
    catalogue.pull("travel", "prod", there)
    assert (there.get("travel", "1.0.0").folder / "golden.json").read_text("utf-8") == golden
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        export(hub.Module(directory=run_folder), folder, "onnx", overwrite=True)
    (folder / "notes.txt").unlink()
    export(hub.Module(directory=run_folder), folder, "onnx", overwrite=True)
    assert (folder / "golden.json").read_text("utf-8") == golden
