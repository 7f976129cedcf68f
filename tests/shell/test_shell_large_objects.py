"""Of a list of large objects no reader holds more than a page: its owner may write 256 KiB into each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from weakref import WeakSet

import kopf
import pytest
from test_shell_deletions import override
from test_shell_kinds import Shown
from test_shell_store import CORE, NOW, scaling_policy

from tidegate.planning.model import Key, Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Lane, MemberRef, Pool
from tidegate.ports import Json
from tidegate.shell.app import configure
from tidegate.shell.kinds import FewKinds
from tidegate.shell.settings import load_settings
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient
from tidegate.targets.hpa import HpaShelf
from tidegate.targets.pools import KubePools

MANY, PAGE = 1000, 50
LARGE = "x" * (256 << 10)


class Whole(dict[str, Any]):
    """An object as it was read: it can be seen to go."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # type: ignore[assignment]


class Server(KubeClient):
    """Has a thousand objects of some kinds, and tells them in pages of fifty."""

    makes: dict[str, Callable[[int], Json]]
    there: WeakSet[Whole]
    most = 0
    """Objects that somebody held at a time."""

    async def get(self, path: str, params: Any = None) -> Json:
        make = self.makes.get(path.rpartition("/")[2])
        begin = int(params.get("continue", 0))
        end = min(begin + PAGE, MANY if make is not None else begin)
        items = [self._whole(make(number)) for number in range(begin, end)] if make is not None else []
        self.most = max(self.most, len(self.there))
        return {"metadata": {"continue": str(end) if begin < end < MANY else ""}, "items": items}

    def _whole(self, made: Json) -> Whole:
        metadata = {**made["metadata"], "annotations": {"note": LARGE}, "managedFields": [{"manager": LARGE}]}
        one = Whole({**made, "metadata": metadata})
        self.there.add(one)
        return one


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = await Server.connect(url="http://127.0.0.1:9")
    assert isinstance(made, Server)
    made.makes, made.there = {}, WeakSet()
    yield made
    await made.close()


def named(made: Json, number: int) -> Json:
    metadata = {**made["metadata"], "name": f"{made['metadata']['name']}-{number}", "resourceVersion": str(number + 1)}
    return {**made, "metadata": metadata}


async def test_overrides_and_policies_are_read_a_page_at_a_time(server: Server) -> None:
    server.makes = {
        "overrides": lambda number: named(override(), number),
        "scalingpolicies": lambda number: named(scaling_policy(), number),
    }
    store = WatchedStore(lambda: NOW)
    few = FewKinds(server, store, Shown(), None)  # type: ignore[arg-type]
    await few.list_first()
    assert (len(store.known("Override")), len(store.known("ScalingPolicy"))) == (MANY, MANY)
    assert server.most <= 4 * PAGE, "of each of both kinds a page, and the one that comes"
    assert not server.there
    server.makes["overrides"] = lambda number: named(override(), 0)
    assert await few.list_again() == []
    assert store.leaving("Override", Key(CORE.namespace, "o-1")), "what a whole list lacks is gone"
    assert not store.leaving("Override", Key(CORE.namespace, "o-0"))


async def test_autoscalers_are_read_a_page_at_a_time(server: Server) -> None:
    def hpa(number: int) -> Json:
        scales = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"web-{number}"}
        spec = {"minReplicas": 2, "maxReplicas": 50, "scaleTargetRef": scales}
        return {"metadata": {"name": f"web-{number}", "namespace": "shop", "uid": str(number)}, "spec": spec}

    server.makes = {"horizontalpodautoscalers": hpa}
    shelf = HpaShelf(server, lifetime=3600.0)
    for number in (0, MANY - 1):
        found = await shelf.in_front_of(Ref("apps/v1", "Deployment", "shop", f"web-{number}"))
        assert [one.ref.name for one in found] == [f"web-{number}"]
    assert server.most <= 2 * PAGE
    assert not server.there


async def test_jobs_are_read_a_page_at_a_time(server: Server) -> None:
    def job(number: int) -> Json:
        container = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
        spec = {"parallelism": 1, "suspend": False, "template": {"spec": {"containers": [container]}}}
        return {"metadata": {"name": f"j{number}", "namespace": "shop", "uid": str(number)}, "spec": spec}

    server.makes = {"jobs": job}
    member = MemberRef("nightly", "batch/v1", "Job", "shop", labels=(("work", "nightly"),))
    pool = Pool("p", (Lane("data", members=(member,)),), given=Resources(1, 1))
    sight = await KubePools(server, None, now=lambda: NOW).see(pool)  # type: ignore[arg-type]
    assert len(sight.seen.members) == MANY
    assert server.most <= 2 * PAGE
    assert not server.there


def test_the_framework_reads_a_page_at_a_time_too() -> None:
    """By default it asks for all objects of a kind in one answer."""
    settings = kopf.OperatorSettings()
    configure(settings, load_settings({}))
    assert settings.watching.chunk_size is not None
    assert settings.watching.chunk_size <= PAGE
