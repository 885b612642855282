"""Shares are exact, callers are sticky, a larger share takes and never gives back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import InputError, RequestError
from hub.serving.plans import ModelPlan, State, VersionPlan, deployed, with_traffic, without_version
from hub.serving.settings import ModelSpec, check_specs, parse_spec
from hub.serving.sources import Resolved, public_reason
from hub.serving.traffic import Traffic, place_of

IDS = [f"user-{number}" for number in range(20_000)]


def test_the_share_of_twenty_thousand_callers_is_exact_and_sticky() -> None:
    traffic = Traffic((("3", 90.0), ("4", 10.0)))
    arms = {key: traffic.choose("travel", key) for key in IDS}
    share = sum(arm == "4" for arm in arms.values()) / len(IDS)
    assert share == pytest.approx(0.10, abs=0.007)
    assert arms == {key: traffic.choose("travel", key) for key in IDS}
    # On every machine and in every version of Python.
    assert place_of("travel", "user-1") == pytest.approx(0.7290115398, abs=1e-9)


def test_a_larger_share_takes_callers_and_gives_none_back() -> None:
    before = Traffic((("3", 90.0), ("4", 10.0)))
    after = before.with_canary("4", 20)
    moved = [k for k in IDS if before.choose("travel", k) != after.choose("travel", k)]
    assert len(moved) / len(IDS) == pytest.approx(0.10, abs=0.007)
    assert {before.choose("travel", key) for key in moved} == {"3"}
    assert after.shares == pytest.approx({"3": 0.8, "4": 0.2})


def test_requests_without_a_caller_are_shared_out_by_chance() -> None:
    traffic = Traffic((("3", 90.0), ("4", 10.0)))
    chosen = [traffic.choose("travel", None) for _ in range(20_000)]
    assert chosen.count("4") / 20_000 == pytest.approx(0.1, abs=0.01)


def test_a_version_of_no_weight_answers_nobody() -> None:
    traffic = Traffic((("3", 100.0), ("4", 0.0)))
    assert {traffic.choose("travel", key) for key in IDS} == {"3"}


@pytest.mark.parametrize(
    ("arms", "shadow"), [((("3", 0.0),), None), ((("3", -1.0),), None), ((("3", 1.0),), "3")]
)
def test_traffic_that_answers_nobody_is_refused(
    arms: tuple[tuple[str, float], ...], shadow: str | None
) -> None:
    with pytest.raises(InputError):
        Traffic(arms, shadow)


def test_what_the_command_line_says_is_understood() -> None:
    assert parse_spec("travel@3=runs/v3:90") == ModelSpec("travel", "runs/v3", "3", 90.0)
    assert parse_spec("travel@4=runs/v4:shadow") == ModelSpec("travel", "runs/v4", "4", 0.0, True)
    assert parse_spec("runs/travel") == ModelSpec("travel", "runs/travel")
    assert parse_spec("travel@prod") == ModelSpec("travel", "travel@prod")
    assert parse_spec("t=travel@prod:5") == ModelSpec("t", "travel@prod", None, 5.0)
    assert parse_spec("t=C:/runs/v3") == ModelSpec("t", "C:/runs/v3")
    with pytest.raises(InputError, match="served as"):
        parse_spec("bad name=x")
    for weight in ("90%", "-5", "1e3", "9O"):
        with pytest.raises(InputError, match=f"The weight '{weight}' of .* is no number"):
            parse_spec(f"travel@3=runs/v3:{weight}")
    with pytest.raises(InputError, match="another name with NAME=runs/テスト"):
        parse_spec("runs/テスト")
    assert parse_spec("test=runs/テスト").source == "runs/テスト"
    with pytest.raises(InputError, match="given twice"):
        check_specs([parse_spec("a@1=x"), parse_spec("a@1=y")])


def test_a_folder_is_served_under_the_name_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to one release after the other keeps its name; the current folder has one too."""
    (tmp_path / "rel1").mkdir()
    (tmp_path / "cur").symlink_to("rel1")
    for given in ("cur", "cur/", "cur/."):
        assert parse_spec(f"{tmp_path}/{given}").name == "cur"
    monkeypatch.chdir(tmp_path / "rel1")
    assert parse_spec(".").name == "rel1"


def found(digest: str) -> Resolved:
    """What a source resolves to."""
    return Resolved(Path("/models") / digest, digest * 8, digest)


PLAN = ModelPlan(
    "travel",
    State((VersionPlan("1", "runs/v1", "/models/a", "a" * 8, "1"),), Traffic((("1", 100.0),))),
)


def test_a_new_version_takes_all_some_or_none_of_the_requests() -> None:
    all_of_it = deployed(PLAN, "runs/v2", found("b"), "2", None, False)
    assert all_of_it.now.traffic.shares == {"2": 1.0} and len(all_of_it.now.versions) == 1
    assert {version.version for version in all_of_it.versions} == {"1", "2"}  # for a rollback
    assert all_of_it.rolled_back().now == PLAN.now
    assert all_of_it.rolled_back().rolled_back() == all_of_it
    some = deployed(PLAN, "runs/v2", found("b"), "2", 5, False)
    assert some.now.traffic.shares == pytest.approx({"1": 0.95, "2": 0.05})
    none = deployed(PLAN, "runs/v2", found("b"), "2", None, True)
    assert none.now.traffic == Traffic((("1", 100.0),), "2")
    assert ModelPlan.from_json(none.to_json()) == none
    with pytest.raises(RequestError, match="choose a new one"):
        deployed(PLAN, "runs/v2", found("b"), "1", None, False)
    with pytest.raises(RequestError, match="share of the traffic"):
        without_version(some, "2")
    with pytest.raises(RequestError, match="not loaded"):
        with_traffic(some, Traffic((("9", 1.0),)))
    kept = with_traffic(some, Traffic((("1", 1.0),)))
    assert {v.version for v in without_version(kept, "2").versions} == {"1"}


def test_reasons_name_no_path_of_this_machine() -> None:
    error = InputError("No folder /srv/models/team a/v3. See runs/v3/hub.json or C:\\m\\x.")
    reason = public_reason(error)
    assert "srv" not in reason and "runs/" not in reason and "\\" not in reason
    assert "hub.json" in reason
