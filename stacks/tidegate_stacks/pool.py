"""The pool of machines that trading and data processing share: who has what, whose work may stop, and how.

Two lanes. Trading asks, through policies of the namespaces that are let; data lends: Jobs by their labels, and
Deployments. Kueue's queues are no members of a pool yet: what they admit counts as standing use, and a Job that is
submitted to a queue is left to Kueue even when it bears a member's labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from tidegate_stacks import naming
from tidegate_stacks.checks import (
    Args,
    Cpu,
    Labels,
    Memory,
    Name,
    Part,
    Percent,
    Rate,
    Seconds,
    TimeOfDay,
    Zone,
)
from tidegate_stacks.objects import Obj, obj
from tidegate_stacks.ownership import API_VERSION

TRADING, DATA = "trading", "data"
MAX_MEMBERS = 64
"""The API's own bound."""


class WorkArgs(Args):
    """Work with a deadline: as much of it goes on as is needed to be done in time."""

    deadline: TimeOfDay
    """Time of day by which it must be done, each day."""
    time_zone: Zone
    remaining_query: str | None = Field(default=None, min_length=1, max_length=4096)
    """PromQL that gives one series: unit-seconds left now. While nobody can tell, nothing of it is stopped."""
    remaining_unit_seconds: Rate | None = None
    """Unit-seconds left, as written: for work that is the same each night."""
    stale_after_seconds: int = Field(default=300, ge=5, le=86_400)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.remaining_query is None) == (self.remaining_unit_seconds is None):
            raise ValueError("give either remaining_query or remaining_unit_seconds")
        return self


class JobsArgs(Args):
    """All Jobs of a namespace with certain labels: they are suspended one by one."""

    name: Part
    """Name of the member."""
    namespace: Name
    labels: Labels = Field(min_length=1)
    work: WorkArgs | None = None
    """None: they may stop for as long as they are lent."""


class DeploymentArgs(Args):
    """A Deployment of somebody else's, or anything else with ``/scale``: it is lowered."""

    name: Part
    """Name of the member."""
    namespace: Name
    workload: Name
    """Name of the object."""
    api_version: str = Field(default="apps/v1", max_length=127)
    kind: str = Field(default="Deployment", max_length=63)
    work: WorkArgs | None = None

    @field_validator("kind")
    @classmethod
    def _has_a_level(cls, kind: str) -> str:
        if kind in ("HorizontalPodAutoscaler", "ScaledObject", "Pod", "CronJob", "Job"):
            raise ValueError(f"{kind} is not scaled: name the workload itself, or Jobs by their labels in jobs")
        return kind


class TradingArgs(Args):
    """The lane that asks."""

    guarantee_percent: Percent = 0
    """Share of the pool that is never lent away while trading has use for it."""
    namespaces: tuple[Name, ...] = Field(min_length=1, max_length=256)
    """Namespaces whose policies may ask for machines."""
    cap_percent_per_namespace: int | None = Field(default=None, ge=1, le=100)
    """Most of the pool that one namespace may take. None: no cap."""


class DataArgs(Args):
    """The lane that lends."""

    guarantee_percent: Percent = 0
    """Share of the pool that is never lent away while data processing has use for it."""
    jobs: tuple[JobsArgs, ...] = Field(default=(), max_length=MAX_MEMBERS)
    deployments: tuple[DeploymentArgs, ...] = Field(default=(), max_length=MAX_MEMBERS)
    """Those of others. What the batch component makes itself is a member without being named here."""
    notice_seconds: Seconds = 600
    """From telling the work to stopping it: time for a checkpoint."""
    minimum_run_seconds: Seconds = 900
    """How long work runs, once started, before it may be stopped."""
    drain_seconds: Seconds = 60
    """From the write that stops it to machines seen free, until that is measured."""
    give_back_within_seconds: int = Field(default=3600, ge=1, le=7 * 86_400)
    """How long after the end of trading's planned need the work stands at its own level again."""

    @field_validator("jobs")
    @classmethod
    def _apart(cls, jobs: tuple[JobsArgs, ...]) -> tuple[JobsArgs, ...]:
        for place, one in enumerate(jobs):
            for other in jobs[:place]:
                if one.namespace == other.namespace and _within(one.labels, other.labels):
                    raise ValueError(
                        f"Jobs of {one.name} are all, or are among, those of {other.name}: a Job is a member once"
                    )
        return jobs

    @field_validator("deployments")
    @classmethod
    def _once(cls, deployments: tuple[DeploymentArgs, ...], info: Any) -> tuple[DeploymentArgs, ...]:
        names = [one.name for one in (*info.data.get("jobs", ()), *deployments)]
        objects = [(one.api_version, one.kind, one.namespace, one.workload) for one in deployments]
        wrong = [f"names {name} twice" for name in sorted(repeated(names))]
        wrong += [f"{kind} {name} of {place} is there twice" for _, kind, place, name in sorted(repeated(objects))]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}: give each member once")
        return deployments


