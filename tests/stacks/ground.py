"""A Pulumi program under mocks: what it registers, as plain values, and outputs that must be known.

The mock engine of the SDK runs a program without the CLI. It forgets options and hides two traps, so this file keeps
the whole request, and resolves outputs itself: an assertion inside ``apply`` never runs when the value is unknown.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

pulumi = pytest.importorskip("pulumi", reason="needs the extra [stacks]: make test-ground")

from pulumi.runtime import mocks, rpc  # noqa: E402
from pulumi.runtime.settings import SETTINGS  # noqa: E402
from pulumi.runtime.stack import wait_for_rpcs  # noqa: E402

T = TypeVar("T")


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
    secrets: list[str] = field(default_factory=list)
    """Inputs that are secrets."""

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]


@dataclass
class Ground:
    """What a program registered."""

    resources: list[Registered] = field(default_factory=list)

    @property
    def objects(self) -> list[Registered]:
        """Those that stand for objects of the cluster."""
        return [one for one in self.resources if one.custom and not one.type.startswith("pulumi:providers:")]

    def find(self, kind: str, name: str) -> Registered:
        """The one of that kind and name."""
        found = [one for one in self.resources if (one.kind, one.name) == (kind, name)]
        assert len(found) == 1, f"{len(found)} of {kind} {name} among {[(r.kind, r.name) for r in self.resources]}"
        return found[0]


class _Answers(mocks.Mocks):
    """The cluster takes everything as it is."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"a component must not ask the cluster: {args.token}")


class _Monitor(mocks.MockMonitor):
    def __init__(self, ground: Ground) -> None:
        super().__init__(_Answers())
        self._ground = ground

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.type == "pulumi:pulumi:Stack":
            return super().RegisterResource(request)
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
                secrets=_secrets(request.object),
            )
        )
        try:
            return super().RegisterResource(request)
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


def whole(value: Any) -> Any:
    """Numbers as they were written: the protocol knows only floating-point ones."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def known(output: pulumi.Output[T]) -> T:
    """The value of an output; AssertionError when it is unknown, or holds anything unknown."""
    assert await output.is_known(), "this output is unknown: it resolves only in an update"
    value = await output.future(with_unknowns=True)
    assert not rpc.contains_unknowns(value), f"this output holds something unknown: {value!r}"
    return value  # type: ignore[return-value]


def _fresh(ground: Ground, *, preview: bool) -> None:
    """A mock engine that knows nothing of the program before it."""
    pulumi.runtime.set_mocks(_Answers(), project="shop", stack="test", preview=preview, monitor=_Monitor(ground))
    SETTINGS.rpc_manager.clear()
    SETTINGS.outputs.clear()


def lay(program: Callable[[], T], *, preview: bool = False) -> tuple[T, Ground]:
    """Run a program under mocks. ``preview``: as ``pulumi preview`` does, so that created values stay unknown."""
    ground = Ground()

    async def run() -> T:
        _fresh(ground, preview=preview)
        made = program()
        await wait_for_rpcs()
        return made

    return asyncio.run(run()), ground


def outputs_of(component: Callable[[], Any], *, preview: bool = False) -> dict[str, Any]:
    """Every declared output of a component, resolved, each of them known."""
    values: dict[str, Any] = {}

    async def run() -> None:
        _fresh(Ground(), preview=preview)
        made = component()
        for name, kind in type(made).__annotations__.items():
            if str(kind).startswith("pulumi.Output["):
                values[name] = await known(getattr(made, name))
        await wait_for_rpcs()

    asyncio.run(run())
    return values


def unknown() -> Any:
    """An Output whose value nobody knows yet, as during a preview. To be called inside the program."""
    loop = asyncio.get_running_loop()
    value: asyncio.Future[Any] = loop.create_future()
    value.set_result(None)
    is_known: asyncio.Future[bool] = loop.create_future()
    is_known.set_result(False)
    return pulumi.Output(set(), value, is_known)
