"""What a live event stands on is left alone while it runs, and one hour before."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from declared import STACK, UNKNOWN, Declared, Options, Stack, component, deployment, hpa, metadata, policy, thing
from peaks import PEAK, SEEN, STEP, changed, event, live_orders, orders, schedule, weekly, written
from test_policies_cases import found

from tidegate_policies.cluster import forget
from tidegate_policies.rules import BY_NAME

ORDERS = (PEAK, "orders")
BOTH = [(STEP, "orders"), ORDERS]
"""What both rules find of a change, where the cluster tells them."""
HOURS, DAYS = 60, 24 * 60


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_CLUSTER", raising=False)
    monkeypatch.delenv("TIDEGATE_ASK_CLUSTER", raising=False)
    forget()


RUNS: dict[str, Callable[[], dict[str, Any]]] = {
    "it runs": lambda: schedule(-10),
    "it begins soon": lambda: schedule(55),
    "it has run for a day": lambda: schedule(-26 * HOURS, lasts=27 * 3600),
    "it runs in another zone": lambda: schedule(-10, zone="America/New_York"),
    "it runs every week": lambda: weekly(-14 * DAYS - 10, "FREQ=WEEKLY"),
    "its third day runs": lambda: weekly(-2 * DAYS - 10, "FREQ=DAILY;COUNT=3"),
    "it was made longer": lambda: changed(-150, extendedBySeconds=3600),
    "it was moved to now": lambda: changed(30 * DAYS, to=-5),
}
RESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "it begins later": lambda: schedule(120),
    "it is over": lambda: schedule(-130),
    "its last week is over": lambda: weekly(-14 * DAYS - 10, "FREQ=WEEKLY;COUNT=2"),
    "its day is another": lambda: weekly(-13 * DAYS, "FREQ=WEEKLY"),
    "it was cancelled": lambda: changed(-10, cancelled=True),
    "it was moved away": lambda: changed(-10, to=600),
    "this one is left out": lambda: weekly(-14 * DAYS - 10, "FREQ=WEEKLY", without=14 * DAYS),
}
"""Asked for by the test: a schedule begins so many minutes from when it is made."""


@pytest.mark.parametrize("why", RUNS)
def test_ground_of_an_event_that_runs_or_begins_soon_is_left_alone(why: str) -> None:
    assert found([event(RUNS[why]()), policy("orders"), deployment()]) == [ORDERS]


@pytest.mark.parametrize("why", RESTS)
def test_ground_of_an_event_that_does_not_may_be_changed(why: str) -> None:
    assert found([event(RESTS[why]()), policy("orders"), deployment()]) == []


def test_how_long_before_is_a_setting() -> None:
    soon = [event(schedule(100)), policy("orders"), deployment()]
    assert found(soon) == []
    assert found(soon, {"minutes": 120}) == [ORDERS]
    assert found([event(schedule(20)), policy("orders"), deployment()], {"minutes": 10}) == []


def messages(*resources: Declared) -> list[str]:

    said: list[str] = []
    rule = BY_NAME[PEAK].stack
    assert rule is not None
    rule(Stack(resources), lambda message, _urn: said.append(message))
    return said


def test_the_refusal_names_the_event_and_when_it_runs() -> None:
    (said,) = messages(event(schedule(-10)), policy("orders"), deployment())
    assert "shop/double-11" in said
    assert "runs until" in said
    (said,) = messages(event(schedule(20)), policy("orders"), deployment())
    assert "begins at" in said


def test_what_is_no_ground_may_be_changed() -> None:
    runs = event(schedule())
    assert found([runs, policy("carts"), deployment()]) == []
    assert found([event(schedule(), policy="others"), policy("orders"), deployment()]) == []
    assert (
        found([replace(runs, props={**runs.props, "metadata": metadata("x", "far")}), policy("orders"), deployment()])
        == []
    )


def test_the_autoscaler_in_front_of_a_target_is_ground_too() -> None:
    stack = [event(schedule()), policy("orders"), hpa("spec.minReplicas"), hpa("spec.minReplicas", scales="carts")]
    assert found(stack) == [ORDERS]


def test_all_of_a_target_s_component_is_ground_and_no_other_component_is() -> None:
    cache, edge = component("cache"), component("edge", "tidegate:edge:EdgeCache")
    inner = component("scripts", "shop:x:Inner", parent=cache.urn)
    stack = [
        replace(event(schedule()), opts=Options(parent=cache.urn)),
        replace(policy("orders"), opts=Options(parent=cache.urn)),
        cache,
        edge,
        inner,
        deployment().under(cache),
        thing("core/v1:ConfigMap", "conf").under(cache),
        thing("core/v1:ConfigMap", "script").under(inner),
        replace(thing("core/v1:Service", "other"), opts=Options(parent=STACK)),
        thing("core/v1:ConfigMap", "sites").under(edge),
        Declared("alicloud:slb/loadBalancer:LoadBalancer", "door", {}, Options(parent=cache.urn)),
    ]
    assert sorted(found(stack)) == [(PEAK, "conf"), (PEAK, "door"), ORDERS, (PEAK, "script")]


def test_what_stands_in_no_component_shares_none() -> None:
    loose = [replace(one, opts=Options(parent=STACK)) for one in (deployment(), thing("core/v1:ConfigMap", "conf"))]
    assert found([event(schedule()), policy("orders"), *loose]) == [ORDERS]


def test_an_event_s_own_status_is_asked_only_where_its_schedule_cannot_be_read() -> None:
    stale = {"conditions": [{"type": "Live", "status": "True"}]}
    assert found([event(schedule(600), **stale), policy("orders"), deployment()]) == []
    assert found([event(None, **stale), policy("orders"), deployment()]) == [ORDERS]
    soon = {"nextOccurrence": {"start": "2020-01-01T00:00:00Z", "end": "2999-01-01T00:00:00Z"}}
    assert found([event(None, **soon), policy("orders"), deployment()]) == [ORDERS]


def test_a_schedule_that_is_not_known_yet_may_be_now() -> None:
    assert (PEAK, "orders") in found([event({**schedule(), "startTime": UNKNOWN}), policy("orders"), deployment()])


def test_a_schedule_that_cannot_be_read_is_said_and_refuses_nothing() -> None:
    for given in (None, "x", {}, {**schedule(), "timeZone": "Asia/Atlantis"}, {**schedule(), "startTime": "soon"}):
        assert found([event(given), policy("orders"), deployment()]) == [(SEEN, "double-11")], given


def test_a_change_can_be_allowed_with_a_reason() -> None:
    noted = deployment().noted(f"{PEAK}: the canary of tonight's fix")
    assert found([event(schedule()), policy("orders"), noted]) == []


# ---- against what the cluster holds


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def say(*items: Any) -> None:
        monkeypatch.setenv("TIDEGATE_CLUSTER", str(written(tmp_path, *items)))

    return say


def test_events_and_policies_of_the_cluster_count_as_the_stack_s_do(cluster: Any) -> None:
    cluster(event(schedule()), policy("orders"))
    assert found([deployment()]) == BOTH
    assert found([deployment(name="carts")]) == []
    cluster(event(schedule(600)), policy("orders"))
    assert found([deployment()]) == []


def test_no_change_is_told_from_a_change_by_the_live_object(cluster: Any) -> None:
    cluster(event(schedule()), policy("orders"), live_orders())
    assert found([orders()]) == []
    assert found([orders("shop/orders:2")]) == BOTH
    (said,) = messages(orders("shop/orders:2"))
    assert "change spec.template.spec.containers[0].image after it" in said


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        (orders(cpu="1500m"), "spec.template.spec.containers[0].resources.requests.cpu"),
        (orders(paused=True), "spec.paused"),
        (orders(strategy={"type": "Recreate"}), "spec.strategy.type"),
        (orders(progressDeadlineSeconds=UNKNOWN), "spec.progressDeadlineSeconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_changed_field_is_named(cluster: Any, changed: Declared, where: str) -> None:
    cluster(event(schedule()), policy("orders"), live_orders())
    (said,) = messages(changed)
    assert f"change {where} after it" in said


@pytest.mark.parametrize(
    "same",
    [
        orders(cpu="1"),
        orders(cpu="1000m"),
        orders(progressDeadlineSeconds=600),
        orders("shop/orders:2", 'spec["template"].spec.containers[0].image'),
        orders("shop/orders:2", "spec.template"),
        orders(paused=None),
    ],
    ids=["cpu 1", "cpu 1000m", "a default written down", "ignored by path", "ignored as a whole", "a null"],
)
def test_what_is_the_same_to_the_server_is_no_change(cluster: Any, same: Declared) -> None:
    cluster(event(schedule()), policy("orders"), live_orders())
    assert messages(same) == []


def test_what_pulumi_applied_and_is_set_no_more_is_a_change(cluster: Any) -> None:
    cluster(event(schedule()), policy("orders"), live_orders())
    less = orders()
    (app,) = less.props["spec"]["template"]["spec"]["containers"]
    del app["resources"]["requests"]["memory"]
    (said,) = messages(less)
    assert "change spec.template.spec.containers[0].resources.requests.memory after it" in said
    del app["ports"]
    (said,) = messages(less)
    assert "spec.template.spec.containers[0].ports" in said
    less.props["spec"]["template"]["spec"]["containers"] = [{"name": "other", "image": "x"}]
    (said,) = messages(less)
    assert "spec.template.spec.containers" in said


def test_what_is_ignored_may_be_set_no_more(cluster: Any) -> None:
    cluster(event(schedule()), policy("orders"), live_orders())
    for path in ("spec.template", "spec.template.spec.containers[0].resources", "*"):
        less = orders("shop/orders:1", path)
        (app,) = less.props["spec"]["template"]["spec"]["containers"]
        del app["resources"]["requests"]["memory"]
        assert messages(less) == [], path
    other = orders("shop/orders:1", "spec.template.spec.containers")
    other.props["spec"]["template"]["spec"]["containers"] = [{"name": "other", "image": "x"}]
    assert messages(other) == []


def test_outputs_of_an_update_are_compared_by_what_pulumi_applied(cluster: Any) -> None:
    """Where nothing changes, a stack's rule sees the state of the last update: the level has moved since."""
    cluster(event(schedule()), policy("orders"), live_orders())
    old = live_orders()
    old["spec"]["replicas"] = 3
    old["spec"]["progressDeadlineSeconds"] = 300  # not Pulumi's
    old["metadata"]["resourceVersion"] = "12"
    same = replace(orders(), props=old)
    assert messages(same) == []
    planned = live_orders()
    planned["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/orders:2"
    assert len(messages(replace(orders(), props=planned))) == 1


def test_what_is_not_there_yet_is_created_and_carries_nothing(cluster: Any) -> None:
    other = live_orders()
    other["metadata"]["name"] = "carts"
    cluster(event(schedule()), policy("orders"), other)
    assert found([orders()]) == []


def test_a_kind_that_nobody_looked_at_is_refused_as_a_whole(cluster: Any) -> None:
    cluster(event(schedule()), policy("orders"))
    (said,) = messages(orders())
    assert "whether this changes it cannot be told" in said


def test_a_file_that_cannot_be_read_is_an_advice_and_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (None, "", "[]", "{}", '{"kind": "List", "items": ["x"]}', "\xff"):
        path = tmp_path / "given.json"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, encoding="latin-1")
        monkeypatch.setenv("TIDEGATE_CLUSTER", str(path))
        assert found([deployment(), deployment(name="carts")]) == [(SEEN, "orders")], text


