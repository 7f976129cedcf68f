"""Whom a change of an object wakes: the targets that it is, or whose level lies in it, and no others."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest
from fakes import FakeCluster, HandClock, Leader, Thing, key_of
from scenes import a_loan
from worlds import CORE, NS, T0, policy, target

from tidegate.control.age import Age
from tidegate.control.ledger import Ledger
from tidegate.control.looker import Looker
from tidegate.control.rounds import Job
from tidegate.control.wishes import Kind, of_orphans
from tidegate.planning.model import UNKNOWN, Observed, Ref, Trouble
from tidegate.planning.world import World
from tidegate.ports import Held, Place, Sight, UnavailableError

ORDER = (CORE, "order")


@dataclass
class Behind(FakeCluster):
    """A workload whose level lies in whichever autoscaler is in front of it; or that does not answer."""

    scaler: str | None = None

    async def see(self, ref: Ref) -> Sight:
        if self.scaler is None:
            raise UnavailableError("no answer")
        place = Place(hpa(self.scaler), f"uid-{self.scaler}", "/spec/minReplicas")
        return Sight(Observed(level=2, ready=2, desired=2, maximum=9), place, Held(2, None))


def hpa(name: str) -> Ref:
    return Ref("autoscaling/v2", "HorizontalPodAutoscaler", NS, name)


async def test_an_autoscaler_that_is_in_front_no_more_wakes_nobody() -> None:
    """A tenant who makes one after the other fills no memory."""
    cluster = Behind(HandClock(T0), {"order": Thing(level=2)})
    looker = Looker(cluster, Ledger(cluster, cluster, cluster.clock, Leader(), key_of), cluster.clock, 60.0)
    core = policy()
    looker.want({CORE: core}, active=frozenset(), near=frozenset())
    for number in range(20):
        cluster.scaler = f"s{number}"
        cluster.clock.at += 60.0
        await looker.do(Job(ORDER, NS, cluster.clock.at))
        looker.want({CORE: core}, active=frozenset(), near=frozenset())
    assert ORDER in looker.keys_of(hpa("s19"))
    assert ORDER in looker.keys_of(core.targets[0].ref)
    assert [n for n in range(19) if looker.keys_of(hpa(f"s{n}"))] == []
    assert len(looker._keys) == 2


async def test_an_autoscaler_of_which_a_look_got_no_answer_wakes_its_target_all_the_same() -> None:
    """What was seen last stands."""
    cluster = Behind(HandClock(T0), {"order": Thing(level=2)}, scaler="s")
    looker = Looker(cluster, Ledger(cluster, cluster, cluster.clock, Leader(), key_of), cluster.clock, 60.0)
    looker.want({CORE: policy()}, active=frozenset(), near=frozenset())
    for scaler in ("s", None):
        cluster.scaler = scaler
        cluster.clock.at += 60.0
        await looker.do(Job(ORDER, NS, cluster.clock.at))
    assert ORDER in looker.keys_of(hpa("s"))


@pytest.mark.parametrize("seed", range(8))
async def test_of_many_targets_those_are_due_whose_time_has_come_whatever_happened_to_them(seed: int) -> None:
    dice, names = random.Random(seed), [f"w{n}" for n in range(12)]
    cluster = Behind(HandClock(T0), {name: Thing(level=2) for name in names})
    core = policy(*(target(name) for name in names))
    looker = Looker(cluster, Ledger(cluster, cluster, cluster.clock, Leader(), key_of), cluster.clock, 60.0)
    for _ in range(60):
        now = cluster.clock.at = cluster.clock.at + dice.choice((-3.0, 0.0, 1.0, 20.0))
        active = frozenset((CORE, name) for name in dice.sample(names, 4))
        looker.want({CORE: core}, active=active, near=frozenset())
        cluster.scaler = dice.choice(("s", "s", None))
        for name in dice.sample(names, 3):
            await looker.do(Job((CORE, name), NS, now))
        looker.touch(core.targets[dice.randrange(12)].ref)
        found = {job.key: job.due_at for job in looker.due(now)}
        alone = {key: looker._due_at(key, now) for key in looker._specs}
        assert found == {key: at for key, at in alone.items() if at <= now}
        assert looker._next_due == min((at for at in alone.values() if at > now), default=math.inf)


async def test_a_target_that_is_not_seen_leaves_it_known_that_another_is() -> None:
    cluster = Behind(HandClock(T0), {name: Thing(level=2) for name in ("order", "stock")}, scaler="s")
    looker = Looker(cluster, Ledger(cluster, cluster, cluster.clock, Leader(), key_of), cluster.clock, 60.0)
    both = frozenset({ORDER, (CORE, "stock")})
    looker.want({CORE: policy(target("order"), target("stock"))}, active=both, near=frozenset())
    assert looker.age(T0) == Age(), "nothing was seen yet"
    for key in both:
        await looker.do(Job(key, NS, T0))
    cluster.clock.at = T0 + 900.0
    assert looker.age(T0 + 900.0) == Age(900.0, 900.0)
    await looker.do(Job(ORDER, NS, T0 + 900.0))
    assert looker.age(T0 + 900.0) == Age(0.0, 900.0)


@dataclass
class Untold(FakeCluster):
    """Answers, for a while, that nobody can tell of the object."""

    answer: Trouble | None = None

    async def see(self, ref: Ref) -> Sight:
        if self.answer is not None:
            return Sight(Observed(trouble=self.answer, note="nobody can tell"), None)
        return await super().see(ref)


@pytest.mark.parametrize("answer", [Trouble.FORBIDDEN, Trouble.NOT_SERVED])
async def test_of_what_nobody_can_tell_what_was_seen_last_is_kept_and_nothing_is_written(answer: Trouble) -> None:
    """What a unit takes and where the level lies are not forgotten: the target's need of its pool stands on them."""
    cluster = Untold(HandClock(T0), {"order": Thing(level=2)})
    looker = Looker(cluster, Ledger(cluster, cluster, cluster.clock, Leader(), key_of), cluster.clock, 60.0)
    looker.want({CORE: policy()}, active=frozenset(), near=frozenset())
    for told in (None, answer, answer):
        cluster.answer = told
        cluster.clock.at += 60.0
        await looker.do(Job(ORDER, NS, cluster.clock.at))
    look, observed = looker.sights[ORDER], looker.observed(cluster.clock.at)[ORDER]
    assert (observed.level, observed.trouble, observed.note) == (2, answer, "nobody can tell")
    assert (observed.seen, look.sight.place) == (True, cluster.place("order"))
    cluster.answer = None
    cluster.clock.at += 60.0
    await looker.do(Job(ORDER, NS, cluster.clock.at))
    assert looker.observed(cluster.clock.at)[ORDER].trouble is None


