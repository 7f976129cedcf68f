"""When the loop looks closely, and what becomes of what it sees."""

from __future__ import annotations

from itertools import pairwise

from fakes import FakeCluster, FakeStore, HandClock, Thing, operator, run_until
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Beat
from tidegate.planning.decision import Outcome
from tidegate.planning.model import Evidence, Key, Ref, Room
from tidegate.planning.reasons import Reason

SHOW = Key(NS, "show")
POD = Ref("v1", "Pod", NS, "order-1")
QUOTA = Ref("v1", "ResourceQuota", NS, "team")


def scene(at: float, **things: Thing) -> tuple[FakeCluster, FakeStore]:
    """An event for ``order``; ``other`` is of the same policy and carries nothing of it."""
    cluster = FakeCluster(HandClock(at), {"order": Thing(), "other": Thing(), **things})
    other = target("other", capacity=(("chats", 10.0),))
    show = event(duration=900.0)
    return cluster, FakeStore({CORE: policy(target(), other, hold=30.0, rate=0.4)}, {show.key: show})


async def test_a_target_far_from_any_event_is_never_looked_at_closely() -> None:
    cluster, store = scene(T0 - 7200.0)
    await run_until(operator(cluster, store), cluster.clock, T0 - 3610.0)
    assert cluster.examined == []


async def test_a_target_that_an_event_is_near_is_looked_at_closely_at_each_beat_and_its_neighbour_is_not() -> None:
    cluster, store = scene(T0 - 3700.0)
    await run_until(operator(cluster, store), cluster.clock, T0 - 3000.0)
    looks = [at for at, name in cluster.examined if name == "order"]
    assert {name for _, name in cluster.examined} == {"order"}
    assert T0 - 3600.0 <= looks[0] <= T0 - 3570.0
    assert max(b - a for a, b in pairwise(looks)) <= 15.0


async def test_a_loan_that_outlives_its_event_is_looked_at_closely_until_it_is_returned() -> None:
    cluster, store = scene(T0 - 60.0)
    await run_until(operator(cluster, store), cluster.clock, T0 + 3000.0)
    assert cluster.loans == {}
    last = cluster.examined[-1][0]
    returned = cluster.level_writes[-1][0]
    assert T0 + 900.0 < returned - 20.0 <= last <= returned + 1.0


async def test_what_blocks_is_in_the_verdict_while_it_lasts() -> None:
    cluster, store = scene(T0 - 120.0)
    thing = cluster.things["order"]
    thing.start_seconds = 10_000.0
    thing.evidence = (Evidence(Reason.CONTAINERS_FAIL, POD, "", "crashes", T0 - 30.0, T0 - 30.0),)
    said: list[tuple[float, Reason, Ref | None]] = []

    def note(beat: Beat) -> None:
        verdict = beat.plan.verdicts[SHOW]
        said.append((beat.now, verdict.reason, verdict.object))

    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0, each=note)
    blocked = [at for at, reason, about in said if (reason, about) == (Reason.CONTAINERS_FAIL, POD)]
    assert blocked, said
    assert T0 <= blocked[0] <= T0 + 20.0, "starting takes 30 s at most"
    thing.evidence, thing.ready = (), 10
    beat = await loop.turn()
    assert beat is not None
    assert beat.plan.verdicts[SHOW].outcome is Outcome.READY


async def test_a_quota_without_room_blocks_within_two_beats_of_coming_near_and_writes_nothing() -> None:
    cluster, store = scene(T0 - 3590.0)
    cluster.things["order"].rooms = (Room(QUOTA, "", "pods", 3.0, 1.0, 2),)
    loop = operator(cluster, store)
    beats: list[Beat] = []
    await run_until(loop, cluster.clock, T0 - 3560.0, each=beats.append)
    verdicts = [b.plan.verdicts[SHOW] for b in beats[1:]]
    assert [(v.reason, v.object) for v in verdicts] == [(Reason.QUOTA_EXCEEDED, QUOTA)] * len(verdicts)
    assert verdicts
    assert cluster.level_writes == []


async def test_a_conflict_names_the_manager_and_the_object_that_holds_the_field() -> None:
    cluster, store = scene(T0 - 60.0)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 10.0)
    beat = None
    for _ in range(8):
        cluster.things["order"].write(2, "argocd", cluster.clock.now())
        beat = await loop.turn()
        cluster.clock.at += 1.0
    assert beat is not None
    verdict = beat.plan.verdicts[SHOW]
    assert (verdict.reason, str(verdict.object)) == (Reason.FIELD_MANAGER_CONFLICT, "Deployment/order")
    assert "argocd keeps setting" in verdict.message


async def test_a_quota_without_room_keeps_no_level_from_being_written() -> None:
    """As far as the quota lets it come is more than nothing."""
    cluster, store = scene(T0 - 120.0)
    cluster.things["order"].rooms = (Room(QUOTA, "", "pods", 3.0, 1.0, 2),)
    beats: list[Beat] = []
    await run_until(operator(cluster, store), cluster.clock, T0 + 5.0, each=beats.append)
    verdict = beats[-1].plan.verdicts[SHOW]
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.QUOTA_EXCEEDED)
    assert [(before, after) for _, _, before, after in cluster.level_writes] == [(2, 10)]
