"""Refused at apply, in the words of the status: what the operator could not use, and nothing that could be right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from bad_inputs import BadInput, bases, cases

from tidegate.planning.model import Key
from tidegate.planning.override import MOST_COUNTED
from tidegate.shell import admission
from tidegate.shell.admission import Judgement, judge
from tidegate.shell.store import GRACE, WatchedStore

NOW = 1_794_240_000.0
"""2026-11-09, the day before the show of the table of bad inputs."""
DAY = 86_400.0
BASES = bases()
KINDS = ("CapacityPool", "LiveEvent", "Override", "ScalingPolicy")
CASES = [case for case in cases() if case.kind in KINDS]

Json = dict[str, Any]


class Process:
    """A process that has read everything, or not yet."""

    def __init__(self, *, synced: bool = True, confine: bool = False) -> None:
        self.now = NOW
        self.store = WatchedStore(lambda: self.now, confine=confine)
        self.store.policies_synced = self.store.events_synced = self.store.stop_synced = synced

    def knows(self, *objects: Json) -> Process:
        for obj in objects:
            self.put(obj)(obj)
        return self

    def put(self, obj: Json) -> Callable[[Json], object]:
        puts: dict[str, Callable[[Json], object]] = {
            "CapacityPool": self.store.put_pool,
            "LiveEvent": self.store.put_event,
            "Override": self.store.put_override,
            "ScalingPolicy": self.store.put_policy,
        }
        return puts[obj["kind"]]

    def asked(self, new: Json, old: Json | None = None) -> Judgement:
        return judge(new["kind"], new, old, self.store)


def policy(name: str = "core", *workloads: str, created: int = 1, version: str = "apps/v1", **spec: Any) -> Json:
    targets = [
        {
            "name": workload,
            "ref": {"apiVersion": version, "kind": "Deployment", "name": workload},
            "capacity": {"orders_per_second": 100},
            "max": 50,
        }
        for workload in workloads or ("web",)
    ]
    metadata = {"namespace": "shop", "name": name, "creationTimestamp": f"2026-11-0{created}T00:00:00Z"}
    made = {"mode": "Enforce", "targets": targets} | spec
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": metadata, "spec": made}


def changed(obj: Json, **spec: Any) -> Json:
    made = copy.deepcopy(obj)
    made["spec"].update(spec)
    return made


PASSED = Judgement()


# ---- what is wrong with one object


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_object_is_refused_in_the_words_that_its_status_would_say(case: BadInput) -> None:
    process, obj = Process(), case.build()
    refusal = process.asked(obj).refusal

    path, words = case.want[0]
    assert refusal.startswith(f"{path}: {words}"[:900])
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and metadata["name"]:
        process.knows(obj)
        (invalid,) = process.store.invalid.values()
        assert refusal == invalid.problems


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_object_passes(kind: str) -> None:
    assert Process().knows(BASES["ScalingPolicy"]).asked(BASES[kind]).refusal == ""


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_invalid_before_keeps_its_labels_and_finalizers(kind: str) -> None:
    bad = next(case for case in CASES if case.kind == kind).build()
    labelled = copy.deepcopy(bad)
    labelled["metadata"].update(labels={"team": "shop"}, finalizers=[])
    labelled["status"] = {"observedGeneration": 1}

    assert Process().asked(labelled, bad) == PASSED


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_is_being_deleted_can_lose_its_finalizers_whatever_else_the_write_changes(kind: str) -> None:
    """A client that read it under an older schema sends a spec that lacks what it does not know."""
    good, bad = BASES[kind], next(case for case in CASES if case.kind == kind).build()
    leaving = copy.deepcopy(bad)
    leaving["metadata"] = {**good["metadata"], "deletionTimestamp": "2026-11-09T00:00:00Z", "finalizers": []}

    assert Process().asked(leaving, good) == PASSED
    assert Process().asked(bad, good).refusal


def test_an_edit_of_a_live_event_into_an_invalid_one_is_refused_and_so_is_one_that_leaves_it_invalid() -> None:
    process, good = Process().knows(BASES["ScalingPolicy"], BASES["LiveEvent"]), BASES["LiveEvent"]
    process.now = NOW + 1.1 * DAY
    bad = changed(good, expected={"total_views": 5})
    worse = changed(good, expected={"total_views": 6})

    assert '"total_views" names a total' in process.asked(bad, good).refusal
    assert '"total_views" names a total' in process.asked(worse, bad).refusal
    assert process.asked(good, bad).refusal == ""


def test_a_price_above_the_bound_is_refused() -> None:
    case = next(case for case in CASES if case.name == "months-of-demand-in-a-day")
    assert "costs too much to plan" in Process().asked(case.build()).refusal


def test_an_override_ends_within_31_days_of_its_making_whoever_dates_it() -> None:
    override = changed(BASES["Override"], until="2026-12-31T00:00:00Z")
    made = copy.deepcopy(override)
    made["metadata"]["creationTimestamp"] = "2026-11-09T12:00:00Z"

    for new in (override, made):
        assert "is more than 31 days after it was made" in Process().asked(new).refusal


def test_queries_that_cannot_be_confined_are_refused_where_they_must_be() -> None:
    free = policy(signals=[{"name": "orders_per_second", "query": "info(orders)"}])

    assert "spec.signals[0].query: " in Process(confine=True).asked(free).refusal
    assert Process().asked(free) == PASSED


# ---- what objects say of one another


@pytest.mark.parametrize("version", ["apps/v1", "apps/v1beta2"])
def test_a_second_policy_on_one_workload_is_refused_by_whichever_version_it_names_it(version: str) -> None:
    process = Process().knows(policy("core", "web"))

    assert process.asked(policy("other", "api", "web", version=version, created=2)) == Judgement(
        "spec.targets[1].ref: Deployment/web is a target of shop/core too;"
        " one workload, one policy: take it out of shop/core first"
    )


def test_an_older_policy_does_not_take_a_workload_over_from_a_younger_one_unasked() -> None:
    old = policy("old", "web", created=1)
    process = Process().knows(old, policy("young", "api", created=2))
    assert "is a target of shop/young too" in process.asked(policy("old", "web", "api", created=1), old).refusal


def test_two_policies_that_share_a_workload_already_can_both_be_changed() -> None:
    both = policy("old", "web", created=1), policy("young", "web", created=2)
    process = Process().knows(*both)
    for one in both:
        judgement = process.asked(changed(one, quantilePercent=99), one)
        assert judgement.refusal == ""
        assert "one workload, one policy" in judgement.warnings[0]


def test_one_that_only_observes_passes_with_a_warning_until_it_is_to_act() -> None:
    process = Process().knows(policy("core", "web"))
    observing = policy("trial", "web", created=2, mode="Observe")

    judgement = process.asked(observing)
    assert (judgement.refusal, len(judgement.warnings)) == ("", 1)
    process.knows(observing)
    assert "is a target of shop/core too" in process.asked(changed(observing, mode="Enforce"), observing).refusal
    assert process.asked(policy("third", "api", mode="Enforce")) == PASSED


def test_a_policy_that_was_deleted_a_moment_ago_holds_nobody_up() -> None:
    process = Process().knows(policy("core", "web"))
    process.store.delete_policy(Key("shop", "core"))

    assert process.asked(policy("renamed", "web")) == PASSED
    process.now += 2 * GRACE
    assert process.asked(policy("renamed", "web")) == PASSED


def test_policies_of_other_namespaces_share_nothing() -> None:
    other = policy("core", "web")
    other["metadata"]["namespace"] = "chat"
    assert Process().knows(other).asked(policy("core", "web")) == PASSED


def test_an_override_beyond_those_that_count_is_refused_until_one_of_them_is_over() -> None:
    process, boost = Process(), BASES["Override"]
    for n in range(MOST_COUNTED):
        named = {**boost, "metadata": {**boost["metadata"], "name": f"o{n}"}}
        assert process.asked(named).refusal == ""
        process.knows(named)

    assert "end one of them first" in process.asked(boost).refusal
    assert process.asked(changed(boost, target="web")).refusal == ""
    assert process.asked(changed(named, until="2026-11-10T13:00:00Z"), named).refusal == ""


def test_a_policy_may_not_add_targets_beyond_those_of_a_namespace_and_may_give_some_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = Process().knows(policy("core", "a", "b"))
    monkeypatch.setattr(admission, "MOST_TARGETS", 3)
    three = policy("more", "c", "d", "e")

    assert process.asked(policy("more", "c")) == PASSED
    assert "have 5 targets together; at most 3" in process.asked(three).refusal
    fewer = process.asked(policy("more", "c", "d"), three)
    assert fewer.refusal == ""
    assert "have 4 targets together" in fewer.warnings[0]


def test_what_is_not_known_yet_is_no_reason_to_refuse_or_to_warn() -> None:
    process = Process(synced=False).knows(policy("core", "web"))
    for new in (policy("other", "web"), BASES["LiveEvent"], BASES["Override"]):
        assert process.asked(new) == PASSED
    assert process.asked(changed(BASES["LiveEvent"], expected={"total_views": 5})).refusal


# ---- warnings


def warned(process: Process, new: Json) -> str:
    judgement = process.asked(new)
    assert judgement.refusal == ""
    (warning,) = judgement.warnings
    return warning


def test_a_policy_that_is_not_there_is_a_warning_and_one_that_is_invalid_is_there() -> None:
    for kind, then in (("LiveEvent", "the event waits"), ("Override", "the override does nothing")):
        told = warned(Process(), BASES[kind])
        assert f'there is no ScalingPolicy "shop-core" in namespace shop; check the name: {then}' in told
        invalid = changed(BASES["ScalingPolicy"], mode="Sometimes")
        assert Process().knows(invalid).asked(BASES[kind]) == PASSED


def test_what_would_not_do_what_was_meant_is_a_warning() -> None:
    core = BASES["ScalingPolicy"]
    event = changed(BASES["LiveEvent"], expected={"orders_per_second": 1, "egress_mbps": 5})
    assert 'no target of shop-core carries "egress_mbps"' in warned(Process().knows(core), event)
    huge = changed(BASES["LiveEvent"], expected={"orders_per_second": 9_000_000})
    assert "at its peak, and the max of shop-core is" in warned(Process().knows(core), huge)
    override = changed(BASES["Override"], target="order-servic")
    assert "use one of order-service" in warned(Process().knows(core), override)
    past = changed(BASES["Override"], until="2026-11-01T00:00:00Z")
    assert "spec.until: the override is over" in warned(Process().knows(core), past)
    target = {**core["spec"]["targets"][0], "lane": "express"}
    asking = changed(core, poolRef={"name": "hangzhou-a"}, targets=[target])
    assert "use one of trading, data" in warned(Process().knows(BASES["CapacityPool"]), asking)


def test_an_event_of_the_past_is_a_warning() -> None:
    process = Process().knows(BASES["ScalingPolicy"])
    process.now = NOW + 30 * DAY
    judgement = process.asked(BASES["LiveEvent"])
    assert (judgement.refusal, "the event is over, 2" in judgement.warnings[0]) == ("", True)


def test_warnings_are_no_longer_and_no_more_than_an_api_server_passes_on() -> None:
    signals = {f"signal_{'x' * 50}_{n}": 1 for n in range(30)}
    judgement = Process().knows(policy("shop-core")).asked(changed(BASES["LiveEvent"], expected=signals, moments=[]))

    assert judgement.refusal == ""
    assert len(judgement.warnings) == 11
    assert max(map(len, judgement.warnings)) <= 250
    assert judgement.warnings[-1] == "and 20 more"


def test_a_bug_of_ours_refuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(obj: Json) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(admission, "parse_live_event", parse)
    assert Process().asked(BASES["LiveEvent"]) == Judgement(warnings=("not checked: ZeroDivisionError: a bug",))
