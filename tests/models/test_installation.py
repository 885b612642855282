"""A name becomes a model on this machine: from every source, whatever happens on the way."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import hub
from hub.backend import paddle
from hub.errors import (
    ChecksumError,
    DownloadError,
    InputError,
    OfflineError,
    OutputError,
    UnknownModelError,
)
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.heads import ErnieForSequenceClassification
from hub.models.installation import install, locate
from hub.registry import catalogue
from hub.registry.catalogue import ModelEntry, Source, SourceFile
from hub.registry.store import Store
from hub.tokenizers import load_tokenizer
from tests.servers import Fault, FileServer
from tests.servers.files import nobody
from tests.servers.huggingface import HuggingFaceServer
from tests.servers.modelscope import ModelScopeServer
from tests.servers.repositories import commit_of

GOLDEN = Path(__file__).parents[1] / "golden"
PADDLENLP = GOLDEN / "paddlenlp" / "ernie-1.0"
TRANSFORMERS = GOLDEN / "transformers" / "bare-encoder"
REPOSITORY = "team/ernie-test-zh"
SHAPE = {
    "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 32, "pad_token_id": 0,
}  # fmt: skip
ERNIE_1 = {"model_type": "ernie", **SHAPE, "type_vocab_size": 16, "hidden_act": "relu"}
ERNIE_3 = {
    "model_type": "ernie", **SHAPE, "type_vocab_size": 2, "hidden_act": "gelu",
    "use_task_id": True, "task_type_vocab_size": 3, "layer_norm_eps": 1e-5,
}  # fmt: skip


def files_of(folder: Path, *names: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


BAIDU = files_of(PADDLENLP, "model_state.pdparams", "vocab.txt")
HUB = files_of(TRANSFORMERS, "model.safetensors", "config.json", "vocab.txt")
COMMIT = commit_of(HUB)

Enter = Callable[..., ModelEntry]


@pytest.fixture(autouse=True)
def empty_huggingface_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model of the developer's own cache is found."""
    folder = tmp_path / "huggingface"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    return folder


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """Put a small model into the catalogue."""

    def enter(
        *sources: Source, architecture: Mapping[str, Any] = ERNIE_1, **values: Any
    ) -> ModelEntry:
        entry = ModelEntry(
            **{
                "name": "ernie-test-zh",
                "version": "1.0.0",
                "summary": "a small one",
                "tokenizer": {"kind": "wordpiece", "lowercase": True},
                "sources": sources,
                "architecture": architecture,
                **values,
            }
        )
        monkeypatch.setattr(catalogue, "_names", lambda: {entry.name: entry})
        monkeypatch.setattr(catalogue, "_entries", lambda: (entry,))
        return entry

    yield enter


