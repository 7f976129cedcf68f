"""The HTTP door: lists in pages, watches, refusals, counting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from builders_embedded import API_VERSION, GROUP, HandClock, definition, deployment, show

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running, start, write_kubeconfig

SHOWS = f"/apis/{GROUP}/v1/namespaces/default/shows"
MERGE = {"Content-Type": "application/merge-patch+json"}

Json = dict[str, Any]


class Caller:
    """A client of one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str, cluster: EmbeddedCluster) -> None:
        self.session, self.url, self.cluster = session, url, cluster

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Json]:
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=headers, **options) as answer:
            return answer.status, await answer.json()

    async def watch(self, count: int, **query: str) -> list[Json]:
        """The first events of a watch on shows."""
        found: list[Json] = []
        async with self.session.get(self.url + SHOWS, params={"watch": "true", **query}) as answer:
            async for line in answer.content:
                found.append(json.loads(line))
                if len(found) == count:
                    break
        return found


async def serving(**options: Any) -> AsyncIterator[Caller]:
    cluster = EmbeddedCluster(audit=True, **options)
    cluster.create(definition())
    async with running(cluster) as url, aiohttp.ClientSession(headers={"User-Agent": "tester/1.0"}) as session:
        yield Caller(session, url, cluster)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"limit": "abc"}, 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ({"limit": "1.5"}, 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ({"limit": "9" * 40}, f'strconv.ParseInt: parsing "{"9" * 40}": value out of range'),
        ({"watch": "true", "timeoutSeconds": "soon"}, 'strconv.ParseInt: parsing "soon": invalid syntax'),
    ],
)
async def test_a_number_that_is_none_is_a_bad_request(caller: Caller, query: dict[str, str], says: str) -> None:
    code, status = await caller.ask("GET", SHOWS, params=query)
    assert (code, status["reason"], status["message"]) == (400, "BadRequest", says)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async for found in serving():
        yield found


# ---- lists


async def test_pages_show_what_the_first_one_saw(caller: Caller) -> None:
    caller.cluster.load(show(f"show-{n}") for n in range(5))
    _, first = await caller.ask("GET", SHOWS, params={"limit": "2"})
    caller.cluster.delete(API_VERSION, "Show", "show-3")
    caller.cluster.create(show("show-9"))
    _, second = await caller.ask("GET", SHOWS, params={"limit": "2", "continue": first["metadata"]["continue"]})
    _, third = await caller.ask("GET", SHOWS, params={"limit": "2", "continue": second["metadata"]["continue"]})
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == [f"show-{n}" for n in range(5)]
    assert {page["metadata"]["resourceVersion"] for page in (first, second, third)} == {
        first["metadata"]["resourceVersion"]
    }
    assert "continue" not in third["metadata"]


async def test_a_page_may_be_asked_for_again_and_smaller(caller: Caller) -> None:
    caller.cluster.load(show(f"show-{n}") for n in range(5))
    _, first = await caller.ask("GET", SHOWS, params={"limit": "2"})
    again = {"continue": first["metadata"]["continue"]}
    pages = [(await caller.ask("GET", SHOWS, params={"limit": limit, **again}))[1] for limit in ("2", "2", "1", "3")]
    names = [[item["metadata"]["name"] for item in page["items"]] for page in pages]
    assert names == [["show-2", "show-3"]] * 2 + [["show-2"], ["show-2", "show-3", "show-4"]]
    assert ["continue" in page["metadata"] for page in pages] == [True, True, True, False]


async def test_a_forgotten_page_is_410(caller: Caller) -> None:
    caller.cluster.load(show(f"show-{n}") for n in range(3))
    _, first = await caller.ask("GET", SHOWS, params={"limit": "2"})
    for _ in range(40):
        await caller.ask("GET", SHOWS, params={"limit": "1"})
    code, status = await caller.ask("GET", SHOWS, params={"limit": "2", "continue": first["metadata"]["continue"]})
    assert (code, status["reason"]) == (410, "Expired")


async def test_a_field_that_cannot_be_selected_by_is_400(caller: Caller) -> None:
    code, status = await caller.ask("GET", SHOWS, params={"fieldSelector": "spec.title=x"})
    assert code == 400
    assert "field label not supported" in status["message"]


# ---- watches


