"""Random days, foreseen at their begin and then driven by the real loop: it looks, decides, keeps its Loans and writes.

    python tests/control/looped.py [--worlds 100] [--seed 1] [--hours 24]

The days are those of ``tests/planning/foresight.py`` that have no pool. Workloads are ready at once and nothing is
learned from that: the dry run tells what is done if the world stays as it is.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

if __name__ == "__main__":
    sys.path += [str(Path(__file__).parents[1] / room) for room in ("control", "planning")]

from fakes import FakeCluster, FakeStore, HandClock, Leader, NoMetrics, Sink, Thing, key_of, run_until
from foresight import Told, apart, day, told
from worlds import T0

from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.control.memory import Memory
from tidegate.planning.foresee import Foresight, foresight
from tidegate.planning.model import Observed
from tidegate.planning.world import World


@dataclass
class Ready(Thing):
    """A workload whose units are ready as soon as they are asked for."""

    seen: Observed = field(default_factory=Observed)

    def write(self, level: int, manager: str, now: float) -> None:
        self.level, self.manager, self.ready = level, manager, level


class Cluster(FakeCluster):
    """Workloads as a day observes them, with all that is known of them beside their levels."""

    def _observed(self, thing: Thing) -> Observed:
        assert isinstance(thing, Ready)
        return replace(thing.seen, level=thing.level, ready=thing.ready, desired=thing.level)


def loop_of(world: World) -> tuple[Loop, HandClock]:
    """A process that leads from T0 on, over the cluster of a day."""
    clock = HandClock(T0)
    things = {
        target.ref.name: Ready(
            level=(seen := world.observed[key, target.name]).level or 0,
            ready=seen.ready or 0,
            uid=f"u-{target.ref.name}",
            trouble=seen.trouble,
            lowest=0,
            seen=seen,
        )
        for key, policy in world.policies.items()
        for target in policy.targets
    }
    cluster = Cluster(clock, dict(things))
    store = FakeStore(dict(world.policies), dict(world.announcements), override_list=list(world.overrides))
    loop = Loop(
        clock=clock,
        store=store,
        targets=cluster,
        metrics=NoMetrics(),
        book=cluster,
        key_of=key_of,
        leadership=Leader(),
        events=Sink(),
        pools=None,
        settings=LoopSettings(),
        plan_settings=world.settings,
    )
    return loop, clock


def driven(world: World, until: float) -> tuple[list[Told], World]:
    """(what the loop wrote until an instant, the world that it began with)."""
    did: list[Told] = []
    first: list[World] = []
    loop, clock = loop_of(world)

    def each(beat: Beat) -> None:
        first.append(beat.world) if not first else None
        did.extend(
            (one.policy.name, one.target, one.action.value, one.level, one.at)
            for one in beat.applied
            if one.level != one.before or one.action.value == "Return"
        )

    with patch.object(Memory, "starts", lambda _: {}):
        asyncio.run(run_until(loop, clock, until, each=each))
    return did, first[0]


def differences(seed: int, hours: float, *, foreseen: Foresight | None = None) -> Iterator[str]:
    """What the dry run says otherwise than the loop does, in words."""
    world, until = day(seed), T0 + hours * 3600.0
    did, began = driven(world, until)
    world = replace(world, writes_per_second=began.writes_per_second)
    found = foreseen or foresight(world, T0, until)
    yield from apart([told(one.step, one.at) for one in found.steps], did, world.observed, until)


def seeds(series: int, count: int) -> list[int]:
    """The first days of a series that have no pool."""
    found, seed = list[int](), series * 1_000_000
    while len(found) < count:
        found += [seed] if not day(seed).pools else []
        seed += 1
    return found


def main() -> int:
    """Run many, and say what each finds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=24.0)
    asked = parser.parse_args()
    begun, bad, worlds = time.process_time(), 0, 0
    try:
        for seed in seeds(asked.seed, asked.worlds):
            found = list(differences(seed, asked.hours))
            bad, worlds = bad + len(found), worlds + 1
            for line in found:
                print(f"{seed}: {line}", flush=True)
    except KeyboardInterrupt:
        print("stopped before the end; so far:")
    took = time.process_time() - begun
    print(f"{worlds} worlds of {asked.hours:g} hours under the real loop: {bad} differences; {took:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
