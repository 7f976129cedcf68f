"""Look at the targets, as often as it matters and no more. A round: it fills sights, the decision takes what is there.

A sight is dated by when it was asked for, never by when the answer came. One that is older than its bound counts as
not seen: the level may rise on it, nothing falls on it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.age import Age
from tidegate.control.drift import state_of
from tidegate.control.ledger import Ledger
from tidegate.control.rounds import Backoff, Job
from tidegate.planning.model import UNKNOWN, Identity, Key, Observed, Policy, Ref, TargetKey, TargetSpec, Trouble
from tidegate.ports import Clock, Held, Loan, Sight, Targets, TidegateError

log = logging.getLogger("tidegate.looker")

ACTIVE_BOUND = 30.0
"""Seconds after which a sight of an active target counts as not seen."""
IDLE_INTERVALS = 2.0
"""Intervals after which a sight of an idle target counts as not seen."""

ANSWERED = UNKNOWN - {Trouble.UNREADABLE}
"""Answers after which nobody can tell of the object: nothing is written, and what was seen last is not forgotten."""

SHORTEST_SHARE = 1 / 3
"""Of its interval passes between two looks at a target, however old what the first one brought: a watch that is quiet
brings the same again. With the 20 s for which a quiet watch is believed that stays below ``ACTIVE_BOUND``."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was last seen of a target."""

    sight: Sight
    asked: int
    """When it was asked for, in the ledger's order; 0 when a watch brought it."""
    at: float
    """The instant it tells of: when it was asked for, or the watch's last sign of life."""
    note: str = ""
    """Why later looks brought nothing; empty when this is the last one."""


