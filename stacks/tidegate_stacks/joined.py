"""What each project exports, as types, and how another project reads it.

Projects that change at different rates are stacks of their own, joined by ``pulumi.StackReference``. A reference yields
whatever the other stack happened to export; here both ends are checked against the same model, so that a project that
was updated halfway is refused by name and not found out at the peak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate_stacks.checks import Name, explain

E = TypeVar("E", bound="Exports")

ORGANIZATION = "organization"
"""What Pulumi's self-managed backends call the only organization that they know."""


class JoinedError(ValueError):
    """Another stack's outputs cannot be used. The message names the stack, the output and what is wrong."""


class Exports(BaseModel):
    """Base of what a project exports. Outputs that a newer version adds are no fault."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    project: ClassVar[str]
    """Name of the Pulumi project: ``tidegate-live``."""


class Target(BaseModel):
    """One target of a ScalingPolicy, as a component renders it. The API server checks the rest of its fields."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    ref: Mapping[str, str]
    capacity: Mapping[str, int] = Field(min_length=1)
    stage: Mapping[str, str]
    min: int = Field(ge=1)
    max: int = Field(ge=1)


class Limit(BaseModel):
    """One limit of a ScalingPolicy."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    signal: str
    most: int = Field(ge=1)
    says: str


class Platform(Exports):
    """What everything else stands on."""

    project = "tidegate-platform"
    namespace: Name
    """Where everything that serves lives."""
    system: Name
    """Namespace of the operator."""
    priority: Name
    """PriorityClass of what serves."""


class Data(Exports):
    """The database."""

    project = "tidegate-data"
    host: str
    """Host and port of the poolers."""
    secret: str
    """Secret with user and password."""
    targets: tuple[Target, ...]
    limits: tuple[Limit, ...]
    """What no unit of any target lifts: the writes of one primary."""


class Cache(Exports):
    """The cache."""

    project = "tidegate-cache"
    host: str
    """Host and port that cluster clients start from."""
    targets: tuple[Target, ...]


class Live(Exports):
    """The live origin."""

    project = "tidegate-live"
    publish: str
    """Host and port that hosts send RTMP to."""
    play: str
    """Host and port of HTTP-FLV."""
    segments: tuple[str, ...] = Field(min_length=1)
    """Hosts and ports of HLS, one per origin: what a CDN fetches from."""
    targets: tuple[Target, ...]


class Cdn(Exports):
    """The content network."""

    project = "tidegate-cdn"
    host: str
    """Public host name."""
    shield: str
    """Host and port of the tier in front of the origins."""
    prefetch: str
    """URL that a prefetch is sent to."""
    egress_mbps: int = Field(ge=1)
    """Most that its sites can send together."""
    sites: Mapping[str, Mapping[str, Any]]
    """What is known of each site, by its name."""
    targets: tuple[Target, ...]


class Batch(Exports):
    """Data processing."""

    project = "tidegate-batch"
    queues: Mapping[str, str]
    """LocalQueue by queue: the value of a Job's label kueue.x-k8s.io/queue-name."""
    priority: Name
    """PriorityClass of work that can wait."""
    pool: Name | None = None
    """Name of the CapacityPool; None where nothing is lent."""


class Events(Exports):
    """The policy that events name."""

    project = "tidegate-events"
    policy: Name
    """What a LiveEvent writes into ``policyRef.name``."""


EXPORTS: tuple[type[Exports], ...] = (Platform, Data, Cache, Live, Cdn, Batch, Events)
"""In the order in which their projects are laid."""
MOVED: dict[str, type[Exports]] = {"data": Data, "cache": Cache, "live": Live, "cdn": Cdn}
"""Projects whose workloads an event moves, by their folder."""


def stack_of(kind: type[Exports]) -> str:
    """Full name of the stack that exports it: the same organization, the same stack's name (``dev``)."""
    return f"{pulumi.get_organization()}/{kind.project}/{pulumi.get_stack()}"


def read(kind: type[E], stack: str | None = None) -> pulumi.Output[E]:
    """What a project exports. ``stack``: full name of its stack, where it is not the one of ``stack_of``."""
    name = stack or stack_of(kind)
    return pulumi.StackReference(kind.project, name).outputs.apply(lambda outputs: parse(kind, outputs, name))


@dataclass(frozen=True)
class Moves:
    """What an event moves in several projects, for an EventPolicy."""

    targets: pulumi.Output[list[dict[str, Any]]]
    limits: pulumi.Output[list[dict[str, Any]]]


def moves(kinds: list[type[Exports]], stacks: Mapping[str, str]) -> Moves:
    """What an event moves in these projects. ``stacks``: full names of stacks, by project."""
    each = pulumi.Output.all(*(read(kind, stacks.get(kind.project)) for kind in kinds))
    return Moves(
        each.apply(lambda known: _all_of("targets", known)), each.apply(lambda known: _all_of("limits", known))
    )


def _all_of(name: str, exports: Sequence[Any]) -> list[dict[str, Any]]:
    """As plain values; a project that has no limits exports none."""
    return [one.model_dump(exclude_unset=True) for project in exports for one in getattr(project, name, ())]


def parse(kind: type[E], outputs: Mapping[str, Any], stack: str) -> E:
    """A stack's outputs as the model has them; JoinedError names every one that is wrong."""
    if not outputs:
        raise JoinedError(f"stack {stack}: has no outputs: run `pulumi up` for it first")
    try:
        return kind.model_validate(whole(dict(outputs)))
    except ValidationError as error:
        found = [one.removeprefix("output.") for one in explain(error, "output")]
        raise JoinedError(
            f"stack {stack}: "
            + "; ".join(f"output {one}" for one in found)
            + f": run `pulumi up` for it with the version of tidegate_stacks that {kind.__name__} is from"
        ) from None


def export(kind: type[Exports], **values: Any) -> None:
    """Export what the model says, checked as its readers will check it. TypeError: a name is missing, or unknown."""
    if set(values) != set(kind.model_fields):
        raise TypeError(f"{kind.__name__} exports {sorted(kind.model_fields)}, got {sorted(values)}")
    own = f"{kind.project} itself"
    checked = pulumi.Output.all(**values).apply(lambda known: (parse(kind, known, own), known)[1])
    for name in values:
        pulumi.export(name, checked.apply(lambda known, name=name: known[name]))  # type: ignore[misc]


def whole(value: Any) -> Any:
    """Numbers as they were written: Pulumi's protocol knows only floating-point ones."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
