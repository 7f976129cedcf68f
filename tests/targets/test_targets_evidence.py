"""Why units are missing, as pods, quotas and controllers tell it; and what looking for it may cost."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Evidence, Ref
from tidegate.planning.reasons import Reason
from tidegate.ports import Json
from tidegate.targets import evidence as module
from tidegate.targets.client import KubeClient, Params
from tidegate.targets.errors import ForbiddenError, LaterError
from tidegate.targets.pods import evidence_of, lacking
from tidegate.targets.quantity import quantity
from tidegate.targets.quotas import covers, refusal, rooms, taken_by
from tidegate.targets.registry import KubeTargets

WEB = Ref("apps/v1", "Deployment", "default", "web")
AT = 1_794_240_000.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(AT + seconds, UTC).isoformat().replace("+00:00", "Z")


def pod(name: str = "web-1", *, node: str = "n1", labels: Json | None = None, **status: Any) -> Json:
    """A pod that was scheduled at ``AT`` and is not ready."""
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(0)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}], **({"nodeName": node} if node else {})},
        "status": {"phase": "Pending", "conditions": [scheduled], **status},
    }


def unschedulable(message: str, *, name: str = "web-1", since: float = 0.0) -> Json:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(name, node="", conditions=[{**said, "lastTransitionTime": at(since)}])


def waiting(reason: str, message: str = "") -> list[Json]:
    return [{"name": "main", "image": "web:1", "state": {"waiting": {"reason": reason, "message": message}}}]


def only(*pods: Json) -> Evidence:
    (found,) = evidence_of(pods)
    return found


# ---- pods


SEVERAL = (
    "0/6 nodes are available: 2 Insufficient memory, 3 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint(s)"
    " {pool: batch}. preemption: 0/6 nodes are available: 6 No preemption victims found."
)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("0/6 nodes are available: 6 Insufficient cpu.", "insufficient cpu"),
        (
            SEVERAL,
            "insufficient memory and insufficient nvidia.com/gpu and untolerated taint pool",
        ),
        ("0/6 nodes are available: 6 node(s) had untolerated taint(s). no new claims", "untolerated taint"),
        ('0/6 nodes are available: persistentvolumeclaim "none" not found. not found', "an unbound volume claim"),
        ("0/2 nodes are available: 2 Too many pods.", "too many pods"),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "node selector or affinity"),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "cordoned nodes"),
        ("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.", "pod anti-affinity"),
        ("something that nobody has ever read", "something that nobody has ever read"),
        ("", "the scheduler does not say why"),
    ],
)
def test_what_the_scheduler_lacks_is_named(said: str, want: str) -> None:
    assert lacking(said) == want


def test_pods_of_one_cause_are_told_together_by_the_one_that_waits_for_longest() -> None:
    found = only(
        unschedulable("6 Insufficient cpu.", name="web-2", since=9.0),
        unschedulable("6 Insufficient cpu.", name="web-1", since=5.0),
    )
    assert found == Evidence(
        Reason.PODS_UNSCHEDULABLE,
        Ref("v1", "Pod", "default", "web-1"),
        "status.conditions[PodScheduled]",
        "Pod/web-1 (and 1 more) fits on no machine: insufficient cpu",
        AT + 5.0,
        AT + 9.0,
        2,
    )


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ({}, Reason.PODS_NEVER_READY, "is on machine n1 and not ready"),
        ({"containerStatuses": waiting("ContainerCreating")}, Reason.PODS_NEVER_READY, "not ready"),
        (
            {"containerStatuses": waiting("ErrImagePull", "no such\n image")},
            Reason.IMAGE_PULL_FAILED,
            "image web:1: ErrImagePull: no such image",
        ),
        ({"containerStatuses": waiting("CrashLoopBackOff")}, Reason.CONTAINERS_FAIL, "cannot run main, container"),
        ({"initContainerStatuses": waiting("CreateContainerConfigError")}, Reason.CONTAINERS_FAIL, "ConfigError"),
    ],
)
def test_a_pod_on_its_machine_is_told_by_what_its_kubelet_says(status: Json, reason: Reason, words: str) -> None:
    found = only(pod(**status))
    assert (found.reason, str(found.object), found.since) == (reason, "Pod/web-1", AT)
    assert words in found.message


def test_a_pod_that_was_ready_counts_from_when_it_stopped_being_so() -> None:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(0)}
    fallen = {"type": "Ready", "status": "False", "lastTransitionTime": at(3600)}
    assert only(pod(conditions=[scheduled, fallen])).since == AT + 3600.0


def test_an_open_readiness_gate_is_named() -> None:
    gated = pod()
    gated["spec"]["readinessGates"] = [{"conditionType": "lb.example/registered"}]
    assert only(gated).message.endswith("readiness gate lb.example/registered")


def test_pods_that_are_ready_gone_going_or_not_looked_at_yet_are_no_evidence() -> None:
    ready = pod(conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": at(0)}])
    going = pod()
    going["metadata"]["deletionTimestamp"] = at(1)
    assert evidence_of([ready, going, pod(phase="Failed"), pod(node="", conditions=[])]) == ()


# ---- quotas


def quota(hard: Json, used: Json, name: str = "team", **spec: Any) -> Json:
    metadata = {"name": name, "namespace": "default"}
    kind = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    return {**kind, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used}}


def template(requests: Json | None = None, limits: Json | None = None, **spec: Any) -> Json:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {"spec": {"containers": [{"name": "main", "resources": resources}], **spec}}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("250m", "0.25"),
        ("2", "2"),
        (2, "2"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("12E", "12e18"),
        ("100k", "1e5"),
    ],
)
def test_a_quantity_is_read_exactly(text: str | int, want: str) -> None:
    assert quantity(text) == Decimal(want)


@pytest.mark.parametrize("text", ["", "much", "1 Gi", "Gi", None, [], "1e", "--1"])
def test_what_is_no_quantity_is_none(text: object) -> None:
    assert quantity(text) is None


def test_room_is_what_a_quota_leaves_by_what_a_pod_takes() -> None:
    asked = {"requests.cpu": "6", "memory": "4Gi", "count/pods": "10", "services": "1", "limits.cpu": "9"}
    used = {"requests.cpu": "3500m", "memory": "1Gi", "count/pods": "3", "services": "1", "limits.cpu": "0"}
    found = rooms([quota(asked, used)], template({"cpu": "500m", "memory": "1Gi"}), 3)
    told = {room.resource: (room.left, room.each, room.units) for room in found}
    assert told == {"requests.cpu": (2.5, 0.5, 3), "memory": (3 * 2.0**30, 2.0**30, 3), "count/pods": (7.0, 1.0, 3)}
    assert {str(room.object) for room in found} == {"ResourceQuota/team"}


def test_a_quota_whose_use_is_not_known_yet_says_nothing() -> None:
    assert rooms([quota({"pods": "1"}, {})], template(), 3) == ()


def test_a_pod_takes_its_containers_and_sidecars_or_its_largest_init_container_and_its_overhead() -> None:
    def container(cpu: str, **more: Any) -> Json:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("500m")],
        "initContainers": [container("100m"), container("200m", restartPolicy="Always"), container("1")],
        "overhead": {"cpu": "50m"},
    }
    assert taken_by(spec)["requests.cpu"] == Decimal("1.75")
    spec["initContainers"].append(container("4"))
    assert taken_by(spec)["requests.cpu"] == Decimal("4.25"), "the last one starts beside the sidecar"
    assert taken_by({**spec, "resources": {"requests": {"cpu": "2"}}})["requests.cpu"] == Decimal("2.05")


def test_a_request_that_is_missing_is_its_limit() -> None:
    assert taken_by(template(limits={"memory": "1Gi"})["spec"])["requests.memory"] == Decimal(2**30)


@pytest.mark.parametrize(
    ("spec", "pod_spec", "want"),
    [
        ({}, {}, True),
        ({"scopes": ["Terminating"]}, {}, False),
        ({"scopes": ["NotTerminating"]}, {}, True),
        ({"scopes": ["BestEffort"]}, template({"cpu": "1"})["spec"], False),
        ({"scopes": ["NotBestEffort"]}, template({"cpu": "1"})["spec"], True),
        ({"scopes": ["CrossNamespacePodAffinity"]}, {}, False),
    ],
)
def test_a_quotas_scopes_are_kept(spec: Json, pod_spec: Json, want: bool) -> None:
    assert covers({"spec": spec}, pod_spec) is want


@pytest.mark.parametrize(
    ("operator", "want"), [("In", True), ("NotIn", False), ("Exists", True), ("DoesNotExist", False)]
)
def test_a_quota_for_a_priority_class_counts_its_pods_alone(operator: str, want: bool) -> None:
    scope = {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}
    asked = {"spec": {"scopeSelector": {"matchExpressions": [scope]}}}
    assert covers(asked, {"priorityClassName": "high"}) is want


FULL = (
    'pods "web-5f-abc" is forbidden: exceeded quota: team, requested: pods=1,requests.cpu=1,'
    " used: pods=5,requests.cpu=5, limited: pods=5,requests.cpu=5"
)


@pytest.mark.parametrize(
    ("message", "reason", "about", "words"),
    [
        (FULL, Reason.QUOTA_EXCEEDED, "ResourceQuota/team", "has no pods and no requests.cpu left"),
        (
            'pods "web-5f-abc" is forbidden: failed quota: team: must specify limits.cpu for: main',
            Reason.PODS_REFUSED,
            "ResourceQuota/team",
            "must specify limits.cpu",
        ),
        (
            'pods "web-5f-abc" is forbidden: violates PodSecurity "restricted:latest"',
            Reason.PODS_REFUSED,
            "Deployment/web",
            "violates PodSecurity",
        ),
    ],
)
def test_why_pods_are_refused_is_read_from_the_workloads_condition(
    message: str, reason: Reason, about: str, words: str
) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = refusal([{**failure, "lastTransitionTime": at(7)}], WEB)
    assert found is not None
    assert (found.reason, str(found.object), found.since) == (reason, about, AT + 7.0)
    assert words in found.message
    assert refusal([{**failure, "status": "False"}], WEB) is None


# ---- what it costs, and what it must not


class Counting(KubeClient):
    """A client that knows what it asked for, and may be refused."""

    asked: list[str]
    refused: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()

    async def get(self, path: str, params: Params | None = None) -> Json:
        what = path.rpartition("/")[2]
        self.asked = [*getattr(self, "asked", []), what + (f"?{params['limit']}" if params and what == "pods" else "")]
        if what in self.refused:
            raise ForbiddenError(f"GET {path}: may not")
        if what in self.down:
            raise LaterError(f"GET {path}: later")
        return await super().get(path, params)

    def lists(self) -> list[str]:
        taken, self.asked = self.asked, []
        return [what for what in taken if what.startswith(("pods", "resourcequotas"))]


def put(cluster: EmbeddedCluster, document: Json) -> None:
    """Create an object with the status that its controller would have written since."""
    cluster.create(document)
    name, status = document["metadata"]["name"], {"status": document["status"]}
    cluster.patch(document["apiVersion"], document["kind"], name, status, subresource="status")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> EmbeddedCluster:
    """Two replicas asked for, none ready: the scheduler has no CPU for them. Statuses are the test's to write."""
    made = EmbeddedCluster()
    monkeypatch.setattr(made, "step", lambda: None)
    labels = {"app": "web"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pods, "paused": True}
    made.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    put(made, unschedulable("0/6 nodes are available: 6 Insufficient cpu.", name="web-1"))
    put(made, pod("other-1", labels={"app": "other"}))
    return made


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[Counting]:
    async with running(cluster) as url:
        made = await Counting.connect(url=url)
        assert isinstance(made, Counting)
        yield made
        await made.close()