async def test_a_watch_replays_exactly_what_came_after_its_version(caller: Caller) -> None:
    made = caller.cluster.create(show())
    caller.cluster.patch(API_VERSION, "Show", "friday", {"spec": {"title": "new"}})
    caller.cluster.delete(API_VERSION, "Show", "friday")
    events = await caller.watch(2, resourceVersion=made["metadata"]["resourceVersion"])
    assert [e["type"] for e in events] == ["MODIFIED", "DELETED"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(versions)


async def test_a_version_that_the_log_no_longer_holds_is_410() -> None:
    async for caller in serving(log_size=10):
        made = caller.cluster.create(show("first"))
        revision = int(made["metadata"]["resourceVersion"])
        for n in range(10):
            caller.cluster.create(show(f"show-{n}"))
        events = await caller.watch(10, resourceVersion=str(revision))
        assert [e["type"] for e in events] == ["ADDED"] * 10, "ten back is still remembered"
        caller.cluster.create(show("one-more"))
        events = await caller.watch(1, resourceVersion=str(revision))
        assert events[0]["type"] == "ERROR"
        assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")


async def test_changes_of_other_kinds_do_not_age_a_watch() -> None:
    async for caller in serving(log_size=5):
        made = caller.cluster.create(show("first"))
        for n in range(50):
            caller.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c-{n}"}})
        caller.cluster.create(show("second"))
        events = await caller.watch(1, resourceVersion=made["metadata"]["resourceVersion"])
        assert [e["object"]["metadata"]["name"] for e in events] == ["second"]


async def test_silence_is_broken_by_bookmarks_with_the_current_version() -> None:
    async for caller in serving(bookmark_seconds=0.05):
        made = caller.cluster.create(show())
        caller.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere"}})
        version = made["metadata"]["resourceVersion"]
        events = await caller.watch(2, resourceVersion=version, allowWatchBookmarks="true")
        assert [e["type"] for e in events] == ["BOOKMARK", "BOOKMARK"]
        assert events[0]["object"]["metadata"]["resourceVersion"] == str(caller.cluster.store.revision)


async def test_initial_events_end_with_an_annotated_bookmark(caller: Caller) -> None:
    caller.cluster.load(show(f"show-{n}") for n in range(3))
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    events = await caller.watch(4, **query)
    assert [e["type"] for e in events] == ["ADDED"] * 3 + ["BOOKMARK"]
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_selector_sees_objects_enter_and_leave(caller: Caller) -> None:
    made = caller.cluster.create(show())
    for labels in ({"on": "yes"}, {"on": "no"}):
        caller.cluster.patch(API_VERSION, "Show", "friday", {"metadata": {"labels": labels}})
    version = made["metadata"]["resourceVersion"]
    events = await caller.watch(2, resourceVersion=version, labelSelector="on=yes")
    assert [e["type"] for e in events] == ["ADDED", "DELETED"]


async def test_stopping_the_server_ends_its_watches() -> None:
    cluster = EmbeddedCluster()
    server = await start(cluster)
    async with aiohttp.ClientSession() as session:
        answer = await session.get(server.url + "/api/v1/configmaps", params={"watch": "true"})
        await server.stop()
        with pytest.raises((aiohttp.ClientError, AssertionError)):
            assert await asyncio.wait_for(answer.content.read(), 5)
        await server.stop()


# ---- writes


async def test_scale_moves_a_deployment_and_shows_its_selector(caller: Caller) -> None:
    caller.cluster.create(deployment("web", replicas=2))
    path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
    code, scale = await caller.ask("PATCH", path, {"spec": {"replicas": 5}}, headers=MERGE)
    assert (code, scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == (200, "Scale", 5, "app=web")
    scale["metadata"]["resourceVersion"] = "1"
    code, status = await caller.ask("PUT", path, scale)
    assert (code, status["reason"]) == (409, "Conflict")
    code, status = await caller.ask("PATCH", path, {"spec": {"replicas": -1}}, headers=MERGE)
    assert code == 422


async def test_pods_get_ready_by_themselves_while_the_server_runs() -> None:
    clock = HandClock()
    async for caller in serving(clock=clock):
        caller.cluster.create(deployment("web", replicas=3, start=20.0))
        clock.advance(30.0)
        for _ in range(100):
            _, found = await caller.ask("GET", "/apis/apps/v1/namespaces/default/deployments/web")
            if found.get("status", {}).get("readyReplicas") == 3:
                break
            await asyncio.sleep(0.02)
        assert found["status"]["readyReplicas"] == 3


async def test_strict_validation_names_unknown_fields_and_lenient_warns(caller: Caller) -> None:
    odd = show("odd", nonsense=1)
    code, status = await caller.ask("POST", SHOWS, odd, params={"fieldValidation": "Strict"})
    assert code == 400
    assert 'unknown field "spec.nonsense"' in status["message"]
    async with caller.session.post(caller.url + SHOWS, json=odd) as answer:
        assert answer.status == 201
        assert "spec.nonsense" in answer.headers["Warning"]


async def test_dry_runs_over_http(caller: Caller) -> None:
    code, made = await caller.ask("POST", SHOWS, show(), params={"dryRun": "All"})
    assert (code, made["spec"]["phase"]) == (201, "Planned")
    assert (await caller.ask("GET", f"{SHOWS}/friday"))[0] == 404
    assert (await caller.ask("POST", SHOWS, show(), params={"dryRun": "Some"}))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "want"),
    [
        ("POST", SHOWS, b"{nonsense", "application/json", 400),
        ("POST", SHOWS, b"[]", "application/json", 400),
        ("POST", SHOWS, b"\xd9", "application/cbor", 415),
        ("PATCH", f"{SHOWS}/friday", b"{}", "application/strategic-merge-patch+json", 415),
        ("PATCH", f"{SHOWS}/friday", b'[{"op": "nonsense"}]', "application/json-patch+json", 400),
        ("PATCH", f"{SHOWS}/friday", b'[{"op": "remove", "path": "/spec/x"}]', "application/json-patch+json", 422),
        ("PATCH", f"{SHOWS}/friday", b"{}", "application/apply-patch+yaml", 400),
        ("POST", f"{SHOWS}/friday", b"{}", "application/json", 405),
        ("GET", f"{SHOWS}/friday/nothing", b"", "application/json", 404),
        ("GET", "/apis/nowhere.example.com/v1/shows", b"", "application/json", 404),
    ],
)
async def test_nonsense_is_refused_with_a_status(
    caller: Caller, method: str, path: str, body: bytes, content_type: str, want: int
) -> None:
    caller.cluster.create(show())
    code, status = await caller.ask(method, path, body, headers={"Content-Type": content_type})
    assert code == want
    assert (status["kind"], status["code"]) == ("Status", want)


