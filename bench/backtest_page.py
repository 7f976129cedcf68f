"""Writes docs/benchmarks.md from files of rows, as bench/backtest_table.py and bench/forecast_coverage.py leave them.

    python bench/backtest_page.py --rows rows.jsonl [--rows more.jsonl] --write docs/benchmarks.md

Of two rows of one play the later one counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import choose_live
import choose_payments
from backtest_table import BENCHES, Bench, rows_of
from choose_payments import loss_at
from lent_reserve import FADE, KEPT, QUANTILE

Row = dict[str, Any]

FRONT = """# Where Tidegate stands on real demand

<!-- Written by bench/backtest_page.py: play anew with bench/backtest_table.py, then let it write this page. -->

Each table is one demand on one simulated cluster: units start in 180 s unless said otherwise, the largest demand takes
200 units, the metric is the demand itself (a mean of 60 s, 30 s old), and a step takes 15 s. Every contestant is told
the same announcements. [backtest.md](backtest.md) says what the figures and the contestants are.

*lost* is demand that met no ready unit. *cost* is what was paid for, over a plan that knows the demand and has the same
start lag. A cost below 1 says that demand was refused. `tidegate` alone moves a workload without an HPA, whose owner
keeps it high enough for nearly all of the time without events; outside events nothing moves it but `live`.

`tidegate-live` follows demand at all times (`spec.live`) by what it has learned until then: of earlier editions of the
same series, of the two weeks before the judged part, and of the trace as it goes. Below each table is what it had
learned from; *new* had learned from nothing. The constants of that rule were looked at on these traces; data that
nobody has looked at will judge them. Announcements are right unless said otherwise: the largest demand within each
event is taken from the trace itself, which no announcement of a match or a show would be.
"""

DOUBLE_11_2020 = """## Double 11, 2020

