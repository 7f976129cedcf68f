"""What is set once in a database is not changed by settings that its living cluster does not follow."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402
from test_stacks_preflight import SNAPSHOTS, WHOLE, Fake, database, findings  # noqa: E402

from tidegate_stacks import preflight  # noqa: E402

PATH = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/database"


def living(instances: int = 3, name: str = "app") -> dict[str, Any]:
    """A cluster that has all that is needed, and the database as it lives there."""
    spec = {"instances": instances, "bootstrap": {"initdb": {"database": name, "owner": name}}}
    return {**WHOLE, **SNAPSHOTS, PATH: {"spec": spec}}


def test_a_database_that_is_as_it_was_made_is_told_nothing() -> None:
    assert findings(database(), living()) == []


def test_a_database_that_was_given_another_name_is_refused_with_the_name_that_it_has() -> None:
    (found,) = findings(database(database="orders"), living())
    assert found.startswith("config.database.database: database was made with database app, and the poolers would let")
    assert "set app, or make another database" in found


@pytest.mark.parametrize(("settings", "lives"), [(3, 1), (3, 2), (2, 1)])
def test_more_instances_than_live_are_refused_with_what_to_do(settings: int, lives: int) -> None:
    (found,) = findings(database(instances=settings), living(lives))
    assert found == (
        f"config.database.instances: database has {lives}, which Pulumi leaves as it is, and commits would wait for"
        " replicas that nobody makes: kubectl -n shop scale clusters.postgresql.cnpg.io/database"
        f" --replicas={settings} first, or set {lives}"
    )


@pytest.mark.parametrize("more", [{"reads": {"per_replica": 100, "most": 6}}, {"instances": 2}])
def test_replicas_that_a_plan_has_ordered_or_that_are_to_go_are_no_finding(more: dict[str, Any]) -> None:
    assert findings(database(**more), living(6)) == []


def test_a_database_that_nobody_has_made_yet_is_told_nothing() -> None:
    assert findings(database(), {**WHOLE, **SNAPSHOTS}) == []


def test_a_database_whose_namespace_is_known_later_is_not_looked_up() -> None:
    def program() -> list[str]:
        sections = database(namespace=pulumi.Output.from_input("shop"), database="orders")
        cluster = Fake(living())
        assert preflight.findings(preflight.needs(sections), cluster) == []
        return cluster.asked

    assert PATH not in ground.lay(program)[0]
