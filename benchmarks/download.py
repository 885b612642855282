"""A 1 GB file over loopback: this package's downloader beside curl, in one run.

    python benchmarks/download.py [--megabytes 1000] [--repeats 5]

Both write the file to the same disk, from the same server, in turns; the downloader computes its
SHA-256 on the way, curl does not. Prints the throughput of each, the ratio, and the memory that the
downloader's process took for a small and for the large file. Needs curl.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


SERVE = """
import sys, time
from pathlib import Path
from tests.servers import FileServer
with FileServer(folder=Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    time.sleep(3600)
"""
FETCH = """
import resource, sys, time
from pathlib import Path
from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile, download
from hub.registry.http import Client
url, target, size, sha256 = sys.argv[1:]
with Client() as client:
    start = time.perf_counter()
    download(RemoteFile("file", url, Expected(int(size), sha256)), Path(target), client)
    seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def make(path: Path, megabytes: int) -> str:
    """A file of random bytes; its SHA-256."""
    digest = hashlib.sha256()
    block = b""
    with path.open("wb") as file, open("/dev/urandom", "rb") as source:
        for number in range(megabytes):
            if number % 16 == 0:
                block = source.read(1_000_000)
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def fetch(url: str, target: Path, size: int, sha256: str) -> tuple[float, float]:
    """Seconds, and the process's largest memory in MB."""
    command = [sys.executable, "-c", FETCH, url, str(target), str(size), sha256]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    target.unlink()
    return seconds, memory / 1000


def curl(url: str, target: Path) -> float:
    """Seconds."""
    start = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "--output", str(target), url], check=True)
    seconds = time.perf_counter() - start
    target.unlink()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if shutil.which("curl") is None:
        sys.exit("curl is not installed.")
    with tempfile.TemporaryDirectory() as scratch:
        served, target = Path(scratch, "served"), Path(scratch, "target")
        served.mkdir()
        sha256 = make(served / "large", arguments.megabytes)
        small = make(served / "small", 1)
        # In a process of its own, as a server is: it must not share the downloader's interpreter.
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(served)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            _, small_memory = fetch(f"{url}/small", target, 1_000_000, small)
            ours, theirs, memory = [], [], []
            for _ in range(arguments.repeats):
                theirs.append(curl(f"{url}/large", target))
                seconds, used = fetch(
                    f"{url}/large", target, arguments.megabytes * 1_000_000, sha256
                )
                ours.append(seconds)
                memory.append(used)
        finally:
            server.kill()
            server.wait()
    pairs = [t / o for o, t in zip(ours, theirs, strict=True)]
    for name, seconds_list in (("hub", ours), ("curl", theirs)):
        speeds = sorted(arguments.megabytes / s for s in seconds_list)
        print(
            f"{name:5} {statistics.median(speeds):6.0f} MB/s  ({speeds[0]:.0f} to {speeds[-1]:.0f})"
        )
    print(f"hub / curl: {statistics.median(pairs):.2f}  ({min(pairs):.2f} to {max(pairs):.2f})")
    print(f"memory: {small_memory:.0f} MB for 1 MB, {max(memory):.0f} MB for the large file")


if __name__ == "__main__":
    main()
