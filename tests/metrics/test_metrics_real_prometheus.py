"""A real Prometheus that is told badly, answers badly or stands behind: levels, Blind, sentences, recovery.

All scenes play at once, on one Prometheus that scrapes once a second; each has an operator and a workload of its own,
whose plan needs 10 units (1,000 orders at 100 each). Each test looks at what its scene recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Sink, Thing, key_of
from real_prometheus import Ground, Lines, Watch, every_scrape_was_taken, prometheus
from worlds import CORE, event, policy, signal, target

from tidegate.control.loop import Loop, LoopSettings
from tidegate.metrics.credentials import Credentials
from tidegate.metrics.prometheus import PARALLEL, PrometheusSource
from tidegate.planning.decision import TargetPlan
from tidegate.planning.model import Freshness, PlanSettings, Reading
from tidegate.planning.reasons import Reason

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("real prometheus")]

BEGUN = time.time()
LENGTH = 56.0
"""Seconds that the scenes play: a level that was raised first comes down 30 s later."""
ODD_AT = 8.0
"""When what is odd happens."""
PLAYS = 3
STOOD_STILL = 0.4
"""Seconds: half of what one answer of Prometheus may take."""
WINDOW = 10
"""Seconds of the ranges of rates."""


@dataclass(frozen=True)
class Moment:
    at: float
    level: int
    reason: Reason
    message: str
    blind: tuple[str, ...]
    reading: Reading | None


@dataclass
class Scene:
    """An operator that reads one or more queries, with a workload for each."""

    ground: Ground
    queries: dict[str, str]
    """By name of the target."""
    path: str = ""
    direct: bool = True
    credentials: Path | None = None
    said: dict[str, list[Moment]] = field(default_factory=dict)

    async def play(self) -> None:
        clock = HandClock(time.time())
        targets = [target(name, capacity=((name, 100.0),)) for name in self.queries]
        signals = tuple(signal(name, query) for name, query in self.queries.items())
        show = event(start=clock.at - 120.0, expected=tuple(sorted((name, 1000.0) for name in self.queries)))
        store = FakeStore({CORE: policy(*targets, hold=0.0, rate=1.0, signals=signals)}, {show.key: show})
        cluster = FakeCluster(clock, {name: Thing() for name in self.queries})
        url = (self.ground.direct if self.direct else self.ground.proxy) + self.path
        credentials = None if self.credentials is None else Credentials(self.credentials)
        source = PrometheusSource(url, timeout=0.8, deadline=1.8, credentials=credentials)
        loop = Loop(
            clock=clock,
            store=store,
            targets=cluster,
            metrics=source,
            book=cluster,
            key_of=key_of,
            leadership=Leader(),
            events=Sink(),
            settings=LoopSettings(beat_seconds=1.0),
            plan_settings=PlanSettings(fail_over=0.0, reaction=0.0, creation_rate=1000.0, horizon=3600.0),
        )
        while self.ground.at < LENGTH:
            clock.at = time.time()
            beat = await loop.turn()
            assert beat is not None
            for name in self.queries:
                plan = beat.plan.targets[CORE, name]
                reading = beat.world.readings.get((CORE, name))
                self.said.setdefault(name, []).append(self._moment(plan, cluster.things[name].level, reading))
            await asyncio.sleep(0.4)
        await source.close()

    def _moment(self, plan: TargetPlan, level: int, reading: Reading | None) -> Moment:
        return Moment(self.ground.at, level, plan.reason, plan.message, plan.blind_signals, reading)


class Once:
    """Another text for one scrape, the first after an instant."""

    def __init__(self, usual: Callable[[float], str], odd: str, at: float, after: Callable[[float], str]) -> None:
        self.usual, self.odd, self.at, self.after = usual, odd, at, after
        self.done = False

    def __call__(self, at: float) -> str:
        if at < self.at:
            return self.usual(at)
        if self.done:
            return self.after(at)
        self.done = True
        return self.odd


def always(text: str) -> Callable[[float], str]:
    return lambda at: text


def counted(each_second: float) -> float:
    """A counter that has counted for long."""
    return 1e6 + each_second * (time.time() - BEGUN)


def rollout(at: float) -> str:
    """Three pods of 483 orders a second; one is replaced by a new one, whose counter begins at zero."""
    third = f"{483.0 * (at - ODD_AT)}" if at >= ODD_AT else f"{counted(483.0)}"
    name = "new" if at >= ODD_AT else "old"
    return "\n".join(
        [
            f'roll_total{{pod="{name}"}} {third}',
            f'roll_total{{pod="a"}} {counted(483.0)}',
            f'roll_total{{pod="b"}} {counted(483.0)}',
        ]
    )


def behind(at: float) -> str:
    """Samples that come three minutes late, until they do not."""
    taken = time.time() - (180.0 if at < 20.0 else 0.0)
    return f"behind {4000 if at < 20.0 else 1490} {int(taken * 1000)}"


def one_counter(at: float) -> str:
    return f"pods_total {1e9 + counted(900.0)}"


def exposed() -> dict[str, Lines]:
    """What is scraped each second, made anew for each play: what is odd for one scrape is odd once in each."""
    return {
        "pods": Once(one_counter, "pods_total 5", ODD_AT, one_counter),
        "ha": always('ha{replica="a"} 1490\nha{replica="b"} 1490'),
        "rollout": rollout,
        "behind": behind,
        "part": always("part 4000"),
        "well": always("well 1490"),
        "names": always("name_a 490\nname_b 1000"),
        "mix": always("mix 500"),
        "minus": always("minus -1"),
        "surge": lambda at: f"surge {1000 if at < ODD_AT else 6000}",
        "drips": always("\n".join(f"drip_{n} 1490" for n in range(PARALLEL))),
    }


def slowly() -> dict[str, Lines]:
    """The same, of what is scraped every few seconds."""
    return {
        "spike": Once(always("spike 1000"), "spike 1000000", ODD_AT, always("spike 1000")),
        "vanish": Once(always("vanish 1000"), "vanish 1000000", ODD_AT, always("")),
        "mix": Once(always("mix 500"), "mix 1000000", ODD_AT, always("mix 500")),
    }


def spoil(query: str, at: float) -> str:
    if "drip_" in query and ODD_AT < at < 20.0:
        return "drip"
    return "partial" if "part" in query.replace("tidegate_part", "") and ODD_AT < at < 44.0 else ""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """All scenes, played: anew where the machine stood still meanwhile, for their clock is the wall's."""
    for _ in range(PLAYS):
        with Watch() as watch:
            played, whole = _played(tmp_path_factory.mktemp("prometheus"))
        if whole and watch.worst < STOOD_STILL:
            return played
    pytest.skip(
        f"in each of {PLAYS} plays the machine stood still for more than {STOOD_STILL} s, or Prometheus gave up a"
        " scrape: too much runs beside"
    )