@dataclass(slots=True)
class Looker:
    """Keeps the last sight of every target. See ``rounds.Round``."""

    targets: Targets
    ledger: Ledger
    clock: Clock
    idle_seconds: float
    """A target far from any step is looked at this often; a watch that reports it makes that sooner."""
    active_seconds: float = 15.0
    """The same for a target that holds a loan or has a step due soon."""
    speed: float = 1.0
    """See ``loop.LoopSettings``."""
    on_news: Callable[[], None] = lambda: None
    """Told when something was seen that a decision may depend on."""
    on_look: Callable[[TargetKey, Look], None] = lambda key, look: None
    """Told of each target that was seen."""
    sights: dict[TargetKey, Look] = field(default_factory=dict)
    _policies: Mapping[Key, Policy] = field(default_factory=dict)
    _specs: dict[TargetKey, TargetSpec] = field(default_factory=dict)
    _keys: dict[Identity, set[TargetKey]] = field(default_factory=dict)
    _active: frozenset[TargetKey] = frozenset()
    _near: frozenset[TargetKey] = frozenset()
    _touched: dict[TargetKey, float] = field(default_factory=dict)
    _next_due: float | None = None
    """No look will be due before that, beside those that are due already; None: it has to be found."""
    _asked_at: dict[TargetKey, float] = field(default_factory=dict)
    """When each was asked for last."""
    _owed: set[TargetKey] = field(default_factory=set)
    """Targets of which nothing tells that was asked before the loans were read, and that were not asked for since."""
    _owed_since: int = 0
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=1.0, longest=30.0))

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "looks"

    def want(self, policies: Mapping[Key, Policy], *, active: frozenset[TargetKey], near: frozenset[TargetKey]) -> None:
        """Which targets there are, which are looked at often, and of which it is found out why units are missing."""
        self._active, self._near, self._next_due = active, near, None
        if policies == self._policies:  # they are compared by identity first
            return
        self._policies = dict(policies)
        specs = {(key, t.name): t for key, p in policies.items() for t in p.targets}
        changed = {key for key, spec in specs.items() if key not in self._specs or self._specs[key].ref != spec.ref}
        for gone in (self.sights.keys() - specs.keys()) | (changed & self.sights.keys()):
            del self.sights[gone]
        for gone in (self._asked_at.keys() - specs.keys()) | (changed & self._asked_at.keys()):
            del self._asked_at[gone]
        self._backoff.keep(specs.keys() - changed)
        self._owed &= specs.keys()
        self._touched = {key: at for key, at in self._touched.items() if key in specs}
        self._specs = specs
        self._keys = {}
        for key in specs:
            for one in self._objects(key):
                self._keys.setdefault(one, set()).add(key)

    @property
    def asked_all(self) -> bool:
        """Whether a look at each target has come back, well or not; one that was asked for since the loans were read,
        where the target holds one.
        """
        return not self._owed and self._specs.keys() <= self.sights.keys()

    def keys_of(self, ref: Ref) -> Collection[TargetKey]:
        """The targets whose level lies in an object, or that are that object."""
        return self._keys.get(ref.identity, ())

    def names(self, key: TargetKey, workload: Identity) -> bool:
        """Whether a target names a workload."""
        spec = self._specs.get(key)
        return spec is not None and spec.ref.identity == workload

    def touch(self, ref: Ref) -> None:
        """A watch saw an object change, or we wrote it: look at its targets at once."""
        for key in self.keys_of(ref):
            self._touch(key)

    def hasten(self) -> None:
        """Look at every active target in the next round, however short a time ago it was looked at."""
        for key in self._active:
            self._touch(key)

    def ask_of_loans(self) -> None:
        """The loans were read: look at once at each target that holds one, for nothing tells of it that was asked
        before.
        """
        self._owed_since = self.ledger.tick()
        places = ((key, look.sight.place) for key, look in self.sights.items())
        self._owed = {key for key, place in places if place is not None and self.ledger.of(place) is not None}
        for key in self._owed:
            self._touch(key)

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        found, later = [], math.inf
        sights, asked_at, active = self.sights, self._asked_at, self._active
        special = self._touched.keys() | self._backoff.failing
        for key in self._specs:
            look, asked = sights.get(key), asked_at.get(key)
            if look is None or asked is None or look.at > now or asked > now or key in special:
                at = self._due_at(key, now)
            else:  # the same for nearly all, without a call for each: this is gone through at the end of each look
                every = self.active_seconds if key in active else self.idle_seconds
                at = max(look.at + every, asked + every * SHORTEST_SHARE)
            if at <= now:
                found.append(Job(key, key[0].namespace, at, self._backoff.suspects(key)))
            elif at < later:
                later = at
        self._next_due = later
        return found

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        if self._next_due is None or self._next_due <= now:
            self.due(now)
        at = self._next_due
        return None if at is None or at == math.inf else at

    async def do(self, job: Job) -> None:
        """Look at one target."""
        key: TargetKey = job.key  # type: ignore[assignment]
        spec = self._specs.get(key)
        if spec is None:
            return
        self._touched.pop(key, None)
        at, asked = self.clock.now(), self.ledger.tick()
        self._asked_at[key] = at
        self._sooner(self._backoff.failed(key, at))  # held against it until it has answered
        try:
            sight = await self._see(spec, closely=key in self._near)
        finally:  # a look that hung was one
            if asked > self._owed_since:
                self._owed.discard(key)
        if self._specs.get(key) is not spec and getattr(self._specs.get(key), "ref", None) != spec.ref:
            return  # it names another object by now
        self._fill(key, sight, asked, at)
        self._sooner(self._due_at(key, self.clock.now()))

    def _fill(self, key: TargetKey, sight: Sight, asked: int, at: float) -> None:
        before, believed = self.sights.get(key), self.believed(key)
        if before is not None and sight.observed.trouble in ANSWERED and before.sight.place is not None:
            if at < before.at:
                return  # what was asked later is known by now
            self._backoff.well(key)
            fresh = _kept(before, sight, at)
        elif sight.observed.trouble is Trouble.UNREADABLE:
            if before is not None and before.sight.observed.trouble is not Trouble.UNREADABLE:
                fresh = replace(before, note=sight.observed.note)  # unknown is not zero: what was seen last stands
            else:
                fresh = Look(sight, asked, at)
        else:
            self._backoff.well(key)
            if sight.watched_at is not None:
                asked, at = 0, min(sight.watched_at, at)
            fresh = Look(sight, asked, at)
            if sight.place is not None:
                self.ledger.asked_anew(sight.place, asked)
        if before is not None and _older(fresh, before):
            return  # a slow answer that a later question, or a watch that our own look, has overtaken
        self.sights[key] = fresh
        if before is not None and before.sight.place != fresh.sight.place:
            self._unindex(key, before.sight)
        self._index(key, fresh.sight)
        self.on_look(key, fresh)
        if before is None or _news(before, believed) != _news(fresh, self.believed(key)):
            self.on_news()

    # ---- what the decision takes

    def observed(self, now: float) -> dict[TargetKey, Observed]:
        """What the core is told about each target, loans included."""
        taken: dict[TargetKey, Loan] = {}
        for loan in self.ledger.loans.values():
            taken.setdefault((loan.policy, loan.target), loan)
        return {key: self._told(key, look, taken.get(key), now) for key, look in self.sights.items()}

    def age(self, now: float) -> Age:
        """Age of the sights in shares of their bounds, times the bound of an active one: seconds for a metric."""
        return Age.of((now - look.at) / self._bound(key) * ACTIVE_BOUND for key, look in self.sights.items())

    def believed(self, key: TargetKey) -> Held | None:
        """What a target's field is believed to hold, for a compare-and-swap; None when nobody can tell."""
        look = self.sights.get(key)
        if look is None or look.sight.place is None or look.sight.held is None:
            return None
        place, held = look.sight.place, look.sight.held
        if self.ledger.is_current(place, asked=look.asked, version=held.version):
            return held
        return self.ledger.latest(place)

    def is_seen(self, key: TargetKey, now: float) -> bool:
        """Whether what was last seen of a target is young enough that something may fall on it."""
        look = self.sights.get(key)
        return look is not None and now - look.at <= self._bound(key)

    def _told(self, key: TargetKey, look: Look, taken: Loan | None, now: float) -> Observed:
        """What the core is told about one target; ``taken`` is the loan that was taken for it, wherever it lies."""
        sight, seen = look.sight, look.sight.observed
        loan = self.ledger.of(sight.place) if sight.place else None
        if sight.place is not None:
            bad = self.ledger.unreadable_of(sight.place)
            if bad is not None and loan is None:
                note = f"Loan {bad.key} cannot be understood: {bad.note}"
                return replace(seen, trouble=Trouble.UNREADABLE, note=note)
            if not self.ledger.is_current(
                sight.place, asked=look.asked, version=sight.held.version if sight.held else 0
            ):
                latest = self.ledger.latest(sight.place)
                if latest is None and seen.trouble in ANSWERED and key not in self._owed:
                    pass  # what the field holds is not known; why nobody can tell it was asked since
                elif latest is None:
                    why = "the loans were read anew" if key in self._owed else "its last write got no answer"
                    seen = replace(seen, seen=False, note=f"{why}; it is looked at again")
                else:
                    seen = replace(seen, level=latest.value)
        if loan is None and seen.trouble is not None:
            loan = taken
        if not self.is_seen(key, now):
            seen = replace(
                seen, seen=False, note=f"not seen for {max(0.0, now - look.at):.0f} s: {look.note}".rstrip(": ")
            )
        elif look.note and seen.seen:
            seen = replace(seen, note=look.note)
        return replace(seen, loan=state_of(loan, now)) if loan else seen

    # ---- beneath

    def _touch(self, key: TargetKey) -> None:
        now = self.clock.now()
        self._touched.setdefault(key, now)
        if key in self._specs:
            self._sooner(self._due_at(key, now))

    def _sooner(self, at: float) -> None:
        """A target is due at an instant by now: what was found of all of them stands otherwise."""
        if self._next_due is not None:
            self._next_due = min(self._next_due, at)

    def _due_at(self, key: TargetKey, now: float) -> float:
        if self._backoff.suspects(key):
            return self._backoff.until(key, now)
        look = self.sights.get(key)
        if look is None:
            return -math.inf
        if look.at > now:  # the clock was stepped back: an age counts from here
            look = self.sights[key] = replace(look, at=now)
        asked_at = self._asked_at[key] = min(self._asked_at.get(key, look.at), now)
        every = self.active_seconds if key in self._active else self.idle_seconds
        due_at = max(look.at + every, asked_at + every * SHORTEST_SHARE)
        return min(due_at, self._touched.get(key, math.inf))

    def _bound(self, key: TargetKey) -> float:
        bound = ACTIVE_BOUND if key in self._active else IDLE_INTERVALS * self.idle_seconds
        return bound * self.speed

    def _objects(self, key: TargetKey) -> Iterable[Identity]:
        yield self._specs[key].ref.identity
        look = self.sights.get(key)
        if look is not None and look.sight.place is not None:
            yield look.sight.place.ref.identity

    def _unindex(self, key: TargetKey, sight: Sight) -> None:
        """A target's level lies elsewhere by now: what happens to the object that held it wakes nobody."""
        place = sight.place
        if place is None or place.ref.identity == self._specs[key].ref.identity:
            return
        keys = self._keys.get(place.ref.identity, set())
        keys.discard(key)
        if not keys:
            self._keys.pop(place.ref.identity, None)

    def _index(self, key: TargetKey, sight: Sight) -> None:
        if sight.place is not None:
            self._keys.setdefault(sight.place.ref.identity, set()).add(key)

    async def _see(self, spec: TargetSpec, *, closely: bool) -> Sight:
        try:
            return await (self.targets.examine(spec.ref) if closely else self.targets.see(spec.ref))
        except TidegateError as error:
            return Sight(Observed(trouble=Trouble.UNREADABLE, note=str(error)), None)
        except Exception as error:
            log.exception("%s could not be looked at", spec.ref)  # one broken target does not stop the rest
            return Sight(Observed(trouble=Trouble.UNREADABLE, note=repr(error)), None)


def _kept(before: Look, sight: Sight, at: float) -> Look:
    """What was seen last, with an answer that tells nothing of the object: its size, its level and its place stand."""
    said = replace(before.sight.observed, trouble=sight.observed.trouble, note=sight.observed.note)
    return replace(before, sight=replace(before.sight, observed=said), at=at, note="")


def _older(fresh: Look, before: Look) -> bool:
    if fresh.asked and before.asked:
        return fresh.asked < before.asked
    version = fresh.sight.held.version if fresh.sight.held is not None else 0
    known = before.sight.held.version if before.sight.held is not None else 0
    return fresh.sight.place == before.sight.place and 0 < version < known


def _news(look: Look, believed: Held | None) -> object:
    """What of a look may change a level: a status that moves with each pod that starts wakes nobody.

    The field counts as it was believed, our own writes included: a level that was overwritten right after we wrote it
    looks the same before and after, and is news.
    """
    seen = look.sight.observed
    return seen.level, seen.maximum, seen.trouble, look.sight.place, believed.value if believed else None, seen.unit
