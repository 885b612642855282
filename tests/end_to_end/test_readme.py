"""What the READMEs show can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hub.cli.main import cli
from hub.registry import list_models

ROOT = Path(__file__).parents[2]
READMES = ["README.md", "README.zh-CN.md"]
PAGES = [
    *READMES,
    "docs/deploy.md",
    "docs/inference.md",
    "docs/pretraining.md",
    "docs/registry.md",
    "docs/serving.md",
    "docs/tasks.md",
]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language, in their order."""
    found: list[list[str]] = []
    inside: str | None = None
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("```"):
            if inside == language:
                found[-1].append(line)
        elif inside is None:
            inside = line.removeprefix("```")
            found += [[]] if inside == language else []
        else:
            inside = None
    return ["\n".join(lines) for lines in found]


def commands(readme: str) -> list[str]:
    """Every `hub ...` line of the blocks, and of the inline code that names files."""
    lines = [line for block in blocks(readme, "") for line in block.splitlines()]
    return [line for line in lines if line.startswith("hub ")]


@pytest.mark.parametrize("readme", READMES)
def test_the_readmes_show_the_main_job_and_models_by_name(readme: str) -> None:
    names = [shlex.split(line)[1] for line in commands(readme)]
    assert names[:4] == ["finetune", "evaluate", "predict", "export"]
    assert {"list", "show", "install", "download", "register", "push"} <= set(names)


@pytest.mark.parametrize("readme", READMES)
def test_the_number_of_models_is_the_catalogues(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    found = re.search(r"^hub list +# (\d+) ", text, flags=re.MULTILINE)
    assert found is not None
    assert int(found[1]) == len(list_models())


@pytest.mark.parametrize("readme", READMES)
def test_the_readmes_list_every_extra(readme: str) -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = re.findall(r'"\.\[(\w+)\]"', (ROOT / readme).read_text(encoding="utf-8"))
    assert set(listed) == extras.keys() - {"dev"}
    (everything,) = extras["all"]
    named = everything.removeprefix("ernie-hub[").removesuffix("]").split(",")
    assert set(named) == extras.keys() - {"dev", "all", "oss"}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_understood(page: str) -> None:
    found = commands(page)
    assert len(found) >= 4
    for line in found:
        _, name, *arguments = shlex.split(line, comments=True)
        with cli.make_context("hub", [name]) as context:
            command = cli.get_command(context, name)
            assert command is not None
            command.make_context(name, arguments, parent=context)  # raises for what it cannot read


@pytest.mark.parametrize("readme", READMES)
def test_the_python_block_runs(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{text}{n}\t{label}\n" for n in range(8) for text, label in
            (("帮我查一下余额", "查余额"), ("转账给小王", "转账"))]  # fmt: skip
    for name in ("train.tsv", "dev.tsv"):
        Path(name).write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    block = blocks(readme, "python")[0]
    names: dict[str, object] = {}
    exec(compile(block, readme, "exec"), names)
    assert names["metrics"]["accuracy"] >= 0.5  # type: ignore[index]
    assert Path("runs/intent/hub.json").exists()
    assert Path("ernie_intent_model.json").exists()


def test_the_page_on_masking_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("our_words.txt").write_text("老铁没毛病\n", encoding="utf-8")
    Path("our_phrases.txt").write_text("北京大学\tORG\n", encoding="utf-8")
    Path("corpus.txt").write_text("我在北京大学学习\n这家酒店的电话是多少\n" * 20, encoding="utf-8")
    names: dict[str, object] = {}
    exec(compile(blocks("docs/masking.md", "python")[0], "masking.md", "exec"), names)
    assert (names["batch"]["labels"] != -100).any()  # type: ignore[index]


@pytest.mark.parametrize("readme", READMES)
def test_every_linked_file_exists(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("readme", READMES)
def test_every_make_target_exists(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake (\w+)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
