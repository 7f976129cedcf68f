"""The operator as kopf runs it: it starts without a certificate, judges objects once it has one, ends when told."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
from bad_inputs import bases
from certificate import make_certificate
from kopf.testing import KopfRunner

from tidegate.api.crd import all_crds
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running

Json = dict[str, Any]
BASES = bases()
RESOURCES = {
    "CapacityPool": "capacitypools",
    "LiveEvent": "liveevents",
    "Override": "overrides",
    "ScalingPolicy": "scalingpolicies",
}


def changed(kind: str, **spec: Any) -> Json:
    return {**BASES[kind], "spec": {**BASES[kind]["spec"], **spec}}


INVALID = {
    "CapacityPool": changed("CapacityPool", capacity={}),
    "LiveEvent": changed("LiveEvent", expected={"total_views": 5}),
    "Override": changed("Override", until="9999-12-31T23:59:59Z"),
    "ScalingPolicy": changed("ScalingPolicy", signals=[{"name": "chat"}]),
}


@dataclass
class Stage:
    """An operator's process that answers an API server, which here is the test."""

    cluster: EmbeddedCluster
    folder: Path
    port: int
    trusted: ssl.SSLContext | None = None
    held: list[Any] = field(default_factory=list)
    """Connections that stay open until the process has ended."""

    async def ask(self, new: Json | None, *, old: Json | None = None, operation: str = "CREATE", **more: Any) -> Json:
        """What an AdmissionReview is answered."""
        kind = (new or old or {})["kind"]
        resource = {"group": "tidegate.dev", "version": "v1alpha1", "resource": RESOURCES[kind]}
        request = {"uid": "42", "resource": resource, "operation": operation, "userInfo": {"username": "me"}}
        request |= {"object": new, "oldObject": old, **more}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        url = f"https://127.0.0.1:{self.port}/{RESOURCES[kind]}"
        assert self.trusted is not None
        async with aiohttp.ClientSession() as session, session.post(url, json=review, ssl=self.trusted) as answer:
            assert answer.status == 200, await answer.text()
            response: Json = (await answer.json())["response"]
            assert response["uid"] == "42"
            return response

    def listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def leader(self) -> str:
        lease = self.cluster.get("coordination.k8s.io/v1", "Lease", "tidegate", "tidegate")
        return str(lease["spec"].get("holderIdentity") or "") if lease else ""


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110  the test's own limit ends it
        await asyncio.sleep(0.01)


@pytest.fixture
async def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, request: pytest.FixtureRequest
) -> AsyncIterator[Stage]:
    """Of the whole cluster, or of the namespace that the test is parametrized with; there another process leads."""
    namespace: str = getattr(request, "param", "")
    cluster = EmbeddedCluster()
    for crd in all_crds():
        cluster.create(crd)
    for name in ("shop", "tidegate"):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    if namespace:
        held = {"holderIdentity": "another", "leaseDurationSeconds": 60, "leaseTransitions": 1}
        metadata = {"namespace": "tidegate", "name": "tidegate"}
        cluster.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": held})
    async with running(cluster) as url:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": url}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "users": [{"name": "it", "user": {}}],
            "current-context": "it",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        folder = tmp_path / "certificates"
        settings = {
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            "TIDEGATE_LISTEN_PROBES": "0",
            "TIDEGATE_LISTEN_METRICS": "0",
            "TIDEGATE_LISTEN_ADMISSION": str(unused_tcp_port),
            "TIDEGATE_ADMISSION_CERTIFICATES": str(folder),
            "TIDEGATE_NAMESPACES": namespace,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("tidegate.shell.webhook.RETRY", 0.02)
        monkeypatch.setattr("tidegate.shell.webhook.CHANGED_WITHIN", 0.05)
        # The module's handlers go into the registry that is the default one while it is imported.
        monkeypatch.delitem(sys.modules, "tidegate.shell.app", raising=False)
        before = kopf.get_default_registry()
        scope = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        command = ["run", "-m", "tidegate.shell.app", "--standalone", *scope]
        runner = KopfRunner(command, registry=kopf.OperatorRegistry())
        await asyncio.to_thread(runner.__enter__)
        try:
            made = Stage(cluster, folder, unused_tcp_port)
            yield made
        finally:
            begun = time.monotonic()
            await asyncio.to_thread(runner.__exit__, None, None, None)
            kopf.set_default_registry(before)
            logging.getLogger("kopf.objects").filters.clear()
        assert (runner.exit_code, runner.exception) == (0, None)
        assert time.monotonic() - begun < 10.0
        assert not made.listens()
        for held in made.held:
            if isinstance(held, asyncio.StreamWriter):
                held.close()


async def test_the_process_judges_objects_once_it_has_a_certificate_and_takes_a_renewed_one(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await until(stage.leader)
    assert not stage.listens(), "it does its work without a certificate"
    stage.trusted = make_certificate(stage.folder)
    await until(stage.listens)

    for kind, bad in INVALID.items():
        good = BASES[kind]
        assert (await stage.ask(good))["allowed"] is True
        refused = await stage.ask(bad)
        assert (refused["allowed"], refused["status"]["code"]) == (False, 422)
        assert refused["status"]["message"].startswith("spec.")
        assert await stage.ask(bad, dryRun=True) == refused, "a dry run gets the same answer"
        edited = await stage.ask(bad, old=good, operation="UPDATE")
        assert edited["status"] == refused["status"]
        assert (await stage.ask(bad, old=bad, operation="UPDATE"))["allowed"] is True
        assert (await stage.ask(None, old=bad, operation="DELETE"))["allowed"] is True

    assert "refused LiveEvent shop/evening-show of me: " in caplog.text
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == [], "somebody's typing error is no failure of the operator"

    stage.cluster.create(changed("ScalingPolicy", mode="Enforce"))
    second = {**changed("ScalingPolicy", mode="Enforce"), "metadata": {"name": "second", "namespace": "shop"}}
    async with asyncio.timeout(5.0):
        while (answer := await stage.ask(second))["allowed"]:  # noqa: ASYNC110  the first one is on its way
            await asyncio.sleep(0.01)
    assert "is a target of shop/shop-core too" in answer["status"]["message"]
    unknown = changed("LiveEvent", policyRef={"name": "shop-cor"})
    assert 'there is no ScalingPolicy "shop-cor"' in "".join((await stage.ask(unknown))["warnings"])

    renewed = make_certificate(stage.folder, name="renewed")
    stage.trusted = renewed
    async with asyncio.timeout(10.0):
        while True:
            try:
                assert (await stage.ask(INVALID["LiveEvent"]))["allowed"] is False
                break
            except aiohttp.ClientError:  # the former one, which nobody here trusts any more
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("stage", ["shop"], indirect=True)
async def test_an_operator_of_one_namespace_judges_what_is_in_it_also_while_another_leads(stage: Stage) -> None:
    stage.trusted = make_certificate(stage.folder)
    await until(stage.listens)
    for kind in RESOURCES.keys() - {"CapacityPool"}:
        assert (await stage.ask(INVALID[kind]))["allowed"] is False
        assert (await stage.ask(BASES[kind]))["allowed"] is True
    assert stage.leader() == "another"


async def test_a_caller_that_never_ends_its_request_holds_up_no_stop(stage: Stage) -> None:
    trusted = make_certificate(stage.folder)
    await until(stage.listens)
    head = b"POST /liveevents HTTP/1.1\r\nHost: x\r\n"
    for start in (head, head + b"Content-Length: 9\r\n\r\n{"):
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=trusted)
        writer.write(start)
        await writer.drain()
        stage.held += [reader, writer]
    assert stage.listens()
