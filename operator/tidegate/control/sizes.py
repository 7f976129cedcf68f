"""What pods of targets take beyond their template: a webhook's sidecar, a LimitRange's default, a runtime's overhead.

Learned of the pods that a target has. It counts while the target has none, in this life and in the next, so that the
first pods of an event are planned as large as they will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tidegate.planning.model import Key, Policy, Ref, TargetKey
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.facts import NO_PODS, Holder, PoolSeen, holder_of

MOST = Resources(1_000_000_000, 2**33)
"""A million cores, eight pebibytes: more than any machine has."""


@dataclass(slots=True)
class Sizes:
    """What pods of each target were last admitted with beyond their template."""

    version: int = 0
    """Rises with every change."""
    _extra: dict[TargetKey, Resources] = field(default_factory=dict)
    """Those that take more than their template says."""

    def admitted(self, target: TargetKey, requested: Resources | None, largest: Resources) -> None:
        """The largest pod of a target takes so much; its template requests so much, if anything."""
        extra = (largest - (requested or NOTHING)).positive.least(MOST)
        if largest.nothing or extra == self._extra.get(target, NOTHING):
            return
        self.version += 1
        if extra.nothing:
            del self._extra[target]
        else:
            self._extra[target] = extra

    def samples(self) -> dict[TargetKey, Resources]:
        """All that is known."""
        return dict(self._extra)

    def recall(self, samples: Mapping[TargetKey, Resources]) -> None:
        """What is on record of former lives, in the place of what this one saw."""
        self._extra = dict(samples)
        self.version += 1

    def forget(self, keep: set[TargetKey]) -> None:
        """Drop what belongs to targets that are gone."""
        for gone in self._extra.keys() - keep:
            self.version += 1
            del self._extra[gone]


def on_pool(policies: Mapping[Key, Policy], pool: str) -> Iterator[tuple[TargetKey, Ref]]:
    """The targets that plan on a pool, with their workloads."""
    for policy in policies.values():
        if policy.pool == pool:
            yield from (((policy.key, one.name), one.ref) for one in policy.targets if one.lane is not None)


def as_admitted(seen: PoolSeen, podless: Iterable[tuple[Ref, Resources | None, Resources]]) -> PoolSeen:
    """A pool on which workloads that have no pods are as large as their pods last were: each with what its template
    requests, and what its pods take beyond that.
    """
    known: dict[Holder, Resources] = {}
    for ref, requested, extra in podless:
        if seen.of(ref).largest.nothing and not extra.nothing:
            known[holder_of(ref)] = (requested or NOTHING) + extra
    if not known:
        return seen
    told = {holder: replace(seen.occupancy.get(holder, NO_PODS), largest=size) for holder, size in known.items()}
    return replace(seen, occupancy={**seen.occupancy, **told})
