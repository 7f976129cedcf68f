"""All that a plan is made from, as one plain frozen value: what ``make_plan`` is told.

Built by ``control`` from what was gathered, by ``cli`` from files, and by tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.planning.model import Announcement, Key, Measured, Observed, PlanSettings, Policy, Reading, Ref
from tidegate.planning.override import Override
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.inputs import Timetabled
from tidegate.planning.shift.model import Mark, Pool
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.withheld import Unheard


@dataclass(frozen=True, slots=True)
class PoolWorld:
    """All that the planning of one pool depends on, beside the policies that plan on it."""

    pool: Pool
    seen: PoolSeen | None = None
    """None: it could not be looked at yet."""
    stale: bool = False
    """It was seen too long ago: nothing new is let in, nothing is stopped or started again."""
    marks: Mapping[Ref, Mark] = field(default_factory=dict)
    """What is stored of hand-overs, by member."""
    remaining: Mapping[str, float | None] = field(default_factory=dict)
    """Work left by member name, in unit-seconds; None when nobody can tell."""
    promises: tuple[Promise, ...] = ()
    """Of the last plan."""
    note: str = ""
    """Why it could not be looked at."""


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan depends on.

    A snapshot: a plan may be made in slices, and nothing in it may change before the plan is complete.
    """

    policies: Mapping[Key, Policy]
    announcements: Mapping[Key, Announcement]
    observed: Mapping[tuple[Key, str], Observed] = field(default_factory=dict)
    """By (policy, target name)."""
    readings: Mapping[tuple[Key, str], Reading] = field(default_factory=dict)
    """By (policy, signal)."""
    measured: Mapping[tuple[Key, str], tuple[Measured, ...]] = field(default_factory=dict)
    """Lead times seen so far, by (policy, target name)."""
    settings: PlanSettings = field(default_factory=PlanSettings)
    stopped: bool = False
    """The durable stop is set: nothing is borrowed and nothing is moved."""
    unheard: Unheard | None = None
    """What on-call says cannot be listed; None while it is heard."""
    unheard_in: Mapping[str, Unheard] = field(default_factory=dict)
    """The same of single namespaces, by their names."""
    pools: Mapping[str, PoolWorld] = field(default_factory=dict)
    """Pools by name."""
    timetables: Mapping[str, Timetabled] = field(default_factory=dict)
    """The last timetable of each pool, by its name. Where one is missing, needs get what is free."""
    overrides: tuple[Override, ...] = ()
    unread: Mapping[Key, str] = field(default_factory=dict)
    """What cannot be understood and never was by this process, an event or an override, in words; by the policy that it
    names. With an empty name: by its namespace, for what names none that can be read."""
    writes_per_second: float = 100.0
    """Levels that our own process can finish writing a second, as measured by the loop. When more rise at one instant,
    the time that writing them takes is part of their lead."""

    def unheard_of(self, namespace: str) -> Unheard | None:
        """What cannot be listed and holds back what is written in a namespace: of two the one that does for longer."""
        both = (self.unheard, self.unheard_in.get(namespace))
        return max((one for one in both if one is not None), key=lambda one: one.raises_at, default=None)
