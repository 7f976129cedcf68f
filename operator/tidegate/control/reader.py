"""Read the signals of policies that are active, and what work is left on pools.

A round: it fills readings, the decision takes what is there.

What became of a question is a ``Reading``, never a zero. A reading is as old as its sample: yesterday's is stale today,
whether anybody has asked since or not.

What is remembered of a signal from one reading to the next is here: the last good value, what two samples agree on
(``Confirmation``), and since when it is blind. Blindness begins where the last good reading ends: with the first bad
answer after it, whatever kind of bad that one and the next are, or when it grows stale. It begins anew when the signal
is good once, and when it is wanted again after a time in which nobody asked. A new process takes up what the last one
has put on record (``Blindness``); where nothing is, it counts ``blindMaxSeconds`` from its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.age import Age
from tidegate.control.blindness import Blindness
from tidegate.control.confirmation import Confirmation, is_ahead
from tidegate.control.rounds import Backoff, Job
from tidegate.planning.instants import SKEW
from tidegate.planning.model import Freshness, Key, Reading, SignalSpec
from tidegate.ports import Clock, MetricsSource

SignalKey = tuple[Key, str]
"""(policy, signal), or (pool, member) for the work that is left; a pool's key has no namespace."""

SHORTEST_INTERVAL = 5.0
"""Seconds between two questions for one signal, however often the loop wakes."""


