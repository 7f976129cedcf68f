"""Policies and overrides of several namespaces: none of them waits for another."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from test_shell_kinds import Clocked, Server, Shown, Stage, clock, override, scaling_policy  # noqa: F401

from tidegate.ports import Json, NotFoundError, RefusedError, UnavailableError
from tidegate.shell import kinds as module
from tidegate.shell.kinds import FewKinds
from tidegate.shell.store import GRACE


class Several(Server):
    """Each object lies in its namespace."""

    async def items(self, path: str) -> list[Json]:
        found = await super().items(path)
        return [one for one in found if f"/namespaces/{one['metadata']['namespace']}/" in path]


def placed(made: Json, namespace: str) -> Json:
    return {**made, "metadata": {**made["metadata"], "namespace": namespace}}


def several(*namespaces: str, **told: Any) -> Stage:
    stage = Stage(Several(**told))
    few = FewKinds(stage.server, stage.store, Shown(), namespaces, since=lambda: stage.leads_since)  # type: ignore[arg-type]
    stage.few = few
    return stage


async def test_a_namespace_that_refuses_us_at_the_start_is_not_known_and_the_others_are(
    clock: Clocked,  # noqa: F811
) -> None:
    there = {
        "scalingpolicies": [placed(scaling_policy(), "live"), placed(scaling_policy(), "shop")],
        "overrides": [placed(override(), "live")],
    }
    stage = several("live", "shop", objects=there, closed={"shop": RefusedError("403")})
    stage.leads_since = clock.monotonic()
    clock.at += 1.0
    await stage.few.list_first()
    assert (stage.store.synced, {key.namespace for key in stage.store.policies()}) == (True, {"live"})
    assert (stage.few.heard("live"), stage.few.heard("shop"), stage.few.known("shop")) == (True, False, False)
    assert stage.few.deaf("live") is None
    deaf = stage.few.deaf("shop")
    assert deaf is not None
    assert (deaf.kinds, deaf.said, deaf.since) == ("overrides, scalingpolicies", "403", stage.leads_since)
    clock.at += 2 * module.HELD_FOR
    assert not stage.few.may_raise("shop"), "nothing is known of what on-call said there"
    stage.server.closed.clear()
    await stage.few.ask()
    assert (stage.few.heard("shop"), len(stage.store.policies())) == (True, 2)


@pytest.mark.parametrize("answer", [UnavailableError("503"), NotFoundError("404")])
async def test_a_namespace_that_does_not_answer_at_the_start_is_waited_for(answer: Exception) -> None:
    stage = several("live", "shop", closed={"shop": answer})
    with pytest.raises(type(answer)):
        await stage.few.list_first()
    assert not stage.store.plannable


@pytest.mark.parametrize("namespaces", [("live",), ("live", "shop")])
async def test_where_every_namespace_refuses_us_the_start_waits(namespaces: tuple[str, ...]) -> None:
    stage = several(*namespaces, closed=dict.fromkeys(namespaces, RefusedError("403")))
    with pytest.raises(RefusedError):
        await stage.few.list_first()
    assert not stage.store.plannable
    stage.server.closed.clear()
    await stage.few.list_first()
    assert stage.store.synced


async def test_a_namespace_that_refuses_us_later_keeps_what_was_known_and_is_asked_for_with_the_rest(
    clock: Clocked,  # noqa: F811
) -> None:
    there = {"scalingpolicies": [placed(scaling_policy(), "live"), placed(scaling_policy(), "shop")]}
    stage = several("live", "shop", objects=there)
    await stage.few.list_first()
    stage.server.closed = {"shop": RefusedError("403")}
    await stage.few.ask()
    clock.at += module.GRACE + 1.0
    assert (stage.few.heard("live"), stage.few.heard("shop"), len(stage.store.policies())) == (True, False, 2)
    assert stage.few._unheard("shop") == [], "nobody lists all others every two seconds for its sake"
    stage.server.asked.clear()
    await stage.few.ask()
    assert sum("/namespaces/shop/" in path for path in stage.server.asked) == 2
    clock.at += module.HELD_FOR
    assert (stage.few.may_raise("shop"), stage.few.trouble("live")) == (True, "")
    stage.server.closed.clear()
    await stage.few.ask()
    assert stage.few.heard()


async def test_what_a_list_of_one_namespace_lacks_is_deleted_there_alone() -> None:
    there = {"scalingpolicies": [placed(scaling_policy(), "live"), placed(scaling_policy(), "shop")]}
    stage = several("live", "shop", objects=there)
    await stage.few.list_first()
    there["scalingpolicies"].pop()
    assert await stage.few.list_again() == []
    stage.at += GRACE + 1.0
    assert [key.namespace for key in stage.store.policies()] == ["live"]


class Hanging(Several):
    """Those of some namespaces never answer."""

    hangs: frozenset[str] = frozenset()

    async def items(self, path: str) -> list[Json]:
        found = await super().items(path)
        if any(f"/namespaces/{name}/" in path for name in self.hangs):
            await asyncio.Event().wait()
        return found

    def of(self, namespace: str) -> int:
        return sum(f"/namespaces/{namespace}/" in path for path in self.asked)


def beside_hanging(many: int) -> tuple[Stage, Hanging]:
    """One namespace that refuses us, and so many that answered until now."""
    names = [f"far-{number}" for number in range(many)]
    stage, server = Stage(), Hanging(objects={"scalingpolicies": [placed(scaling_policy(), "live")]})
    few = FewKinds(server, stage.store, Shown(), ("live", *names), since=lambda: stage.leads_since)  # type: ignore[arg-type]
    stage.few, stage.server = few, server
    server.closed = {"live": RefusedError("403")}
    return stage, server


@pytest.mark.parametrize("many", [1, 4, 40])
async def test_a_namespace_that_opens_is_heard_whoever_hangs_beside_it(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, a namespace whose Role is there again waited 15 s for each list of another that hung."""
    monkeypatch.setattr(module, "ASKED_EVERY", 0.01)
    stage, server = beside_hanging(many)
    await stage.few.list_first()
    assert not stage.few.heard("live")
    for one in stage.few._kinds.values():
        one.hung = one.scope != "live"  # they did not answer the last time either
    server.hangs = frozenset(stage.few.scopes() - {"live"})
    asking = asyncio.create_task(stage.few.ask_for_ever())
    await asyncio.sleep(0.05)
    server.closed.clear()
    async with asyncio.timeout(5):
        while not stage.few.heard("live"):  # noqa: ASYNC110  what is waited for is no event of ours
            await asyncio.sleep(0.005)
    assert len(stage.store.policies()) == 1
    asking.cancel()