async def reasons(targets: KubeTargets) -> list[Reason]:
    return [one.reason for one in (await targets.examine(WEB)).observed.evidence]


async def test_a_plain_look_asks_for_no_pods(client: Counting) -> None:
    await KubeTargets(client).see(WEB)
    assert client.lists() == []


async def test_a_close_look_is_one_list_of_its_own_pods_and_one_of_quotas(client: Counting) -> None:
    seen = (await KubeTargets(client).examine(WEB)).observed
    assert [(e.reason, str(e.object)) for e in seen.evidence] == [(Reason.PODS_UNSCHEDULABLE, "Pod/web-1")]
    assert (seen.level, seen.trouble) == (2, None)
    assert client.lists() == ["resourcequotas", "pods?250"]


async def test_what_is_all_ready_costs_a_pod_only_where_there_is_a_quota(
    client: Counting, cluster: EmbeddedCluster
) -> None:
    targets = KubeTargets(client)
    cluster.patch("apps/v1", "Deployment", "web", {"status": {"readyReplicas": 2, "replicas": 2}}, subresource="status")
    assert (await targets.examine(WEB)).observed.evidence == ()
    assert client.lists() == ["resourcequotas"]
    put(cluster, quota({"pods": "5"}, {"pods": "3"}))
    (room,) = (await KubeTargets(client).examine(WEB)).observed.rooms
    assert (room.left, room.each, room.units, str(room.object)) == (2.0, 1.0, 2, "ResourceQuota/team")
    assert client.lists() == ["resourcequotas", "pods?1"]


