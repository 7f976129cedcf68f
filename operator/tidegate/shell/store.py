"""What the watches have seen, parsed: policies from kopf's handlers, events from the informer, the durable stop.

A bad object is kept with its problems, so that its status can say them; it never hides the good ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
from tidegate.api.parsed import ParsedEvent
from tidegate.api.problems import InvalidObject
from tidegate.planning.model import Announcement, Key, Policy
from tidegate.planning.override import Override
from tidegate.planning.shift.model import Pool

WINDOW = 86_400.0 * 3
"""Seconds to both sides of now for which the occurrences of recurring events are worked out. More than the planner's
horizon, its book's slack and the longest moment before a start."""
ROLL = 3600.0
"""Seconds after which they are worked out again."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """An object that cannot be used, and why."""

    kind: str
    key: Key
    generation: int
    problems: str


@dataclass(slots=True)
class WatchedStore:
    """``ports.Store`` over parsed objects."""

    now: Callable[[], float]
    on_change: Callable[[], None] = lambda: None
    events: dict[Key, ParsedEvent] = field(default_factory=dict)
    invalid: dict[tuple[str, Key], Invalid] = field(default_factory=dict)
    policies_synced: bool = False
    events_synced: bool = False
    stop_synced: bool = False
    pools_synced: bool = True
    """False while the first list of pools is awaited; an operator of some namespaces has none."""
    overrides_synced: bool = True
    _policies: dict[Key, Policy] = field(default_factory=dict)
    _announcements: dict[Key, Announcement] = field(default_factory=dict)
    _changes: set[Key] = field(default_factory=set)
    _recurring: set[Key] = field(default_factory=set)
    _rolled_at: float = 0.0
    _stopped: bool = False
    _pools: dict[str, Pool] = field(default_factory=dict)
    _pool_objects: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """As last valid: deadlines are times of day, and each day has its own."""
    _overrides: dict[Key, Override] = field(default_factory=dict)

    # ---- ports.Store

    @property
    def synced(self) -> bool:
        """Every first list is complete."""
        first = self.policies_synced and self.events_synced and self.stop_synced
        return first and self.pools_synced and self.overrides_synced

    def policies(self) -> Mapping[Key, Policy]:
        """A copy: the plan of a beat must not change under it."""
        return dict(self._policies)

    def policy(self, key: Key) -> Policy | None:
        """One policy."""
        return self._policies.get(key)

    def announcements(self) -> Mapping[Key, Announcement]:
        """The live mapping; ``take_changes`` tells what differs."""
        self._roll()
        return self._announcements

    def take_changes(self) -> frozenset[Key]:
        """Announcements that changed since the last call."""
        taken, self._changes = frozenset(self._changes), set()
        return taken

    def stopped(self) -> bool:
        """The durable stop is set."""
        return self._stopped

    def unusable(self) -> frozenset[Key]:
        """Invalid policies without a valid version that this process has seen: after a restart, say."""
        return frozenset(key for kind, key in self.invalid if kind == "ScalingPolicy" and key not in self._policies)

    def pools(self) -> Mapping[str, Pool]:
        """Pools by name, with the next deadline of their work."""
        now = self.now()
        for name, pool in self._pools.items():
            works = (m.work for lane in pool.lanes for m in lane.members)
            if any(work is not None and work.deadline <= now for work in works):
                self._pools[name] = parse_pool(self._pool_objects[name], now=now)
        return dict(self._pools)

    def unusable_pools(self) -> frozenset[str]:
        """Invalid pools without a valid version that this process has seen."""
        invalid = {key.name for kind, key in self.invalid if kind == "CapacityPool"}
        return frozenset(invalid - self._pools.keys())

    def overrides(self) -> tuple[Override, ...]:
        """All that are valid, in a fixed order."""
        return tuple(self._overrides[key] for key in sorted(self._overrides))

    # ---- fed by the watches

    def put_event(self, obj: Mapping[str, Any]) -> Key:
        """A LiveEvent appeared or changed; one that became invalid keeps counting as it last was valid.

        A typing error in mid-show must not let floors fall: its status says that the change is not accepted.
        """
        key = key_of(obj)
        try:
            parsed = parse_live_event(obj)
        except InvalidObject as error:
            self.invalid["LiveEvent", key] = Invalid("LiveEvent", key, generation_of(obj), error.message())
        else:
            self.invalid.pop(("LiveEvent", key), None)
            known = self.events.get(key)
            self.events[key] = parsed
            if known is None or known.base != parsed.base or known.series != parsed.series:
                self._announce(key, parsed)
        return key

    def delete_event(self, key: Key) -> None:
        """A LiveEvent is gone."""
        self.invalid.pop(("LiveEvent", key), None)
        self._drop_event(key)

    def put_policy(self, obj: Mapping[str, Any]) -> Key:
        """A ScalingPolicy appeared or changed; one that became invalid keeps acting as it last was valid.

        A typing error at 23:58 must not let floors fall.
        """
        key = key_of(obj)
        try:
            policy = parse_policy(obj)
        except InvalidObject as error:
            self.invalid["ScalingPolicy", key] = Invalid("ScalingPolicy", key, generation_of(obj), error.message())
            return key
        self.invalid.pop(("ScalingPolicy", key), None)
        known = self._policies.get(key)
        if known is None or replace(known, generation=policy.generation) != policy:
            self._policies[key] = policy
            self.on_change()
        elif known.generation != policy.generation:
            self._policies[key] = policy
        return key

    def delete_policy(self, key: Key) -> None:
        """A ScalingPolicy is gone."""
        self.invalid.pop(("ScalingPolicy", key), None)
        if self._policies.pop(key, None) is not None:
            self.on_change()

    def put_pool(self, obj: Mapping[str, Any]) -> str:
        """A CapacityPool appeared or changed; one that became invalid keeps acting as it last was valid."""
        key = Key("", obj["metadata"]["name"])
        try:
            pool = parse_pool(obj, now=self.now())
        except InvalidObject as error:
            self.invalid["CapacityPool", key] = Invalid("CapacityPool", key, generation_of(obj), error.message())
            return key.name
        self.invalid.pop(("CapacityPool", key), None)
        changed = self._pools.get(key.name) != pool
        self._pools[key.name], self._pool_objects[key.name] = pool, obj
        if changed:
            self.on_change()
        return key.name

    def delete_pool(self, name: str) -> None:
        """A CapacityPool is gone."""
        self.invalid.pop(("CapacityPool", Key("", name)), None)
        self._pool_objects.pop(name, None)
        if self._pools.pop(name, None) is not None:
            self.on_change()

    def put_override(self, obj: Mapping[str, Any]) -> Key:
        """An Override appeared or changed; one that became invalid keeps acting as it last was valid."""
        key = key_of(obj)
        try:
            override = parse_override(obj)
        except InvalidObject as error:
            self.invalid["Override", key] = Invalid("Override", key, generation_of(obj), error.message())
            return key
        self.invalid.pop(("Override", key), None)
        changed = self._overrides.get(key) != override
        self._overrides[key] = override
        if changed:
            self.on_change()
        return key

    def delete_override(self, key: Key) -> None:
        """An Override is gone: it is over."""
        self.invalid.pop(("Override", key), None)
        if self._overrides.pop(key, None) is not None:
            self.on_change()

    def set_stopped(self, stopped: bool) -> None:
        """The durable stop was set or lifted."""
        if stopped != self._stopped:
            self._stopped = stopped
            self.on_change()

    def _announce(self, key: Key, parsed: ParsedEvent) -> None:
        now = self.now()
        self._announcements[key] = parsed.announcement(now - WINDOW, now + WINDOW)
        (self._recurring.add if parsed.series is not None else self._recurring.discard)(key)
        self._changes.add(key)
        self.on_change()

    def _drop_event(self, key: Key) -> None:
        if self.events.pop(key, None) is None:
            return
        self._announcements.pop(key, None)
        self._recurring.discard(key)
        self._changes.add(key)
        self.on_change()

    def _roll(self) -> None:
        """Work out the occurrences of recurring events anew, now and then."""
        now = self.now()
        if now - self._rolled_at < ROLL:
            return
        self._rolled_at = now
        for key in self._recurring:
            fresh = self.events[key].announcement(now - WINDOW, now + WINDOW)
            if fresh != self._announcements[key]:
                self._announcements[key] = fresh
                self._changes.add(key)


def key_of(obj: Mapping[str, Any]) -> Key:
    """Namespace and name of an object as read."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def generation_of(obj: Mapping[str, Any]) -> int:
    """Generation of an object as read; 0 without one."""
    return int(obj["metadata"].get("generation") or 0)
