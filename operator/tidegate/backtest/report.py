"""A backtest as one HTML file that needs nothing else: the table, the frontier, supply over demand, and each event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from tidegate.backtest.contest import Score, Track
from tidegate.backtest.outcome import EXPLAINED, HEAD, Outcome, learned, rows
from tidegate.backtest.picture import STYLE, frontier, supply
from tidegate.demo.page import made, page, table

DRAWN = 3
"""Contestants in a picture of supply: more cannot be told apart."""
MOST_EVENTS = 24
"""Events that get a picture, those with the largest loss first; all of them stand in the table."""


def report(outcome: Outcome) -> str:
    """The whole page."""
    case = outcome.case
    drawn = chosen(outcome)
    whole = supply(case, drawn, case.judged, len(case.grid.demand), "units")
    sections = [
        f"<style>{STYLE}</style><h1>Backtest: {escape(case.name)}</h1>",
        f'<p class="lead">{escape(_lead(outcome))}</p>',
        table(HEAD, rows(outcome.scores)),
        *(f"<p>{escape(line)}</p>" for line in (*learned(outcome.scores), EXPLAINED)),
        "<h2>Loss and cost</h2>",
        "<p>Losses are on a logarithmic scale. Where a point has a ring, nobody is better in both.</p>",
        frontier(outcome.scores),
        "<h2>Demand and what stood ready</h2>",
        "<p>Shaded: events. Dashed: floors as Tidegate wrote them.</p>",
        whole,
        "<h2>Each event</h2>" if outcome.scores[0].events else "",
        _event_table(outcome, drawn),
        *_event_pictures(outcome, drawn),
        made(case.notes) if case.notes else "",
    ]
    return page(f"Backtest: {case.name}", sections)


def chosen(outcome: Outcome) -> list[Track]:
    """The contestants that are drawn: Tidegate as it is meant first, then the cheapest plain HPA that loses no more."""
    pairs = list(zip(outcome.scores, outcome.tracks, strict=True))
    ours = [pair for pair in pairs if pair[0].policy.startswith("tidegate")]
    others = [pair for pair in pairs if not pair[0].policy.startswith("tidegate")]
    others.sort(key=lambda pair: _distance(pair[0], ours[0][0] if ours else None))
    first = ours[:2] if len(ours) > 1 and ours[1][0].policy != ours[0][0].policy else ours[:1]
    return [track for _, track in (*first, *others)][:DRAWN]


def _distance(score: Score, ours: Score | None) -> tuple[bool, float]:
    """Who is nearest to us: loses no more, at the least cost."""
    return (ours is not None and score.lost_percent > ours.lost_percent, score.cost_ratio)


def _lead(outcome: Outcome) -> str:
    case = outcome.case
    begin = datetime.fromtimestamp(case.grid.first + case.judged * case.grid.step, UTC)
    days = float(case.scored.sum()) * case.grid.step / 86_400.0
    return (
        f"{days:.1f} days from {begin:%Y-%m-%d %H:%M} UTC, {len(outcome.scores[0].events)} events, units start in"
        f" {case.physics.lag:g} s, announcements: {case.perturbation}. All on the same simulated cluster; Tidegate"
        " is the operator's own control loop."
    )


def _event_table(outcome: Outcome, drawn: Sequence[Track]) -> str:
    names = [_name(track) for track in drawn]
    scores = [_score_of(outcome, track) for track in drawn]
    if not scores or not scores[0].events:
        return ""
    head = ["event", "start (UTC)", *(f"{name}: lost %" for name in names), *(f"{name}: cost" for name in names)]
    body = []
    for events in zip(*(score.events for score in scores), strict=True):
        at = datetime.fromtimestamp(events[0].start, UTC).strftime("%Y-%m-%d %H:%M")
        lost = [f"{one.lost_percent:.3f}" for one in events]
        body.append([events[0].name, at, *lost, *(f"{one.cost_ratio:.3f}" for one in events)])
    return table(head, body)


def _event_pictures(outcome: Outcome, drawn: Sequence[Track]) -> Iterator[str]:
    case = outcome.case
    if not drawn:
        return
    lost = {(one.name, one.start): one.lost_percent for one in _score_of(outcome, drawn[0]).events}
    scored = [one for one in case.happenings if (one.name, one.start) in lost]
    worst = sorted(scored, key=lambda one: -lost[one.name, one.start])[:MOST_EVENTS]
    for one in worst:
        window = case.window(one)
        picture = supply(case, drawn, window.start, window.stop, one.name[:20])
        if picture:
            yield f"<details><summary>{escape(one.name)}</summary>{picture}</details>"


def _score_of(outcome: Outcome, track: Track) -> Score:
    return next(score for score, one in zip(outcome.scores, outcome.tracks, strict=True) if one is track)


def _name(track: Track) -> str:
    return track.contestant
