"""Whether what on-call says is heard: the durable stop, policies, overrides and pools, since we lead and since a break.

What was not listed holds writes back: they would be by what was true before. What was not listed of one namespace of
several holds back what is written there, and nothing else: whoever owns it may delete it, and our rights with it. Where
its LiveEvents are heard of no more, nothing is lowered there. This module says so, for the loop, for the verdicts and
for the probes, in the same words.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tidegate.planning.instants import rfc3339
from tidegate.planning.withheld import Unheard
from tidegate.shell.informer import Informer
from tidegate.shell.kinds import GRACE, HELD_FOR, FewKinds
from tidegate.shell.watches import OBEYED_WITHIN

STOP_LOST = OBEYED_WITHIN + GRACE
"""Seconds without a sign of life of a watch that broke, after which a durable stop may have been set unheard."""

EVENTS_LOST = 60.0
"""Seconds for which the watch of a namespace's LiveEvents may fail before that is told, and nothing is lowered there
any more. Judgment: an informer has tried again twice by then."""


@dataclass(slots=True)
class Hearing:
    """Of one process."""

    stop: Informer
    """The watch of the durable stop."""
    few: FewKinds
    leads_since: Callable[[], float]
    """When we began to lead, by the monotonic clock; infinite before."""
    now: Callable[[], float]
    """Epoch seconds."""
    events: Mapping[str, Informer] = field(default_factory=dict)
    """The watches of what is announced, by namespace; none where there is one for the whole cluster."""
    loans_closed: Callable[[], frozenset[str]] = frozenset
    """Namespaces whose loans may not be read."""
    _dated: dict[float, float] = field(default_factory=dict)
    """The last instants of the monotonic clock that were told, in epoch seconds: told again they are the same."""

    def stop_heard(self) -> bool:
        """Without it nothing at all is written: others may be returning what was lent."""
        return self.stop.listed_at >= self.leads_since()

    def stop_lost_since(self) -> float | None:
        """Since when nobody could tell whether the durable stop was set, by the monotonic clock; None while it can be
        told. A break of seconds is none.
        """
        lost = self.stop.trouble and time.monotonic() - self.stop.alive_at > STOP_LOST
        return self.stop.alive_at if lost else None

    def unheard(self) -> Unheard | None:
        """See ``ports.Store``."""
        if not self.stop_heard():
            return self._told("the durable stop", self.leads_since(), self.stop.trouble, math.inf, raises=False)
        whole, lost = self._listed(""), self.stop_lost_since()
        if lost is None:
            return whole
        raises = time.monotonic() - lost > HELD_FOR and (whole is None or whole.raises)
        return self._told("the durable stop", lost, self.stop.trouble, HELD_FOR, raises=raises)

    def unheard_in(self) -> Mapping[str, Unheard]:
        """See ``ports.Store``."""
        return {scope: one for scope in self.events if (one := self._unheard_in(scope)) is not None}

    def _unheard_in(self, scope: str) -> Unheard | None:
        """Of a namespace of several. What is announced there, or lent, must have been listed once."""
        if not self.events[scope].synced:
            return self._told("liveevents", self.leads_since(), self.events[scope].trouble, math.inf, raises=False)
        if scope in self.loans_closed():
            return self._told("loans", self.leads_since(), "", math.inf, raises=False)
        return self._listed(scope) or self._lost(scope)

    def _lost(self, scope: str) -> Unheard | None:
        """Its LiveEvents can be heard of no more: one that was moved or grew may not be missed, so nothing is lowered.
        What was announced before still stands, so levels rise.
        """
        watch = self.events[scope]
        fails_since = max(watch.alive_at, watch.broke_at)
        if not watch.trouble or time.monotonic() - fails_since <= EVENTS_LOST:
            return None
        return self._told("liveevents", watch.alive_at, watch.trouble, 0.0, raises=True)

    def _listed(self, scope: str) -> Unheard | None:
        if (deaf := self.few.deaf(scope)) is None:
            return None
        held_for = HELD_FOR if self.few.known(scope) else math.inf
        return self._told(deaf.kinds, deaf.since, deaf.said, held_for, raises=self.few.may_raise(scope))

    def trouble(self) -> str | None:
        """What on-call may have said and nobody has heard, for a probe."""
        if not self.stop_heard():
            return "the durable stop was not listed since this process leads: nothing is written"
        if (lost := self.stop_lost_since()) is not None:
            words = f"whether the durable stop is set could not be told for {time.monotonic() - lost:.0f} s"
            return f"{words}: nothing is lowered, and nothing raised for {HELD_FOR:.0f} s ({self.stop.trouble})"
        if self.events and len(self.unheard_in()) < len(self.events):
            return None  # the others are served; their own statuses and ``tidegate_unheard`` tell of these
        return self.few.trouble() or None

    def _told(self, what: str, since: float, said: str, held_for: float, *, raises: bool) -> Unheard:
        at = self._date(since)
        dated = f" since {rfc3339(at)}" if at < math.inf else ""
        return Unheard(f"{what} could not be listed{dated}{f' ({said})' if said else ''}", at, at + held_for, raises)

    def _date(self, since: float) -> float:
        if since not in self._dated:
            if len(self._dated) > 2 * len(self.events):
                self._dated.clear()
            self._dated[since] = self.now() - (time.monotonic() - since)
        return self._dated[since]
