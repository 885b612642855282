"""An archive gives exactly the files of one model folder, or it is refused and nothing is left."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from hub.errors import ModelError
from hub.registry.archives import MAX_MEMBERS, pack, unpack
from tests.servers.files import random_bytes

KINDS = (".tar", ".tar.gz", ".tgz", ".zip")
Entry = tuple[tarfile.TarInfo, bytes]
MAX_BYTES = 1 << 30


class Place:
    """A folder with an archive, the target, and files that no archive may touch."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "models" / "new"
        self.canary = root / "canary" / "file.txt"
        for path in (self.canary, root / "models" / "old" / "file.txt"):
            path.parent.mkdir(parents=True)
            path.write_text("as it was")

    def state(self) -> str:
        """A hash of everything there is, the target included."""
        digest = hashlib.sha256()
        for path in sorted(self.root.rglob("*")):
            about = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
            digest.update(f"{path} {about.st_mode} {about.st_nlink}".encode() + content)
        return digest.hexdigest()

    def refuses(self, archive: Path, *words: str, max_bytes: int = MAX_BYTES) -> None:
        """See that it is refused in one sentence with its name and `words`, and nothing changed."""
        before = self.state()
        with pytest.raises(ModelError) as caught:
            unpack(archive, self.target, max_bytes=max_bytes)
        assert self.state() == before
        message = str(caught.value)
        assert str(archive) in message
        assert "\n" not in message
        for word in words:
            assert word in message


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    root = tmp_path / "somewhere"
    root.mkdir()
    monkeypatch.chdir(root)
    return Place(root)


def plain(name: str, content: bytes = b"x") -> Entry:
    """A file in a tar."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    return entry, content


def special(name: str, kind: bytes, link: str = "") -> Entry:
    """Something else in a tar."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.devmajor, entry.devminor = kind, link, 1, 3
    return entry, b""


