"""What the watches have seen, parsed: policies from kopf's handlers, events from the informer, the durable stop.

A bad object is kept with its problems, so that its status can say them; it never hides the good ones. One that is
deleted counts for a moment longer: a tool that replaces objects deletes them and makes them again at once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
from tidegate.api.parsed import ParsedEvent
from tidegate.api.problems import InvalidObject
from tidegate.api.together import targets_beyond
from tidegate.planning.model import Announcement, Key, Policy
from tidegate.planning.override import Override
from tidegate.planning.shift.model import Pool
from tidegate.planning.withheld import Unheard
from tidegate.ports import LastValid
from tidegate.shell.bodies import generation_of, key_of, policy_of
from tidegate.shell.confine import confined
from tidegate.shell.inorder import InOrder
from tidegate.shell.versions import Versions

WINDOW = 86_400.0 * 3
"""Seconds to both sides of now for which the occurrences of recurring events are worked out. More than the planner's
horizon, its book's slack and the longest moment before a start."""
ROLL = 3600.0
"""Seconds after which they are worked out again."""
ROLLED_AT_ONCE = 500
"""Recurring events that are worked out again in one go: some 20 ms. Of tens of thousands the last comes hours later
than the first, of days to spare."""
MOST_TARGETS = 1024
"""Targets that the policies of one namespace may have together. Judgment: all of them are decided on each time that
anything changes, which takes 0.2 s of everybody's time. One that is refused is looked at again with each list."""
ROUND = 60.0
"""Seconds after which it is looked anew which invalid objects are near."""
GRACE = 5.0
"""Seconds for which a deleted object still counts, unless it is made again. Judgment: ``kubectl replace --force`` and
the replacing tools of GitOps take less than a second; nobody who deletes one minds five."""

T = TypeVar("T")

log = logging.getLogger("tidegate.store")


@dataclass(frozen=True, slots=True)
class Invalid:
    """An object that cannot be used, and why."""

    kind: str
    key: Key
    generation: int
    problems: str
    policy: str = ""
    """The policy that it names, where that can be read."""
    uid: str = ""


