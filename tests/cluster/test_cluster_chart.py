"""The chart on a real API server: a real Helm installs it, and the operator works as its ServiceAccount.

In both scopes one short evening is played with a target of every kind, then a second event is released in mid-show as
the pre-delete hook would do it; the audit log says what the two accounts asked for. ``TIDEGATE_TEST_AUDIT_LOG`` names
it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chart_release import FULLNAME, Release, Request, drop, forbidden, new_release, unique, used
from harness import ApiError, Cluster, Json, eventually, path_of, tool
from shop import APPLIER, PER_UNIT, SIGNAL, deployment, event, hpa, in_seconds, minimum_of, policy

from tidegate.api.walltime import to_rfc3339

KUBECONFIG = os.environ.get("KUBECONFIG")
AUDIT_LOG = os.environ.get("TIDEGATE_TEST_AUDIT_LOG")


def _missing() -> str:
    if not KUBECONFIG:
        return "needs an API server, found by KUBECONFIG"
    if not AUDIT_LOG:
        return "needs that server's audit log, named by TIDEGATE_TEST_AUDIT_LOG"
    absent = [name for name in ("helm", "kubectl") if tool(name) is None]
    return f"needs {' and '.join(absent)}, in $TIDEGATE_TOOLS/bin or on PATH" if absent else ""


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
    pytest.mark.timeout(600),
]

FLOOR = 6
BEFORE = {"web": 3, "api": 0, "cache": 0, "ferry": 0, "fleet": 2}
"""What stands there before: the first behind an HPA, the others scaled by themselves."""

LOGGED = 3.0
"""Seconds until the audit log holds what was asked."""

UNUSED: dict[str, set[Request]] = {
    FULLNAME: {
        # Read when another wrote it in between.
        ("tidegate.dev", "loans", "get"),
        ("tidegate.dev", "learned", "get"),
        # Deleted when nothing is left in it, or its policy is gone for a minute.
        ("tidegate.dev", "learned", "delete"),
    },
    f"{FULLNAME}-release": {
        ("tidegate.dev", "loans", "get"),
        # Holding it is what counts; the verb of no request.
        ("tidegate.dev", "loans", "release"),
        # Read when the level to leave is 0, or when no CRD may be read: a floor of 0 is nobody's.
        ("apps", "deployments/scale", "get"),
        ("apps", "statefulsets/scale", "get"),
        ("test.tidegate.dev", "FLEETS/scale", "get"),
    },
}
"""What each account is granted and does not use in the evening; each with its reason."""


@dataclass
class Evening:
    """A release, its shop, and what was seen."""

    release: Release
    shop: str
    fleets: str
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        return self.release.cluster

    def levels(self) -> dict[str, int]:
        """What each target is held at."""
        found = {"web": minimum_of(self.cluster.get("HorizontalPodAutoscaler", self.shop, "web"))}
        for name, path in (("api", "apps/v1/{}/deployments"), ("cache", "apps/v1/{}/statefulsets")):
            found[name] = self._replicas(path, name)
        for name in ("ferry", "fleet"):
            found[name] = self._replicas("test.tidegate.dev/v1/{}/" + self.fleets, name)
        return found

    @property
    def whole_cluster(self) -> bool:
        """Whether there are pools: then a Job lends its machines to the first target."""
        return bool(self.release.values["rbac"]["scope"] == "cluster")

    def lent(self) -> bool:
        """Whether the Job is suspended."""
        return bool(self.cluster.get("Job", self.shop, "nightly")["spec"].get("suspend"))

    def loans(self) -> int:
        """How many stand."""
        return len(self.cluster.list("Loan", self.shop)["items"])

    def show(self, name: str, duration: int) -> None:
        """Announce an event that begins at once."""
        self.cluster.apply(event(self.shop, name, t0=in_seconds(5), duration=duration, floor=FLOOR), manager=APPLIER)
        up = dict.fromkeys(BEFORE, FLOOR)
        eventually(lambda: self.levels() == up, 60, f"all targets stand at {FLOOR}; {self.release.tail()}")
        assert self.lent() is self.whole_cluster, "the Job's machines are lent exactly where there are pools"

    def returned(self) -> bool:
        """Whether all is as it was."""
        return self.levels() == BEFORE and self.loans() == 0 and not self.lent()

    def _replicas(self, path: str, name: str) -> int:
        place = path.format(f"namespaces/{self.shop}")
        return int(self.cluster.send("GET", f"apis/{place}/{name}/scale")["spec"].get("replicas", 0))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The server."""
    made = Cluster(str(KUBECONFIG))
    made.open()
    yield made
    made.close()


