"""A status is made once while its reasons stand, and is always the one that would be made anew."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "planning"))

from test_planner_slices import Hours
from test_shell_reporter import Noon, Wall

from tidegate.control.loop import Beat
from tidegate.planning.model import Key
from tidegate.planning.plan import Planner
from tidegate.planning.standing import STANDS
from tidegate.ports import Json, StatusPatch
from tidegate.shell.kept import KeptStatuses
from tidegate.shell.pool_status import override_status
from tidegate.shell.reporter import Reporter
from tidegate.shell.status import policy_status
from tidegate.shell.store import WatchedStore


@dataclass
class Board(Wall):
    """Keeps all that was published last."""

    shown: dict[tuple[str, Key], Json] = field(default_factory=dict)

    def publish(self, patches: Iterable[StatusPatch]) -> None:
        self.shown.update({(patch.kind, patch.key): patch.status for patch in patches})


@pytest.mark.parametrize("seed", range(12))
def test_what_is_kept_is_what_would_be_made_anew_whatever_changes(seed: int) -> None:
    hours, planner, board = Hours(9000 + seed), Planner(), Board()
    reporter = Reporter(WatchedStore(lambda: hours.now), board, board, Noon())
    same = 0
    for _ in range(60):
        hours.edit()
        planning = planner.begin(hours.world, hours.now, changed=hours.changed, stands=STANDS)
        while not planning.step(1000):
            pass
        hours.changed, world, plan, before = frozenset(), hours.world, planning.plan, dict(board.shown)
        reporter.report(Beat(hours.now, world, plan, (), (), True, 0, None))
        for key, policy in world.policies.items():
            shown = board.shown["ScalingPolicy", key]
            assert shown == policy_status(policy, plan, world.observed)
            same += shown is before.get(("ScalingPolicy", key))
        for one in world.overrides:
            fresh = override_status(one, world.policies, plan, now=hours.now)
            assert board.shown["Override", one.key] == fresh
        hours.obey(plan)
        hours.now += hours.dice.choice((0.1, 0.5, 3.0))
    assert same > 0


def test_a_status_is_made_once_while_its_reasons_are_the_same_and_anew_after_it_was_forgotten() -> None:
    kept, made, key = KeptStatuses(), list[int](), Key("shop", "core")

    def make() -> Json:
        made.append(1)
        return {"made": len(made)}

    first = kept.of(key, (1, "a"), make)
    assert kept.of(key, (1, "a"), make) is first
    assert kept.of(key, (2, "a"), make).status == {"made": 2}
    kept.keep(set())
    assert kept.of(key, (2, "a"), make).status == {"made": 3}
