"""Status reaches the object once for each meaning, and no more often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Key
from tidegate.ports import StatusPatch
from tidegate.shell.publisher import StatusPublisher, difference, digest
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource

Json = dict[str, Any]
SHOWS = Resource("shows.example/v1", "Show", "shows", namespaced=True, scale=False)
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shows.shows.example}
spec:
  group: shows.example
  scope: Namespaced
  names: {plural: shows, singular: show, kind: Show}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
            status:
              type: object
              x-kubernetes-preserve-unknown-fields: true
              properties: {floor: {type: integer}}
"""
KEY = Key("default", "one")


@dataclass
class Stage:
    cluster: EmbeddedCluster
    publisher: StatusPublisher
    clock: float = 1_700_000_000.0
    leading: bool = True

    def shown(self, name: str = "one") -> Json:
        document = self.cluster.get("shows.example/v1", "Show", name)
        assert document is not None
        return dict(document.get("status") or {})

    async def publish(self, status: Json, key: Key = KEY) -> None:
        self.publisher.publish([StatusPatch("Show", key, status)])
        await self.publisher.flushed()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    cluster = EmbeddedCluster()
    cluster.apply_manifests(CRD)
    for name in ("one", "two"):
        cluster.create({"apiVersion": "shows.example/v1", "kind": "Show", "metadata": {"name": name}, "spec": {}})
    async with running(cluster) as url:
        client = await KubeClient.connect(url=url)
        made = Stage(cluster, None)  # type: ignore[arg-type]
        made.publisher = StatusPublisher(
            client, {"Show": SHOWS}, now=lambda: made.clock, may_write=lambda: made.leading, per_second=1000
        )
        worker = asyncio.create_task(made.publisher.run())
        yield made
        worker.cancel()
        await asyncio.wait({worker})
        await client.close()


def condition(status: str = "True", message: str = "planned") -> Json:
    return {"type": "Ready", "status": status, "reason": "Armed", "message": message}


async def test_a_status_is_written_once_and_again_only_when_it_means_something_else(stage: Stage) -> None:
    await stage.publish({"floor": 3, "conditions": [condition()]})
    assert stage.shown()["floor"] == 3
    stage.clock += 60
    await stage.publish({"conditions": [condition()], "floor": 3})
    assert stage.publisher.writes == 1
    await stage.publish({"floor": 4, "conditions": [condition()]})
    assert (stage.publisher.writes, stage.shown()["floor"]) == (2, 4)


async def test_a_conditions_time_moves_with_its_status_alone(stage: Stage) -> None:
    await stage.publish({"conditions": [condition()]})
    first = stage.shown()["conditions"][0]["lastTransitionTime"]
    stage.clock += 60
    await stage.publish({"conditions": [condition(message="another")]})
    assert stage.shown()["conditions"][0]["lastTransitionTime"] == first
    await stage.publish({"conditions": [condition("False")]})
    assert stage.shown()["conditions"][0]["lastTransitionTime"] > first


async def test_what_is_not_said_any_more_goes_and_what_is_not_ours_stays(stage: Stage) -> None:
    stage.cluster.patch("shows.example/v1", "Show", "one", {"status": {"kopf": {"x": 1}}}, subresource="status")
    await stage.publish({"floor": 3, "live": {"a": 1, "b": 2}})
    await stage.publish({"live": {"b": 2}})
    assert stage.shown() == {"kopf": {"x": 1}, "live": {"b": 2}}


async def test_what_is_absent_from_an_entry_of_a_list_is_no_null_there(stage: Stage) -> None:
    await stage.publish({"lanes": [{"name": "trading", "returnBy": "later"}, {"name": "data", "returnBy": None}]})
    assert stage.shown() == {"lanes": [{"name": "trading", "returnBy": "later"}, {"name": "data"}]}
    await stage.publish({"lanes": [{"name": "trading", "returnBy": None}]})
    assert stage.shown() == {"lanes": [{"name": "trading"}]}


