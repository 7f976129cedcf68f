"""The doors between the loop and the world, with their contracts.

``control`` knows only what stands here; ``targets``, ``metrics`` and ``shell`` provide it for a real cluster, fakes and
the simulator for tests. Every method may raise an error of the small tree below and no other; the cause is chained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tidegate.lending import Beneath as Beneath
from tidegate.lending import FieldId as FieldId
from tidegate.lending import HandOverNote as HandOverNote
from tidegate.lending import Held as Held
from tidegate.lending import Loan as Loan
from tidegate.lending import Manager as Manager
from tidegate.lending import Place as Place
from tidegate.lending import UnreadableLoan as UnreadableLoan
from tidegate.planning.hosts import HostSteps
from tidegate.planning.model import Announcement, Evidence, Key, Measured, Observed, Policy, Reading, Ref
from tidegate.planning.override import Override
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.model import Pool
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.withheld import Unheard

Json = dict[str, Any]


# ---- errors


class TidegateError(Exception):
    """Base of what adapters may raise: the message is a sentence for a person."""


class NotFoundError(TidegateError):
    """The object is not there (any more)."""


class ConflictError(TidegateError):
    """The object is not as we believed: another uid, another value, another version. Read again and decide again."""

    def __init__(self, message: str, manager: str | None = None) -> None:
        super().__init__(message)
        self.manager = manager
        """The field manager that stands against us, when the server names it."""


class OverwrittenError(ConflictError):
    """A level was written, and another one stood there when it was read back."""


class RefusedError(TidegateError):
    """The other side understood and said no (forbidden, invalid); asking again changes nothing."""

    ending: bool = False
    """It said so because the namespace is being deleted: nothing new can be made there."""


class UnavailableError(TidegateError):
    """No answer, or one that says "later"; worth another try at the next beat."""

    after: float | None = None
    """Seconds that whoever answered asks us to wait, when it does."""
    in_doubt: bool = True
    """A write that failed so may have been done, or be done later; False where it was not begun."""


# ---- time


class Clock(Protocol):
    """The only source of time for the loop; simulated time for tests and the demo."""

    def now(self) -> float:
        """Epoch seconds, UTC."""

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        """Return at ``until`` or when ``wake`` is set, whichever comes first. Does not clear ``wake``."""


# ---- things we change


@dataclass(frozen=True, slots=True)
class Sight:
    """A target as an adapter sees it: what the core is told, and where the level is written."""

    observed: Observed
    place: Place | None
    """None when there is nothing that may be written (``observed.trouble`` says why)."""
    held: Held | None = None
    watched_at: float | None = None
    """When the watch that this was taken from last gave a sign of life; None: the server was asked for it just now."""
    beneath: Beneath | None = None
    """The workload's own number where an autoscaler stands in front of it, whether ours to write or not."""
    refused: Evidence | None = None
    """The API server refuses the workload's pods, as its controller says."""


class Targets(Protocol):
    """Reads and moves levels. One adapter a kind stands behind it."""

    async def see(self, ref: Ref) -> Sight:
        """Look at a target. A target that is missing or not ours to move is a Sight with a trouble, not an error."""

    async def examine(self, ref: Ref) -> Sight:
        """Look at a target as ``see`` does, and why units of it are not ready or could not be made: for targets that
        an event is near, since it costs a request more. What cannot be found out is left out, never an error.
        """

    async def held(self, place: Place) -> Held:
        """Read the field fresh from the server. NotFoundError when the object, or that uid, is gone."""

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        """Compare-and-swap: set the field if uid and value are as believed, else ConflictError; nothing is retried
        after a ConflictError.
        """

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        """Give the field's ownership in managedFields back to ``manager`` (drop ours when None); the value stays.
        Idempotent; ConflictError when another owner holds the field by now.
        """


@dataclass(frozen=True, slots=True)
class PoolSight:
    """A pool as an adapter sees it."""

    seen: PoolSeen
    places: Mapping[Ref, tuple[Place, Held]]
    """Where the levels of its members lie, and what stands there."""
    unseen: frozenset[str] = frozenset()
    """Lanes with a member of which nobody can tell whether it is there: their loans are nobody's to end."""
    pods_at: float | None = None
    """When the pods stood as they are told, where a watch showed them; None: they were asked for just now."""


class Pools(Protocol):
    """Looks at the machines of a pool and at the work on them. Levels are moved through ``Targets``."""

    async def see(self, pool: Pool) -> PoolSight:
        """Look at a pool. A member that could not be looked at is there with ``seen=False`` or left out; an error is
        for a pool of which nothing can be said.
        """


