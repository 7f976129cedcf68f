"""Looking at targets and moving them, where the server refuses, throttles or changes under our hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.errors import ApiError
from tidegate.embedded.server import running
from tidegate.pauses import Pauses
from tidegate.planning.model import Ref, Trouble
from tidegate.ports import ConflictError, Json, Manager, RefusedError, UnavailableError
from tidegate.targets.client import Form, KubeClient, Params
from tidegate.targets.errors import ForbiddenError, InvalidError, LaterError, PatchFailedError
from tidegate.targets.fields import HAND_BACK_PAUSES
from tidegate.targets.registry import KubeTargets

WEB = Ref("apps/v1", "Deployment", "default", "web")
HELM = Manager("helm", "Apply")


class Hooked(KubeClient):
    """A client whose server has bad days."""

    forbidden: str = "nothing"
    down: str = "nothing"
    asked: list[str]
    before_rewrite: Any = None
    refuses_levels: InvalidError | None = None
    after_list: Any = None

    async def get(self, path: str, params: Params | None = None) -> Json:
        self.asked = [*getattr(self, "asked", []), path]
        if path.endswith(self.forbidden):
            raise ForbiddenError(f"GET {path}: may not")
        if path.endswith(self.down):
            raise LaterError(f"GET {path}: later")
        answer = await super().get(path, params)
        if self.after_list is not None and path.endswith("horizontalpodautoscalers"):
            hook, self.after_list = self.after_list, None
            hook()
        return answer

    async def patch(
        self, path: str, body: Json | list[Json], form: Form, *, manager: str = "tidegate", force: bool = False
    ) -> Json:
        if self.before_rewrite is not None and "managedFields" in str(body):
            self.before_rewrite()
        if self.refuses_levels is not None:
            raise self.refuses_levels
        return await super().patch(path, body, form, manager=manager, force=force)


def deployment(name: str = "web") -> Json:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def hpa(name: str = "web", minimum: int = 2) -> Json:
    scales = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"minReplicas": minimum, "maxReplicas": 50, "scaleTargetRef": scales}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def cluster() -> EmbeddedCluster:
    made = EmbeddedCluster()
    made.apply(deployment(), manager="helm")
    made.apply(hpa(), manager="helm")
    return made


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[Hooked]:
    async with running(cluster) as url:
        made = await Hooked.connect(url=url)
        assert isinstance(made, Hooked)
        yield made
        await made.close()


@pytest.mark.parametrize("what", ["deployments/web", "horizontalpodautoscalers"])
async def test_what_we_may_not_read_we_do_not_touch(client: Hooked, what: str) -> None:
    """Without the list of HPAs nobody knows whether one stands in front, and would fight our write."""
    client.forbidden = what
    sight = await KubeTargets(client).see(WEB)
    assert (sight.place, sight.observed.trouble) == (None, Trouble.FORBIDDEN)


async def test_a_server_without_an_answer_is_an_error_and_no_trouble_of_the_target(client: Hooked) -> None:
    client.down = "deployments/web"
    with pytest.raises(UnavailableError):
        await KubeTargets(client).see(WEB)


async def test_one_list_of_hpas_serves_a_whole_round(client: Hooked, cluster: EmbeddedCluster) -> None:
    names = [f"w{number}" for number in range(10)]
    for name in names:
        cluster.apply(deployment(name), manager="helm")
        cluster.apply(hpa(name, 3), manager="helm")
    targets = KubeTargets(client, lifetime=60)
    sights = await asyncio.gather(*(targets.see(Ref("apps/v1", "Deployment", "default", name)) for name in names))
    assert [sight.observed.level for sight in sights] == [3] * 10
    assert sum(path.endswith("horizontalpodautoscalers") for path in client.asked) == 1


async def test_our_own_write_is_seen_by_the_next_look(client: Hooked) -> None:
    targets = KubeTargets(client, lifetime=60)
    sight = await targets.see(WEB)
    assert sight.place is not None
    await targets.swap(sight.place, believed=2, wanted=9)
    assert (await targets.see(WEB)).observed.level == 9


async def test_a_change_that_a_watch_told_of_is_seen_by_the_next_look(client: Hooked, cluster: EmbeddedCluster) -> None:
    targets = KubeTargets(client, lifetime=60)
    await targets.see(WEB)
    cluster.apply(hpa(minimum=7), manager="helm")
    assert (await targets.see(WEB)).observed.level == 2, "a list is believed for its lifetime"
    targets.forget("default")
    assert (await targets.see(WEB)).observed.level == 7


async def test_a_list_that_was_under_way_when_something_changed_is_not_kept(
    client: Hooked, cluster: EmbeddedCluster
) -> None:
    targets = KubeTargets(client, lifetime=60)

    def change() -> None:
        cluster.apply(hpa(minimum=7), manager="helm")
        targets.forget("default")

    client.after_list = change
    await targets.see(WEB)
    assert (await targets.see(WEB)).observed.level == 7


async def test_an_object_whose_version_moves_under_our_hands_is_handed_back_in_a_later_try(
    client: Hooked, cluster: EmbeddedCluster
) -> None:
    targets = KubeTargets(client)
    sight = await targets.see(WEB)
    assert sight.place is not None
    await targets.swap(sight.place, believed=2, wanted=9)
    await targets.swap(sight.place, believed=9, wanted=2)
    moves = iter(range(2))

    def move() -> None:
        for number in moves:
            labels = {"metadata": {"labels": {"moved": str(number)}}}
            cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", labels)
            break

    client.before_rewrite = move
    await targets.hand_back(sight.place, HELM)
    held = await targets.held(sight.place)
    assert (held.value, held.manager) == (2, HELM)


async def test_an_object_that_never_stands_still_is_given_up_in_words(
    client: Hooked, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.targets.fields.HAND_BACK_TRIES", 2)
    targets = KubeTargets(client)
    sight = await targets.see(WEB)
    assert sight.place is not None
    await targets.swap(sight.place, believed=2, wanted=9)
    moves = iter(range(100))

    def move() -> None:
        labels = {"metadata": {"labels": {"moved": str(next(moves))}}}
        cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", labels)

    client.before_rewrite = move
    with pytest.raises(UnavailableError, match="moved under each of 2 tries"):
        await targets.hand_back(sight.place, HELM)


async def test_tries_to_hand_back_lie_further_and_further_apart(
    client: Hooked, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status writes of a start keep moving the version for a while: eight tries at once would all meet them."""
    targets = KubeTargets(client)
    sight = await targets.see(WEB)
    assert sight.place is not None
    await targets.swap(sight.place, believed=2, wanted=9)
    pauses, moves, real = [], iter(range(100)), asyncio.sleep

    def move() -> None:
        labels = {"metadata": {"labels": {"moved": str(next(moves))}}}
        cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", labels)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    client.before_rewrite = move
    assert 0.04 <= HAND_BACK_PAUSES.after(1) <= 0.2, "a random part of each: what failed together is not tried together"
    assert HAND_BACK_PAUSES.longest == 1.6
    monkeypatch.setattr("tidegate.targets.fields.HAND_BACK_PAUSES", Pauses(first=0.2, longest=1.6))
    monkeypatch.setattr("tidegate.targets.fields.asyncio", SimpleNamespace(sleep=pause))
    with pytest.raises(UnavailableError, match="moved under each of 8 tries"):
        await targets.hand_back(sight.place, HELM)
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 1.6, 1.6, 1.6])


