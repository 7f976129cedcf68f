"""A version that is changed in mid-event moves no level, and whichever leads in the end returns everything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from upgrade_stage import LEAD, LENGTH, OWNERS, STEP, THIS, UpgradeStage, upgrade_stage

WHERE = "TIDEGATE_TEST_OLD_TREE"

FLEETS = ("v1beta1", "v1")
"""By what version the fleet is named: before an upgrade by any, before a downgrade by the preferred one."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def old() -> Path:
    """The version before the rounds."""
    tree = Path(os.environ.get(WHERE, ""))
    if not (tree / "tidegate").is_dir():
        pytest.skip(f"{WHERE} names no folder with an older version: make test-upgrade lays one down")
    return tree


async def changes_nothing(stage: UpgradeStage, tree: Path, *, crds: bool = True) -> None:
    """The version changes on the plateau: whatever is borrowed stays at the very level, for as long as the event is
    on."""
    before, loans = stage.levels(), len(stage.loans())
    assert loans > 3, "three targets and lent work"
    changed = stage.clock.at
    await stage.change_to(tree, crds=crds)
    await stage.play(changed + 10 * STEP)
    moved = {at: levels for at, levels in stage.seen.items() if at >= changed and levels != before}
    assert moved == {}
    assert len(stage.loans()) == loans, "each field has one Loan still"


def came_back(stage: UpgradeStage, before: dict[str, int]) -> None:
    assert stage.levels() == before
    assert stage.loans() == []
    assert stage.owners() == {name: {OWNERS[name.partition("-")[0]]} for name in before}
    assert stage.failed == []


def was_up(stage: UpgradeStage, before: dict[str, int]) -> None:
    """The event was served, and with work that had to be lent for it."""
    peak = stage.seen[stage.start_time]
    assert (peak["web"], peak["order"], peak["main"]) == (26, 13, 13)
    assert any(peak[name] for name in before if name.startswith("nightly")) or peak["loader"] < 10


@pytest.mark.parametrize("way", ["up", "down", "up and down and up", "down and up and down"])
async def test_versions_that_take_turns_in_mid_event_move_no_level_and_return_all(old: Path, way: str) -> None:
    first, second = (THIS, old) if way.startswith("down") else (old, THIS)
    turns = [second, first, second][: 1 + way.count("and")]
    async with upgrade_stage(first, fleet_version=FLEETS[first == THIS]) as stage:
        before = stage.levels()
        await stage.play(stage.start_time + 4 * STEP)
        was_up(stage, before)
        for tree in turns:
            await changes_nothing(stage, tree)
        await stage.play(stage.start_time + LENGTH + 500.0)
        came_back(stage, before)


async def test_loans_survive_a_version_whose_crds_nobody_installed(old: Path) -> None:
    """Helm leaves CRDs alone in an upgrade unless they are templates; the older schema drops what it does not know."""
    async with upgrade_stage(old) as stage:
        before = stage.levels()
        await stage.play(stage.start_time + 4 * STEP)
        was_up(stage, before)
        await changes_nothing(stage, THIS, crds=False)
        await stage.play(stage.start_time + LENGTH + 500.0)
        came_back(stage, before)


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("at", [-LEAD / 2, -15.0, LENGTH + 70.0])
async def test_a_version_that_changes_while_levels_move_makes_nothing_late_and_returns_all(
    old: Path, way: str, at: float
) -> None:
    """On the way up and on the way down: nothing goes back and forth."""
    first, second = (THIS, old) if way == "down" else (old, THIS)
    async with upgrade_stage(first, fleet_version=FLEETS[first == THIS]) as stage:
        before = stage.levels()
        await stage.play(stage.start_time + at)
        await stage.change_to(second)
        await stage.play(stage.start_time + LENGTH + 500.0)
        was_up(stage, before)
        for name in ("web", "order", "main"):
            rises = [levels[name] for at, levels in stage.seen.items() if at <= stage.start_time + LENGTH]
            falls = [levels[name] for at, levels in stage.seen.items() if at >= stage.start_time + LENGTH]
            assert rises == sorted(rises), name
            assert falls == sorted(falls, reverse=True), name
        came_back(stage, before)


async def test_a_downgrade_returns_an_object_that_its_policy_names_by_a_version_that_is_not_preferred(
    old: Path,
) -> None:
    async with upgrade_stage(THIS, fleet_version="v1beta1") as stage:
        before = stage.levels()
        await stage.play(stage.start_time + 4 * STEP)
        await changes_nothing(stage, old)
        await stage.play(stage.start_time + LENGTH + 500.0)
        came_back(stage, before)
