"""Earlier editions of a demand are learned from before the one that is judged, and later ones never."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tidegate.backtest import suite as suites
from tidegate.backtest.announcing import POLICY
from tidegate.backtest.case import Physics
from tidegate.backtest.editions import earlier, kind_of
from tidegate.backtest.field import entries
from tidegate.backtest.folder import read_suite
from tidegate.backtest.happenings import Happening, perturbed
from tidegate.backtest.lessons import history_of, lesson_of
from tidegate.backtest.operator import policy_of
from tidegate.backtest.series import InputError, Series
from tidegate.backtest.sources import Question, Source, case_of
from tidegate.backtest.stand import NAMESPACE, QUERY
from tidegate.backtest.suite import outcome_of, suite
from tidegate.backtest.variants import LIVE_ALONE
from tidegate.cli.main import app
from tidegate.planning.growth import Growth
from tidegate.planning.model import Key

HOUR, MINUTES = 3_600.0, 300
DAYS = 5.5 * 86_400.0


def edition(year: int, *, scale: float = 1.0, seed: int = 0) -> Source:
    """Five hours of a May day. People come within ten minutes of each of four starts, two thirds more than there were,
    and nobody announced that any would.
    """
    random = np.random.default_rng(year + seed)
    first = datetime(year, 5, 4, tzinfo=UTC).timestamp()
    at = np.arange(MINUTES, dtype=np.float64)
    values, shows = np.full(MINUTES, 600.0), []
    for hour in range(1, 5):
        since = at - 60.0 * hour
        values *= 1.0 + 0.66 * np.clip(since / 10.0, 0.0, 1.0) * np.clip((40.0 - since) / 20.0, 0.0, 1.0)
        shows.append(Happening(f"show-{hour}", "show", first + hour * HOUR, first + hour * HOUR + 1_800.0, 0.0))
    values *= scale * np.exp(0.01 * random.standard_normal(MINUTES))
    return Source(f"fair_may{year}_viewers", Series(first + 60.0 * at, values, 60.0), tuple(shows))


def written(folder: Path, *sources: Source) -> Path:
    for one in sources:
        rows = zip(one.series.times.tolist(), one.series.values.tolist(), strict=True)
        (folder / f"{one.name}.csv").write_text("timestamp,value\n" + "".join(f"{at},{value}\n" for at, value in rows))
        events = "".join(f"{event.start},{event.end},show,{event.name},0\n" for event in one.happenings)
        name = one.name.replace("_viewers", "_events")
        (folder / f"{name}.csv").write_text(f"start,end,type,name,expected\n{events}")
    return folder


def announced(fair: Source) -> tuple[Happening, ...]:
    """Its shows, each announced as a flat level of what it brings within a minute of its start."""
    return tuple(replace(one, expected=400.0, kind="event") for one in fair.happenings)


def long_before(judged: Source) -> Source:
    """Two months up to the judged edition's begin."""
    end = float(judged.series.times[0])
    return Source("long_may2019_viewers", Series(np.array([end - 12 * DAYS, end - 6 * DAYS]), np.ones(2), 6 * DAYS))


def names_of(*sources: Source) -> list[str]:
    return [one.name for one in sources]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("gdq_agdq2019_viewers_1min", "gdq_agdq2020_viewers_1min", True),
        ("gdq_agdq2019_viewers_1min", "gdq_sgdq2020_viewers_1min", True),
        ("gdq_agdq2019_viewers_1min", "gdq_agdq2018_chats_1min", False),
        ("shop2019_orders", "shop2020_orders", True),
        ("shop2019_orders", "fair2020_orders", False),
        ("crane_prod_cpu_0_1min", "crane_prod_cpu_11_1min", False),
        ("pods_120190_cpu", "pods_120200_cpu", False),
    ],
)
def test_editions_are_told_by_a_year_in_a_word_of_their_names(one: str, other: str, alike: bool) -> None:
    assert (kind_of(one) is not None and kind_of(one) == kind_of(other)) is alike


