"""The HPA in front of a workload: its ``minReplicas`` is the floor that we borrow, its maximum a finding.

A namespace's HPAs are listed once for all targets of a round, since every look at a target needs to know which HPA
points to it and an HPA cannot be asked for by that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.planning.beneath import Aim, Aims
from tidegate.planning.model import Ref
from tidegate.ports import Json, Manager
from tidegate.targets.client import KubeClient
from tidegate.targets.ownership import fields_of, owner
from tidegate.targets.quantity import quantity
from tidegate.targets.read import child, maps, text, version_of, whole
from tidegate.targets.rules import Rule
from tidegate.targets.scale import controller_of

API_VERSION = "autoscaling/v2"
KIND = "HorizontalPodAutoscaler"
FIELD = "/spec/minReplicas"

QUOTED = 300
"""Characters of a condition's message that are kept."""

UPWARDS = frozenset({"TooManyReplicas", "ScaleUpLimit"})
"""Reasons of ``ScalingLimited`` that hold an HPA back from more: its maximum, and its rate (``spec.behavior.scaleUp``).
Neither slows a minimum that is lifted: an HPA brings its workload up to that in its next sync, in one step (1.36)."""

RULES = (Rule("autoscaling", ("horizontalpodautoscalers",), ("get", "list", "watch", "patch")),)
"""Listed for what stands in front of a workload, watched for drift; ``fields.py`` reads one afresh and patches it."""


@dataclass(frozen=True, slots=True)
class Said:
    """A condition in which an HPA speaks of itself."""

    kind: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Hpa:
    """An HPA as read."""

    ref: Ref
    uid: str
    scales: tuple[str, str, str]
    """(group, kind, name) of its workload."""
    minimum: int | None
    """None when the document holds no number there: nobody can tell the floor then."""
    maximum: int | None
    desired: int | None
    """Replicas its last sync asked for; None before the first."""
    controller: str | None
    manager: Manager | None
    version: int
    conditions: tuple[Said, ...] = ()
    aims: Aims | None = None
    """What it holds its metrics at; None where nobody read it."""

    @property
    def still(self) -> str:
        """Why it scales nothing by its metrics now, a reason as its status gives it; empty when it does."""
        said = self.said("ScalingActive", "False")
        return (said.reason or "ScalingActive is False") if said is not None else ""

    @property
    def limited(self) -> str:
        """What keeps it from as much as its metrics ask for, in a sentence with its own words; empty when nothing does.

        Not that its metrics ask for less than its minimum: where that is our floor, it is so all the time.
        """
        said = self.said("ScalingLimited", "True")
        if said is None or said.reason not in UPWARDS:
            return ""
        return f"{self.ref} wants more by its metrics than it may have ({said.reason}: {said.message})"

    def said(self, kind: str, status: str) -> Said | None:
        """Its condition of that kind, if it stands so."""
        return next((one for one in self.conditions if one.kind == kind and one.status == status), None)


def hpa_of(document: Json) -> Hpa | None:
    """Read an ``autoscaling/v2`` document; None for one that has no name or does not say what it scales."""
    metadata, spec, status = (child(document, name) for name in ("metadata", "spec", "status"))
    target = child(spec, "scaleTargetRef")
    kind, name = text(target.get("kind")), text(target.get("name"))
    ref = Ref(API_VERSION, KIND, text(metadata.get("namespace")), text(metadata.get("name")))
    if not (kind and name and ref.name):
        return None
    return Hpa(
        ref=ref,
        uid=text(metadata.get("uid")),
        scales=(Ref(text(target.get("apiVersion")), kind, ref.namespace, name).identity.group, kind, name),
        minimum=1 if spec.get("minReplicas") is None else whole(spec["minReplicas"]),
        maximum=whole(spec.get("maxReplicas")),
        desired=whole(status.get("desiredReplicas")) if status.get("conditions") else None,
        controller=controller_of(metadata),
        manager=owner(fields_of(document), ("spec", "minReplicas")),
        version=version_of(document),
        conditions=tuple([_said(one) for one in maps(status.get("conditions"))]),
        aims=aims_of(spec),
    )


def aims_of(spec: Json) -> Aims:
    """What an HPA's spec holds, of ``autoscaling/v2`` or v1. What cannot be read as a number is left out."""
    found = [_aim(one) for one in maps(spec.get("metrics"))]
    percent = whole(spec.get("targetCPUUtilizationPercentage"))
    if percent is not None:
        found.append(Aim("Resource", "cpu", percent=float(percent)))
    window = whole(child(child(spec, "behavior"), "scaleDown").get("stabilizationWindowSeconds"))
    return Aims(tuple(found), Aims().window if window is None else float(window))


def _aim(metric: Json) -> Aim:
    kind = text(metric.get("type"))
    source = child(metric, kind[:1].lower() + kind[1:])
    target = child(source, "target")
    name = text(source.get("name")) or text(child(source, "metric").get("name"))
    percent, average = whole(target.get("averageUtilization")), quantity(target.get("averageValue"))
    return Aim(
        kind,
        name,
        percent=None if percent is None else float(percent),
        average=None if average is None else float(average),
    )


def _said(condition: Json) -> Said:
    kind, reason, message = (text(condition.get(name)) for name in ("type", "reason", "message"))
    return Said(kind, text(condition.get("status")), reason, " ".join(message.split())[:QUOTED])


class HpaShelf:
    """HPAs by namespace: each list is kept for ``lifetime`` seconds, and one is under way per namespace."""

    def __init__(self, client: KubeClient, *, lifetime: float) -> None:
        self._client = client
        self._lifetime = lifetime
        self._lists: dict[str, tuple[float, list[Hpa]]] = {}
        self._forgotten: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def in_front_of(self, ref: Ref) -> list[Hpa]:
        """HPAs that point to a workload, by name."""
        wanted = (ref.identity.group, ref.kind, ref.name)
        return [hpa for hpa in await self._of(ref.namespace) if hpa.scales == wanted]

    async def refresh(self, namespaces: Iterable[str]) -> None:
        """List these namespaces anew."""
        names = sorted(set(namespaces))
        for name in names:
            self.forget(name)
        await asyncio.gather(*(self._of(name) for name in names))

    def forget(self, namespace: str) -> None:
        """Something changed: neither the list that is there nor one under way is to be believed."""
        self._lists.pop(namespace, None)
        self._forgotten[namespace] = self._forgotten.get(namespace, 0) + 1

    async def _of(self, namespace: str) -> list[Hpa]:
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            listed, found = self._lists.get(namespace, (-math.inf, []))
            if time.monotonic() - listed >= self._lifetime:
                asked, before = time.monotonic(), self._forgotten.get(namespace, 0)
                path = f"/apis/{API_VERSION}/namespaces/{namespace}/horizontalpodautoscalers"
                found = []
                async for page in self._client.pages(
                    path
                ):  # no page is kept: an HPA's owner makes it how large he likes
                    read = map(hpa_of, page.pop("items", None) or [])
                    found += [hpa for hpa in read if hpa is not None]
                found.sort(key=lambda hpa: hpa.ref)
                if self._forgotten.get(namespace, 0) == before:  # else good for this one look only
                    self._lists[namespace] = (asked, found)
            return found
