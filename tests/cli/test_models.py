"""`hub list`, `show`, `install`, `download`, `cache`, `convert`, `register`, `push`, `pull`, ..."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import hub as package
from hub.data.encoded_cache import EncodedCache
from hub.files import readable_size
from hub.models.registration import install_from
from hub.registry import catalogue
from hub.registry.catalogue import ModelEntry, Source
from hub.registry.store import Store
from tests.servers.huggingface import HuggingFaceServer

Hub = Callable[..., tuple[int, str, str]]
GOLDEN = Path(__file__).parents[1] / "golden" / "transformers"
REPOSITORY = "team/ernie-test-zh"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFaceServer]:
    """A hub with one model, and a catalogue that knows it."""
    folder = GOLDEN / "bare-encoder"
    files = {
        n: (folder / n).read_bytes() for n in ("model.safetensors", "config.json", "vocab.txt")
    }
    config = json.loads(files["config.json"])
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    names += ("vocab_size", "max_position_embeddings", "type_vocab_size", "hidden_act")
    names += ("pad_token_id", "use_task_id", "task_type_vocab_size", "layer_norm_eps", "model_type")
    entry = ModelEntry(
        name="ernie-test-zh",
        version="1.0.0",
        summary="A small one",
        tokenizer={"kind": "wordpiece", "lowercase": True},
        sources=[Source("huggingface", repository=REPOSITORY)],
        architecture={name: config[name] for name in names},
        parameters=1234,
    )
    entries = (*catalogue._entries(), entry)
    known = {**catalogue._names(), entry.name: entry}
    monkeypatch.setattr(catalogue, "_entries", lambda: entries)
    monkeypatch.setattr(catalogue, "_names", lambda: known)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    with HuggingFaceServer({REPOSITORY: files}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def done(answer: tuple[int, str, str]) -> tuple[str, str]:
    code, out, err = answer
    assert code == 0, err
    return out, err


def refused(answer: tuple[int, str, str], *parts: str, code: int = 2) -> None:
    exit_code, _, err = answer
    assert exit_code == code, err
    assert "Traceback" not in err and err.count("Error:") == 1
    for part in parts:
        assert part in err


# --- looking -------------------------------------------------------------------------------------


def test_list_has_a_line_for_each_model(hub: Hub) -> None:
    out, _ = done(hub("list"))
    lines = [line for line in out.splitlines() if line.strip()]
    assert len(lines) == len(catalogue.list_models()) + 2  # a head and a rule
    # In a terminal of 100 columns only the last one is cut.
    assert lines[0].split() == ["name", "parameters", "here", "what", "it", "is"]
    assert lines[2].split()[:5] == ["ernie-pocket-zh", "8.7", "M", "yes", "The"]
    for entry in catalogue.list_models():
        assert any(line.split()[0] == entry.name for line in lines)


def test_list_takes_a_pattern(hub: Hub) -> None:
    out, _ = done(hub("list", "ernie-3.0-n*"))
    assert "ernie-3.0-nano-zh" in out and "rbt3" not in out
    assert "No name matches" in done(hub("list", "nothing-*"))[1]


def test_list_for_programs(hub: Hub, server: HuggingFaceServer) -> None:
    documents = json.loads(done(hub("list", "--json"))[0])
    here = {d["name"] for d in documents if d["installed"]}
    assert here == {"ernie-pocket-zh"}
    done(hub("install", "ernie-test-zh"))
    documents = json.loads(done(hub("list", "--here", "--json"))[0])
    assert [d["name"] for d in documents] == ["ernie-pocket-zh", "ernie-test-zh"]


def test_show_tells_sources_scores_and_whether_it_is_here(
    hub: Hub, server: HuggingFaceServer
) -> None:
    out, _ = done(hub("show", "ERNIE_3.0_nano_zh"))
    for part in ("nghuyong/ernie-3.0-nano-zh", "bj.bcebos.com", "TNEWS", "17,912,232"):
        assert part in out
    done(hub("install", "ernie-test-zh"))
    assert str(Store().root) in done(hub("show", "ernie-test-zh"))[0]
    assert json.loads(done(hub("show", "ernie-test-zh", "--json"))[0])["installed"] is True
    refused(hub("show", "ernie_tny"), "Did you mean 'ernie-tiny'")


# --- installing ----------------------------------------------------------------------------------


def test_install_use_and_uninstall(hub: Hub, server: HuggingFaceServer) -> None:
    _, err = done(hub("install", "Ernie_Test_ZH"))
    assert "installed" in err
    out, err = done(hub("cache"))
    assert "ernie-test-zh@1.0.0" in out and "huggingface (team/ernie-test-zh)" in out
    assert "1 model," in err
    assert "every file as it should be" in done(hub("cache", "verify"))[1]
    asked = len(server.requests)
    done(hub("install", "ernie-test-zh"))
    assert len(server.requests) == asked
    assert "removed" in done(hub("uninstall", "ernie-test-zh"))[1]
    assert Store().models() == []
    assert "not on this machine" in done(hub("uninstall", "ernie-test-zh"))[1]


def test_verify_names_what_is_damaged(hub: Hub, server: HuggingFaceServer) -> None:
    done(hub("install", "ernie-test-zh"))
    path = Store().get("ernie-test-zh", "1.0.0").folder / "vocab.txt"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    refused(hub("cache", "verify"), "vocab.txt", "hub cache remove", code=1)
    code, out, _ = hub("cache", "verify", "ernie-test-zh", "--json")
    assert code == 1
    assert list(json.loads(out)["problems"]) == ["ernie-test-zh@1.0.0"]
    done(hub("cache", "remove", "ernie-test-zh"))
    done(hub("cache", "verify"))


def test_verify_says_what_is_not_here(hub: Hub, server: HuggingFaceServer, run: Path) -> None:
    for name in ("nosuch", "hf://team/x", "ernie-test-zh"):
        refused(hub("cache", "verify", name), f"{name} is not on this machine")
    refused(hub("cache", "verify", "ernie-pocket-zh"), "inside the package")
    done(hub("install", "ernie-test-zh"))
    for version in ("1.0.0", "1.1.0"):
        done(hub("register", run, "--name", "travel", "--version", version))
    done(hub("alias", "travel@1.0.0", "prod"))
    for names, count in (([], 3), (["travel"], 2), (["travel@prod", "ERNIE_test_zh"], 2)):
        assert json.loads(done(hub("cache", "verify", *names, "--json"))[0])["checked"] == count
    refused(hub("cache", "verify", "travel@2.0.0"), "travel@2.0.0 is not on this machine")


def test_a_damaged_model_is_named_and_can_be_removed(hub: Hub, run: Path) -> None:
    done(hub("register", run, "--name", "travel", "--version", "1.0.0"))
    weights = Store().get("travel", "1.0.0").folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    told = "hub uninstall travel@1.0.0 --yes"
    refused(hub("predict", "travel@1.0.0", "x"), "is not whole", told, code=1)
    refused(hub("cache", "verify", "travel"), "is not whole", code=1)
    done(hub("uninstall", "travel@1.0.0", "--yes"))
    assert not weights.parent.exists()
    refused(hub("uninstall", "travel@1.0.0", "--yes"), "no model 'travel'")


def test_cache_for_programs(hub: Hub, server: HuggingFaceServer) -> None:
    done(hub("install", "ernie-test-zh"))
    (Store().unfinished("other", "1.0.0") / "x.part").write_text("12345")
    document = json.loads(done(hub("cache", "--json"))[0])
    assert document["folder"] == str(Store().root)
    assert document["unfinished_bytes"] == 5
    assert [m["name"] for m in document["models"]] == ["ernie-test-zh"]
    assert "5 bytes freed" in done(hub("cache", "clean"))[1]
    assert [m.name for m in Store().models()] == ["ernie-test-zh"]


@pytest.mark.parametrize("place", ["carried", "carried.tar", "carried.tar.gz", "携带 包.zip"])
def test_a_model_is_carried_to_a_machine_without_a_network(
    place: str, hub: Hub, server: HuggingFaceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(hub("download", "ernie-test-zh", "--to", place))
    refused(hub("download", "ernie-test-zh", "--to", place), "there already")
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "other machine"))
    monkeypatch.setenv("HUB_OFFLINE", "1")
    refused(
        hub("install", "ernie-test-zh"),
        "is not on this machine",
        "hub download ernie-test-zh --to ernie-test-zh",
        code=1,
    )
    if place == "carried":
        package.Module(directory=tmp_path / place)  # usable as it is
    done(hub("install", f"{place}/" if place == "carried" else place))
    assert package.Module(name="ernie_test_zh").name == "ernie-test-zh"


def test_the_embedded_model_is_everywhere(hub: Hub) -> None:
    assert "inside every installation" in done(hub("download", "pocket", "--to", "x"))[1]
    assert not Path("x").exists()
    refused(hub("uninstall", "pocket", "-y"), "ernie-pocket-zh is a part of this package")


def test_a_version_is_taken_as_paddlehub_writes_it(hub: Hub) -> None:
    assert "installed" in done(hub("install", "ernie_pocket_zh==0.1.0"))[1]
    refused(hub("install", "ernie_tiny==2.0.1"), "ernie-tiny has no version '2.0.1'")


def test_what_cannot_be_installed_is_a_sentence(hub: Hub, tmp_path: Path) -> None:
    refused(hub("install", "nowhere/"), "There is no")
    refused(hub("install", "ernie_tny"), "Did you mean 'ernie-tiny'")
    (tmp_path / "empty").mkdir()
    refused(hub("install", "empty/"), "does not say which model it is", code=1)
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    refused(hub("install", "bad.tar"), "bad.tar", "damaged", code=1)
    (tmp_path / "t.tsv").write_text("text\tlabel\n")
    refused(hub("install", "t.tsv"), "t.tsv is neither a model's folder nor an archive")
    refused(hub("install", "hf://org/a--b"), "'org/a--b' cannot be a repository")
    refused(hub("install", "t.tsv", "--accept-new-files"), "public source")


def test_an_archive_that_names_no_model_is_named(hub: Hub, run: Path) -> None:
    with tarfile.open("run.tar", "w") as archive:
        for path in sorted(run.iterdir()):
            archive.add(path, path.name)
    refused(hub("install", "run.tar"), "run.tar does not say which model", "unpack it", code=1)
    assert not (Store().root / "unfinished").exists()


def test_two_archives_are_installed_at_once(hub: Hub, run: Path) -> None:
    for version in ("1", "2"):
        done(hub("register", run, "--name", "travel", "--version", version))
        done(hub("download", f"travel@{version}", "--to", f"{version}.tar"))
        done(hub("uninstall", f"travel@{version}", "--yes"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda v: install_from(Path(f"{v}.tar"), Store()), ("1", "2")))
    assert Store().versions("travel") == ["1", "2"]


def test_new_files_of_a_repository_are_accepted(hub: Hub, server: HuggingFaceServer) -> None:
    place = f"hf://{REPOSITORY}"
    done(hub("install", place, "--accept-new-files"))
    assert "installed" in done(hub("install", place))[1]


def test_sources_that_lack_a_model_are_named(
    hub: Hub, server: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_SOURCES", "baidu")
    told = hub("install", "ernie-test-zh")
    refused(told, "The sources in force (baidu, HUB_SOURCES) lack it", code=1)
    monkeypatch.setenv("HUB_OFFLINE", "1")
    refused(hub("install", "ernie-test-zh"), "HUB_OFFLINE forbids the network", code=1)


# --- converting ----------------------------------------------------------------------------------


def test_convert_writes_what_the_module_opens(hub: Hub, tmp_path: Path) -> None:
    done(hub("convert", GOLDEN.parent / "paddlenlp" / "ernie-1.0", "--output", "made"))
    assert {p.name for p in (tmp_path / "made").iterdir()} == {
        "config.json", "hub.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "vocab.txt",
    }  # fmt: skip
    package.Module(directory=tmp_path / "made")
    refused(hub("convert", GOLDEN / "bert", "-o", "made"), "not empty")
    (tmp_path / "none").mkdir()
    refused(hub("convert", "none", "-o", "other"), "config.json", code=1)
    assert not (tmp_path / "other").exists()


def test_convert_keeps_all_of_a_fine_tuned_folder(
    hub: Hub, tiny_folder: Path, tmp_path: Path
) -> None:
    module = package.Module(
        directory=tiny_folder, task="multi-label", label_map=["a", "b"], max_seq_len=20,
        task_options={"thresholds": [0.2, 0.9]}, classifier_pooling="mean",
    )  # fmt: skip
    module.save("run")
    Path("run/README.md").write_text("# A card\n")
    Path("run/mine.txt").write_text("no part of the model")
    done(hub("convert", "run", "--output", "made"))
    names = {path.name for path in Path("run").iterdir()} - {"mine.txt"}
    assert {path.name for path in Path("made").iterdir()} == names
    made = package.Module(directory=tmp_path / "made")
    assert made.task is not None and module.task is not None
    assert (made.task.name, made.task.labels) == (module.task.name, ["a", "b"])
    assert (made.task.options, made.max_seq_len) == (module.task.options, 20)
    assert json.loads(Path("made/config.json").read_text())["model_type"] == "ernie-mean-pooling"
    done(hub("export", "run", "--output", "exported"))
    refused(hub("convert", "exported", "-o", "other"), "exported is an exported model", code=1)
    Path("run/vocab.txt").write_text("changed")
    refused(hub("convert", "run", "-o", "other"), "vocab.txt is not the file", code=1)
    assert not Path("other").exists()


def test_a_model_is_written_into_the_folder_one_stands_in(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(hub("register", run, "--name", "travel", "--version", "1.0.0"))
    orders = {"made": ("convert", GOLDEN / "bert", "--output", ".")}
    orders["carried"] = ("download", "travel@1.0.0", "--to", ".")
    for name, order in orders.items():
        (tmp_path / name).mkdir()
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path / name)
            done(hub(*order))
            assert Path("hub.json").exists()  # it is still the same folder
        package.Module(directory=tmp_path / name)


# --- a team's models -----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A fine-tuned folder."""
    package.Module(directory=GOLDEN / "bert").save(tmp_path / "run")
    (tmp_path / "run" / "README.md").write_text("# A card\n")
    return tmp_path / "run"


