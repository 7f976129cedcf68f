"""Whom a change of an object wakes: the targets that it is, or whose level lies in it, and no others."""

from __future__ import annotations

from dataclasses import dataclass

from fakes import FakeCluster, HandClock, Leader, Thing, key_of
from worlds import CORE, NS, T0, policy

from tidegate.control.ledger import Ledger
from tidegate.control.looker import Looker
from tidegate.control.rounds import Job
from tidegate.planning.model import Observed, Ref
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
