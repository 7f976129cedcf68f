"""What is learned of signals that policies follow: from good readings, kept, and taken up by the next leader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tidegate.control.forecaster import KEPT_EVERY, MOST_FOLLOWED, Forecaster
from tidegate.planning.book import Book, book_of
from tidegate.planning.growth import within
from tidegate.planning.model import (
    Announcement,
    Freshness,
    Key,
    LeadTimeGuess,
    Live,
    Measured,
    Occurrence,
    Policy,
    Reading,
    Ref,
    SignalSpec,
    TargetSpec,
)
from tidegate.ports import Grown

POLICY = Key("shop", "core")
SIGNAL = (POLICY, "orders")
BEAT = 15.0
LIVE = Live()
ENOUGH = 400
"""Readings after which a signal is known well enough here."""


def policy(live: Live | None = LIVE, **given: object) -> Policy:
    target = TargetSpec("order", Ref("apps/v1", "Deployment", "shop", "order"), (("orders", 100.0),))
    lead = LeadTimeGuess(60.0)
    signals = (SignalSpec("orders", "orders"), SignalSpec("planned", None))
    return Policy(POLICY, (replace(target, lead=lead),), signals, live=live, **given)  # type: ignore[arg-type]


def forecaster(*events: Announcement, live: Live | None = LIVE) -> Forecaster:
    made = Forecaster(book=lambda: book(events))
    made.want({POLICY: policy(live)}, {})
    return made


def book(events: Iterable[Announcement]) -> Book:
    return book_of({one.key: one for one in events}, cell=15.0, since=0.0, until=86_400.0)


def show(start: float, level: float, name: str = "show") -> Announcement:
    return Announcement(Key("shop", name), "core", (Occurrence(start, 3_600.0),), (("orders", level),))


def good(value: float, now: float, **given: object) -> Reading:
    told: dict[str, object] = {"stamp": now - 30.0, "span": 60.0, "confirmed": value}
    return Reading(Freshness.FRESH, value, now - 30.0, **{**told, **given})  # type: ignore[arg-type]


def fed(made: Forecaster, values: Iterable[float], since: float = 0.0) -> Reading:
    told, now = None, since
    for value in values:
        told = made.take(SIGNAL, good(value, now), now)
        now += BEAT
    assert told is not None
    return told


def ahead(reading: Reading) -> float:
    most = within(reading.ahead, 60.0)
    assert most is not None
    return most


def test_a_signal_that_nobody_follows_is_told_as_it_was_read() -> None:
    made = forecaster(live=None)
    assert made.take(SIGNAL, good(100.0, 0.0), 0.0) == good(100.0, 0.0)
    assert made.known == {}


def test_signals_with_a_query_are_followed_and_no_others() -> None:
    assert forecaster().known.keys() == {SIGNAL}


@pytest.mark.parametrize("bad", [Freshness.STALE, Freshness.PARTIAL, Freshness.UNREACHABLE])
def test_a_bad_reading_teaches_nothing_and_tells_nothing(bad: Freshness) -> None:
    made = forecaster()
    fed(made, [100.0] * ENOUGH)
    steps = made.known[SIGNAL].steps
    told = made.take(SIGNAL, replace(good(9e9, ENOUGH * BEAT), freshness=bad), ENOUGH * BEAT)
    assert told.ahead == ()
    assert made.known[SIGNAL].steps == steps


def test_one_bad_scrape_teaches_no_growth_of_a_thousandfold() -> None:
    made = forecaster()
    fed(made, [100.0] * ENOUGH)
    spike = good(100_000.0, ENOUGH * BEAT, confirmed=100.0)
    assert ahead(made.take(SIGNAL, spike, ENOUGH * BEAT)) <= 1_000.0
    after = fed(made, [100.0] * ENOUGH, since=(ENOUGH + 1) * BEAT)
    assert ahead(after) <= 130.0


def test_an_announced_opening_is_believed_before_a_second_sample_confirms_it() -> None:
    made = forecaster(show(ENOUGH * BEAT, 10_000.0))
    fed(made, [100.0] * ENOUGH)
    now = ENOUGH * BEAT + 90.0
    assert ahead(made.take(SIGNAL, good(9_000.0, now, confirmed=100.0), now)) >= 9_000.0


def test_the_share_of_an_announced_step_that_came_is_learned_from_the_first_reading_wholly_after_it() -> None:
    start = ENOUGH * BEAT
    made = forecaster(show(start, 1_000.0))
    fed(made, [100.0] * ENOUGH)
    for seconds, value in ((15.0, 100.0), (30.0, 100.0), (45.0, 225.0), (60.0, 350.0), (75.0, 475.0)):
        made.take(SIGNAL, good(value, start + seconds), start + seconds)
    assert made.announced[SIGNAL].hosts.all.events == 0.0
    told = made.take(SIGNAL, good(600.0, start + 90.0), start + 90.0)
    assert made.announced[SIGNAL].hosts.all.mean == pytest.approx(0.5)
    assert told.step == pytest.approx(made.announced[SIGNAL].hosts.all.quantile(0.95))
    fed(made, [600.0] * 20, since=start + 105.0)
    assert made.announced[SIGNAL].hosts.all.events == 1.0


@pytest.mark.parametrize(("quiet_from", "quiet_until"), [(-900.0, 120.0), (-30.0, 900.0)])
def test_a_step_that_came_in_a_gap_of_readings_teaches_nothing(quiet_from: float, quiet_until: float) -> None:
    start = BEAT * ENOUGH
    made = forecaster(show(start, 10_000.0))
    told = [n * BEAT for n in range(2 * ENOUGH) if not quiet_from < n * BEAT - start < quiet_until]
    for now in told:
        made.take(SIGNAL, good(1_000.0 if now < start + 30.0 else 6_000.0, now), now)
    assert made.announced[SIGNAL].hosts.all.events == 0


def test_a_step_too_small_to_be_seen_teaches_nothing() -> None:
    start = ENOUGH * BEAT
    made = forecaster(show(start, 5.0))
    fed(made, [100.0] * (ENOUGH + 40))
    assert made.announced[SIGNAL].hosts.all.events == 0.0


def test_a_start_time_that_was_learned_reaches_further_ahead_and_forgets_nothing() -> None:
    made = forecaster()
    fed(made, [100.0] * ENOUGH)
    before = made.known[SIGNAL]
    made.want({POLICY: policy()}, {(POLICY, "order"): (Measured(5, 300.0),)})
    assert made.known[SIGNAL].reaches >= 315.0 > before.reaches
    assert made.known[SIGNAL].steps == before.steps


def test_what_was_learned_is_kept_once_an_hour_and_not_with_every_reading() -> None:
    made = forecaster()
    fed(made, [100.0] * 10)
    first = made.version
    fed(made, [100.0] * round(3 * KEPT_EVERY / BEAT), since=10 * BEAT)
    assert made.version - first == 3
    assert made.samples()[SIGNAL].packed


def test_the_next_leader_tells_what_this_one_would_have_told() -> None:
    start = 2 * KEPT_EVERY
    made = forecaster(show(start, 1_000.0))
    wave = [100.0 + (step % 40) for step in range(round(start / BEAT))]
    fed(made, wave)
    fed(made, [600.0] * (round(KEPT_EVERY / BEAT) + 1), since=start)
    heir = forecaster(show(start, 1_000.0))
    fed(heir, [50.0] * 3, since=start)
    heir.recall(made.samples())
    heir.want({POLICY: policy()}, {})
    later = start + 2 * KEPT_EVERY
    for one in (made, heir):
        one.known[SIGNAL].after_a_gap()
    mine, its = (fed(one, [100.0] * 8, since=later) for one in (made, heir))
    assert ahead(its) == pytest.approx(ahead(mine), rel=0.02)
    assert its.step == pytest.approx(mine.step, rel=0.01)


def test_a_record_that_cannot_be_understood_is_learned_anew() -> None:
    made = forecaster()
    made.recall({SIGNAL: Grown("nonsense")})
    made.want({POLICY: policy()}, {})
    assert fed(made, [100.0] * 5).ahead


def test_a_query_in_another_unit_is_another_signal() -> None:
    made = forecaster()
    fed(made, [6_000.0] * ENOUGH)
    edited = replace(policy(), signals=(SignalSpec("orders", "sum(rate(orders[1m]))"),))
    made.want({POLICY: edited}, {})
    assert ahead(fed(made, [100.0], since=ENOUGH * BEAT)) <= 130.0
    assert made.samples() == {}


def test_a_signal_that_its_policy_does_not_follow_for_a_moment_is_learned_anew() -> None:
    """Whatever was wrong with what it measured: that is how a person has it forgotten at once."""
    made, new = forecaster(), forecaster()
    fed(made, [100.0] * ENOUGH + [100_000.0] * 4 + [100.0] * 250)  # two minutes of which are believed
    now, version = (ENOUGH + 254) * BEAT, made.version
    assert SIGNAL in made.samples()
    assert ahead(fed(made, [100.0], since=now)) > 5_000.0
    made.want({POLICY: policy(live=None)}, {})
    assert made.samples() == {}
    assert made.version > version, "it goes from the record too"
    made.want({POLICY: policy()}, {})
    assert ahead(fed(made, [100.0], since=now + BEAT)) == ahead(fed(new, [100.0], since=now + BEAT)) < 150.0


@pytest.mark.parametrize(("percent", "minutes"), [(4, 180.0), (100, 10.0)])
def test_what_was_a_thousand_times_too_high_fades_within_what_the_pages_say(percent: int, minutes: float) -> None:
    made = forecaster()
    fed(made, [100.0] * ENOUGH + [100_000.0] * 4 + [100.0])
    now, steps = (ENOUGH + 5) * BEAT, int(minutes * 60.0 / BEAT)
    made.want({POLICY: policy(Live(fall_per_minute=percent / 100.0))}, {})
    assert ahead(fed(made, [100.0], since=now)) > 10_000.0
    assert ahead(fed(made, [100.0] * steps, since=now + BEAT)) < 200.0


def test_what_was_learned_stays_while_its_policy_is_not_understood() -> None:
    made = forecaster()
    fed(made, [100.0] * ENOUGH)
    kept = made.samples()
    made.want({}, {})
    assert made.samples() == kept != {}


def test_another_capacity_changes_what_is_too_little_to_matter() -> None:
    made = forecaster()
    target = replace(policy().targets[0], capacity=(("orders", 1_000.0),))
    made.want({POLICY: replace(policy(), targets=(target,))}, {})
    assert made.known[SIGNAL].grain == pytest.approx(300.0)


def test_no_namespace_has_more_signals_followed_than_its_share() -> None:
    made = forecaster()
    names = [f"s{number}" for number in range(20)]
    one = policy()
    target = replace(one.targets[0], capacity=tuple((name, 100.0) for name in names))
    wide = replace(one, targets=(target,), signals=tuple(SignalSpec(name, name) for name in names))
    crowd = {Key("crowd", f"p{number}"): replace(wide, key=Key("crowd", f"p{number}")) for number in range(10)}
    made.want({POLICY: one, **crowd}, {})
    assert sum(key[0].namespace == "crowd" for key in made.known) == MOST_FOLLOWED
    assert SIGNAL in made.known
    assert made.beyond == {"crowd": 200}


def test_of_a_policy_that_is_gone_nothing_is_remembered() -> None:
    made = forecaster()
    fed(made, [100.0] * ENOUGH)
    made.want({}, {})
    assert (made.known, made.announced) == ({}, {})


def test_growth_is_told_what_is_announced_for_now_and_for_the_next_half_hour_beside_the_background() -> None:
    with_background = policy()
    target = replace(with_background.targets[0], background=(("orders", 30.0),))
    made = forecaster(show(6_000.0, 700.0), show(8_000.0, 200.0, name="second"))
    made.want({POLICY: replace(with_background, targets=(target,))}, {})
    said = {}
    for now in (3_000.0, 4_500.0, 6_200.0, 8_200.0, 12_000.0):
        made.take(SIGNAL, good(50.0, now), now)
        said[now] = made.known[SIGNAL]._said
    assert said == {
        3_000.0: (0.0, 0.0),
        4_500.0: (0.0, 730.0),
        6_200.0: (730.0, 930.0),
        8_200.0: (930.0, 930.0),
        12_000.0: (0.0, 0.0),
    }
