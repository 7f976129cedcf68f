"""What is borrowed, and where: plain values that rooms hand to each other. Re-exported by ``ports``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.planning.model import Identity, Key, Ref
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.model import Notice, Promised


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns a field, as managedFields names it."""

    name: str
    operation: str
    """``Apply`` or ``Update``."""
    subresource: str = ""


class FieldId(NamedTuple):
    """One field of one object, by whichever served version it is written: what a loan is a loan of."""

    object: Identity
    uid: str
    field: str
    subresource: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target's level is written: one integer field of one object."""

    ref: Ref
    """The object that holds the field: the HPA where there is one, else the workload."""
    uid: str
    field: str
    """JSON pointer in the written document: ``/spec/minReplicas`` or ``/spec/replicas``."""
    subresource: str = ""
    """``scale`` when the write goes through it."""

    id: FieldId = dataclasses.field(init=False, repr=False, compare=False)
    """The field, whichever version of the object is named. Kept: it is asked for at each decision, of every target."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", FieldId(self.ref.identity, self.uid, self.field, self.subresource))


@dataclass(frozen=True, slots=True)
class Held:
    """The field as read back."""

    value: int
    manager: Manager | None
    """Who owns it now; None when nobody is on record."""
    version: int = 0
    """The object's ``resourceVersion`` as a number: of two sights of one object the larger is the newer. 0: unknown."""
    without: tuple[tuple[str, float], ...] = ()
    """(manager, epoch seconds): who applies the object without that field, and when its apply last changed something;
    told of a fresh read of the field alone."""


@dataclass(frozen=True, slots=True)
class Beneath:
    """The own number of a workload in front of which an autoscaler stands: where it lies, and what it is (or was)."""

    place: Place
    level: int


@dataclass(frozen=True, slots=True)
class HandOverNote:
    """What a loan of a pool says beside its level: where the hand-over of this work stands."""

    pool: str
    lane: str
    notices: tuple[Notice, ...] = ()
    stops: tuple[Notice, ...] = ()
    free_by: float = 0.0
    until: float = 0.0
    """When the work is planned to start again."""
    promises: tuple[Promised, ...] = ()
    extra: Resources = NOTHING
    """What each pod took beyond its template."""


@dataclass(frozen=True, slots=True)
class Loan:
    """Every field we changed: written before the change, removed after the return was read back."""

    key: Key
    """Its own namespace and name, derived from target uid and field."""
    place: Place
    policy: Key
    """Who borrowed; a pool has no namespace."""
    target: str
    """The target's name in the policy; of a pool the lane that lends."""
    original: int
    former: Manager | None
    verified: int | None
    """Our value as last read back; None before the first."""
    pending: int
    """Our value as last meant; written before the patch."""
    highest: int
    started_at: float
    stepped_at: float
    until: float
    """When the plan expects to return it."""
    epoch: int
    """Leader epoch (``leaseTransitions``) that wrote it last."""
    wanted_by: tuple[str, ...] = ()
    """Who asked: ``LiveEvent/name``; of a pool's loan the owners of needs, ``namespace/policy/target``. Bounded."""
    hand_over: HandOverNote | None = None
    """For work of a pool that lends its machines; ``until`` is the last promise then."""
    levels: tuple[int, ...] = ()
    """Levels that we wrote or may have written, latest last, bounded. None of them is anybody's new intent: a late
    copy of the object, or a late write of our own, may bring each of them back."""
    beneath: Beneath | None = None
    """Of an autoscaler's floor: the workload behind it, and what that returns to. None: an older version wrote it."""


@dataclass(frozen=True, slots=True)
class UnreadableLoan:
    """A Loan object that cannot be understood. It is never overwritten, and its field counts as unreadable."""

    key: Key
    note: str
    """Field path, what is wrong, what would be right."""
    ref: Ref | None = None
    """The object that holds the field, where at least that could be read."""
