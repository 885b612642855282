"""Three protocols, one answer; streamed batches; the description and its page."""

from __future__ import annotations

import html
import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import requests

import hub
from hub.inference.export import export
from hub.serving.connections import Joining
from hub.serving.openapi import describe
from hub.serving.settings import Limits
from tests.golden import layouts
from tests.serving.conftest import ROOT, Program, Start, Threaded

TEXTS = ["今天下雨吗", "听一首歌", "", "买车票"]


def test_one_text_and_several(travel: Program, exported: Path) -> None:
    expected = hub.Predictor(exported).predict(TEXTS, probabilities=True)
    body = travel.post("/v1/models/travel:predict", {"texts": TEXTS}).json()
    assert (body["model"], body["version"], body["task"]) == ("travel", "1", "text-classification")
    assert [p["label"] for p in body["predictions"]] == [answer["label"] for answer in expected]
    assert all(set(p) == {"label", "score"} for p in body["predictions"])
    answer = travel.post("/v1/models/travel:predict", {"text": TEXTS[0], "probabilities": True})
    assert answer.headers["x-model-version"] == "1"
    (one,) = answer.json()["predictions"]
    assert one["probabilities"] == pytest.approx(expected[0]["probabilities"], abs=1e-5)
    (ranked,) = travel.post("/v1/models/travel:predict", {"text": TEXTS[0], "top_k": 2}).json()[
        "predictions"
    ]
    assert [label["label"] for label in ranked["labels"]] == sorted(
        one["probabilities"], key=lambda label: -one["probabilities"][label]
    )[:2]


def test_the_models_are_listed_without_their_place(travel: Program, exported: Path) -> None:
    listed = travel.get("/v1/models").json()["models"]
    assert [model["name"] for model in listed] == ["travel"]
    assert listed[0] == travel.get("/v1/models/travel").json()
    assert listed[0]["versions"][0]["share"] == 1.0
    assert str(exported.parent) not in json.dumps(listed)


def test_an_address_for_posting_says_so_to_who_gets_it(travel: Program) -> None:
    for path in ("/v1/models/travel:predict", "/v1/models/travel:batch"):
        answer = travel.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json()["error"]["message"] == "This address takes POST; see /docs."
    wrong = travel.post("/v1/models/travel")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert travel.get("/v1/models/travel").status_code == 200


def test_paddlehubs_requests_have_paddlehubs_answers(travel: Program) -> None:
    labels = hub_labels(travel, TEXTS[:2])
    for body in (
        {"data": [[TEXTS[0]], [TEXTS[1]]]},
        {"data": TEXTS[:2], "max_seq_len": 128, "batch_size": 2, "use_gpu": False},
        {"texts": TEXTS[:2]},
        {"text": TEXTS[:2]},
    ):
        answer = travel.post("/predict/travel", body)
        assert answer.status_code == 200
        assert answer.json() == {"status": "000", "msg": "", "results": labels}
    missing = travel.post("/predict/nothing", {"data": [["今天"]]})
    assert missing.status_code == 404 and missing.json()["status"] == "111"
    assert missing.json()["results"] == ""
    # As `curl -d` sends it, with the content type of a form.
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("/predict/travel", "/v1/models/travel:predict"):
        body = json.dumps({"texts": TEXTS[:2]})
        answer = travel.session.post(travel.address + path, body, headers=form, timeout=5)
        assert answer.status_code == 200
    no_json = travel.session.post(f"{travel.address}/predict/travel", {"text": "今天"}, timeout=5)
    assert no_json.status_code == 400 and no_json.json()["status"] == "101"


def hub_labels(travel: Program, texts: list[str]) -> list[str]:
    """The labels by this package's own protocol."""
    body = travel.post("/v1/models/travel:predict", {"texts": texts}).json()
    return [prediction["label"] for prediction in body["predictions"]]