@dataclass(slots=True)
class Reader:
    """Keeps the last reading of every signal. See ``rounds.Round``."""

    metrics: MetricsSource
    clock: Clock
    every_seconds: float = 15.0
    """A signal that is wanted is read this often."""
    speed: float = 1.0
    """See ``loop.LoopSettings``."""
    on_news: Callable[[], None] = lambda: None
    """Told when a value or its freshness changed."""
    forecast: Callable[[SignalKey, Reading, float], Reading] = lambda key, reading, now: reading
    """Adds to a reading what may come after it."""
    readings: dict[SignalKey, Reading] = field(default_factory=dict)
    """As answered; ``told`` gives them as old as they are."""
    blindness: Blindness = field(default_factory=Blindness)
    _specs: dict[SignalKey, SignalSpec] = field(default_factory=dict)
    _wanted: frozenset[SignalKey] = frozenset()
    _asked_at: dict[SignalKey, float] = field(default_factory=dict)
    _confirmations: dict[SignalKey, Confirmation] = field(default_factory=dict)
    _resumed_at: dict[SignalKey, float] = field(default_factory=dict)
    """When a signal was wanted (again): no blindness began before."""
    _hasty: set[SignalKey] = field(default_factory=set)
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=5.0, longest=30.0))

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "signals"

    def want(self, signals: Mapping[SignalKey, SignalSpec], *, wanted: frozenset[SignalKey]) -> None:
        """Which signals there are, and which of them are read now."""
        asked = {key: spec for key, spec in signals.items() if spec.query}
        changed = {k for k in self._specs.keys() & asked.keys() if self._specs[k].query != asked[k].query}
        for gone in ((self._asked_at.keys() | self.readings.keys()) - asked.keys()) | changed:
            self.readings.pop(gone, None)
            self._asked_at.pop(gone, None)
            self._confirmations.pop(gone, None)
            self._backoff.well(gone)
            self.blindness.told(gone, None, 0.0)
        before, self._specs, self._wanted = self._wanted, asked, wanted & asked.keys()
        for gone in self._resumed_at.keys() - self._wanted:
            del self._resumed_at[gone]
            self.blindness.told(gone, None, 0.0)
        self.blindness.keep(asked.keys())
        for key in (self._wanted - before) | (self._wanted & changed):
            self._resume(key)

    def _resume(self, key: SignalKey) -> None:
        """A signal is wanted, and was not until now: what was remembered of its blindness and its samples is over."""
        self._resumed_at[key] = self.clock.now()
        self._confirmations.pop(key, None)
        if key in self.readings:
            self.readings[key] = replace(self.readings[key], confirmed=None, doubt=None, blind_since=None, ahead=())

    def hasten(self) -> None:
        """Read every signal that is wanted in the next round, if it was not asked for just now."""
        self._hasty = set(self._wanted)

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        jobs = ((key, self._due_at(key, now)) for key in sorted(self._wanted))
        return [
            Job(key, key[0].namespace or key[0].name, at, self._backoff.suspects(key)) for key, at in jobs if at <= now
        ]

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        return min((at for key in self._wanted if (at := self._due_at(key, now)) > now), default=None)

    async def do(self, job: Job) -> None:
        """Read one signal."""
        key: SignalKey = job.key  # type: ignore[assignment]
        spec = self._specs.get(key)
        if spec is None or spec.query is None:
            return
        self._hasty.discard(key)
        now = self._asked_at[key] = self.clock.now()
        self._backoff.failed(key, now)  # held against it until it has answered
        try:
            answer = await self.metrics.read(spec.query, now=now, stale_after=spec.stale_after)
        except Exception as error:  # noqa: BLE001 - whatever a source stumbles over is no answer
            answer = Reading(Freshness.UNREACHABLE, None, now, repr(error))
        if answer.freshness is not Freshness.UNREACHABLE:
            self._backoff.well(key)
        if key not in self._specs or self._specs[key].query != spec.query:
            return
        before = self.readings.get(key)
        fresh = self.readings[key] = self.forecast(key, self._remembered(key, answer, before, now), now)
        self.blindness.told(key, fresh.blind_since, now)
        if before is None or _meaning(before) != _meaning(fresh):
            self.on_news()

    def _remembered(self, key: SignalKey, answer: Reading, before: Reading | None, now: float) -> Reading:
        """An answer with what is known from those before it. A bad one keeps the last good value and its age."""
        if answer.freshness is not Freshness.UNREACHABLE and is_ahead(answer, now, SKEW):
            answer = replace(
                answer, freshness=Freshness.FUTURE, value=None, note="its sample is dated ahead of our clock"
            )
        answer = replace(answer, since=min(answer.since, now))
        confirmation = self._confirmations.setdefault(key, Confirmation())
        if answer.freshness in (Freshness.FRESH, Freshness.PARTIAL):
            confirmation.take(answer, now, self._specs[key].stale_after)
        blind_since = None if answer.freshness is Freshness.FRESH else self._blind_since(key, before, now)
        if answer.freshness not in (Freshness.FRESH, Freshness.PARTIAL, Freshness.STALE):
            value, since = (before.value, min(before.since, now)) if before is not None else (None, now)
            answer = replace(answer, value=value, since=since)
        return replace(
            answer, confirmed=confirmation.confirmed, doubt=confirmation.known_doubt(now), blind_since=blind_since
        )

    def _blind_since(self, key: SignalKey, before: Reading | None, now: float) -> float:
        """When the last good reading ended; not before the signal was wanted."""
        begun = self._resumed_at.get(key, now)
        if (known := self.blindness.since(key)) is not None:
            return min(known, now)
        if before is None:
            return min(begun, now)
        ended = before.blind_since
        if ended is None:
            good = before.freshness is Freshness.FRESH
            ended = min(now, before.since + self._specs[key].stale_after) if good else begun
        return min(max(ended, begun), now)

    # ---- what the decision takes

    def told(self, now: float) -> dict[SignalKey, Reading]:
        """The last word on every signal, as old as it is now."""
        return {
            key: self._aged(key, one, now - self._waited(key, now))
            for key, one in self.readings.items()
            if key in self._specs
        }

    def _aged(self, key: SignalKey, one: Reading, now: float) -> Reading:
        """A reading that was good, and is stale by now."""
        stale_after = self._specs[key].stale_after
        if one.freshness not in (Freshness.FRESH, Freshness.PARTIAL) or now - one.since <= stale_after:
            return one
        note = f"not read for longer than {stale_after:g} s"
        blind_since = self._blind_since(key, one, now)
        return replace(one, freshness=Freshness.STALE, note=note, blind_since=blind_since, ahead=())

    def _waited(self, key: SignalKey, now: float) -> float:
        """Seconds since a signal was asked for, as far as they pass because a clock is hurried and not because nobody
        asked.
        """
        asked = self._asked_at.get(key, now)
        return max(0.0, now - asked) * (1.0 - 1.0 / self.speed)

    def age(self, now: float) -> Age:
        """Seconds since the wanted signals were asked for."""
        wanted = (self._asked_at.get(key) for key in self._wanted)
        return Age.of(now - at for at in wanted if at is not None)

    def _due_at(self, key: SignalKey, now: float) -> float:
        asked = self._asked_at.get(key)
        if asked is None:
            return -math.inf
        asked = min(asked, now)
        every = min(self.every_seconds, max(self._specs[key].stale_after / 2, SHORTEST_INTERVAL))
        every = SHORTEST_INTERVAL if key in self._hasty else every
        again = self._backoff.until(key, now) if self._backoff.suspects(key) else -math.inf
        return max(asked + every, again)


def _meaning(one: Reading) -> tuple[object, ...]:
    """What of a reading a decision may depend on, beside its age."""
    return one.freshness, one.value, one.confirmed
