"""What imports what: a light `import hub`, floors without a way up, no cycles."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import hub

PACKAGE = Path(hub.__file__).parent

# As docs/architecture.md has them. A package imports those of lower numbers, and of its own.
FLOORS = {
    "hub.registry": 0,
    "hub.data": 1,
    "hub.datasets": 1,
    "hub.tokenizers": 1,
    "hub.models": 2,
    "hub.tasks": 3,
    "hub.inference": 4,
    "hub.training": 5,
    "hub.serving": 5,
    "hub.compression": 6,
    "hub.cli": 7,
}
FOUNDATIONS = {
    "hub.constants",
    "hub.errors",
    "hub.files",
    "hub.machine",
    "hub.backend",
    "hub.onednn",
    "hub.third_party",
    "hub.wording",
}
# `hub.module` stands on the tasks, and these stand on it.
ABOVE_MODULE = {"hub.inference", "hub.training", "hub.compression", "hub.cli"}
MODULE_STANDS_ON = 3


# --- fresh processes -----------------------------------------------------------------------------

CHECK = """
import sys
{statement}
heavy = {heavy!r}
print(",".join(sorted(name for name in heavy if name in sys.modules)))
"""


def loaded_by(statement: str, heavy: Iterable[str], folder: Path) -> str:
    """Which of `heavy` a fresh process has loaded after `statement`, run in `folder`."""
    own = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(statement=statement, heavy=list(heavy))],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_import_hub_loads_nothing_heavy_and_makes_no_file(tmp_path: Path) -> None:
    heavy = ("paddle", "datasets", "sklearn", "numpy", "click", "rich", "tokenizers", "jieba")
    assert loaded_by("import hub; hub.__version__; dir(hub)", heavy, tmp_path) == ""
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", ["hub.tokenizers", "hub.registry", "hub.tasks", "hub.data"])
def test_the_lower_floors_load_neither_paddle_nor_datasets(name: str, tmp_path: Path) -> None:
    heavy = ("paddle", "datasets", "sklearn", "pandas", "torch")
    assert loaded_by(f"import {name}", heavy, tmp_path) == ""
    assert list(tmp_path.rglob("*")) == []


def test_reading_listing_and_encoding_need_no_paddle(tmp_path: Path) -> None:
    statement = (
        "import hub; hub.list_models(); hub.load_dataset([('a', 'b')]); "
        "from hub.tasks import create_task; create_task('seq-cls', ['a', 'b'])"
    )
    assert loaded_by(statement, ("paddle", "datasets", "sklearn"), tmp_path) == ""


def test_the_check_of_a_fresh_process_sees_what_it_loads(tmp_path: Path) -> None:
    assert loaded_by("import json, csv", ("json", "csv", "paddle"), tmp_path) == "csv,json"


def test_every_public_name_is_there() -> None:
    for name in hub.__all__:
        assert getattr(hub, name) is not None
        assert name in dir(hub)
    with pytest.raises(AttributeError, match="nonsense"):
        hub.nonsense  # noqa: B018


# --- the graph -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """`importer` imports `imported`; `lazy` if only when a function is called."""

    importer: str
    imported: str
    lazy: bool


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = ("hub", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))
}


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _import_nodes(node: ast.AST, lazy: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import that is executed, at any depth."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, lazy
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.orelse:
            yield from _import_nodes(child, lazy)
    else:
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _import_nodes(child, inside)


def imports_of(name: str, source: str, known: Iterable[str]) -> list[Import]:
    """The imports of this package's own modules in the module `name`."""
    known = set(known)
    # In a package's __init__ one dot is the package itself; elsewhere it is the one around.
    is_package = any(other.startswith(f"{name}.") for other in known)
    found = []
    for node, lazy in _import_nodes(ast.parse(source), lazy=False):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            base = node.module or ""
            if node.level:
                parts = name.split(".") if is_package else name.split(".")[:-1]
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, *([base] if base else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            targets = [target if target in known else base for target in inner]
        found += [
            Import(name, target, lazy)
            for target in dict.fromkeys(targets)
            if target == "hub" or target.startswith("hub.")
        ]
    return found


def package_of(name: str) -> str:
    """`hub.data.readers` belongs to `hub.data`, `hub.errors` to itself."""
    return ".".join(name.split(".")[:2])


def objection(edge: Import) -> str | None:
    """Why an import is not allowed; None if it is."""
    importer, imported = package_of(edge.importer), package_of(edge.imported)
    if imported == "hub" or imported in FOUNDATIONS or importer == imported:
        return None  # `hub` itself imports nothing: only its version is taken from it
    text = f"{edge.importer} imports {edge.imported}"
    if importer in FOUNDATIONS or importer == "hub":
        return f"{text}: the foundations stand on nothing"
    if importer == "hub.__main__":
        return None if imported == "hub.cli" else text
    if imported == "hub.module":
        return None if importer in ABOVE_MODULE else text
    if importer == "hub.module":
        return None if FLOORS.get(imported, 99) <= MODULE_STANDS_ON else text
    if importer not in FLOORS or imported not in FLOORS:
        return f"{text}: which floor is that?"
    return None if FLOORS[imported] <= FLOORS[importer] else text


def cycle_in(edges: Iterable[Import]) -> list[str] | None:
    """Modules that import each other in a ring when they are loaded; None if there is no ring."""
    graph: dict[str, list[str]] = {}
    for edge in edges:
        if not edge.lazy:
            graph.setdefault(edge.importer, []).append(edge.imported)
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in graph.get(name, []):
            ring = visit(other, [*path, name])
            if ring:
                return ring
        done.add(name)
        return None

    return next((ring for name in graph if (ring := visit(name, []))), None)


EDGES = [edge for name, source in SOURCES.items() for edge in imports_of(name, source, SOURCES)]


def test_no_floor_imports_a_higher_one() -> None:
    assert [text for edge in EDGES if (text := objection(edge))] == []


def test_no_modules_import_each_other() -> None:
    assert cycle_in(EDGES) is None


def test_the_graph_holds_the_imports_that_are_there() -> None:
    """Were the parser blind, the two tests above would pass for nothing."""
    assert Import("hub.tasks.text_classification", "hub.tasks.base", False) in EDGES
    assert Import("hub.data.loading", "hub.data.huggingface", True) in EDGES
    assert Import("hub.models.ernie.modeling", "hub.models.ernie.dropout", False) in EDGES
    assert Import("hub.training.checkpoints", "hub.models.ernie.dropout", False) in EDGES
    assert not any(edge.importer == "hub" for edge in EDGES)  # only under TYPE_CHECKING
    assert len(EDGES) > 80


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("hub.registry.catalogue", "from hub.data import load_dataset"),
        ("hub.data.loading", "def f():\n    import hub.tasks.base"),
        ("hub.tokenizers.base", "from hub.models.ernie.config import ErnieConfig"),
        ("hub.models.ernie.heads", "from hub import module"),
        ("hub.tasks.base", "if x:\n    from hub.module import Module"),
        ("hub.tasks.base", "class A:\n    def f(self):\n        from ..training import state"),
        (
            "hub.inference.predictor",
            "try:\n    from hub.training.trainer import Trainer\nfinally: 0",
        ),
        ("hub.module", "from hub.inference.loading import load"),
        ("hub.training.trainer", "from hub.cli import main"),
        ("hub.errors", "from hub.registry import find_model"),
        ("hub.data", "from ..tasks import base"),
        ("hub", "from hub.registry import list_models"),
    ],
)
def test_a_forbidden_import_is_seen_wherever_it_stands(importer: str, source: str) -> None:
    assert any(objection(edge) for edge in imports_of(importer, source, SOURCES))


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("hub.tasks.base", "if TYPE_CHECKING:\n    from hub.module import Module"),
        ("hub.inference.loading", "from hub.module import Module"),
        ("hub.data.batches", "from hub.tokenizers import Encoding"),
        ("hub.models.ernie.heads", "from hub.backend import paddle"),
        ("hub.module", "from hub import __version__"),
        ("hub.cli.main", "from hub.training import trainer"),
        ("hub.tasks.base", "import json, numpy\nfrom huber import x"),
    ],
)
def test_an_allowed_import_is_not_objected_to(importer: str, source: str) -> None:
    assert not any(objection(edge) for edge in imports_of(importer, source, SOURCES))


def test_a_ring_of_imports_is_seen() -> None:
    ring = [Import("a", "b", False), Import("b", "c", False), Import("c", "a", False)]
    assert cycle_in([Import("x", "a", False), *ring]) == ["a", "b", "c", "a"]
    assert cycle_in([*ring[:2], Import("c", "a", True)]) is None


# --- the tests' own walls ------------------------------------------------------------------------


def test_tests_cannot_reach_another_machine() -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match="tried to connect"):
        client.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="tried to connect"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_tests_can_reach_their_own_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_no_setting_of_the_developers_reaches_a_test() -> None:
    # Every test has a home of its own, and no other setting.
    assert [name for name in os.environ if name.startswith("HUB_")] == ["HUB_HOME"]
    assert not any(name.lower().endswith("_proxy") for name in os.environ)
    assert os.environ["COLUMNS"] == "100" and os.environ["NO_COLOR"] == "1"