def test_the_open_inference_protocol(travel: Program) -> None:
    assert travel.get("/v2/health/live").json() == {"live": True}
    assert travel.get("/v2/health/ready").json() == {"ready": True}
    server = travel.get("/v2").json()
    assert server["name"] == "ernie-hub" and server["extensions"] == ["binary_tensor_data"]
    meta = travel.get("/v2/models/travel").json()
    assert meta["versions"] == ["1"]
    assert meta["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in meta["outputs"]] == ["label", "score", "probabilities"]
    assert travel.get("/v2/models/travel/versions/1/ready").json() == {
        "name": "travel",
        "ready": True,
    }
    for path in ("/v2/models/travel/infer", "/v2/models/travel/versions/1/infer"):
        request = {
            "id": "7",
            "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS[:2]}],
        }
        body = travel.post(path, request).json()
        assert (body["id"], body["model_name"], body["model_version"]) == ("7", "travel", "1")
        tensors = {tensor["name"]: tensor for tensor in body["outputs"]}
        assert tensors["label"]["data"] == hub_labels(travel, TEXTS[:2])
        assert tensors["probabilities"]["shape"] == [2, 3]
        assert sum(tensors["probabilities"]["data"]) == pytest.approx(2.0)
    absent = {**request, "parameters": None, "outputs": None}
    assert len(travel.post("/v2/models/travel/infer", absent).json()["outputs"]) == 3
    for wrong in (False, [], "x"):
        refused = travel.post("/v2/models/travel/infer", {**request, "parameters": wrong})
        assert refused.status_code == 422
    request["outputs"] = [{"name": "score"}]
    (only,) = travel.post("/v2/models/travel/infer", request).json()["outputs"]
    assert (only["name"], only["datatype"], only["shape"]) == ("score", "FP32", [2])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"datatype": "FP32"}, 422),
        ({"shape": [3]}, 422),
        ({"shape": "2"}, 422),
        ({"data": "今天"}, 422),
        ({"data": [1, 2]}, 422),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    travel: Program, change: dict[str, object], status: int
) -> None:
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS[:2], **change}
    answer = travel.post("/v2/models/travel/infer", {"inputs": [tensor]})
    assert answer.status_code == status and set(answer.json()) == {"error"}


def as_bytes(texts: list[str]) -> bytes:
    """Strings as the extension has them."""
    parts = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def infer(travel: Program, head: dict[str, Any], values: bytes, **headers: str) -> Any:
    text = json.dumps(head, ensure_ascii=False).encode()
    headers = {"Inference-Header-Content-Length": str(len(text)), **headers}
    return travel.session.post(
        f"{travel.address}/v2/models/travel/infer", data=text + values, headers=headers, timeout=5
    )


def test_tensors_may_be_bytes_after_the_json(travel: Program) -> None:
    values = as_bytes(TEXTS[:3])
    tensor = {
        "name": "text", "shape": [3], "datatype": "BYTES",
        "parameters": {"binary_data_size": len(values)},
    }  # fmt: skip
    plain = {"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS[:3]}
    wanted = {
        t["name"]: t["data"]
        for t in travel.post("/v2/models/travel/infer", {"inputs": [plain]}).json()["outputs"]
    }
    found = infer(travel, {"inputs": [tensor]}, values).json()["outputs"]
    assert {t["name"]: t["data"] for t in found} == wanted
    # Answers too, all or those that are asked for.
    answer = infer(travel, {"inputs": [tensor], "parameters": {"binary_data_output": True}}, values)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    outputs, rest = json.loads(answer.content[:length])["outputs"], answer.content[length:]
    assert all("data" not in output for output in outputs)
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    assert sum(sizes) == len(rest)
    label, score, probabilities = (
        rest[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))
    )
    assert label == as_bytes(wanted["label"])
    assert np.allclose(np.frombuffer(score, "<f4"), wanted["score"], atol=1e-6)
    assert np.allclose(np.frombuffer(probabilities, "<f4"), wanted["probabilities"], atol=1e-6)
    asked = [{"name": "label"}, {"name": "score", "parameters": {"binary_data": True}}]
    answer = infer(travel, {"inputs": [tensor], "outputs": asked}, values)
    length = int(answer.headers["inference-header-content-length"])
    first, second = json.loads(answer.content[:length])["outputs"]
    assert first["data"] == wanted["label"] and "data" not in second


