"""What is served when sources change, processes die, and neither waits for the other."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from hub.errors import DownloadError, RequestError, ServingError
from hub.serving import planner as planner_module
from hub.serving.fleet import LocalMember
from hub.serving.metrics import Metrics
from hub.serving.planner import Planner
from hub.serving.plans import ModelPlan
from hub.serving.service import Service
from hub.serving.settings import Settings, parse_spec
from hub.serving.sources import Resolved, check_unchanged, resolve
from tests.serving.test_versions import rewrite


class Loading:
    """A member that reads folders as a real one does, and refuses some of them.

    Args:
        bad: what `base_model` in `hub.json` says of those that it refuses.
    """

    def __init__(self, bad: str = "bad") -> None:
        self._bad = bad
        self._loaded: set[str] = set()
        self.tried: list[str] = []
        self.served: list[str] = []
        self.committed: list[ModelPlan] = []

    async def prepare(self, plans: Sequence[ModelPlan], force: bool) -> None:
        """Load what is not loaded."""
        for version in (version for plan in plans for version in plan.versions):
            if version.digest in self._loaded:
                continue
            check_unchanged(version.folder, version.digest)
            self.tried.append(version.digest)
            await self.load(Path(version.folder))
            check_unchanged(version.folder, version.digest)
            self._loaded.add(version.digest)

    async def load(self, folder: Path) -> None:
        """What takes its time."""
        if f'"base_model": "{self._bad}' in (folder / "hub.json").read_text(encoding="utf-8"):
            raise ServingError("It is bad.")

    async def commit(self, plans: Sequence[ModelPlan]) -> None:
        """Serve by them."""
        self.committed = list(plans)
        self._loaded = {version.digest for plan in plans for version in plan.versions}

    async def abort(self) -> None:
        """Nothing."""


@pytest.fixture
def folders(exported: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two models: `a` and `b`."""
    made = [shutil.copytree(exported, tmp_path / name) for name in "ab"]
    for folder in made:
        rewrite(folder, base_model=f"{folder.name}1")
    return made[0], made[1]


def shares(planner: Planner) -> list[str]:
    """The digests that have a share of the traffic."""
    return [version.digest for version in planner.plans["travel"].now.versions]


