"""Workloads with HPAs in front of them, which come, go and act as real ones do; looked at as the adapter looks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fakes import FakeCluster, FakeStore, HandClock, Thing, operator
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Loop
from tidegate.planning.model import MANAGER, Observed, Ref, Trouble
from tidegate.ports import ConflictError, Held, Manager, NotFoundError, Place, RefusedError, Sight
from tidegate.targets import hpa as hpas
from tidegate.targets.hpa import Hpa, Said
from tidegate.targets.scale import ScalePaths, Workload
from tidegate.targets.sights import sight_of

HPA_WRITES = Manager("kube-controller-manager", "Update", "scale")
HELM = Manager("helm", "Apply")


@dataclass
class Scaler:
    """An HPA. Its metric asks for ``asks`` pods; None: it has none that works, so that nothing is taken away."""

    scales: str = "order"
    minimum: int = 2
    maximum: int = 60
    uid: str = "h1"
    asks: int | None = 2
    manager: Manager = HELM
    controller: str | None = None
    refuses: bool = False
    """We may not write it."""
    minima: list[int] = field(default_factory=list)
    """Each floor that it was given."""


@dataclass
class ScaledCluster(FakeCluster):
    """``FakeCluster`` with HPAs."""

    hpas: dict[str, Scaler] = field(default_factory=dict)
    spoke: dict[str, Manager | None] = field(default_factory=dict)
    """Who wrote a workload's replicas last, where that was an HPA or somebody with a subresource."""
    replicas: list[tuple[str, int, int]] = field(default_factory=list)
    """What was written through ``/scale`` by us: workload, before, after."""

    async def see(self, ref: Ref) -> Sight:
        if ref.name not in self.things:
            return Sight(Observed(trouble=Trouble.MISSING, note=f"{ref} does not exist"), None)
        self.sync()
        pointing = [self._hpa(name) for name, one in sorted(self.hpas.items()) if one.scales == ref.name]
        return sight_of(self._workload(ref.name), pointing)

    def sync(self) -> None:
        """All HPAs act: nothing below a minimum, and down to what the metric asks where there is one."""
        for one in self.hpas.values():
            thing = self.things.get(one.scales)
            if thing is None:
                continue
            wanted = thing.level if one.asks is None else one.asks
            wanted = min(max(wanted, one.minimum), one.maximum)
            if wanted != thing.level:
                self.write(one.scales, wanted, HPA_WRITES)

    def write(self, name: str, level: int, manager: Manager | None) -> None:
        """Somebody else writes replicas."""
        self.things[name].write(level, manager.name if manager else "", self.clock.now())
        self.spoke[name] = manager

    async def held(self, place: Place) -> Held:
        if place.ref.kind != hpas.KIND:
            self.faults.step()
            return self._held_of(self._thing_at(place), place.ref.name)
        self.faults.step()
        one = self._scaler_at(place)
        return Held(one.minimum, one.manager)

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        if place.ref.kind != hpas.KIND:
            await super().swap(place, believed=believed, wanted=wanted)
            self.replicas.append((place.ref.name, believed, wanted))
            self.spoke.pop(place.ref.name, None)
            return
        if self._scaler_at(place).refuses:
            raise RefusedError(f"{place.ref}: forbidden")
        self.faults.step(lambda: self._set_minimum(place, believed, wanted))

    def _set_minimum(self, place: Place, believed: int, wanted: int) -> None:
        one = self._scaler_at(place)
        if one.minimum != believed:
            raise ConflictError(f"{place.ref} is {one.minimum}, not {believed}", manager=one.manager.name)
        one.minimum, one.manager = wanted, Manager(MANAGER, "Update")
        one.minima.append(wanted)
        self.sync()

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        if place.ref.kind != hpas.KIND:
            if self.spoke.get(place.ref.name) is not None:
                raise ConflictError("somebody else has it")
            await super().hand_back(place, manager)
            return
        one = self._scaler_at(place)
        self.faults.step(lambda: setattr(one, "manager", manager or Manager("nobody", "Update")))

    def _hpa(self, name: str) -> Hpa:
        one = self.hpas[name]
        ref = Ref(hpas.API_VERSION, hpas.KIND, NS, name)
        said = Said("ScalingActive", str(one.asks is not None), "FailedGetResourceMetric", "no metrics")
        level = self.things[one.scales].level
        scales = ("apps", "Deployment", one.scales)
        conditions = (said,)
        return Hpa(ref, one.uid, scales, one.minimum, one.maximum, level, one.controller, one.manager, 0, conditions)

    def _workload(self, name: str) -> Workload:
        thing = self.things[name]
        thing.advance(self.clock.now())
        held = self._held_of(thing, name)
        ref = Ref("apps/v1", "Deployment", NS, name)
        return Workload(
            ref,
            thing.uid,
            thing.level,
            thing.ready,
            None,
            held.manager,
            thing.ready,
            None,
            version=0,
            paths=ScalePaths(),
            ordered=False,
            document={},
        )

    def _held_of(self, thing: Thing, name: str) -> Held:
        if (spoke := self.spoke.get(name)) is not None:
            return Held(thing.level, spoke)
        return Held(thing.level, Manager(thing.manager, "Apply") if thing.manager else None)

    def _thing_at(self, place: Place) -> Thing:
        return self._thing(place)

    def _scaler_at(self, place: Place) -> Scaler:
        one = self.hpas.get(place.ref.name)
        if one is None or one.uid != place.uid:
            raise NotFoundError(f"{place.ref} is gone")
        return one


def scaled(**hpas: Scaler) -> ScaledCluster:
    """One workload of 2, with these HPAs; it is five minutes before a show."""
    made = {name.replace("_", "-"): replace(one, minima=[]) for name, one in hpas.items()}
    return ScaledCluster(HandClock(T0 - 300.0), {"order": Thing()}, hpas=made)


def show(cluster: ScaledCluster, **given: object) -> tuple[Loop, FakeStore]:
    """A show of ten minutes that needs 10 units, and a step down of 40 % a minute."""
    one = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0, rate=0.4, **given)}, {one.key: one})  # type: ignore[arg-type]
    return operator(cluster, store), store