@pytest.mark.parametrize(
    ("size", "values", "headers", "status"),
    [
        (999, as_bytes(["今天"]), {}, 422),
        (-1, as_bytes(["今天"]), {}, 422),
        ("10", as_bytes(["今天"]), {}, 422),
        (3, b"\1\0\0", {}, 422),  # ends within a length
        (6, b"\xff\xff\xff\xffab", {}, 422),  # and within a text
        (5, b"\1\0\0\0\xff", {}, 400),  # not UTF-8
        (10, as_bytes(["今天"]) + b"more", {}, 422),
        (10, as_bytes(["今天"]), {"Inference-Header-Content-Length": "100000"}, 400),
        (10, as_bytes(["今天"]), {"Inference-Header-Content-Length": "-4"}, 400),
        (10, as_bytes(["今天"]), {"Inference-Header-Content-Length": "x"}, 400),
        (10, as_bytes(["今天"]), {"Inference-Header-Content-Length": "9" * 5000}, 400),
    ],
)
def test_bytes_that_do_not_fit_are_refused(
    travel: Program, size: Any, values: bytes, headers: dict[str, str], status: int
) -> None:
    tensor = {
        "name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size},
    }  # fmt: skip
    answer = infer(travel, {"inputs": [tensor]}, values, **headers)
    assert answer.status_code == status and set(answer.json()) == {"error"}


def test_an_answer_is_one_packet(threaded: Callable[..., Threaded]) -> None:
    """Its head and its body, of refusals too; what is streamed goes out a line at a time."""
    service, written = threaded(), []

    class Watched(Joining):
        def _send(self) -> None:
            written.append(b"".join(self._written))
            super()._send()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.serving.connections.Joining", Watched)
        for body in (b'{"text": "a"}', b"{}"):
            requests.post(f"http://127.0.0.1:{service.port}/v1/models/travel:predict", body)
    packets = [packet for packet in written if packet]
    assert [packet.split(b" ", 2)[1] for packet in packets] == [b"200", b"422"]
    assert all(json.loads(packet.partition(b"\r\n\r\n")[2]) for packet in packets)


def test_a_batch_is_streamed_line_by_line_in_order(travel: Program) -> None:
    texts = [TEXTS[number % 4] for number in range(500)]
    labels = hub_labels(travel, TEXTS)
    for body, kind in (
        (json.dumps({"texts": texts}), "application/json"),
        ("\n".join(json.dumps(text) for text in texts), "application/x-ndjson"),
        ("\n".join(json.dumps({"text": text}) for text in texts), "application/x-ndjson"),
    ):
        answer = travel.session.post(
            f"{travel.address}/v1/models/travel:batch",
            data=body.encode(),
            headers={"Content-Type": kind},
            stream=True,
            timeout=30,
        )
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in answer.iter_lines()]
        assert [line["index"] for line in lines] == list(range(500))
        assert [line["label"] for line in lines] == [labels[n % 4] for n in range(500)]


def test_a_bad_line_of_a_batch_is_an_error_of_its_own(travel: Program) -> None:
    body = '"今天"\n{bad\n{"text": 3}\n\n"听歌"\n'.encode()
    answer = travel.session.post(
        f"{travel.address}/v1/models/travel:batch",
        data=body,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=10,
    )
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert ["label" in line for line in lines] == [True, False, False, True]
    assert [line["error"]["code"] for line in lines[1:3]] == ["not_json", "not_a_text"]


