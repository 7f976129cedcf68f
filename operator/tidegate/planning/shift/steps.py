"""Sums and differences of amounts over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import NeedStep, amount_at

Steps = tuple[NeedStep, ...]


def append(steps: list[NeedStep], step: NeedStep) -> None:
    """Add a step to a run of steps; one that only goes on lengthens the last."""
    if step.amount.nothing:
        return
    if steps and steps[-1].end == step.start and steps[-1].amount == step.amount:
        steps[-1] = NeedStep(steps[-1].start, step.end, step.amount)
    else:
        steps.append(step)


def ahead(steps: Iterable[NeedStep], now: float) -> Steps:
    """Steps from an instant on."""
    return tuple(step if step.start >= now else step._replace(start=now) for step in steps if step.end > now)


def met(wanted: Steps, granted: Steps) -> Steps:
    """What of the wanted amounts is granted."""
    return wanted if wanted == granted else _combined(wanted, granted, Resources.least)


def without(steps: Steps, other: Steps) -> Steps:
    """What steps ask for beyond others."""
    if not other:
        return steps
    return () if steps == other else _combined(steps, other, lambda one, less: (one - less).positive)


def cuts_of(steps: Iterable[NeedStep], now: float) -> list[float]:
    """Now, and the instants after it at which an amount changes."""
    return sorted({now, *(t for step in steps for t in (step.start, step.end) if t > now)})


def sums(steps: Iterable[NeedStep], instants: Sequence[float]) -> list[Resources]:
    """The sum of all steps at each of some rising instants."""
    changes = sorted(
        change
        for step in steps
        for change in (
            (step.start, step.amount.cpu, step.amount.memory),
            (step.end, -step.amount.cpu, -step.amount.memory),
        )
    )
    found, cpu, memory, k = [], 0, 0, 0
    for at in instants:
        while k < len(changes) and changes[k][0] <= at:
            cpu, memory, k = cpu + changes[k][1], memory + changes[k][2], k + 1
        found.append(Resources(cpu, memory))
    return found


def _combined(
    steps: Sequence[NeedStep], others: Sequence[NeedStep], both: Callable[[Resources, Resources], Resources]
) -> Steps:
    found: list[NeedStep] = []
    for start, end in pairwise(sorted({t for step in (*steps, *others) for t in (step.start, step.end)})):
        append(found, NeedStep(start, end, both(amount_at(steps, start), amount_at(others, start))))
    return tuple(found)
