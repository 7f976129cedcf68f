"""The API server that the adapters' contract is held against: the one that KUBECONFIG names, else the embedded one.

The same test bodies meet both, so that the two cannot part. What only a real one does (who may, what a policy refuses)
stands behind ``Refusals``: on a real server RBAC and admission do it, before the embedded one a gate that answers as
they do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from borrowed import eventually
from certificate import make_certificate

from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.routes import Door
from tidegate.embedded.server import Running, start
from tidegate.targets.client import KubeClient
from tidegate.targets.errors import NotServedError

Json = dict[str, Any]
T = TypeVar("T")

KUBECONFIG = os.environ.get("KUBECONFIG")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"

READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")
RESOURCES = {
    "deployments": "apps",
    "deployments/scale": "apps",
    "horizontalpodautoscalers": "autoscaling",
    "jobs": "batch",
    "pods": "",
    "resourcequotas": "",
    "loans": "tidegate.dev",
}
"""What an account of the contract may do everything with, by API group, unless something is left out."""


# ---- which server


class Api(ABC):
    """An API server."""

    @abstractmethod
    async def connect(self) -> KubeClient:
        """A client that may do everything."""

    @abstractmethod
    def refusals(self, admin: KubeClient, namespace: str) -> Refusals:
        """How this server comes to refuse."""


class RealApi(Api):
    """The one that KUBECONFIG names."""

    async def connect(self) -> KubeClient:
        return await KubeClient.connect()

    def refusals(self, admin: KubeClient, namespace: str) -> Refusals:
        return RealRefusals(admin, namespace)


class EmbeddedApi(Api):
    """The embedded one, on a thread of its own: a test that blocks its event loop does not stop it."""

    def __init__(self) -> None:
        self.cluster = EmbeddedCluster(nodes=NodePool(4, show_pods=True, labels={"type": "contract"}))
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._begun.wait(20), "the embedded API did not start"

    async def _serve(self) -> None:
        self.loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._running: Running = await start(self.cluster)
        self._begun.set()
        await self._end.wait()
        await self._running.stop()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something beside the server."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def connect(self) -> KubeClient:
        return await KubeClient.connect(url=self._running.url)

    def refusals(self, admin: KubeClient, namespace: str) -> Refusals:
        return Gate(admin, namespace, self)


# ---- how it refuses


@dataclass
class Refusals(ABC):
    """What a server refuses in one namespace, for the length of a test."""

    admin: KubeClient
    namespace: str
    clients: list[KubeClient] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    servers: list[web.AppRunner] = field(default_factory=list)

    @abstractmethod
    async def who_may_not(self, *denied: tuple[str, str]) -> KubeClient:
        """A client that may do everything in the namespace but these: (verb, resource)."""

    @abstractmethod
    async def leave_no_room(self, plural: str) -> KubeClient:
        """A client that a quota lets make no more objects of a resource."""

    @abstractmethod
    async def deny(self, resource: str, words: str) -> KubeClient:
        """A client whose changes of a resource an admission policy denies in these words."""

    @abstractmethod
    async def refuse(self, resource: str, words: str) -> KubeClient:
        """A client whose changes of a resource a webhook refuses with 422 and these words, and says no more."""

    async def close(self) -> None:
        for client in self.clients:
            await client.close()


# ---- a real server's


class RealRefusals(Refusals):
    """RBAC, a ValidatingAdmissionPolicy and a webhook."""

    async def who_may_not(self, *denied: tuple[str, str]) -> KubeClient:
        name = f"contract-{uuid.uuid4().hex[:8]}"
        root, metadata = f"{RBAC}/namespaces/{self.namespace}", {"name": name, "namespace": self.namespace}
        rules = []
        for resource, group in RESOURCES.items():
            verbs = [verb for verb in (*READ, *WRITE) if (verb, resource) not in denied]
            rules.append({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        api, group = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}, "rbac.authorization.k8s.io"
        await self.admin.create(f"{root}/roles", {**api, "kind": "Role", "rules": rules})
        role = {"apiGroup": group, "kind": "Role", "name": name}
        subject = {"apiGroup": group, "kind": "User", "name": name}
        binding = {**api, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]}
        await self.admin.create(f"{root}/rolebindings", binding)
        client = await KubeClient.connect()
        client._api.set_default_header("Impersonate-User", name)
        self.clients.append(client)
        return client

    async def leave_no_room(self, plural: str) -> KubeClient:
        root = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        hard = {f"count/{_qualified(plural, RESOURCES[plural])}": "0"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": hard}}
        await self.admin.create(root, quota)
        await eventually(lambda: self.admin.get(f"{root}/full"), lambda seen: "used" in seen.get("status", {}), 180)
        return self.admin

    async def deny(self, resource: str, words: str) -> KubeClient:
        name, api = f"{self.namespace}-{uuid.uuid4().hex[:6]}", "admissionregistration.k8s.io/v1"
        rule = {
            "apiGroups": [RESOURCES[resource]],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"],
            "resources": [resource],
        }
        spec = {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": words}],
        }
        here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}
        binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
        for plural, made, body in (
            ("validatingadmissionpolicies", "ValidatingAdmissionPolicy", spec),
            ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", binding),
        ):
            document = {"apiVersion": api, "kind": made, "metadata": {"name": name}, "spec": body}
            await self.admin.create(f"{ADMISSION}/{plural}", document)
        self.policies.append(name)
        await asyncio.sleep(3.0)  # the server takes a new policy up within a second or two
        return self.admin

    async def refuse(self, resource: str, words: str) -> KubeClient:
        async def answer(request: web.Request) -> web.StreamResponse:
            review = await request.json()
            said = {"uid": review["request"]["uid"], "allowed": False, "status": {"code": 422, "message": words}}
            return web.json_response({**review, "request": None, "response": said})

        app = web.Application()
        app.router.add_post("/", answer)
        secured, certificate = _of_a_server()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        self.servers.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secured).start()
        name, api = f"{self.namespace}-{uuid.uuid4().hex[:6]}", "admissionregistration.k8s.io/v1"
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
        rule = {"apiGroups": [RESOURCES[resource]], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"]}
        hook = {
            "name": "floors.example.test",
            "clientConfig": {"url": url, "caBundle": base64.b64encode(certificate).decode()},
            "rules": [{**rule, "resources": [resource]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        document = {"apiVersion": api, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name}}
        await self.admin.create(f"{ADMISSION}/validatingwebhookconfigurations", {**document, "webhooks": [hook]})
        self.hooks.append(name)
        await asyncio.sleep(3.0)  # the server takes a new webhook up within a second or two
        return self.admin

    async def close(self) -> None:
        await super().close()
        for name in self.hooks:
            await self.admin.delete(f"{ADMISSION}/validatingwebhookconfigurations/{name}")
        for runner in self.servers:
            await runner.cleanup()
        for name in self.policies:
            await self.admin.delete(f"{ADMISSION}/validatingadmissionpolicybindings/{name}")
            await self.admin.delete(f"{ADMISSION}/validatingadmissionpolicies/{name}")


def _of_a_server() -> tuple[ssl.SSLContext, bytes]:
    """What a server on 127.0.0.1 needs, and the certificate that its callers trust."""
    with tempfile.TemporaryDirectory() as folder:
        make_certificate(Path(folder))
        secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured.load_cert_chain(Path(folder, "tls.crt"), Path(folder, "tls.key"))
        return secured, Path(folder, "tls.crt").read_bytes()


# ---- the embedded one's

Answer = tuple[int, Json]
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as who may do what is about it."""

    verb: str
    resource: str
    """Plural, with ``/subresource``."""
    name: str