def test_register_push_pull_and_predict(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(hub("register", run, "--name", "Travel_Intent", "--version", "1.0.0"))
    out, _ = done(hub("predict", "travel-intent@1.0.0", "今天天气好吗"))
    assert out.split()[0] in ("天气", "音乐", "车票")
    done(hub("config", "catalogue", str(tmp_path / "共享")))
    assert "published" in done(hub("push", "travel-intent", "--alias", "prod"))[1]
    assert "already" in done(hub("push", "travel-intent@1.0.0"))[1]
    head, _, packaged, own = done(hub("list", "--here"))[0].strip().splitlines()
    assert head.split() == ["name", "parameters", "size", "what", "it", "is"]
    assert packaged.split()[:3] == ["ernie-pocket-zh", "8.7", "M"]
    size = readable_size(Store().get("travel-intent", "1.0.0").size_bytes)
    assert own.split()[:4] == ["travel-intent@1.0.0", *size.split(), "text-classification,"]
    assert "prod = 1.0.0" in done(hub("show", "travel-intent"))[0]
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "another machine"))
    monkeypatch.setenv("HUB_CATALOGUE", str(tmp_path / "共享"))
    assert done(hub("predict", "travel_intent@prod", "今天天气好吗"))[0] == out
    assert "travel-intent@prod is 1.0.0" in done(hub("pull", "travel-intent@prod"))[1]
    folder = Store().get("travel-intent", "1.0.0").folder
    assert (folder / "README.md").read_text() == "# A card\n"
    assert "prod = 1.0.0" in done(hub("show", "travel-intent"))[0]
    refused(hub("predict", "travel-intent@canary", "x"), "only 1.0.0, prod (1.0.0)")


