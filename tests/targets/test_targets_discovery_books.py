"""Whoever invents versions makes nobody remember them."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.ports import Json, NotFoundError
from tidegate.targets import discovery as module
from tidegate.targets.discovery import KEPT, MISS_LIFETIME, Discovery


class Server:
    """Serves Deployments and nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get(self, path: str) -> Json:
        self.asked.append(path)
        if path == "/apis/apps/v1":
            plural = {"name": "deployments", "kind": "Deployment", "namespaced": True}
            return {"resources": [plural, {**plural, "name": "deployments/scale", "kind": "Scale"}]}
        if path == "/apis/apps":
            return {"versions": [{"groupVersion": "apps/v1"}]}
        raise NotFoundError(path)


class Clock:
    at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def sizes(discovery: Discovery) -> tuple[int, ...]:
    books: Any = (discovery._asked, discovery._locks, discovery._versions)
    return tuple(len(book) for book in books)


@pytest.mark.parametrize("group", ["apps/vx{}", "g{}.example/v1"])
async def test_a_thousand_invented_versions_are_forgotten_when_nobody_names_them_any_more(
    clock: Clock, group: str
) -> None:
    discovery = Discovery(Server())  # type: ignore[arg-type]
    for round_ in range(10):
        for number in range(1000):
            served = await discovery.locate(group.format(f"{round_}x{number}"), "Deployment")
            assert (served is not None) is group.startswith("apps")
        assert max(sizes(discovery)) <= 2 * KEPT + 2
        clock.at += MISS_LIFETIME + 1.0
    assert await discovery.find("apps/v1", "Deployment")
    clock.at += MISS_LIFETIME + 1.0
    assert await discovery.find("apps/v1", "Deployment")
    assert await discovery.find("v1", "Pod") is None
    assert max(sizes(discovery)) <= 2, "apps/v1, and what was asked for just now"


async def test_however_many_are_invented_at_once_a_bounded_number_is_remembered_and_what_is_served_stays(
    clock: Clock,
) -> None:
    server = Server()
    discovery = Discovery(server)  # type: ignore[arg-type]
    assert await discovery.find("apps/v1", "Deployment")
    for number in range(5 * KEPT):
        assert await discovery.find(f"apps/vx{number}", "Deployment") is None
        assert max(sizes(discovery)) <= 2 * KEPT + 2
    last = len(server.asked)
    assert await discovery.find("apps/v1", "Deployment")
    assert await discovery.find(f"apps/vx{5 * KEPT - 1}", "Deployment") is None
    assert len(server.asked) == last, "both are still believed"
