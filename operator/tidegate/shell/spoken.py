"""The statuses of overrides: each time of those in force, and now and then of all.

What one says that is over, or that names nothing, changes only when an override or a policy does, or when one ends. A
namespace may hold thousands of those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

from tidegate.control.loop import Beat
from tidegate.planning.model import Key, Policy
from tidegate.planning.override import Override, counted
from tidegate.planning.speaking import is_there
from tidegate.ports import StatusPatch
from tidegate.shell.isolated import Telling
from tidegate.shell.kept import KeptStatuses
from tidegate.shell.pool_status import override_status
from tidegate.shell.status import invalid_status
from tidegate.shell.store import Invalid

ALL_AGAIN = 600.0
"""Seconds after which all are shown again: somebody else may have written into one. Judgment: as often as the statuses
of events are looked at."""

InvalidObjects = Mapping[tuple[str, Key], Invalid]


@dataclass(slots=True)
class Spoken:
    """What overrides show, and for which of them that can change with a beat."""

    _kept: KeptStatuses = field(default_factory=KeptStatuses)
    _of: tuple[Override, ...] = ()
    _policies: Mapping[Key, Policy] = field(default_factory=dict)
    _bad: Mapping[Key, Invalid] = field(default_factory=dict)
    """Those with a latest version that is not valid."""
    _counting: Collection[Key] = ()
    _active: tuple[Override, ...] = ()
    """In force, and something there is named."""
    _since: float = math.inf
    _until: float = -math.inf

    def tellings(self, beat: Beat, invalid: InvalidObjects) -> Iterable[Telling]:
        """What is to be shown after a beat."""
        bad = {key: one for (kind, key), one in list(invalid.items()) if kind == "Override"}
        every = beat.world.overrides
        if self._moved(beat, bad):
            self._look(beat, bad)
            shown = every
        else:
            shown = self._active
        levels = _levels(beat)
        for one in shown:
            of = levels(Key(one.key.namespace, one.policy))
            yield Telling("Override", one.key, partial(self._patches, one, beat, bad.get(one.key), of))
        if shown is every:
            self._kept.keep({one.key for one in every})
        known = {one.key for one in every} if bad else set()
        for key in bad.keys() - known:
            yield Telling("Override", key, partial(_invalid, key, bad[key]))

    def _moved(self, beat: Beat, bad: Mapping[Key, Invalid]) -> bool:
        same = beat.world.overrides is self._of and beat.world.policies == self._policies and bad == self._bad
        return not same or not self._since <= beat.now < self._until

    def _look(self, beat: Beat, bad: Mapping[Key, Invalid]) -> None:
        """See which of all can change with a beat, and until when that is so."""
        every, now = beat.world.overrides, beat.now
        names = {key: {target.name for target in policy.targets} for key, policy in beat.world.policies.items()}
        self._of, self._policies, self._bad = every, beat.world.policies, bad
        self._counting = {one.key for one in counted(every, now)}
        runs = [one for one in every if now < one.until]
        self._active = tuple([one for one in runs if one.key in self._counting and is_there(one, names)])
        self._since = now
        self._until = min([now + ALL_AGAIN, *(one.until for one in runs)])

    def _patches(
        self, one: Override, beat: Beat, bad: Invalid | None, of: dict[str, int | None] | None
    ) -> Iterable[StatusPatch]:
        counts = one.key in self._counting
        note = f"the latest change is not valid, the override acts as before: {bad.problems}" if bad else ""
        mine = of if one.target is None or of is None else (of.get(one.target, "none"), *of)
        kept = self._kept.of(
            one.key,
            (one, one.until <= beat.now, counts, note, mine),
            partial(override_status, one, beat.world.policies, beat.plan, now=beat.now, counts=counts, note=note),
        )
        return [StatusPatch("Override", one.key, kept.status, kept=True)]


def _invalid(key: Key, bad: Invalid) -> Iterable[StatusPatch]:
    return [StatusPatch("Override", key, invalid_status(bad))]


def _levels(beat: Beat) -> Callable[[Key], dict[str, int | None] | None]:
    @cache
    def levels(key: Key) -> dict[str, int | None] | None:
        """By the name of each target of a policy; None where there is no such policy."""
        policy, plans = beat.world.policies.get(key), beat.plan.targets
        if policy is None:
            return None
        found = {t.name: plans.get((key, t.name)) for t in policy.targets}
        return {name: one.level if one is not None else None for name, one in found.items()}

    return levels
