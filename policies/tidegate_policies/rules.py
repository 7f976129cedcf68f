"""The rules. Each is a function of what it looks at and a way to report; the table at the end is the whole pack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tidegate_policies.resources import (
    Report,
    ReportAt,
    Resource,
    Stack,
    declares,
    ignores,
    kind_of,
    look,
    place_of,
)
from tidegate_policies.seams import DATABASES, GROUP, OPERATOR_OWNED, OPERATOR_OWNED_WHERE_MOVED

Workload = tuple[str, str, str, str]
"""(group, kind, namespace, name)."""


def operator_owned_paths_are_ignored(args: Resource, report: Report) -> None:
    """What the operator moves is set once: an update that names it fails in mid-event, or undoes a floor."""
    for path in OPERATOR_OWNED.get(kind_of(args) or ("", ""), ()):
        if not ignores(args, path):
            report(f'{args.name}: {path} belongs to the operator: add ignore_changes=["{path}"]')


def databases_are_protected(args: Resource, report: Report) -> None:
    """``pulumi destroy`` must not take data along."""
    if kind_of(args) in DATABASES and not args.opts.protect:
        report(f"{args.name}: a database without protection: add protect=True")


def moved_workloads_are_ignored(args: Stack, report: ReportAt) -> None:
    """The replicas of what a policy names or a pool lends are the operator's, where no autoscaler stands in front."""
    movers = {**dict.fromkeys(_members(args), "CapacityPool"), **dict.fromkeys(_targets(args), "ScalingPolicy")}
    for resource in args.resources:
        workload = _workload(resource)
        mover = movers.get(workload) if workload else None
        for path in OPERATOR_OWNED_WHERE_MOVED.get(kind_of(resource) or ("", ""), ()):
            if mover and declares(resource, path) and not ignores(resource, path):
                report(f'{resource.name}: a {mover} moves {path}: add ignore_changes=["{path}"]', resource.urn)


def no_replicas_beside_an_autoscaler(args: Stack, report: ReportAt) -> None:
    """Two writers of one number: each update would throw away what the autoscaler reached."""
    scaled = set(_scaled(args))
    for resource in args.resources:
        if _workload(resource) in scaled and declares(resource, "spec.replicas"):
            report(f"{resource.name}: replicas beside an autoscaler: leave replicas out", resource.urn)


def _workload(resource: Resource) -> Workload | None:
    kind = kind_of(resource)
    return (*kind, *place_of(resource)) if kind else None


def _targets(stack: Stack) -> Iterator[Workload]:
    """Workloads that policies name."""
    for resource in stack.resources:
        if kind_of(resource) == (GROUP, "ScalingPolicy"):
            for target in look(resource.props, "spec.targets") or ():
                yield _referenced(resource, target["ref"])


def _members(stack: Stack) -> Iterator[Workload]:
    """Workloads that pools name: a pool is of the whole cluster, so that each says its namespace."""
    for resource in stack.resources:
        if kind_of(resource) == (GROUP, "CapacityPool"):
            for lane in look(resource.props, "spec.lanes") or ():
                for ref in (look(member, "ref") for member in look(lane, "members") or ()):
                    if ref is not None:
                        yield _referenced(resource, ref)


def _scaled(stack: Stack) -> Iterator[Workload]:
    """Workloads in front of which an autoscaler stands."""
    autoscalers = {("autoscaling", "HorizontalPodAutoscaler"), ("keda.sh", "ScaledObject")}
    for resource in stack.resources:
        if kind_of(resource) in autoscalers and (ref := look(resource.props, "spec.scaleTargetRef")):
            yield _referenced(resource, ref)


def _referenced(resource: Resource, ref: object) -> Workload:
    """A reference, within a namespace where it says none. KEDA's default is a Deployment."""
    version = str(look(ref, "apiVersion") or "apps/v1")
    kind = str(look(ref, "kind") or "Deployment")
    namespace = str(look(ref, "namespace") or place_of(resource)[0])
    return version.rpartition("/")[0], kind, namespace, str(look(ref, "name"))


@dataclass(frozen=True)
class Rule:
    """A rule of the pack; exactly one of ``resource`` and ``stack`` is set."""

    name: str
    description: str
    resource: Callable[[Resource, Report], None] | None = None
    stack: Callable[[Stack, ReportAt], None] | None = None


RULES = (
    Rule(
        "operator-owned-paths-are-ignored",
        "Fields that the operator moves must be under ignore_changes.",
        resource=operator_owned_paths_are_ignored,
    ),
    Rule(
        "databases-are-protected",
        "Databases must be protected from deletion.",
        resource=databases_are_protected,
    ),
    Rule(
        "moved-workloads-are-ignored",
        "Replicas of a workload that a ScalingPolicy or a CapacityPool names must be under ignore_changes.",
        stack=moved_workloads_are_ignored,
    ),
    Rule(
        "no-replicas-beside-an-autoscaler",
        "A workload behind an autoscaler must not set replicas.",
        stack=no_replicas_beside_an_autoscaler,
    ),
)
"""All of them are mandatory: each guards something that fails at the peak, not before."""
