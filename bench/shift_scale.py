"""How the capacity shift scales: seconds and memory for one plan of a pool.

    python bench/shift_scale.py [--output json]

Beside each plan stands what a planner without promises would say: all work of the lenders may stop at once for
whatever is asked for, biggest first, notice and deadlines and guarantees forgotten. It is quick, and it is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.model import Drain, Lane, Member, MemberKind, Need, NeedStep, Pool, PoolFacts, amount_at
from tidegate.planning.shift.plan import plan_pool

NOW = 1_794_240_000.0
SIZES = tuple(Resources(1000 * cores, 1024 * gib) for cores, gib in ((1, 2), (2, 4), (4, 8), (4, 16)))
GOAL = 1.0
"""Seconds for any of them."""

Case = tuple[Pool, PoolFacts, list[Need]]


def case(*, jobs: int, needs: int, cores: int, lenders: int = 3, seed: int = 1) -> Case:
    """A night of 24 h: needs of half an hour to four hours, of up to so many cores each."""
    dice = random.Random(seed)
    shop = frozenset({"shop"})
    borrowing = [Lane(name, guarantee=5, allowed_namespaces=shop) for name in ("trading", "ads", "search")]
    drains = {"data": Drain(600.0, 900.0), "reports": Drain(120.0, 300.0), "training": Drain(0.0, 900.0)}
    lending = [Lane(name, guarantee=5, drain=drain) for name, drain in list(drains.items())[:lenders]]
    members = []
    for number in range(jobs):
        ref, size = Ref("batch/v1", "Job", "warehouse", f"job-{number:03}"), dice.choice(SIZES)
        since = NOW - dice.choice([0.0, 200.0, 800.0, 9000.0])
        members.append(Member(ref, dice.choice(lending).name, MemberKind.JOB, size, 1, size, since))
    asked = []
    for number in range(needs):
        start = NOW + 60.0 * dice.randint(30, 22 * 60)
        steps = (
            NeedStep(start, start + 60.0 * dice.randint(30, 240), SIZES[0].times(dice.randint(cores // 2, cores))),
        )
        asked.append(Need(f"shop/core/t{number:02}@{start:.0f}", dice.choice(borrowing).name, "shop", steps))
    capacity = total(m.used for m in members) + SIZES[0].times(20)
    return Pool("hangzhou", (*borrowing, *lending)), PoolFacts(capacity, {}, tuple(members)), asked


def greedy(facts: PoolFacts, needs: list[Need]) -> int:
    """Units stopped, summed over all instants, when nothing is promised to anybody."""
    stopped = 0
    units = sorted((m.unit for m in facts.members), key=lambda unit: -unit.cpu)
    free = facts.capacity - total(units)
    for at in sorted({t for need in needs for step in need.steps for t in (step.start, step.end)}):
        lack = total(amount_at(need.steps, at) for need in needs) - free
        for unit in units:
            if lack.nothing:
                break
            lack, stopped = lack - unit, stopped + 1
    return stopped


def measured(name: str, given: Case) -> dict[str, object]:
    pool, facts, needs = given
    started = time.perf_counter()
    plan = plan_pool(pool, facts, needs, NOW)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    greedy(facts, needs)
    return {
        "case": name,
        "seconds": round(seconds, 3),
        "greedy_seconds": round(time.perf_counter() - started, 4),
        "stopped": len(plan.lendings),
        "refused": len(plan.refusals),
        "sure": all(refusal.sure for refusal in plan.refusals),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    output = parser.parse_args().output
    plan_pool(*case(jobs=1, needs=1, cores=1), NOW)  # the solver is loaded
    rows = [
        measured("nothing is lent", case(jobs=300, needs=20, cores=2)),
        measured("80 Jobs, 1 need", case(jobs=80, needs=1, cores=60, lenders=1)),
        measured("300 Jobs, 20 needs, 6 lanes, 24 h", case(jobs=300, needs=20, cores=60)),
        measured("the same, one is refused", case(jobs=300, needs=20, cores=150)),
        measured("the same, many are refused", case(jobs=300, needs=20, cores=300)),
    ]
    if output == "json":
        print(json.dumps(rows))
        return
    print(f"{'':36}{'seconds':>9}{'greedy':>9}{'stopped':>9}{'refused':>9}{'MiB':>8}   (goal: {GOAL:g} s)")
    for row in rows:
        print(
            f"{row['case']:36}{row['seconds']:>9}{row['greedy_seconds']:>9}{row['stopped']:>9}{row['refused']:>9}"
            f"{row['peak_rss_mib']:>8}"
        )


if __name__ == "__main__":
    main()
