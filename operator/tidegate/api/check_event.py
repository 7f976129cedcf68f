"""Checks of a LiveEvent across its fields: signals, what is derived from what, moments."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tidegate.api.base import WEEK
from tidegate.api.liveevent import DerivedSignal, LiveEventSpec, Moment
from tidegate.api.problems import Problem, quoted
from tidegate.planning import model

_TOTAL = re.compile(r"(^|_)(total|sum|cumulative)(_|$)|(^|_)views$")
_RATE = re.compile(r"_per_|_rate(_|$)|ps$")


def check_signal(name: str, path: str, problems: list[Problem]) -> None:
    """Refuse names that say they count a total: capacity carries what is there at an instant."""
    if _TOTAL.search(name) and not _RATE.search(name):
        problems.append(
            Problem(
                path,
                f"{quoted(name)} names a total",
                "use a concurrency (concurrent_viewers) or a rate (orders_per_second): a total has no peak",
            )
        )


def check_signals(spec: LiveEventSpec, problems: list[Problem]) -> tuple[model.Derived, ...]:
    """The derived signals, each after its source."""
    if not spec.expected and not spec.moments:
        problems.append(
            Problem(
                "spec.expected", "announces no demand", "give a level, e.g. {concurrent_viewers: 2000000}, or a moment"
            )
        )
    for signal in spec.expected:
        check_signal(signal, f"spec.expected.{signal}", problems)
    if not spec.derived:
        return ()
    seen: set[str] = set()
    for index, derived in enumerate(spec.derived):
        path = f"spec.derived[{index}]"
        check_signal(derived.signal, f"{path}.signal", problems)
        if derived.signal in spec.expected:
            problems.append(
                Problem(
                    f"{path}.signal",
                    f"{quoted(derived.signal)} is in expected too",
                    "a signal is either expected or derived: remove it from one of them",
                )
            )
        if derived.signal in seen:
            problems.append(
                Problem(f"{path}.signal", f"{quoted(derived.signal)} is derived twice", "one entry a signal")
            )
        seen.add(derived.signal)
    return _in_order(spec, seen, problems)


def _in_order(spec: LiveEventSpec, signals: set[str], problems: list[Problem]) -> tuple[model.Derived, ...]:
    """Derived signals sorted so that each comes after its source; what stays over is a cycle or has no source."""
    known = set(spec.expected)
    left = list(enumerate(spec.derived))
    ordered: list[DerivedSignal] = []
    while True:
        ready = [(i, d) for i, d in left if d.source in known]
        if not ready:
            break
        ordered += sorted((d for _, d in ready), key=lambda d: d.signal)
        left = [(i, d) for i, d in left if d.source not in known]
        known.update(d.signal for _, d in ready)
    for index, derived in left:
        path = f"spec.derived[{index}].from"
        if derived.source not in signals:
            wrong = f"{quoted(derived.source)} is neither expected nor derived"
            problems.append(Problem(path, wrong, f"use one of {_listed(spec.expected) or 'the signals in expected'}"))
        elif _is_cyclic(derived, spec.derived):
            chain = f"{derived.signal} follows {derived.source}"
            problems.append(
                Problem(path, f"derives in a circle: {chain}", "let the chain begin at a signal of expected")
            )
    return tuple(model.Derived(d.signal, d.source, d.factor, float(d.lag_seconds)) for d in ordered)


def _is_cyclic(start: DerivedSignal, all_derived: Iterable[DerivedSignal]) -> bool:
    sources = {d.signal: d.source for d in all_derived}
    step: str | None = start.source
    for _ in sources:
        if step == start.signal:
            return True
        step = sources.get(step) if step is not None else None
    return False


def check_moments(spec: LiveEventSpec, problems: list[Problem]) -> tuple[model.Moment, ...]:
    """The moments as the core knows them."""
    if not spec.moments:
        return ()
    plateaus = spec.expected.keys() | {d.signal for d in spec.derived}
    names: set[str] = set()
    for index, moment in enumerate(spec.moments):
        path = f"spec.moments[{index}]"
        if moment.name in names:
            problems.append(Problem(f"{path}.name", f"{quoted(moment.name)} is used twice", "one name a moment"))
        names.add(moment.name)
        check_signal(moment.signal, f"{path}.signal", problems)
        _check_size(moment, plateaus, path, problems)
        _check_place(moment, spec.schedule.duration_seconds, path, problems)
    return tuple(_moment(moment) for moment in spec.moments)


def _check_size(moment: Moment, plateaus: set[str], path: str, problems: list[Problem]) -> None:
    if moment.factor is not None and moment.level is not None:
        problems.append(Problem(path, "has factor and level", "give one: times the plateau, or absolute"))
    elif moment.factor is None and moment.level is None:
        problems.append(
            Problem(
                path, "has neither factor nor level", 'give one: factor: "3.0" (times the plateau) or level: 120000'
            )
        )
    elif moment.factor is not None and moment.signal not in plateaus:
        wrong = f"multiplies {quoted(moment.signal)}, which is neither expected nor derived"
        near = f"use one of {_listed(plateaus)}, or give an absolute level" if plateaus else "give an absolute level"
        problems.append(Problem(f"{path}.factor", wrong, near))


def _check_place(moment: Moment, duration: int, path: str, problems: list[Problem]) -> None:
    """A moment farther than a week from its occurrence is a slip (milliseconds, or a total of all occurrences)."""
    at = moment.offset_seconds + moment.lag_seconds + (duration if moment.anchor == "End" else 0)
    if at < -WEEK:
        wrong = f"begins {-at} s before the start, more than a week"
        problems.append(Problem(f"{path}.offsetSeconds", wrong, "give seconds from the anchor, negative is before"))
    elif at > duration + WEEK:
        wrong = f"begins {at - duration} s after the end, more than a week"
        problems.append(Problem(f"{path}.offsetSeconds", wrong, "give seconds (not milliseconds) from the anchor"))


def _moment(moment: Moment) -> model.Moment:
    return model.Moment(
        name=moment.name,
        signal=moment.signal,
        offset=float(moment.offset_seconds + moment.lag_seconds),
        duration=float(moment.duration_seconds),
        factor=moment.factor,
        level=moment.level,
        from_end=moment.anchor == "End",
    )


def _listed(names: Iterable[str], limit: int = 8) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:limit]) + (", …" if len(ordered) > limit else "")