class Solver(Protocol):
    """Makes timetables of pools, wherever there is time for it."""

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        """``planning.shift.plan.timetable`` of these inputs: equal inputs give equal answers. UnavailableError when it
        was given up without an answer.
        """


# ---- what was borrowed


class LoanBook(Protocol):
    """Loans as objects of the cluster."""

    async def list(self) -> Sequence[Loan | UnreadableLoan]:
        """Every loan in our scope, also those of a former life, and those that cannot be understood."""

    @property
    def closed(self) -> frozenset[str]:
        """Namespaces of several whose loans we may not read: what is lent there is not known, as of the last list.
        One is closed no more once its loans were listed, or were seen to be none.
        """

    async def names(self) -> frozenset[Key]:
        """The names of all that are there in our scope; in a namespace that may not be read, those that were."""

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        """Create (``fresh``) or replace by key. Returns when the server has it.

        ConflictError when a fresh one is there already and says something else, or the Loan that is there cannot be
        understood: neither is overwritten. UnavailableError without an answer: it may have been written.
        """

    async def remove(self, loan: Loan) -> None:
        """Delete by key, only as this life last read or wrote it (uid and resourceVersion): a late deletion must not
        take a Loan that is in use again. One that is gone is well gone; ConflictError when it was written since.
        """


# ---- what was learned


@dataclass(frozen=True, slots=True)
class Ended:
    """A loan that ended lately."""

    field: FieldId
    at: float
    levels: tuple[int, ...]
    """Levels that we wrote under it: one that comes back is nobody's new intent."""


@dataclass(frozen=True, slots=True)
class LastValid:
    """An object as it was before it was edited into something invalid."""

    kind: str
    key: Key
    uid: str
    document: str
    """JSON: the object's metadata that is planned with, and its spec. Bounded."""


