"""In cluster scope a policy reads the numbers of its own namespace; one that an older version accepted is warned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from test_shell_store import CORE, NOW, scaling_policy

from tidegate.planning.plan import make_plan
from tidegate.planning.world import World
from tidegate.ports import LastValid
from tidegate.shell.settings import load_settings
from tidegate.shell.status import policy_status
from tidegate.shell.store import WatchedStore


def asking(query: str = "sum(orders)", *, generation: int = 1, status: dict[str, Any] | None = None) -> dict[str, Any]:
    made = scaling_policy(generation, signals=[{"name": "orders", "query": query}])
    return {**made, "status": status} if status is not None else made


def accepted(generation: int = 1, **types: str) -> dict[str, Any]:
    conditions = [{"type": name, "status": said} for name, said in {"Accepted": "True", **types}.items()]
    return {"observedGeneration": generation, "conditions": conditions}


def store(*objects: dict[str, Any], confine: bool = True) -> WatchedStore:
    made = WatchedStore(lambda: NOW, confine=confine)
    for obj in objects:
        made.put_policy(obj)
    return made


def query_of(watched: WatchedStore) -> str | None:
    return watched.policies()[CORE].signals[0].query


def test_a_new_policy_reads_its_own_namespace_alone() -> None:
    watched = store(asking())
    assert (query_of(watched), watched.free) == ('sum(orders{namespace="shop"})', {})
    assert query_of(store(asking(), confine=False)) == "sum(orders)"


def test_a_query_that_cannot_be_confined_is_refused_with_its_field() -> None:
    watched = store(asking("info(orders)"))
    assert watched.policies() == {}
    said = watched.invalid["ScalingPolicy", CORE].problems
    assert "spec.signals[0].query: info() reads series of other namespaces" in said
    assert "queries: free" in said


@pytest.mark.parametrize("query", ["rate(orders[1e300])", "rate(orders[9223372036854775807])", "orders offset NaN"])
def test_a_length_that_breaks_the_parser_makes_its_own_policy_invalid_and_no_other(query: str) -> None:
    """What the parser raises then is no ``Exception``: it ended the list of all policies."""
    other = asking()
    other["metadata"] = {**other["metadata"], "name": "other", "uid": "another"}
    watched = store(asking(query), other)
    assert [key.name for key in watched.policies()] == ["other"]
    said = watched.invalid["ScalingPolicy", CORE].problems
    assert "spec.signals[0].query: has a " in said
    assert "for a length of time" in said or "a length of time that is too long" in said


@pytest.mark.parametrize("query", ["sum(orders)", "info(orders)"])
def test_one_that_a_version_before_accepted_is_left_as_it_is_and_warned(query: str) -> None:
    watched = store(asking(query, status=accepted()))
    assert query_of(watched) == query
    assert "From the next version on they read namespace shop alone" in watched.free[CORE]
    watched.put_policy(asking(query, status=accepted(Confined="False")))
    assert query_of(watched) == query, "and after we have said so in its status"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(accepted(Confined="True"), id="this version accepted it"),
        pytest.param(accepted(generation=1), id="it was changed since"),
        pytest.param({"observedGeneration": 2, "conditions": [{"type": "Accepted", "status": "False"}]}, id="refused"),
        pytest.param({"observedGeneration": 2, "conditions": "odd"}, id="odd"),
        pytest.param({}, id="none"),
    ],
)
def test_any_other_is_confined(status: dict[str, Any]) -> None:
    generation = 1 if status == accepted(Confined="True") else 2
    watched = store(asking(generation=generation, status=status))
    assert (query_of(watched), watched.free) == ('sum(orders{namespace="shop"})', {})


def test_a_last_version_brings_no_word_of_its_own_that_it_was_accepted() -> None:
    forged = asking(status=accepted())
    watched = store()
    watched.recall([LastValid("ScalingPolicy", CORE, "u1", orjson.dumps(forged).decode())])
    bad = asking("sum(")
    watched.put_policy({**bad, "metadata": {**bad["metadata"], "uid": "u1"}})
    assert query_of(watched) == 'sum(orders{namespace="shop"})'


def test_one_that_says_its_namespace_itself_needs_no_warning() -> None:
    assert store(asking('sum(orders{namespace="shop"})', status=accepted())).free == {}


ROOT = Path(__file__).parents[2]
SHIPPED = [*sorted((ROOT / "examples").glob("*.yaml")), *sorted((ROOT / "policies" / "scaling").glob("*.yaml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_every_example_and_preset_goes_on_working(path: Path) -> None:
    policies = [one for one in yaml.safe_load_all(path.read_text()) if one and one["kind"] == "ScalingPolicy"]
    watched = store(*policies)
    assert watched.invalid == {}
    queries = [s.query for policy in watched.policies().values() for s in policy.signals if s.query]
    assert all('namespace="' in query for query in queries)


@pytest.mark.parametrize(("free", "said"), [(None, None), ("", "True"), ("Its queries read more", "False")])
def test_the_status_says_which(free: str | None, said: str | None) -> None:
    policy = store(asking()).policies()[CORE]
    plan = make_plan(World({CORE: policy}, {}, observed={}), NOW)
    status = policy_status(policy, plan, {}, free=free)
    assert next((one["status"] for one in status["conditions"] if one["type"] == "Confined"), None) == said


@pytest.mark.parametrize(
    ("environment", "want"),
    [
        ({}, True),
        ({"TIDEGATE_NAMESPACES": "shop"}, False),
        ({"TIDEGATE_QUERIES": "free"}, False),
        ({"TIDEGATE_QUERIES": "namespaced", "TIDEGATE_NAMESPACES": "shop"}, True),
    ],
)
def test_the_whole_cluster_is_confined_unless_somebody_says_otherwise(environment: dict[str, str], want: bool) -> None:
    assert load_settings(environment).confine_queries is want