There is no curve of that night to play. Published are the peak (583,000 orders a second, 26 s after midnight) and sales
of eleven days together, at half past midnight and at the end; a running total within the night, which the curve of 2019
goes through, is not. The curve of 2019, made 7 % higher to reach that peak, is the same demand in units: its tables
above, announced right, 20 % too low and 20 % too high, are what it would come to. The year before 2019 is played as
what was published of it, the mean rate between two running totals.
"""

LIVE = "tidegate-live"


def page(rows: Sequence[Row]) -> Iterator[str]:
    """The page, line by line."""
    played = list({(row["bench"], row["entry"]): row for row in rows if "bench" in row}.values())
    covered = list({(row["coverage"], row["kind"]): row for row in rows if "coverage" in row}.values())
    lent = [row for row in rows if "reserve" in row]
    yield FRONT
    days = datetime.now(UTC).strftime("%Y-%m-%d")
    commits = ", ".join(sorted({row["commit"] for row in (*played, *covered, *lent)}))
    yield "```text"
    yield "python bench/backtest_table.py --traces DIR --rows rows.jsonl"
    yield "python bench/forecast_coverage.py --traces DIR --rows rows.jsonl"
    yield "python bench/choose_live.py --traces DIR --rows rows.jsonl"
    yield "python bench/choose_payments.py --traces DIR --rows rows.jsonl"
    yield "python bench/lent_reserve.py --traces DIR --rows rows.jsonl"
    yield "python bench/backtest_page.py --rows rows.jsonl --write docs/benchmarks.md"
    yield "```"
    yield ""
    yield f"Written {days}; played at commit {commits}."
    yield from chosen([row for row in rows if "part" in row])
    yield from chosen_for_payments([row for row in rows if "edition" in row])
    for bench in BENCHES:
        own = sorted((row for row in played if row["bench"] == bench.name), key=_order)
        if own:
            yield from table(bench, own)
        if bench.name == "double-11-2018-high":
            yield f"\n{DOUBLE_11_2020.rstrip()}"
    yield from at_equal_cost(played)
    yield from reserves(lent)
    yield from wrong(played)
    yield from coverage(covered)


def chosen(rows: Sequence[Row]) -> Iterator[str]:
    """How quantile and fade were chosen."""
    if not rows:
        return
    yield "\n## How quantile and fade were chosen\n"
    yield (
        "On parts of traces that end before anything below is judged, lost % / cost: the least of the mean cost and"
        f" {choose_live.PRICE:g} times the mean percentage that is lost (machines cost some 2 % of what they sell)."
        " Each part begins with nothing learned but its own history, which loses more than whoever knows an edition.\n"
    )
    yield from choose_live.table(rows)
    yield from _played_at(rows)


def chosen_for_payments(rows: Sequence[Row]) -> Iterator[str]:
    """How quantile and fade of payments were chosen."""
    if not rows:
        return
    yield "\n## How quantile and fade were chosen for payments\n"
    yield (
        "Payments come in bursts that nobody foresees: a quantile that is right for viewers costs too much there. On"
        " earlier editions, of which none is judged below and each begins with nothing learned, lost % / cost, and by"
        " how much less is lost than by an HPA that costs the same: the largest mean of that.\n"
    )
    yield from choose_payments.table(rows)
    yield from _played_at(rows)


def _played_at(rows: Sequence[Row]) -> Iterator[str]:
    """A choice is made more seldom than plays are."""
    commits = sorted({row["commit"] for row in rows if "commit" in row})
    if commits:
        yield f"\nPlayed at commit {', '.join(commits)}."


def table(bench: Bench, own: Sequence[Row]) -> Iterator[str]:
    """All who played one demand."""
    opening = any(row.get("at_first") is not None for row in own)
    ours = [row for row in own if row["policy"].startswith("tidegate")]
    yield f"\n## {bench.title}\n"
    yield (
        "| policy | setting | lost % | lost in events % | cost | short, s |" + opening * " first 96 s % | 10 min % |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: |" + opening * " ---: | ---: |"
    for row in own:
        yield (
            f"| {_name(row)} | {row['headroom']:.2f} | {row['lost_demand_percent']:.3f}"
            f" | {row['lost_in_event_windows_percent']:.3f} | {row['cost_ratio']:.3f}"
            f" | {row['underprovisioned_seconds']:.0f} |"
            + opening
            * f" {_figure(row, 'at_first')} | {_figure(row, 'soon')} |"
        )
    if bench.perturbation != "none":
        yield "\nWhoever is told of nothing, an HPA and a forecaster, does as under a right announcement."
    if not any(row["policy"].startswith("tidegate+") for row in ours):
        yield "\nTidegate over an HPA was not played here yet."
    if ours:
        spent = sum(row["cpu_seconds"] for row in ours) / len(ours)
        learned = sorted(
            {", ".join(f"`{one}`" for one in row["learned_from"]) for row in ours if row.get("learned_from")}
        )
        yield (
            f"\n{ours[0]['steps'] * 15 / 86_400:.1f} days; Tidegate's plays took {spent:.0f} s of CPU each."
            + "".join(f" Learned from: {one}." for one in learned)
        )


def _name(row: Row) -> str:
    quantile, fade = row.get("quantile"), row.get("fade")
    return (
        str(row["policy"])
        + (f", quantile {quantile:g}" if quantile is not None else "")
        + (f", fade {100 * fade:g} % a minute" if fade is not None else "")
        + ", new" * bool(row.get("new"))
    )


def _order(row: Row) -> tuple[bool, str, bool, float, float]:
    quantile = row.get("quantile") or 1.0
    return not row["policy"].startswith("tidegate"), row["policy"], bool(row.get("new")), -quantile, -row["headroom"]


def _figure(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else f"{value:.2f}"


# ---- what follows from the tables


def at_equal_cost(rows: Sequence[Row]) -> Iterator[str]:
    """Loss on payments beside an HPA that costs the same, at the quantile that costs nearest to one at 70 %."""
    found = []
    for bench in BENCHES:
        own = [row for row in rows if row["bench"] == bench.name]
        rivals = [row for row in own if row["policy"].startswith("hpa-") and row["policy"] != "hpa-static"]
        aim = next((row["cost_ratio"] for row in rivals if row["policy"] == "hpa-70"), None)
        if not bench.name.startswith("payments") or aim is None:
            continue
        for policy in (LIVE, f"{LIVE}+hpa-90"):
            ours = [row for row in own if row["policy"] == policy and not row.get("new")]
            if not ours:
                continue
            row = min(ours, key=lambda one: abs(one["cost_ratio"] - aim))
            theirs = loss_at(rivals, row["cost_ratio"])
            if theirs is not None:
                found.append((bench.title, row, theirs, 1.0 - row["lost_demand_percent"] / theirs))
    if not found:
        return
    yield "\n## Marathon payments, beside an HPA that costs the same\n"
    yield "One setting for all editions, of those played the one that costs nearest to an HPA at 70 %. The HPA lies"
    yield "between two targets that were played, its loss on a straight line between theirs.\n"
    yield "| edition | policy | cost | an HPA: lost % | Tidegate: lost % | less lost |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for title, row, theirs, less in found:
        edition, ours = title.removeprefix("Marathon payments, "), row["lost_demand_percent"]
        yield f"| {edition} | {_name(row)} | {row['cost_ratio']:.3f} | {theirs:.3f} | {ours:.3f} | {less:.1%} |"
    for policy in dict.fromkeys(row["policy"] for _, row, _, _ in found):
        less = [one[3] for one in found if one[1]["policy"] == policy]
        yield f"| mean of {len(less)} | {policy} | | | | {sum(less) / len(less):.1%} |"


RESERVE = f"""Half of what an HPA at 70 % loses on payments is not in the data 180 s before: only units ready within
seconds have it. Here a number of units stands ready beside the plan and works for data processing. Trading has them
some seconds after demand has passed the ready units, and keeps them for {KEPT / 60:g} min after the last need. The
table has the smallest reserve with which half is lost, beside a plan at quantile {QUANTILE:g} and a fade of
{100 * FADE:g} % a minute that does not know of it. *lent* is the cost where trading pays while it has the units, *idle*
where it pays at all times. Computed over the plan that was played: no lane of a pool gives units back within seconds,
because pods have to start.
"""


def reserves(rows: Sequence[Row]) -> Iterator[str]:
    """What a reserve that is lent to data processing comes to on payments, that loses half of an HPA at 70 %."""
    if not rows:
        return
    yield "\n## Marathon payments, with a reserve that is lent\n"
    yield RESERVE
    yield (
        "| edition | HPA 70: lost %, cost | plan alone: lost %, cost | there after | units | lost % | lent | idle"
        " | calls a day | of its time |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        hpa, base, half = row["hpa"], row["base"], row["halved"]
        found = (
            "none | | | | | |"
            if half is None
            else f"{half['units']} | {half['lost']:.2f} | {half['cost_lent']:.3f} | {half['cost_idle']:.2f}"
            f" | {half['calls_a_day']:.0f} | {half['share_taken']:.1%} |"
        )
        yield (
            f"| {row['title'].removeprefix('Marathon payments, ')} | {hpa['lost']:.2f}, {hpa['cost']:.3f}"
            f" | {base['lost']:.2f}, {base['cost']:.3f} | {row['back']:g} s | {found}"
        )


WRONG = (
    ("world-cup", "announced right"),
    ("world-cup-first", "the same, and nothing was seen before the judged half"),
    ("world-cup-slips", "kick-offs slip as a stage's do (50 min in the median)"),
    ("world-cup-phantoms", "one event in four is cancelled, ten minutes after its start"),
    ("world-cup-boasters", "one host in five claims double"),
)


def wrong(rows: Sequence[Row]) -> Iterator[str]:
    """What a first event, a slip, a phantom and a boaster cost, alone on the World Cup's judged half."""
    of = {
        row["bench"]: row
        for row in rows
        if row["policy"] == LIVE and row.get("quantile") is None and not row.get("new")
    }
    right = of.get("world-cup")
    if right is None or len(of.keys() & {name for name, _ in WRONG}) < 2:
        return
    yield "\n## What a first event, a slip, a phantom and a boaster cost\n"
    yield "`tidegate-live`, alone, on the judged half of the World Cup; of the first event its own window.\n"
    yield "| announcements | lost % | cost | dearer by | first event: lost % | cost |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, says in WRONG:
        row = of.get(name)
        if row is not None:
            dearer, first = row["cost_ratio"] / right["cost_ratio"] - 1.0, row.get("first_event")
            own = f"{first['lost_demand_percent']:.3f} | {first['cost_ratio']:.3f}" if first else " | "
            yield f"| {says} | {row['lost_demand_percent']:.3f} | {row['cost_ratio']:.3f} | {dearer:+.1%} | {own} |"


