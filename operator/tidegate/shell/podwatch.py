"""One watch of all pods for all pools, begun with the first pool. Of a pod is kept what pools are planned with."""

from __future__ import annotations

import time
from collections.abc import Callable

from tidegate.ports import Json
from tidegate.shell.informer import Informer
from tidegate.shell.tasks import TaskGroup
from tidegate.targets.client import KubeClient
from tidegate.targets.podindex import PodIndex, Watched
from tidegate.targets.pools import NOT_ENDED, PAGE
from tidegate.targets.read import child, text

FRESH = 20.0
"""Seconds without a sign of life after which pods are listed instead."""
PROVED_AFTER = 5.0
"""Seconds of silence after which the watch is begun anew where it left off, for a sign of life: where no pod moves a
server says something about every minute only."""
BEHIND = 1.0
"""Seconds by which a watch that lives may be behind. Judgment: an event takes a few milliseconds."""


class PodWatch:
    """Keeps an index of the pods that have not ended."""

    def __init__(
        self, client: KubeClient, *, group: TaskGroup, on_watch: Callable[[str, Callable[[], float]], None]
    ) -> None:
        """``on_watch`` is told the name and the age of the watch once it begins."""
        self._client, self._group, self._on_watch = client, group, on_watch
        self._informer: Informer | None = None
        self._index = PodIndex()
        self._proved_at = -PROVED_AFTER

    def know(self, *, pools: bool) -> None:
        """Whether there is a pool; the first one begins the watch."""
        if not pools or self._informer is not None:
            return
        informer = self._informer = Informer(
            self._client,
            "/api/v1/pods",
            on_object=self._seen,
            on_sync=lambda: None,
            page=PAGE,
            selectors={"fieldSelector": NOT_ENDED},
        )
        self._on_watch("pods", informer.age_seconds)
        self._group.keep("watch pods", informer.run)

    def watched(self) -> Watched | None:
        """The pods as the watch shows them; None while it cannot tell."""
        informer = self._informer
        if informer is None or not informer.synced:
            return None
        age, now = informer.age_seconds(), time.monotonic()
        if age > PROVED_AFTER and now - self._proved_at > PROVED_AFTER:
            self._proved_at = now
            informer.again()
        if informer.trouble or age > FRESH:
            return None
        return Watched(self._index, age + BEHIND)

    def _seen(self, what: str, pod: Json) -> None:
        if what == "DELETED":
            self._index.drop(text(child(pod, "metadata").get("uid")))
        else:
            self._index.put(pod)