@dataclass(slots=True)
class WatchedStore:
    """``ports.Store`` over parsed objects."""

    now: Callable[[], float]
    on_change: Callable[[str], None] = lambda namespace: None
    """Told of whose objects changed; empty: of nobody's in particular."""
    confine: bool = False
    """Whether a policy's queries may read its own namespace alone."""
    free: dict[Key, str] = field(default_factory=dict)
    """Policies whose queries are not confined yet, and why."""
    hearing: Callable[[], Unheard | None] = lambda: None
    """What of the durable stop, policies, overrides and pools was not listed since we began to lead."""
    hearing_in: Callable[[], Mapping[str, Unheard]] = dict
    """The same of single namespaces."""
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
    _offered: set[Key] = field(default_factory=set)
    """Changes that somebody looked at and has not acknowledged."""
    _recurring: dict[Key, float] = field(default_factory=dict)
    """When each recurring event was worked out last, the oldest first; minus infinity: it is due."""
    _rolled_at: float = -math.inf
    """The latest of these instants."""
    _leaving: dict[tuple[str, Key], float] = field(default_factory=dict)
    """Deleted objects that still count, and until when."""
    _stopped: bool = False
    _pools: dict[str, Pool] = field(default_factory=dict)
    _pool_objects: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """As last valid: deadlines are times of day, and each day has its own."""
    _dated_at: float = -math.inf
    """The latest instant by which any of these deadlines was found."""
    _overrides: InOrder = field(default_factory=InOrder)
    _versions: Versions = field(default_factory=Versions)
    _told_at: float = math.nan
    """In which round it was looked what is invalid and counts; NaN when that has changed since."""

    # ---- ports.Store

    @property
    def synced(self) -> bool:
        """Every first list is complete."""
        return self.plannable and self.overrides_synced

    @property
    def plannable(self) -> bool:
        """Every first list is complete, but for overrides."""
        return self.policies_synced and self.events_synced and self.stop_synced and self.pools_synced

    def policies(self) -> Mapping[Key, Policy]:
        """A copy: the plan of a beat must not change under it."""
        self.expire()
        return dict(self._policies)

    def policy(self, key: Key) -> Policy | None:
        """One policy."""
        return self._policies.get(key)

    def announcements(self) -> Mapping[Key, Announcement]:
        """The live mapping; ``changes`` tells what differs."""
        self.expire()
        self._roll()
        return self._announcements

    def changes(self) -> frozenset[Key]:
        """Announcements that changed and were not acknowledged since."""
        self._offered |= self._changes
        self._changes = set()
        return frozenset(self._offered)

    def acknowledge(self, keys: frozenset[Key]) -> None:
        """A plan knows these changes. What changed again since ``changes`` was asked is told again."""
        self._offered -= keys

    def stopped(self) -> bool:
        """The durable stop is set."""
        return self._stopped

    def unheard(self) -> Unheard | None:
        """See ``ports.Store``."""
        return self.hearing()

    def unheard_in(self) -> Mapping[str, Unheard]:
        """See ``ports.Store``."""
        return self.hearing_in()

    def unusable(self) -> frozenset[Key]:
        """Invalid policies without a valid version that this process has seen: after a restart, say."""
        return frozenset(key for kind, key in self.invalid if kind == "ScalingPolicy" and key not in self._policies)

    def pools(self) -> Mapping[str, Pool]:
        """Pools by name, with the next deadline of their work."""
        self.expire()
        now = self.now()
        set_back, self._dated_at = now < self._dated_at, now
        for name, pool in self._pools.items():
            works = [m.work for lane in pool.lanes for m in lane.members if m.work is not None]
            if any(set_back or work.deadline <= now for work in works):
                obj, bad = self._pool_objects[name], self.invalid.get(("CapacityPool", Key("", name)))
                self._pools[name] = self._understood("CapacityPool", obj, lambda o: parse_pool(o, now=now)) or pool
                if bad is not None:  # it was the last valid version that was understood anew
                    self.invalid["CapacityPool", Key("", name)] = bad
        return dict(self._pools)

    def unread(self) -> Mapping[Key, str]:
        """Invalid events and overrides without a valid version that this process has seen, by the policy they name."""
        found: dict[Key, str] = {}
        for (kind, key), one in self.invalid.items():
            if kind in ("LiveEvent", "Override") and key not in self._valid(kind):
                about = f"{kind} {key.name} cannot be understood, and what it said before is not known"
                found.setdefault(Key(key.namespace, one.policy), about)
        return found

    def last_valid(self) -> Mapping[Key, tuple[LastValid, ...]]:
        """See ``ports.Store``."""
        now = self.now()
        if now // ROUND == self._told_at:
            return self._versions.last
        self._told_at = now // ROUND
        counting = [(kind, key) for kind, key in self.invalid if key in self._valid(kind)]
        named = [(kind, key, self._policy_named(kind, key)) for kind, key in counting]
        return self._versions.told(named, self._announcements, now)

    def recall(self, versions: Iterable[LastValid]) -> None:
        """See ``ports.Store``."""
        self._versions.recall(versions)
        for kind, key in list(self.invalid):
            self._adopt(kind, key)

    def unusable_pools(self) -> frozenset[str]:
        """Invalid pools without a valid version that this process has seen."""
        invalid = {key for kind, key in self.invalid if kind == "CapacityPool"}
        return frozenset(key.name for key in invalid - self._valid("CapacityPool").keys())

    def overrides(self) -> tuple[Override, ...]:
        """All that are valid, in a fixed order."""
        self.expire()
        return self._overrides.in_order

    def known(self, kind: str) -> frozenset[Key]:
        """Every object of a kind that is there as far as we know, valid or not; the deleted until their grace ends."""
        return frozenset(self._valid(kind)).union(key for of, key in self.invalid if of == kind)

    def leaving(self, kind: str, key: Key) -> bool:
        """Whether an object was deleted and still counts."""
        return (kind, key) in self._leaving

    # ---- fed by the watches

    def put_event(self, obj: Mapping[str, Any]) -> Key:
        """A LiveEvent appeared or changed; one that became invalid keeps counting as it last was valid.

        A typing error in mid-show must not let floors fall: its status says that the change is not accepted.
        """
        now = self.now()

        def understand(obj: Mapping[str, Any]) -> tuple[ParsedEvent, Announcement]:
            parsed = parse_live_event(obj)
            return parsed, parsed.announcement(now - WINDOW, now + WINDOW)

        key = self._arrived("LiveEvent", obj)
        if (found := self._understood("LiveEvent", obj, understand)) is not None:
            self._versions.note("LiveEvent", key, obj)
            parsed, announcement = found
            known = self.events.get(key)
            self.events[key] = parsed
            if known is None or known.base != parsed.base or known.series != parsed.series:
                self._announcements[key] = announcement
                self._recurring.pop(key, None)
                if parsed.series is not None:
                    self._recurring[key], self._rolled_at = now, max(self._rolled_at, now)
                self._changes.add(key)
                self.on_change(key.namespace)
        else:
            self._adopt("LiveEvent", key)
        return key

    def delete_event(self, key: Key) -> None:
        """A LiveEvent was deleted: it goes after the grace, unless it is made again."""
        self._leave("LiveEvent", key)

    def put_policy(self, obj: Mapping[str, Any]) -> Key:
        """A ScalingPolicy appeared or changed; one that became invalid keeps acting as it last was valid.

        A typing error at 23:58 must not let floors fall.
        """
        key = self._arrived("ScalingPolicy", obj)
        if (found := self._understood("ScalingPolicy", obj, self._policy)) is not None:
            policy, why = found
            self.free.pop(key, None)
            if why:
                self.free[key] = why
            self._versions.note("ScalingPolicy", key, obj)
            known = self._policies.get(key)
            self._policies[key] = policy
            if known is None or replace(known, generation=policy.generation) != policy:
                self.on_change(key.namespace)
        else:
            self._adopt("ScalingPolicy", key)
        return key

    def _policy(self, obj: Mapping[str, Any]) -> tuple[Policy, str]:
        policy = parse_policy(obj)
        if problems := tuple(targets_beyond(policy, self._policies.values(), MOST_TARGETS)):
            raise InvalidObject(problems)
        return confined(policy, obj) if self.confine else (policy, "")

    def delete_policy(self, key: Key) -> None:
        """A ScalingPolicy was deleted: it goes after the grace, unless it is made again."""
        self._leave("ScalingPolicy", key)

    def put_pool(self, obj: Mapping[str, Any]) -> str:
        """A CapacityPool appeared or changed; one that became invalid keeps acting as it last was valid."""
        now = self.now()
        self._dated_at = max(self._dated_at, now)
        name = self._arrived("CapacityPool", obj).name
        if (pool := self._understood("CapacityPool", obj, lambda obj: parse_pool(obj, now=now))) is not None:
            self._versions.note("CapacityPool", Key("", name), obj)
            changed = self._pools.get(name) != pool
            self._pools[name], self._pool_objects[name] = pool, obj
            if changed:
                self.on_change("")
        else:
            self._adopt("CapacityPool", Key("", name))
        return name

    def delete_pool(self, name: str) -> None:
        """A CapacityPool was deleted: it goes after the grace, unless it is made again."""
        self._leave("CapacityPool", Key("", name))

    def put_override(self, obj: Mapping[str, Any]) -> Key:
        """An Override appeared or changed; one that became invalid keeps acting as it last was valid."""
        key = self._arrived("Override", obj)
        if (override := self._understood("Override", obj, parse_override)) is not None:
            self._versions.note("Override", key, obj)
            changed = self._overrides.get(key) != override
            self._overrides[key] = override
            if changed:
                self.on_change(key.namespace)
        else:
            self._adopt("Override", key)
        return key

    def delete_override(self, key: Key) -> None:
        """An Override was deleted: it is over after the grace, unless it is made again."""
        self._leave("Override", key)

    def expire(self) -> None:
        """Let go what was deleted and has not been made again within the grace."""
        if not self._leaving:
            return
        now = self.now()
        # Bounded: a clock that was set back by an hour must not keep a deleted object for one.
        self._leaving = {of: min(until, now + GRACE) for of, until in self._leaving.items()}
        gone = [of for of, until in self._leaving.items() if until <= now]
        for kind, key in gone:
            del self._leaving[kind, key]
            self.invalid.pop((kind, key), None)
            self._versions.drop(kind, key)
            self._told_at = math.nan
            if kind == "LiveEvent":
                self._drop_event(key)
            elif kind == "ScalingPolicy":
                self._policies.pop(key, None)
                self.free.pop(key, None)
            elif kind == "CapacityPool":
                self._pool_objects.pop(key.name, None)
                self._pools.pop(key.name, None)
            elif key in self._overrides:
                del self._overrides[key]
        if gone:
            self.on_change("")

    def set_stopped(self, stopped: bool) -> None:
        """The durable stop was set or lifted."""
        if stopped != self._stopped:
            self._stopped = stopped
            self.on_change("")

    # ---- beneath

    def _valid(self, kind: str) -> Mapping[Key, object]:
        if kind == "LiveEvent":
            return self.events
        if kind == "CapacityPool":
            return {Key("", name): pool for name, pool in self._pools.items()}
        return self._policies if kind == "ScalingPolicy" else self._overrides

    def _arrived(self, kind: str, obj: Mapping[str, Any]) -> Key:
        key = Key("", obj["metadata"]["name"]) if kind == "CapacityPool" else key_of(obj)
        self._leaving.pop((kind, key), None)
        return key

    def _understood(self, kind: str, obj: Mapping[str, Any], parse: Callable[[Mapping[str, Any]], T]) -> T | None:
        """The object as the core knows it; None for one that is invalid, with its problems on record.

        Whatever a parser stumbles over makes the object invalid: an error that went further would end the watch's
        handler, and the change would be lost.
        """
        key = Key("", obj["metadata"]["name"]) if kind == "CapacityPool" else key_of(obj)
        try:
            parsed = parse(obj)
        except InvalidObject as error:
            problems = error.message()
        except Exception as error:
            log.exception("%s %s could not be understood", kind, key)
            problems = f"could not be understood: {type(error).__name__}: {error}"[:1000]
        else:
            if self.invalid.pop((kind, key), None) is not None:
                self._told_at = math.nan
            return parsed
        self._told_at = math.nan
        uid = str(obj["metadata"].get("uid") or "")
        self.invalid[kind, key] = Invalid(kind, key, generation_of(obj), problems, policy_of(obj), uid)
        return None

    def _adopt(self, kind: str, key: Key) -> None:
        """Let an invalid object count as a former life knew it, where this one knows no valid version."""
        if key in self._valid(kind) or (kind, key) in self._leaving:
            return
        bad = self.invalid[kind, key]
        former = self._versions.take_recalled(kind, key, bad.uid)
        if former is None:
            return
        puts: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "CapacityPool": self.put_pool,
            "LiveEvent": self.put_event,
            "Override": self.put_override,
            "ScalingPolicy": self.put_policy,
        }
        puts[kind](former)
        self.invalid[kind, key] = bad
        self._told_at = math.nan

    def _policy_named(self, kind: str, key: Key) -> Key:
        """The policy that the valid version of an object names; a policy and a pool are named by themselves."""
        if kind in ("CapacityPool", "ScalingPolicy"):
            return key
        return Key(
            key.namespace, self._announcements[key].policy if kind == "LiveEvent" else self._overrides[key].policy
        )

    def _leave(self, kind: str, key: Key) -> None:
        if key in self._valid(kind) or (kind, key) in self.invalid:
            self._leaving.setdefault((kind, key), self.now() + GRACE)

    def _drop_event(self, key: Key) -> None:
        if self.events.pop(key, None) is not None:
            self._announcements.pop(key, None)
            self._recurring.pop(key, None)
            self._changes.add(key)

    def _roll(self) -> None:
        """Work out the occurrences of recurring events anew, now and then; a part of them in one go."""
        now = self.now()
        # The clock was set back: what was worked out by the later time is due, and goes first.
        if now < self._rolled_at:
            ahead = {key: -math.inf for key, at in self._recurring.items() if at > now}
            self._recurring = {**ahead, **{key: at for key, at in self._recurring.items() if at <= now}}
        self._rolled_at = now
        late: list[Key] = []
        for key, at in self._recurring.items():
            if now - at < ROLL or len(late) == ROLLED_AT_ONCE:
                break
            late.append(key)
        for key in late:
            del self._recurring[key]
            self._recurring[key] = now
            try:
                fresh = self.events[key].announcement(now - WINDOW, now + WINDOW)
            except Exception:
                log.exception("the occurrences of LiveEvent %s could not be worked out again", key)
                continue
            if fresh != self._announcements[key]:
                self._announcements[key] = fresh
                self._changes.add(key)