def test_a_process_that_joins_after_an_update_in_place_serves_without_what_was_before(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """What was before is overwritten: nobody can load it, and nobody goes back to it."""
    folder = folders[0]
    settings = Settings(threads=1)
    first, second = (Service(settings, Metrics()) for _ in range(2))
    members = [LocalMember(first)]

    async def work() -> None:
        planner = Planner(lambda: members, [parse_spec(f"travel={folder}")])
        await planner.start()
        rewrite(folder, base_model="a2")
        assert await planner.refresh() == ["travel"]
        assert len(first.models["travel"].versions) == 2
        await planner.join(LocalMember(second))
        (served,) = second.models["travel"].versions.values()
        assert served.plan.digest == resolve(str(folder)).digest
        for service in (first, second):
            assert service.models["travel"].plan == planner.plans["travel"]
            assert service.models["travel"].plan.before is None
            await service.stop()

    asyncio.run(work())
    (lost,) = [record for record in caplog.records if record.message == "rollback_lost"]
    assert "changed since this version was planned" in lost.facts["reason"]


def test_a_process_joins_with_other_content_only_where_no_other_serves(
    folders: tuple[Path, Path],
) -> None:
    folder = folders[0]
    members = [Loading()]

    async def work() -> None:
        planner = Planner(lambda: members, [parse_spec(f"travel={folder}")])
        await planner.start()
        rewrite(folder, base_model="a2")
        with pytest.raises(ServingError, match="a reload takes what is there now"):
            await planner.join(Loading())
        members.clear()
        joined = Loading()
        await planner.join(joined)
        assert joined.tried == shares(planner) == [resolve(str(folder)).digest]

    asyncio.run(work())


def test_what_was_before_stays_where_a_new_process_can_load_it(
    folders: tuple[Path, Path],
) -> None:
    async def work() -> None:
        planner = Planner(lambda: [Loading()], [parse_spec(f"travel@1={folders[0]}")])
        await planner.start()
        deploy = {"do": "deploy", "model": "travel", "source": str(folders[1]), "version": "2"}
        await planner.apply(deploy)
        joined = Loading()
        await planner.join(joined)
        assert len(joined.tried) == 2 and planner.plans["travel"].before is not None

    asyncio.run(work())


def test_a_refused_source_hinders_no_other_and_is_taken_when_it_is_good(
    folders: tuple[Path, Path],
) -> None:
    """A canary that is refused and repaired; the other changes, and changes back."""
    a, b = folders
    member = Loading()

    async def look(planner: Planner) -> bool:
        return bool(await planner.refresh(only_watchable=True))

    async def work() -> None:
        specs = [parse_spec(f"travel@A={a}:90"), parse_spec(f"travel@B={b}:10")]
        planner = Planner(lambda: [member], specs)
        await planner.start()
        first = shares(planner)
        rewrite(a, base_model="a2")
        rewrite(b, base_model="bad")
        assert await look(planner)  # one of them is good, and taken
        assert shares(planner) == [resolve(str(a)).digest, first[1]]
        assert planner.refusals["travel"]["reason"] == "It is bad."
        tried = len(member.tried)
        assert not await look(planner) and len(member.tried) == tried
        rewrite(b, base_model="b1")  # as it was
        assert not await look(planner)
        rewrite(a, base_model="a1")  # back to the first
        assert await look(planner) and shares(planner) == first
        rewrite(b, base_model="bad")
        assert not await look(planner)  # refused already
        rewrite(b, base_model="b2")
        assert await look(planner)
        assert planner.refusals == {}

    asyncio.run(work())


def test_what_comes_while_another_version_loads_is_taken_by_the_next_look(
    folders: tuple[Path, Path],
) -> None:
    folder = folders[0]

    class Overtaken(Loading):
        async def load(self, folder: Path) -> None:
            if len(self.tried) == 2:
                rewrite(folder, base_model="a3")

    async def work() -> None:
        member = Overtaken()
        planner = Planner(lambda: [member], [parse_spec(f"travel={folder}")])
        await planner.start()
        rewrite(folder, base_model="a2")
        assert await planner.refresh(only_watchable=True) == []
        assert await planner.refresh(only_watchable=True) == ["travel"]
        assert shares(planner) == [resolve(str(folder)).digest]

    asyncio.run(work())


def test_a_new_model_has_no_canary_and_no_shadow(folders: tuple[Path, Path]) -> None:
    """Its first version would answer everything: the name is more likely misspelt."""

    async def work() -> None:
        planner = Planner(lambda: [Loading()], [parse_spec(f"travel={folders[0]}")])
        await planner.start()
        deploy = {"do": "deploy", "model": "travle", "source": str(folders[1])}
        for wish in ({"shadow": True}, {"percent": 10.0}):
            with pytest.raises(RequestError, match="takes neither 'shadow' nor 'percent'"):
                await planner.apply({**deploy, **wish})
        assert list(planner.plans) == ["travel"]
        await planner.apply(deploy)
        assert list(planner.plans) == ["travel", "travle"]

    asyncio.run(work())


def test_the_watch_does_not_undo_a_rollback(folders: tuple[Path, Path]) -> None:
    folder = folders[0]
    member = Loading()

    async def work() -> None:
        planner = Planner(lambda: [member], [parse_spec(f"travel={folder}")])
        await planner.start()
        first = shares(planner)
        rewrite(folder, base_model="a2")
        await planner.refresh(only_watchable=True)
        await planner.apply({"do": "rollback", "model": "travel"})
        assert await planner.refresh(only_watchable=True) == [] and shares(planner) == first
        rewrite(folder, base_model="a3")
        assert await planner.refresh(only_watchable=True) == ["travel"]

    asyncio.run(work())


def test_what_was_rolled_back_is_taken_when_somebody_points_to_it_again(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An alias that was moved away, to what is served, and back."""
    first, second = (resolve(str(folder)) for folder in folders)
    alias = first
    monkeypatch.setattr(planner_module, "resolve", lambda source, look=False: alias)
    caplog.set_level("INFO", "hub.serving")

    async def work() -> None:
        nonlocal alias
        planner = Planner(lambda: [Loading()], [parse_spec("travel=travel@prod")])
        await planner.start()
        alias = second
        assert await planner.refresh(only_watchable=True) == ["travel"]
        await planner.apply({"do": "rollback", "model": "travel"})
        for _ in range(3):
            assert await planner.refresh(only_watchable=True) == []
        alias = first
        assert await planner.refresh(only_watchable=True) == []
        alias = second
        assert await planner.refresh(only_watchable=True) == ["travel"]
        assert shares(planner) == [second.digest]

    asyncio.run(work())
    skipped = [record for record in caplog.records if record.message == "rolled_back_skipped"]
    assert len(skipped) == 1


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why new versions were not taken, as the log tells it."""
    found = [record for record in caplog.records if record.message == "version_not_taken"]
    return [record.facts["reason"] for record in found]  # type: ignore[attr-defined]


def test_the_watch_tells_once_of_a_folder_that_stays_other_than_its_manifest(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A copy in progress looks the same: it is given a minute, or twelve looks."""
    folder = folders[0]
    model = folder / "model.onnx"
    whole = model.read_bytes()

    async def work() -> None:
        planner = Planner(lambda: [Loading()], [parse_spec(f"travel={folder}")])
        await planner.start()
        rewrite(folder, base_model="a2")
        model.write_bytes(whole[:1000])
        for _ in range(11):
            await planner.refresh(only_watchable=True)
        assert planner.refusals == {} and refusals(caplog) == []
        for _ in range(20):
            await planner.refresh(only_watchable=True)
        assert len(refusals(caplog)) == 1
        assert "model.onnx is not the file" in planner.refusals["travel"]["reason"]
        model.unlink()  # another matter, with a minute of its own
        for _ in range(11):
            await planner.refresh(only_watchable=True)
        assert len(refusals(caplog)) == 1
        await planner.refresh(only_watchable=True)
        assert "model.onnx is missing" in planner.refusals["travel"]["reason"]
        model.write_bytes(whole)
        rewrite(folder, base_model="a1")  # as it was: nothing is taken, and nothing refused
        assert await planner.refresh(only_watchable=True) == [] and planner.refusals == {}

    asyncio.run(work())


def test_the_watch_tells_of_a_catalogue_that_stays_away(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks that are far from each other need not be twelve."""
    there = resolve(str(folders[0]))
    away = False

    def look(source: str, look: bool = False) -> Resolved:
        if away:
            raise DownloadError("The catalogue does not answer.")
        return there

    monkeypatch.setattr(planner_module, "resolve", look)

    async def work() -> None:
        nonlocal away
        planner = Planner(lambda: [Loading()], [parse_spec("travel=travel@prod")])
        await planner.start()
        away = True
        await planner.refresh(only_watchable=True)
        assert refusals(caplog) == []
        monkeypatch.setattr(planner_module, "_PATIENCE_S", 0.0)
        for _ in range(3):
            await planner.refresh(only_watchable=True)
        assert refusals(caplog) == ["The catalogue does not answer."]
        assert planner.refusals["travel"]["reason"] == "The catalogue does not answer."
        away = False
        await planner.refresh(only_watchable=True)
        assert planner.refusals == {}

    asyncio.run(work())
