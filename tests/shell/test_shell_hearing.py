"""What on-call may have said and nobody can have heard holds writes back, the durable stop before all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from tidegate.shell import hearing as module
from tidegate.shell.hearing import EVENTS_LOST, STOP_LOST, Hearing
from tidegate.shell.kinds import HELD_FOR, Deaf


@dataclass
class Watch:
    """Of the durable stop, or of what is announced in a namespace."""

    listed_at: float = 0.0
    alive_at: float = 0.0
    broke_at: float = -math.inf
    trouble: str = ""
    synced: bool = True


@dataclass
class Few:
    """Policies, overrides and pools."""

    said: Deaf | None = None
    said_of: dict[str, Deaf] = field(default_factory=dict)
    """Of namespaces."""
    raises: bool = False
    everything: bool = True

    def deaf(self, scope: str) -> Deaf | None:
        return self.said_of.get(scope) if scope else self.said

    def known(self, scope: str) -> bool:
        return self.everything

    def may_raise(self, scope: str) -> bool:
        return self.raises

    def trouble(self) -> str:
        return "nobody is heard" if self.said_of else ""


@dataclass
class Ears:
    """A process that has led since 100 s, at an instant of the monotonic clock."""

    at: float = 200.0
    stop: Watch = field(default_factory=lambda: Watch(listed_at=150.0, alive_at=200.0))
    few: Few = field(default_factory=Few)
    events: dict[str, Watch] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()

    def hearing(self) -> Hearing:
        stop, few, events = self.stop, self.few, self.events
        now = lambda: 1_794_240_000.0 + self.at * 1.001  # noqa: E731 - no two clocks are alike
        return Hearing(stop, few, lambda: 100.0, now, events, lambda: self.closed)  # type: ignore[arg-type]


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Ears:
    made = Ears()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.at)
    return made


def test_a_stop_that_can_be_heard_of_no_more_holds_all_writes_and_then_those_that_lower(ears: Ears) -> None:
    """``release`` sets it and returns what was lent: it is not taken back by who could not hear of it."""
    hearing, ears.stop.trouble = ears.hearing(), "WATCH configmaps: the API server answered 403"
    assert hearing.unheard() is None, "a break of seconds is none"
    ears.at += STOP_LOST + 1.0
    told = hearing.unheard()
    assert told is not None
    assert not told.raises
    assert "the durable stop could not be listed since" in told.message
    assert "403" in told.message
    assert "nothing is lowered" in (hearing.trouble() or "")
    ears.at = ears.stop.alive_at + HELD_FOR + 1.0
    assert (later := hearing.unheard()) is not None
    assert later.raises, "a floor that never comes is an outage of our own making"
    assert later.since == told.since
    ears.few.said = Deaf("overrides", 250.0, "403")
    assert (both := hearing.unheard()) is not None
    assert not both.raises, "overrides are waited for as ever"
    ears.few.said, ears.stop.trouble = None, ""
    assert (hearing.unheard(), hearing.trouble()) == (None, None)


def test_a_watch_of_the_stop_where_nothing_happens_is_heard(ears: Ears) -> None:
    ears.at += 5 * STOP_LOST
    assert ears.hearing().unheard() is None


def test_what_cannot_be_listed_of_one_namespace_is_said_of_it_alone(ears: Ears) -> None:
    """Whoever owns one may delete it, and our rights with it."""
    ears.events = {"live": Watch(), "shop": Watch()}
    hearing = ears.hearing()
    assert (hearing.unheard(), hearing.unheard_in(), hearing.trouble()) == (None, {}, None)
    ears.few.said_of = {"shop": Deaf("overrides", 150.0, "403")}
    (one,) = hearing.unheard_in().values()
    assert one.message.startswith("overrides could not be listed since")
    assert hearing.unheard_in().keys() == {"shop"}
    assert (hearing.unheard(), hearing.trouble()) == (None, None), "the others are served"
    ears.few.raises = True
    ears.at += HELD_FOR
    assert hearing.unheard_in()["shop"].raises
    assert hearing.unheard_in()["shop"].since == one.since
    ears.few.said_of["live"] = Deaf("overrides", 170.0, "403")
    told = hearing.unheard_in()
    ears.at += 0.7
    assert hearing.unheard_in() == told, "the same while the same is wrong: nothing is decided anew for it"
    assert hearing.trouble() == "nobody is heard", "none is served"


@pytest.mark.parametrize("what", ["liveevents", "loans"])
def test_a_namespace_of_which_events_or_loans_were_never_listed_is_waited_for_without_end(
    what: str, ears: Ears
) -> None:
    """What is borrowed there would be returned, or borrowed twice."""
    ears.events = {"live": Watch(), "shop": Watch(synced=what != "liveevents", trouble="403")}
    ears.closed = frozenset({"shop"} if what == "loans" else ())
    ears.few.raises = True
    ears.at += 10 * HELD_FOR
    hearing = ears.hearing()
    assert hearing.unheard_in().keys() == {"shop"}
    one = hearing.unheard_in()["shop"]
    assert (one.message.startswith(f"{what} could not be listed since"), one.raises) == (True, False)


def test_a_namespace_whose_announcements_are_heard_of_no_more_lowers_nothing_and_raises(ears: Ears) -> None:
    """An event that was moved or grew may have been missed; what was announced before still stands."""
    ears.events = {"live": Watch(alive_at=200.0), "shop": Watch(alive_at=200.0)}
    hearing = ears.hearing()
    ears.at += 4 * EVENTS_LOST
    assert hearing.unheard_in() == {}, "where nothing happens all is heard"
    ears.events["shop"].trouble, ears.events["shop"].broke_at = "503", ears.at
    ears.at += EVENTS_LOST - 1.0
    assert hearing.unheard_in() == {}, "a break is mended at the second try"
    ears.at += 2.0
    (one,) = hearing.unheard_in().values()
    assert hearing.unheard_in().keys() == {"shop"}
    assert one.message.startswith("liveevents could not be listed since ")
    assert one.message.endswith("(503)")
    assert one.raises
    assert (one.lets(upwards=True), one.lets(upwards=False)) == (True, False)
    assert (hearing.unheard(), hearing.trouble()) == (None, None), "the others are served"
    ears.few.said_of = {"shop": Deaf("overrides", ears.at, "503")}
    assert not hearing.unheard_in()["shop"].raises, "overrides are waited for as ever"
    ears.few.said_of, ears.events["shop"].trouble = {}, ""
    assert hearing.unheard_in() == {}
