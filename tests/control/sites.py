"""A pool of machines with one workload in it, its ledger, and whoever looks at it: the parts of the loop by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from fakes import FakeCluster, HandClock, Leader, Sink, Thing, key_of
from worlds import CORE, NS, T0

from tidegate.control.conflicts import Conflicts
from tidegate.control.drift import Terms
from tidegate.control.ledger import Ledger
from tidegate.control.looker import Looker
from tidegate.control.poollooker import PoolLooker
from tidegate.control.poolwork import PoolWork
from tidegate.control.rounds import Job
from tidegate.control.settling import Settling
from tidegate.planning.decision import PoolView
from tidegate.planning.model import Key, Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import MemberSeen, PoolSeen
from tidegate.planning.shift.model import Lane, MemberKind, Pool
from tidegate.planning.shift.outcome import Promise
from tidegate.ports import HandOverNote, Held, Place, PoolSight, UnavailableError

UNIT = Resources(1000, 1024)
LANES = (Lane("trading", 40, frozenset({NS})), Lane("data", 5))
POOL = Pool("p", LANES, node_selector=(("pool", "p"),))
ORDER = (CORE, "order")


def place(name: str = "order") -> Place:
    return Place(Ref("apps/v1", "Deployment", NS, name), "u1", "/spec/replicas", "scale")


def terms() -> Terms:
    return Terms(Key("", "p"), "data", T0 + 600.0, (), HandOverNote("p", "data", until=T0 + 600.0))


@dataclass
class Machines:
    """A pool of so many units, with one workload as its member; answers until it does not."""

    cluster: FakeCluster
    units: int = 30
    answers: bool = True
    asked: int = 0
    behind: float | None = None
    """Seconds by which the watch of pods is behind; None: pods are listed."""

    async def see(self, pool: Pool) -> PoolSight:
        self.asked += 1
        if not self.answers:
            raise UnavailableError("nodes: no answer")
        thing = self.cluster.things["order"]
        ref, held = place().ref, Held(thing.level, None)
        member = MemberSeen(ref, "data", "order", MemberKind.SCALE, UNIT, thing.level)
        seen = PoolSeen(UNIT.times(self.units), {}, (member,))
        at = None if self.behind is None else self.cluster.clock.at - self.behind
        return PoolSight(seen, {ref: (place(), held)}, pods_at=at)


def nobody(pool: str, plan: PoolView | None) -> tuple[Promise, ...]:
    """Nobody was let in before."""
    return ()


@dataclass
class Site:
    """A pool, its ledger and whoever looks at it."""

    cluster: FakeCluster = field(default_factory=lambda: FakeCluster(HandClock(T0), {"order": Thing(level=10)}))
    leader: Leader = field(default_factory=Leader)

    def __post_init__(self) -> None:
        self.clock = self.cluster.clock
        self.ledger = Ledger(self.cluster, self.cluster, self.clock, self.leader, key_of)
        self.machines = Machines(self.cluster)
        self.looker = PoolLooker(self.machines, self.ledger, self.clock)
        self.conflicts = Conflicts()
        targets = Looker(self.cluster, self.ledger, self.clock, 60.0)
        self.work = PoolWork(self.looker, targets, Settling(self.ledger, self.conflicts), Sink())
        self.looker.want({"p": POOL}, busy=frozenset({"p"}))

    async def look(self) -> None:
        await self.looker.do(Job("p", "p", self.clock.at))

    def seen(self) -> PoolSeen:
        world = self.work.worlds({"p": POOL}, {}, {}, None, self.clock.at, measured={}, places=nobody)["p"]
        assert world.seen is not None
        return world.seen

    def held(self) -> Held:
        """What the member's field holds."""
        return self.cluster._held(self.cluster.things["order"])

    async def lend(self, level: int) -> None:
        """The member is told to go down to a level."""
        held = Held(self.cluster.things["order"].level, None)
        await self.ledger.move(place(), held=held, level=level, terms=terms())
