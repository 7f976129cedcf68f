"""A stand-in for Pulumi's Kubernetes provider, which cannot be had as a Python package.

A real Pulumi engine attaches to it (``PULUMI_DEBUG_PROVIDERS=kubernetes:PORT``) and so previews, updates and destroys
real objects on a real API server. It does what the components' promises depend on, as pulumi-kubernetes 4.x does it:

- server-side apply, unforced, unknown fields refused, as a manager of its own for each resource: ``pulumi-kubernetes-``
  and eight hexadecimal digits, drawn when it is created and kept in the state;
- on an update, a path of ``ignore_changes`` that another manager owns alone is left out, one that we own or nobody
  does is sent as it is on the server (provider/pkg/await/await.go, ``ssaUpdate``);
- another name, namespace or kind is a replacement; a deletion waits until the object is gone;
- ``helm.v4.Chart`` is rendered by Helm without hooks; what bears ``helm.sh/resource-policy: keep`` is retained;
- on ``refresh``, inputs take what the object has now for the properties that they hold (``pruneLiveState``).

It does not wait for readiness, name objects by itself, adopt or import.
"""

from __future__ import annotations

import copy
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from typing import Any, Protocol

import grpc
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, resource_pb2, resource_pb2_grpc

Json = dict[str, Any]

MANAGER = "pulumi-kubernetes-"
"""How the name of each manager begins."""
MANAGER_KEY = "__fieldManager"
"""Where the state keeps it, as the real provider does."""
APPLY = "application/apply-patch+yaml"
GONE_SECONDS = 30


class Server(Protocol):
    """What is needed of an API server's client."""

    def send(self, method: str, path: str, body: Any = None, *, form: str = ..., **params: Any) -> Json:
        """One request; an exception with ``status`` for any answer that is not a success."""


class Objects:
    """Objects of a cluster by their manifests."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def apply(self, given: Json, manager: str) -> Json:
        """Server-side apply."""
        applied = self._server.send(
            "PATCH", self.path(given), given, form=APPLY, fieldManager=manager, fieldValidation="Strict"
        )
        if given["kind"] == "CustomResourceDefinition":
            self._wait(given, lambda live: live is not None and _established(live))
        return applied

    def find(self, given: Json) -> Json | None:
        """The object as it is, or None."""
        try:
            return self._server.send("GET", self.path(given))
        except Exception as error:
            if getattr(error, "status", 0) == 404:
                return None
            raise

    def delete(self, given: Json) -> None:
        """Delete and wait until it is gone; what is gone already is well."""
        if self.find(given) is not None:
            self._server.send("DELETE", self.path(given), propagationPolicy="Background")
            self._wait(given, lambda live: live is None)

    def place(self, given: Json, namespace: str) -> Json:
        """With a namespace, where the kind has one and the manifest does not say."""
        if self._find_kind(given)[1] and "namespace" not in given["metadata"]:
            return {**given, "metadata": {**given["metadata"], "namespace": namespace}}
        return given

    def path(self, given: Json) -> str:
        """Where an object lives."""
        metadata = given["metadata"]
        plural, namespaced = self._find_kind(given)
        scope = f"namespaces/{metadata.get('namespace', 'default')}/" if namespaced else ""
        return f"{_root(given)}/{scope}{plural}/{metadata['name']}"

    def _find_kind(self, given: Json) -> tuple[str, bool]:
        key = given["apiVersion"], given["kind"]
        if key not in self._kinds:
            for one in self._server.send("GET", _root(given))["resources"]:
                if "/" not in one["name"]:
                    self._kinds[given["apiVersion"], one["kind"]] = one["name"], one["namespaced"]
        return self._kinds[key]

    def _wait(self, given: Json, done: Callable[[Json | None], bool]) -> None:
        deadline = time.monotonic() + GONE_SECONDS
        while not done(self.find(given)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{given['kind']} {given['metadata']['name']}: nothing within {GONE_SECONDS} s")
            time.sleep(0.1)


def _root(given: Json) -> str:
    version = given["apiVersion"]
    return f"apis/{version}" if "/" in version else f"api/{version}"


def _established(crd: Json) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []  # null at first
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


# ---- values of the protocol


def plain(given: Any) -> Json:
    """A protocol's struct as it was meant: whole numbers whole, secrets unwrapped, nothing the SDK adds for itself."""
    return _plain(json_format.MessageToDict(given))  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def struct(given: Json | None) -> Any:
    """A value for the protocol."""
    made = struct_pb2.Struct()
    json_format.ParseDict(given or {}, made)
    return made


def _state(live: Json, manager: str) -> Any:
    """What the engine keeps of an object."""
    return struct({**live, MANAGER_KEY: manager})


def _manager(state: Any) -> str:
    return str(json_format.MessageToDict(state)[MANAGER_KEY])


# ---- ignore_changes, as the real provider treats it on an update


def without_ignored(given: Json, live: Json, ignored: list[str], manager: str) -> Json:
    """What is sent on an update: ignored paths left out where they are another's, else as they are on the server."""
    sent = copy.deepcopy(given)
    for path in ignored:
        keys = path.split(".")
        if owned(live, keys, manager, others=True) and not owned(live, keys, manager, others=False):
            _remove(sent, keys)
            continue
        found, value = _look(live, keys)
        if found:
            _set(sent, keys, value)
    return sent


