"""Targets as watches show them: a look at a Deployment or a StatefulSet, and at the HPA in front of it, without a
request.

Watches feed it (``seen``, ``synced``) with every object of these three kinds. An object is read when it comes and its
document is dropped: what is kept is what a look tells. The shelf answers only from watches that are complete and have
given a sign of life just now; in all other cases, and for an object that it does not know, the server is asked.

A watch is always a little behind: right after a write of ours the shelf may still show what was there before.
``Held.version`` tells which of two sights is the newer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tidegate.planning.model import Identity, Ref
from tidegate.ports import Json, Sight
from tidegate.targets import hpa as hpas
from tidegate.targets.hpa import Hpa, hpa_of
from tidegate.targets.read import child, text
from tidegate.targets.scale import ScalePaths, Workload, workload_of
from tidegate.targets.sights import sight_of

FRESH = 20.0
"""Seconds without a sign of life of a watch after which the server is asked instead. A server sends a bookmark about
every minute, so that where nothing moves at all the targets are asked for one by one: there it costs little."""

Kind = tuple[str, str]
"""apiVersion and kind, as a watch was begun with."""
HPA: Kind = (hpas.API_VERSION, hpas.KIND)
WORKLOADS = frozenset({("apps", "Deployment"), ("apps", "StatefulSet")})
"""(group, kind) of the workloads that are kept: they hold their level where their kind says, so that a document alone
tells it."""


class Shelf:
    """Holds what watches showed of workloads and HPAs."""

    def __init__(self, *, age: Callable[[Kind, str], float], now: Callable[[], float]) -> None:
        """``age``: seconds since the watch of a kind in a scope (a namespace, or empty for all) gave its last sign of
        life; infinite while it does not watch, also while it lists anew after it lost its place. ``now``: epoch
        seconds.
        """
        self._age, self._now = age, now
        self._synced: dict[tuple[str, str], dict[str, Kind]] = {}
        """Complete watches: (group, kind) → scope → the kind as it is watched."""
        self._workloads: dict[Identity, Workload] = {}
        self._hpas: dict[tuple[str, str], Hpa] = {}
        """By namespace and name."""
        self._pointing: dict[tuple[str, tuple[str, str, str]], dict[str, Hpa]] = {}
        """HPAs by the namespace and the workload that they scale, then by name."""

    # ---- what watches tell

    def seen(self, kind: Kind, what: str, obj: Json) -> None:
        """A watch tells that an object was ``ADDED``, ``MODIFIED`` or ``DELETED``. Other kinds pass by."""
        metadata = child(obj, "metadata")
        ref = Ref(*kind, text(metadata.get("namespace")), text(metadata.get("name")))
        if kind == HPA:
            self._put_hpa(ref, None if what == "DELETED" else hpa_of(obj))
        elif _group_kind(kind) in WORKLOADS:
            if what == "DELETED":
                self._workloads.pop(ref.identity, None)
            else:
                self._workloads[ref.identity] = replace(workload_of(obj, ref, ScalePaths()), document={})

    def synced(self, kind: Kind, scope: str) -> None:
        """Every object of a kind in a scope was told."""
        self._synced.setdefault(_group_kind(kind), {})[scope] = kind

    # ---- what a look gets

    def sight(self, ref: Ref) -> Sight | None:
        """A target as the watches show it; None when the server must be asked."""
        identity = ref.identity
        workload = self._workloads.get(identity)
        if workload is None:
            return None
        ages = (self._age_of(group_kind, ref.namespace) for group_kind in (identity[:2], _group_kind(HPA)))
        oldest = max(ages)
        if oldest > FRESH:
            return None
        pointing = self._pointing.get((ref.namespace, (identity.group, identity.kind, identity.name)), {})
        sight = sight_of(workload, [pointing[name] for name in sorted(pointing)])
        return replace(sight, watched_at=self._now() - oldest)

    # ---- beneath

    def _age_of(self, group_kind: tuple[str, str], namespace: str) -> float:
        """Of the watch that covers a namespace; infinite when none is complete."""
        watched = self._synced.get(group_kind, {})
        return min((self._age(watched[s], s) for s in ("", namespace) if s in watched), default=float("inf"))

    def _put_hpa(self, ref: Ref, hpa: Hpa | None) -> None:
        key = (ref.namespace, ref.name)
        before = self._hpas.pop(key, None)
        if before is not None:
            pointing = self._pointing[ref.namespace, before.scales]
            del pointing[ref.name]
            if not pointing:
                del self._pointing[ref.namespace, before.scales]
        if hpa is not None:
            self._hpas[key] = hpa
            self._pointing.setdefault((ref.namespace, hpa.scales), {})[ref.name] = hpa


def _group_kind(kind: Kind) -> tuple[str, str]:
    return Ref(*kind, "", "").identity[:2]