def test_only_what_was_over_before_counts_and_of_that_the_latest() -> None:
    years = [edition(year) for year in range(2012, 2022)]
    judged = years[7]
    assert names_of(*earlier(judged, reversed(years))) == names_of(*years[:7])
    weeks = [Source(one.name, Series(one.series.times[:2] - DAYS, np.ones(2), DAYS), ()) for one in years]
    assert names_of(*earlier(judged, weeks)) == names_of(*weeks[5:7])
    assert names_of(*earlier(judged, [*weeks[:6], long_before(judged)])) == ["long_may2019_viewers"]
    begins = float(judged.series.times[0])
    running = Source("fair_may2018b_viewers", Series(np.array([begins - 60.0, begins]), np.ones(2), 60.0))
    over = Source("fair_may2018c_viewers", Series(np.array([begins - 120.0, begins - 60.0]), np.ones(2), 60.0))
    undated = Source("fair_may2018d_viewers", Series(np.array([0.0, 60.0]), np.ones(2), 60.0, dated=False))
    assert names_of(*earlier(judged, [running, over, undated])) == names_of(over)


def test_a_folder_is_searched_for_editions_beyond_what_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old, traces = (
        written(tmp_path / "old", edition(2018)),
        written(tmp_path, edition(2019), edition(2020), edition(2021)),
    )
    (judged,) = read_suite(traces, only=["2020"], editions=True, history=[old])
    assert names_of(*judged.earlier) == names_of(edition(2018), edition(2019))
    assert [len(one.happenings) for one in judged.earlier] == [4, 4]
    (alone,) = read_suite(traces, only=["2020"])
    assert alone.earlier == ()


def test_what_was_learned_from_earlier_editions_saves_demand_in_the_next(tmp_path: Path) -> None:
    """People who nobody said would come are met by who has seen them come."""
    traces = written(tmp_path, *(edition(year) for year in (2018, 2019, 2020)))
    field = entries(["tidegate-live", "hpa"], sweep=False, variants=[LIVE_ALONE])
    lost = {}
    for editions in (False, True):
        sources = read_suite(traces, only=["2020"], editions=editions)
        rows = suite(sources, Question(), Physics(), field, lags=[180.0], perturbations=["none"])
        lost[editions] = {row["policy"]: row["lost_demand_percent"] for row in rows}
        learned = {row["policy"]: row["learned_from"] for row in rows}
        assert learned["tidegate-live"] == (["fair_may2018_viewers", "fair_may2019_viewers"] if editions else [])
        assert learned["hpa-80"] == []
    assert lost[True]["tidegate-live"] < 0.6 * lost[False]["tidegate-live"]
    assert lost[True]["hpa-80"] == lost[False]["hpa-80"]


def test_an_edition_ten_times_as_large_teaches_the_same_growth() -> None:
    grown = []
    for scale in (1.0, 10.0):
        case = case_of(edition(2020), Question(capacity=5.0 * scale), Physics())
        past = [edition(2018, scale=scale), edition(2019, scale=scale)]
        lesson = lesson_of(past, Question(), Physics(), policy_of(case, LIVE_ALONE, 0.0), case.capacity)
        assert lesson is not None
        assert lesson.editions == ("fair_may2018_viewers", "fair_may2019_viewers")
        found = Growth.unpacked(lesson.grown.packed, 1.0, 0.97, 0.08)
        assert found.steps > 2_000  # of both: five hours are 1,200
        grown.append(found.outlook(180.0)[1])
    assert grown[0] == pytest.approx(grown[1], rel=0.01)


