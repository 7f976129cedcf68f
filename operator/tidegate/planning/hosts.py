"""How much of announced steps comes, by who announces them: a host, his tier, all together.

What is known of a tier begins with what is known of all, and what is known of a host with what is known of his tier: an
event says little of a host, and soon outweighs the others (``steps.Steps.expected``). Each T-0 that lies ahead is
prepared for by who announces it; later steps by those who are on, each of whom counts by how much he announces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.planning.model import Key
from tidegate.planning.steps import FIRST, Expected, Steps

MOST_HOSTS = 32
"""Hosts and tiers that are remembered of one signal, those that opened last. Judgment: head rooms are few, and the long
tail is what is known of all."""
MOST_OPENINGS = 64
"""More at a time are taken all together: of so many nobody matters alone."""
HOST, TIER = "host", "tier"

Who = tuple[str, str]
"""(``HOST`` or ``TIER``, name)"""


HostSteps = tuple[str, str, float, float, float]
"""(``HOST`` or ``TIER``, name, and the three numbers of ``Steps``)"""


class Opening(NamedTuple):
    """One T-0 of one signal, and who announces it."""

    start: float
    end: float
    host: str
    """Empty: nobody says."""
    tier: str
    """The same."""
    amount: float
    """What is announced at its height."""
    event: Key


@dataclass(slots=True)
class Hosts:
    """Of one signal of one policy."""

    all: Steps = field(default_factory=Steps)
    known: dict[Who, Steps] = field(default_factory=dict)
    """Who opened last comes last."""

    def came(self, share: float, openings: Collection[Opening] = ()) -> None:
        """An announced step of these was seen. What several hosts brought together tells nothing of any of them."""
        self.all.came(share)
        for who in (_only(HOST, {one.host for one in openings}), _only(TIER, {one.tier for one in openings})):
            if who is not None:
                steps = self.known.pop(who, None) or Steps()
                steps.came(share)
                self.known[who] = steps
        for former in list(self.known)[:-MOST_HOSTS]:
            del self.known[former]

    def prepared(self, q: float, openings: Sequence[Opening]) -> float:
        """Share of the next announced step of these that is prepared for, at the quantile ``q``."""

        def share(chain: Sequence[Steps]) -> float:
            before = FIRST
            for steps in chain[:-1]:
                before = steps.expected(before)
            return chain[-1].quantile(q, before)

        return self._weighted(openings, share)

    def believed(self, openings: Sequence[Opening]) -> float:
        """Share of what these announce that comes in the mean, at least 0."""

        def share(chain: Sequence[Steps]) -> float:
            mean = chain[0].mean
            for steps in chain[1:]:
                mean = steps.expected(Expected(1.0, mean, 0.0)).mean
            return max(0.0, mean)

        return self._weighted(openings, share)

    def forget(self, hosts: Collection[str]) -> bool:
        """Drop what is known of some hosts; whether there was any."""
        gone = [who for who in self.known if who[0] == HOST and who[1] in hosts]
        for who in gone:
            del self.known[who]
        return bool(gone)

    def told(self) -> tuple[HostSteps, ...]:
        """What is known of hosts and tiers, to be kept; who opened last comes last."""
        return tuple((*who, one.events, one.mean, one.square) for who, one in self.known.items())

    @classmethod
    def of(cls, all_of_them: Steps, told: Iterable[HostSteps]) -> Hosts:
        """What ``told`` gave."""
        return cls(all_of_them, {(kind, name): Steps(*steps) for kind, name, *steps in told})

    def _weighted(self, openings: Sequence[Opening], share: Callable[[Sequence[Steps]], float]) -> float:
        amounts: dict[tuple[Who | None, Who | None], float] = {}
        for one in openings if self.known and len(openings) <= MOST_OPENINGS else ():
            who = self._who(HOST, one.host), self._who(TIER, one.tier)
            amounts[who] = amounts.get(who, 0.0) + one.amount
        whole = sum(amounts.values())
        if whole <= 0.0:
            return share([self.all])
        return sum(amount * share(self._chain(who)) for who, amount in amounts.items()) / whole

    def _who(self, kind: str, name: str) -> Who | None:
        return (kind, name) if (kind, name) in self.known else None

    def _chain(self, who: tuple[Who | None, Who | None]) -> list[Steps]:
        """From what is known of all to what is known of the one, as far as anything is."""
        host, tier = who
        return [self.all, *(self.known[one] for one in (tier, host) if one is not None)]


def running(openings: Iterable[Opening], since: float, until: float) -> list[Opening]:
    """Those that are on between two instants, or at one."""
    return [one for one in openings if one.start <= until and since < one.end]


def _only(kind: str, names: set[str]) -> Who | None:
    """The one name that all of them have."""
    name = names.pop() if len(names) == 1 else ""
    return (kind, name) if name else None
