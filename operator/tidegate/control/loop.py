"""The loop: readers fill what is known, a decision takes what is there, writers carry out what it wants.

Nothing in a decision waits. ``turn`` runs one round of each reader, the decision and all writes in a stated order, on
any clock; the process runs the same rounds freely (``shell``). Both end at the same levels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tidegate.control import attention
from tidegate.control.age import Age
from tidegate.control.conflicts import Conflicts
from tidegate.control.debts import debts_of
from tidegate.control.drains import Drains
from tidegate.control.forecaster import Forecaster
from tidegate.control.history import History, Past
from tidegate.control.inline import InlineSolver
from tidegate.control.knowing import Knowing
from tidegate.control.ledger import Ledger
from tidegate.control.loaner import LoanLoader
from tidegate.control.looker import Look, Looker
from tidegate.control.memory import Memory
from tidegate.control.poollooker import PoolLooker
from tidegate.control.poolwork import PoolWork, work_signals
from tidegate.control.reader import Reader, SignalKey
from tidegate.control.rounds import Round, run_once
from tidegate.control.settling import Settling
from tidegate.control.stopwatch import Stopwatch
from tidegate.control.timetabler import Timetabler
from tidegate.control.wishes import Applied, Kind, Wish, of_debts, of_orphans, of_records, of_steps
from tidegate.control.writer import Writer
from tidegate.planning.decision import Plan
from tidegate.planning.model import Announcement, Key, PlanSettings, Policy, Ref, SignalSpec, TargetKey
from tidegate.planning.plan import Planner
from tidegate.planning.shift.model import Pool
from tidegate.planning.world import World
from tidegate.ports import (
    Clock,
    EventSink,
    FieldId,
    Leadership,
    LearnedBook,
    Loan,
    LoanBook,
    MetricsSource,
    Place,
    Pools,
    Solver,
    Store,
    Targets,
)

log = logging.getLogger("tidegate.loop")

ORPHAN_GRACE = 5.0
"""Seconds for which a loan that nobody speaks for is left alone: replacing a policy deletes it and makes it again."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How often the loop looks."""

    beat_seconds: float = 15.0
    """At the latest after this many seconds the loop decides again, and looks at what is active."""
    idle_seconds: float = 60.0
    """A target far from any step is looked at this often."""
    active_ahead: float = 120.0
    """A target counts as active from this many seconds before its next step."""
    read_ahead: float = 3600.0
    """The signals of a policy are read from so many seconds before its next step: in time to say what is blind."""
    speed: float = 1.0
    """Seconds of the loop's clock that pass in a real one. Requests take real time: where a demonstration hurries,
    knowledge may be older by as much.
    """


@dataclass(frozen=True, slots=True)
class Beat:
    """What one decision saw and decided, and what was done since the one before."""

    now: float
    world: World
    plan: Plan
    applied: tuple[Applied, ...]
    loans: tuple[Loan, ...]
    leading: bool
    """We lead, and know enough to tell people what is."""
    writes: int
    next_at: float | None
    """When time alone makes something due."""


