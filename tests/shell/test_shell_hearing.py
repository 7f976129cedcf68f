"""What on-call may have said and nobody can have heard holds writes back, the durable stop before all."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tidegate.shell import hearing as module
from tidegate.shell.hearing import STOP_LOST, Hearing
from tidegate.shell.kinds import HELD_FOR, Deaf


@dataclass
class Watch:
    """Of the durable stop."""

    listed_at: float = 0.0
    alive_at: float = 0.0
    trouble: str = ""


@dataclass
class Few:
    """Policies, overrides and pools."""

    said: Deaf | None = None
    raises: bool = False
    known: bool = True

    def deaf(self) -> Deaf | None:
        return self.said

    def may_raise(self) -> bool:
        return self.raises

    def trouble(self) -> str:
        return ""


@dataclass
class Ears:
    """A process that has led since 100 s, at an instant of the monotonic clock."""

    at: float = 200.0
    stop: Watch = field(default_factory=lambda: Watch(listed_at=150.0, alive_at=200.0))
    few: Few = field(default_factory=Few)

    def hearing(self) -> Hearing:
        return Hearing(self.stop, self.few, lambda: 100.0, lambda: 1_794_240_000.0 + self.at)  # type: ignore[arg-type]


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