COVERAGE = """The share of readings, in percent, that were no larger than what had been told of their time a horizon
before, on editions of which nothing had been learned; in brackets the same within the windows of events. *Quantile
alone* is told at 90 % without the fading of what was measured before, *as it comes* at 97 % with it, which covers more
after a fall."""

SHOWN = (30.0, 60.0, 180.0, 300.0, 600.0, 900.0, 1_800.0)
"""Horizons of the table of coverage, in seconds."""


def coverage(rows: Sequence[Row]) -> Iterator[str]:
    """Whether no more came than was told."""
    if not rows:
        return
    yield "\n## Coverage\n"
    yield COVERAGE
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        yield f"\n{kind[0].upper()}{kind[1:]}, {own[0]['quantile']:.0%} is wanted:\n"
        yield "| signal | " + " | ".join(f"{_span(horizon)}" for horizon in SHOWN) + " |"
        yield "| --- |" + " ---: |" * len(SHOWN)
        for row in own:
            of = {one["horizon_seconds"]: one for one in row["horizons"]}
            yield f"| {row['title']} | " + " | ".join(_covered(of.get(horizon)) for horizon in SHOWN) + " |"


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


def _covered(one: Row | None) -> str:
    if one is None or one["at_the_end"] is None:
        return ""
    inside = one["in_event_windows"]
    return f"{100 * one['at_the_end']:.1f}" + (f" ({100 * inside:.1f})" if inside is not None else "")


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=Path, action="append", required=True, help="a file of rows; may be given again")
    parser.add_argument("--write", type=Path, required=True)
    asked = parser.parse_args()
    rows = [row for file in asked.rows for row in rows_of(file)]
    asked.write.write_text("\n".join(page(rows)) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
