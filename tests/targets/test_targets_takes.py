"""What a pod takes is read at a bounded cost, whatever else its owner writes into it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tidegate.planning.resources import Resources
from tidegate.ports import Json
from tidegate.targets import takes
from tidegate.targets.quotas import rooms
from tidegate.targets.takes import admitted_takes, pod_takes

MANY = 20_000
DISTINCT = 1_000


class Named(dict[str, Any]):
    """A map of resources that counts the names that were read of it."""

    read = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.read += 1
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read += 1
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.read += 1
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            self.read += 1
            yield name

    def items(self) -> Any:
        for name in self:
            yield name, super().__getitem__(name)

    def __repr__(self) -> str:
        self.read += len(self)
        return super().__repr__()


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takes, "_takes", {})


def huge(**named: str) -> Named:
    """Extended resources that nobody has, and these."""
    return Named({f"example.com/r{n}": "1" for n in range(MANY)} | named)


def test_a_thousand_templates_of_twenty_thousand_resources_leave_some_bytes_each() -> None:
    limits = huge()
    spec = {"containers": [{"resources": {"limits": limits, "requests": {"memory": "64Mi"}}}]}
    for edit in range(DISTINCT):
        limits["cpu"] = f"{edit + 1}m"
        assert pod_takes(spec) == Resources(edit + 1, 64)
    assert len(takes._takes) == DISTINCT
    assert sum(map(sys.getsizeof, takes._takes)) < 100 * DISTINCT
    assert limits.read < 50 * DISTINCT, "a name that is not planned with is not read"


def test_an_edit_of_what_is_not_planned_with_is_no_other_template() -> None:
    for edit in range(3):
        named = {"cpu": "2", "example.com/r": str(edit)}
        spec = {"overhead": named, "resources": {"requests": named}, "containers": [{"resources": {"limits": named}}]}
        assert pod_takes(spec) == Resources(4000, 0)
    assert len(takes._takes) == 1


def test_a_pod_that_was_admitted_is_read_no_further() -> None:
    asked, allotted = huge(cpu="1"), huge(cpu="2")
    spec = {"containers": [{"name": "c", "resources": {"requests": asked}}]}
    status: Json = {"containerStatuses": [{"name": "c", "allocatedResources": allotted}]}
    assert admitted_takes(spec, status) == Resources(2000, 0)
    assert asked.read + allotted.read < 50


@pytest.mark.parametrize("wrong", [None, "much", "9" * 65, [], {}, True], ids=repr)
def test_a_request_that_cannot_be_read_is_none_and_one_that_is_missing_its_limit(wrong: object) -> None:
    for requests, cpu in (({"cpu": wrong}, 0), ({}, 3000), ({"cpu": "1"}, 1000)):
        assert pod_takes({"containers": [{"resources": {"limits": {"cpu": "3"}, "requests": requests}}]}).cpu == cpu


@pytest.mark.parametrize("restart", ["Always", "Never", {}])
def test_a_sidecar_is_another_template_than_what_runs_first(restart: object) -> None:
    container = {"resources": {"requests": {"cpu": "1"}}}
    spec = {"containers": [container], "initContainers": [{**container, "restartPolicy": restart}]}
    assert pod_takes({**spec, "initContainers": [container]}).cpu == 1000
    assert pod_takes(spec).cpu == (2000 if restart == "Always" else 1000)


def test_of_a_pod_a_quota_reads_what_it_bounds_and_of_a_quota_a_bounded_number() -> None:
    limits, hard = huge(cpu="2"), {f"requests.example.com/r{n}": "10" for n in range(MANY)}
    pod = {"spec": {"containers": [{"resources": {"limits": limits}}]}}
    quota = {
        "metadata": {"name": "q"},
        "status": {"hard": {"limits.cpu": "8"} | hard, "used": {"limits.cpu": "0"} | hard},
    }
    found = rooms([quota], pod, 1)
    assert {(room.resource, room.left, room.each) for room in found} >= {
        ("limits.cpu", 8.0, 2.0),
        ("requests.example.com/r0", 0.0, 1.0),
    }
    assert len(found) < 300
    assert limits.read < 10_000
