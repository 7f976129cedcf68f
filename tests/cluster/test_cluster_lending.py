"""What was lent comes back, whatever others do to it meanwhile: on a real control plane, pools of two machines each.

Played side by side in seven minutes, on the control plane of the capacity shift and after it. Run with ``-s`` to see
the seconds.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from audited import lines_of
from lending_scenes import LOADERS, SCENES
from lending_site import FLOOR, LendingScene, LendingSite
from shift_plane import AUDIT, on_the_shifts_plane, opened

from tidegate.api.walltime import from_rfc3339

ONLY = os.environ.get("TIDEGATE_TEST_LENDING_ONLY", "")
"""Names of scenes, for whoever looks at one of them."""

pytestmark = on_the_shifts_plane

MOST_WRITES = 8
"""Of one field in the seven minutes."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LendingSite]:
    with opened() as cluster:
        made = LendingSite(cluster, tmp_path_factory.mktemp("lending"), from_rfc3339)
        try:
            made.play({name: bodies for name, bodies in SCENES.items() if not ONLY or name in ONLY.split(",")})
            yield made
        finally:
            made.close()


def scene(site: LendingSite, name: str) -> LendingScene:
    if ONLY and name not in ONLY.split(","):
        pytest.skip(f"not among TIDEGATE_TEST_LENDING_ONLY={ONLY}")
    assert name not in site.failed, f"{site.failed[name]}\n{site.scenes[name].story()}"
    return site.scenes[name]


def back_at(one: LendingScene, name: str, level: object, kind: str = "Job") -> float:
    """When work had its level again for the last time, seconds from T-0."""
    points = one.level(name, kind).points
    assert points[-1][2] == level, f"{name}: {points}\n{one.story()}"
    return points[-1][0] - one.t0


def test_no_field_is_written_without_an_end(site: LendingSite) -> None:
    for one in site.scenes.values():
        for kind in ("Job", "Deployment"):
            for name in site.recorder.names(kind, one.data):
                ours = [
                    version
                    for before, version in pairwise(one.site.recorder.versions(kind, one.data, name))
                    if before.obj is not None and version.obj is not None and _by_us(before.obj, version.obj)
                ]
                assert len(ours) <= MOST_WRITES, f"{kind} {name}: {len(ours)} writes by us\n{one.story()}"


def test_the_audit_log_tells_of_few_writes_to_any_object(site: LendingSite) -> None:
    """Each write of a level is one request, and giving the field's ownership back another."""
    if not AUDIT:
        pytest.skip("needs the audit log of that control plane, named by TIDEGATE_TEST_SHIFT_AUDIT_LOG")
    mine = f"system:serviceaccount:{site.home}:operator"
    data = {one.data for one in site.scenes.values()}
    ours, others = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for line in lines_of(AUDIT):
        entry = json.loads(line)
        about = entry.get("objectRef") or {}
        work = about.get("namespace") in data and about.get("resource") in ("jobs", "deployments")
        level = about.get("subresource") in (None, "scale")  # controllers write statuses
        if work and level and entry["stage"] == "ResponseComplete" and entry["verb"] in ("patch", "update"):
            (ours if entry["user"]["username"] == mine else others)[about["namespace"], about["name"]] += 1
    most, theirs = max(ours.values()), max(others.values())
    print(f"\nwrites: {sum(ours.values())} by us to {len(ours)} objects, {most} to one at most")  # noqa: T201
    print(f"{sum(others.values())} by others, {theirs} to one at most")  # noqa: T201
    assert max(ours.values()) <= 2 * MOST_WRITES, ours.most_common(3)


def _by_us(before: dict[str, object], after: dict[str, object]) -> bool:
    def spec(obj: dict[str, object]) -> tuple[object, object]:
        found = obj["spec"]
        assert isinstance(found, dict)
        return found.get("suspend") or False, found.get("replicas")

    fields = after["metadata"]["managedFields"]  # type: ignore[index]
    ours = [entry for entry in fields if entry["manager"] == "tidegate"]
    return spec(before) != spec(after) and bool(ours)


def test_lent_work_whose_pods_are_larger_than_its_template_comes_back_by_its_promise(site: LendingSite) -> None:
    one = scene(site, "larger")
    took, promised = back_at(one, "loader", LOADERS, "Deployment"), one.promised("loader")
    low = min(one.level("loader", "Deployment").values)
    print(f"\nlarger: 13 to {low} to 13, back {took:+.0f} s of {promised:+.0f} s")  # noqa: T201
    assert took <= promised, one.story()