@pytest.mark.parametrize("what", ["pods", "resourcequotas"])
async def test_what_may_not_be_read_is_said_once_and_costs_the_target_nothing(
    client: Counting, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    client.refused = frozenset([what])
    targets = KubeTargets(client)
    with caplog.at_level(logging.WARNING, "tidegate.evidence"):
        for _ in range(3):
            sight = await targets.examine(WEB)
            assert (sight.observed.level, sight.observed.trouble, sight.place is None) == (2, None, False)
    (said,) = caplog.messages
    assert said.startswith(f"{what} in default cannot be listed")
    assert sum(asked.startswith(what) for asked in client.lists()) == 1, "nor is it asked for again and again"


async def test_what_may_not_be_read_for_long_is_asked_for_again_and_still_said_once(
    client: Counting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFUSED_PAUSE", 0.0)
    client.refused = frozenset(["pods"])
    targets = KubeTargets(client)
    with caplog.at_level(logging.WARNING, "tidegate.evidence"):
        for _ in range(3):
            await targets.examine(WEB)
    assert len(caplog.messages) == 1
    assert sum(asked.startswith("pods") for asked in client.lists()) == 3


async def test_a_beat_without_an_answer_keeps_what_was_seen_before(client: Counting) -> None:
    targets = KubeTargets(client)
    assert await reasons(targets) == [Reason.PODS_UNSCHEDULABLE]
    client.down = frozenset(["pods"])
    assert await reasons(targets) == [Reason.PODS_UNSCHEDULABLE]


async def test_a_pod_that_is_not_as_we_think_it_is_costs_the_target_nothing(
    client: Counting, cluster: EmbeddedCluster
) -> None:
    odd = unschedulable("", name="web-odd")
    odd["status"]["conditions"] = ["not", "conditions"]
    put(cluster, odd)
    sight = await KubeTargets(client).examine(WEB)
    assert (sight.observed.level, sight.observed.trouble) == (2, None)
    assert [(one.reason, one.units) for one in sight.observed.evidence] == [(Reason.PODS_UNSCHEDULABLE, 1)], "its twin"


async def test_a_refusal_by_a_quota_that_has_room_by_now_is_no_evidence_any_more(
    client: Counting, cluster: EmbeddedCluster
) -> None:
    """The controller tries again after a while only, and its condition stays until then."""
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": FULL}
    told = {"status": {"replicas": 1, "conditions": [failure]}}
    cluster.patch("apps/v1", "Deployment", "web", told, subresource="status")
    targets = [KubeTargets(client) for _ in range(3)]
    assert await reasons(targets[0]) == [Reason.PODS_UNSCHEDULABLE], "there is no such quota"
    put(cluster, quota({"pods": "5"}, {"pods": "5"}))
    assert await reasons(targets[1]) == [Reason.PODS_UNSCHEDULABLE, Reason.QUOTA_EXCEEDED]
    cluster.patch("v1", "ResourceQuota", "team", {"status": {"hard": {"pods": "9"}}}, subresource="status")
    assert await reasons(targets[2]) == [Reason.PODS_UNSCHEDULABLE]


async def test_a_refusal_by_a_quota_that_may_not_be_looked_at_is_believed(
    client: Counting, cluster: EmbeddedCluster
) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": FULL}
    told = {"status": {"replicas": 1, "conditions": [failure]}}
    cluster.patch("apps/v1", "Deployment", "web", told, subresource="status")
    client.refused = frozenset(["resourcequotas"])
    assert await reasons(KubeTargets(client)) == [Reason.PODS_UNSCHEDULABLE, Reason.QUOTA_EXCEEDED]
