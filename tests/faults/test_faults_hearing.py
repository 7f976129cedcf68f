"""The durable stop cannot be listed any more, while all else answers: by the whole operator, before the judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fault_run
import pytest
from fault_concerns import failing_since
from fault_list import Fault
from fault_run import Outcome, run
from test_faults_harness import SCENE
from wire import Ask, Hit

from tidegate.planning.withheld import Unheard
from tidegate.shell.hearing import Hearing

WRITTEN_AT = 256.0
"""When the level of the show is written in this scene where nothing is in the way."""


def deaf(monkeypatch: pytest.MonkeyPatch, since: float, lasting: float) -> Outcome:
    """A run in which the account loses its right to the ConfigMap of the stop for some time."""
    monkeypatch.setattr(fault_run, "draw_scene", lambda seed: replace(SCENE, seed=seed))
    lost = {"how": "403", "plural": "configmaps"}
    cut = {"how": "cut", "plural": "configmaps"}
    return run(0, [Fault(1, "requests", since, lasting, lost), Fault(2, "watch", since + 1.0, 1.0, cut)], tell=True)


def levels(outcome: Outcome) -> list[tuple[float, str]]:
    """(when, what) of the levels that were written."""
    told = [line.split(maxsplit=1) for line in outcome.timeline if " level shop/web" in line]
    return [(float(at), words.split(" by ")[0]) for at, words in told]


def test_levels_rise_a_minute_later_and_none_falls_before_it_is_heard_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = deaf(monkeypatch, 236.0, 244.0)
    (raised, up), (lowered, _), *_ = levels(found)
    assert up == "level shop/web: 2 -> 10"
    assert 236.0 + 60.0 <= raised <= 236.0 + 75.0
    assert lowered >= 480.0
    assert found.kinds == set()


def test_a_level_that_is_due_later_is_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = deaf(monkeypatch, 140.0, 200.0)
    assert levels(found)[0] == (pytest.approx(WRITTEN_AT, abs=5.0), "level shop/web: 2 -> 10")
    assert found.kinds == set()


def test_what_on_call_says_otherwise_is_not_listed_again_and_again_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop is asked for every 2 s. Policies, overrides and pools broke once at the most."""
    asked = [line for line in deaf(monkeypatch, 140.0, 200.0).timeline if "heard again" in line]
    assert len(asked) <= 4


def test_who_waits_for_longer_than_that_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Hearing.unheard

    def never(self: Hearing) -> Unheard | None:
        told = heard(self)
        return None if told is None else replace(told, raises=False)

    monkeypatch.setattr(Hearing, "unheard", never)
    assert "below-need" in deaf(monkeypatch, 200.0, 280.0).kinds


def test_lists_that_fail_one_after_the_other_count_as_one_outage() -> None:
    def hit(begin: float, end: float, plural: str = "configmaps", deed: str = "list") -> Hit:
        return Hit(Ask("a", "a-1", deed, plural, "tidegate", "", "GET", ""), "403", begin, end)

    known: Any = [hit(10.0, 11.0), hit(50.0, 51.0), hit(60.0, 75.0), hit(70.0, 71.0), hit(72.0, 73.0, "loans")]
    assert failing_since(known, "configmaps", 80.0, pause=30.0) == 50.0
    assert failing_since(known, "configmaps", 120.0, pause=30.0) is None
