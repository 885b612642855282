"""A download ends with the right file or with a sentence, whatever the server does."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import ChecksumError, DownloadError, OutputError
from hub.registry import transfer
from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile, download
from hub.registry.http import Client
from tests.servers import Fault, FileServer
from tests.servers.files import nobody, random_bytes

SIZE = 400_000
CONTENT = random_bytes(SIZE)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
GIT_SHA1 = hashlib.sha1(b"blob %d\0" % SIZE + CONTENT).hexdigest()
FULL = Expected(size=SIZE, sha256=SHA256)
NOTHING = Expected()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"model.bin": CONTENT}) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The waits between tries, which take no time."""
    return []


@pytest.fixture
def client(waits: list[float]) -> Iterator[Client]:
    with Client(sleep=waits.append) as made:
        yield made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "下载 目录").mkdir()
    return tmp_path / "下载 目录" / "model.bin"


def remote(server: FileServer, expected: Expected = FULL, path: str = "model.bin") -> RemoteFile:
    return RemoteFile("model.bin", f"{server.url}/{path}", expected)


def assert_done(target: Path) -> None:
    """The right file is there, and nothing else."""
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


# --- what comes is what was expected -------------------------------------------------------------


@pytest.mark.parametrize(
    "expected",
    [
        FULL,
        NOTHING,
        Expected(sha256=SHA256),
        Expected(sha256=SHA256.upper()),
        Expected(md5=MD5),
        Expected(size=SIZE),
        Expected(size=SIZE, git_sha1=GIT_SHA1),
    ],
)
def test_a_right_file_arrives(
    server: FileServer, client: Client, target: Path, expected: Expected
) -> None:
    fetched = download(remote(server, expected), target, client)
    assert (fetched.size, fetched.sha256) == (SIZE, SHA256)
    assert_done(target)


def test_a_flipped_bit_anywhere_never_reaches_the_file(target: Path) -> None:
    content = CONTENT[:65536]
    expected = Expected(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    generator = random.Random(1)
    with FileServer({"model.bin": content}) as server, Client() as client:
        for place in [0, len(content) - 1, *generator.sample(range(len(content)), 198)]:
            server.fail("model.bin", Fault(flip=place))
            with pytest.raises(ChecksumError, match="sha256 expected"):
                download(remote(server, expected), target, client)
            assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        Expected(sha256="0" * 64),
        Expected(md5="0" * 32),
        Expected(size=SIZE, git_sha1="0" * 40),
        Expected(size=SIZE + 1),
        Expected(size=SIZE - 1),
    ],
)
def test_the_error_names_file_expected_and_found(
    server: FileServer, client: Client, target: Path, wrong: Expected
) -> None:
    with pytest.raises(ChecksumError, match=r"model\.bin is not the expected.*expected .*found"):
        download(remote(server, wrong), target, client)
    assert list(target.parent.iterdir()) == []
    assert len(server.requests) == 1  # the same file again would be as wrong


def test_a_web_page_is_no_model(server: FileServer, client: Client, target: Path) -> None:
    server.fail("*", Fault(headers={"Content-Type": "text/html; charset=utf-8"}))
    with pytest.raises(ChecksumError, match="web page"):
        download(remote(server, NOTHING), target, client)
    assert list(target.parent.iterdir()) == []


def test_the_servers_own_checksum_is_checked(
    server: FileServer, client: Client, target: Path
) -> None:
    right = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    server.fail("*", Fault(headers={"Content-MD5": right}))
    download(remote(server, NOTHING), target, client)
    server.fail("*", Fault(headers={"Content-MD5": right}, flip=7))
    with pytest.raises(ChecksumError, match="Content-MD5"):
        download(remote(server, NOTHING), target.with_name("other"), client)