def _played(folder: Path) -> tuple[dict[str, Scene], bool]:
    """All scenes, and whether Prometheus took every scrape meanwhile."""
    secret = folder / "secret"
    secret.mkdir()
    (secret / "token").write_text("wrong")
    ground = Ground(
        exposed(), slowly(), spoil, token="right", begun=time.time() + 3600.0
    )  # nothing odd happens before they play
    with prometheus(folder, ground):
        made = {
            "spike": Scene(ground, {"spike": "sum(spike)", "surge": "sum(surge)"}),
            "vanish": Scene(ground, {"vanish": "vanish"}),
            "mix": Scene(ground, {"mix": "sum(mix)", "names": 'sum({__name__=~"name_a|name_b"})'}),
            "pods": Scene(ground, {"pods": f"sum(rate(pods_total[{WINDOW}s]))"}),
            "ha": Scene(ground, {"ha": "ha", "once": "max without (replica) (ha)", "twice": "sum(ha)"}),
            "rollout": Scene(ground, {"rollout": f"sum(rate(roll_total[{WINDOW}s]))"}),
            "behind": Scene(ground, {"behind": "sum(behind)", "filled": "sum(behind_no_more) or vector(0)"}),
            "partial": Scene(ground, {"part": "sum(part)"}, direct=False),
            "drips": Scene(
                ground, {"well": "sum(well)", **{f"drip{n}": f"sum(drip_{n})" for n in range(PARALLEL)}}, direct=False
            ),
            "token": Scene(ground, {"well": "sum(well)"}, path="/guarded", direct=False, credentials=secret),
            "prefix": Scene(ground, {"well": "sum(well)"}, path="/wrong"),
            "minus": Scene(ground, {"minus": "minus"}),
        }
        ground.begun = time.time()
        asyncio.run(_play(made, ground, secret / "token"))
        return made, every_scrape_was_taken(ground)


