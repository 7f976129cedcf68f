"""Builders that are valid by default, and a small world that obeys a plan: levels are written, units become ready."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tidegate.planning.decision import Action, Plan
from tidegate.planning.model import (
    Announcement,
    Derived,
    Key,
    LeadTimeGuess,
    LoanState,
    Mode,
    Moment,
    Observed,
    Occurrence,
    PlanSettings,
    Policy,
    Ref,
    Release,
    SignalSpec,
    TargetSpec,
)
from tidegate.planning.plan import Planner
from tidegate.planning.world import World

T0 = 1_794_240_000.0
"""2026-11-09 16:00 UTC, which is midnight in Shanghai."""
NS = "shop"
CORE = Key(NS, "core")


def target(name: str = "order", **given: object) -> TargetSpec:
    defaults: dict[str, object] = {
        "capacity": (("orders", 100.0),),
        "headroom": 0.0,
        "minimum": 1,
        "maximum": 10_000,
        "lead": LeadTimeGuess(30.0),
    }
    return TargetSpec(name, Ref("apps/v1", "Deployment", NS, name), **{**defaults, **given})  # type: ignore[arg-type]


def policy(*targets: TargetSpec, key: Key = CORE, hold: float = 60.0, rate: float = 0.5, **given: object) -> Policy:
    return Policy(key, targets or (target(),), release=Release(hold, rate), **{"mode": Mode.ENFORCE, **given})  # type: ignore[arg-type]


def event(
    name: str = "show", level: float = 1000.0, start: float = T0, duration: float = 3600.0, **given: object
) -> Announcement:
    defaults: dict[str, object] = {"expected": (("orders", level),), "profile": "flat"}
    return Announcement(Key(NS, name), "core", (Occurrence(start, duration),), **{**defaults, **given})  # type: ignore[arg-type]


def moment(name: str = "link", offset: float = 600.0, duration: float = 90.0, **given: object) -> Moment:
    defaults: dict[str, object] = {"signal": "orders", "factor": 3.0}
    return Moment(name=name, offset=offset, duration=duration, **{**defaults, **given})  # type: ignore[arg-type]


def derived(signal: str, source: str, factor: float, lag: float = 0.0) -> Derived:
    return Derived(signal, source, factor, lag)


def signal(name: str = "orders", query: str | None = "sum(orders)", stale_after: float = 120.0) -> SignalSpec:
    return SignalSpec(name, query, stale_after)


def world(*events: Announcement, policies: tuple[Policy, ...] | None = None, **given: object) -> World:
    chosen = policies if policies is not None else (policy(),)
    observed = {(p.key, t.name): Observed(level=2, ready=2, desired=2) for p in chosen for t in p.targets}
    defaults: dict[str, object] = {"observed": observed, "settings": PlanSettings(fail_over=0.0, reaction=0.0)}
    return World({p.key: p for p in chosen}, {e.key: e for e in events}, **{**defaults, **given})  # type: ignore[arg-type]


@dataclass
class Obedient:
    """Writes what the plan says, keeps loans as the ledger would, and makes units ready after their start time."""

    world: World
    start_seconds: float = 30.0
    planner: Planner = field(init=False)
    writes: int = 0
    starting: dict[tuple[Key, str], list[tuple[float, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.planner = Planner(self.world.settings)

    def at(self, now: float) -> Plan:
        """One beat: units become ready, the plan is made and carried out; returns the plan."""
        observed = dict(self.world.observed)
        for key, waiting in self.starting.items():
            ready = sum(units for at, units in waiting if at <= now)
            self.starting[key] = [(at, units) for at, units in waiting if at > now]
            seen = observed[key]
            observed[key] = replace(seen, ready=(seen.ready or 0) + ready)
        self.world = replace(self.world, observed=observed)
        plan = self.planner.plan(self.world, now)
        for step in plan.steps:
            key = (step.policy, step.target)
            self._write(key, step.action, step.level, now)
        return plan

    def level(self, key: tuple[Key, str] = (CORE, "order")) -> int:
        level = self.world.observed[key].level
        assert level is not None
        return level

    def ready(self, key: tuple[Key, str] = (CORE, "order")) -> int:
        return self.world.observed[key].ready or 0

    def _write(self, key: tuple[Key, str], action: Action, level: int, now: float) -> None:
        self.writes += 1
        observed = dict(self.world.observed)
        seen = observed[key]
        before, ready = seen.level or 0, seen.ready or 0
        if level > before:
            self.starting.setdefault(key, []).append((now + self.start_seconds, level - before))
        elif level < before:
            cut = before - level
            waiting = self.starting.setdefault(key, [])
            while cut and waiting:
                at, units = waiting.pop()
                kept = max(0, units - cut)
                cut -= units - kept
                if kept:
                    waiting.append((at, kept))
            ready -= cut
        loan = seen.loan or LoanState(before, level, now, now)
        loan = replace(loan, highest=max(loan.highest, level), stepped_at=now)
        observed[key] = replace(
            seen, level=level, desired=level, ready=ready, loan=None if action is Action.RETURN else loan
        )
        self.world = replace(self.world, observed=observed)