def owned(live: Json, keys: list[str], manager: str, *, others: bool) -> bool:
    """Whether a manager other than this one (or this one) has the path in its managed fields."""
    for entry in live["metadata"].get("managedFields", []):
        if (entry["manager"] != manager) == others:
            fields: Any = entry.get("fieldsV1", {})
            for key in keys:
                fields = fields.get(f"f:{key}") if isinstance(fields, Mapping) else None
            if fields is not None:
                return True
    return False


def _look(document: Any, keys: list[str]) -> tuple[bool, Any]:
    for key in keys:
        if not isinstance(document, Mapping) or key not in document:
            return False, None
        document = document[key]
    return True, document


def _set(document: Json, keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        document = document.setdefault(key, {})
    document[keys[-1]] = value


def _remove(document: Json, keys: list[str]) -> None:
    found, parent = _look(document, keys[:-1])
    if found:
        parent.pop(keys[-1], None)


def read_back(given: Json, live: Json | None) -> Json:
    """Inputs after a refresh: what the object has now, for the properties that the inputs hold."""
    return {key: _read_back(one, live[key]) for key, one in given.items() if key in live} if live else given


def _read_back(given: Any, live: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(live, Mapping):
        return {key: _read_back(one, live[key]) for key, one in given.items() if key in live}
    if isinstance(given, list) and isinstance(live, list) and len(given) == len(live):
        return [_read_back(one, other) for one, other in zip(given, live, strict=True)]
    return live


# ---- the protocol


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the engine."""

    def __init__(self, server: Server, version: str, folder: str) -> None:
        """``folder``: where a chart's path starts."""
        self._objects = Objects(server)
        self._version = version
        self._folder = folder

    # Names and arguments are gRPC's.

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True, acceptSecrets=True)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        old, new = plain(request.old_inputs), plain(request.news)
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        kinds = provider_pb2.DiffResponse
        replaces = ["metadata"] if _identity(old) != _identity(new) else []
        return kinds(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces),
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        given = plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        manager = f"{MANAGER}{secrets.token_hex(4)}"
        with _told(context):
            live = self._objects.apply(given, manager)
        return provider_pb2.CreateResponse(id="/".join(_identity(given)), properties=_state(live, manager))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        given = plain(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        with _told(context):
            live = self._objects.find(given)
            manager = _manager(request.olds)
            sent = without_ignored(given, live, list(request.ignoreChanges), manager) if live else given
            return provider_pb2.UpdateResponse(properties=_state(self._objects.apply(sent, manager), manager))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            live = self._objects.find(plain(request.properties))
        state = _state(live, _manager(request.properties)) if live else struct(None)
        return provider_pb2.ReadResponse(
            id=request.id if live else "", properties=state, inputs=struct(read_back(plain(request.inputs), live))
        )

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            self._objects.delete(plain(request.properties))
        return empty_pb2.Empty()

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A chart: a component whose children are what Helm renders, registered one after the other in Helm's order."""
        if request.type != "kubernetes:helm.sh/v4:Chart":
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in does not know {request.type}")
        inputs = plain(request.inputs)
        with grpc.insecure_channel(request.monitorEndpoint) as channel, _told(context):
            monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
            component = resource_pb2.RegisterResourceRequest(
                type=request.type, name=request.name, parent=request.parent, dependencies=request.dependencies
            )
            urn = monitor.RegisterResource(component).urn
            for given in self._render(request.name, inputs):
                placed = given if request.dryRun else self._objects.place(given, inputs["namespace"])
                monitor.RegisterResource(self._child(request.name, urn, placed))
            monitor.RegisterResourceOutputs(resource_pb2.RegisterResourceOutputsRequest(urn=urn, outputs=struct({})))
        return provider_pb2.ConstructResponse(urn=urn, state=struct({}))

    def _render(self, name: str, inputs: Json) -> list[Json]:
        command = ["helm", "template", name, inputs["chart"], "--namespace", inputs["namespace"], "--no-hooks", "-f-"]
        values = yaml.safe_dump(inputs.get("values") or {})
        done = subprocess.run(
            command, input=values, cwd=self._folder, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def _child(self, name: str, parent: str, given: Json) -> Any:
        metadata = given["metadata"]
        version = given["apiVersion"] if "/" in given["apiVersion"] else f"core/{given['apiVersion']}"
        return resource_pb2.RegisterResourceRequest(
            type=f"kubernetes:{version}:{given['kind']}",
            name=f"{name}:{'/'.join(_identity(given)[2:])}",
            parent=parent,
            custom=True,
            object=struct(given),
            version=self._version,
            acceptSecrets=True,
            retainOnDelete=metadata.get("annotations", {}).get("helm.sh/resource-policy") == "keep",
        )


def _identity(given: Json) -> tuple[str, ...]:
    metadata = given.get("metadata", {})
    return tuple(
        filter(None, (given.get("apiVersion"), given.get("kind"), metadata.get("namespace"), metadata.get("name")))
    )


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """Whatever goes wrong is said to the engine in the server's words."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the border of a protocol
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


@contextmanager
def serving(server: Server, version: str, folder: str) -> Iterator[int]:
    """The stand-in on a free port of loopback."""
    door = grpc.server(futures.ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(StandIn(server, version, folder), door)
    port = door.add_insecure_port("127.0.0.1:0")
    door.start()
    try:
        yield port
    finally:
        door.stop(5).wait()
