"""Documents as nobody should write them: every reader gives a value, or says that nobody can tell."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from tidegate.planning.model import Ref, Trouble
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import CannotStop, Lane, MemberRef, Pool
from tidegate.ports import ConflictError, Json, Manager, RefusedError
from tidegate.targets.discovery import Resource, resources_of, versions_of
from tidegate.targets.errors import LaterError
from tidegate.targets.hpa import hpa_of
from tidegate.targets.jobs import SAVED_EVERY, SAVED_TIME, is_work, member_of
from tidegate.targets.ownership import fields_of, handed_back, owner
from tidegate.targets.podindex import holder_of, seen_pod
from tidegate.targets.pods import evidence_of
from tidegate.targets.pools import KubePools
from tidegate.targets.quantity import quantity
from tidegate.targets.quotas import covers, refusal, rooms
from tidegate.targets.read import child, instant, maps, whole
from tidegate.targets.registry import KubeTargets
from tidegate.targets.scale import ScalePaths, workload_of
from tidegate.targets.sights import sight_of
from tidegate.targets.takes import pod_takes, template_takes, there_is

NOW = 1_794_240_000.0
WEB = Ref("apps/v1", "Deployment", "shop", "web")
NUMBERS = ["1e999999", "-1", "NaN", "1e-400", "9" * 400, "1Ei", "9" * 40 + "Ei", "", None, [], {}, True, 2**70, 1e308]

# ---- any document at all

WORDS = [
    "metadata", "spec", "status", "name", "namespace", "uid", "labels", "annotations", "ownerReferences", "controller",
    "kind", "managedFields", "manager", "operation", "Update", "fieldsV1", "f:spec", "f:replicas", "f:minReplicas",
    "resourceVersion", "replicas", "minReplicas", "maxReplicas", "scaleTargetRef", "apiVersion", "desiredReplicas",
    "conditions", "type", "Ready", "PodScheduled", "False", "ReplicaFailure", "True", "template", "containers",
    "initContainers", "resources", "requests", "limits", "overhead", "cpu", "memory", "parallelism", "completions",
    "succeeded", "startTime", "2026-11-09T10:00:00Z", "0001-01-01T00:00:00+14:00", "suspend", SAVED_TIME, SAVED_EVERY,
    "nodeName", "phase", "Running", "containerStatuses", "state", "waiting", "reason", "ErrImagePull", "message",
    "readinessGates", "conditionType", "hard", "used", "scopes", "scopeSelector", "matchExpressions", "scopeName",
    "values", "selector", "matchLabels", "operator", "key", "In", "lastTransitionTime", "deletionTimestamp", "v1",
    "groupVersion", "versions", "preferredVersion", "pods/scale", "pods", "namespaced", "ReplicaSet", "1Gi", "500m",
]  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(WORDS),
    st.sampled_from(NUMBERS),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)),
    max_leaves=20,
)
documents = st.dictionaries(st.sampled_from(WORDS), values, max_size=8)


def whole_job() -> Json:
    requests = {"cpu": "1", "memory": "1Gi"}
    pods = {
        "metadata": {"annotations": {}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]},
    }
    return {
        "metadata": {"name": "j", "namespace": "data", "uid": "u", "annotations": {}, "resourceVersion": "7"},
        "spec": {"suspend": False, "parallelism": 1, "template": pods},
        "status": {"startTime": "2026-11-09T10:00:00Z"},
    }


@st.composite
def spoiled(draw: st.DrawFn) -> Json:
    """A whole document with something else at one of its places."""
    document = whole_job()
    document["spec"] |= {
        "minReplicas": 2,
        "maxReplicas": 50,
        "replicas": 3,
        "nodeName": "n1",
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "selector": {"matchLabels": {"app": "web"}},
    }
    document["metadata"]["managedFields"] = [
        {"manager": "helm", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:minReplicas": {}}}}
    ]
    document["status"] |= {"conditions": [{"type": "Ready", "status": "False"}], "hard": {"cpu": "1"}, "used": {}}
    node: Any = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or draw(st.booleans()):
            node[key] = draw(values)
            return document
        node = node[key]


@given(st.one_of(documents, spoiled()))
@example({"metadata": {"managedFields": [{"manager": "a", "operation": "Update", "fieldsV1": ["f:spec"]}]}})
def test_no_document_makes_a_reader_raise(document: Json) -> None:
    workload = workload_of(document, WEB, ScalePaths())
    pointing = [hpa for hpa in (hpa_of(document),) if hpa is not None]
    sight = sight_of(workload, pointing)
    assert sight.place is None or sight.observed.trouble is None
    assert isinstance(workload.selector, str)
    is_work(document)
    found = member_of(document, lane="data", member="m", now=NOW)
    if not isinstance(found, CannotStop):
        assert found[0].saved_at is None or found[0].saved_at <= NOW
        assert found[0].saved_every > 0
    spec = child(document, "spec")
    assert pod_takes(spec).fits(pod_takes(spec))
    seen_pod(document)
    template_takes(document)
    there_is(document)
    holder_of(child(document, "metadata"))
    evidence_of([document])
    rooms([document], document, 3)
    covers(document, spec)
    refusal(maps(child(document, "status").get("conditions")), WEB)
    resources_of("v1", document)
    versions_of(document)
    for leaf in (("spec", "replicas"), ("spec", "minReplicas")):
        owner(fields_of(document), leaf)
        with suppress(ConflictError):
            handed_back(fields_of(document), leaf, to=Manager("helm", "Update"), api_version="apps/v1")


# ---- amounts


@pytest.mark.parametrize("written", NUMBERS, ids=lambda written: repr(written)[:12])
@pytest.mark.parametrize("name", ["cpu", "memory"])
def test_an_amount_that_is_none_neither_hangs_nor_raises(written: object, name: str) -> None:
    document = whole_job()
    document["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"][name] = written
    takes, found = template_takes(document), member_of(document, lane="data", member="m", now=NOW)
    assert takes is None or not takes.nothing
    assert isinstance(found, CannotStop) == (takes is None)


@given(st.text(alphabet="0123456789.eE+-KMGinum", max_size=70))
def test_a_quantity_is_bounded(written: str) -> None:
    number = quantity(written)
    assert number is None or number == 0 or Decimal("1e-9") <= abs(number) <= Decimal(10**24)


def test_a_request_below_nothing_gives_nobody_room() -> None:
    containers = [{"resources": {"requests": {"cpu": cpu}}} for cpu in ("2", "-1")]
    assert pod_takes({"containers": containers}) == Resources(2000, 0)


@pytest.mark.parametrize("value", [0, 7, -7, 2**63 - 1, 1 - 2**63])
def test_a_whole_number_that_the_api_can_hold_is_read_as_it_stands(value: int) -> None:
    assert whole(value) == value


@pytest.mark.parametrize("value", [2**63, -(2**63), "7", 7.0, True, None])
def test_what_the_api_cannot_hold_as_a_whole_number_is_none(value: object) -> None:
    assert whole(value) is None


@pytest.mark.parametrize("many", [2**63, 2**31, -1, "3", 1.5, True, []])
def test_a_job_of_nobody_can_tell_how_many_pods_is_no_member(many: object) -> None:
    document = whole_job()
    document["spec"]["parallelism"] = many
    found = member_of(document, lane="data", member="m", now=NOW)
    assert isinstance(found, CannotStop)
    assert found.reason is Reason.NO_REQUESTS


@pytest.mark.parametrize(
    "every", ["1e-320", "5e-324", "1e-300", "1e308", "nan", "inf", "-1", "1_0", " 5 ", 5, [], None]
)
@pytest.mark.parametrize(
    "saved",
    ["0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-09", 7, {}, None],
)
def test_what_a_job_says_of_its_checkpoints_is_a_time_in_the_past(every: object, saved: object) -> None:
    document = whole_job()
    document["metadata"]["annotations"][SAVED_TIME] = saved
    document["spec"]["template"]["metadata"]["annotations"][SAVED_EVERY] = every
    found = member_of(document, lane="data", member="m", now=NOW)
    assert not isinstance(found, CannotStop)
    started = instant("2026-11-09T10:00:00Z")
    assert started is not None
    assert found[0].saved_at is not None
    assert min(started, NOW) <= found[0].saved_at <= NOW
    assert found[0].saved_every > 0


# ---- levels


@pytest.mark.parametrize(
    "spec",
    [
        {"minReplicas": "2", "maxReplicas": 50},
        {"minReplicas": 2},
        {"minReplicas": 2, "maxReplicas": None},
        {"minReplicas": 2**64, "maxReplicas": 50},
    ],
)
def test_an_hpa_without_numbers_stands_in_front_all_the_same(spec: Json) -> None:
    """Its workload must not be scaled past it."""
    scales = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    hpa = hpa_of({"metadata": {"name": "web", "namespace": "shop"}, "spec": {**spec, "scaleTargetRef": scales}})
    assert hpa is not None
    workload = workload_of({"metadata": {"uid": "u"}, "spec": {"replicas": 3}}, WEB, ScalePaths())
    sight = sight_of(workload, [hpa])
    assert (sight.place, sight.observed.trouble) == (None, Trouble.UNREADABLE)


@pytest.mark.parametrize("replicas", [None, "3", True, 2**64, {}, 1.5])
def test_a_workload_without_a_number_is_not_scaled(replicas: object) -> None:
    workload = workload_of({"metadata": {"uid": "u"}, "spec": {"replicas": replicas}}, WEB, ScalePaths())
    sight = sight_of(workload, [])
    assert (sight.place, sight.observed.trouble) == (None, Trouble.NOT_SCALABLE)


# ---- a pool


class Api:
    """The few lists that a look at a pool asks for."""

    def __init__(self, nodes: list[Any], pods: list[Any], jobs: list[Any]) -> None:
        self.lists = {"nodes": nodes, "pods": pods, "jobs": jobs}
        self.down: set[str] = set()

    async def pages(self, path: str, size: int, params: object = None) -> AsyncGenerator[Json, None]:
        what = path.rpartition("/")[2]
        if what in self.down:
            raise LaterError(f"GET {path}: later")
        yield {"items": copy.deepcopy(self.lists[what])}


def node(name: str = "n1", **status: object) -> Json:
    ready = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name},
        "status": {"conditions": ready, "allocatable": {"cpu": "8", "memory": "8Gi"}, **status},
    }


def pod(cpu: object = "1", **spec: object) -> Json:
    containers = [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]
    return {
        "metadata": {"name": "p", "namespace": "shop", "uid": f"uid of {cpu}"},
        "spec": {"nodeName": "n1", "containers": containers, **spec},
        "status": {"phase": "Running"},
    }


LANE = Lane("data", members=(MemberRef("jobs", "batch/v1", "Job", "data", labels=(("app", "j"),)),))
POOL = Pool("p", (LANE,), node_selector=(("pool", "a"),))


def pools_of(api: Api) -> KubePools:
    return KubePools(api, KubeTargets(api), now=lambda: NOW)  # type: ignore[arg-type]


async def test_odd_neighbours_cost_a_pool_only_themselves() -> None:
    odd_job = whole_job()
    odd_job["metadata"]["name"], odd_job["spec"]["parallelism"] = "odd", 2**63
    api = Api(
        [node(), node("n2", allocatable="much"), {"metadata": None, "status": 3}],
        [pod(), pod(cpu={}, containers="none"), {"spec": {"nodeName": ["n1"]}}, {"spec": None}],
        [whole_job(), odd_job, {"metadata": []}],
    )
    sight = await pools_of(api).see(POOL)
    assert sight.seen.allocatable == Resources(8000, 8192)
    assert [(held.used, holder.kind) for holder, held in sight.seen.occupancy.items()] == [
        (Resources(1000, 1024), "Pod")
    ]
    assert [member.ref.name for member in sight.seen.members] == ["j"]


async def test_a_pod_that_asks_for_more_than_its_node_has_fills_no_more_than_the_node() -> None:
    """Anybody may name a node in a pod; the kubelet refuses it a moment later."""
    sight = await pools_of(Api([node(), node("n2")], [pod(cpu="1e999999")], [])).see(POOL)
    (held,) = sight.seen.occupancy.values()
    assert (held.used, held.largest) == (Resources(8000, 1024), Resources(8000, 1024))
    assert sight.seen.allocatable == Resources(16000, 16384)


async def test_a_member_that_cannot_be_looked_at_is_there_as_it_was_last_seen() -> None:
    api = Api([node()], [], [whole_job()])
    pools = pools_of(api)
    api.down = {"jobs"}
    assert (await pools.see(POOL)).seen.members == (), "it was never seen"
    api.down = set()
    (seen,) = (await pools.see(POOL)).seen.members
    api.down = {"jobs"}
    (unseen,) = (await pools.see(POOL)).seen.members
    assert (seen.seen, unseen.seen) == (True, False)
    assert unseen.ref == seen.ref
    api.down, api.lists["jobs"] = set(), []
    assert (await pools.see(POOL)).seen.members == ()


# ---- names


@pytest.mark.parametrize(
    "part", ["..", ".", "../../other/deployments/web", "a/b", "a?b=c", "a#b", "a%2fb", "a b", "a\\b", "a\n"]
)
@pytest.mark.parametrize("place", ["namespace", "name", "subresource"])
def test_no_name_is_the_path_of_another_object(part: str, place: str) -> None:
    resource = Resource("apps/v1", "Deployment", "deployments", namespaced=True, scale=True)
    with pytest.raises(RefusedError, match="is no name"):
        resource.path(**({"namespace": "shop", "name": "web"} | {place: part}))


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_an_object_is_called_its_path_stays_below_its_namespace(namespace: str, name: str) -> None:
    resource = Resource("apps/v1", "Deployment", "deployments", namespaced=True, scale=True)
    with suppress(RefusedError):
        sent = URL("http://host" + resource.path(namespace or "shop", name, "scale"))
        assert sent.path.split("/")[1:6] == ["apis", "apps", "v1", "namespaces", namespace or "shop"]
        assert len(sent.path.split("/")) == (9 if name else 8)
        assert not sent.query_string
        assert not sent.fragment
