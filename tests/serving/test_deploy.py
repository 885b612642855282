"""What `deploy/` holds is true of this package: checked by the tools it is meant for."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import requests
import yaml

from hub.cli.main import cli
from hub.registry.store import Store
from hub.registry.team import TeamCatalogue
from hub.serving.metrics import Metrics
from hub.serving.openapi import describe
from hub.serving.settings import Limits
from tests.serving.conftest import Program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MINIMAL = DEPLOY / "docker" / "prod-minimal"
DOCKERFILES = [DEPLOY / "docker" / "dev" / "Dockerfile", MINIMAL / "Dockerfile"]
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


@pytest.fixture(scope="module")
def service(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A service that has answered a few requests."""
    folder = tmp_path_factory.mktemp("service")
    program = Program([f"travel@3={exported}"], folder / "log.txt").wait_until_ready()
    for _ in range(7):
        assert program.post("/v1/models/travel:predict", {"text": "今天"}).status_code == 200
    yield program
    program.stop()


# --- Docker --------------------------------------------------------------------------------------


def instructions(path: Path) -> list[tuple[str, str]]:
    """A Dockerfile's instructions, in their order."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_copies_what_is_there_and_runs_as_nobody(path: Path) -> None:
    steps = instructions(path)
    assert steps[0][0] == "FROM"
    for name, value in steps:
        words = [word for word in shlex.split(value) if not word.startswith("--chown")]
        if name == "COPY" and not words[0].startswith("--from"):
            assert all((ROOT / word).exists() for word in words[:-1]), value
    users = [value for name, value in steps if name == "USER"]
    assert users and users[-1] == "10001"
    command = next(json.loads(value) for name, value in steps if name in ("ENTRYPOINT", "CMD"))
    assert command[0] in ("hub", "jupyter")


def test_the_images_health_check_tells_a_service_that_is_ready(service: Program) -> None:
    value = next(v for name, v in instructions(MINIMAL / "Dockerfile") if name == "HEALTHCHECK")
    command = json.loads(value[value.index("[") :])
    command[0] = sys.executable
    command[2] = command[2].replace("8866", str(service.port))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    command[2] = command[2].replace(str(service.port), "1")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def requirements() -> dict[str, str]:
    """The image's packages: name -> version."""
    lines = (MINIMAL / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pairs}


def normal(name: str) -> str:
    """A package's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_images_packages_are_those_that_are_tested_together() -> None:
    known: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if "==" in line:
            name, version = line.split(" ;")[0].split("==", 1)
            known.setdefault(normal(name), set()).add(version.strip())
    for name, version in requirements().items():
        assert version in known[name], name
    assert not {"paddlepaddle", "datasets", "pyarrow", "pandas", "scikit-learn"} & set(
        requirements()
    )


@pytest.mark.slow
def test_the_images_packages_are_enough(exported: Path, tmp_path: Path) -> None:
    """A folder with those packages and no others serves, and nothing is written."""
    place = tmp_path / "site"
    place.mkdir()
    size = 0
    for name in requirements():
        for file in importlib.metadata.distribution(name).files or []:
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            target = place / file
            target.parent.mkdir(parents=True, exist_ok=True)
            source = Path(str(file.locate()))
            target.symlink_to(source)
            size += source.stat().st_size
    shutil.copytree(ROOT / "hub", place / "hub", ignore=shutil.ignore_patterns("__pycache__"))
    assert size < 300e6
    code = "import sys; own = [p for p in sys.path if 'site-packages' not in p]"
    code += f"; sys.path[:] = [*own, {str(place)!r}]"
    code += "; from hub.cli.main import main; main()"
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, "serve", f"travel={exported}", "--port", "0"],
        stderr=log,
        stdout=log,
        env={"PATH": os.environ["PATH"], "HUB_HOME": str(tmp_path / "none")},
    )
    try:
        end, found = time.monotonic() + 30, None
        while found is None and time.monotonic() < end and process.poll() is None:
            found = re.search(r'"address": "(\S+)"', (tmp_path / "log").read_text())
            time.sleep(0.05)
        assert found is not None, (tmp_path / "log").read_text()
        answer = requests.post(
            found[1] + "/predict/travel", json={"data": [["今天下雨"]]}, timeout=10
        )
        assert answer.json()["status"] == "000"
        assert requests.get(found[1] + "/", timeout=10).status_code == 200
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "paddle" not in maps and "pyarrow" not in maps
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert not (tmp_path / "none").exists()  # nothing was written


# --- Kubernetes ----------------------------------------------------------------------------------


def documents() -> list[tuple[str, dict[str, Any]]]:
    """Every manifest."""
    return [
        (f"{path.name}/{document['kind']}", document)
        for path in MANIFESTS
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("name", "document"), documents(), ids=[name for name, _ in documents()])
def test_a_manifest_is_valid_by_the_published_schema(name: str, document: dict[str, Any]) -> None:
    for version in ("1.29", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_wrong_manifest_would_be_seen() -> None:
    document = json.loads(json.dumps(documents()[0][1]))
    document["spec"]["template"]["spec"]["containers"][0]["port"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def pods() -> list[dict[str, Any]]:
    """The pods' descriptions."""
    return [
        d["spec"]["template"]["spec"] for _, d in documents() if "template" in d.get("spec", {})
    ]