@dataclass(slots=True)
class Loop:
    """The operator's heart."""

    clock: Clock
    store: Store
    targets: Targets
    metrics: MetricsSource
    book: LoanBook
    key_of: Callable[[Place], Key]
    """The name of a new loan of a field."""
    leadership: Leadership
    events: EventSink
    learned: LearnedBook | None = None
    """None: what was learned dies with the process."""
    past: Past | None = None
    """None: how signals grow is learned from what is read from now on alone."""
    pools: Pools | None = None
    """None: nobody looks at pools (an operator of some namespaces only)."""
    solver: Solver = field(default_factory=InlineSolver)
    settings: LoopSettings = field(default_factory=LoopSettings)
    plan_settings: PlanSettings = field(default_factory=PlanSettings)
    on_beat: Callable[[Beat], None] = lambda beat: None
    on_wake: Callable[[str], None] = lambda namespace: None
    """Told whenever there is something new to decide on."""
    on_due: Callable[[], None] = lambda: None
    """Told when a reader has something to do at once, though no decision said so."""
    on_rebuild: Callable[[], None] = lambda: None
    """Told between the slices in which all sums are made anew: much that stays was made."""
    fills: int = 0
    """Rises with everything that a decision may depend on: who sleeps looks at it before."""
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    conflicts: Conflicts = field(default_factory=Conflicts)
    forecaster: Forecaster = field(default_factory=Forecaster)
    ledger: Ledger = field(init=False)
    looker: Looker = field(init=False)
    reader: Reader = field(init=False)
    loader: LoanLoader = field(init=False)
    memory: Memory = field(init=False)
    writer: Writer = field(init=False)
    timetabler: Timetabler = field(init=False)
    history: History | None = None
    pool_looker: PoolLooker | None = None
    pool_work: PoolWork | None = None
    _planner: Planner = field(init=False)
    _settling: Settling = field(init=False)
    last: Beat | None = None
    """The last decision."""
    _plan: Plan | None = None
    _done: list[Applied] = field(default_factory=list)
    _knowing: Knowing = field(default_factory=Knowing)
    _over_since: dict[FieldId, float] = field(default_factory=dict)
    """Since when nobody speaks for a loan."""

    def __post_init__(self) -> None:
        idle = self.settings.idle_seconds
        self.ledger = ledger = Ledger(self.targets, self.book, self.clock, self.leadership, self.key_of)
        self._settling = Settling(ledger, self.conflicts)
        speed = self.settings.speed
        self.looker = Looker(self.targets, ledger, self.clock, idle, speed=speed, on_news=self.news, on_look=self._seen)
        self.reader = Reader(self.metrics, self.clock, self.settings.beat_seconds, speed=speed, on_news=self.news)
        self.reader.forecast = self.forecaster.take
        self.writer = Writer(ledger, self.clock, self.conflicts, self.events, self.acts, self._letting, self._after)
        self.loader = LoanLoader(
            ledger, self.clock, self.leadership, self._may_load, self._may_watch, on_news=self._loaded, speed=speed
        )
        self.timetabler = Timetabler(self.solver, self.clock, on_news=self.news)
        drains, self.stopwatch.speed = Drains(speed=speed), speed
        self.memory = Memory(
            self.learned, self.store, ledger, self.stopwatch, drains, self.clock, self.leadership,
            self.writer.rate, self.forecaster, self.reader.blindness,
            on_timetables=self.timetabler.recall, on_news=self.news,
        )  # fmt: skip
        if self.past is not None:
            lead, cell, known = self.leadership, self.plan_settings.cell, self.memory.known
            self.history = History(self.past, self.forecaster, self.clock, lead, known, cell)
        if self.pools is not None:
            self.pool_looker = PoolLooker(
                self.pools, ledger, self.clock, idle, drains=drains, speed=speed, on_news=self.news
            )
            self.pool_work = PoolWork(self.pool_looker, self.looker, self._settling, self.events, self.memory.sizes)
        self._planner = Planner(self.plan_settings)
        self.forecaster.book = self._planner.told

    # ---- what happens

    def news(self, namespace: str = "") -> None:
        """Something changed that a decision may depend on: an object of a namespace, or something of nobody's."""
        self.fills += 1
        self.on_wake(namespace)

    def _loaded(self) -> None:
        """The loans were read: what was seen before tells nothing of their fields."""
        self.looker.hasten()
        self.looker.ask_of_loans()
        if self.pool_looker is not None:
            for name in self._pools():
                self.pool_looker.hasten(name)
        self.on_due()
        self.news()

    def touch(self, ref: Ref, *, spec_changed: bool = True) -> None:
        """A watch saw an object change: look at it at once. Of a status alone only while a start is being measured."""
        if spec_changed or self.stopwatch.runs_for(self.looker.keys_of(ref)):
            self.looker.touch(ref)
            self.on_due()

    def acts(self) -> bool:
        """Whether anything may be written: we lead, what on-call said was heard since then (or levels may rise all the
        same), our loans and what was learned are known, and no durable stop stands.
        """
        unheard = self.store.unheard()
        leads = self.leadership.may_write() and self.store.synced and (unheard is None or unheard.raises)
        return leads and self.ledger.loaded and self.memory.known(self.clock.now()) and not self.store.stopped()

    def _letting(self) -> Callable[[Wish], bool]:
        whole, parts = self.store.unheard(), self.store.unheard_in()
        return lambda wish: all(u is None or u.lets(upwards=wish.upwards) for u in (whole, parts.get(wish.tenant)))

    def _may_load(self) -> bool:
        return self.writer.idle and self.store.plannable and not self.store.stopped()

    def _may_watch(self) -> bool:
        return self.store.synced and self.store.stopped()

    @property
    def readers(self) -> tuple[Round, ...]:
        """The rounds that fill what is known, in the order of a turn."""
        some = tuple(work for work in (self.pool_looker, self.history) if work is not None)
        return (self.loader, self.memory, self.looker, self.reader, *some)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """All rounds: what the process drives freely."""
        return (*self.readers, self.timetabler, self.writer)

    def ages(self, now: float) -> dict[str, Age]:
        """The age of each kind of knowledge."""
        pools = Age() if self.pool_looker is None else self.pool_looker.age(now)
        targets, signals, timetables = self.looker.age(now), self.reader.age(now), self.timetabler.age(now)
        return {"targets": targets, "signals": signals, "pools": pools, "timetables": timetables}

    # ---- one turn

    async def turn(self) -> Beat | None:
        """Look, read, decide and write once, in this order; None while the first lists are not complete.

        Where a pool is due for a timetable it is made, decided on once more, and on record before a level is written.
        """
        if not self.store.plannable:
            return None
        self.focus()
        self.looker.hasten()
        self.reader.hasten()
        for work in self.readers:
            await run_once(work, self.clock.now())
        beat = self.decide()
        if beat is None:
            return None
        if await run_once(self.timetabler, self.clock.now()):
            beat = self.decide() or beat
        await run_once(self.memory, self.clock.now())
        await run_once(self.writer, self.clock.now())
        beat = replace(beat, applied=beat.applied + self._taken(), loans=self._loans(), writes=self.ledger.writes)
        self.on_beat(beat)
        return beat

    def decide(self) -> Beat | None:
        """Decide on what is there, in one go; None while the first lists are not complete."""
        for _ in self.deciding():
            pass
        return self.last

    def deciding(self, *, stands: float = 0.0, only: frozenset[str] | None = None) -> Generator[None, None, None]:
        """Decide on what is there, and say what is to be written. Yields after each target, and as much of other work,
        so that others can get their turn; ``last`` is the answer afterwards, None while the first lists are not
        complete.

        For up to ``stands`` seconds a decision stands that rests on nothing new; 0: all are made anew. ``only``: what
        changed elsewhere than in these namespaces is left to the next decision on everything.
        """
        self.last = None
        if not self.store.plannable:
            return
        if self.store.stopped():
            self.ledger.unload()  # loans are being returned from outside: read them again afterwards
        now, acting = self.clock.now(), self.acts()
        policies, pools, announced = self.store.policies(), self._pools(), self.store.announcements()
        changes = self.store.changes()  # after what they are changes of: what comes in between is told again
        self.ledger.bound(now)
        if acting:
            self._settle(now)
        world = self._world(policies, pools, announced, now)
        known = changes if self._plan is not None else None
        planning = self._planner.begin(world, now, changed=known, stands=stands, only=only)
        while not planning.step(1):
            if planning.rebuilt:
                self.on_rebuild()
            yield
        plan = planning.plan
        self.store.acknowledge(changes)
        if self._plan is None:
            log.info("first plan: %d events, %d targets", len(announced), len(plan.targets))
        self._plan = plan
        self.timetabler.want(plan.pools, pools.keys())
        self.focus()
        yield
        if acting:
            self.memory.decided(plan.pools, now)
            wishes = filter(self._letting(), self._wishes(world, plan, pools, now))
            # Not of pools: who may rise there is decided anew each time, for all of a pool together.
            left = {k for k, p in policies.items() if p.pool is None and only is not None and k.namespace not in only}
            self.writer.post(wishes, now, aside=frozenset(left))
        else:
            self.writer.withdraw()
        leading = self.leadership.may_write() and self._knows()
        self.last = Beat(
            now, world, plan, self._taken(), self._loans(), leading, self.ledger.writes, self._next_at(now)
        )

    def _knows(self) -> bool:
        """Whether our loans were read and every target was asked for since, as far as that matters."""
        now = self.clock.now()
        read = self.store.stopped() or (self.ledger.loaded and self.memory.known(now))
        return self._knowing.knows(self.leadership.epoch, now, read=read, asked=self.looker.asked_all)

    def focus(self) -> None:
        """Tell the readers what there is to look at, and what of it matters now."""
        now, policies, pools = self.clock.now(), self.store.policies(), self._pools()
        plan, loans, settings = self._plan, self.ledger.loans.values(), self.settings
        near, following = attention.near(plan, loans, self.store.announcements()), attention.following(policies)
        active = attention.active(plan, until=now + settings.active_ahead) | following
        self.looker.want(policies, active=active | near, near=near)
        signals: dict[SignalKey, SignalSpec] = {(k, s.name): s for k, p in policies.items() for s in p.signals}
        read = attention.reading(plan, loans, until=now + settings.read_ahead) | {key for key, _ in following}
        self.forecaster.want(policies, self.memory.starts())
        wanted = {key for key in signals if key[0] in read}
        for pool in pools.values():
            for key, member in work_signals(pool):
                assert member.work is not None  # noqa: S101 - only those are told
                signals[key] = SignalSpec(member.name, member.work.query, member.work.stale_after)
                wanted.add(key)
        self.reader.want(signals, wanted=frozenset(wanted))
        if self.pool_looker is not None:
            busy = attention.busy_pools(plan, self.pool_looker, pools)
            self.pool_looker.want(pools, busy=frozenset(busy))
        targets = ((key, one) for key, policy in policies.items() for one in policy.targets)
        self.stopwatch.know({(key, one.name): one.lead.seconds + one.lead.machine_seconds for key, one in targets})

    # ---- gather

    def _pools(self) -> Mapping[str, Pool]:
        return self.store.pools() if self.pools is not None else {}

    def _settle(self, now: float) -> None:
        """Take in what the fields of loans were seen to hold, of knowledge that is newer than our writes."""
        for key, look in self.looker.sights.items():
            place, held = look.sight.place, look.sight.held
            if place is None or held is None or self.writer.is_busy(place.id):
                continue
            if not self.ledger.is_current(place, asked=look.asked, version=held.version):
                continue
            target = self._plan.targets.get(key) if self._plan is not None else None
            next_at = target.next_at if target is not None else None
            self._settling.take_in(place, held, now=now, next_at=next_at)
        if self.pool_work is not None:
            self.pool_work.settle(now)

    def _world(
        self,
        policies: Mapping[Key, Policy],
        pools: Mapping[str, Pool],
        announced: Mapping[Key, Announcement],
        now: float,
    ) -> World:
        readings, looker = self.reader.told(now), self.looker
        worlds = {}
        if self.pool_work is not None:
            drained, places = self.memory.lane_drains(), self.memory.places
            self.pool_work.learn_sizes(policies, self.memory.pod_sizes())
            worlds = self.pool_work.worlds(pools, policies, readings, self._plan, now, measured=drained, places=places)
        return World(
            policies=policies,
            announcements=announced,
            observed=self._settling.with_answers(looker.observed(now), looker.sights, self.writer.refusals, now),
            readings={key: one for key, one in readings.items() if key[0].namespace},
            measured=self.memory.starts(),
            settings=self.plan_settings,
            stopped=self.store.stopped(),
            unheard=self.store.unheard(),
            unheard_in=self.store.unheard_in(),
            pools=worlds,
            overrides=self.store.overrides(),
            unread=self.store.unread(),
            writes_per_second=self.memory.writes_per_second(),
            timetables=dict(self.timetabler.timetables),
        )

    # ---- apply

    def _wishes(self, world: World, plan: Plan, pools: Mapping[str, Pool], now: float) -> Iterator[Wish]:
        debts = debts_of(plan, self.looker, self.ledger, now)
        yield from of_debts(debts, plan, self.looker, now)
        yield from of_steps(plan, world.policies, self.looker, self.ledger, now)
        if self.pool_work is not None:
            self.pool_work.tell_again(plan)
            yield from self.pool_work.wishes(plan, pools, self.store.unusable_pools(), now)
        yield from self._orphans(world, now, debts.kept)
        yield from of_records(self.ledger, now)

    def _orphans(self, world: World, now: float, kept: frozenset[FieldId]) -> Iterator[Wish]:
        """Loans for which nobody has spoken for a while."""
        over = list(of_orphans(world, self.looker, self.ledger, self.store.unusable(), now, kept))
        self._over_since = {one.field: min(self._over_since.get(one.field, now), now) for one in over}
        for wish in over:
            if now - self._over_since[wish.field] >= ORPHAN_GRACE or wish.kind is Kind.LET_GO:
                yield wish

    def _next_at(self, now: float) -> float | None:
        graces = [at + ORPHAN_GRACE for at in self._over_since.values() if at + ORPHAN_GRACE > now]
        planned = [self._plan.next_at] if self._plan is not None and self._plan.next_at is not None else []
        return min((*graces, *planned), default=None)

    def _loans(self) -> tuple[Loan, ...]:
        return tuple(self.ledger.loans.values())

    def _taken(self) -> tuple[Applied, ...]:
        done, self._done = tuple(self._done), []
        return done

    def _seen(self, key: TargetKey, look: Look) -> None:
        """A target was looked at: a running measurement may be complete."""
        seen = look.sight.observed
        evidence = (*seen.evidence, *([refused] if (refused := look.sight.refused) is not None else []))
        done = self.stopwatch.seen(key, ready=seen.ready, now=look.at, ordered=seen.ordered, evidence=evidence)
        if done is not None:
            log.info("%s/%s: %d units ready %.1f s after the write", key[0], key[1], done.units, done.seconds)

    def _after(self, one: Applied) -> None:
        """After a write: look at the object again, and start the stopwatch."""
        self._done.append(one)
        look = self.looker.sights.get((one.policy, one.target))
        if look is not None and one.error is None:
            if one.measured:
                seen = look.sight.observed
                there = max(seen.ready or 0, seen.desired or 0)
                self.stopwatch.written((one.policy, one.target), level=one.level, there=there, now=one.at)
            else:
                self.stopwatch.ended((one.policy, one.target))
        self.looker.touch(one.ref)
        if self.pool_looker is not None and not one.policy.namespace:
            self.pool_looker.hasten(one.policy.name)
        self.on_due()
        self.news()