class Gate(Refusals):
    """A second port of the embedded API, which answers some requests as authorisation and admission would."""

    def __init__(self, admin: KubeClient, namespace: str, api: EmbeddedApi) -> None:
        super().__init__(admin, namespace)
        self._api = api
        self._runners: list[web.AppRunner] = []

    async def who_may_not(self, *denied: tuple[str, str]) -> KubeClient:
        def forbidden(asked: Asked) -> Answer | None:
            if (asked.verb, asked.resource) not in denied:
                return None
            group = RESOURCES[asked.resource]
            subject = f"{_qualified(asked.resource, group)}{f' {json.dumps(asked.name)}' if asked.name else ''}"
            who = f"system:serviceaccount:{self.namespace}:contract"
            said = (
                f'{subject} is forbidden: User "{who}" cannot {asked.verb} resource "{asked.resource}" in API group '
                f'"{group}" in the namespace "{self.namespace}"'
            )
            return 403, _status(403, "Forbidden", said, asked)

        return await self._before(forbidden)

    async def leave_no_room(self, plural: str) -> KubeClient:
        def full(asked: Asked) -> Answer | None:
            if (asked.verb, asked.resource) != ("create", plural):
                return None
            whole = _qualified(plural, RESOURCES[plural])
            counts = f"requested: count/{whole}=1, used: count/{whole}=0, limited: count/{whole}=0"
            said = f"{whole} {json.dumps(asked.name)} is forbidden: exceeded quota: full, {counts}"
            return 403, _status(403, "Forbidden", said, asked)

        return await self._before(full)

    async def deny(self, resource: str, words: str) -> KubeClient:
        def denied(asked: Asked) -> Answer | None:
            if asked.resource != resource or asked.verb not in ("create", "update", "patch"):
                return None
            policy = f"ValidatingAdmissionPolicy 'contract' with binding 'contract' denied request: {words}"
            subject = f"{_qualified(asked.resource.partition('/')[0], RESOURCES[resource])} {json.dumps(asked.name)}"
            status = _status(422, "Invalid", f"{subject} is forbidden: {policy}", asked)
            status["details"]["causes"] = [{"message": policy}]
            return 422, status

        return await self._before(denied)

    async def refuse(self, resource: str, words: str) -> KubeClient:
        def refused(asked: Asked) -> Answer | None:
            if asked.resource != resource or asked.verb not in ("create", "update", "patch"):
                return None
            said = f'admission webhook "floors.example.test" denied the request: {words}'
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": said}
            return 422, {**status, "code": 422}

        return await self._before(refused)

    async def _before(self, rule: Callable[[Asked], Answer | None]) -> KubeClient:
        door = Door(self._api.cluster)

        async def answer(request: web.Request) -> web.StreamResponse:
            asked = _asked(request)
            refused = rule(asked) if asked is not None else None
            if refused is None:
                return await door.answer(request)
            return web.json_response(refused[1], status=refused[0])

        async def serve() -> str:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._runners.append(runner)
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        client = await KubeClient.connect(url=await self._api.do(serve()))
        self.clients.append(client)
        return client

    async def close(self) -> None:
        await super().close()
        for runner in self._runners:
            await self._api.do(runner.cleanup())


