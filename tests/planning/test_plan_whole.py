"""A verdict tells what is enough for now from all that an event needs."""

from __future__ import annotations

from worlds import NS, T0, Obedient, event, policy, target, world

from tidegate.planning.model import Key
from tidegate.planning.reasons import Reason


def test_what_is_enough_for_now_is_not_the_whole_that_the_event_needs() -> None:
    """An hour ahead two of two are ready; ready as a whole is what is there for T-0."""
    obedient = Obedient(world(event(), policies=(policy(),)))
    ahead = obedient.at(T0 - 3000.0).verdicts[Key(NS, "show")]
    assert (ahead.reason, ahead.whole) == (Reason.READY, False)
    obedient.at(T0 - 31.0)
    assert not obedient.at(T0 - 20.0).verdicts[Key(NS, "show")].whole
    obedient.at(T0 - 1.0)
    assert obedient.at(T0).verdicts[Key(NS, "show")].whole


def test_an_event_of_two_targets_is_whole_once_both_are() -> None:
    both = policy(target("order"), target("cart", capacity=(("orders", 50.0),)))
    obedient = Obedient(world(event(), policies=(both,)))
    ahead = obedient.at(T0 - 3000.0).verdicts[Key(NS, "show")]
    assert (ahead.message, ahead.whole) == ("all 2 targets ready", False)
    for at in (-60.0, -31.0, -1.0):
        obedient.at(T0 + at)
    there = obedient.at(T0).verdicts[Key(NS, "show")]
    assert (there.message, there.whole) == ("all 2 targets ready", True)


def test_of_two_events_with_the_same_signals_each_is_whole_by_its_own_needs() -> None:
    """What the evening's show has is not what the sale after it needs."""
    small = event("small", level=200.0, start=T0 - 1800.0, duration=600.0)
    obedient = Obedient(world(small, event("sale"), policies=(policy(),)))
    for at in (-1900.0, -1831.0, -1801.0):
        obedient.at(T0 + at)
    found = obedient.at(T0 - 1790.0).verdicts
    assert {key.name: (one.reason, one.whole, one.starts_at) for key, one in found.items()} == {
        "small": (Reason.READY, True, T0 - 1800.0),
        "sale": (Reason.READY, False, T0),
    }