def test_a_version_never_changes(hub: Hub, run: Path, tmp_path: Path) -> None:
    register = ("register", run, "--name", "travel", "--version")
    done(hub(*register, "1.0.0"))
    done(hub(*register, "1.0.0"))  # the same again is no change
    (run / "README.md").write_text("# Another card\n")
    refused(hub(*register, "1.0.0"), "never changes", "new version")
    done(hub(*register, "1.1.0"))
    done(hub("push", "travel@1.0.0", "--catalogue", tmp_path / "shared"))
    done(hub("uninstall", "travel@1.0.0", "--yes"))
    done(hub(*register, "1.0.0"))
    refused(hub("push", "travel@1.0.0", "--catalogue", tmp_path / "shared"), "never changes")


def test_aliases_move(hub: Hub, run: Path, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        done(hub("register", run, "--name", "travel", "--version", version))
    done(hub("alias", "travel@1.0.0", "prod"))
    assert Store().aliases("travel") == {"prod": "1.0.0"}
    refused(hub("alias", "travel", "prod"), "which version")
    refused(hub("alias", "travel@3.0.0", "prod"), "not on this machine")
    refused(hub("alias", "travel@1.0.0", "1.1.0"), "is a version")
    done(hub("config", "catalogue", str(tmp_path / "shared")))
    refused(hub("alias", "travel@1.0.0", "prod"), "has no model")
    told = "There is no travel@canary on this machine, only 1.0.0, 1.1.0, prod (1.0.0)."
    refused(hub("predict", "travel@canary", "x"), told, "has no model")
    done(hub("push", "travel@1.0.0"))
    done(hub("push", "travel@1.1.0", "--alias", "canary"))
    done(hub("alias", "travel@1.1.0", "prod"))
    assert Store().aliases("travel") == {"canary": "1.1.0", "prod": "1.1.0"}


def test_a_push_leaves_the_machines_own_aliases(hub: Hub, run: Path, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        done(hub("register", run, "--name", "travel", "--version", version))
    done(hub("alias", "travel@1.0.0", "prod"))
    done(hub("push", "travel@1.0.0", "--catalogue", tmp_path / "one", "--alias", "stable"))
    done(hub("push", "travel@1.1.0", "--catalogue", tmp_path / "two"))
    done(hub("pull", "travel@1.0.0", "--catalogue", tmp_path / "one"))
    assert Store().aliases("travel") == {"prod": "1.0.0", "stable": "1.0.0"}


def test_a_version_that_is_not_there_is_told_with_those_that_are(hub: Hub, run: Path) -> None:
    for version in ("v2", "v10"):
        done(hub("register", run, "--name", "travel", "--version", version))
    done(hub("alias", "travel@v2", "stable"))
    there = "There is no travel@v3 on this machine, only v2, v10, stable (v2)."
    for order in (("predict", "travel@v3", "x"), ("show", "travel@v3"), ("push", "travel@v3")):
        refused(hub(*order, *(["--catalogue", "c"] if order[0] == "push" else [])), there)
    shown = json.loads(done(hub("show", "travel@stable", "--json"))[0])
    assert [m["version"] for m in shown["versions"]] == ["v2"]
    assert "v10" in done(hub("pull", "travel", "--catalogue", pushed(hub)))[1]


def pushed(hub: Hub) -> Path:
    """A catalogue with both versions of `travel`."""
    for version in ("v2", "v10"):
        done(hub("push", f"travel@{version}", "--catalogue", "shared"))
    return Path("shared")


def test_a_teams_model_is_not_removed_unasked(hub: Hub, run: Path) -> None:
    done(hub("register", run, "--name", "travel", "--version", "1.0.0"))
    code, _, err = hub("uninstall", "travel")
    assert code == 2 and "--yes" in err
    assert Store().versions("travel") == ["1.0.0"]
    done(hub("uninstall", "travel", "--yes"))
    assert Store().versions("travel") == []


@pytest.mark.parametrize(
    ("name", "version", "part"),
    [
        ("ernie-tiny", "1.0.0", "is the name of a public model"),
        ("Ernie_Tiny", "1.0.0", "is the name of a public model"),
        ("旅行", "1.0.0", "cannot name a model"),
        ("../x", "1.0.0", "cannot name a model"),
        ("travel", "1/0", "cannot be a version"),
    ],
)
def test_names_that_cannot_be(name: str, version: str, part: str, hub: Hub, run: Path) -> None:
    refused(hub("register", run, "--name", name, "--version", version), part)
    assert Store().models() == []


def test_a_folder_that_is_no_model_is_not_registered(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(hub("register", "empty", "--name", "x", "--version", "1"), "config.json", code=1)
    assert Store().models() == []


def test_without_a_catalogue_push_says_how_to_name_one(hub: Hub, run: Path) -> None:
    done(hub("register", run, "--name", "travel", "--version", "1.0.0"))
    refused(hub("push", "travel"), "hub config catalogue")
    refused(hub("pull", "travel"), "hub config catalogue")


def test_a_mirror_of_public_models(
    hub: Hub, server: HuggingFaceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(hub("push", "ernie-test-zh", "--catalogue", tmp_path / "mirror"))
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "another machine"))
    monkeypatch.setenv("HUB_OFFLINE", "1")  # a folder needs no network
    monkeypatch.setenv("HUB_SOURCES", f"{tmp_path / 'mirror'},huggingface")
    asked = len(server.requests)
    done(hub("install", "ernie-test-zh"))
    assert package.Module(name="ernie-test-zh").task is None
    assert len(server.requests) == asked


# --- settings ------------------------------------------------------------------------------------


def test_settings_are_kept_and_the_environment_wins(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = done(hub("config"))
    assert [line.split() for line in out.splitlines()] == [
        ["sources", "baidu,modelscope,huggingface", "(default)"],
        ["catalogue", "none", "(default)"],
    ]
    done(hub("config", "sources", "huggingface,baidu"))
    assert json.loads(done(hub("config", "--json"))[0])["sources"] == "huggingface,baidu"
    monkeypatch.setenv("HUB_SOURCES", "modelscope")
    assert "modelscope  (HUB_SOURCES)" in done(hub("config", "sources"))[0]
    monkeypatch.delenv("HUB_SOURCES")
    done(hub("config", "sources", "--unset"))
    assert json.loads(done(hub("config", "sources", "--json"))[0])["sources"] is None


def test_settings_that_cannot_be(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(hub("config", "colour", "red"), "sources, catalogue")
    refused(hub("config", "sources", "nonsense"), "nonsense")
    refused(hub("config", "sources", ","), "empty")
    for place in ("s3:/typo", "htp://x"):
        refused(hub("config", "catalogue", place), f"'{place}' is no catalogue's place")
    monkeypatch.setenv("HUB_SOURCES", "nonsense")
    refused(hub("install", "ernie-tiny"), "nonsense")
    (Store().root / "settings.json").write_text("{")
    monkeypatch.delenv("HUB_SOURCES")
    refused(hub("config"), "settings.json", "not JSON")
    (Store().root / "settings.json").write_text('{"sources": 5}')
    refused(hub("install", "ernie-tiny"), "settings.json", "does not hold texts")


def test_a_folder_is_kept_from_the_root_and_nothing_is_the_default(
    hub: Hub, tmp_path: Path
) -> None:
    done(hub("config", "catalogue", "./cat"))
    done(hub("config", "sources", "./mirror,baidu"))
    kept = json.loads(done(hub("config", "--json"))[0])
    assert kept == {
        "sources": f"{tmp_path / 'mirror'},baidu", "catalogue": str(tmp_path / "cat"),
    }  # fmt: skip
    assert "catalogue is now none" in done(hub("config", "catalogue", ""))[1]
    assert json.loads(done(hub("config", "--json"))[0])["catalogue"] is None


def test_cache_shows_encoded_texts_and_cleans_them(hub: Hub) -> None:
    cache = EncodedCache()
    cache.write("digest", {"input_ids": np.zeros(5000, np.uint16)})
    size = cache.size()
    assert json.loads(done(hub("cache", "--json"))[0])["encoded_bytes"] == size > 10_000
    said = "".join(done(hub("cache")))
    assert "10 kB of encoded texts: `hub cache clean` removes them." in said
    assert "10 kB freed" in "".join(done(hub("cache", "clean")))
    assert cache.size() == 0
    assert "of encoded texts" not in "".join(done(hub("cache")))