def _within(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether all that bear one set of labels bear the other too."""
    return one.items() <= other.items() or other.items() <= one.items()


def repeated(values: Sequence[Any]) -> set[Any]:
    """Those that are there more than once."""
    return {value for value in values if values.count(value) > 1}


class GivenArgs(Args):
    """What the pool has, as written: where nodes cannot be seen, or are not the bound."""

    cpu: Cpu
    memory: Memory


class PoolArgs(Args):
    """The pool. What it has is measured on the machines that bear the labels of ``BatchArgs.nodes``, or given."""

    name: Part
    given: GivenArgs | None = None
    trading: TradingArgs
    data: DataArgs = DataArgs()

    @field_validator("data")
    @classmethod
    def _shares(cls, data: DataArgs, info: Any) -> DataArgs:
        trading = info.data["trading"].guarantee_percent if "trading" in info.data else 0
        if (together := trading + data.guarantee_percent) > 100:
            raise ValueError(
                f"guarantees {trading} + {data.guarantee_percent} are {together} % of the pool: at most 100 together"
            )
        return data


def pool_name(name: str, args: PoolArgs) -> str:
    """Name of the CapacityPool in the cluster: what policies name in ``poolRef``."""
    return naming.child(name, args.name)


def member(name: str, workload: Mapping[str, Any], work: WorkArgs | None = None) -> Obj:
    """An object with ``/scale`` as a member."""
    metadata = workload["metadata"]
    ref = {"apiVersion": workload["apiVersion"], "kind": workload["kind"]}
    return _worked({"name": name, "ref": {**ref, "namespace": metadata["namespace"], "name": metadata["name"]}}, work)


def capacity_pool(name: str, args: PoolArgs, nodes: Mapping[str, str], made: Sequence[Obj]) -> Obj:
    """The CapacityPool. ``made``: members that the component makes itself."""
    data = args.data
    told = [
        member(one.name, {"apiVersion": one.api_version, "kind": one.kind, "metadata": _place(one)}, one.work)
        for one in data.deployments
    ]
    of_jobs = [
        _worked({"name": one.name, "jobs": {"namespace": one.namespace, "matchLabels": dict(one.labels)}}, one.work)
        for one in data.jobs
    ]
    trading: Obj = {
        "name": TRADING,
        "guaranteePercent": args.trading.guarantee_percent,
        "allowedNamespaces": list(args.trading.namespaces),
    }
    if args.trading.cap_percent_per_namespace is not None:
        trading["capPercentPerNamespace"] = args.trading.cap_percent_per_namespace
    lends: Obj = {
        "name": DATA,
        "guaranteePercent": data.guarantee_percent,
        "members": [*made, *told, *of_jobs],
        "drain": {
            "noticeSeconds": data.notice_seconds,
            "minimumRunSeconds": data.minimum_run_seconds,
            "guessSeconds": data.drain_seconds,
        },
        "giveBackWithinSeconds": data.give_back_within_seconds,
    }
    spec = {"capacity": _capacity(args, nodes), "lanes": [trading, lends]}
    return obj(API_VERSION, "CapacityPool", pool_name(name, args), None, name, spec=spec)


def _place(one: DeploymentArgs) -> Obj:
    return {"namespace": one.namespace, "name": one.workload}


def _capacity(args: PoolArgs, nodes: Mapping[str, str]) -> Obj:
    if args.given is None:
        return {"nodeSelector": dict(nodes)}
    return {"given": {"cpu": args.given.cpu, "memory": args.given.memory}}


def _worked(made: Obj, work: WorkArgs | None) -> Obj:
    if work is None:
        return made
    query, seconds = work.remaining_query, work.remaining_unit_seconds
    remaining = {"unitSeconds": seconds} if query is None else {"query": query}
    return {
        **made,
        "work": {
            "deadline": work.deadline,
            "timeZone": work.time_zone,
            "remaining": remaining,
            "staleAfterSeconds": work.stale_after_seconds,
        },
    }
