"""Write `constraints.txt`: the versions that `make quickstart` and `make test` install.

    python tools/make_constraints.py python3.10 python3.11 python3.12 > constraints.txt

Each interpreter resolves the package with all its extras (nothing is installed); a version that
differs between them gets an environment marker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent


def resolve(python: str) -> tuple[str, dict[str, str]]:
    """The interpreter's version ("3.11") and what pip would install, name -> version."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-m", "venv", scratch], check=True)
        interpreter = f"{scratch}/bin/python"
        quiet = {"check": True, "stdout": sys.stderr}
        subprocess.run([interpreter, "-m", "pip", "install", "-q", "-U", "pip"], **quiet)
        report = Path(scratch) / "report.json"
        command = [interpreter, "-m", "pip", "install", "-q", "--dry-run", "--report", str(report)]
        subprocess.run([*command, f"{ROOT}[dev]"], **quiet)
        found = json.loads(report.read_text())
        version = ".".join(found["environment"]["python_full_version"].split(".")[:2])
        packages = (item["metadata"] for item in found["install"])
        return version, {p["name"].lower(): p["version"] for p in packages}


def main() -> None:
    resolved = dict(resolve(python) for python in sys.argv[1:])
    versions: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for python, packages in resolved.items():
        for name, version in packages.items():
            versions[name][version].append(python)
    print("# Made by tools/make_constraints.py: versions that were installed and tested together.")
    for name in sorted(versions.keys() - {"ernie-hub"}):
        for version, pythons in versions[name].items():
            marker = ""
            if len(pythons) < len(resolved):
                marker = " ; " + " or ".join(f'python_version == "{p}"' for p in pythons)
            print(f"{name}=={version}{marker}")


if __name__ == "__main__":
    main()