def baidu(server: FileServer, files: Mapping[str, bytes] = BAIDU, **known: Any) -> Source:
    """A source whose files are on the server, under their names."""
    server.files.update(files)
    return Source(
        "baidu", files={name: SourceFile(f"{server.url}/{name}", **known) for name in files}
    )


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFaceServer]:
    with HuggingFaceServer({REPOSITORY: HUB}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def assert_answers_as(module: hub.Module, folder: Path) -> None:
    """The encoder computes what the peer computed."""
    document = json.loads((folder / "golden.json").read_text("utf-8"))
    for batch in document["batches"]:
        inputs = [
            paddle.to_tensor(np.array(batch[name], np.int64))
            for name in ("input_ids", "token_type_ids", "attention_mask")
        ]
        with paddle.no_grad():
            sequence, pooled = module.network.encoder(*inputs)
        seen = np.array(batch["attention_mask"])[..., None]
        wanted = np.array(batch["sequence"]) * seen
        np.testing.assert_allclose(sequence.numpy() * seen, wanted, atol=1e-5)
        np.testing.assert_allclose(pooled.numpy(), np.array(batch["pooled"]), atol=1e-5)


def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*unused: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def left_over(store: Store) -> list[str]:
    """Files in the store that belong to no model."""
    return [
        str(path.relative_to(store.root))
        for path in store.root.rglob("*")
        if path.is_file()
        and path.relative_to(store.root).parts[0] in ("models", "unfinished")
        and not any(model.folder in path.parents for model in store.models())
    ]


# --- every source --------------------------------------------------------------------------------


def test_from_fixed_addresses(server: FileServer, enter: Enter) -> None:
    enter(baidu(server))
    module = hub.Module(name="Ernie_Test_ZH")
    assert_answers_as(module, PADDLENLP)
    assert module.name == "ernie-test-zh"
    assert module.predict is not None and module.task is None
    asked = len(server.requests)
    assert_answers_as(hub.Module(name="ernie-test-zh"), PADDLENLP)
    assert len(server.requests) == asked  # the second time nobody is asked
    assert left_over(Store()) == []


def test_from_a_hugging_face_hub(hub_server: HuggingFaceServer, enter: Enter) -> None:
    enter(Source("huggingface", repository=REPOSITORY), architecture=ERNIE_3)
    assert_answers_as(hub.Module(name="ernie-test-zh"), TRANSFORMERS)
    origin = Store().get("ernie-test-zh", "1.0.0").manifest.origin
    assert origin is not None
    assert origin["revision"] == COMMIT
    weights = origin["files"]["model.safetensors"]
    assert weights["sha256"] == hashlib.sha256(HUB["model.safetensors"]).hexdigest()
    assert "signature" not in json.dumps(origin)


def test_from_modelscope(enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(Source("modelscope", repository=REPOSITORY), architecture=ERNIE_3)
    with ModelScopeServer({REPOSITORY: HUB}) as running:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        # The site answers the second half with the status of a whole file.
        running.fail_file(REPOSITORY, "model.safetensors", Fault(close_after=30_000))
        assert_answers_as(hub.Module(name="ernie-test-zh"), TRANSFORMERS)
        assert running.sent() < sum(map(len, HUB.values())) + 5_000


def test_modelscope_without_the_model_says_so(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(Source("modelscope", repository=REPOSITORY), architecture=ERNIE_3)
    with ModelScopeServer({REPOSITORY: HUB}, token="right", private=(REPOSITORY,)) as running:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        with pytest.raises(DownloadError, match=r"no such repository.*MODELSCOPE_API_TOKEN"):
            hub.Module(name="ernie-test-zh")


def test_a_repository_that_the_catalogue_does_not_know(
    hub_server: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = hub.Module(f"hf://{REPOSITORY}")
    assert_answers_as(module, TRANSFORMERS)
    assert module.name == "hf--team--ernie-test-zh"
    hub.Module(f"hf://{REPOSITORY}@{COMMIT}")
    forbid_sockets(monkeypatch)
    hub.Module(f"hf://{REPOSITORY}")


def test_a_repository_of_this_packages_own_folder_keeps_what_it_learned(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"thresholds": [0.25, 0.75]}
    tuned = hub.Module(
        directory=tiny_folder, task="multi-label", label_map=["天气", "音乐"],
        task_options=options, max_seq_len=50, long_text="window",
    )  # fmt: skip
    tuned.save(tmp_path / "tuned")
    (tmp_path / "tuned" / "README.md").write_text("# Ours\n", encoding="utf-8")
    files = {path.name: path.read_bytes() for path in (tmp_path / "tuned").iterdir()}
    with HuggingFaceServer({"team/tuned": files}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        again = hub.Module("hf://team/tuned")
        assert again.task is not None and again.task.options["thresholds"] == [0.25, 0.75]
        assert (again.task.labels, again.max_seq_len, again.long_text) == (
            ["天气", "音乐"], 50, "window",
        )  # fmt: skip
        assert again.base_model == tuned.base_model
        text = ["今天天气好"]
        assert again.predict(text, probabilities=True) == tuned.predict(text, probabilities=True)
        stored = Store().get("hf--team--tuned", "main")
        assert stored.manifest.origin is not None and stored.manifest.name == "hf--team--tuned"
        assert (stored.folder / "README.md").read_text("utf-8") == "# Ours\n"
    weights = bytearray(files["model.safetensors"])
    weights[-1] ^= 1
    with HuggingFaceServer(
        {"team/other": {**files, "model.safetensors": bytes(weights)}}
    ) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        with pytest.raises(OfflineError, match="changed or damaged"):
            hub.Module("hf://team/other")


def test_what_another_program_fetched_is_used_without_a_request(
    enter: Enter, empty_huggingface_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(Source("huggingface", repository=REPOSITORY), architecture=ERNIE_3)
    repository = empty_huggingface_cache / "models--team--ernie-test-zh"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for name, content in HUB.items():
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    forbid_sockets(monkeypatch)
    monkeypatch.setenv("HUB_OFFLINE", "1")
    assert_answers_as(hub.Module(name="ernie-test-zh"), TRANSFORMERS)
    # Its cache is not believed: a damaged file is not used.
    Store().remove("ernie-test-zh", "1.0.0")
    blob = (snapshot / "vocab.txt").resolve()
    blob.write_bytes(blob.read_bytes() + b"x\n")
    with pytest.raises(OfflineError):
        hub.Module(name="ernie-test-zh")


def test_the_real_client_understands_the_test_hub(
    hub_server: HuggingFaceServer, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub_server.url, token=False)
    path = api.hf_hub_download(REPOSITORY, "config.json", local_dir=tmp_path / "local")
    assert Path(path).read_bytes() == HUB["config.json"]


def test_ernie_tiny_with_its_words_and_pieces(
    server: FileServer, enter: Enter, tiny_folder: Path
) -> None:
    folder = GOLDEN / "ernie_tiny"
    names = ("vocab.txt", "spm_cased_simp_sampled.model", "dict.wordseg.pickle")
    size = len((folder / "vocab.txt").read_text("utf-8").splitlines())
    shape = {**ERNIE_1, "vocab_size": size, "num_hidden_layers": 1, "type_vocab_size": 2}
    network = ErnieForSequenceClassification(ErnieConfig.from_dict(shape), 2)
    paddle_names = {
        "attention_norm": "norm1", "output_norm": "norm2", "feed_forward.intermediate": "linear1",
        "feed_forward.output": "linear2", "attention.query": "self_attn.q_proj",
        "attention.key": "self_attn.k_proj", "attention.value": "self_attn.v_proj",
        "attention.output": "self_attn.out_proj", "encoder.layers": "ernie.encoder.layers",
        "encoder.embeddings": "ernie.embeddings", "encoder.pooler": "ernie.pooler",
    }  # fmt: skip
    state = {}
    for name, value in network.state_dict().items():
        for ours, theirs in paddle_names.items():
            name = name.replace(ours, theirs)
        state[name] = value
    buffer = io.BytesIO()
    paddle.save(state, buffer)
    files = {**files_of(folder, *names), "model_state.pdparams": buffer.getvalue()}
    enter(baidu(server, files), architecture=shape, tokenizer={"kind": "ernie-tiny"})
    module = hub.Module(name="ernie_test_zh", task="seq-cls", num_classes=2)
    wanted = load_tokenizer(folder)("这家酒店的电话")
    assert module.tokenizer("这家酒店的电话") == wanted
    stored = Store().get("ernie-test-zh", "1.0.0").folder
    assert not list(stored.glob("*.pickle"))
    weights = stored / "model.safetensors"
    arrays = safetensors.numpy.load_file(weights)
    np.testing.assert_array_equal(
        arrays["ernie.embeddings.word_embeddings.weight"],
        network.encoder.embeddings.word_embeddings.weight.numpy(),
    )
    module.save(stored.parent / "saved")
    again = hub.Module(directory=stored.parent / "saved")
    assert again.predict(["这家酒店的电话"]) == module.predict(["这家酒店的电话"])
    # A model with another kind of tokenizer takes its place whole.
    other = hub.Module(directory=tiny_folder, task="seq-cls", num_classes=2)
    other.save(stored.parent / "saved")
    again = hub.Module(directory=stored.parent / "saved")
    assert again.tokenizer("这家酒店的电话") == other.tokenizer("这家酒店的电话") != wanted


# --- tokens --------------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_and_not_to_its_storage(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(Source("huggingface", repository=REPOSITORY), architecture=ERNIE_3)
    with HuggingFaceServer({REPOSITORY: HUB}, token="hf_secret", private=(REPOSITORY,)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        hub.Module(name="ernie-test-zh")
        assert all(r.headers["authorization"] == "Bearer hf_secret" for r in running.requests)
        assert running.cdn.requests
        assert not any("authorization" in r.headers for r in running.cdn.requests)


def test_a_closed_repository_says_what_is_missing(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(Source("huggingface", repository=REPOSITORY), architecture=ERNIE_3)
    with HuggingFaceServer({REPOSITORY: HUB}, gated=(REPOSITORY,)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        with pytest.raises(DownloadError, match="HF_TOKEN"):
            hub.Module(name="ernie-test-zh")
    with HuggingFaceServer({}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        with pytest.raises(DownloadError, match="no such repository"):
            hub.Module(name="ernie-test-zh")
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        with pytest.raises(DownloadError, match="HF_TOKEN is not valid"):
            hub.Module(name="ernie-test-zh")


# --- one source after the other ------------------------------------------------------------------


def test_the_next_source_is_tried_and_each_failure_is_named(
    server: FileServer, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    with nobody() as dead, FileServer() as wrong:
        known = {n: hashlib.sha256(c).hexdigest() for n, c in BAIDU.items()}

        def source(url: str) -> Source:
            files = {n: SourceFile(f"{url}/{n}", sha256=known[n]) for n in BAIDU}
            return Source("baidu", files=files)

        wrong.files.update(dict.fromkeys(BAIDU, b"something else"))
        server.files.update(BAIDU)
        enter(source(dead), source(wrong.url), source(server.url))
        start = time.monotonic()
        install(hub.registry.find_model("ernie-test-zh"))
        assert time.monotonic() - start < 2
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) == 2
    assert "cannot be reached" in lines[0] and "trying the next source" in lines[0]
    assert "sha256 expected" in lines[1]
    assert all("\n" not in line for line in lines)


def test_the_users_order_decides(
    server: FileServer, hub_server: HuggingFaceServer, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(
        baidu(server),
        Source("huggingface", repository=REPOSITORY),
        architecture=ERNIE_3,
    )
    monkeypatch.setenv("HUB_SOURCES", "huggingface,baidu")
    hub.Module(name="ernie-test-zh")
    assert server.requests == []


def test_when_every_source_fails_all_reasons_are_given(server: FileServer, enter: Enter) -> None:
    enter(baidu(server), Source("huggingface", repository=REPOSITORY))
    server.fail("*", Fault(status=404))
    with nobody() as dead, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", dead)
        with pytest.raises(DownloadError) as caught:
            hub.Module(name="ernie-test-zh")
    message = str(caught.value)
    assert "answered 404" in message
    assert "cannot be reached" in message
    assert "hub download ernie-test-zh --to" in message
    assert left_over(Store()) == []


# --- without a network ---------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HUB_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_a_missing_model_says_what_to_do_at_once(
    variable: str, server: FileServer, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(baidu(server), Source("huggingface", repository=REPOSITORY))
    monkeypatch.setenv(variable, "1")
    forbid_sockets(monkeypatch)
    start = time.monotonic()
    with pytest.raises(OfflineError) as caught:
        hub.Module(name="ernie-test-zh")
    assert time.monotonic() - start < 2
    message = str(caught.value)
    assert "ernie-test-zh" in message
    assert REPOSITORY in message and server.url in message
    assert "hub download ernie-test-zh --to ernie-test-zh" in message
    assert not Store().root.exists()


def test_offline_a_model_that_is_here_loads_without_a_socket(
    server: FileServer, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(baidu(server))
    hub.Module(name="ernie-test-zh")
    monkeypatch.setenv("HUB_OFFLINE", "1")
    forbid_sockets(monkeypatch)
    assert_answers_as(hub.Module(name="ernie-test-zh"), PADDLENLP)


def test_a_read_only_store_is_read(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files.update(BAIDU)
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        monkeypatch.setenv("HUB_HOME", f"{scratch}/home")
        first = child(server)
        assert first.wait() == 0, first.communicate()
        first.communicate()
        store = Store()
        shutil.rmtree(store.root / "locks")
        places = [store.root, *store.root.rglob("*")]
        before = sorted(map(str, places))
        for path in places:
            path.chmod(0o555 if path.is_dir() else 0o444)
        server.requests.clear()
        second = child(server, powerless=True)
        out, err = second.communicate()
        assert second.returncode == 0, err
        assert out.strip() == str(store.root / "models" / "ernie-test-zh" / "1.0.0")
        assert sorted(map(str, [store.root, *store.root.rglob("*")])) == before
        assert server.requests == []
        # What is not there cannot be put there, and that is a sentence.
        (store.root / "models" / "ernie-test-zh" / "1.0.0").rename(f"{scratch}/elsewhere")
        third = child(server, powerless=True)
        _, err = third.communicate()
        assert "OutputError" in err and "HUB_HOME" in err
        for path in [store.root, *store.root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


# --- checksums -----------------------------------------------------------------------------------


def test_the_first_download_is_remembered_and_said(
    server: FileServer, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    enter(baidu(server))
    hub.Module(name="ernie-test-zh")
    assert "publishes no checksum of model_state.pdparams, vocab.txt" in caplog.text
    caplog.clear()
    Store().remove("ernie-test-zh", "1.0.0")
    hub.Module(name="ernie-test-zh")
    assert "checksum" not in caplog.text
    Store().remove("ernie-test-zh", "1.0.0")
    server.files["vocab.txt"] = BAIDU["vocab.txt"] + "新\n".encode()
    with pytest.raises(DownloadError, match=r"its first download on \d{4}.*--accept-new-files"):
        hub.Module(name="ernie-test-zh")
    Store().forget_checksums("ernie-test-zh", "1.0.0")
    assert len(hub.Module(name="ernie-test-zh").tokenizer("新")["input_ids"]) == 3


def test_a_published_checksum_is_believed_and_not_said(
    server: FileServer, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    files = {
        name: SourceFile(f"{server.url}/{name}", md5=hashlib.md5(content).hexdigest())
        for name, content in BAIDU.items()
    }
    server.files.update(BAIDU)
    enter(Source("baidu", files=files))
    hub.Module(name="ernie-test-zh")
    assert caplog.text == ""
    assert Store().checksums("ernie-test-zh", "1.0.0") == {}


def test_wrong_bytes_never_become_a_model(server: FileServer, enter: Enter) -> None:
    enter(baidu(server, sha256="0" * 64))
    with pytest.raises(DownloadError, match="sha256 expected 0000"):
        hub.Module(name="ernie-test-zh")
    assert Store().models() == []
    assert left_over(Store()) == []


class Malicious:
    """Touches a file when it is unpickled as usual."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


def test_code_in_weights_is_refused_by_name_and_another_source_is_used(
    server: FileServer,
    hub_server: HuggingFaceServer,
    enter: Enter,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    canary = tmp_path / "canary"
    evil = {**BAIDU, "model_state.pdparams": pickle.dumps({"weight": Malicious(canary)})}
    enter(
        baidu(server, evil),
        Source("huggingface", repository=REPOSITORY),
        architecture=ERNIE_3,
    )
    assert_answers_as(hub.Module(name="ernie-test-zh"), TRANSFORMERS)
    assert "model_state.pdparams asks for posix.system" in caplog.text
    assert not canary.exists()
    assert left_over(Store()) == []


def test_weights_of_another_shape_are_refused(server: FileServer, enter: Enter) -> None:
    enter(baidu(server), architecture={**ERNIE_1, "num_hidden_layers": 3})
    with pytest.raises(DownloadError, match="a part of the encoder"):
        hub.Module(name="ernie-test-zh")
    assert Store().models() == []
    assert left_over(Store()) == []


# --- processes -----------------------------------------------------------------------------------

CHILD = """
import json, sys, logging
logging.basicConfig(level=logging.WARNING)
from hub.models.installation import install
from hub.registry.catalogue import ModelEntry, Source, SourceFile
url, architecture = sys.argv[1], json.loads(sys.argv[2])
files = {n: SourceFile(f"{url}/{n}") for n in ("model_state.pdparams", "vocab.txt")}
entry = ModelEntry(name="ernie-test-zh", version="1.0.0", summary="",
    tokenizer={"kind": "wordpiece", "lowercase": True},
    sources=[Source("baidu", files=files)], architecture=architecture)
print(install(entry))
"""


# Root writes everywhere; without these two capabilities permissions hold for it as well. (Another
# user could perhaps not enter the folder of the interpreter.)
WITHOUT_POWER = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def child(server: FileServer, powerless: bool = False) -> subprocess.Popen[str]:
    before = WITHOUT_POWER if powerless and os.geteuid() == 0 else ()
    return subprocess.Popen(
        [*before, sys.executable, "-c", CHILD, server.url, json.dumps(ERNIE_1)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_eight_processes_make_one_download(server: FileServer) -> None:
    server.files.update(BAIDU)
    server.fail("model_state.pdparams", Fault(stall_s=1.0))
    children = [child(server) for _ in range(8)]
    answers = [process.communicate(timeout=120) for process in children]
    assert [process.returncode for process in children] == [0] * 8, answers
    assert len({out for out, _ in answers}) == 1
    assert sorted(r.path for r in server.requests) == ["/model_state.pdparams", "/vocab.txt"]
    assert Store().verify(Store().get("ernie-test-zh", "1.0.0")) is None


def test_eight_processes_without_locks_all_end_with_the_right_model(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network drives have no locks: the downloads are many then, and none is wrong."""
    server.files.update(BAIDU)
    unlocked = "import contextlib, hub.registry.store as s\n"
    unlocked += "s.locked = lambda *a, **k: contextlib.nullcontext()\n"
    monkeypatch.setitem(globals(), "CHILD", unlocked + CHILD)
    children = [child(server) for _ in range(8)]
    answers = [process.communicate(timeout=120) for process in children]
    assert [process.returncode for process in children] == [0] * 8, answers
    assert Store().verify(Store().get("ernie-test-zh", "1.0.0")) is None


def test_a_process_killed_with_the_lock_does_not_stop_the_others(server: FileServer) -> None:
    server.files.update(BAIDU)
    server.fail("model_state.pdparams", Fault(bytes_per_second=20_000))
    first = child(server)
    while server.sent("model_state.pdparams") < 10_000:
        assert first.poll() is None
        time.sleep(0.01)
    second = child(server)
    time.sleep(0.3)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    killed = time.monotonic()
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert time.monotonic() - killed < 5
    assert Store().verify(Store().get("ernie-test-zh", "1.0.0")) is None
    assert left_over(Store()) == []


@pytest.mark.parametrize("path", ["vocab.txt", "model_state.pdparams"])
def test_killed_on_the_way_the_next_call_fetches_only_the_rest(
    server: FileServer, path: str
) -> None:
    server.files.update(BAIDU)
    server.fail(path, Fault(stall_s=30))
    process = child(server)
    while not any(r.path == f"/{path}" for r in server.requests):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert Store().models() == []
    server.requests.clear()
    again = child(server)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    if path == "vocab.txt":  # the weights came before it
        assert [r.path for r in server.requests] == ["/vocab.txt"]


CRASH = """
import os, pathlib, sys
count, limit = 0, int(os.environ["CRASH_AT"])
def crashing(original):
    def wrapped(*arguments, **options):
        global count
        count += 1
        if count == limit:
            os._exit(9)
        return original(*arguments, **options)
    return wrapped
for name in ("replace", "rename", "mkdir", "unlink"):
    setattr(pathlib.Path, name, crashing(getattr(pathlib.Path, name)))
"""


def test_a_crash_at_any_step_leaves_a_whole_model_or_none(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step that changes a name on the disk is the last one of a process once."""
    server.files.update(BAIDU)
    monkeypatch.setitem(globals(), "CHILD", CRASH + CHILD)
    step, crashed = 0, True
    while crashed:
        step += 1
        monkeypatch.setenv("HUB_HOME", str(tmp_path / str(step)))
        monkeypatch.setenv("CRASH_AT", str(step))
        process = child(server)
        process.communicate(timeout=60)
        crashed = process.returncode == 9
        store = Store()
        assert [store.verify(model) for model in store.models()] in ([], [None])
        monkeypatch.setenv("CRASH_AT", "0")
        again = child(server)
        _, err = again.communicate(timeout=60)
        assert again.returncode == 0, err
        assert store.verify(store.get("ernie-test-zh", "1.0.0")) is None
        assert left_over(store) == []
    assert step > 15  # else the crashes were not at the steps they are meant for


# --- places --------------------------------------------------------------------------------------


def test_a_home_with_chinese_characters_and_spaces(
    server: FileServer, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(baidu(server))
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "我的 模型 库"))
    assert_answers_as(hub.Module(name="ernie-test-zh"), PADDLENLP)


@pytest.mark.parametrize("kilobytes", [20, 70, 100])
def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(
    kilobytes: int, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the download, between the files, and in the conversion."""
    server.files.update(BAIDU)
    limit = f"import resource; size = {kilobytes}000\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
    if kilobytes > 80:  # the weights fit; what is made of them does not
        limit += "import safetensors.numpy, safetensors as st\n"
        limit += "def full(*a, **k): raise st.SafetensorError('I/O error (os error 28)')\n"
        limit += "safetensors.numpy.save_file = full\n"
    monkeypatch.setitem(globals(), "CHILD", limit + CHILD)
    process = child(server)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "OutputError" in err.splitlines()[-1], err
    assert "full" in err or "No space left" in err
    assert left_over(Store()) == []
    assert Store().models() == []


def test_a_home_that_cannot_be_made_is_a_sentence(
    server: FileServer, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(baidu(server))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="HUB_HOME"):
        hub.Module(name="ernie-test-zh")
    assert server.requests == []


# --- names ---------------------------------------------------------------------------------------


def test_a_name_with_a_version(server: FileServer, enter: Enter) -> None:
    enter(baidu(server))
    assert locate("ernie_test_zh@1.0.0")[0] is not None
    with pytest.raises(UnknownModelError, match=r"'2\.0\.0': its only version is 1\.0\.0"):
        locate("ernie-test-zh@2.0.0")
    with pytest.raises(InputError, match="another one"):
        hub.Module(name="ernie-test-zh@1.0.0", version="2.0.0")


@pytest.mark.parametrize(
    "name", ["", "..", "../etc", "x y", "模型", "hf://", "hf://a", "hf://a/b/c"]
)
def test_a_name_that_can_be_none_is_unknown(name: str, enter: Enter) -> None:
    enter()
    with pytest.raises(UnknownModelError):
        locate(name)
    assert not Store().root.exists()


def test_checksum_errors_are_download_errors() -> None:
    assert issubclass(ChecksumError, DownloadError)