@dataclass(frozen=True, slots=True)
class Grown:
    """How a signal grows, and how much of what was announced of it came."""

    packed: str
    """``planning.growth.Growth.packed``."""
    events: float = 0.0
    mean: float = 1.0
    square: float = 0.0
    """See ``planning.steps.Steps``."""
    since: float = 0.0
    """Epoch seconds since when readings taught it; 0: not known."""
    past: float = 0.0
    """Seconds before that from which it was learned as well, by what Prometheus still had."""
    high: float = 0.0
    """What the signal had fallen from, faded, when it fell sharply and nobody had announced it; 0: it had not."""
    high_at: float = 0.0
    """As of then, epoch seconds."""
    hosts: tuple[HostSteps, ...] = ()
    """See ``planning.hosts.Hosts.told``."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was found out about one policy or pool. Its loss costs precision, never a floor."""

    of: Key
    """The policy; a pool has no namespace. Of the operator as a whole both are empty."""
    epoch: int = 0
    """Leader epoch that wrote it last."""
    starts: Mapping[str, tuple[Measured, ...]] = field(default_factory=dict)
    """Start times by target, oldest first."""
    drains: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds from a stop to machines seen free by lane, oldest first."""
    sizes: Mapping[str, Resources] = field(default_factory=dict)
    """By target, what its pods were last admitted with beyond their template; of those with more than that."""
    ended: tuple[Ended, ...] = ()
    last_valid: tuple[LastValid, ...] = ()
    granted: tuple[Promise, ...] = ()
    """Of a pool: who was let in with what: nobody takes the place of who came first. With a start of 0 it has begun."""
    timetable: str = ""
    """Of a pool: the timetable that it is planned by (``planning.shift.packed``); empty where it does not fit."""
    writes_per_second: int | None = None
    """Of the operator as a whole: levels that can be written a second; None: nothing was learned of it."""
    growth: Mapping[str, Grown] = field(default_factory=dict)
    """Of a policy that follows demand: by signal."""
    blind: Mapping[str, float] = field(default_factory=dict)
    """Of a policy: since when signals are blind, epoch seconds."""


class LearnedBook(Protocol):
    """What was learned, as objects of the cluster."""

    async def list(self) -> Sequence[Learned]:
        """All in our scope; one that cannot be understood is left out. NotFoundError: the cluster serves none."""

    @property
    def closed(self) -> frozenset[str]:
        """Namespaces of several in which we might not read at the last list: what stands there is not known."""

    async def save(self, one: Learned) -> None:
        """Create or replace. ConflictError when somebody wrote it since: the next try replaces what stands there.
        RefusedError in a namespace that is closed: it would be written over.
        """

    async def remove(self, of: Key) -> None:
        """Delete what was learned of a policy or pool that is gone. One that is gone is well gone."""


# ---- the rest of the world


class MetricsSource(Protocol):
    """Where signals are read."""

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """One instant query. Never raises for a bad answer: each kind is a Freshness. ``value`` is set for FRESH, STALE
        and PARTIAL only, ``since`` is the sample's own time then, else ``now``; ``stamp`` and ``span`` tell two samples
        apart. A note holds no number that changes while the same thing is wrong.
        """


@dataclass(frozen=True, slots=True)
class PastPage:
    """What a signal was at equal steps."""

    values: tuple[float, ...]
    """Not a number where it had no value. May be fewer than were asked for."""
    span: float = 0.0
    """See ``Reading.span``."""


class PastSource(Protocol):
    """Where it can be read what signals were."""

    async def page(self, query: str, *, begin: float, step: float, count: int) -> PastPage:
        """The values of an instant query at ``begin``, and at each of ``count`` steps in all. UnavailableError when
        they did not come whole.
        """


class EventSink(Protocol):
    """Few, well-named Kubernetes Events (or lines of a demo)."""

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
        """Never blocks and never fails. What is said again of one subject and the same part of it, ``about``, for the
        same reason may become one Event. ``until`` (epoch seconds) is for what somebody is to read before something
        happens: until then it is tried again where it is not taken, and what others tell does not keep it waiting.
        """


class Leadership(Protocol):
    """Whether we may act."""

    def may_write(self) -> bool:
        """True while the Lease was renewed within the last 10 s of the monotonic clock."""

    @property
    def epoch(self) -> int:
        """``leaseTransitions`` of the Lease we hold; stands in every loan."""


@dataclass(frozen=True, slots=True)
class StatusPatch:
    """What an object should show, written when it shows something else; ``kept``: the same dict while it is so."""

    kind: str
    key: Key
    status: Json
    urgent: bool = False
    """It matters now: an event that is near, or what is borrowed for one."""
    kept: bool = False


class Publisher(Protocol):
    """Shows status; writes only when the meaning changed."""

    def publish(self, patches: Iterable[StatusPatch]) -> None:
        """Queue them; later ones of the same object replace earlier ones. Never blocks."""


class Store(Protocol):
    """What the watches have seen: parsed values, kept up to date by the shell."""

    @property
    def synced(self) -> bool:
        """True when every first list is complete. Nothing may be returned or released before."""

    @property
    def plannable(self) -> bool:
        """The first lists are complete, but for overrides: plans may be made and shown. While ``synced`` is false,
        ``unheard`` says what is missing, and nothing is written.
        """

    def policies(self) -> Mapping[Key, Policy]:
        """Policies by key: a snapshot."""

    def announcements(self) -> Mapping[Key, Announcement]:
        """Announcements by key: the live mapping, which moves between two turns of the event loop."""

    def changes(self) -> frozenset[Key]:
        """Keys of announcements that changed and were not acknowledged."""

    def acknowledge(self, changes: frozenset[Key]) -> None:
        """These changes are planned: a change that came since is told again."""

    def stopped(self) -> bool:
        """The durable stop is set."""

    def last_valid(self) -> Mapping[Key, tuple[LastValid, ...]]:
        """Of what is invalid now and counts as it last was, that version, by policy. The same object while nothing
        changed.
        """

    def recall(self, versions: Iterable[LastValid]) -> None:
        """What a former life knew: it counts for objects that are invalid and of which we know no valid version."""

    def unheard(self) -> Unheard | None:
        """What on-call says (stop, policies, overrides, pools) that was not listed since we lead, or since it could not
        be heard; None when all was. Until then nothing is written: it would be by what was true before.
        """

    def unheard_in(self) -> Mapping[str, Unheard]:
        """The same of single namespaces, where we are of some alone: each holds its own writes back, and no other's."""

    def unusable(self) -> frozenset[Key]:
        """Policies that are there but cannot be understood, and were never understood by this process."""

    def unread(self) -> Mapping[Key, str]:
        """Events and overrides that are there but cannot be understood, and were never understood by this process, in
        words; by the policy that they name. With an empty name: of the namespace, for those that name none.
        """

    def pools(self) -> Mapping[str, Pool]:
        """Pools by name: a snapshot."""

    def unusable_pools(self) -> frozenset[str]:
        """Pools that are there but cannot be understood, and were never understood by this process."""

    def overrides(self) -> tuple[Override, ...]:
        """Every override, also those that are over."""