async def _play(scenes: dict[str, Scene], ground: Ground, token: Path) -> None:
    asyncio.get_running_loop().call_later(ODD_AT, token.write_text, ground.token)
    await asyncio.gather(*(scene.play() for scene in scenes.values()))


Scenes = dict[str, Scene]


def levels(moments: list[Moment]) -> list[int]:
    """The levels, each once in a row."""
    return [moment.level for n, moment in enumerate(moments) if n == 0 or moments[n - 1].level != moment.level]


def blindness(moments: list[Moment]) -> list[str]:
    """What Blind said once signals were read, each sentence once in a row."""
    said = [", ".join(moment.blind) for moment in moments if not any("NotReadYet" in text for text in moment.blind)]
    return [text for n, text in enumerate(said) if n == 0 or said[n - 1] != text]


def messages(moments: list[Moment]) -> set[str]:
    return {moment.message for moment in moments}


def test_a_spike_of_one_scrape_doubles_the_plan_at_most_and_is_gone_a_minute_later(scenes: Scenes) -> None:
    spike = scenes["spike"].said["spike"]
    assert levels(spike) == [10, 20, 10]
    said = "measured demand of spike needs 10000 units, the plan 10: 20 until a second sample confirms it"
    assert said in messages(spike)
    assert blindness(spike)[-1] == ""


def test_demand_that_a_second_scrape_confirms_is_added_whole(scenes: Scenes) -> None:
    surge = scenes["spike"].said["surge"]
    assert levels(surge) == [10, 20, 60]
    assert "measured demand of surge needs 60 units, the plan 10" in messages(surge)


def test_a_spike_before_the_series_vanish_is_not_kept_by_blindness(scenes: Scenes) -> None:
    vanish = scenes["vanish"].said["vanish"]
    assert levels(vanish) == [10, 20, 10]
    assert vanish[-1].blind == ("vanish: Empty (no series: vanish)",)
    why = "blind, and what is above 10 rests on one sample that was never confirmed. vanish: Empty"
    assert any(message.startswith(why) for message in messages(vanish))


def test_one_scrape_of_another_pod_does_not_confirm_itself_for_the_length_of_the_window(scenes: Scenes) -> None:
    """A counter that goes to 5 and back is a rate of 10^8 in each window that holds that scrape."""
    pods = scenes["pods"].said["pods"]
    assert max(moment.reading.value or 0.0 for moment in pods if moment.reading) > 1e7
    assert levels(pods) == [10, 20, 10]


def test_one_bad_scrape_in_a_sum_is_not_confirmed_by_scrapes_of_another_series(scenes: Scenes) -> None:
    """One of two is scraped each second, the other, which is bad once, every six."""
    mix = scenes["mix"].said["mix"]
    assert max(moment.reading.value or 0.0 for moment in mix if moment.reading) > 1e5
    assert levels(mix) == [10, 20, 10]


def test_several_metrics_of_one_selector_are_read_though_prometheus_cannot_tell_their_age(scenes: Scenes) -> None:
    names = scenes["mix"].said["names"]
    assert (levels(names)[-1], blindness(names)) == (15, [""])


