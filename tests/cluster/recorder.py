"""What happened, written down from watches: no dip is too short to be seen, as it would be between two samples.

Versions carry the time at which we were told and the server's resourceVersion. Times are for people and deadlines;
"before" and "after" between objects is told by resourceVersions, which one store hands out in one order.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

import requests
from harness import ApiError, Cluster, Json

WATCHED = ("Deployment", "HorizontalPodAutoscaler", "Lease", "LiveEvent", "Loan", "ScalingPolicy")

T = TypeVar("T")


class Version(NamedTuple):
    """An object as it was from an instant on; None once it was deleted."""

    at: float
    version: int
    obj: Json | None


class Fall(NamedTuple):
    """A value that went down."""

    at: float
    before: int
    after: int


@dataclass(frozen=True)
class Series(Generic[T]):
    """A value over time: (since when, resourceVersion, value), changes only."""

    points: tuple[tuple[float, int, T], ...]

    @property
    def last(self) -> T | None:
        """The latest value."""
        return self.points[-1][2] if self.points else None

    @property
    def values(self) -> list[T]:
        """Every value in turn."""
        return [value for _, _, value in self.points]

    def at(self, instant: float) -> T | None:
        """The value at an instant; None before the first."""
        found = None
        for since, _, value in self.points:
            if since > instant:
                break
            found = value
        return found

    def within(self, start: float, end: float) -> list[T]:
        """Every value that held at some time in [start, end]."""
        inside = [value for since, _, value in self.points if start < since <= end]
        first = self.at(start)
        return [first, *inside] if first is not None else inside

    def first(self, wanted: Callable[[T], bool], *, since: float = 0.0) -> tuple[float, int] | None:
        """(when, resourceVersion) of the first value that is as wanted."""
        for at, version, value in self.points:
            if at >= since and wanted(value):
                return at, version
        return None


def falls(series: Series[Any]) -> list[Fall]:
    """Every way down of a number."""
    return [
        Fall(b[0], a[2], b[2])
        for a, b in pairwise(series.points)
        if a[2] is not None and b[2] is not None and b[2] < a[2]
    ]


class Recorder:
    """Watches a few kinds of a whole cluster until it is stopped."""

    def __init__(self, cluster: Cluster, kinds: tuple[str, ...] = WATCHED) -> None:
        self._cluster = cluster
        self._versions: dict[tuple[str, str, str], list[Version]] = defaultdict(list)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=(kind,), daemon=True) for kind in kinds]
        self.gaps: list[str] = []
        """Times at which a watch may have missed something; a scenario fails on any."""

    def start(self) -> None:
        """Begin; what is there already is the first version."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, some time soon: the threads are daemons."""
        self._stopping.set()

    def versions(self, kind: str, namespace: str, name: str) -> list[Version]:
        """Every version of one object."""
        return list(self._versions[kind, namespace, name])

    def names(self, kind: str, namespace: str) -> list[str]:
        """Every object of a kind that was ever seen in a namespace, sorted."""
        return sorted(n for k, ns, n in list(self._versions) if (k, ns) == (kind, namespace))

    def series(self, kind: str, namespace: str, name: str, pick: Callable[[Json], Any]) -> Series[Any]:
        """What ``pick`` finds in each version, changes only; None once the object is gone."""
        points: list[tuple[float, int, Any]] = []
        for at, version, obj in self.versions(kind, namespace, name):
            value = pick(obj) if obj is not None else None
            if not points or points[-1][2] != value:
                points.append((at, version, value))
        return Series(tuple(points))

    def _follow(self, kind: str) -> None:
        version = ""
        while not self._stopping.is_set():
            try:
                if not version:
                    version = self._begin(kind)
                for change in self._cluster.watch(kind, version):
                    if change["type"] == "ERROR":
                        self.gaps.append(f"{kind}: {change['object'].get('message')}")
                        version = ""
                        break
                    version = change["object"]["metadata"]["resourceVersion"]
                    if change["type"] != "BOOKMARK":
                        self._note(kind, change["object"], gone=change["type"] == "DELETED")
                    if self._stopping.is_set():
                        return
            except (requests.RequestException, ValueError):
                time.sleep(0.2)  # the same version is asked for again: nothing is missed
            except ApiError as error:
                self.gaps.append(f"{kind}: {error}")
                version = ""
                time.sleep(1.0)

    def _begin(self, kind: str) -> str:
        listed = self._cluster.list(kind)
        for obj in listed["items"]:
            self._note(kind, obj, gone=False)
        return str(listed["metadata"]["resourceVersion"])

    def _note(self, kind: str, obj: Json, *, gone: bool) -> None:
        metadata = obj["metadata"]
        version = Version(time.time(), int(metadata["resourceVersion"]), None if gone else obj)
        self._versions[kind, metadata["namespace"], metadata["name"]].append(version)