def _asked(request: web.Request) -> Asked | None:
    """What a request is about; None when it is not about objects of a namespace."""
    steps = request.path.strip("/").split("/")
    if "namespaces" not in steps or len(steps) < (at := steps.index("namespaces") + 2) + 1:
        return None
    plural, name, sub = (*steps[at:], "", "")[:3]
    verb = VERBS.get(request.method) or ("get" if name else "list")
    return Asked(verb, f"{plural}/{sub}" if sub else plural, name)


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def _status(code: int, reason: str, message: str, asked: Asked) -> Json:
    plural = asked.resource.partition("/")[0]
    details = {"name": asked.name, "group": RESOURCES[asked.resource], "kind": plural}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return {**status, "reason": reason, "details": details, "code": code}


# ---- what the contract needs there


async def installed(kube: KubeClient, crds: list[Json]) -> None:
    """Our kinds, as the chart brings them, unless they are there; returns when they are served."""
    root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    known = {item["metadata"]["name"] for item in await kube.items(root)}
    for crd in crds:
        if crd["metadata"]["name"] not in known:
            await kube.create(root, crd)
    for crd in crds:
        spec = crd["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        await eventually(partial(served, kube, path), bool, 30)


async def served(kube: KubeClient, path: str) -> bool:
    """Whether a kind is served."""
    try:
        await kube.get(path, {"limit": 1})
    except NotServedError:
        return False
    return True
