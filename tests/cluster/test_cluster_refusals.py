"""Refused at apply, on a real API server: bad objects in our words, and nothing in the way when the operator is away.

The chart is installed by a real Helm. A pod would be reached by its Service; here the process listens on this machine,
so the webhooks of the chart name its URL instead, and nothing else about them is changed.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from bad_inputs import BadInput, bases, cases
from certificate import make_certificate
from chart_release import FULLNAME, Release, drop, new_release
from harness import Cluster, Json, eventually, tool
from shop import condition_of, event, in_seconds, policy

KUBECONFIG = os.environ.get("KUBECONFIG")


def _missing() -> str:
    if not KUBECONFIG:
        return "needs an API server, found by KUBECONFIG"
    absent = [name for name in ("helm", "kubectl", "openssl") if tool(name) is None]
    return f"needs {' and '.join(absent)}, in $TIDEGATE_TOOLS/bin or on PATH" if absent else ""


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
    pytest.mark.timeout(300),
]

BAD = {
    "zone-misspelt",
    "expected-is-a-total",
    "derived-in-a-circle",
    "start-is-not-of-the-rule",
    "months-of-demand-in-a-day",
    "capacity-of-a-total",
    "signal-nobody-carries",
    "until-for-ever",
    "member-in-two-lanes",
    "given-memory-of-a-thousand-bytes",
}
"""Inputs that no schema can see to be bad: without the operator they are stored."""
CASES = [case for case in cases() if case.name in BAD]
SECONDS = 10.0
"""Judgment: an apply takes a tenth of one, and a webhook that hangs two."""


@dataclass
class Shop:
    """A namespace whose objects the operator judges."""

    release: Release
    namespace: str
    author: str
    port: int
    certificates: Path

    @property
    def cluster(self) -> Cluster:
        return self.release.cluster

    def start(self) -> None:
        """The operator, as the chart would run it, but for where it listens."""
        self.release.start(
            TIDEGATE_LISTEN_ADMISSION=str(self.port), TIDEGATE_ADMISSION_CERTIFICATES=str(self.certificates)
        )
        eventually(self.listens, 30, f"the operator listens; {self.release.tail()}")

    def listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def ours(self, obj: Json, name: str) -> Json:
        """An object in this namespace, or of the cluster, by a name of its own."""
        pool = obj["kind"] == "CapacityPool"
        metadata = {"name": f"{self.namespace}-{name}"} if pool else {"namespace": self.namespace, "name": name}
        spec = obj["spec"] | ({"author": self.author} if obj["kind"] == "Override" else {})
        return {**obj, "metadata": metadata, "spec": spec}

    def apply(self, obj: Json, *more: str) -> subprocess.CompletedProcess[str]:
        """Apply as anybody does."""
        program = tool("kubectl")
        assert program is not None
        command = [program, "--kubeconfig", self.cluster.kubeconfig, "apply", "--server-side", *more, "-f", "-"]
        return subprocess.run(command, input=json.dumps(obj), capture_output=True, text=True, timeout=60, check=False)

    def stored(self, obj: Json) -> Json | None:
        metadata = obj["metadata"]
        return self.cluster.find(obj["kind"], metadata.get("namespace", ""), metadata["name"])

    def drop(self, obj: Json) -> None:
        metadata = obj["metadata"]
        self.cluster.delete(obj["kind"], metadata.get("namespace", ""), metadata["name"])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The operator hangs."""
        self.release.freeze()
        yield
        self.release.freeze(False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The chart with its webhooks, and its operator's process."""
    folder = tmp_path_factory.mktemp("refusals")
    cluster = Cluster(str(KUBECONFIG))
    cluster.open()
    release = new_release(cluster, folder, "refusals", admissionWebhook={"enabled": True})
    certificates = folder / "certificates"
    make_certificate(certificates)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    who = json.loads(cluster.run("kubectl", "auth", "whoami", "-o", "json").stdout)
    made = Shop(release, cluster.namespace("refused"), who["status"]["userInfo"]["username"], port, certificates)
    try:
        release.install()
        before = secret(made)
        release.install("upgrade", replicas=2)
        assert secret(made) == before, "an upgrade keeps the certificate"
        ask_here(made)
        made.start()
        bad = made.ours(CASES[0].build(), "first")
        eventually(lambda: made.apply(bad, "--dry-run=server").returncode, 30, "the API server asks the operator")
        yield made
    finally:
        drop(release)
        for pool in cluster.list("CapacityPool")["items"]:
            if pool["metadata"]["name"].startswith(made.namespace):
                cluster.delete("CapacityPool", "", pool["metadata"]["name"])
        cluster.drop_namespace(made.namespace)
        cluster.close()


def secret(shop: Shop) -> Json:
    """What the chart made."""
    path = f"api/v1/namespaces/{shop.release.namespace}/secrets/{FULLNAME}-admission"
    data: Json = shop.cluster.send("GET", path)["data"]
    return data


def ask_here(shop: Shop) -> None:
    """Let the API server ask this machine where the chart says: the Service."""
    path = f"apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{shop.release.namespace}-{FULLNAME}"
    configuration = shop.cluster.send("GET", path)
    bundle = base64.b64encode((shop.certificates / "tls.crt").read_bytes()).decode()
    assert len(configuration["webhooks"]) == 4
    for hook in configuration["webhooks"]:
        service = hook["clientConfig"].pop("service")
        hook["clientConfig"] = {"url": f"https://127.0.0.1:{shop.port}{service['path']}", "caBundle": bundle}
    shop.cluster.send("PUT", path, configuration)


@pytest.mark.parametrize("how", [(), ("--dry-run=server",)], ids=["applied", "tried"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_object_is_refused_in_our_words(case: BadInput, how: tuple[str, ...], shop: Shop) -> None:
    bad = shop.ours(case.build(), case.name)
    done = shop.apply(bad, *how)

    assert done.returncode != 0
    assert "denied the request: " in done.stderr
    for path, words in case.want:
        assert f"{path}: {words}" in done.stderr
    assert shop.stored(bad) is None


def test_valid_objects_pass_and_what_would_not_do_what_was_meant_is_a_warning(shop: Shop) -> None:
    lonely = shop.ours(event(shop.namespace, "lonely", t0=in_seconds(86_400), policy="misspelt"), "lonely")
    done = shop.apply(lonely)

    assert done.returncode == 0, done.stderr
    assert (
        f'Warning: spec.policyRef.name: there is no ScalingPolicy "misspelt" in namespace {shop.namespace}'
        in done.stderr
    )
    shop.drop(lonely)


def test_a_second_policy_on_one_workload_is_refused(shop: Shop) -> None:
    first, second = (policy(shop.namespace, "web", name=name) for name in ("first", "second"))
    assert shop.apply(first).returncode == 0

    def refused() -> bool:
        return (
            f"Deployment/web is a target of {shop.namespace}/first too" in shop.apply(second, "--dry-run=server").stderr
        )

    eventually(refused, SECONDS, "the operator has heard of the first one")
    shop.drop(first)
    assert shop.apply(second).returncode == 0, "at once: one that was deleted holds nobody up"
    shop.drop(second)


def test_an_override_of_forty_days_is_refused_when_it_is_made(shop: Shop) -> None:
    override = shop.ours(bases()["Override"], "long")
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 40 * 86_400))
    done = shop.apply({**override, "spec": {**override["spec"], "until": until}})
    assert "is more than 31 days after it was made; nobody may forget an override" in done.stderr


def test_an_edit_of_a_live_event_into_an_invalid_one_is_refused_and_it_stays_live(shop: Shop) -> None:
    show = event(shop.namespace, "show", t0=in_seconds(-30), duration=3600, policy="nobody")
    assert shop.apply(show).returncode == 0
    bad = {**show, "spec": {**show["spec"], "expected": {"total_orders": 5}}}
    done = shop.apply(bad)

    assert 'spec.expected.total_orders: "total_orders" names a total' in done.stderr
    assert (shop.stored(show) or {})["spec"]["expected"] == show["spec"]["expected"]
    shop.drop(show)


def test_while_the_operator_hangs_or_is_away_everything_is_applied_as_ever(shop: Shop) -> None:
    bad = [shop.ours(case.build(), case.name) for case in CASES]
    with shop.frozen():
        for obj in bad[:2]:
            assert 1.5 < seconds(lambda obj=obj: stores(shop, obj)) < SECONDS, "given up after two"
    for obj in bad[:2]:
        shop.drop(obj)
    shop.release.stop()
    try:
        for obj in bad:
            assert seconds(lambda obj=obj: stores(shop, obj)) < SECONDS
    finally:
        shop.start()
    for obj in bad:
        eventually(lambda obj=obj: invalid(shop, obj), 30, f"its status says why: {obj['metadata']['name']}")
        labelled = {**obj, "metadata": {**obj["metadata"], "labels": {"team": "shop"}}}
        stores(shop, labelled)
        done = shop.apply(worse(labelled))
        assert "denied the request: " in done.stderr, "its spec is judged as soon as it changes"
        shop.drop(obj)
        assert shop.stored(obj) is None, "and it can be deleted"


def stores(shop: Shop, obj: Json) -> None:
    done = shop.apply(obj)
    assert done.returncode == 0, done.stderr
    assert shop.stored(obj) is not None


def seconds(do: Callable[[], None]) -> float:
    begun = time.monotonic()
    do()
    return time.monotonic() - begun


def invalid(shop: Shop, obj: Json) -> bool:
    return condition_of(shop.stored(obj) or {}, "Accepted") == ("False", "Invalid")


def worse(obj: Json) -> Json:
    """The same, still wrong, and otherwise."""
    spec = obj["spec"]
    changes = {
        "CapacityPool": lambda: {"lanes": [{**lane, "giveBackWithinSeconds": 1800} for lane in spec["lanes"]]},
        "LiveEvent": lambda: {"spreadPercent": 31},
        "Override": lambda: {"until": "9998-12-31T23:59:59Z"},
        "ScalingPolicy": lambda: {"quantilePercent": 96},
    }
    return {**obj, "spec": spec | changes[obj["kind"]]()}
