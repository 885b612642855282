"""Libraries that report their use to their makers are told not to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hub
from hub.errors import MissingPackageError
from hub.third_party import load

ANSWER = """
import sys
import hub
print(hub.Predictor(sys.argv[1]).predict(["今天下雨吗"]))
assert "openvino_telemetry" not in sys.modules
"""
EXPORT = """
import sys
import hub
module = hub.Module(directory=sys.argv[1])
module.export(sys.argv[2], sys.argv[3], "int8", calibration=["今天下雨吗", "听一首歌"])
assert "openvino_telemetry" not in sys.modules
"""


def ran(script: str, home: Path, *arguments: Path | str) -> list[Path]:
    """Run a script with an empty home folder; the files that it left there."""
    home.mkdir()
    # Without the variables by which such libraries know that they are tested.
    hidden = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**environment, "HOME": str(home), "PYTHONPATH": str(Path(hub.__file__).parents[1])},
        check=True,
        timeout=300,
    )
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_exporting_and_answering_leave_nothing_in_the_users_home(
    tiny_folder: Path, tmp_path: Path, format: str
) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐"])
    module.save(tmp_path / "run")
    # ONNX Runtime keeps the number by which it reports in ~/.cache/Microsoft, OpenVINO in ~/intel.
    assert ran(EXPORT, tmp_path / "one", tmp_path / "run", tmp_path / "made", format) == []
    assert ran(ANSWER, tmp_path / "two", tmp_path / "made") == []


def test_a_switch_that_the_user_has_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    load("onnxruntime", "onnx", "Answering")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    load("onnxruntime", "onnx", "Answering")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


def test_what_is_missing_is_told_with_what_to_install() -> None:
    with pytest.raises(MissingPackageError, match=r"Flying needs the package 'wings-lite'"):
        load("no_such_wings", "fly", "Flying", package="wings-lite")
