"""After each beat: tell what was seen, decided and done, in status, Events, metrics and the log."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from tidegate.api.parsed import ParsedEvent
from tidegate.api.walltime import to_rfc3339
from tidegate.api.zonedata import zone_data
from tidegate.control.loop import Beat
from tidegate.control.wishes import Applied
from tidegate.planning.book import WATCH
from tidegate.planning.causes import NOBODYS_FAULT
from tidegate.planning.decision import Action, Outcome, Verdict
from tidegate.planning.explain import own_share
from tidegate.planning.foretold import foretold, nobody_prepares, uncarried
from tidegate.planning.model import Key, PlanSettings, Policy, Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.verdict import settled
from tidegate.planning.world import PoolWorld
from tidegate.ports import Clock, EventSink, Publisher, StatusPatch
from tidegate.shell.isolated import Isolated, Telling
from tidegate.shell.kept import KeptStatuses
from tidegate.shell.pace import Pace
from tidegate.shell.pool_status import pool_status
from tidegate.shell.spoken import Spoken
from tidegate.shell.status import event_changes_at, event_status, invalid_status, policy_status
from tidegate.shell.store import Invalid, WatchedStore
from tidegate.shell.went import Went, looks

log = logging.getLogger("tidegate.decisions")

API_VERSION = "tidegate.dev/v1alpha1"
SECOND_LOOK = 1.0
"""Seconds after which what was found is found a second time."""
SWEEP = 600.0
"""Seconds between two looks at the status of every event."""

FIRST_LOOK = 5.0
"""Seconds for which it is not told that a target was not looked at yet: the first look is under way."""
RETOLD = 60.0
"""Seconds for which the numbers of a verdict stand as they were told: each pod that becomes ready moves them in the
text of every event that needs it, and the policy's own status has them."""
RETOLD_EACH = 0.2
"""Seconds that each event with a verdict adds to that: in all no more than five are told anew a second."""

STANDS = 30.0
"""Seconds after we have begun to lead for which the verdict stands that the last leader told, until there is another
one: a first look takes as long as that where the API server is slow."""

WENT = "how it went with LiveEvent"
"""What a failure in that is called in the log."""

_DID = {Action.RAISE: "FloorRaised", Action.LOWER: "FloorLowered", Action.RETURN: "LoanReturned"}
_VERDICTS = {Outcome.READY: "OnTime", Outcome.LATE: "RunningLate", Outcome.BLOCKED: "Blocked"}


