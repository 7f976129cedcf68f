"""What a LiveEvent costs to plan, told from what it says, and how much of that one event may ask for.

Everybody in a cluster shares one planner. Each bound is far above what events of a real year ask for (a festival of a
month with five signals, a daily show with refunds days later), and holds one event below some 20 ms and 1 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegate.api.expansion import local_starts
from tidegate.api.parsed import Series, reach
from tidegate.api.problems import Problem
from tidegate.planning.model import MOST_DEMAND, Announcement, Derived

MOST_STRETCHES = 2048
"""Moments of one occurrence, each counted in every signal that it reaches through ``derived``, and the signals."""
MOST_CURVE_HOURS = 2400.0
"""Hours of demand that lie in one day's plan, summed over signals and occurrences."""
PLANNED_HOURS = 28.0
"""Hours that one plan looks at: a day, and what it keeps for the book's renewal (``planning.plan``)."""

_SEASON = timedelta(days=100)
"""Of a series so much is looked through for the most occurrences at once."""


def check_price(event: Announcement, series: Series | None, problems: list[Problem]) -> None:
    """Refuse an event that would cost more than one may; ``event`` is without the occurrences of its series."""
    links = {link.signal: link for link in event.derived}
    signals = {name for name, _ in event.expected} | links.keys() | {m.signal for m in event.moments}
    chains = [_chain(signal, links) for signal in sorted(signals)]
    by_signal = {signal: [m for m in event.moments if m.signal == signal] for signal in signals}
    stretches = sum(1 + sum(len(by_signal[link]) for link in chain) for chain in chains)
    if stretches > MOST_STRETCHES:
        wrong = f"{len(event.moments)} moments reach {stretches - len(chains)} times into signals through derived"
        right = f"at most {MOST_STRETCHES - len(chains)} times: fewer moments, or fewer signals that follow theirs"
        problems.append(Problem("spec.moments", wrong, right))
    _check_hours(event, series, len(chains), problems)
    _check_size(event, chains, links, problems)


def _chain(signal: str, links: dict[str, Derived]) -> list[str]:
    """A signal, what it follows, what that follows, and so on."""
    found = [signal]
    while found[-1] in links:
        found.append(links[found[-1]].source)
    return found


def _check_hours(event: Announcement, series: Series | None, signals: int, problems: list[Problem]) -> None:
    longest = series.longest if series is not None else max((o.duration for o in event.occurrences), default=0.0)
    seconds = sum(reach(event, longest)) + longest
    hours, planned = min(seconds / 3600.0, PLANNED_HOURS), seconds + 3600.0 * PLANNED_HOURS
    at_once = 1
    if series is not None:
        at_once = len(series.changed) + int(planned // 86_400.0) + 2  # one a day, and that may do: it costs nothing
        if signals * at_once * hours > MOST_CURVE_HOURS:
            at_once = _most_at_once(series, planned)
    if signals * at_once * hours <= MOST_CURVE_HOURS:
        return
    times = f"{at_once} occurrences in reach of one day" if at_once > 1 else "one occurrence"
    wrong = f"costs too much to plan: {signals} signals of {hours:.0f} hours a day each, {times}"
    right = f"at most {MOST_CURVE_HOURS:.0f} hours in all: fewer signals, shorter ones, smaller lags, rarer occurrences"
    problems.append(Problem("spec", wrong, right))


def _most_at_once(series: Series, seconds: float) -> int:
    """Occurrences within the busiest stretch of so many seconds, of the first season."""
    span = timedelta(seconds=seconds)
    until = series.start + _SEASON + span
    last = until if series.last is None else min(until, series.last)
    starts = list(local_starts(series.rule, series.start, since=series.start, until=last))
    return len(series.changed) + _most_within(starts, span)


def _most_within(starts: Sequence[datetime], span: timedelta) -> int:
    most, first = 0, 0
    for end, start in enumerate(starts):
        while start - starts[first] > span:
            first += 1
        most = max(most, end - first + 1)
    return most


def _check_size(
    event: Announcement, chains: Sequence[Sequence[str]], links: dict[str, Derived], problems: list[Problem]
) -> None:
    """Products of numbers that are each within bounds."""
    expected = dict(event.expected)
    factors, levels = dict[str, float](), dict[str, float]()
    for moment in event.moments:
        factors[moment.signal] = max(factors.get(moment.signal, 0.0), moment.factor or 0.0)
        levels[moment.signal] = max(levels.get(moment.signal, 0.0), moment.level or 0.0)
    for signal, *sources in chains:
        factor, largest = 1.0, expected.get(signal, 0.0)
        peak, level = factors.get(signal, 0.0), levels.get(signal, 0.0)
        at = signal
        for source in sources:
            factor *= links[at].factor
            peak = max(peak, factors.get(source, 0.0))
            level = max(level, factor * levels.get(source, 0.0))
            largest = factor * expected.get(source, 0.0)
            at = source
        if not max(largest * max(peak, 1.0), level) <= MOST_DEMAND:
            wrong = f"the demand for {signal} comes to more than {MOST_DEMAND:g}"
            problems.append(Problem("spec", wrong, "check the factors of derived and moments: they are multiplied"))
            return