def test_every_task_is_answered(
    start: Start, tiny_folder: Path, tmp_path: Path, exported: Path
) -> None:
    """Entities, pairs, masks and vectors; several models in one service."""
    layouts.write_folder(
        tmp_path / "tagger", layouts.layouts()["bert-base-chinese"], "ForTokenClassification"
    )
    pairs = hub.Module(directory=tiny_folder, task="text-matching", label_map=["不同", "相同"])
    pairs.task.pairs = True  # type: ignore[union-attr]
    export(pairs, tmp_path / "pairs", "onnx")
    service = start(
        f"tagger={tmp_path / 'tagger'}",
        f"pairs={tmp_path / 'pairs'}",
        f"vectors={tiny_folder}",
        f"travel={exported}",
    )
    (entities,) = service.post("/v1/models/tagger:predict", {"text": "今天气好吗 iPhone"}).json()[
        "predictions"
    ]
    for entity in entities["entities"]:
        assert set(entity) == {"text", "type", "start", "end", "score"}
    plain = service.post("/predict/tagger", {"data": [["今天气好吗 iPhone"]]}).json()
    assert [e["start"] for e in plain["results"][0]] == [e["start"] for e in entities["entities"]]
    (pair,) = service.post("/v1/models/pairs:predict", {"texts": [["今天", "明天"]]}).json()[
        "predictions"
    ]
    assert pair["label"] in ("不同", "相同")
    single = service.post("/v1/models/pairs:predict", {"text": "今天"})
    assert single.status_code == 422 and "pair" in single.json()["error"]["message"]
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
        for name, text in (("text", "今天"), ("text_pair", "明天"))
    ]
    found = service.post("/v2/models/pairs/infer", {"inputs": tensors}).json()["outputs"]
    assert found[0]["data"] == [pair["label"]]
    body = service.post("/v1/models/vectors:predict", {"text": "今天"}).json()
    assert body["task"] == "sentence-embedding"
    vector = body["predictions"][0]["embedding"]
    assert len(vector) == 24
    paddlehub = service.post("/predict/vectors", {"data": [["今天"]]}).json()["results"]
    assert paddlehub[0] == pytest.approx(vector, abs=1e-5)


def test_masks_are_filled_where_that_is_asked(
    start: Start, tmp_path: Path, exported: Path, run_folder: Path
) -> None:
    layouts.write_folder(tmp_path / "masked", layouts.layouts()["ernie-tiny"], "ForMaskedLM")
    # What was fine-tuned keeps its task.
    arguments = (f"mask={tmp_path / 'masked'}", f"travel={exported}", f"run={run_folder}")
    service = start(*arguments, "--task", "fill-mask")
    tasks = {m["name"]: m["task"] for m in service.get("/v1/models").json()["models"]}
    fine_tuned = "text-classification"
    assert tasks == {"mask": "fill-mask", "travel": fine_tuned, "run": fine_tuned}
    (answer,) = service.post("/v1/models/mask:predict", {"text": "今[MASK]气", "top_k": 3}).json()[
        "predictions"
    ]
    assert len(answer["predictions"]) == 3
    for text in ("今天的秘密", "今天的秘密" * 20, "今天的秘密\n"):
        without = service.post("/v1/models/mask:predict", {"texts": ["今[MASK]气", text]})
        assert without.status_code == 422 and "秘密" not in without.text
        message = without.json()["error"]["message"]
        assert message == "Text 1: The text has no [MASK] to fill."
    cut = service.post("/v1/models/mask:predict", {"text": "今天的秘密" * 1000 + "[MASK]"})
    assert cut.status_code == 422 and "秘密" not in cut.text
    assert "stands after its first" in cut.json()["error"]["message"]


def test_paddlehubs_spelling_starts_a_model_by_its_name(start: Start) -> None:
    """`hub serving start -m ernie-pocket-zh`: the vectors of the model in the package."""
    service = start("-m", "ernie_pocket_zh", command=("serving", "start"))
    answer = service.post("/predict/ernie_pocket_zh", {"data": [["今天是个好日子"]]}).json()
    assert answer["status"] == "000" and len(answer["results"][0]) > 100
    assert service.post("/predict/ernie-pocket-zh", {"data": ["今天"]}).json()["status"] == "000"


def test_every_error_is_in_the_documentation() -> None:
    """Of those for a wrong body, 422, there are too many, and their messages say enough."""
    documented = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \| (.*?) \|", documented, re.MULTILINE)
    known = {
        (status, code)
        for statuses, codes in rows
        for status in statuses.split(", ")
        for code in re.findall(r"`(\w+)`", codes)
    }
    raised = set()
    for path in (ROOT / "hub" / "serving").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        raised |= set(re.findall(r'RequestError\(\s*(\d{3}),\s*"(\w+)"', source))
    assert len(raised) > 30
    public = {(status, code) for status, code in raised if status not in ("422", "499")}
    assert public | {("422", "version_refused"), ("422", "unanswerable")} <= known
    paths = describe(Limits())["paths"]
    for operation in (operation for methods in paths.values() for operation in methods.values()):
        assert {"200", "4XX", "500", "503", "504"} <= set(operation["responses"])


