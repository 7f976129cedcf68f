"""What was learned is on record before it counts: the next leader plans with what this one planned with. A round.

Start times, drains, sizes of pods, the levels of loans that ended lately and the last valid versions of what is invalid
now are gathered from where they arise, written to one bounded object for each policy or pool, and taken from there.
What is not on record yet counts for nothing; where nothing can be recorded (the kind is not served, we may not write
it) what this life knows counts by itself.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from tidegate.control.blindness import Blindness
from tidegate.control.drains import Drains
from tidegate.control.forecaster import Forecaster
from tidegate.control.ledger import Ledger
from tidegate.control.rounds import Backoff, Job
from tidegate.control.sizes import Sizes
from tidegate.control.stopwatch import Stopwatch
from tidegate.control.writerate import FASTEST, WriteRate
from tidegate.planning.decision import PoolView
from tidegate.planning.instants import on_record
from tidegate.planning.model import Key, Measured, TargetKey
from tidegate.planning.resources import Resources
from tidegate.planning.shift.inputs import Timetabled
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.shift.packed import pack, unpack
from tidegate.ports import (
    Clock,
    Grown,
    LastValid,
    Leadership,
    Learned,
    LearnedBook,
    NotFoundError,
    RefusedError,
    Store,
    TidegateError,
)

log = logging.getLogger("tidegate.memory")

OPERATOR = Key("", "")
"""Whose is what was learned of no policy and no pool: of the API server."""
LOOKED_AROUND = 60.0
"""Seconds after which it is looked at the latest whether a policy is gone of which something was learned."""
MANY, GATHERED_EVERY = 100, 1.0
"""Of more policies and pools than these what is known is gathered once in so many seconds: it takes 20 ms of 2,000."""
SAVED_EVERY = 5.0
"""Seconds between two writes of one object. Judgment."""
POOL_SAVED_EVERY = 1.0
"""The same of a pool: what is planned of its work is acted on at once. Judgment."""
PATIENCE = 15.0
"""Seconds for which nothing is decided while the record cannot be read; then it is done without. Judgment: a lead time
that is guessed costs precision, a floor that is not written costs the show."""
MOST_ENDED = 24
"""Loans that ended lately, kept in one object: the latest."""
MOST_LEVELS = 16
GRANTED_BYTES, BESIDE_GRANT, LONGEST_OWNER = 50_000, 140, 384
"""Characters that the promises of one pool may take, what one takes beside its owner, and what an owner may take. At
most 250 of them: what the kind may hold."""
MOST_GRANTED = 250
TIMETABLE_BYTES = 40_000
"""Characters that the timetable of a pool may take: that of 300 Jobs and 500 needs has 35,500."""
MOST_SIGNALS, MOST_GROWTH, GROWTH_BYTES = 4, 2, 14_000
"""Followed signals of a policy that are kept, those of which it is kept how they grow, and characters of one: half an
hour ahead takes 13,600."""
MOST_LAST_VALID = 32
BESIDE = 400
"""Characters that one of them takes beside its document, at the most."""
LAST_VALID_BYTES = 20_000
"""Characters of last valid versions kept in one object, the nearest first. With 1,600 start times and 24 loans an
object stays below 96 KiB."""


@dataclass(slots=True)
class Memory:
    """Reads the record when we begin to lead, and keeps it. See ``rounds.Round``."""

    book: LearnedBook | None
    """None: nothing is recorded, and what this life knows counts."""
    store: Store
    ledger: Ledger
    stopwatch: Stopwatch
    drains: Drains
    clock: Clock
    leadership: Leadership
    rate: WriteRate
    forecaster: Forecaster = field(default_factory=Forecaster)
    blindness: Blindness = field(default_factory=Blindness)
    sizes: Sizes = field(default_factory=Sizes)
    on_timetables: Callable[[Mapping[str, Timetabled]], None] = lambda former: None
    """Told by which timetables the last leader planned."""
    on_news: Callable[[], None] = lambda: None
    _granted: dict[str, tuple[Promise, ...]] = field(default_factory=dict)
    """By pool, what this life's last decision granted."""
    _granted_before: dict[str, tuple[Promise, ...]] = field(default_factory=dict)
    """By pool, what is on record of former lives, until a decision that was acted on has taken it in."""
    _timetables: dict[str, tuple[Timetabled | None, str]] = field(default_factory=dict)
    """By pool, the timetable of this life's last decision, and how it is put on record."""
    _grants: int = 0
    """Rises with each change of what is granted, or of a timetable."""
    recorded: dict[Key, Learned] = field(default_factory=dict)
    """As the server surely has it, by policy or pool."""
    trouble: str = ""
    """Why the record could not be read or written at the last try; empty when it was."""
    _epoch: int | None = None
    """Of the leadership for which the record was read."""
    _missed: frozenset[str] = frozenset()
    """Namespaces whose policies were not known when it was read: what it tells of them was of nobody then."""
    _unread_since: float = math.inf
    _without: bool = False
    """The record cannot be kept: what this life knows counts."""
    _saved_at: dict[Key, float] = field(default_factory=dict)
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=1.0, longest=300.0))
    _gathered: dict[Key, Learned] = field(default_factory=dict)
    _gathered_of: tuple[object, object] = (None, None)
    _gathered_at: float = -math.inf
    _gather_again_at: float = math.inf
    _compared: object = None
    """The gathered of which ``_differ`` tells."""
    _differ: list[Key] = field(default_factory=list)
    _own: set[Key] = field(default_factory=set)
    """Whose object may not be written: what this life knows of them counts by itself."""
    _samples: dict[TargetKey, tuple[Measured, ...]] = field(default_factory=dict)
    _drained: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    _extra: dict[TargetKey, Resources] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "memory"

    # ---- what the decision takes

    def known(self, now: float) -> bool:
        """Whether the record was read since we lead, or cannot be."""
        if self.book is None or self._epoch == self.leadership.epoch:
            return True
        self._unread_since = min(self._unread_since, now)
        return now - self._unread_since >= PATIENCE

    def starts(self) -> Mapping[TargetKey, tuple[Measured, ...]]:
        """Start times by target."""
        return self.stopwatch.samples() if self._alone else self._samples

    def writes_per_second(self) -> float:
        """Level writes that plans count on."""
        if self._alone or OPERATOR in self._own:
            return self.rate.per_second()
        return _rate(self.recorded.get(OPERATOR))

    def lane_drains(self) -> Mapping[tuple[str, str], tuple[float, ...]]:
        """Drains by (pool, lane)."""
        return self.drains.samples() if self._alone else self._drained

    def pod_sizes(self) -> Mapping[TargetKey, Resources]:
        """What pods of targets take beyond their template."""
        return self.sizes.samples() if self._alone else self._extra

    def places(self, pool: str, plan: PoolView | None) -> tuple[Promise, ...]:
        """Who was let in on a pool: by the last leader, once its record was read, and else by our last plan, as its
        record tells it.
        """
        before = self._granted_before.get(pool)
        if before is None:
            before = tuple(map(_kept, plan.plan.promises)) if plan is not None else ()
        return before

    def decided(self, pools: Mapping[str, PoolView], now: float) -> None:
        """A decision that is acted on has granted this."""
        for name, view in pools.items():
            self._granted_before.pop(name, None)
            begun = (_kept(one if one.start > now else one._replace(start=0.0)) for one in view.plan.promises)
            if (granted := tuple(islice(_told(begun), MOST_GRANTED))) != self._granted.get(name, ()):
                self._granted[name] = granted
                self._grants += 1
            self._timetabled(name, view.inputs.standing)
        for gone in self._granted.keys() - pools.keys() - self._granted_before.keys():
            del self._granted[gone]
        for gone in self._timetables.keys() - self.store.pools().keys():
            del self._timetables[gone]

    def _timetabled(self, pool: str, made: Timetabled | None) -> None:
        """A decision that is acted on went by this timetable."""
        if self.book is not None and (pool not in self._timetables or self._timetables[pool][0] is not made):
            packed = pack(made, most=TIMETABLE_BYTES) if made is not None else ""
            self._grants += packed != self._timetables.get(pool, (None, ""))[1]
            self._timetables[pool] = made, packed

    @property
    def _alone(self) -> bool:
        return self.book is None or self._without or self._epoch != self.leadership.epoch

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        if self.book is None or not self.leadership.may_write() or not self.store.synced:
            return []
        jobs = []
        if self._is_unread and self._backoff.until("record", now) <= now:
            jobs = [Job("record", "record", now)]
        if self._epoch != self.leadership.epoch or self._without:
            return jobs
        return jobs + [Job(of, of.namespace, at) for of in self._changed() if (at := self._due_at(of, now)) <= now]

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        if self.book is None or not self.leadership.may_write() or not self.store.synced:
            return None
        record = [max(now, self._backoff.until("record", now))] if self._is_unread else []
        if self._epoch != self.leadership.epoch or self._without:
            return record[0]
        ahead = record + [at for of in self._changed() if (at := self._due_at(of, now)) > now]
        return min([*ahead, self._gather_again_at] if self._gather_again_at < math.inf else ahead, default=None)

    @property
    def _is_unread(self) -> bool:
        """The record, or a part of it, is to be read: the kind may be installed by now, or we may read where we might
        not before.
        """
        again = self.book is not None and (self.book.closed | self._missed) - self.store.unheard_in().keys()
        return bool(again) or self._epoch != self.leadership.epoch or self._without

    async def do(self, job: Job) -> None:
        """Read the record, or bring one object of it up."""
        assert self.book is not None  # noqa: S101 - without one nothing is due
        of = job.key if isinstance(job.key, Key) else None
        now = self.clock.now()
        self._backoff.failed(job.key, now)
        try:
            if of is None:
                await self._load(self.book)
            else:
                self._saved_at[of] = now
                await self._bring_up(self.book, of)
        except (RefusedError, NotFoundError) as error:
            self._fail(of, error, lasting=True)
        except TidegateError as error:
            self._fail(of, error, lasting=False)
        else:
            self.trouble = ""
            self.on_news()
            if of is not None or not self._is_unread:
                self._backoff.well(job.key)

    # ---- beneath

    def _due_at(self, of: Key, now: float) -> float:
        saved_at = min(self._saved_at.get(of, -math.inf), now)  # a clock that was set back saves soon
        every = SAVED_EVERY if of.namespace else POOL_SAVED_EVERY
        return max(saved_at + every, self._backoff.until(of, now))

    def _fail(self, of: Key | None, error: TidegateError, *, lasting: bool) -> None:
        """Go on without a record that we may not keep; one policy's alone (its namespace is ending) stops no other."""
        what = "the record" if of is None else f"what was learned of {of}"
        if str(error) != self.trouble:
            log.warning("%s could not be %s: %s", what, "read" if of is None else "written", error)
        self.trouble = str(error)
        if lasting and of is None:
            self._without, self._epoch = True, self.leadership.epoch
        elif lasting and of is not None:
            self._own.add(of)
            self._take_in(of)

    async def _load(self, book: LearnedBook) -> None:
        """Take what former leaders recorded in the place of what this life knows; where there was no record until now,
        what this life knows will be on it.
        """
        epoch, own, drained = self.leadership.epoch, self.stopwatch.samples(), self.drains.samples()
        sized = self.sizes.samples()
        found = {one.of: one for one in await book.list()}
        kept = self._epoch == epoch
        self._missed = frozenset(ns for ns, one in self.store.unheard_in().items() if one.raises_at == math.inf)
        self._gathered_at, self._compared = -math.inf, None  # what was gathered before is nobody's record
        self.recorded, self._epoch, self._unread_since, self._without = found, epoch, math.inf, False
        self._own.clear()
        self._take_up()
        self.stopwatch.recall({**own, **self._samples} if kept else self._samples)
        self.drains.recall({**drained, **self._drained} if kept else self._drained)
        self.sizes.recall({**sized, **self._extra} if kept else self._extra)
        if not kept or OPERATOR in found:
            self.rate.recall(_rate(found.get(OPERATOR)))
        self._granted_before = {of.name: one.granted for of, one in found.items() if not of.namespace and one.granted}
        self._granted = dict(self._granted_before)
        self._timetables = {}
        for of, one in found.items():
            if not of.namespace and (made := _unpacked(one)) is not None:
                self._timetables[of.name] = made, one.timetable
        self.on_timetables({name: made for name, (made, _) in self._timetables.items() if made is not None})
        self._grants += 1
        grown = {(of, signal): grown for of, one in found.items() for signal, grown in one.growth.items()}
        self.forecaster.recall({**grown, **self.forecaster.samples()} if kept else grown)
        self.blindness.recall({(of, name): since for of, one in found.items() for name, since in one.blind.items()})
        for one in found.values():
            self.ledger.former.recall(one.of, one.ended)
        self.store.recall(version for one in found.values() for version in one.last_valid)

    async def _bring_up(self, book: LearnedBook, of: Key) -> None:
        one = self._gather().get(of)
        if one is None:
            await book.remove(of)
            self.recorded.pop(of, None)
        else:
            one = replace(one, epoch=self.leadership.epoch)
            await book.save(one)
            self.recorded[of] = one
        self._own.discard(of)
        self._take_in(of)
        self._differ = [other for other in self._differ if other != of]

    def _take_up(self) -> None:
        """What counts follows from what is on record."""
        self._samples, self._drained, self._extra = {}, {}, {}
        for of in self.recorded.keys() | self._own:
            self._take_in(of)

    def _take_in(self, of: Key) -> None:
        """What counts of one policy or pool."""
        one = self._gathered.get(of) if of in self._own else self.recorded.get(of)
        if of.namespace:
            self._samples = {key: kept for key, kept in self._samples.items() if key[0] != of}
            self._samples |= {(of, target): samples for target, samples in (one.starts if one else {}).items()}
            self._extra = {key: kept for key, kept in self._extra.items() if key[0] != of}
            self._extra |= {(of, target): extra for target, extra in (one.sizes if one else {}).items()}
        else:
            self._drained = {key: kept for key, kept in self._drained.items() if key[0] != of.name}
            self._drained |= {(of.name, lane): took for lane, took in (one.drains if one else {}).items()}

    def _changed(self) -> list[Key]:
        """Whose object does not say what is known, or is not needed any more."""
        gathered = self._gather()
        if self._compared is not gathered:
            differ = [of for of, one in gathered.items() if not _says(self.recorded.get(of), one)]
            self._differ = [*differ, *(of for of in self.recorded if of not in gathered)]
            self._compared = gathered
        # A policy that may not be listed is not one that is gone, and its record is read again before it is written.
        unheard = self._missed | self.store.unheard_in().keys()
        return [of for of in self._differ if of.namespace not in unheard] if unheard else self._differ

    def _gather(self) -> Mapping[Key, Learned]:
        """What this life knows, by policy or pool; of those that are gone nothing."""
        last_valid, ended = self.store.last_valid(), self.ledger.former.by_borrower()
        policies, pools = self.store.policies(), self.store.pools()
        minute = self.clock.now() // LOOKED_AROUND
        learned = self.stopwatch.version, self.drains.version, self.sizes.version, self.forecaster.version
        versions = (*learned, self.blindness.version, self.ledger.former.version, self._grants)
        rate = self.rate.per_second()
        counts = (*versions, rate, len(policies), len(pools), minute)
        if self._gathered_of[0] is last_valid and self._gathered_of[1] == counts:
            return self._gathered
        now = self.clock.now()
        if len(self._gathered) > MANY and 0.0 <= now - self._gathered_at < GATHERED_EVERY:
            self._gather_again_at = self._gathered_at + GATHERED_EVERY
            return self._gathered
        self._gathered_at, self._gather_again_at = now, math.inf
        starts: dict[Key, dict[str, tuple[Measured, ...]]] = defaultdict(dict)
        for (policy, target), samples in self.stopwatch.samples().items():
            starts[policy][target] = samples
        drains: dict[Key, dict[str, tuple[float, ...]]] = defaultdict(dict)
        for (pool, lane), took in self.drains.samples().items():
            drains[Key("", pool)][lane] = took
        growth: dict[Key, dict[str, Grown]] = defaultdict(dict)
        for (policy, signal), grown in sorted(self.forecaster.samples().items()):
            mine = growth[policy]
            fits = sum(bool(one.packed) for one in mine.values()) < MOST_GROWTH and len(grown.packed) <= GROWTH_BYTES
            if len(mine) < MOST_SIGNALS:
                mine[signal] = grown if fits else replace(grown, packed="")
        blind: dict[Key, dict[str, float]] = defaultdict(dict)
        for (policy, signal), since in self.blindness.samples().items():
            blind[policy][signal] = since
        sizes: dict[Key, dict[str, Resources]] = defaultdict(dict)
        for (policy, target), extra in self.sizes.samples().items():
            sizes[policy][target] = extra
        granted = {Key("", pool): one for pool, one in self._granted.items() if one}
        timetables = {Key("", pool): packed for pool, (_, packed) in self._timetables.items() if packed}
        operator = {OPERATOR} if rate < FASTEST else set()  # nothing is learned where the guess is right
        known = {OPERATOR, *policies, *self.store.unusable(), *(Key("", pool) for pool in pools)}
        self._gathered = {
            key: Learned(
                key,
                starts=starts.get(key, {}),
                drains=drains.get(key, {}),
                sizes=sizes.get(key, {}),
                ended=tuple(replace(one, levels=one.levels[-MOST_LEVELS:]) for one in ended.get(key, ())[-MOST_ENDED:]),
                last_valid=tuple(_fitting(last_valid.get(key, ()))),
                granted=granted.get(key, ()),
                timetable=timetables.get(key, ""),
                writes_per_second=int(rate) if key in operator else None,
                growth=growth.get(key, {}),
                blind=blind.get(key, {}),
            )
            for key in sorted(
                {*starts, *drains, *sizes, *growth, *blind, *ended, *last_valid, *granted, *timetables, *operator}
                & known
            )
        }
        self._gathered_of = last_valid, counts
        return self._gathered


