"""How a rule is run: resource by resource, so that one that cannot be judged is one finding and hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from tidegate_policies import allow
from tidegate_policies.resources import Object, Report, ReportAt, Resource, Seen, Stack, see

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a resource."""

    message: str
    about: Object | None = None
    """The object within the resource, where it stands for several."""


@dataclass(frozen=True)
class World:
    """Everything that a rule may look at beside the resource itself."""

    resources: tuple[Seen, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the rule."""
    _worked_out: dict[Callable[[World], Any], Any] = field(default_factory=dict)

    def once(self, work_out: Callable[[World], T]) -> T:
        """What follows from everything, worked out for the first resource and kept for the others."""
        if work_out not in self._worked_out:
            self._worked_out[work_out] = work_out(self)
        return self._worked_out[work_out]  # type: ignore[no-any-return]

    @cached_property
    def objects(self) -> tuple[Object, ...]:
        """All objects of all resources. One that cannot be taken apart has none here, and a finding of its own."""
        return tuple(one for seen in self.resources for one in _objects_or_none(seen))

    @cached_property
    def parents(self) -> frozenset[str]:
        """URNs of what has children."""
        return frozenset(seen.parent for seen in self.resources)

    @cached_property
    def by_urn(self) -> dict[str, Seen]:
        """Resources by their name over all stacks."""
        return {seen.urn: seen for seen in self.resources}


Check = Callable[[Seen, World], Iterator[Finding]]
"""What a rule finds in one resource."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the pack."""

    name: str
    description: str
    check: Check
    whole: bool = False
    """Whether it needs the whole stack: then it sees outputs, else a resource's inputs before anything is changed."""
    advisory: bool = False
    """Whether it only says something, and refuses nothing."""
    also: str = ""
    """Another rule of the same meaning: who allows that on an object allows this."""
    lasting: bool = True
    """Whether what it finds today it finds tomorrow, so that its suppression can be told to be needless."""
    applies: Callable[[World], str] = lambda _: ""
    """Why it does not apply to a stack at all; empty when it does."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON schema of its settings, beside ``allow``."""

    @property
    def resource(self) -> Callable[[Resource, Report], None] | None:
        """The rule for one resource."""
        return None if self.whole else self._judge_one

    @property
    def stack(self) -> Callable[[Stack, ReportAt], None] | None:
        """The rule for a whole stack."""
        return self._judge_all if self.whole else None

    def _judge_one(self, args: Resource, report: Report) -> None:
        seen = see(args)
        for message in self.find(seen, World((seen,), allow.settings(args)), allow.configured(args)):
            report(message)

    def _judge_all(self, args: Stack, report: ReportAt) -> None:
        world = World(tuple(map(see, args.resources)), allow.settings(args))
        if (reason := self.applies(world)) and (skip := getattr(args, "not_applicable", None)):
            skip(reason)
        granted = allow.configured(args)
        for seen in world.resources:
            for message in self.find(seen, world, granted):
                report(message, seen.urn)

    def find(self, seen: Seen, world: World, granted: Mapping[str, str]) -> list[str]:
        """What it finds and nobody suppressed."""
        found = self.look(seen, world)
        names = [name for name in (self.name, self.also) if name]
        allowed = [(one, any(allow.is_allowed(name, seen, one.about, granted) for name in names)) for one in found]
        return [one.message for one, is_allowed in allowed if not is_allowed]

    def look(self, seen: Seen, world: World) -> list[Finding]:
        """What it finds. A resource on which the rule fails is a finding, for nobody knows what it hides."""
        found: list[Finding] = []
        try:
            found.extend(self.check(seen, world))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other resources have to be judged
            found.append(Finding(f"{seen.name}: {self.name} cannot judge it ({type(error).__name__}: {error})"))
        return found


def _objects_or_none(seen: Seen) -> Iterable[Object]:
    try:
        return seen.objects
    except Exception:  # noqa: BLE001 - each rule that looks at this resource says so
        return ()
