"""The real policy runtime: its deserialisation, its proxies, its pack, started as the engine starts it.

``pulumi-policy`` has no test harness. What the engine sends is built here and nowhere else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from declared import Declared
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

PACK = Path(__file__).resolve().parents[2] / "policies" / "pack"
LEVELS = {analyzer_pb2.ADVISORY: "advisory", analyzer_pb2.MANDATORY: "mandatory"}


class Pack:
    """A pack that runs."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    def configure(self, **config: Mapping[str, Any]) -> None:
        """What ``--policy-pack-config`` gives it; a rule's ``-`` is written ``_``."""
        info = self.stub.GetAnalyzerInfo(_empty())
        levels = {one.name: one.enforcementLevel for one in info.policies}
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        for name in levels:
            request.policyConfig[name].enforcementLevel = levels[name]
            request.policyConfig[name].properties.update(dict(config.get(name.replace("-", "_"), {})))
        self.stub.Configure(request)

    def info(self) -> Any:
        """What it says of itself."""
        return self.stub.GetAnalyzerInfo(_empty())

    def analyze(self, resource: Declared) -> list[Any]:
        """Diagnostics of one resource."""
        request = analyzer_pb2.AnalyzeRequest(**_fields(resource))
        return list(self.stub.Analyze(request).diagnostics)

    def analyze_stack(self, *resources: Declared) -> Any:
        """The answer on a stack."""
        each = [analyzer_pb2.AnalyzerResource(**_fields(one), parent=one.opts.parent) for one in resources]
        return self.stub.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=each))

    def found(self, *resources: Declared) -> list[tuple[str, str]]:
        """(rule, resource) of all that is found, as an update would: each resource, then the stack."""
        names = {one.urn: one.name for one in resources}
        alone = [(said.policyName, one.name) for one in resources for said in self.analyze(one)]
        whole = [(said.policyName, names[said.urn]) for said in self.analyze_stack(*resources).diagnostics]
        return sorted([*alone, *whole])


def _empty() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()


def _struct(given: Mapping[str, Any]) -> Any:
    made = struct_pb2.Struct()
    json_format.ParseDict(dict(given), made)
    return made


def _fields(one: Declared) -> dict[str, Any]:
    opts = one.opts
    options = analyzer_pb2.AnalyzerResourceOptions(
        protect=opts.protect, ignoreChanges=list(opts.ignore_changes), parent=opts.parent
    )
    fields = {"type": one.resource_type, "urn": one.urn, "name": one.name, "options": options}
    if one.provider:
        by = one.provider
        fields["provider"] = analyzer_pb2.AnalyzerProviderResource(
            type=by.resource_type, urn=by.urn, name=by.name, properties=_struct(by.props)
        )
    return {**fields, "properties": _struct(one.props)}


@contextmanager
def running(**environment: str) -> Iterator[Pack]:
    """The pack, as the engine starts it."""
    process = subprocess.Popen(
        [sys.executable, str(PACK)], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Pack(analyzer_pb2_grpc.AnalyzerStub(channel))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
