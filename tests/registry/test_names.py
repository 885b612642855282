"""Names that are safe on every system, and what a user may write for a model."""

from __future__ import annotations

import pytest

from hub.errors import InputError
from hub.registry.names import (
    check_file_name,
    check_name,
    check_version,
    parse_reference,
    version_order,
)

HOSTILE = [
    "", ".", "..", "...", "../x", "x/../y", "/etc/passwd", "a/b", "a\\b", "C:", "C:\\x", "con",
    "CON", "nul.txt", "COM1", "lpt9.bin", "aux", "name.", "name ", ".hidden", "-option", "a" * 101,
    "x\0y", "x\ny", "x\ty", "a b", "ernie\u2010tiny", "ｅｒｎｉｅ", "еrnie", "模型", "a*b",
    "a?b", "a|b", "<a>", 'a"b', "~", "~root", "$HOME", "a..b", "%2e%2e", "a:stream", "🤖",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in HOSTILE if name == name.strip()])
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


@pytest.mark.parametrize("version", [v for v in HOSTILE if v not in ("CON",)])
def test_a_hostile_version_is_refused(version: str) -> None:
    with pytest.raises(InputError):
        check_version(version)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "C:x", "nul", "con.txt", "x\0", "x.", "x ", "a" * 201]
)
def test_a_hostile_file_name_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_file_name(name)


@pytest.mark.parametrize("name", ["config.json", "意图 模型.txt", ".gitattributes", "a-b_c.1"])
def test_file_names_that_people_use_are_taken(name: str) -> None:
    assert check_file_name(name) == name


def test_a_name_is_spelled_one_way() -> None:
    assert check_name(" Ernie_Tiny ") == "ernie-tiny"
    assert check_name("travel-1.5") == "travel-1.5"
    assert check_version("2026.11+cpu") == "2026.11+cpu"


def test_a_reference_is_a_name_and_perhaps_a_version() -> None:
    assert parse_reference("Travel_Intent") == parse_reference("travel-intent")
    assert str(parse_reference("travel@1.0.0")) == "travel@1.0.0"
    assert parse_reference("ernie_tiny==2.0.1") == parse_reference("ernie-tiny@2.0.1")
    assert parse_reference("travel", "prod") == parse_reference("travel@prod")
    assert parse_reference("travel@prod", "prod") == parse_reference("travel@prod")
    with pytest.raises(InputError, match="another one"):
        parse_reference("travel@1.0.0", "2.0.0")


def test_versions_sort_as_people_count() -> None:
    wanted = ["0.9", "1.0.0-rc1", "1.0.0-rc2", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0"]
    assert sorted(sorted(wanted), key=version_order) == wanted
    for wanted in (
        ["v1", "v2", "v10", "v10.1"],
        ["2026-01-09", "2026-01-10", "2026-11-02"],
        ["1.0.0-rc9", "1.0.0-rc10", "1.0.0", "1.0.0a", "1.0.0.1"],
    ):
        assert sorted(sorted(wanted), key=version_order) == wanted