def test_what_several_contestants_learn_alike_is_studied_once_and_by_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def counted(*given: object) -> object:
        asked.append(given)
        return lesson_of(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(suites, "lesson_of", counted)
    judged = Source(edition(2020).name, edition(2020).series, edition(2020).happenings, earlier=(edition(2019),))
    field = entries(["tidegate-live"], sweep=False)
    rows = suite([judged], Question(step=60.0), Physics(), field, lags=[310.0], perturbations=["none", "low20"])
    assert len(rows) == 2 * 2
    assert all(row["learned_from"] == ["fair_may2019_viewers"] for row in rows)
    assert len(asked) == 2, "alone and over an HPA alike; announcements that were wrong before, too, apart"
    outcome_of(judged, Question(step=60.0), Physics(), entries(["hpa", "tidegate"], sweep=False))
    assert len(asked) == 2


@pytest.mark.parametrize("perturbation", ["none", "slips", "high20"])
def test_announcements_of_the_history_are_as_wrong_as_those_of_the_judged_part(perturbation: str) -> None:
    fair = replace(edition(2020), happenings=announced(edition(2020)))
    begin = fair.happenings[2].start - 60.0
    case = case_of(fair, Question(begin=begin, perturbation=perturbation), Physics())
    wrong = [(one.start, one.factor) for one in perturbed(case.happenings, perturbation, Physics().seed)]
    assert case.told is not None
    assert [(one.start, one.factor) for one in case.told] == wrong
    first, last = case.grid.first, float(case.grid.times[-1])
    book = history_of(case, 0, len(case.grid.demand))
    known = book.openings(Key(NAMESPACE, POLICY), QUERY, first - 86_400.0, last + 86_400.0)
    assert tuple(one.start for one in known) == tuple(start for start, _ in wrong if first - 7_200.0 <= start < last)


def test_who_boasted_in_the_edition_before_is_believed_less() -> None:
    fairs = [replace(edition(year), happenings=announced(edition(year))) for year in (2018, 2019)]
    shares = []
    for perturbation in ("none", "boasters"):
        asked = Question(perturbation=perturbation)
        case = case_of(fairs[1], asked, Physics(seed=3))
        lesson = lesson_of(fairs[:1], asked, Physics(seed=3), policy_of(case, LIVE_ALONE, 0.0), case.capacity)
        assert lesson is not None
        shares.append(lesson.grown.mean)
    assert shares[1] < 0.9 * shares[0]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


QUICK = ("--step", 60, "--policies", "tidegate-live,hpa")


def test_the_suite_learns_unless_it_is_told_not_to(tmp_path: Path) -> None:
    traces = written(tmp_path, edition(2019), edition(2020))
    given = ("suite", "--traces", traces, "--only", "2020", *QUICK)
    rows = {flag: json.loads(run(*given, *flag).stdout) for flag in ((), ("--no-history",))}
    assert {tuple(row["learned_from"]) for row in rows[()] if row["policy"] == "tidegate-live"} == {
        ("fair_may2019_viewers",)
    }
    assert all(row["learned_from"] == [] for row in rows["--no-history",])


def test_an_edition_that_is_given_is_learned_from_and_told(tmp_path: Path) -> None:
    folder = written(tmp_path, edition(2019), edition(2020))
    of = {year: folder / f"fair_may{year}_viewers.csv" for year in (2019, 2020)}
    report = folder / "report.html"
    done = run("--demand", of[2020], "--history", of[2019], "--report", report, *QUICK)
    says = "tidegate-live and tidegate-live+hpa-90 had learned from: fair_may2019_viewers."
    assert (done.exit_code, says in done.output, says in report.read_text()) == (0, True, True), done.output
    later = run("--demand", of[2019], "--history", of[2020], *QUICK)
    assert later.exit_code == 2
    assert "does not end before fair_may2019_viewers begins" in later.output


def test_a_folder_of_earlier_editions_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        read_suite(written(tmp_path, edition(2020)), editions=True, history=[tmp_path / "none"])


def test_two_processes_learn_what_one_learns() -> None:
    asked, physics = Question(step=60.0), Physics()
    case = case_of(edition(2020), asked, physics)
    policy = policy_of(case, LIVE_ALONE, 0.0)
    studies = [suites.Study((edition(year),), asked, physics, policy, case.capacity) for year in (2018, 2019)]
    one, two = (dict(suites._all(suites.Study.lesson, studies, jobs)) for jobs in (1, 2))
    assert one == two
    assert one[0] != one[1]
