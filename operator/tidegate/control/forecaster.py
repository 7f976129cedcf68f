"""How the signals of policies that follow demand grow: one ``Growth`` a signal, fed by what is read.

It learns from each good reading and never from a bad one. What one sample alone says counts up to a factor of what is
confirmed or announced: one bad scrape must not teach it that demand grows a thousandfold.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.announced import Announced, SignalKey, Window, announced
from tidegate.planning.book import Book
from tidegate.planning.following import SETTLED
from tidegate.planning.growth import FAN, STEP, Growth
from tidegate.planning.hosts import Hosts
from tidegate.planning.model import Freshness, Key, Measured, Policy, Reading, TargetKey, TargetSpec
from tidegate.planning.readings import UNCONFIRMED_FACTOR
from tidegate.planning.steps import Steps
from tidegate.planning.timeline import stage_shift
from tidegate.ports import Grown

log = logging.getLogger("tidegate.forecaster")

GRAIN = 0.3
"""Share of what one unit carries that is too little to matter. Judgment."""

MOST_FOLLOWED = 128
"""Signals of one namespace of which growth is learned: one takes up to 0.3 MB, and 0.2 ms of each reading. Judgment."""
KEPT_EVERY = 3_600.0
"""Seconds between two records of what was learned of a signal: a week is learned from, and an hour makes no difference.
"""
FALL_KEPT_EVERY, UNLIKE = 60.0, 0.03
"""Seconds between two records of what a signal fell from; the share by which the last one has to be too low. Judgment:
from one record its fading follows for as long as it lasts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be known of a signal."""

    longest: float
    """Seconds of the longest lead time of the targets that carry it."""
    grain: float
    quantile: float
    fall: float
    query: str
    background: float = 0.0
    """What is there without any event, as the policy's targets say."""
    forgotten: frozenset[str] = frozenset()
    """Hosts of whom nothing is remembered."""


