"""The world behind the loop's ports, as a backtest stages it: one workload, its loans, one signal, one clock.

The control loop that runs on these ports is the operator's own. Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.planning.model import (
    MANAGER,
    Announcement,
    Freshness,
    Key,
    Observed,
    Policy,
    Reading,
    Ref,
)
from tidegate.planning.override import Override
from tidegate.planning.shift.model import Pool
from tidegate.planning.withheld import Unheard
from tidegate.ports import ConflictError, Held, LastValid, Loan, Manager, Place, Sight

OWNER = Manager("owner", "Apply")
"""The field manager who wrote the workload's level before anything was borrowed."""
NAMESPACE = "backtest"
WORKLOAD = "workload"
QUERY = "demand"


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until the backtest moves it."""

    at: float

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        """Jump to ``until``: nothing else moves time."""
        if not wake.is_set():
            self.at = max(self.at, until)


@dataclass(slots=True)
class Workload:
    """The one workload: its level is ``spec.replicas``, or ``minReplicas`` of the HPA in front of it."""

    clock: SetClock
    level: int
    maximum: int | None = None
    """``maxReplicas`` of the HPA in front of the workload; None: there is no HPA."""
    ready: int = 0
    desired: int = 0
    owner: Manager | None = OWNER
    loans: dict[Key, Loan] = field(default_factory=dict)
    writes: list[tuple[float, int]] = field(default_factory=list)
    """(instant, level) of every level that the loop wrote."""
    place: Place = field(init=False)
    _version: int = 1

    def __post_init__(self) -> None:
        if self.maximum is None:
            self.place = Place(Ref("apps/v1", "Deployment", NAMESPACE, WORKLOAD), "uid", "/spec/replicas", "scale")
        else:
            self.place = Place(
                Ref("autoscaling/v2", "HorizontalPodAutoscaler", NAMESPACE, WORKLOAD), "uid", "/spec/minReplicas"
            )

    # ---- ports.Targets

    async def see(self, ref: Ref) -> Sight:
        """The workload as it stands."""
        scaler = self.place.ref if self.maximum is not None else None
        observed = Observed(self.level, self.ready, self.desired, self.maximum, scaler)
        return Sight(observed, self.place, self._held())

    async def examine(self, ref: Ref) -> Sight:
        """As ``see``: a backtest has no events on objects that would explain anything."""
        return await self.see(ref)

    async def held(self, place: Place) -> Held:
        """The field as it is."""
        return self._held()

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        """Compare and set."""
        if self.level != believed:
            raise ConflictError(f"the level is {self.level}, not {believed}")
        self.level, self.owner = wanted, Manager(MANAGER, "Apply")
        self.writes.append((self.clock.at, wanted))
        self._version += 1

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        """The field belongs to its owner again."""
        self.owner = manager
        self._version += 1

    def _held(self) -> Held:
        return Held(self.level, self.owner, self._version)

    # ---- ports.LoanBook

    async def list(self) -> Sequence[Loan]:
        """All loans."""
        return list(self.loans.values())

    @property
    def closed(self) -> frozenset[str]:
        """None: all are read."""
        return frozenset()

    async def names(self) -> frozenset[Key]:
        """Their names."""
        return frozenset(self.loans)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        """Keep a loan."""
        self.loans[loan.key] = loan

    async def remove(self, loan: Loan) -> None:
        """Forget a loan."""
        self.loans.pop(loan.key, None)


def loan_key(place: Place) -> Key:
    """The name of a new loan."""
    return Key(place.ref.namespace, f"{place.ref.name}-{place.uid}")


@dataclass(slots=True)
class Announced:
    """``ports.Store``: the policy, and the events that are announced by now."""

    policy: Policy
    events: dict[Key, Announcement] = field(default_factory=dict)
    changed: set[Key] = field(default_factory=set)
    synced: bool = True

    @property
    def plannable(self) -> bool:
        """See ``ports.Store``."""
        return self.synced

    def put(self, event: Announcement) -> None:
        """Announce an event, or change it."""
        self.events[event.key] = event
        self.changed.add(event.key)

    def drop(self, key: Key) -> None:
        """Take an event back."""
        del self.events[key]
        self.changed.add(key)

    def policies(self) -> Mapping[Key, Policy]:
        """The one policy."""
        return {self.policy.key: self.policy}

    def announcements(self) -> Mapping[Key, Announcement]:
        """What is announced now."""
        return self.events

    def changes(self) -> frozenset[Key]:
        """What changed since the last acknowledgement."""
        return frozenset(self.changed)

    def acknowledge(self, changes: frozenset[Key]) -> None:
        """These changes are planned."""
        self.changed -= changes

    def stopped(self) -> bool:
        """Never."""
        return False

    def unread(self) -> Mapping[Key, str]:
        """Nothing is unreadable."""
        return {}

    def last_valid(self) -> Mapping[Key, tuple[LastValid, ...]]:
        """Nothing is invalid."""
        return {}

    def recall(self, versions: Iterable[LastValid]) -> None:
        """Nothing to recall."""

    def unheard(self) -> Unheard | None:
        """Everything is heard."""

    def unheard_in(self) -> Mapping[str, Unheard]:
        """Everywhere."""
        return {}

    def unusable(self) -> frozenset[Key]:
        """Nothing is unusable."""
        return frozenset()

    def pools(self) -> Mapping[str, Pool]:
        """No pools."""
        return {}

    def unusable_pools(self) -> frozenset[str]:
        """None either."""
        return frozenset()

    def overrides(self) -> tuple[Override, ...]:
        """Nobody is on call."""
        return ()


@dataclass(slots=True)
class Signal:
    """``ports.MetricsSource``: what the metrics pipeline shows at this instant."""

    value: float | None = None
    """None: a gap, the query finds no series."""
    since: float = 0.0
    span: float = 0.0

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """The reading of now."""
        if self.value is None:
            return Reading(Freshness.EMPTY, None, now, "the trace has a gap here")
        return Reading(Freshness.FRESH, self.value, self.since, stamp=self.since, span=self.span)


@dataclass(slots=True)
class Leader:
    """``ports.Leadership``: the one process."""

    epoch: int = 1

    def may_write(self) -> bool:
        """Always."""
        return True


@dataclass(slots=True)
class Silence:
    """``ports.EventSink`` that keeps nothing."""

    def emit(
        self,
        subject: Ref,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        about: str = "",
        until: float | None = None,
    ) -> None:
        """Drop it."""
