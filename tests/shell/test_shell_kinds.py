"""Of policies, overrides and pools each is listed for itself, and what the watch tells meanwhile counts more."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from test_shell_deletions import override
from test_shell_store import CORE, NOW, scaling_policy

from tidegate.planning.model import Key
from tidegate.ports import NotFoundError, RefusedError, UnavailableError
from tidegate.shell import kinds as module
from tidegate.shell.kinds import FewKinds
from tidegate.shell.store import GRACE, WatchedStore

Json = dict[str, Any]


@dataclass
class Server:
    objects: dict[str, list[Json]] = field(default_factory=dict)
    troubles: dict[str, Exception] = field(default_factory=dict)
    meanwhile: Callable[[], None] = lambda: None
    closed: dict[str, Exception] = field(default_factory=dict)
    """What all of a namespace is answered."""
    asked: list[str] = field(default_factory=list)

    async def items(self, path: str) -> list[Json]:
        plural = path.rsplit("/", 1)[-1]
        self.asked.append(path)
        self.meanwhile()
        for namespace, trouble in self.closed.items():
            if f"/namespaces/{namespace}/" in path:
                raise trouble
        if plural in self.troubles:
            raise self.troubles[plural]
        return self.objects.get(plural, [])

    async def pages(self, path: str) -> AsyncIterator[Json]:
        yield {"items": list(await self.items(path))}

    async def get(self, path: str, params: object = None) -> Json:
        return {"items": await self.items(path)}


class Shown:
    """A publisher that only listens."""

    def __init__(self) -> None:
        self.seen_of: list[Key] = []

    def seen(self, kind: str, key: Key, status: object) -> None:
        self.seen_of.append(key)

    def forget(self, kind: str, key: Key) -> None:
        pass


@dataclass
class Stage:
    server: Server = field(default_factory=Server)
    at: float = NOW

    def __post_init__(self) -> None:
        self.store = WatchedStore(lambda: self.at)
        self.store.events_synced = self.store.stop_synced = True
        self.leads_since = -math.inf
        few = FewKinds(self.server, self.store, Shown(), None, since=lambda: self.leads_since)  # type: ignore[arg-type]
        self.few = few


async def test_before_overrides_were_ever_listed_plans_are_shown_and_nothing_is_heard(clock: Clocked) -> None:
    """However long that takes: a pause that stands is not known."""
    stage = Stage(Server({"scalingpolicies": [scaling_policy()], "overrides": [override()]}))
    stage.server.troubles["overrides"] = RefusedError("403")
    stage.leads_since = clock.monotonic()
    clock.at += 1.0
    await stage.few.list_first()
    assert (stage.store.plannable, stage.store.synced) == (True, False)
    assert len(stage.store.policies()) == 1
    for waited in (0.0, 1.0, 10.0, 2 * module.HELD_FOR):
        clock.at += waited
        assert (stage.few.heard(), stage.few.may_raise(), stage.few.known()) == (False, False, False)
        deaf = stage.few.deaf()
        assert deaf is not None
        assert (deaf.kinds, deaf.said) == ("overrides", "403")
    assert stage.few.trouble().endswith("nothing is written")
    stage.server.troubles.clear()
    await stage.few.list_again()
    assert (stage.store.synced, stage.few.heard(), stage.few.known()) == (True, True, True)
    assert len(stage.store.overrides()) == 1


@pytest.mark.parametrize("plural", ["scalingpolicies", "capacitypools"])
async def test_a_kind_that_cannot_be_listed_holds_no_other_up_and_nothing_counts_before_it_is(plural: str) -> None:
    stage = Stage()
    stage.server.objects = {"scalingpolicies": [scaling_policy()], "overrides": [override()]}
    stage.server.troubles[plural] = RefusedError("403")
    with pytest.raises(RefusedError):
        await stage.few.list_first()
    assert not stage.store.synced
    assert (len(stage.store.policies()) == 1) is (plural != "scalingpolicies")
    stage.server.troubles.clear()
    await stage.few.list_first()
    assert stage.store.synced


async def test_a_kind_that_is_not_served_has_no_objects_but_policies_must_be() -> None:
    stage = Stage()
    stage.server.troubles = {"overrides": NotFoundError("404"), "capacitypools": NotFoundError("404")}
    await stage.few.list_first()
    assert stage.store.synced
    other = Stage(Server(troubles={"scalingpolicies": NotFoundError("404")}))
    with pytest.raises(NotFoundError):
        await other.few.list_first()


@pytest.mark.parametrize("served", [False, True])
async def test_a_kind_that_is_not_served_any_more_says_nothing_of_its_objects(served: bool) -> None:
    """A version that ends is no deletion of what people wrote; a list that lacks it is."""
    stage = Stage(Server({"overrides": [override()]}))
    await stage.few.list_first()
    if served:
        stage.server.objects = {}
    else:
        stage.server.troubles = {"overrides": NotFoundError("404"), "capacitypools": NotFoundError("404")}
    assert await stage.few.list_again() == []
    stage.at += GRACE + 1.0
    assert len(stage.store.overrides()) == (0 if served else 1)


@pytest.mark.parametrize("trouble", [UnavailableError("503"), KeyError("no list")])
async def test_later_lists_go_on_for_the_other_kinds(trouble: Exception) -> None:
    stage = Stage()
    await stage.few.list_first()
    stage.server.troubles["scalingpolicies"] = trouble
    stage.server.objects["overrides"] = [override()]
    assert await stage.few.list_again() == [trouble]
    assert len(stage.store.overrides()) == 1


async def test_what_the_watch_tells_while_a_list_is_under_way_is_newer_than_the_list() -> None:
    stage = Stage()
    stage.server.objects["scalingpolicies"] = [scaling_policy()]
    stage.server.meanwhile = lambda: stage.few.seen("ScalingPolicy", "MODIFIED", scaling_policy(2, mode="Observe"))
    await stage.few.list_first()
    assert stage.store.policies()[CORE].generation == 2


async def test_what_a_list_lacks_is_deleted_with_its_grace_valid_or_not() -> None:
    stage = Stage()
    broken = scaling_policy(targets=[])
    broken["metadata"]["name"] = "broken"
    stage.server.objects["scalingpolicies"] = [scaling_policy(), broken]
    await stage.few.list_first()
    stage.server.objects.clear()
    await stage.few.list_again()
    assert len(stage.store.known("ScalingPolicy")) == 2
    stage.at += GRACE
    stage.store.expire()
    assert stage.store.known("ScalingPolicy") == frozenset()


@pytest.mark.parametrize("plural", ["scalingpolicies", "overrides", "capacitypools"])
async def test_what_was_listed_before_we_led_is_listed_again_before_it_counts(
    plural: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNHEARD", 0.005)
    stage = Stage()
    await stage.few.list_first()
    assert stage.few.heard()
    relisting = asyncio.create_task(stage.few.list_for_ever())
    stage.server.objects["overrides"] = [override()]
    stage.server.troubles[plural] = UnavailableError("503")
    stage.leads_since = time.monotonic()
    stage.few.hear()
    await asyncio.sleep(0.05)
    assert not stage.few.heard()  # the answer of two kinds is not that of the third
    stage.server.troubles.clear()
    async with asyncio.timeout(5):
        while not stage.few.heard():  # noqa: ASYNC110  what is waited for is no event of ours
            await asyncio.sleep(0.005)
    assert len(stage.store.overrides()) == 1
    relisting.cancel()


async def test_an_answer_to_a_question_that_was_asked_before_we_led_does_not_count() -> None:
    stage = Stage()

    def lead() -> None:
        stage.leads_since = time.monotonic()

    stage.server.meanwhile = lead
    await stage.few.list_again()
    assert not stage.few.heard()
    stage.server.meanwhile = lambda: None
    await stage.few.list_again()
    assert stage.few.heard()


async def test_of_a_list_only_what_is_new_is_taken_in_and_what_is_invalid_is_tried_again() -> None:
    stage = Stage()

    def at(version: str, **spec: Any) -> Json:
        made = scaling_policy(int(version), **spec)
        return {**made, "metadata": {**made["metadata"], "resourceVersion": version}}

    puts: list[str] = []
    few = stage.few._kinds["ScalingPolicy", ""]
    put = few.put
    few.put = lambda obj: puts.append(obj["metadata"]["resourceVersion"]) or put(obj)  # type: ignore[func-returns-value]
    for version, told in (("1", ["1"]), ("1", ["1"]), ("2", ["1", "2"])):
        stage.server.objects["scalingpolicies"] = [at(version)]
        await stage.few.list_again()
        assert puts == told
    stage.few.seen("ScalingPolicy", "DELETED", at("2"))
    await stage.few.list_again()
    assert puts == ["1", "2", "2"], "it was made again, as far as the list tells"
    stage.server.objects["scalingpolicies"] = [at("3", targets=[])]
    await stage.few.list_again()
    await stage.few.list_again()
    assert puts[3:] == ["3", "3"]
    await stage.few.ask()
    assert puts[3:] == ["3", "3"], "a question every few seconds tries nothing again"


@dataclass
class Clocked:
    """The monotonic clock, by hand."""

    at: float = 1000.0

    def monotonic(self) -> float:
        self.at += 0.001  # no two questions at the same instant
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clocked:
    made = Clocked()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.mark.parametrize("how", ["a question", "a list", "a watch of ours"])
async def test_what_was_said_before_a_break_is_listed_again_before_anything_is_written(
    clock: Clocked, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", -1)
    stage = Stage()
    await stage.few.list_first()
    stage.leads_since = 1.0
    stage.server.troubles["overrides"] = UnavailableError("503")
    if how == "a watch of ours":
        stage.few.broke(clock.monotonic())
        await stage.few.list_again()
    else:
        await (stage.few.ask() if how == "a question" else stage.few.list_again())
    assert stage.few.heard(), "what writes rest on is hardly older than it always is"
    clock.at += module.GRACE
    assert not stage.few.heard()
    assert "overrides were not listed for 5 s: nothing is written" in stage.few.trouble()
    stage.server.troubles.clear()
    stage.server.objects["overrides"] = [override()]
    await stage.few.ask()
    assert not stage.few.heard(), "that it can be listed is not to have listed it"
    await stage.few.list_again()
    assert stage.few.heard()
    assert stage.few.trouble() == ""
    assert len(stage.store.overrides()) == 1


@pytest.mark.parametrize(("few", "heard"), [(100, 1), (-1, 0)])
async def test_of_few_objects_the_question_is_for_all_so_that_none_waits_for_a_watch_that_died(
    few: int, heard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", few)
    stage = Stage()
    await stage.few.list_first()
    stage.server.objects["overrides"] = [override()]
    await stage.few.ask()
    assert len(stage.store.overrides()) == heard


async def test_a_list_that_is_answered_late_takes_nothing_back_that_a_question_has_told() -> None:
    stage, answers, begun = Stage(), asyncio.Event(), asyncio.Event()
    await stage.few.list_first()
    answer, asked = stage.server.items, 0

    async def late(path: str) -> list[Json]:
        nonlocal asked
        found = await answer(path)
        if path.endswith("overrides"):
            asked += 1
            if asked == 1:
                begun.set()
                await answers.wait()
        return found

    stage.server.items = late  # type: ignore[method-assign]
    listing = asyncio.create_task(stage.few.list_again())
    await begun.wait()
    stage.server.objects["overrides"] = [override()]
    await stage.few.ask()
    answers.set()
    await listing
    assert asked == 1, "it was being listed: no second list is under way at the same time"
    await stage.few.ask()
    assert len(stage.store.overrides()) == 1


async def test_of_few_objects_that_cannot_be_listed_at_all_the_question_says_so(clock: Clocked) -> None:
    stage = Stage()
    await stage.few.list_first()
    stage.server.troubles["overrides"] = UnavailableError("503")
    await stage.few.ask()
    clock.at += module.GRACE
    assert "overrides were not listed for 5 s: nothing is written" in stage.few.trouble()


async def test_what_cannot_be_heard_is_waited_for_with_an_end(clock: Clocked) -> None:
    stage = Stage()
    await stage.few.list_first()
    stage.server.troubles["overrides"] = RefusedError("403")
    stage.leads_since = clock.monotonic()
    await stage.few.list_again()
    assert (stage.few.heard(), stage.few.may_raise()) == (False, False)
    clock.at += module.HELD_FOR
    assert (stage.few.heard(), stage.few.may_raise()) == (False, True)
    assert "levels are raised by what was known before, nothing is lowered" in stage.few.trouble()


async def test_a_break_that_a_later_list_has_mended_is_over_and_one_after_its_question_is_not(clock: Clocked) -> None:
    stage = Stage()
    await stage.few.list_first()
    broke = clock.monotonic()
    await stage.few.list_again()
    stage.few.broke(broke)
    clock.at += 60.0
    assert stage.few.heard()
    stage.server.meanwhile = lambda: stage.few.broke(clock.monotonic())
    await stage.few.list_again()
    clock.at += 60.0
    assert not stage.few.heard()