@dataclass(slots=True)
class Forecaster:
    """Keeps what was learned of every signal that is followed."""

    book: Callable[[], Book | None] = lambda: None
    """What is announced; None: nothing was planned yet."""
    beyond: dict[str, int] = field(default_factory=dict)
    """Namespaces that have more signals followed than may be: those beyond are followed as they are measured."""
    known: dict[SignalKey, Growth] = field(default_factory=dict)
    announced: dict[SignalKey, Announced] = field(default_factory=dict)
    """What is announced of it, and how much of that has come."""
    _quantiles: dict[Key, float] = field(default_factory=dict)
    _queries: dict[SignalKey, str] = field(default_factory=dict)
    _beside: dict[SignalKey, float] = field(default_factory=dict)
    """What is there of a signal without any event, as its policy says."""
    _wanted: dict[Key, tuple[Policy, list[Sequence[Measured]], list[tuple[str, Wanted]]]] = field(default_factory=dict)
    """What was asked for last, and of what."""
    version: int = 0
    """Rises with each change of what is to be kept."""
    studies: bool = False
    """What a signal was before it was followed will be learned as well, where nothing is kept of it."""
    pending: set[SignalKey] = field(default_factory=set)
    """Of these it is not learned yet: nothing is put on record, or the next leader would take it for all there is."""
    _kept: dict[SignalKey, Grown] = field(default_factory=dict)
    _kept_at: dict[SignalKey, float] = field(default_factory=dict)
    _since: dict[SignalKey, tuple[float, float]] = field(default_factory=dict)
    """Since when each is learned from, and for how long before that Prometheus told what it was."""

    def want(self, policies: Mapping[Key, Policy], measured: Mapping[TargetKey, Sequence[Measured]]) -> None:
        """Which signals are followed, and how far ahead: as far as the longest start time that is known reaches."""
        asked: dict[SignalKey, Wanted] = {}
        followed: set[SignalKey] = set()
        of_tenant: Counter[str] = Counter()
        for name in sorted(name for name, policy in policies.items() if policy.live is not None):
            for signal, wanted in self._asked(policies[name], measured):
                of_tenant[name.namespace] += 1
                followed.add((name, signal))
                if of_tenant[name.namespace] <= MOST_FOLLOWED:
                    asked[name, signal] = wanted
        beyond = {namespace: count for namespace, count in of_tenant.items() if count > MOST_FOLLOWED}
        for namespace in beyond.keys() - self.beyond.keys():
            log.warning("%s follows %d signals; of %d growth is learned", namespace, beyond[namespace], MOST_FOLLOWED)
        self.beyond = beyond
        edited = {key for key, one in asked.items() if self._queries.get(key, one.query) != one.query}
        # Another signal under the same name, or one whose own policy does not follow it any more. Of a policy that is
        # not there, or cannot be understood now, what was learned stays on record.
        dropped = {key for key in self._kept if key[0] in policies and key not in followed}
        if over := self._kept.keys() & (edited | dropped):
            self._kept = {key: kept for key, kept in self._kept.items() if key not in over}
            self.version += 1
        self._queries = {key: one.query for key, one in asked.items()}
        self._beside = {key: one.background for key, one in asked.items()}
        for gone in (self.known.keys() - asked.keys()) | (edited & self.known.keys()):
            del self.known[gone]
            self.pending.discard(gone)
            for of in (self.announced, self._kept_at, self._since):
                of.pop(gone, None)
        self._quantiles = {key: policy.quantile for key, policy in policies.items()}
        for name in self._wanted.keys() - {key for key, _ in asked}:
            del self._wanted[name]
        for key, wanted in asked.items():
            self._follow(key, wanted)

    def _follow(self, key: SignalKey, wanted: Wanted) -> None:
        """Bring what is known of a signal up to what is asked."""
        growth = self.known.get(key)
        if growth is None:
            growth = self.known[key] = self._recall(key, wanted)
        if growth.reaches < wanted.longest or growth.quantile != wanted.quantile:
            growth = self.known[key] = growth.changed(max(growth.reaches, wanted.longest), wanted.quantile)
        growth.fall, growth.grain = wanted.fall, wanted.grain
        if wanted.forgotten and self._announced(key).hosts.forget(wanted.forgotten):
            self._kept_at[key] = -math.inf  # put on record with the next reading

    def _asked(self, policy: Policy, measured: Mapping[TargetKey, Sequence[Measured]]) -> list[tuple[str, Wanted]]:
        """``_asked``, looked up while neither the policy nor a start time is another one."""
        of = policy, [measured.get((policy.key, one.name), ()) for one in policy.targets]
        known = self._wanted.get(policy.key)
        if known is None or known[0] is not policy or known[1] != of[1]:
            known = self._wanted[policy.key] = *of, _asked(*of)
        return known[2]

    def take(self, key: SignalKey, reading: Reading, now: float) -> Reading:
        """Learn from a reading, and say what may come after it; a bad one says nothing."""
        growth = self.known.get(key)
        if growth is None:
            return reading
        book = self.book()
        self._since.setdefault(key, (now, 0.0))
        if reading.freshness is not Freshness.FRESH or reading.value is None:
            return replace(reading, ahead=())
        value, begin = reading.value, reading.since - reading.span
        said = announced(book, key, begin, reading.since)
        if reading.confirmed is not None:
            value = min(value, UNCONFIRMED_FACTOR * max(reading.confirmed, said) + growth.grain)
        late = max(0.0, now - reading.since) + reading.span / 2.0
        seen = Window(begin, reading.since, value, min(begin, now - SETTLED), said)
        known = self._announced(key)
        told = known.told(book, key, seen, now, growth.grain, self._beside.get(key, 0.0))
        growth.take(now, value, starts=told.starts, late=late, moved=told.moved, said=told.said)
        known.came(book, key, seen, growth.grain)
        self._keep(key, growth, now)
        step, opens, until = known.prepared(self._quantiles.get(key[0], 0.95), seen, now)
        return replace(reading, ahead=growth.ahead(), step=step, opens=opens, opens_to=until)

    def _announced(self, key: SignalKey) -> Announced:
        return self.announced.setdefault(key, Announced())

    def study(self, key: SignalKey, readings: Iterable[tuple[float, Reading]], book: Book) -> None:
        """Learn from what was read before: (when, what), in order, and what was announced then. Nothing of it is put on
        record meanwhile.
        """
        now_told, self.book = self.book, lambda: book
        pending, self.pending = self.pending, self.pending | {key}
        try:
            for at, reading in readings:
                self.take(key, reading, at)
        finally:
            self.book, self.pending = now_told, pending

    # ---- what was before it was followed

    def goes_by(self, book: Book) -> None:
        """From now on this is what is announced."""
        self.book = lambda: book

    def query(self, key: SignalKey) -> str | None:
        """How a signal is asked for; None where it is not followed."""
        return self._queries.get(key)

    def apart(self, key: SignalKey) -> Forecaster:
        """One that knows nothing yet, for this signal alone: to ``study`` with, and to ``adopt``."""
        mine = self.known[key]
        fresh = Growth(mine.reaches, mine.grain, mine.quantile, mine.fall)
        beside = dict(self._beside)
        return Forecaster(known={key: fresh}, pending={key}, _quantiles=dict(self._quantiles), _beside=beside)

    def adopt(self, key: SignalKey, studied: Forecaster | None, past: float, now: float) -> None:
        """Go by what was learned apart, up to now, if it has seen more; ``past`` are the seconds that it looked back.
        None: nothing can be learned so. What is known then is put on record.
        """
        self.pending.discard(key)
        mine = self.known.get(key)
        if mine is None:
            return
        if studied is not None and (its := studied.known[key]).steps > mine.steps:
            self.known[key] = its  # ``want`` brings it up to what is asked by now
            self.announced[key] = studied.announced.get(key, Announced())
            self._since[key] = self._since.get(key, (now, 0.0))[0], past
        if self.known[key].steps:
            self._kept_at[key] = -math.inf
            self._keep(key, self.known[key], now)

    # ---- what is kept

    def samples(self) -> dict[SignalKey, Grown]:
        """What is to be kept: of each signal as it was within the last hour."""
        return self._kept

    def recall(self, kept: Mapping[SignalKey, Grown]) -> None:
        """Take up what a former life has left, in the place of what this one has learned since."""
        self._kept = dict(kept)
        self.version += 1
        for key in self.known.keys() & kept.keys():
            del self.known[key]  # made anew when it is wanted next
            self.announced.pop(key, None)

    def _keep(self, key: SignalKey, growth: Growth, now: float) -> None:
        """Pack what was learned, now and then: that takes a millisecond or two."""
        if 0.0 <= now - self._kept_at.setdefault(key, now) < KEPT_EVERY and not self._falls(key, growth, now):
            return
        if key in self.pending:
            return
        hosts, (since, past) = self._announced(key).hosts, self._since.get(key, (now, 0.0))
        self._kept_at[key] = now
        high_at, high = growth.high() or (0.0, 0.0)
        came = hosts.all
        kept = Grown(growth.packed(), came.events, came.mean, came.square, since, past, high, high_at, hosts.told())
        self._kept = {**self._kept, key: kept}
        self.version += 1

    def _falls(self, key: SignalKey, growth: Growth, now: float) -> bool:
        """Whether a sharp fall is followed slowly, and the next leader would not know from what: seldom asked."""
        high = growth.high()
        if high is None or not now - self._kept_at.get(key, now) >= FALL_KEPT_EVERY:
            return False
        kept = self._kept.get(key)
        if kept is None or kept.high_at <= 0.0:
            return True
        minutes = max(0.0, high[0] - kept.high_at) / 60.0
        return kept.high * math.exp(-growth.fall * minutes) < (1.0 - UNLIKE) * high[1]

    def _recall(self, key: SignalKey, wanted: Wanted) -> Growth:
        """What is known of a signal that was not wanted until now. Of one that did not fit on the record how it grows
        it is known what came of announcements, and what it fell from.
        """
        kept = self._kept.get(key)
        growth = _unpacked(key, kept, wanted)
        if growth is not None:
            self.pending.discard(key)
        elif self.studies:
            self.pending.add(key)
        found = growth or Growth(wanted.longest, wanted.grain, wanted.quantile, wanted.fall)
        if kept is not None:
            self.announced[key] = Announced(Hosts.of(Steps(kept.events, kept.mean, kept.square), kept.hosts))
            if kept.high_at:
                found.fades_from(kept.high_at, kept.high)
            if kept.since and growth is not None:
                self._since[key] = kept.since, kept.past
        return found