# --- lengths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [Fault(without=("Content-Length",)), Fault(chunked=True), Fault(compressed=True)],
    ids=["no length", "chunked", "gzip"],
)
def test_a_body_in_another_form_arrives(
    server: FileServer, client: Client, target: Path, fault: Fault
) -> None:
    server.fail("model.bin", fault)
    download(remote(server), target, client)
    assert_done(target)
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_chunks_need_no_checksum_to_be_whole(
    server: FileServer, client: Client, target: Path
) -> None:
    server.fail("model.bin", Fault(chunked=True, close_after=SIZE // 2), Fault(chunked=True))
    download(remote(server, NOTHING), target, client)
    assert_done(target)


def test_a_body_that_nothing_tells_the_end_of_is_refused(
    server: FileServer, client: Client, target: Path
) -> None:
    server.fail("model.bin", Fault(without=("Content-Length",), close_after=SIZE // 2))
    with pytest.raises(DownloadError, match="how long"):
        download(remote(server, NOTHING), target, client)
    assert list(target.parent.iterdir()) == []


def test_a_body_longer_than_registered_is_cut_off_at_once(
    server: FileServer, client: Client, target: Path
) -> None:
    extra = b"x" * 3_000_000
    server.fail("model.bin", Fault(chunked=True, extra=extra))
    with pytest.raises(ChecksumError, match="found more"):
        download(remote(server), target, client)
    assert list(target.parent.iterdir()) == []


def test_a_body_shorter_than_its_length_is_fetched_further(
    server: FileServer, client: Client, target: Path
) -> None:
    server.fail("model.bin", Fault(close_after=100_000), Fault(close_after=100_000))
    download(remote(server), target, client)
    assert_done(target)
    assert server.sent() <= SIZE + 2 * 65536


# --- interruptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("expected", [FULL, NOTHING], ids=["checksum", "no checksum"])
def test_the_next_call_fetches_only_what_is_missing(
    server: FileServer, target: Path, share: float, expected: Expected
) -> None:
    for number in range(20):  # more faults than tries: the first call gives up
        server.fail("model.bin", Fault(close_after=int(SIZE * share) if number == 0 else 0))
    with Client(attempts=1) as client, pytest.raises(DownloadError):
        download(remote(server, expected), target, client)
    assert not target.exists()
    server._faults.clear()
    with Client() as client:
        download(remote(server, expected), target, client)
    assert_done(target)
    last = server.requests[-1].headers
    assert last["range"].startswith("bytes=")
    assert last["if-range"].startswith('"')
    assert server.sent() <= SIZE + 65536


def test_an_interrupted_call_leaves_its_bytes(
    server: FileServer, client: Client, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = transfer._write_all
    blocks = 0

    def interrupted(*arguments: object) -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 4:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(transfer, "_write_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(remote(server), target, client)
    monkeypatch.undo()
    download(remote(server), target, client)
    assert_done(target)
    assert server.requests[-1].headers["range"] == f"bytes={3 * 65536}-"


FETCH = """
import sys, os, signal
from pathlib import Path
from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile, download
from hub.registry.http import Client
url, target, size, sha256 = sys.argv[1:]
download(RemoteFile("model.bin", url, Expected(int(size), sha256)), Path(target), Client())
"""


def test_killed_at_any_moment_the_next_call_ends_with_the_right_file(target: Path) -> None:
    generator = random.Random(2)
    content = random_bytes(2_000_000, seed=3)
    sha256 = hashlib.sha256(content).hexdigest()
    with FileServer({"model.bin": content}) as server:
        command = [sys.executable, "-c", FETCH, f"{server.url}/model.bin", str(target)]
        command += [str(len(content)), sha256]
        kills = 0
        for _ in range(10):
            server.fail("model.bin", Fault(bytes_per_second=len(content) / 0.4))
            process = subprocess.Popen(command)
            enough = server.sent() + generator.uniform(0, 0.95) * len(content)
            while server.sent() <= enough and process.poll() is None:
                time.sleep(0.002)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
            assert not target.exists() or target.read_bytes() == content
            server._faults.clear()
            with Client() as client:
                expected = Expected(len(content), sha256)
                download(
                    RemoteFile("model.bin", f"{server.url}/model.bin", expected), target, client
                )
            assert target.read_bytes() == content
            assert [path.name for path in target.parent.iterdir()] == [target.name]
            target.unlink()
        assert kills >= 8  # else the test tests nothing


def leave_part(server: FileServer, target: Path, expected: Expected = FULL) -> None:
    """Break a download off in the middle."""
    server.fail("model.bin", Fault(close_after=SIZE // 2))
    with Client(attempts=1) as client, pytest.raises(DownloadError, match="broke off"):
        download(remote(server, expected), target, client)
    server.requests.clear()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(ignore_range=True),
        Fault(content_range="bytes 0-1/2"),
        Fault(content_range=f"bytes {SIZE // 2 - 1}-{SIZE - 1}/{SIZE}"),
        Fault(content_range="nonsense"),
        Fault(shift=-5, content_range=f"bytes {SIZE // 2}-{SIZE - 1}/{SIZE}"),
        Fault(status=416),
        Fault(headers={"ETag": '"another"'}, flip=SIZE - 1),
        Fault(shift=5, content_range=f"bytes {SIZE // 2 + 5}-{SIZE - 1}/{SIZE}"),
    ],
    ids=["ignored", "wrong", "off by one", "nonsense", "lie", "416", "other tag", "too late"],
)
@pytest.mark.parametrize("expected", [FULL, NOTHING], ids=["checksum", "no checksum"])
def test_a_server_that_lies_about_ranges_is_asked_for_all(
    server: FileServer,
    client: Client,
    target: Path,
    fault: Fault,
    expected: Expected,
    request: pytest.FixtureRequest,
) -> None:
    if "lie" in request.node.callspec.id and expected is NOTHING:
        pytest.skip("nothing tells a perfect lie from the truth but a checksum")
    leave_part(server, target, expected)
    server.fail("model.bin", fault)
    download(remote(server, expected), target, client)
    assert_done(target)
    assert len(server.requests) <= 2


def test_a_server_that_sends_less_of_a_range_is_asked_for_the_rest(
    server: FileServer, client: Client, target: Path
) -> None:
    leave_part(server, target)
    half, end = SIZE // 2, SIZE // 2 + 70_000
    short = {"Content-Range": f"bytes {half}-{end - 1}/{SIZE}", "Content-Length": "70000"}
    server.fail("model.bin", Fault(headers=short, close_after=70_000))
    download(remote(server), target, client)
    assert_done(target)
    assert server.sent() <= half + 70_000


def test_a_size_that_is_announced_wrong_is_refused_before_the_body(
    server: FileServer, client: Client, target: Path
) -> None:
    server.fail("model.bin", Fault(bytes_per_second=SIZE / 10))
    start = time.monotonic()
    with pytest.raises(ChecksumError, match="size expected 400,001"):
        download(remote(server, Expected(size=SIZE + 1)), target, client)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("expected", [FULL, NOTHING], ids=["checksum", "no checksum"])
def test_a_file_that_changed_on_the_server_is_not_mixed(
    server: FileServer, client: Client, target: Path, expected: Expected
) -> None:
    leave_part(server, target, expected)
    new = random_bytes(SIZE, seed=9)
    server.files["model.bin"] = new
    if expected is NOTHING:
        download(remote(server, expected), target, client)
        assert target.read_bytes() == new
    else:
        with pytest.raises(ChecksumError):
            download(remote(server, expected), target, client)
        assert list(target.parent.iterdir()) == []


def test_a_part_that_cannot_be_checked_is_not_gone_on_with(
    server: FileServer, client: Client, target: Path
) -> None:
    server.fail("model.bin", Fault(close_after=SIZE // 2, without=("ETag",)))
    with Client(attempts=1) as once, pytest.raises(DownloadError):
        download(remote(server, NOTHING), target, once)
    download(remote(server, NOTHING), target, client)
    assert "range" not in server.requests[-1].headers
    assert_done(target)


def test_a_part_that_is_too_long_is_thrown_away(
    server: FileServer, client: Client, target: Path
) -> None:
    leave_part(server, target)
    part = next(target.parent.glob("*.part"))
    part.write_bytes(CONTENT + b"more")
    download(remote(server), target, client)
    assert_done(target)
    assert ["range" in r.headers for r in server.requests] == [False]


def test_a_whole_part_needs_no_body(server: FileServer, client: Client, target: Path) -> None:
    leave_part(server, target)
    next(target.parent.glob("*.part")).write_bytes(CONTENT)
    download(remote(server), target, client)
    assert_done(target)
    assert server.sent() <= SIZE // 2 + 65536


# --- trying again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_growing_waits(
    server: FileServer, client: Client, target: Path, waits: list[float], status: int
) -> None:
    server.fail("model.bin", *[Fault(status=status)] * 4)
    download(remote(server), target, client)
    assert_done(target)
    assert len(waits) == 4
    assert all(a < b for a, b in itertools.pairwise(waits))
    assert sum(waits) <= 60


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut_after=0)], ids=["503", "reset"])
def test_tries_end(
    server: FileServer, client: Client, target: Path, waits: list[float], fault: Fault
) -> None:
    server.fail("model.bin", *[fault] * 20)
    with pytest.raises(DownloadError):
        download(remote(server), target, client)
    assert len(server.requests) == 5
    assert sum(waits) <= 60


@pytest.mark.parametrize(
    ("status", "meaning"), [(401, "token"), (403, "forbidden"), (404, "no such"), (410, "removed")]
)
def test_what_will_not_pass_is_said_at_once(
    server: FileServer, client: Client, target: Path, waits: list[float], status: int, meaning: str
) -> None:
    server.fail("model.bin", Fault(status=status))
    with pytest.raises(DownloadError, match=meaning) as caught:
        download(remote(server), target, client)
    assert str(status) in str(caught.value)
    assert len(server.requests) == 1
    assert waits == []


def test_the_server_says_how_long_to_wait(
    server: FileServer, client: Client, target: Path, waits: list[float]
) -> None:
    later = email.utils.formatdate(time.time() + 7, usegmt=True)
    server.fail(
        "model.bin",
        Fault(status=429, headers={"Retry-After": "3"}),
        Fault(status=503, headers={"Retry-After": later}),
        Fault(status=503, headers={"Retry-After": "soon"}),
    )
    download(remote(server), target, client)
    assert waits[0] == 3
    assert 4 < waits[1] <= 7
    assert waits[2] < 5


def test_a_server_that_asks_for_too_long_a_wait_is_left(
    server: FileServer, client: Client, target: Path, waits: list[float]
) -> None:
    server.fail("model.bin", Fault(status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(DownloadError, match="503"):
        download(remote(server), target, client)
    assert waits == []


def test_a_bad_line_with_progress_is_not_given_up(
    server: FileServer, client: Client, target: Path
) -> None:
    server.fail("model.bin", *[Fault(close_after=40_000)] * 9)
    download(remote(server), target, client)
    assert_done(target)


def test_a_stalled_server_is_asked_again(
    server: FileServer, client: Client, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TIMEOUT_S", "0.2")
    server.fail("model.bin", Fault(stall_s=1.0))
    download(remote(server), target, client)
    assert_done(target)


def test_an_address_where_nobody_listens_is_said_at_once(client: Client, target: Path) -> None:
    start = time.monotonic()
    with nobody() as url, pytest.raises(DownloadError, match="cannot be reached"):
        download(RemoteFile("model.bin", f"{url}/model.bin", FULL), target, client)
    assert time.monotonic() - start < 2


# --- the disk ------------------------------------------------------------------------------------


def test_too_little_room_is_said_before_the_first_byte(
    server: FileServer, client: Client, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**6, 0, 100_000))
    with pytest.raises(OutputError, match="400 kB are needed, 100 kB are free"):
        download(remote(server), target, client)
    assert list(target.parent.iterdir()) == []


def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(
    server: FileServer, target: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-c", FETCH, f"{server.url}/model.bin", str(target), str(SIZE)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, SHA256],
        preexec_fn=limit,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "OutputError: The disk is full" in done.stderr
    assert str(target) in done.stderr
    assert list(target.parent.iterdir()) == []


# --- what is shown -------------------------------------------------------------------------------


def test_without_a_terminal_nothing_is_printed(
    server: FileServer, client: Client, target: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    download(remote(server), target, client)
    assert capfd.readouterr() == ("", "")


def test_one_bar_counts_every_byte_once(
    server: FileServer, client: Client, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tqdm import auto

    bars: list[object] = []

    class Bar(auto.tqdm):  # type: ignore[misc, type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            with open(os.devnull, "w") as nowhere:
                super().__init__(*arguments, **{**options, "disable": False, "file": nowhere})
                self.final: tuple[float, float | None] = (0, None)
                bars.append(self)

        def refresh(self, *arguments: object, **options: object) -> None:
            """Draw nothing."""

        def close(self) -> None:
            self.final = (self.n, self.total)
            self.disable = True

    monkeypatch.setattr(auto, "tqdm", Bar)
    server.fail("model.bin", Fault(close_after=150_000), Fault(status=503))
    download(remote(server), target, client)
    assert [bar.final for bar in bars] == [(SIZE, SIZE)]  # type: ignore[attr-defined]
