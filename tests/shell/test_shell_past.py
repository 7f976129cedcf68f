"""What the operator learns of the past: by the queries that it reads with, and the events that are still there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import HandClock, Leader
from test_shell_store import CORE, live_event, scaling_policy

from tidegate.control.forecaster import Forecaster
from tidegate.control.history import History
from tidegate.metrics.credentials import Credentials
from tidegate.planning.model import Key
from tidegate.ports import PastPage
from tidegate.shell import wiring
from tidegate.shell.past import announced_then, past_of
from tidegate.shell.settings import load_settings
from tidegate.shell.store import WatchedStore

NOW = 1_794_240_000.0
"""2026-11-09T16:00:00Z."""
DAY = 86_400.0


def store(*, confine: bool = False) -> WatchedStore:
    return WatchedStore(lambda: NOW, confine=confine)


def starts(watched: WatchedStore, since: float, until: float, policy: Key = CORE) -> dict[str, list[float]]:
    return {
        one.key.name: [start for start, _ in one.occurrences] for one in announced_then(watched)(policy, since, until)
    }


def test_occurrences_of_recurring_events_are_told_however_long_ago() -> None:
    watched = store()
    schedule = {"startTime": "2026-10-01T20:00:00", "timeZone": "UTC", "durationSeconds": 3600}
    watched.put_event(live_event("daily", schedule={**schedule, "recurrence": {"rrule": "FREQ=DAILY"}}))
    found = starts(watched, NOW - 14 * DAY, NOW - 13 * DAY)["daily"]
    assert NOW - 14 * DAY + 4 * 3600.0 in found
    assert all(NOW - 15 * DAY <= start <= NOW - 12 * DAY for start in found)


def test_events_that_are_over_are_told_while_they_are_there_and_others_policies_are_not() -> None:
    watched = store()
    schedule = {"startTime": "2026-11-03T20:00:00", "timeZone": "UTC", "durationSeconds": 3600}
    watched.put_event(live_event("over", schedule=schedule))
    watched.put_event(live_event("others", schedule=schedule, policyRef={"name": "else"}))
    watched.put_event({**live_event("abroad", schedule=schedule), "metadata": {"namespace": "else", "name": "abroad"}})
    assert starts(watched, NOW - 7 * DAY, NOW).keys() == {"over"}
    assert starts(watched, NOW - 2 * DAY, NOW) == {}


async def asked(confine: bool) -> set[str]:
    """The queries by which a policy's past is asked for."""
    watched, queries = store(confine=confine), set()
    signals = [{"name": "orders", "query": "sum(rate(orders[1m]))"}]
    watched.put_policy(scaling_policy(signals=signals, live={}))

    class Archive:
        async def page(self, query: str, **_: Any) -> PastPage:
            queries.add(query)
            return PastPage((5.0,) * 10)

    forecaster = Forecaster()
    past = past_of(Archive(), watched, 600.0)
    assert past is not None
    history = History(past, forecaster, HandClock(NOW), Leader())
    forecaster.want(watched.policies(), {})
    for job in history.due(NOW):
        await history.do(job)
    return queries


async def test_a_tenants_past_is_asked_for_by_his_confined_query_and_no_other() -> None:
    assert await asked(False) == {"sum(rate(orders[1m]))"}
    assert await asked(True) == {'sum(rate(orders{namespace="shop"}[1m]))'}


@pytest.mark.parametrize(("days", "asks"), [("0", False), ("14", True)])
async def test_prometheus_is_asked_for_the_past_unless_none_is_wanted(days: str, asks: bool) -> None:
    told = {"TIDEGATE_PROMETHEUS_URL": "http://localhost:1", "TIDEGATE_PROMETHEUS_HISTORY_DAYS": days}
    source = wiring.past_source(load_settings(told))
    assert (source is not None) == asks
    if source is not None:
        await source.close()


async def test_the_past_is_asked_for_as_readings_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same token and tenant, which lie in a folder."""
    (tmp_path / "token").write_text("one")
    told = {"TIDEGATE_PROMETHEUS_URL": "http://localhost:1", "TIDEGATE_PROMETHEUS_CREDENTIALS": str(tmp_path)}
    given: list[Credentials | None] = []

    class Archive:
        def __init__(self, url: str, *, credentials: Credentials | None) -> None:
            given.append(credentials)

    monkeypatch.setattr(wiring, "PrometheusPast", Archive)
    wiring.past_source(load_settings(told))
    assert [one.headers()["Authorization"] for one in given if one is not None] == ["Bearer one"]


async def test_the_stop_waits_for_no_page_of_the_past() -> None:
    """A page may hang for 20 s, and whoever stops has a Lease to give up."""
    gates = wiring.gate_settings(load_settings({}))
    assert {name for name, one in gates.items() if not one.awaited} == {"history"}