@pytest.mark.parametrize("answer", [Trouble.FORBIDDEN, Trouble.NOT_SERVED])
async def test_why_nobody_can_tell_is_said_also_after_a_write_without_an_answer(answer: Trouble) -> None:
    """A kind that goes between a write and its read-back: what the field holds is unknown, and that is why."""
    cluster = Untold(HandClock(T0), {"order": Thing(level=2)})
    ledger = Ledger(cluster, cluster, cluster.clock, Leader(), key_of)
    looker = Looker(cluster, ledger, cluster.clock, 60.0)
    looker.want({CORE: policy()}, active=frozenset(), near=frozenset())
    await looker.do(Job(ORDER, NS, cluster.clock.at))
    ledger._lost(cluster.place("order"))
    assert not looker.observed(cluster.clock.at)[ORDER].seen
    cluster.answer = answer
    cluster.clock.at += 60.0
    await looker.do(Job(ORDER, NS, cluster.clock.at))
    observed = looker.observed(cluster.clock.at)[ORDER]
    assert (observed.trouble, observed.note, observed.seen) == (answer, "nobody can tell", True)
    assert looker.believed(ORDER) is None


@pytest.mark.parametrize("answer", [Trouble.MISSING, *sorted(UNKNOWN, key=lambda one: one.value)])
async def test_a_loan_ends_with_its_object_alone(answer: Trouble) -> None:
    """Of a life that has never seen the target itself, too: long after its time is over."""
    cluster = Untold(HandClock(T0), {"order": Thing(level=2)}, answer=answer)
    ledger = Ledger(cluster, cluster, cluster.clock, Leader(), key_of)
    looker = Looker(cluster, ledger, cluster.clock, 60.0)
    looker.want({CORE: policy()}, active=frozenset(), near=frozenset())
    ledger.loans[cluster.place("order").id] = a_loan(policy=CORE, target="order", place=cluster.place("order"))
    cluster.clock.at += 86_400.0
    await looker.do(Job(ORDER, NS, cluster.clock.at))
    wishes = list(of_orphans(World({CORE: policy()}, {}, {}), looker, ledger, frozenset(), cluster.clock.at))
    assert [one.kind for one in wishes] == ([Kind.LEAD_BACK] if answer is Trouble.MISSING else [])
