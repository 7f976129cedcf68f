"""A Pulumi program without an engine, an account or a cluster: what it would register, as plain values.

The SDK's mock engine runs a program without the CLI. That engine forgets options, so that this module keeps the whole
request; and it never runs an assertion inside ``apply`` when the value is unknown, so that outputs are resolved here.
"""

from __future__ import annotations

import asyncio
import json
import runpy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pulumi
import yaml
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import wait_for_rpcs

from tidegate_stacks.joined import ORGANIZATION, whole

T = TypeVar("T")

STACK_REFERENCE = "pulumi:pulumi:StackReference"

Stacks = Mapping[str, Mapping[str, Any]]
"""Outputs of other stacks, by the full name of the stack: ``organization/tidegate-live/dev``."""


@dataclass(frozen=True)
class Registered:
    """One resource as the engine was asked for it."""

    type: str
    name: str
    parent: str
    """URN."""
    custom: bool
    inputs: dict[str, Any]
    """Unknown values are ``rpc.Unknown``."""
    ignores: list[str]
    protect: bool
    provider: str = ""
    """Reference of the provider that it was given; empty for the program's own."""
    after: list[str] = field(default_factory=list)
    """URNs of what has to be there before it."""
    kept: bool = False
    """Whether the object stays in its cluster once the program names it no more."""
    secrets: list[str] = field(default_factory=list)
    """Inputs that are secrets."""

    @property
    def kind(self) -> str:
        """Last part of the type: ``Deployment``."""
        return self.type.rpartition(":")[2]


@dataclass
class Ground:
    """What a program registered, and what it exports where it exports anything."""

    resources: list[Registered] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    @property
    def objects(self) -> list[Registered]:
        """Those that stand for objects of the cluster."""
        return [one for one in self.resources if one.custom and not one.type.startswith("pulumi:providers:")]

    def find(self, kind: str, name: str) -> Registered:
        """The resource of that kind and name; AssertionError where there is none, or more than one."""
        found = [one for one in self.resources if (one.kind, one.name) == (kind, name)]
        if len(found) != 1:
            there = [(one.kind, one.name) for one in self.resources]
            raise AssertionError(f"{len(found)} of {kind} {name} among {there}")
        return found[0]


class _Answers(mocks.Mocks):
    """The cluster takes everything as it is; other stacks have the outputs that the caller gives."""

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if args.typ == STACK_REFERENCE:
            stack = args.inputs["name"]
            return stack, {"name": stack, "outputs": dict(self._stacks.get(stack, {})), "secretOutputNames": []}
        return f"{args.name}-id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"a component must not ask the cluster: {args.token}")


class _Monitor(mocks.MockMonitor):
    def __init__(self, ground: Ground, answers: _Answers) -> None:
        super().__init__(answers)
        self._ground = ground

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.type == "pulumi:pulumi:Stack":
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]
        self._ground.resources.append(
            Registered(
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=request.custom,
                inputs=whole(rpc.deserialize_properties(request.object, keep_unknowns=True)),
                ignores=list(request.ignoreChanges),
                protect=request.protect,
                provider=request.provider,
                after=sorted(request.dependencies),
                kept=request.retainOnDelete,
                secrets=_secrets(request.object),
            )
        )
        try:
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]
        finally:
            _close_loop_of_thread()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        try:
            return super().ReadResource(request)  # type: ignore[no-untyped-call]
        finally:
            _close_loop_of_thread()


def _secrets(properties: Any) -> list[str]:
    """Names of inputs that are marked as secrets, at their top."""
    kept = rpc.deserialize_properties(properties, keep_unknowns=True)
    return sorted(name for name, value in kept.items() if rpc.is_rpc_secret(value))


def _close_loop_of_thread() -> None:
    """The mock engine opens an event loop in each of its threads and leaves it open: found by the garbage collector in
    the midst of anything, its warning would be an error there.
    """
    if threading.current_thread() is not threading.main_thread():
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)


async def known(output: pulumi.Output[T]) -> T:
    """The value of an output; AssertionError when it is unknown, or holds anything unknown."""
    if not await output.is_known():
        raise AssertionError("this output is unknown: it resolves only in an update")
    value = await output.future(with_unknowns=True)
    if rpc.contains_unknowns(value):
        raise AssertionError(f"this output holds something unknown: {value!r}")
    return value  # type: ignore[return-value]


def fresh(ground: Ground, *, preview: bool = False, stacks: Stacks | None = None, project: str = "shop") -> None:
    """A mock engine that knows nothing of the program before it. To be called within an event loop."""
    answers = _Answers(stacks or {})
    pulumi.runtime.set_mocks(
        answers,
        project=project,
        stack="test" if project == "shop" else "dev",
        preview=preview,
        monitor=_Monitor(ground, answers),
        organization=ORGANIZATION,
    )
    SETTINGS.rpc_manager.clear()
    SETTINGS.outputs.clear()


def lay(
    program: Callable[[], T], *, preview: bool = False, stacks: Stacks | None = None, project: str = "shop"
) -> tuple[T, Ground]:
    """Run a program. ``preview``: as ``pulumi preview`` does, so that created values stay unknown."""
    ground = Ground()

    async def run() -> T:
        fresh(ground, preview=preview, stacks=stacks, project=project)
        made = program()
        await wait_for_rpcs()
        root = pulumi.runtime.get_root_resource()
        if not preview:
            for name, value in getattr(root, "outputs", {}).items():
                ground.exports[name] = await known(pulumi.Output.from_input(value))
        return made

    return asyncio.run(run()), ground


# ---- a project's folder


def config_of(folder: Path, settings: str) -> dict[str, str]:
    """A project's configuration as its program reads it: defaults of Pulumi.yaml under Pulumi.SETTINGS.yaml."""
    project = _yaml(folder / "Pulumi.yaml")
    name = project["name"]
    given = {f"{name}:{key}": one["default"] for key, one in project.get("config", {}).items() if "default" in one}
    given |= _yaml(folder / f"Pulumi.{settings}.yaml").get("config", {})
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}


def _yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def run(
    folder: Path, settings: str, *, preview: bool = False, stacks: Stacks | None = None, config: Mapping[str, str] = {}
) -> Ground:
    """Run a project with one of its files of settings. ``config``: values over those, ``project:key`` → text."""
    name = _yaml(folder / "Pulumi.yaml")["name"]

    def program() -> None:
        pulumi.runtime.set_all_config({**config_of(folder, settings), **config})
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    return lay(program, preview=preview, stacks=stacks, project=name)[1]