def _rate(one: Learned | None) -> float:
    return FASTEST if one is None or one.writes_per_second is None else float(one.writes_per_second)


def _unpacked(one: Learned) -> Timetabled | None:
    """The timetable on record; None where there is none, or one that cannot be read: it is made anew then."""
    if not one.timetable:
        return None
    try:
        return unpack(one.timetable)
    except ValueError as error:
        log.warning("what was learned of %s holds %s", one.of, error)
        return None


def _kept(one: Promise) -> Promise:
    return one._replace(start=on_record(one.start), end=on_record(one.end))


def _told(promises: Iterable[Promise]) -> Iterator[Promise]:
    """As many as fit, those that begin first."""
    left = GRANTED_BYTES
    for one in sorted(promises, key=lambda one: (one.start, one.end, one.owner, one.amount.cpu, one.amount.memory)):
        left -= len(one.owner) + BESIDE_GRANT
        if left < 0:
            return
        if one.end < math.inf and len(one.owner) <= LONGEST_OWNER:
            yield one


def _fitting(versions: Sequence[LastValid]) -> list[LastValid]:
    """As many as fit, the first ones first."""
    left, kept = LAST_VALID_BYTES, []
    for one in versions[:MOST_LAST_VALID]:
        left -= len(one.document) + 2 * one.document.count('"') + BESIDE
        if left < 0:
            break
        kept.append(one)
    return kept


def _says(recorded: Learned | None, known: Learned) -> bool:
    return recorded is not None and replace(recorded, epoch=known.epoch) == known
