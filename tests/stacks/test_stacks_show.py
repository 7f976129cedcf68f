"""A live show through the CDN with real programs and 200 players: see ``show.py`` for what runs, about 75 s."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import show  # noqa: E402
import show_programs  # noqa: E402

PLAYERS = 200
IN_TIME = 0.25
"""Seconds by which the players' own program may be late; on a machine that is slower its stalls say nothing."""

pytestmark = [
    pytest.mark.skipif(bool(show_programs.missing()), reason=f"needs {show_programs.missing()}"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def figures() -> show.Figures:
    return asyncio.run(show.run(PLAYERS))


def test_what_was_prefetched_before_the_show_costs_the_origin_nothing_in_it(figures: show.Figures) -> None:
    assert figures.prefetch_requests <= show_programs.INTRO + 3, "each object once; the playlist once a second"
    assert (figures.intro_hit_ratio, figures.intro_origin_requests) == (1.0, 0)


def test_a_crowd_that_waits_for_the_show_costs_the_origin_one_request_a_second_and_shield(
    figures: show.Figures,
) -> None:
    assert figures.waiting_player_requests_per_second > 20
    assert figures.waiting_origin_requests_per_second < 3


def test_every_player_plays_on_when_a_site_is_killed_and_when_the_origin_comes_back_elsewhere(
    figures: show.Figures,
) -> None:
    assert list(figures.phases) == ["opening", "before", "site killed", "origin moves", "after"]
    least = {name: phase.segments for name, phase in figures.phases.items()}
    assert least["before"] >= 3
    assert least["site killed"] >= 3
    assert least["origin moves"] >= 1
    assert least["after"] >= 3


def test_the_origin_is_asked_for_no_segment_twice_whatever_happens(figures: show.Figures) -> None:
    assert figures.asked_twice == 0


def test_the_origin_s_load_does_not_follow_the_players(figures: show.Figures) -> None:
    for phase in figures.phases.values():
        # One request a second for the playlist from its home in the shield and from the next one, and the segments.
        assert phase.origin_requests <= 2.5 * (phase.seconds + 2), phase
        assert phase.hit_ratio > 0.9, phase
    assert figures.without_cdn > 30 * figures.with_cdn


@pytest.mark.parametrize("name", ["before", "site killed", "after"])
def test_players_hardly_stall_but_while_the_origin_is_away(figures: show.Figures, name: str) -> None:
    unless_late(figures)
    assert figures.phases[name].stall_ratio < 0.1


def test_a_frame_is_seen_within_a_few_segments_of_being_pushed(figures: show.Figures) -> None:
    unless_late(figures)
    for name in ("before", "site killed", "after"):
        assert 0 < figures.phases[name].push_to_play < 5 * show_programs.SEGMENT_SECONDS, name
    assert figures.push_to_last_play < 10 * show_programs.SEGMENT_SECONDS


def unless_late(figures: Any) -> None:
    if figures.late_p95 > IN_TIME:
        pytest.skip(f"the players themselves were {figures.late_p95:.2f} s late: this machine has no time to spare")