def test_two_replicas_are_many_series_and_the_advice_counts_them_once(scenes: Scenes) -> None:
    pair = scenes["ha"].said
    assert levels(pair["ha"]) == [10]
    advice = "replicas see the same demand, and a sum counts it twice: max without (replica) (ha)"
    assert blindness(pair["ha"]) == [f"ha: ManySeries (more than one series; {advice})"]
    assert levels(pair["once"])[-1] == 15
    assert levels(pair["twice"])[-1] == 30, "which is why a sum is not the advice"


def test_a_rollout_that_begins_a_counter_anew_neither_raises_nor_lowers(scenes: Scenes) -> None:
    rollout = scenes["rollout"].said["rollout"]
    after = [moment for moment in rollout if moment.at > ODD_AT + WINDOW]
    assert 15 <= min(levels(after)) <= max(levels(rollout)) <= 20
    assert levels(rollout)[-1] == 15
    assert blindness(rollout)[-1] == ""


def test_a_prometheus_three_minutes_behind_raises_nothing_until_it_has_caught_up(scenes: Scenes) -> None:
    late = scenes["behind"].said["behind"]
    assert levels([moment for moment in late if moment.at < 20.0]) == [10]
    assert blindness(late) == ["behind: Stale (its newest sample is older than 120 s)", ""]
    assert late[-1].level == 15


def test_a_zero_in_the_place_of_missing_series_is_blindness(scenes: Scenes) -> None:
    filled = scenes["behind"].said["filled"]
    assert blindness(filled) == ["filled: Empty (no series: sum(behind_no_more) or vector(0))"]


def test_a_partial_answer_lowers_nothing(scenes: Scenes) -> None:
    """Half of 40 units is told for long enough that a step down would have been due."""
    part = scenes["partial"].said["part"]
    assert levels(part) == [10, 20, 40] or levels(part) == [20, 40]
    assert blindness(part) == ["", "part: Partial (receive store-1: connection refused)", ""]
    kept = "kept at 40. part: Partial (receive store-1: connection refused)"
    assert {moment.message for moment in part if moment.reason is Reason.BLIND} == {kept}


def test_dripping_answers_blind_their_own_signals_alone(scenes: Scenes) -> None:
    said = scenes["drips"].said
    assert blindness(said["well"]) == [""]
    for n in range(PARALLEL):
        drip = said[f"drip{n}"]
        assert blindness(drip) == ["", f"drip{n}: Unreachable (no whole answer from Prometheus in 0.8 s)", ""]
        assert levels(drip)[-1] == 15
    assert max(moment.reading.value or 0.0 for moment in said["well"] if moment.reading) == 1490.0


def test_a_wrong_token_is_said_and_a_right_one_counts_without_a_restart(scenes: Scenes) -> None:
    well = scenes["token"].said["well"]
    want = "it wants a token, or another one (prometheusSecret of the chart's values)"
    assert blindness(well) == [f"well: Unreachable (Prometheus answers 401 Unauthorized: {want})", ""]
    assert levels(well) == [10, 15]


def test_a_wrong_prefix_and_minus_one_read_differently(scenes: Scenes) -> None:
    prefix, minus = blindness(scenes["prefix"].said["well"]), blindness(scenes["minus"].said["minus"])
    assert prefix == ["well: Unreachable (Prometheus answers 404 Not Found: is a prefix missing in its URL?)"]
    assert minus == ["minus: Negative (below zero, which no demand is: minus)"]
    assert scenes["minus"].said["minus"][-1].reading is not None
    assert scenes["minus"].said["minus"][-1].reading.freshness is Freshness.NEGATIVE


def test_no_bad_answer_ever_is_a_number(scenes: Scenes) -> None:
    for name in ("minus", "prefix"):
        for moments in scenes[name].said.values():
            assert {moment.reading.value for moment in moments if moment.reading} == {None}
            assert levels(moments) == [10]


def test_a_play_that_is_played_anew_shows_again_what_is_odd_for_one_scrape() -> None:
    for play in (slowly(), slowly()):
        shown = [play["spike"](at) for at in (0.0, ODD_AT, ODD_AT + 1.0)]
        assert shown == ["spike 1000", "spike 1000000", "spike 1000"]