@dataclass(slots=True)
class Reporter:
    """Turns beats into what people see."""

    store: WatchedStore
    publisher: Publisher
    events: EventSink
    clock: Clock
    cell: float = PlanSettings().cell
    most_looked: int = 150
    """Events of which the instant of the last look is shown: of a quarter of the status writes that are allowed."""
    last: Beat | None = None
    _leads_since: float | None = None
    _live: set[Key] = field(default_factory=set)
    _told: dict[Key, Verdict] = field(default_factory=dict)
    _told_at: dict[Key, float] = field(default_factory=dict)
    _looked: dict[Key, tuple[Verdict, float]] = field(default_factory=dict)
    """What the last decision found of each event, and since when it is so."""
    _shown_for: dict[Key, tuple[float, float]] = field(default_factory=dict)
    """From when until when time alone changes nothing of what is shown of an event."""
    _went: Went = field(default_factory=Went)
    _looked_at: dict[Key, float] = field(default_factory=dict)
    """When each event that runs or begins soon was last looked at, as shown."""
    _policies_shown: KeptStatuses = field(default_factory=KeptStatuses)
    _overrides: Spoken = field(default_factory=Spoken)
    _isolated: Isolated = field(default_factory=Isolated)
    _bounds: dict[Key, object] = field(default_factory=dict)
    """What is told of a policy's events long before they are near rests on this."""
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Statuses of events are to be looked at before the next sweep is due."""

    def report(self, beat: Beat) -> None:
        """Show one beat in one go. Only the leader shows status: two that disagree would write for ever."""
        for _ in self.steps(beat):
            pass

    def steps(self, beat: Beat) -> Iterator[None]:
        """Show one beat, giving way after each object: of thousands all in one go would hold everything up.

        The store may change between two steps. An object of which nothing can be told keeps no other waiting.
        """
        self.last = beat
        self.say(beat.applied)
        if not beat.leading:
            self._leads_since = None
            return
        if self._leads_since is None:
            self._leads_since = self.clock.now()
        for telling in chain(
            self._policies(beat),
            self._near_events(beat),
            self._pools(beat),
            self._overrides.tellings(beat, self.store.invalid),
        ):
            self._show(telling)
            yield

    def say(self, applied: Iterable[Applied]) -> None:
        """Tell what was done."""
        for one in applied:
            self._isolated.run("what was done for target", f"{one.policy}/{one.target}", partial(self._say, one))

    def arrived(self, key: Key, status: object = None) -> None:
        """An event appeared or changed, and shows ``status``: show that it was accepted, or why not."""
        self._shown_for.pop(key, None)
        self._isolated.run("what is shown by LiveEvent", key, partial(self._went.recall, key, status))
        if self.last is not None and self.last.leading:
            self._show(Telling("LiveEvent", key, partial(self._event, key)))

    def forget(self, key: Key) -> None:
        """An event is gone."""
        self._shown_for.pop(key, None)
        self._went.forget(key)

    async def sweep_for_ever(self) -> None:
        """Now and then, bring every event's status up: its occurrence may have passed."""
        while True:
            if self.last is not None and self.last.leading:
                self._moved.clear()
                await self._sweep()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), SWEEP)
                await asyncio.sleep(1.0)
            else:
                await asyncio.sleep(1.0)

    async def _sweep(self) -> None:
        now = self.clock.now()
        # Also those that were shown by a later time than now: by a clock that has been set back.
        late = [key for key in (*self.store.events, *self._invalid()) if not self._stays(key, now)]
        pace = Pace()
        for key in late:
            self._show(Telling("LiveEvent", key, partial(self._event, key)))
            await pace.breathe()

    def _show(self, telling: Telling) -> None:
        """Make the status of one object, and have it published. An event's that fails is tried again by each sweep."""
        what = f"the status of {telling.kind}"
        shown = self._isolated.run(what, telling.key, lambda: self.publisher.publish(telling.make()))
        if not shown and telling.kind == "LiveEvent":
            self._shown_for.pop(telling.key, None)

    def _stays(self, key: Key, now: float) -> bool:
        since, until = self._shown_for.get(key, (math.inf, math.inf))
        return since <= now < until

    def _invalid(self) -> list[Key]:
        return [key for kind, key in self.store.invalid if kind == "LiveEvent"]

    def _policies(self, beat: Beat) -> Iterable[Telling]:
        borrowers = {loan.policy for loan in beat.loans}
        for key, policy in beat.world.policies.items():
            yield Telling("ScalingPolicy", key, partial(self._policy, beat, policy, urgent=key in borrowers))
        self._policies_shown.keep(beat.world.policies.keys())
        self._far_events(beat)
        for (kind, key), bad in list(self.store.invalid.items()):
            if kind == "ScalingPolicy" and key not in beat.world.policies:
                yield Telling(kind, key, partial(_invalid, kind, key, bad))

    def _policy(self, beat: Beat, policy: Policy, *, urgent: bool) -> Iterable[StatusPatch]:
        key = policy.key
        bad = self.store.invalid.get(("ScalingPolicy", key))
        note = f"the latest change is not valid, the policy acts as before: {bad.problems}" if bad else ""
        free = self.store.free.get(key, "") if self.store.confine else None
        of = [(key, target.name) for target in policy.targets]
        mine = [(beat.plan.targets[one], beat.world.observed.get(one)) for one in of]
        kept = self._policies_shown.of(
            key,
            (policy, mine, note, free, zone_data()),
            partial(policy_status, policy, beat.plan, beat.world.observed, note=note, free=free),
        )
        return [StatusPatch("ScalingPolicy", key, kept.status, urgent=urgent, kept=True)]

    def _far_events(self, beat: Beat) -> None:
        """Have those events looked at again whose policy, or an autoscaler's maximum, is another one by now."""
        observed, known = beat.world.observed, self._bounds
        self._bounds = {
            key: (policy, [one.maximum for t in policy.targets if (one := observed.get((key, t.name)))])
            for key, policy in beat.world.policies.items()
        }
        moved = {key for key in known.keys() | self._bounds if known.get(key) != self._bounds.get(key)}
        if not moved:
            return
        for key, event in self.store.events.items():
            if Key(key.namespace, event.policy) in moved:
                self._shown_for.pop(key, None)
        self._moved.set()

    def _pools(self, beat: Beat) -> Iterable[Telling]:
        for name, one in beat.world.pools.items():
            yield Telling("CapacityPool", Key("", name), partial(self._pool, beat, name, one))
        for (kind, key), bad in list(self.store.invalid.items()):
            if kind == "CapacityPool" and key.name not in beat.world.pools:
                yield Telling(kind, key, partial(_invalid, kind, key, bad))

    def _pool(self, beat: Beat, name: str, one: PoolWorld) -> Iterable[StatusPatch]:
        key = Key("", name)
        bad = self.store.invalid.get(("CapacityPool", key))
        note = f"the latest change is not valid, the pool acts as before: {bad.problems}" if bad else one.note
        return [StatusPatch("CapacityPool", key, pool_status(one.pool, beat.plan.pools.get(name), note=note))]

    def _near_events(self, beat: Beat) -> Iterable[Telling]:
        live = {
            Key(loan.policy.namespace, name.removeprefix("LiveEvent/"))
            for loan in beat.loans
            for name in loan.wanted_by
            if name.startswith("LiveEvent/")
        } & self.store.events.keys()
        changed = live ^ self._live
        self._live = live
        looked = self._seen_before(beat)
        for key, fresh in list(beat.plan.verdicts.items()):
            verdict = settled(self._told.get(key), looked.get(key), fresh)
            if verdict is not fresh and self._looked[key][1] == beat.now:
                log.info("%s: %s, seen once: %s", key, fresh.outcome.value, fresh.message)
            if verdict is not None and self._is_worth_telling(key, verdict, beat):
                changed.add(key)
                known = self._told.get(key)
                self._told[key], self._told_at[key] = verdict, beat.now
                self._isolated.run("the Event of LiveEvent", key, partial(self._announce, key, verdict, known))
                self._isolated.run(WENT, key, partial(self._went.judged, key, known, verdict, beat.now))
        for gone in self._told.keys() - beat.plan.verdicts.keys():
            changed.add(gone)
            del self._told_at[gone]
            self._isolated.run(WENT, gone, partial(self._went.ended, gone, self._told.pop(gone), beat.now))
        before, self._looked_at = self._looked_at, looks(self._told, beat.now, most=self.most_looked)
        older = {key for key in before.keys() | self._looked_at if before.get(key) != self._looked_at.get(key)}
        for key in sorted(changed):
            yield Telling("LiveEvent", key, partial(self._event, key, urgent=True))
        for key in sorted(older - changed):
            yield Telling("LiveEvent", key, partial(self._event, key))

    def _is_worth_telling(self, key: Key, verdict: Verdict, beat: Beat) -> bool:
        """What a verdict means, at once; its numbers now and then."""
        shown = self._told.get(key)
        if shown == verdict:
            return False
        if verdict.reason is Reason.NOT_SEEN_YET and 0.0 <= beat.now - self._looked[key][1] < FIRST_LOOK:
            return False
        if shown is None or replace(shown, message="", ready_at=None) != replace(verdict, message="", ready_at=None):
            return True
        wait = max(RETOLD, RETOLD_EACH * len(beat.plan.verdicts))
        return not 0.0 <= beat.now - self._told_at[key] < wait

    def _seen_before(self, beat: Beat) -> dict[Key, Verdict]:
        """What earlier looks found, of what has been so for a second: decisions may follow one another at once."""
        before: dict[Key, Verdict] = {}
        looked: dict[Key, tuple[Verdict, float]] = {}
        for key, verdict in beat.plan.verdicts.items():
            known, since = self._looked.get(key, (None, beat.now))
            if known is None or (known.outcome, known.reason) != (verdict.outcome, verdict.reason):
                since = beat.now
            # A clock that was set back makes nobody wait until it comes to ``since`` again.
            if known is not None and not 0.0 < beat.now - since < SECOND_LOOK:
                before[key] = known
            looked[key] = verdict, since
        self._looked = looked
        return before

    def _event(self, key: Key, *, urgent: bool = False) -> Iterable[StatusPatch]:
        bad = self.store.invalid.get(("LiveEvent", key))
        if bad is not None:
            self._shown_for[key] = self.clock.now(), math.inf
            return _invalid("LiveEvent", key, bad, urgent=urgent)
        parsed = self.store.events.get(key)
        if parsed is None:
            self._shown_for.pop(key, None)
            return []
        now, verdict = self.clock.now(), self._told.get(key)
        coming = parsed.next_occurrence(now)
        due = verdict is None and coming is not None and coming.start - WATCH <= now
        if due and coming is not None and self._stands(key, coming.start, now):
            return []
        policy = self.store.policy(Key(key.namespace, parsed.policy))
        announced = self.store.announcements().get(key)
        share = own_share(announced, policy, cell=self.cell) if policy and announced else ()
        names = uncarried(parsed.base, policy) if policy else []
        status = event_status(
            parsed,
            verdict or self._foretold(parsed, policy),
            live=key in self._live,
            share=share,
            now=now,
            last=self._went.last(key),
            unprepared=nobody_prepares(names, policy) if policy and names else "",
            due=due,
        )
        since = self._went.ready_since(key, verdict.starts_at) if verdict is not None else None
        looked = self._looked_at.get(key)
        status["readyTime"] = to_rfc3339(since) if since is not None else None
        status["lookedAt"] = to_rfc3339(looked) if looked is not None else None
        self._shown_for[key] = now, event_changes_at(parsed, now)
        return [StatusPatch("LiveEvent", key, status, urgent=urgent)]

    def _stands(self, key: Key, starts_at: float, now: float) -> bool:
        """Whether a verdict of the last leader is on show, and it is too early for one of ours."""
        led = self._leads_since
        return led is not None and 0.0 <= now - led < STANDS and self._went.shows(key, starts_at)

    def _foretold(self, event: ParsedEvent, policy: Policy | None) -> Verdict | None:
        """What is known to be wrong with an event that has no verdict yet."""
        occurrence = event.next_occurrence(self.clock.now())
        if policy is None or occurrence is None:
            return None
        share = own_share(replace(event.base, occurrences=(occurrence,)), policy, cell=self.cell)
        observed = self.last.world.observed if self.last is not None else {}
        seen = {t.name: observed[policy.key, t.name] for t in policy.targets if (policy.key, t.name) in observed}
        return foretold(event.base, policy, share, seen, occurrence.start)

    def _say(self, one: Applied) -> None:
        if not one.told and one.error is None:
            return
        if not one.policy.namespace:
            self._say_of_pool(one)
            return
        subject = Ref(API_VERSION, "ScalingPolicy", one.policy.namespace, one.policy.name)
        if one.error is not None:
            log.warning("%s/%s: %s failed: %s", one.policy, one.target, one.action.value, one.error)
            failed = f"{one.target}: {one.error}"
            self.events.emit(subject, reason="WriteFailed", message=failed, warning=True, about=one.target)
            return
        text = f"{one.target}: {one.before} to {one.level}, {one.message}"
        log.info("%s %s", one.policy, text)
        self.events.emit(subject, reason=_DID[one.action], message=text, about=one.target)

    def _say_of_pool(self, one: Applied) -> None:
        """A step of a hand-over is told to the work itself; its notice was told before it was stored."""
        if one.error is None and one.reason is Reason.NOTICE_GIVEN:
            return
        text = f"{one.message} (CapacityPool {one.policy.name}, lane {one.target})"
        if one.error is not None:
            log.warning("%s: %s failed: %s", one.ref, one.reason.value, one.error)
            self.events.emit(one.ref, reason="WriteFailed", message=f"{one.error} ({text})", warning=True)
            return
        log.info("%s/%s %s: %s", one.ref.namespace, one.ref, one.reason.value, text)
        self.events.emit(one.ref, reason=one.reason.value, message=text)

    def _announce(self, key: Key, verdict: Verdict, before: Verdict | None) -> None:
        """An Event when the outcome changes, or what blocks; not when its numbers do."""
        if verdict.outcome is Outcome.UNKNOWN or _news(verdict) == _news(before):
            return
        log.info("%s: %s: %s", key, verdict.outcome.value, verdict.message)
        subject = Ref(API_VERSION, "LiveEvent", key.namespace, key.name)
        bad = verdict.outcome is not Outcome.READY and verdict.reason not in NOBODYS_FAULT
        self.events.emit(subject, reason=_VERDICTS[verdict.outcome], message=verdict.message, warning=bad)


def _invalid(kind: str, key: Key, bad: Invalid, *, urgent: bool = False) -> Iterable[StatusPatch]:
    return [StatusPatch(kind, key, invalid_status(bad), urgent=urgent)]


def _news(verdict: Verdict | None) -> tuple[Outcome, Reason | None] | None:
    """What of a verdict is worth an Event."""
    if verdict is None:
        return None
    return verdict.outcome, verdict.reason if verdict.outcome is Outcome.BLOCKED else None