def understood(arguments: list[str]) -> click.Context:
    """The context of a `hub` command, which raises for what it cannot read."""
    name, *rest = arguments
    with cli.make_context("hub", [name]) as context:
        command = cli.get_command(context, name)
        assert command is not None
        return command.make_context(name, rest, parent=context)


def test_the_commands_of_the_manifests_are_this_packages() -> None:
    served = trained = 0
    for pod in pods():
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            if container["name"] == "serve":
                options = understood(["serve", *container["args"]]).params
                served += 1
                grace = options["drain_s"] + options["drain_delay_s"]
                assert pod["terminationGracePeriodSeconds"] > grace
                assert options["api_keys"] and options["admin_token"]
            elif container["command"][0] == "hub":
                understood(container["command"][1:])
            else:
                script = container["args"][0].replace("\\\n", " ").replace("$resume", "--resume")
                for line in script.splitlines():
                    found = re.search(r"\bhub (.*)", line.partition("||")[2] or line)
                    if found:
                        understood(shlex.split(found[1].replace("$VERSION", "1.1.0")))
                        trained += 1
    assert (served, trained) == (2, 5)


@pytest.mark.slow
def test_every_version_is_trained_from_the_rows_of_its_own_day(tmp_path: Path) -> None:
    """The job's script, on a volume that stays from release to release."""
    (job,) = (pod for pod in pods() if pod["containers"][0]["name"] == "train")
    runs, data = tmp_path / "runs", tmp_path / "data"
    script = job["containers"][0]["args"][0].replace("/work/runs", str(runs))
    script = script.replace("/data/", f"{data}/").replace("--dev", "--quiet --epochs 1 --dev")
    programs = tmp_path / "programs"
    for folder in (data, programs):
        folder.mkdir()
    (programs / "hub").write_text(f'#!/bin/sh\nexec {sys.executable} -m hub "$@"\n')
    (programs / "hub").chmod(0o755)

    def train(version: str, labels: set[str]) -> set[str]:
        """Run the job; the labels that the alias `canary` then knows."""
        rows = "".join(f"这是第{n}句{label}\t{label}\n" for n in range(4) for label in labels)
        for name in ("train", "dev", "test"):
            (data / f"{name}.tsv").write_text("text\tlabel\n" + rows, encoding="utf-8")
        environment = {
            **os.environ, "VERSION": version, "HUB_HOME": str(runs / "home"),
            "HUB_CATALOGUE": str(tmp_path / "catalogue"), "PYTHONPATH": str(ROOT),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }  # fmt: skip
        done = subprocess.run(
            ["sh", "-euc", script], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        catalogue = TeamCatalogue(str(tmp_path / "catalogue"))
        store = Store(tmp_path / f"another-machine-{version}")
        model = catalogue.pull("travel", "canary", store)
        assert model.version == version
        return set(model.manifest.labels)

    assert train("1.1.0", {"天气", "音乐"}) == {"天气", "音乐"}
    # A pod that was killed before its first checkpoint begins again, a later one finds all done.
    (runs / "travel-1.2.0" / "checkpoint").mkdir(parents=True)
    assert train("1.2.0", {"天气", "音乐", "车票"}) == {"天气", "音乐", "车票"}
    shutil.rmtree(runs / "travel-1.2.0-onnx")
    assert train("1.2.0", {"天气", "音乐", "车票"}) == {"天气", "音乐", "车票"}


def test_the_steps_of_the_docs_set_an_alias_before_it_is_served() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    block = text.partition("## Kubernetes")[2].split("```")[1]
    known: set[str] = set()
    for line in block.strip().splitlines():
        words = line.partition("#")[0].split()
        if words[:2] == ["hub", "alias"]:
            understood(words[1:])
            known.add(words[3])
        elif words[:2] == ["kubectl", "apply"]:
            manifest = re.sub(r"#.*", "", (ROOT / words[3]).read_text(encoding="utf-8"))
            assert set(re.findall(r"travel@(\w+)\b", manifest)) <= known, line
            known |= set(re.findall(r"hub push .* --alias (\w+)", manifest))
    assert known == {"canary", "prod"}


def test_the_pods_are_locked_and_probed_at_addresses_that_exist() -> None:
    paths = describe(Limits())["paths"]
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            locked = container["securityContext"]
            assert locked["readOnlyRootFilesystem"] and not locked["allowPrivilegeEscalation"]
            assert locked["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts <= {volume["name"] for volume in pod["volumes"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["path"] in paths


def test_both_tracks_stand_behind_one_service() -> None:
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for _, document in documents():
        by_kind.setdefault(document["kind"], []).append(document)
    (balancer,) = by_kind["Service"]
    tracks = set()
    for deployment in by_kind["Deployment"]:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert balancer["spec"]["selector"].items() <= labels.items()
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        tracks.add(labels["track"])
    assert tracks == {"stable", "canary"}
    (scaler,) = by_kind["HorizontalPodAutoscaler"]
    target = scaler["spec"]["scaleTargetRef"]["name"]
    assert target in {deployment["metadata"]["name"] for deployment in by_kind["Deployment"]}
    (budget,) = by_kind["PodDisruptionBudget"]
    assert budget["spec"]["minAvailable"] < scaler["spec"]["minReplicas"]


# --- Prometheus and Grafana ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "apt-get install prometheus"
    done = subprocess.run(
        [promtool, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def served_metrics() -> set[str]:
    """The names of the samples that a service has."""
    names = set()
    for family in Metrics().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return names


def test_rules_and_dashboard_ask_for_metrics_that_exist() -> None:
    board = json.loads((DEPLOY / "grafana" / "ernie-hub.json").read_text(encoding="utf-8"))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    names = {name for expression in asked for name in re.findall(r"\bhub_\w+", expression)}
    assert names <= served_metrics()
    assert len(names) >= 15
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)


@pytest.fixture
def prometheus(service: Program, tmp_path: Path) -> Iterator[str]:
    """A Prometheus with this repository's configuration, looking at the service."""
    program = shutil.which("prometheus")
    assert program, "apt-get install prometheus"
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:8866", f"127.0.0.1:{service.port}").replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", tmp_path)
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [program, f"--config.file={tmp_path / 'prometheus.yml'}",
             f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log, cwd=tmp_path,
        )  # fmt: skip
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(20)


def query(address: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus knows of an expression."""
    try:
        answer = requests.get(f"{address}/api/v1/query", params={"query": expression}, timeout=5)
        return answer.json()["data"]["result"] if answer.ok else []
    except requests.RequestException:
        return []


@pytest.mark.slow
def test_a_real_prometheus_scrapes_the_service(prometheus: str, service: Program) -> None:
    end, found = time.monotonic() + 30, []
    while not found and time.monotonic() < end:
        found = query(prometheus, 'hub_requests_total{code="200"}')
        time.sleep(0.2)
    (sample,) = found
    assert sample["metric"]["model"] == "travel" and sample["metric"]["version"] == "3"
    assert float(sample["value"][1]) == 7
    (up,) = query(prometheus, 'up{job="ernie-hub"}')
    assert up["value"][1] == "1"
    series = query(prometheus, '{job="ernie-hub",__name__=~"hub_.*"}')
    assert 50 < len(series) <= 200
    (size,) = query(prometheus, "histogram_quantile(0.5, hub_batch_size_bucket)")
    assert float(size["value"][1]) <= 1
    rules = requests.get(f"{prometheus}/api/v1/rules", timeout=5).json()["data"]["groups"]
    assert all(rule["health"] != "err" for group in rules for rule in group["rules"])
