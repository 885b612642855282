"""Training in several processes: the same as in one, and no run is lost with a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hub
from hub.backend import paddle, use_device
from hub.errors import InputError
from hub.training.arguments import TrainingArguments
from hub.training.launching import Launch, without_options
from hub.training.optimization import default_optimizer
from hub.training.parallel import Group
from hub.training.precision import Precision
from hub.training.sharding import Shares

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("parallel_worker.py")


@pytest.fixture
def model(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny model without dropout: several processes draw other random numbers than one."""
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["hidden_dropout_prob"] = config["attention_probs_dropout_prob"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def run(*command: str | Path, **options: object) -> subprocess.Popen[str]:
    """A Python program of this package; its words on stderr."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", **options,
    )  # fmt: skip


def test_two_processes_learn_what_one_does(model: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    launcher = ("-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", tmp_path)
    # What is no plain mean over rows, and what the gradient of the whole batch decides.
    more = ('class_weights="balanced"', "adversarial=0.05")
    for command in ((WORKER, model, alone), (*launcher, WORKER, model, together)):
        process = run(*command, *more)
        said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    one, two = json.loads(alone.read_text()), json.loads(together.read_text())
    assert len(one["losses"]) == 18
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert two["dev"] == one["dev"]
    assert one["losses"][-1] < 0.8 * one["losses"][0]


def test_processes_that_share_the_optimizers_state_learn_the_same(
    model: Path, tmp_path: Path
) -> None:
    launcher = ("-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", tmp_path)

    def losses(name: str, *arguments: str, alone: bool = False) -> list[float]:
        command = (() if alone else launcher) + (WORKER, model, tmp_path / f"{name}.json")
        process = run(*command, *arguments)
        said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return json.loads((tmp_path / f"{name}.json").read_text())["losses"]

    each = losses("each")
    assert losses("shared", "shard_optimizer=true") == each
    # The first process's checkpoint holds what all kept, however many go on from it.
    stopped = losses("stopped", "shard_optimizer=true", "stop_at=7")
    assert stopped[:7] == each[:7] and len(stopped) < len(each)
    shutil.copytree(tmp_path / "stopped", tmp_path / "alone")
    resumed = losses("stopped", "shard_optimizer=true", "resume=true")
    assert stopped + resumed == each
    assert stopped + losses("alone", "resume=true", alone=True) == pytest.approx(each, abs=1e-5)


def test_each_process_keeps_the_optimizers_state_of_its_share(model: Path) -> None:
    module = hub.Module(directory=model, task="seq-cls", label_map=["a", "b"])
    network = module.network
    before = {name: p.numpy() for name, p in network.named_parameters()}
    network(paddle.to_tensor([[2, 7, 3]])).square().sum().backward()
    changed, sizes = [], []
    for rank in range(3):
        shares = Shares(network, Group(rank, 3))
        optimizer = default_optimizer(network, TrainingArguments(), 10, shares)
        optimizer.step()
        changed.append({n for n, p in network.named_parameters() if (p.numpy() != before[n]).any()})
        sizes.append(sum(v.size for k, v in optimizer.state_dict().items() if "moment1" in k))
        for name, parameter in network.named_parameters():
            parameter.set_value(before[name])
        assert changed[-1] <= set(shares.own)
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    assert set.union(*changed) == trained and sum(map(len, changed)) == len(trained)
    assert max(sizes) < 0.6 * sum(sizes)

    with pytest.raises(InputError, match="single process"):
        Shares(network, Group())
    own = paddle.optimizer.SGD(parameters=module.parameters())
    with pytest.raises(InputError, match=r"hub\.Trainer makes"):
        hub.Trainer(module, own, progress=False).finetune_and_eval(
            [("一", "a"), ("二", "b")] * 4, [("一", "a"), ("二", "b")], shard_optimizer=True
        )


def table(path: Path, rows: int) -> Path:
    """A data file of so many rows."""
    lines = [
        f"今天{'雨歌'[n % 2]}{n}吗\t{'天气音乐'[n % 2 * 2 : n % 2 * 2 + 2]}\n" for n in range(rows)
    ]
    path.write_text("text\tlabel\n" + "".join(lines), encoding="utf-8")
    return path


def workers(launched_by: int) -> list[int]:
    """The processes of a run, by their launcher's parent."""
    children = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    launchers = children.get(launched_by, [])
    return sorted(pid for launcher in launchers for pid in children.get(launcher, []))


def until(condition: object, process: subprocess.Popen[str]) -> None:
    """Wait for something to become true while a process runs."""
    end = time.monotonic() + 100
    while not condition():  # type: ignore[operator]
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--shard-optimizer",)], ids=["each all", "shared"])
def test_a_killed_process_ends_the_run_and_it_can_be_resumed(
    model: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    data, output = table(tmp_path / "train.tsv", 600), tmp_path / "run"
    command = (
        "-m", "hub", "finetune", data, "--dev", table(tmp_path / "dev.tsv", 20), "--model", model,
        "--output", output, "--epochs", "3", "--batch-size", "4", "--learning-rate", "1e-3",
        "--patience", "50",
        "--checkpoint-minutes", "0", "--nproc", "2", "-q", *more,
    )  # fmt: skip
    process = run(*command)
    until((output / "checkpoint" / "latest.json").exists, process)
    first, second = workers(process.pid)
    os.kill(second, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    # The launcher tells of the one that it finds first: the killed one, or one that missed it.
    assert "was killed" in said and "--resume" in said
    assert "Traceback" not in said and "FLAGS" not in said
    assert not Path(f"/proc/{first}").exists()

    # SIGTERM, as a cluster's preemption: one checkpoint, 143.
    resumed = run(*command, "--resume")
    latest = output / "checkpoint" / "latest.json"
    before = latest.read_text()
    until(lambda: latest.read_text() != before, resumed)
    resumed.send_signal(signal.SIGTERM)
    _, said = resumed.communicate(timeout=60)
    assert resumed.returncode == 143, said
    assert "Stopped at step" in said and "Traceback" not in said

    # A run's length is part of what it is: it goes on to the end by itself.
    last = run(*command, "--resume", "--json")
    said_json, said = last.communicate(timeout=200)
    assert last.returncode == 0, said
    summary = json.loads(said_json)
    assert summary["history"][-1]["step"] == 3 * 150
    assert summary["dev"]["accuracy"] > 0.9
    assert (output / "model.safetensors").exists() and not (output / "checkpoint").exists()


def test_the_launchers_repeated_signals_do_not_cut_a_stop_short() -> None:
    """It sends SIGTERM three times: the run still ends with its checkpoint and its sentence."""
    program = (
        "import os, signal, time\n"
        "from hub.training.signals import StopRequests\n"
        "with StopRequests(is_launched=True) as stop:\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.05)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('ended by itself', stop.received)\n"
    )
    process = run("-c", program)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert said.strip() == "ended by itself 15"


def test_what_cannot_be_launched_is_refused() -> None:
    for how, reason in (
        (Launch(processes=0), "--nproc must be"),
        (Launch(devices="0,x"), "--devices takes numbers"),
        (Launch(devices="0,0"), "names a device twice"),
        (Launch(machines=0), "--machines must be"),
        (Launch(master="a:1", machines=2, machine=-1), "--machine must be"),
        (Launch(master="a:1", machines=2, machine=2), "--machine must be"),
        (Launch(master="somewhere"), "HOST:PORT"),
        (Launch(machines=2), "Several machines find each other"),
    ):
        with pytest.raises(InputError, match=reason):
            how.options()
    both = Launch(processes=2, master="10.0.0.1:8000", machines=2, machine=1)
    assert both.options() == [
        "--nproc_per_node", "2", "--master", "10.0.0.1:8000", "--nnodes", "2", "--rank", "1",
    ]  # fmt: skip


def test_only_the_launchers_options_are_left_out() -> None:
    words = ["finetune", "a.tsv", "--nproc", "2", "--devices=0,1", "--seed", "3", "--nproc=4"]
    assert without_options(words, ["--nproc", "--devices"]) == ["finetune", "a.tsv", "--seed", "3"]


def test_a_started_process_starts_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Launch(processes=2).is_wanted and not Launch().is_wanted
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    assert not Launch(processes=2).is_wanted


def test_a_device_that_is_not_there_is_refused_in_a_sentence() -> None:
    for name in ("gpu", "gpu:0", "xpu", "npu:1", "abacus"):
        with pytest.raises(InputError, match=f"cannot compute on '{name}'"):
            use_device(name)
    use_device("auto")
    use_device("cpu")
    assert paddle.get_device() == "cpu"


def test_a_precision_that_the_device_lacks_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match="trains in fp16 on GPUs"):
        Precision("fp16")
    monkeypatch.setattr("hub.onednn.has_bfloat16", lambda: False)
    with pytest.raises(InputError, match="no instructions for bf16"):
        Precision("bf16")
    assert Precision("fp32").get_state() == {}
    with pytest.raises(InputError, match="precision is 'int4'"):
        TrainingArguments(precision="int4")