async def test_what_an_object_shows_already_is_not_written_by_a_new_process(stage: Stage) -> None:
    status = {"floor": 3, "conditions": [condition() | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    stage.cluster.patch("shows.example/v1", "Show", "one", {"status": status}, subresource="status")
    before = stage.cluster.writes_seen()
    stage.publisher.seen("Show", KEY, status)
    await stage.publish({"floor": 3, "conditions": [condition()]})
    await stage.publish({"floor": 3, "conditions": [condition()]}, Key("default", "gone"))
    assert (stage.publisher.writes, stage.cluster.writes_seen()) == (0, before)


async def test_whoever_stops_leading_while_a_status_is_asked_for_does_not_write_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may take as long as the Lease lasts; the wish waits until we lead again."""
    asked, get = asyncio.Event(), stage.publisher._client.get

    async def slow(path: str) -> Json:
        found = await get(path)
        stage.leading = False
        asked.set()
        return found

    monkeypatch.setattr(stage.publisher._client, "get", slow)
    stage.publisher.publish([StatusPatch("Show", KEY, {"floor": 3})])
    await asked.wait()
    await asyncio.wait(set(stage.publisher._writers))
    assert (stage.publisher.writes, stage.shown()) == (0, {})
    monkeypatch.undo()
    stage.leading = True
    await stage.publisher.flushed()
    assert stage.shown() == {"floor": 3}


async def test_somebodys_change_of_a_status_is_put_right(stage: Stage) -> None:
    await stage.publish({"floor": 3})
    changed = stage.cluster.patch("shows.example/v1", "Show", "one", {"status": {"floor": 9}}, subresource="status")
    stage.publisher.seen("Show", KEY, changed["status"])
    await stage.publish({"floor": 3})
    assert stage.shown() == {"floor": 3}


async def test_somebodys_change_is_put_right_by_a_status_that_is_told_again_as_the_same_object(stage: Stage) -> None:
    patch = StatusPatch("Show", KEY, {"floor": 3}, kept=True)
    for floor in (9, 8):
        stage.publisher.publish([patch])
        await stage.publisher.flushed()
        changed = stage.cluster.patch(
            "shows.example/v1", "Show", "one", {"status": {"floor": floor}}, subresource="status"
        )
        stage.publisher.seen("Show", KEY, changed["status"])
    stage.publisher.publish([patch])
    stage.publisher.publish([patch])
    await stage.publisher.flushed()
    assert (stage.shown(), stage.publisher.writes) == ({"floor": 3}, 3)


async def test_of_a_kept_status_that_means_something_else_the_new_meaning_is_shown(stage: Stage) -> None:
    for floor in (3, 4):
        stage.publisher.publish([StatusPatch("Show", KEY, {"floor": floor}, kept=True)])
        await stage.publisher.flushed()
    assert stage.shown() == {"floor": 4}


async def test_one_status_that_is_refused_does_not_stop_the_next(stage: Stage) -> None:
    for _ in range(3):
        await stage.publish({"floor": "many"})
    await stage.publish({"floor": 1}, Key("default", "two"))
    assert (stage.publisher.refused, stage.shown("two")) == (1, {"floor": 1})


async def test_who_does_not_lead_writes_nothing_until_he_does(stage: Stage) -> None:
    stage.leading = False
    stage.publisher.publish([StatusPatch("Show", KEY, {"floor": 1})])
    stage.publisher.publish([StatusPatch("Show", KEY, {"floor": 2})])
    assert (len(stage.publisher), stage.publisher.writes) == (1, 0)
    stage.leading = True
    await stage.publisher.flushed()
    assert (stage.publisher.writes, stage.shown()) == (1, {"floor": 2})


parts = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(parts, inner, min_size=1, max_size=3),
    max_leaves=6,
)
statuses = st.dictionaries(parts, values, max_size=3)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(statuses, statuses)
def test_the_difference_makes_the_one_of_the_other(current: Json, wanted: Json) -> None:
    patch = difference(current, wanted)
    assert merged(current, patch) == wanted
    assert (patch == {}) == (current == wanted)


@given(statuses, statuses)
def test_equal_digests_mean_equal_statuses(one: Json, two: Json) -> None:
    assert (digest(one) == digest(two)) == (one == two)
    assert digest({**one, "kopf": 1, "none": None}) == digest(one)