@pytest.fixture(scope="module")
def fleets(cluster: Cluster) -> Iterator[str]:
    """A kind of somebody else's with /scale; its plural."""
    plural = unique("fleets")
    kind = plural.capitalize()
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    scale = {"specReplicasPath": ".spec.ships", "statusReplicasPath": ".status.ships"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["subresources"] = {"status": {}, "scale": scale}
    names = {"plural": plural, "singular": kind.lower() + "x", "kind": kind}
    spec = {"group": "test.tidegate.dev", "scope": "Namespaced", "names": names, "versions": [version]}
    body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    root = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.send("POST", root, {**body, "metadata": {"name": f"{plural}.test.tidegate.dev"}})
    eventually(lambda: _served(cluster, f"apis/test.tidegate.dev/v1/{plural}"), 30, "the kind is served")
    yield plural
    cluster.send("DELETE", f"{root}/{plural}.test.tidegate.dev")


@pytest.fixture(scope="module", params=["namespaces", "cluster"])
def evening(
    request: pytest.FixtureRequest, cluster: Cluster, fleets: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evening]:
    """The evening, played in one scope."""
    scope = request.param
    shop = cluster.namespace("chart-shop")
    watched = {"watchNamespaces": [shop]} if scope == "namespaces" else {}
    release = new_release(
        cluster,
        tmp_path_factory.mktemp("chart"),
        f"chart-{scope}",
        rbac={"scope": scope},
        settings={"beatSeconds": 1},
        targets={
            "extraScaleResources": [{"group": "test.tidegate.dev", "kind": fleets.capitalize(), "resource": fleets}]
        },
        **watched,
    )
    played = Evening(release, shop, fleets)
    try:
        _play(played)
        yield played
    finally:
        drop(release)
        if played.whole_cluster:
            for name in ("small", "machines"):
                cluster.send("DELETE", path_of("CapacityPool", "", _pool_name(played, name)))
        # The other scope's operator watches all namespaces: what is being deleted would refuse whatever it writes.
        cluster.run("kubectl", "delete", "namespace", shop, "--timeout=100s")


def _play(evening: Evening) -> None:
    release, cluster = evening.release, evening.cluster
    evening.seen["notes"] = release.install()
    for kind in ("CapacityPool", "LiveEvent", "Loan", "Override", "ScalingPolicy"):
        eventually(lambda kind=kind: _served(cluster, path_of(kind)), 30, f"the server serves {kind}")
    for obj in _shop(evening):
        root = "apis/" + obj["apiVersion"]
        place = f"{root}/namespaces/{evening.shop}/{_plural(obj, evening)}/{obj['metadata']['name']}"
        cluster.send("PATCH", place, obj, form="application/apply-patch+yaml", fieldManager=APPLIER)
    cluster.create(_job(evening.shop))
    if evening.whole_cluster:
        for pool in _pools(evening):
            cluster.create(pool)
    release.start()
    cluster.apply(_policy(evening), manager=APPLIER)
    cluster.create(_override(evening.shop, _whoami(cluster)))
    evening.show("first", 20)
    evening.seen["loans"] = evening.loans()
    evening.seen["override"] = cluster.get("Override", evening.shop, "for-the-record").get("status")
    eventually(evening.returned, 120, f"everything is returned; {release.tail()}")
    evening.seen["upgraded"] = release.install("upgrade", replicas=2)
    evening.show("second", 900)
    evening.seen["released"] = release.run_as_release()
    evening.seen["after release"] = (evening.levels(), evening.loans())
    time.sleep(5)  # five beats of an operator that lives, with the event still on
    evening.seen["five seconds later"] = (evening.levels(), evening.loans())
    release.stop()
    time.sleep(LOGGED)
    log, users = Path(str(AUDIT_LOG)), {name: release.user(name) for name in (FULLNAME, f"{FULLNAME}-release")}
    evening.seen["asked"] = {name: used(log, user) for name, user in users.items()}
    evening.seen["forbidden"] = {name: forbidden(log, user) for name, user in users.items()}


def _shop(evening: Evening) -> list[Json]:
    web, api = (deployment(evening.shop, name, replicas=n, start=1) for name, n in (("web", None), ("api", 0)))
    cache = deployment(evening.shop, "cache", replicas=0, start=1)
    cache = {**cache, "kind": "StatefulSet", "spec": {**cache["spec"], "serviceName": "cache"}}
    fleets = [
        {
            "apiVersion": "test.tidegate.dev/v1",
            "kind": evening.fleets.capitalize(),
            "metadata": {"name": name, "namespace": evening.shop},
            "spec": {"ships": BEFORE[name], "flag": "red"},
        }
        for name in ("ferry", "fleet")
    ]
    return [web, hpa(evening.shop, "web"), api, cache, *fleets]


def _job(shop: str) -> Json:
    """Work of four cores for an hour."""
    container = {
        "name": "main",
        "image": "registry.example/x:1",
        "resources": {"requests": {"cpu": "4", "memory": "1Gi"}},
    }
    pod = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    pod["tolerations"] = [{"operator": "Exists"}]
    template = {"metadata": {"annotations": {"tidegate.test/run": "3600s"}}, "spec": pod}
    metadata = {"name": "nightly", "namespace": shop, "labels": {"work": "nightly"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


def _pools(evening: Evening) -> list[Json]:
    """One of eight cores, in which the Job and the first target do not fit at its peak; and one of nodes, at rest."""
    jobs = {"namespace": evening.shop, "matchLabels": {"work": "nightly"}}
    lanes: list[Json] = [
        {"name": "trading", "allowedNamespaces": [evening.shop]},
        {"name": "data", "members": [{"name": "nightly", "jobs": jobs}], "drain": {"guessSeconds": 2}},
    ]
    capacities = {"small": {"given": {"cpu": "8", "memory": "64Gi"}}, "machines": {"nodeSelector": {"type": "kwok"}}}
    return [
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "CapacityPool",
            "metadata": {"name": _pool_name(evening, name)},
            "spec": {"capacity": capacity, "lanes": lanes if name == "small" else lanes[:1]},
        }
        for name, capacity in capacities.items()
    ]


def _pool_name(evening: Evening, name: str) -> str:
    return f"{name}-{evening.shop}"


def _whoami(cluster: Cluster) -> str:
    """Whom the server takes us for: an override is signed by whoever makes it."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = cluster.send("POST", "apis/authentication.k8s.io/v1/selfsubjectreviews", asked)
    return str(told["status"]["userInfo"]["username"])


def _override(shop: str, author: str) -> Json:
    """One that changes nothing: Hold forbids a step down, and it is over before there is one."""
    spec = {
        "policyRef": {"name": "shop"},
        "action": "Hold",
        "until": to_rfc3339(time.time() + 15),
        "author": author,
        "reason": "for the record",
    }
    metadata = {"name": "for-the-record", "namespace": shop}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Override", "metadata": metadata, "spec": spec}


def _plural(obj: Json, evening: Evening) -> str:
    known = {"HorizontalPodAutoscaler": "horizontalpodautoscalers"}
    known |= {"Deployment": "deployments", "StatefulSet": "statefulsets"}
    return known.get(obj["kind"], evening.fleets)


def _policy(evening: Evening) -> Json:
    made = policy(evening.shop, *BEFORE, hold=3, step=100, guess=1)
    for target in made["spec"]["targets"]:
        target["capacity"] = {SIGNAL: PER_UNIT}
        if target["name"] == "cache":
            target["ref"]["kind"] = "StatefulSet"
        if target["name"] in ("ferry", "fleet"):
            target["ref"] |= {"apiVersion": "test.tidegate.dev/v1", "kind": evening.fleets.capitalize()}
        if target["name"] == "web" and evening.whole_cluster:
            target |= {"lane": "trading", "unit": {"cpu": "1", "memory": "1Gi"}}
            made["spec"]["poolRef"] = {"name": _pool_name(evening, "small")}
    return made


def _served(cluster: Cluster, path: str) -> bool:
    try:
        return "items" in cluster.send("GET", path)
    except ApiError:
        return False


# ---- what is true of it


def test_the_operator_prepares_and_returns_as_its_own_account(evening: Evening) -> None:
    assert evening.seen["loans"] == len(BEFORE) + evening.whole_cluster, "one loan for each target, one for the Job"


@pytest.mark.parametrize("account", [FULLNAME, f"{FULLNAME}-release"])
def test_no_answer_was_forbidden(evening: Evening, account: str) -> None:
    assert evening.seen["asked"][account].total() > 20, "the log tells of this account"
    assert evening.seen["forbidden"][account] == []


@pytest.mark.parametrize("account", [FULLNAME, f"{FULLNAME}-release"])
def test_what_is_granted_is_what_is_used(evening: Evening, account: str) -> None:
    granted = evening.release.granted(account)
    asked = set(evening.seen["asked"][account])
    unused = {(g, r.replace("FLEETS", evening.fleets), v) for g, r, v in UNUSED[account]}
    everybodys = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}
    assert asked - granted - everybodys == set()
    assert granted - asked == unused


def test_the_hooks_account_returns_everything_in_mid_event_and_the_operator_obeys(evening: Evening) -> None:
    done = evening.seen["released"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(BEFORE) + evening.whole_cluster} returned, 0 left" in done.stdout
    assert evening.seen["after release"] == (BEFORE, 0)
    assert evening.seen["five seconds later"] == (BEFORE, 0)


def test_an_account_of_namespaces_reads_no_secret_and_no_other_namespace(evening: Evening) -> None:
    release, shop = evening.release, evening.shop
    wide = release.values["rbac"]["scope"] == "cluster"
    other = evening.cluster.namespace("chart-other")
    try:
        for account in (FULLNAME, f"{FULLNAME}-release"):
            for place in (shop, release.namespace, other):
                for verb in ("get", "list", "watch"):
                    assert not release.may(verb, "secrets", place, account)
                assert not release.may("create", "deployments.apps", place, account)
                assert not release.may("create", "pods/exec", place, account)
                assert not release.may("create", "rolebindings.rbac.authorization.k8s.io", place, account)
            assert release.may("patch", "deployments.apps", shop, account)
            assert release.may("patch", "deployments.apps", other, account) is wide
            assert release.may("get", "loans.tidegate.dev", other, account) is wide
            assert release.may("list", "nodes", "", account) is (wide and account == FULLNAME)
            assert release.may("patch", "jobs.batch", shop, account) is wide, "pools are the cluster's"
        assert release.may("list", "liveevents.tidegate.dev", shop)
        assert release.may("list", "liveevents.tidegate.dev", other) is wide
        assert not release.may("list", "configmaps", release.namespace), "the stop by its name, not all of them"
        assert not release.may("get", "leases.coordination.k8s.io", release.namespace), "its own Lease by name"
    finally:
        evening.cluster.drop_namespace(other)


def test_an_upgrade_needs_no_force_although_the_operator_has_worked(evening: Evening) -> None:
    assert "REVISION: 2" in evening.seen["upgraded"]
    path = f"apis/policy/v1/namespaces/{evening.release.namespace}/poddisruptionbudgets/{FULLNAME}"
    assert evening.cluster.send("GET", path)["spec"]["maxUnavailable"] == 1


def test_whoever_installs_is_told_that_a_stop_is_in_force(evening: Evening) -> None:
    notes = evening.release.install("upgrade", replicas=1)
    assert "THE OPERATOR IS STOPPED, by helm uninstall tidegate" in notes
    assert "STOPPED" not in evening.seen["notes"]


def test_uninstalling_leaves_the_kinds_and_their_objects(evening: Evening) -> None:
    told = evening.release.helm("uninstall", FULLNAME, "--timeout", "60s")
    assert 'release "tidegate" uninstalled' in told
    kinds = [obj["metadata"]["name"] for obj in evening.cluster.list("LiveEvent", evening.shop)["items"]]
    assert kinds == ["first", "second"]
    left = evening.cluster.run(
        "kubectl",
        "get",
        "deployments,roles,rolebindings,clusterroles,validatingadmissionpolicies,validatingadmissionpolicybindings",
        "--all-namespaces",
        "--selector=app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance=tidegate",
        "--output=name",
    )
    assert left.stdout == ""
    assert evening.release.install() != "", "it can be installed again on the kinds that were left"