# ---- by kubectl


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A program of that name, which notes what it is asked."""

    def act(script: str) -> Path:
        program = tmp_path / "kubectl"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{script}\n')
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("TIDEGATE_ASK_CLUSTER", "yes")
        return tmp_path / "asked"

    return act


def test_the_cluster_is_asked_for_events_and_then_for_ground_alone(kubectl: Any, tmp_path: Path) -> None:
    announced = written(tmp_path, event(schedule()), policy("orders")).rename(tmp_path / "announced.json")
    ground = written(tmp_path, live_orders())
    asked = kubectl(f"case $2 in liveevents*) cat {announced};; *) cat {ground};; esac")
    assert messages(orders(), thing("core/v1:ConfigMap", "far")) == []
    assert len(messages(orders("shop/orders:2"))) == 1
    first, second = asked.read_text().splitlines()[:2]
    assert first.startswith("get liveevents.tidegate.dev,scalingpolicies.tidegate.dev --all-namespaces")
    assert second.startswith("get Deployment.apps --all-namespaces --show-managed-fields --output=json")


def test_a_cluster_without_a_peak_is_asked_for_nothing_else(kubectl: Any, tmp_path: Path) -> None:
    asked = kubectl(f"cat {written(tmp_path, event(schedule(600)), policy('orders'))}")
    assert messages(orders("shop/orders:2")) == []
    assert len(asked.read_text().splitlines()) == 1


@pytest.mark.parametrize("script", ["echo refused >&2; exit 1", "echo no json", "exec sleep 60"])
def test_a_cluster_that_does_not_answer_is_an_advice(
    kubectl: Any, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr("tidegate_policies.cluster.SECONDS", 0.5)
    kubectl(script)
    assert found([deployment()]) == [(SEEN, "orders")]


def step(one: Declared) -> list[str]:
    """What the rule says that sees one resource, before it is changed."""
    said: list[str] = []
    rule = BY_NAME[STEP].resource
    assert rule is not None
    rule(one, said.append)
    return said


def test_before_each_step_the_cluster_alone_tells_what_is_ground(cluster: Any) -> None:
    live = live_orders()
    live["metadata"]["labels"] = {"app.kubernetes.io/part-of": "cache"}
    live["metadata"]["managedFields"] = []
    conf = thing("core/v1:ConfigMap", "conf", data={"a": "1"})
    cluster(event(schedule()), policy("orders"), live, conf, hpa("spec"))
    assert step(orders()) == []
    (said,) = step(orders("shop/orders:2"))
    assert "the event shop/double-11 stands on it" in said
    (said,) = step(hpa("spec.minReplicas", least=3, version="v1", scales="orders").noted("x: y"))
    assert "metadata.annotations" in said
    changed = replace(conf, props={"metadata": metadata("conf"), "data": {"a": "2"}})
    assert step(changed) == [], "no label says that it is a part of the same"
    part = {**metadata("conf"), "labels": {"app.kubernetes.io/part-of": "cache"}}
    (said,) = step(replace(conf, props={"metadata": part, "data": {"a": "2"}}))
    assert "data.a" in said
    elsewhere = {**part, "namespace": "carts"}
    assert step(replace(conf, props={"metadata": elsewhere, "data": {"a": "2"}})) == []
    assert step(policy("orders").noted("x: y")) == [], "what plans events is changed at any time"


def test_who_allows_the_change_of_an_object_allows_its_step(cluster: Any) -> None:
    cluster(event(schedule()), policy("orders"), live_orders())
    for rule in (PEAK, STEP):
        assert found([orders("shop/orders:2").noted(f"{rule}: tonight's fix")]) == []


def test_a_cluster_that_answers_once_and_then_no_more_leaves_the_change_untold(kubectl: Any, tmp_path: Path) -> None:
    announced = written(tmp_path, event(schedule()), policy("orders"))
    kubectl(f"case $2 in liveevents*) cat {announced};; *) exit 1;; esac")
    (said,) = messages(orders())
    assert "cannot be told" in said


def test_one_answer_serves_many_resources_and_a_kind_that_is_not_served_spoils_no_other(
    kubectl: Any, tmp_path: Path
) -> None:
    announced = written(tmp_path, event(schedule()), policy("orders")).rename(tmp_path / "announced.json")
    ground = written(tmp_path, live_orders())
    asked = kubectl(f"case $2 in liveevents*) cat {announced};; Deployment.apps) cat {ground};; *) exit 1;; esac")
    cache = component("cache")
    odd = thing("example.com/v1:Odd", "odd").under(cache)
    (said,) = messages(cache, orders().under(cache), odd)
    assert said.startswith("odd: ")
    assert step(orders()) == step(orders()) == []
    lines = asked.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 3, "events, Deployments and the odd kind, each of them once"


def test_what_plans_events_may_be_changed_though_its_label_is_the_component_s(cluster: Any) -> None:
    live = live_orders()
    live["metadata"]["labels"] = {"app.kubernetes.io/part-of": "cache"}
    part = {**metadata("events"), "labels": {"app.kubernetes.io/part-of": "cache"}}
    one = policy("carts")
    cluster(event(schedule()), policy("orders"), live)
    assert step(replace(one, props={**one.props, "metadata": part})) == []