async def test_what_we_lead_anew_is_listed_whoever_hangs_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNHEARD", 0.005)
    stage, server = beside_hanging(3)
    server.closed.clear()
    await stage.few.list_first()
    server.hangs = frozenset(stage.few.scopes() - {"live"})
    listing = asyncio.create_task(stage.few.list_for_ever())
    for _ in range(3):
        stage.leads_since = time.monotonic()
        stage.few.hear()
        async with asyncio.timeout(5):
            while not stage.few.heard("live"):  # noqa: ASYNC110  as above
                await asyncio.sleep(0.005)
    assert server.of("far-0") == 2 + 1, "and what hangs is asked for once at a time"
    listing.cancel()


async def test_of_many_that_hang_some_are_asked_at_once_and_the_others_wait_for_them() -> None:
    stage, server = beside_hanging(40)
    server.closed.clear()
    await stage.few.list_first()
    for one in stage.few._kinds.values():
        one.hung = one.scope != "live"
    server.hangs, before = frozenset(stage.few.scopes() - {"live"}), len(server.asked)
    asking = asyncio.create_task(stage.few.ask())
    await asyncio.sleep(0.05)
    assert len(server.asked) - before == module.HUNG_SLOTS + 2, "both kinds of the one that answers"
    asking.cancel()