def test_a_target_whose_pods_are_larger_than_its_template_is_complete_at_t0(site: LendingSite) -> None:
    one = scene(site, "larger")
    assert one.notes["ready"] == FLOOR, (one.notes, one.story())


def test_what_was_lent_is_back_by_its_promise_before_new_work_of_its_lane_starts(site: LendingSite) -> None:
    one = scene(site, "crowded")
    first = one.notes["first"]
    lent = [name for name in one.lent() if name in first]
    assert len(lent) >= 5, one.story()
    late = {name: (back_at(one, name, False), one.promised(name)) for name in lent}
    print(f"\ncrowded: {len(lent)} of 16 were lent, back {max(at for at, _ in late.values()):+.0f} s")  # noqa: T201
    assert all(at <= promised for at, promised in late.values()), (late, one.story())
    assert set(first) <= set(one.notes["active"]), f"all of them run\n{one.notes}\n{one.story()}"
    assert one.notes["ready"] == FLOOR


def test_new_work_has_its_turn_once_all_is_back(site: LendingSite) -> None:
    one = scene(site, "crowded")
    assert one.suspended() == [], one.story()


def test_a_lent_job_that_belongs_to_a_queue_by_now_is_left_to_it(site: LendingSite) -> None:
    one = scene(site, "queued")
    labelled, fought = one.notes["labelled"], one.notes["fought"]
    assert one.notes["loans"] == [], (one.notes, one.story())
    assert back_at(one, labelled, True)
    started = [value for value in one.level(labelled).values[1:] if value is False]
    assert len(started) <= 1, one.story()
    named = {(entry["reason"], entry["object"].rpartition("/")[2]) for entry in one.status()["cannotStop"]}
    assert ("ManagedElsewhere", labelled) in named
    assert one.notes["rival"][1] <= MOST_WRITES, f"{fought} was started {one.notes['rival'][1]} times\n{one.story()}"


def test_what_an_hpa_scales_by_now_is_left_to_it(site: LendingSite) -> None:
    one = scene(site, "scaled")
    after = one.level("loader", "Deployment").within(one.notes["came_at"] + 3.0, one.notes["came_at"] + 600.0)
    assert one.notes["lent"] < LOADERS
    assert max(after) <= 6, one.story()
    assert one.loan("loader") is None
    assert [entry["reason"] for entry in one.status()["cannotStop"]] == ["OwnedByOtherScaler"]


def test_a_told_job_that_its_owner_suspends_stays_suspended(site: LendingSite) -> None:
    one = scene(site, "owned")
    assert one.level(one.notes["told"]).values == [False, True], one.story()
    assert one.loan(one.notes["told"]) is None


def test_a_lent_job_whose_owner_asks_for_just_that_stays_suspended(site: LendingSite) -> None:
    one = scene(site, "owned")
    assert one.level(one.notes["applied"]).values == [False, True], one.story()
    assert one.loan(one.notes["applied"]) is None
    others = [name for name in one.lent() if name not in (one.notes["told"], one.notes["applied"])]
    assert others
    assert all(back_at(one, name, False) <= one.promised(name) for name in others), one.story()


def test_a_told_deployment_that_its_owner_scales_goes_back_to_what_he_set(site: LendingSite) -> None:
    one = scene(site, "resized")
    values = one.level("loader", "Deployment").values
    assert values[:2] == [LOADERS, 12], one.story()
    assert LOADERS not in values[1:], one.story()
    assert back_at(one, "loader", 12, "Deployment") <= one.promised("loader"), one.story()


def test_work_that_would_free_nothing_is_not_stopped_and_is_named(site: LendingSite) -> None:
    one = scene(site, "elsewhere")
    assert not set(one.lent()) & {*one.notes["away"], *one.notes["bare"]}, one.story()
    assert {entry["reason"] for entry in one.notes["cannot"]} == {"PodsElsewhere", "NoPods"}, one.notes["cannot"]
    assert one.notes["ready"] == FLOOR


def test_with_all_of_trading_there_a_cordoned_machine_stops_nobody(site: LendingSite) -> None:
    one = scene(site, "elsewhere")
    assert set(one.notes["after"]) <= set(one.notes["before"]), (one.notes, one.story())


def test_when_a_machine_is_gone_what_fits_runs_and_the_rest_waits_where_it_can_be_seen(site: LendingSite) -> None:
    one = scene(site, "lost")
    assert one.notes["back"] == [], (one.notes, one.story())
    assert len(one.notes["active"]) >= 5, one.notes
    assert all(back_at(one, name, False) <= one.promised(name) for name in one.lent()), one.story()