def tar(path: Path, entries: Iterable[Entry], style: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar, packed with gzip if its name says so."""
    squeezed = path.name.endswith("gz")
    with tarfile.open(path, "w:gz" if squeezed else "w", format=style) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return path


def zipped(path: Path, files: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def made(place: Place, kind: str, names: Iterable[str]) -> Path:
    """An archive of files of these names."""
    path = place.root / f"evil{kind}"
    with contextlib.suppress(UserWarning):
        if kind == ".zip":
            return zipped(path, [(name, b"x") for name in names])
        return tar(path, [plain(name) for name in names])
    raise AssertionError


# --- there and back ------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "意图 模型"
    folder.mkdir()
    (folder / "模型 权重.bin").write_bytes(random_bytes(300_000))
    (folder / "config.json").write_text('{"标签": "查余额"}', encoding="utf-8")
    (folder / "empty.txt").touch()
    (folder / f"{'长' * 60}.txt").write_text("a name longer than old tars can hold")
    os.chmod(folder / "config.json", 0o600)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_packed_comes_back(place: Place, model: Path, kind: str) -> None:
    archive = place.root / f"模型 1{kind}"
    pack(model, archive)
    unpack(archive, place.target, max_bytes=MAX_BYTES)
    files = {path.name: path.read_bytes() for path in place.target.iterdir()}
    assert files == {path.name: path.read_bytes() for path in model.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_files_give_the_same_archive(place: Place, model: Path, kind: str) -> None:
    pack(model, place.root / f"one{kind}")
    for path in model.iterdir():
        os.utime(path, (1, 1))
        os.chmod(path, 0o640)
    pack(model, place.root / f"two{kind}")
    assert (place.root / f"one{kind}").read_bytes() == (place.root / f"two{kind}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", ["", "model/", "./", "./model/"])
def test_one_folder_around_the_files_is_taken_off(place: Place, kind: str, top: str) -> None:
    archive = made(place, kind, [f"{top}a.txt", f"{top}b.txt"])
    unpack(archive, place.target, max_bytes=MAX_BYTES)
    assert sorted(path.name for path in place.target.iterdir()) == ["a.txt", "b.txt"]


def test_what_tar_and_zip_programs_write_is_read(place: Place) -> None:
    for style in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for number, folders in enumerate((["model"], [".", "./model"], ["."])):
            entries = [special(f"{name}/", tarfile.DIRTYPE) for name in folders]
            entries += [plain(f"{folders[-1]}/{name}.txt") for name in "ab"]
            archive = tar(place.root / f"good{style}.tar", entries, style)
            unpack(archive, place.target / f"{style}{number}", max_bytes=99)
    archive = zipped(
        place.root / "good.zip", [("model/", b""), ("model/a.txt", b"x"), ("model/b.txt", b"x")]
    )
    unpack(archive, place.target / "zip", max_bytes=MAX_BYTES)
    assert len(list(place.target.iterdir())) == 10
    for folder in place.target.iterdir():
        assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt"]


def test_files_get_no_rights_from_the_archive(place: Place) -> None:
    entry, content = plain("program")
    entry.mode, entry.uid, entry.uname = 0o6777, 0, "root"
    unpack(tar(place.root / "a.tar", [(entry, content)]), place.target / "1", max_bytes=99)
    info = zipfile.ZipInfo("program")
    info.external_attr = (stat.S_IFREG | 0o6777) << 16
    unpack(zipped(place.root / "a.zip", [(info, b"x")]), place.target / "2", max_bytes=99)
    for path in place.target.glob("*/program"):
        assert path.stat().st_mode & 0o7133 == 0  # neither setuid nor executable nor writable


def test_a_target_that_is_there_is_left_alone(place: Place) -> None:
    archive = made(place, ".tar", ["a.txt"])
    with pytest.raises(FileExistsError):
        unpack(archive, place.canary.parent, max_bytes=MAX_BYTES)
    assert place.canary.read_text() == "as it was"


# --- names that lead elsewhere, or mean something else elsewhere ---------------------------------

EVIL_NAMES = {
    "parent": "../evil.txt",
    "parent below": "model/../../evil.txt",
    "parent at the end": "model/..",
    "absolute": "/tmp/evil.txt",
    "absolute twice": "//tmp/evil.txt",
    "drive": "C:/evil.txt",
    "drive, relative": "C:evil.txt",
    "share": "\\\\server\\share\\evil.txt",
    "backslash up": "..\\evil.txt",
    "backslash": "model\\evil.txt",
    "device": "CON",
    "device with extension": "nul.json",
    "device in a folder": "model/com1.txt",
    "trailing dot": "config.json.",
    "trailing space": "config.json ",
    "folder with trailing dots": "model.../config.json",
    "stream": "config.json:hidden",
    "line break": "config\n.json",
    "too long": "长" * 90 + ".txt",
    "too deep": "one/two/three.txt",
}


@pytest.mark.parametrize("kind", [".tar", ".zip"])
@pytest.mark.parametrize("name", EVIL_NAMES.values(), ids=EVIL_NAMES.keys())
def test_a_name_that_is_not_safe_everywhere_is_refused(place: Place, kind: str, name: str) -> None:
    place.refuses(made(place, kind, ["a.txt", name]), repr(name))
    place.refuses(made(place, kind, [name, "a.txt"]), repr(name))


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".zip"])
def test_the_address_of_a_file_outside_is_refused(place: Place, kind: str) -> None:
    place.refuses(made(place, kind, [str(place.canary)]), str(place.canary))


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_is_looked_at_too(place: Place, style: int) -> None:
    name = "../" * 60 + "evil.txt"  # does not fit into a header: an entry of its own holds it
    place.refuses(tar(place.root / "evil.tar", [plain(name)], style), "evil.txt")


def test_a_zero_byte_in_a_name_is_refused(place: Place) -> None:
    entry, content = plain("short")
    entry.pax_headers = {"path": "model.bin\0.txt"}
    place.refuses(tar(place.root / "evil.tar", [(entry, content)]))
    archive = zipped(place.root / "evil.zip", [("model.bin_.txt", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"model.bin_", b"model.bin\0"))
    place.refuses(archive)


@pytest.mark.parametrize("kind", [".tar", ".zip"])
@pytest.mark.parametrize(
    "names",
    [
        ["a.txt", "a.txt"],
        ["model/a.txt", "./model/a.txt"],
        ["a.txt", "A.TXT"],
        ["stra\N{LATIN SMALL LETTER SHARP S}e.txt", "STRASSE.TXT"],
        ["caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt", "cafe\N{COMBINING ACUTE ACCENT}.txt"],
        ["one/a.txt", "two/b.txt"],
        ["a.txt", "model/b.txt"],
    ],
    ids=["same", "same spelt otherwise", "case", "folded case", "accent", "two", "beside"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash_are_refused(place: Place, kind: str, names: list[str]) -> None:
    place.refuses(made(place, kind, names), repr(names[1]))


# --- what is no file -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "a.txt"),
        (tarfile.SYMTYPE, "../../canary/file.txt"),
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "a.txt"),
        (tarfile.LNKTYPE, "../../canary/file.txt"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (b"Z", ""),
    ],
)
@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_tar_holds_only_files(place: Place, kind: bytes, link: str, ending: str) -> None:
    entries = [plain("model/a.txt"), special("model/evil", kind, link)]
    place.refuses(tar(place.root / f"evil{ending}", entries), "model/evil")


@pytest.mark.parametrize("target", ["../../canary", "..", "/", "."])
def test_nothing_is_written_through_a_link(place: Place, target: str) -> None:
    entries = [special("model", tarfile.SYMTYPE, target), plain("model/file.txt", b"evil")]
    place.refuses(tar(place.root / "evil.tar", entries))
    entries = [
        special("model/link", tarfile.SYMTYPE, "../../canary/file.txt"),
        plain("model/link", b"evil"),
    ]
    place.refuses(tar(place.root / "evil.tar", entries))


def test_a_file_with_holes_is_refused(place: Place) -> None:
    entry, content = plain("model.bin", b"8\n0\n1\n99\n1\n" + bytes(501))
    entry.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "../evil.bin",
        "GNU.sparse.realsize": "1000000000000",
    }
    place.refuses(tar(place.root / "evil.tar", [(entry, content)]))


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_a_zip_holds_only_files(place: Place, kind: int) -> None:
    info = zipfile.ZipInfo("model/evil")
    info.external_attr = (kind | 0o777) << 16
    archive = zipped(place.root / "evil.zip", [(info, b"../../canary/file.txt")])
    place.refuses(archive, "model/evil")


def test_an_encrypted_zip_is_refused(place: Place) -> None:
    archive = zipped(place.root / "evil.zip", [("a.txt", b"x" * 50)])
    data = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    archive.write_bytes(data)
    place.refuses(archive, "encrypted", "a.txt")


# --- too much ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_members_are_refused(place: Place, kind: str) -> None:
    names = (f"{number}.txt" for number in range(MAX_MEMBERS + 1))
    place.refuses(made(place, kind, names), f"{MAX_MEMBERS:,}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_unpacks_to_too_much_is_refused(place: Place, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(random_bytes(100_000))
    archive = place.root / f"large{kind}"
    pack(folder, archive)
    place.refuses(archive, "199,999", max_bytes=199_999)
    unpack(archive, place.target, max_bytes=200_000)


def bomb(place: Place, kind: str) -> Path:
    """200 MB of zeros in an archive of about 200 kB."""
    path, zeros = place.root / f"bomb{kind}", bytes(50 << 20)
    if kind == ".zip":
        return zipped(path, [(f"{n}.bin", zeros) for n in range(4)])
    return tar(path, [plain(f"{n}.bin", zeros) for n in range(4)])


@pytest.mark.parametrize("kind", [".tar.gz", ".zip"])
def test_a_bomb_is_stopped_early(place: Place, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place.refuses(bomb(place, kind), "unpacks to more than")


def test_sizes_in_a_zip_are_not_believed(place: Place) -> None:
    """The directory and the header say 10 bytes; there are 300,000."""
    archive = zipped(place.root / "evil.zip", [("a.bin", bytes(300_000))])
    data = archive.read_bytes().replace(struct.pack("<L", 300_000), struct.pack("<L", 10))
    archive.write_bytes(data)
    place.refuses(archive, max_bytes=1000)


def test_one_block_is_not_unpacked_many_times(place: Place) -> None:
    """Every entry of the directory points to the same bytes (CWE-409, "a better zip bomb")."""
    archive = zipped(place.root / "evil.zip", [("a.bin", bytes(1 << 20))])
    with zipfile.ZipFile(archive, "a") as opened:
        first = opened.filelist[0]
        for number in range(50):
            again = zipfile.ZipInfo("a.bin")
            for name in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(again, name, getattr(first, name))
            again.filename = f"{number}.bin"
            opened.filelist.append(again)
        opened._didModify = True  # type: ignore[attr-defined]
    place.refuses(archive)


def test_a_zip_in_a_zip_stays_a_file(place: Place) -> None:
    inner = bomb(place, ".zip")
    archive = zipped(place.root / "outer.zip", [("bomb.zip", inner.read_bytes())])
    unpack(archive, place.target, max_bytes=1 << 20)
    assert (place.target / "bomb.zip").read_bytes() == inner.read_bytes()


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_half_an_archive_is_refused(place: Place, model: Path, kind: str) -> None:
    whole = place.root / f"whole{kind}"
    pack(model, whole)
    data = whole.read_bytes()
    for share in (0.0, 0.001, 0.3, 0.5, 0.9, 0.97):
        broken = place.root / f"broken{kind}"
        broken.write_bytes(data[: int(len(data) * share)])
        place.refuses(broken)


@pytest.mark.parametrize("kind", KINDS)
def test_something_else_is_refused(place: Place, kind: str) -> None:
    for content in (b"", b"<html>Please log in</html>" * 100, bytes(512), random_bytes(5000)):
        archive = place.root / f"page{kind}"
        archive.write_bytes(content)
        place.refuses(archive)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_archive_is_refused(place: Place, kind: str) -> None:
    place.refuses(made(place, kind, []), "empty")


@pytest.mark.parametrize("kind", [".zip"])
def test_a_flipped_bit_is_found(place: Place, model: Path, kind: str) -> None:
    whole = place.root / f"whole{kind}"
    pack(model, whole)
    data = whole.read_bytes()
    generator = itertools.islice(itertools.count(101, len(data) // 40), 39)
    for position in generator:
        broken = place.root / f"broken{kind}"
        broken.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        try:
            unpack(broken, place.target, max_bytes=MAX_BYTES)
        except ModelError:
            assert not place.target.exists()
            continue
        assert same(place.target, model)  # a bit that means nothing
        for path in place.target.iterdir():
            path.unlink()
        place.target.rmdir()


def same(one: Path, two: Path) -> bool:
    """Whether two folders hold the same files."""
    read: Callable[[Path], dict[str, bytes]] = lambda folder: {  # noqa: E731
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    return read(one) == read(two)


@pytest.mark.parametrize("kind", [".tar.gz", ".tgz"])
def test_a_wrong_checksum_is_found(place: Place, model: Path, kind: str) -> None:
    """Random bytes do not compress: they stand in the archive as they are, and a bit can flip."""
    archive = place.root / f"broken{kind}"
    pack(model, archive)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 4
    archive.write_bytes(data)
    place.refuses(archive, "damaged")


@pytest.mark.parametrize("kind", [".tar", ".tar.gz"])
def test_a_damaged_header_is_not_the_end(place: Place, kind: str) -> None:
    """tarfile ends there without a word, and the files behind it would be missing."""
    archive = made(place, ".tar", ["a.txt", "b.txt", "c.txt"])
    data = bytearray(archive.read_bytes())
    data[data.index(b"b.txt")] ^= 4
    broken = place.root / f"broken{kind}"
    with gzip.open(broken, "wb") if kind.endswith("gz") else broken.open("wb") as stream:
        stream.write(data)
    place.refuses(broken, "damaged")
    with gzip.open(broken, "wb") if kind.endswith("gz") else broken.open("wb") as stream:
        stream.write(archive.read_bytes()[:2560])  # whole members, and no end
    place.refuses(broken, "damaged")


@pytest.mark.parametrize("header", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_long_header_takes_no_memory(place: Place, header: bytes) -> None:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = header, 100 << 20
    with gzip.open(place.root / "evil.tar.gz", "wb", 1) as stream:
        stream.write(entry.tobuf(tarfile.GNU_FORMAT) + bytes(entry.size))
    tracemalloc.start()
    try:
        place.refuses(place.root / "evil.tar.gz", "header", "104,857,600")
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_folders_count_as_members(place: Place) -> None:
    folders = itertools.repeat(special("model/", tarfile.DIRTYPE), 2 * MAX_MEMBERS + 1)
    place.refuses(tar(place.root / "evil.tar.gz", folders), f"{MAX_MEMBERS:,}")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_refused(place: Place, method: int) -> None:
    with zipfile.ZipFile(place.root / "a.zip", "w", method) as archive:
        archive.writestr("a.txt", b"x" * 1000)
    place.refuses(place.root / "a.zip", "a.txt")


def test_a_disk_that_fills_up_leaves_nothing(
    place: Place, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = place.root / "model.tar"
    pack(model, archive)
    before = place.state()
    original = Path.open

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    def opened(self: Path, mode: str = "r", *rest: object, **options: object) -> object:
        return Full() if "x" in mode else original(self, mode, *rest, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space"):
        unpack(archive, place.target, max_bytes=MAX_BYTES)
    monkeypatch.undo()
    assert place.state() == before