def _unpacked(key: SignalKey, kept: Grown | None, wanted: Wanted) -> Growth | None:
    if kept is None or not kept.packed:
        return None
    try:
        return Growth.unpacked(kept.packed, wanted.grain, wanted.quantile, wanted.fall)
    except ValueError as error:
        log.warning("%s/%s: %s; it is learned anew", key[0], key[1], error)
        return None


def _asked(policy: Policy, measured: Sequence[Sequence[Measured]]) -> list[tuple[str, Wanted]]:
    """What each measured signal of a policy is asked for; ``measured`` by target."""
    live = policy.live
    if live is None:
        return []
    found, starts = [], {one.name: took for one, took in zip(policy.targets, measured, strict=True)}
    for spec in policy.signals:
        carrying = [one for one in policy.targets if spec.name in dict(one.capacity)]
        if not spec.query or not carrying:
            continue
        longest = max(_longest(policy, one, starts[one.name]) for one in carrying)
        grain = GRAIN * min(dict(one.capacity)[spec.name] for one in carrying)
        beside = max(dict(one.background).get(spec.name, 0.0) for one in carrying)
        longest, forgotten = _rounded(longest), live.forgotten
        wanted = Wanted(longest, grain, live.quantile, live.fall_per_minute, spec.query, beside, forgotten)
        found.append((spec.name, wanted))
    return found


def _longest(policy: Policy, target: TargetSpec, measured: Sequence[Measured]) -> float:
    """Seconds of the longest lead time of a target, one step for our own reaction included."""
    starts = max([target.lead.seconds, *(took.seconds for took in measured)])
    return starts + target.lead.machine_seconds + stage_shift(policy, target) + STEP


def _rounded(seconds: float) -> float:
    """The next horizon of the fan: a start time that is learned a second longer changes nothing."""
    return next((one * STEP for one in FAN if one * STEP >= seconds), FAN[-1] * STEP)