def test_the_description_is_whole_and_its_page_needs_no_internet(travel: Program) -> None:
    description = travel.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    page = travel.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in description["paths"]:
        assert path.replace("&", "&amp;") in page.text
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", page.text)
    for method in ("predict", "batch"):
        example = description["paths"][f"/v1/models/{{name}}:{method}"]["post"]["requestBody"]
        answer = travel.post(
            f"/v1/models/travel:{method}", example["content"]["application/json"]["example"]
        )
        assert answer.status_code == 200
    commands = [html.unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", page.text, re.S)]
    assert len(commands) == 7
    answered = 0
    for command in commands:
        assert command.startswith(f"curl -X {'PUT' if '/traffic' in command else 'POST'} http")
        assert "{" not in command.partition("-d")[0]
        if "/admin/" not in command:
            done = subprocess.run(
                ["sh", "-c", command + " --fail --silent"], capture_output=True, check=True
            )
            answered += "天气" in done.stdout.decode()
        else:
            assert "Authorization: Bearer" in command
    assert answered == 5
    other = travel.get("/docs", headers={"Host": "hub.example:80"}).text
    assert "http://hub.example:80/v1/models/travel:predict" in other
    for host in ("x$(id)", "its;evil", "<evil>"):  # what no command should hold
        for name in ("Host", "X-Forwarded-Host", "X-Forwarded-Proto"):
            assert host not in html.unescape(travel.get("/docs", headers={name: host}).text)
    for proto, host, address in (
        ("https", "hub.example", "https://hub.example/v1"),
        ("https, http", "hub.example:8443, inner", "https://hub.example:8443/v1"),
        ("https", "", f"https://127.0.0.1:{travel.port}/v1"),
        ("ftp", "hub.example", "http://hub.example/v1"),
    ):
        forwarded = {"X-Forwarded-Proto": proto, "X-Forwarded-Host": host}
        assert f"{address}/models/travel:predict" in travel.get("/docs", headers=forwarded).text
    schema = {
        "$ref": "#/components/schemas/Answers",
        "components": description["components"],
    }
    jsonschema.validate(travel.post("/v1/models/travel:predict", {"text": "今天"}).json(), schema)


def test_serving_an_exported_model_imports_no_paddle(exported: Path, tmp_path: Path) -> None:
    code = (
        "import sys, asyncio\n"
        "from hub.serving.plans import first_plan\n"
        "from hub.serving.sources import resolve\n"
        "from hub.serving.settings import Settings, parse_spec\n"
        "from hub.serving.service import Service\n"
        "from hub.serving.metrics import Metrics\n"
        "import hub.serving.app, hub.serving.supervisor, hub.cli.serve\n"
        f"spec = parse_spec({f'travel={exported}'!r})\n"
        "plan = first_plan([spec], [resolve(spec.source)])\n"
        "asyncio.run(Service(Settings(), Metrics()).prepare([plan]))\n"
        "heavy = {'paddle', 'datasets', 'sklearn', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["travel@1=runs/a", "travel=runs/b"], "write travel@VERSION"),
        (["travel@1=runs/none"], "no folder"),
        (["travel@=runs/none"], "no version"),
        (["a@1=x:0", "a@2=y:0"], "share of the traffic"),
        (["travel", "--tls-cert", "x"], "both files"),
        (["travel", "--batch-delay-ms", "20000"], "shorter than a request's deadline"),
    ],
)
def test_wrong_arguments_are_sentences(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from hub.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hub", "serve", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in capfd.readouterr().err


def test_a_port_in_use_is_a_sentence(start: Start, exported: Path, travel: Program) -> None:
    second = start(exported, ready=False, port=travel.port)
    assert second.wait() == 2
    assert f"Port {travel.port} of 127.0.0.1 is in use" in second.text()