async def test_a_level_that_has_come_back_since_the_test_failed_is_a_conflict(client: Hooked) -> None:
    targets = KubeTargets(client)
    sight = await targets.see(WEB)
    assert sight.place is not None
    client.refuses_levels = PatchFailedError("422: the test failed")
    with pytest.raises(ConflictError, match="was not 2 for a moment"):
        await targets.swap(sight.place, believed=2, wanted=9)


async def test_a_level_that_the_server_finds_wrong_is_refused_with_its_words(client: Hooked) -> None:
    targets = KubeTargets(client)
    sight = await targets.see(WEB)
    assert sight.place is not None
    client.refuses_levels = InvalidError("422: minReplicas is too large")
    with pytest.raises(RefusedError, match="minReplicas is too large"):
        await targets.swap(sight.place, believed=2, wanted=51)


@pytest.mark.parametrize("path", ["spec.minReplicas", "spec.replicas"], ids=["an HPA", "a bare workload"])
async def test_an_unforced_apply_during_a_loan_is_refused_in_our_name(
    client: Hooked, cluster: EmbeddedCluster, path: str
) -> None:
    """As ``helm upgrade`` applies; and once the field is handed back, it passes."""
    behind = path == "spec.minReplicas"
    cluster.apply(deployment("pay"), manager="helm")
    name, made = ("web", hpa()) if behind else ("pay", deployment("pay"))
    targets = KubeTargets(client, lifetime=0.0)
    sight = await targets.see(WEB._replace(name=name))
    assert sight.place is not None
    await targets.swap(sight.place, believed=2, wanted=9)
    with pytest.raises(ApiError) as refused:
        cluster.apply(made, manager="helm")
    assert (refused.value.code, refused.value.causes[0].reason) == (409, "FieldManagerConflict")
    assert '"tidegate"' in refused.value.causes[0].message
    assert refused.value.causes[0].field == f".{path}"
    without = {**made, "spec": {key: value for key, value in made["spec"].items() if key != path.split(".")[1]}}
    cluster.apply(without, manager="helm")
    assert (await targets.held(sight.place)).value == 9, "left out, it neither fails nor takes the level"
