"""The servers do what they say: the sites' own clients understand them, each fault is as named."""

from __future__ import annotations

import gc
import gzip
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import Fault, FileServer
from tests.servers.files import nobody, open_files, random_bytes
from tests.servers.huggingface import HuggingFaceServer
from tests.servers.modelscope import NO_ACCESS, NO_REVISION, NOT_FOUND, ModelScopeServer
from tests.servers.s3 import s3_store

CONTENT = random_bytes(200_000, seed=4)
FILES: dict[str, bytes | Path] = {
    "config.json": b'{"model_type": "ernie"}',
    "model.safetensors": random_bytes(50_000, seed=5),
    "词表/vocab 1.txt": "的\n一\n".encode(),
}
REPOSITORY = "someone/ernie-tiny"
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"a.bin": CONTENT}) as running:
        yield running


def get(server: FileServer, path: str = "a.bin", **headers: str) -> requests.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Accept-Encoding": "identity", **names}
    return requests.get(f"{server.url}/{path}", headers=headers, timeout=10)


def assert_soon(condition: Callable[[], bool]) -> None:
    """The server notes what it sent after it sent it: a client can be quicker."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- files, without faults -----------------------------------------------------------------------


def test_a_file_comes_with_its_length_and_a_strong_tag(server: FileServer) -> None:
    answer = get(server)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')
    assert server.requests[0].method == "GET"
    assert_soon(lambda: server.requests[0].sent == len(CONTENT))
    head = requests.head(f"{server.url}/a.bin", timeout=10)
    assert (head.headers["Content-Length"], head.content) == (str(len(CONTENT)), b"")
    assert head.headers["ETag"] == answer.headers["ETag"]
    assert get(server, "no such file").status_code == 404


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=199000-", 199_000, 200_000),
        ("bytes=199000-999999", 199_000, 200_000),
        ("bytes=-10", 199_990, 200_000),
    ],
)
def test_a_range_is_answered_with_just_it(
    server: FileServer, asked: str, start: int, end: int
) -> None:
    answer = get(server, Range=asked)
    assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/200000"


def test_a_range_holds_only_for_the_version_it_is_of(server: FileServer) -> None:
    tag = get(server).headers["ETag"]
    assert get(server, Range="bytes=5-", If_Range=tag).status_code == 206
    assert get(server, Range="bytes=5-", If_Range='"another"').content == CONTENT
    past = get(server, Range="bytes=200000-")
    assert (past.status_code, past.headers["Content-Range"]) == (416, "bytes */200000")


def test_a_connection_is_used_again(server: FileServer) -> None:
    with requests.Session() as session:
        ports = set()
        for _ in range(3):
            with session.get(f"{server.url}/a.bin", stream=True, timeout=10) as answer:
                ports.add(answer.raw.connection.sock.getsockname()[1])
                assert answer.content == CONTENT
    assert len(ports) == 1


def test_a_folder_is_served_and_written_to(tmp_path: Path) -> None:
    (tmp_path / "词 表.txt").write_bytes(b"here")
    with FileServer(folder=tmp_path, token="right") as server:
        assert get(server, "词 表.txt").status_code == 401
        right = {"Authorization": "Bearer right"}
        assert get(server, "词 表.txt", **right).content == b"here"
        url = f"{server.url}/new/file.bin"
        assert requests.put(url, data=b"x", timeout=10).status_code == 401
        assert requests.put(url, data=b"x", headers=right, timeout=10).status_code == 201
        assert (tmp_path / "new" / "file.bin").read_bytes() == b"x"
        again = {**right, "If-None-Match": "*"}
        assert requests.put(url, data=b"y", headers=again, timeout=10).status_code == 412
        assert (tmp_path / "new" / "file.bin").read_bytes() == b"x"


def test_a_large_file_leaves_at_the_speed_of_the_disk(tmp_path: Path) -> None:
    size = 200 << 20
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(size)
    with FileServer({"large.bin": tmp_path / "large.bin"}) as server:
        part = get(server, "large.bin", Range="bytes=5-14")
        assert (part.status_code, part.content) == (206, bytes(10))
        tag = requests.head(f"{server.url}/large.bin", timeout=10).headers["ETag"]
        assert get(server, "large.bin", Range="bytes=-9", If_Range=tag).content == bytes(9)
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
            client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            buffer, received = bytearray(1 << 20), 0
            while count := client.recv_into(buffer):
                received += count
        seconds = time.monotonic() - start
    assert received > size
    assert size / seconds > 200e6  # several times what any downloader with checksums reaches


def test_servers_leave_nothing_behind() -> None:
    threads, files = threading.active_count(), open_files()
    start = time.monotonic()
    for _ in range(5):
        with requests.Session() as session:
            with FileServer({"a.bin": CONTENT}) as server:
                session.get(f"{server.url}/a.bin", timeout=10)
                server.fail("a.bin", Fault(stall_s=60))
                with pytest.raises(requests.exceptions.RequestException):
                    session.get(f"{server.url}/a.bin", timeout=0.05)
                session.get(f"{server.url}/a.bin", timeout=10)
            assert threading.active_count() == threads  # though the client's connection is open
    gc.collect()  # the exceptions of the client hold its sockets in a circle
    assert open_files() == files
    assert time.monotonic() - start < 5


# --- faults --------------------------------------------------------------------------------------


def test_faults_are_used_up_one_request_each(server: FileServer) -> None:
    server.fail("a.bin", Fault(status=503), Fault(status=500))
    server.fail("*", Fault(status=404))
    assert [get(server).status_code for _ in range(5)] == [503, 500, 404, 200, 200]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 416, 429, 500, 502, 503])
def test_a_status_comes_with_its_headers(server: FileServer, status: int) -> None:
    server.fail("a.bin", Fault(status=status, headers={"Retry-After": "7"}))
    answer = get(server)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_lead_to_another_host(server: FileServer, status: int) -> None:
    with FileServer({"b.bin": b"there"}) as other:
        server.fail("a.bin", Fault(status=status, headers={"Location": f"{other.url}/b.bin"}))
        answer = get(server)
        assert (answer.content, answer.history[0].status_code) == (b"there", status)
    server.fail("a.bin", *[Fault(status=status, headers={"Location": "/a.bin"})] * 50)
    with pytest.raises(requests.TooManyRedirects):
        get(server)


@pytest.mark.parametrize("fault", [Fault(cut_after=70_000), Fault(close_after=70_000)])
def test_a_connection_breaks_off_after_so_many_bytes(server: FileServer, fault: Fault) -> None:
    server.fail("a.bin", fault)
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /a.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        try:
            while block := client.recv(65536):
                received += block
            ended = "closed"
        except ConnectionResetError:
            ended = "reset"
    body = received.partition(b"\r\n\r\n")[2]
    assert ended == ("reset" if fault.cut_after is not None else "closed")
    assert body == CONTENT[: len(body)]
    assert len(body) == 70_000 or (ended == "reset" and len(body) < 70_000)
    assert_soon(lambda: server.requests[0].sent == 70_000)
    server.fail("a.bin", fault)
    with pytest.raises(BROKEN):
        get(server)
    assert get(server).content == CONTENT


def test_ranges_are_lied_about_as_asked(server: FileServer) -> None:
    server.fail(
        "a.bin",
        Fault(ignore_range=True),
        Fault(content_range="bytes 0-1/2"),
        Fault(shift=-5),
        Fault(status=416),
    )
    ignored, wrong, shifted, refused = (get(server, Range="bytes=100-") for _ in range(4))
    assert (ignored.status_code, ignored.content) == (200, CONTENT)
    assert wrong.headers["Content-Range"] == "bytes 0-1/2"
    assert shifted.headers["Content-Range"] == "bytes 100-199999/200000"
    assert shifted.content == CONTENT[95:]
    assert refused.status_code == 416


def test_bodies_take_the_form_asked_for(server: FileServer) -> None:
    server.fail(
        "a.bin",
        Fault(without=("Content-Length",)),
        Fault(chunked=True),
        Fault(compressed=True),
        Fault(extra=b"more"),
        Fault(flip=7),
        Fault(content=b"another", headers={"Content-Type": "text/html"}),
    )
    bare, chunked, squeezed, longer, flipped, other = (get(server) for _ in range(6))
    assert "Content-Length" not in bare.headers and bare.content == CONTENT
    assert chunked.headers["Transfer-Encoding"] == "chunked" and chunked.content == CONTENT
    assert squeezed.headers["Content-Encoding"] == "gzip" and squeezed.content == CONTENT
    assert int(squeezed.headers["Content-Length"]) == len(gzip.compress(CONTENT))
    assert longer.content == CONTENT + b"more"
    assert [i for i in range(len(CONTENT)) if flipped.content[i] != CONTENT[i]] == [7]
    assert (other.content, other.headers["Content-Type"]) == (b"another", "text/html")
    assert other.headers["ETag"] != flipped.headers["ETag"]


def test_a_slow_server_is_slow(server: FileServer) -> None:
    server.fail("a.bin", Fault(stall_s=0.3), Fault(bytes_per_second=400_000))
    for expected_s in (0.3, 0.5):
        start = time.monotonic()
        assert get(server).content == CONTENT
        assert expected_s * 0.8 < time.monotonic() - start < expected_s * 4


def test_https_has_the_certificate_given(tmp_path: Path) -> None:
    trustme = make_certificate(tmp_path)
    with FileServer({"a.bin": CONTENT}, tls=trustme) as server:
        assert server.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            get(server)
        answer = requests.get(f"{server.url}/a.bin", verify=str(trustme[0]), timeout=10)
        assert answer.content == CONTENT


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    import subprocess

    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    assert ssl.create_default_context(cafile=str(certificate))
    return certificate, key


def test_nobody_is_there() -> None:
    with nobody() as url, pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, timeout=10)


# --- Hugging Face --------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFaceServer]:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    private, gated = "someone/private", "someone/gated"
    with HuggingFaceServer(
        {REPOSITORY: FILES, private: FILES, gated: FILES, "someone/granted": FILES},
        token="hf_right",
        private=(private,),
        gated=(gated, "someone/granted"),
        granted=("someone/granted",),
    ) as running:
        yield running


def download(hub: HuggingFaceServer, name: str, folder: Path, **options: Any) -> Path:
    from huggingface_hub import hf_hub_download

    options = {"repo_id": REPOSITORY, "token": False, **options}
    return Path(hf_hub_download(filename=name, endpoint=hub.url, cache_dir=folder, **options))


def test_the_hubs_client_lists_files_with_sizes_and_hashes(hub: HuggingFaceServer) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=False)
    info = api.model_info(REPOSITORY, files_metadata=True)
    assert info.sha == hub.commit(REPOSITORY)
    files = {file.rfilename: file for file in info.siblings or ()}
    assert set(files) == set(FILES)
    weights, config = files["model.safetensors"], files["config.json"]
    content = FILES["model.safetensors"]
    assert isinstance(content, bytes) and weights.lfs is not None
    assert weights.size == weights.lfs.size == len(content)
    assert weights.lfs.sha256 == hashlib.sha256(content).hexdigest()
    assert config.blob_id == "4e8fd23419667d0dcea986d101eb568e80f41189"  # `git hash-object`
    assert config.lfs is None
    same = api.model_info(REPOSITORY, revision=info.sha, files_metadata=True)
    assert same.sha == info.sha
    paths = [entry.path for entry in api.list_repo_tree(REPOSITORY)]
    assert sorted(paths) == ["config.json", "model.safetensors", "词表"]
    assert sorted(api.list_repo_files(REPOSITORY)) == sorted(FILES)


def test_the_hubs_client_downloads_files(hub: HuggingFaceServer, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    for name, content in FILES.items():
        assert download(hub, name, tmp_path / "one").read_bytes() == content
    folder = snapshot_download(
        REPOSITORY, endpoint=hub.url, cache_dir=tmp_path / "all", token=False
    )
    for name, content in FILES.items():
        assert (Path(folder) / name).read_bytes() == content
    assert Path(folder).name == hub.commit(REPOSITORY)
    assert_soon(lambda: hub.cdn.sent() == 2 * 50_000)


def test_the_token_does_not_reach_the_second_host(hub: HuggingFaceServer, tmp_path: Path) -> None:
    path = download(hub, "model.safetensors", tmp_path, repo_id="someone/private", token="hf_right")
    assert path.read_bytes() == FILES["model.safetensors"]
    assert any(r.headers.get("authorization") == "Bearer hf_right" for r in hub.requests)
    assert hub.cdn.requests
    assert all("authorization" not in request.headers for request in hub.cdn.requests)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        # Over https the client takes a bare 401 for a missing repository, over http it does not.
        ({"repo_id": "someone/nothing"}, "HfHubHTTPError"),
        ({"repo_id": "someone/nothing", "token": "hf_right"}, "RepositoryNotFoundError"),
        ({"repo_id": "someone/private"}, "HfHubHTTPError"),
        ({"repo_id": "someone/gated"}, "GatedRepoError"),
        ({"repo_id": "someone/gated", "token": "hf_right"}, "GatedRepoError"),
        ({"revision": "v9"}, "RevisionNotFoundError"),
        ({"filename": "nothing.txt"}, "EntryNotFoundError"),
        ({"token": "hf_wrong"}, "HfHubHTTPError"),
    ],
)
def test_the_hubs_client_understands_refusals(
    hub: HuggingFaceServer, tmp_path: Path, options: dict[str, Any], error: str
) -> None:
    from huggingface_hub import errors

    name = options.pop("filename", "config.json")
    with pytest.raises(Exception) as caught:
        download(hub, name, tmp_path, **options)
    causes = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any(isinstance(cause, getattr(errors, error)) for cause in causes), causes


def test_who_was_granted_access_reads_a_gated_file(hub: HuggingFaceServer, tmp_path: Path) -> None:
    path = download(hub, "config.json", tmp_path, repo_id="someone/granted", token="hf_right")
    assert path.read_bytes() == FILES["config.json"]


def test_the_hubs_files_have_faults_too(hub: HuggingFaceServer) -> None:
    for name in ("config.json", "model.safetensors"):
        content = FILES[name]
        assert isinstance(content, bytes)
        hub.fail_file(REPOSITORY, name, Fault(flip=3))
        url = f"{hub.url}/{REPOSITORY}/resolve/main/{name}"
        wrong, right = (requests.get(url, timeout=10) for _ in range(2))
        assert wrong.content != right.content == content
        part = requests.get(url, headers={"Range": "bytes=5-"}, timeout=10)
        tag = {"Range": "bytes=5-", "If-Range": part.headers["ETag"]}
        again = requests.get(url, headers=tag, timeout=10)
        assert (again.status_code, again.content) == (206, content[5:])
    hub.fail(f"api/models/{REPOSITORY}", Fault(status=429))
    assert requests.get(f"{hub.url}/api/models/{REPOSITORY}", timeout=10).status_code == 429


def test_another_file_makes_another_commit(hub: HuggingFaceServer) -> None:
    before = hub.commit(REPOSITORY)
    hub.repositories[REPOSITORY]["config.json"] = b"{}"
    assert hub.commit(REPOSITORY) != before
    url = f"{hub.url}/{REPOSITORY}/resolve"
    assert requests.get(f"{url}/main/config.json", timeout=10).content == b"{}"
    assert requests.get(f"{url}/{before}/config.json", timeout=10).status_code == 404


# --- ModelScope ----------------------------------------------------------------------------------


def test_modelscope_lists_and_sends_files() -> None:
    with ModelScopeServer({REPOSITORY: FILES}) as server:
        url = f"{server.url}/api/v1/models/{REPOSITORY}/repo"
        asked = {"Revision": "master", "Recursive": "True"}
        answer = requests.get(f"{url}/files", params=asked, timeout=10).json()
        assert (answer["Code"], answer["Success"]) == (200, True)
        files = {file["Path"]: file for file in answer["Data"]["Files"]}
        assert files["词表"]["Type"] == "tree"
        assert {path for path, file in files.items() if file["Type"] == "blob"} == set(FILES)
        for path, content in FILES.items():
            assert isinstance(content, bytes)
            assert files[path]["Size"] == len(content)
            assert files[path]["Sha256"] == hashlib.sha256(content).hexdigest()
            where = {"Revision": "master", "FilePath": path}
            assert requests.get(url, params=where, timeout=10).content == content
        top = requests.get(f"{url}/files", params={"Revision": "master"}, timeout=10).json()
        assert len(top["Data"]["Files"]) == 3


@pytest.mark.parametrize("status", [200, 206])
def test_modelscope_sends_a_part_under_either_status(status: int) -> None:
    with ModelScopeServer({REPOSITORY: FILES}, range_status=status) as server:
        url = f"{server.url}/api/v1/models/{REPOSITORY}/repo"
        where = {"Revision": "master", "FilePath": "model.safetensors"}
        part = requests.get(url, params=where, headers={"Range": "bytes=100-"}, timeout=10)
        content = FILES["model.safetensors"]
        assert isinstance(content, bytes)
        assert (part.status_code, part.content) == (status, content[100:])
        assert part.headers["Content-Range"] == "bytes 100-49999/50000"
        assert server.requests[-1].status == status
        server.fail_file(REPOSITORY, "config.json", Fault(status=503))
        assert requests.get(url, params=where, timeout=10).content == content
        where["FilePath"] = "config.json"
        assert requests.get(url, params=where, timeout=10).status_code == 503
        assert requests.get(url, params=where, timeout=10).status_code == 200


def test_modelscope_refuses_in_its_own_words() -> None:
    with ModelScopeServer({REPOSITORY: FILES}, token="ms", private=(REPOSITORY,)) as server:

        def ask(path: str, **options: Any) -> requests.Response:
            return requests.get(f"{server.url}/api/v1/models/{path}", timeout=10, **options)

        listing = f"{REPOSITORY}/repo/files?Recursive=True&Revision="
        for headers in ({"Authorization": "Bearer ms"}, {"Cookie": "m_session_id=ms"}):
            assert ask(listing + "master", headers=headers).status_code == 200
        assert ask(f"{REPOSITORY}/revisions", headers=headers).json()["Data"]["RevisionMap"]
        refusals = [
            (ask(listing + "master"), NO_ACCESS),
            (ask(listing + "v9", headers=headers), NO_REVISION),
            (ask("someone/nothing/repo/files"), NOT_FOUND),
            (ask(f"{REPOSITORY}/repo?FilePath=nothing", headers=headers), NOT_FOUND),
        ]
        for answer, code in refusals:
            body = answer.json()
            assert (answer.status_code, body["Code"], body["Success"]) == (404, code, False)


def test_modelscope_redirects_large_files_within_a_cloud() -> None:
    with ModelScopeServer({REPOSITORY: FILES}, redirect=True) as server:
        url = f"{server.url}/api/v1/models/{REPOSITORY}/repo"
        where = {"Revision": "master", "FilePath": "model.safetensors"}
        answer = requests.get(url, params=where, timeout=10)
        assert answer.content == FILES["model.safetensors"]
        assert answer.history[0].status_code == 302
        assert_soon(lambda: server.cdn.sent() == 50_000)


# --- S3 ------------------------------------------------------------------------------------------


def test_an_object_store_is_found_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    with s3_store() as store:
        with fsspec.open(f"{store.url}/文件.bin", "wb", **store.options) as file:
            file.write(CONTENT)
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        system, path = fsspec.url_to_fs(store.url)
        assert [name.rpartition("/")[2] for name in system.ls(path)] == ["文件.bin"]
        assert system.cat(f"{path}/文件.bin", start=5, end=15) == CONTENT[5:15]
    with s3_store() as fresh:
        monkeypatch.setenv("AWS_ENDPOINT_URL", fresh.endpoint)
        system, path = fsspec.url_to_fs(fresh.url)
        assert system.ls(path) == []