async def test_a_deletion_for_another_uid_is_a_conflict(caller: Caller) -> None:
    caller.cluster.create(show())
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "another"}}
    code, _ = await caller.ask("DELETE", f"{SHOWS}/friday", body)
    assert code == 409
    assert caller.cluster.get(API_VERSION, "Show", "friday") is not None


# ---- counting


async def test_requests_are_counted_by_verb_resource_and_agent(caller: Caller) -> None:
    await caller.ask("POST", SHOWS, show())
    await caller.ask("PATCH", f"{SHOWS}/friday/status", {"status": {"x": 1}}, headers=MERGE)
    await caller.ask("GET", SHOWS)
    await caller.ask("GET", f"{SHOWS}/nobody")
    assert caller.cluster.requests == {
        ("create", "shows", "tester"): 1,
        ("patch", "shows/status", "tester"): 1,
        ("list", "shows", "tester"): 1,
        ("get", "shows", "tester"): 1,
    }
    assert [(e.verb, e.code) for e in caller.cluster.audit] == [
        ("create", 201),
        ("patch", 200),
        ("list", 200),
        ("get", 404),
    ]
    assert caller.cluster.writes_seen() == 2
    assert caller.cluster.writes_seen(agent="another") == 0


async def test_leases_can_be_left_out_of_the_count(caller: Caller) -> None:
    lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}}
    code, _ = await caller.ask("POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases", lease)
    assert code == 201
    assert caller.cluster.writes_seen() == 0
    assert caller.cluster.writes_seen(ignore=()) == 1


def test_a_kubeconfig_names_the_server(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", namespace="shop")
    written = yaml.safe_load(path.read_text())
    assert written["clusters"][0]["cluster"]["server"] == "http://127.0.0.1:1"
    assert written["contexts"][0]["context"]["namespace"] == "shop"
