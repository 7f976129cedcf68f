"""How the capacity shift scales: processor time and memory for one timetable, and whether equal inputs give equal ones.

    python bench/shift_scale.py [--output json] [--part sizes|hard|large|equal]

``sizes``: nights without deadlines. ``hard``: pools of many sizes with deadlines and promises, whose owners want a lot.
``large``: 10,000 nodes, 100,000 pods, 5,000 Jobs. ``equal``: the same timetables made by two processes at once on one
core, beside a load of ten; their digests have to be equal.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen, Standing, facts_of
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.merge import fewer
from tidegate.planning.shift.model import (
    MEMBERS_MOST,
    Drain,
    Lane,
    LaneUse,
    Mark,
    Member,
    MemberKind,
    MemberRef,
    Need,
    NeedStep,
    Notice,
    Pool,
    PoolFacts,
    Promised,
    Work,
    WorkSpec,
    base_of,
)
from tidegate.planning.shift.pieces import stocks_of
from tidegate.planning.shift.plan import NEEDS_MOST, timetable
from tidegate.planning.shift.present import present
from tidegate.planning.shift.step import step

NOW = 1_794_240_000.0
CORE = Resources(1000, 1024)
SIZES = tuple(Resources(1000 * cores, 1024 * gib) for cores, gib in ((1, 2), (2, 4), (4, 8), (4, 16)))
LOAD, CORE_NUMBER = 10, 0

Row = dict[str, object]


def night(*, jobs: int, needs: int, cores: int, lenders: int = 3, seed: int = 1) -> TimetableInputs:
    """A night of 24 h: needs of half an hour to four hours, of up to so many cores each; work without deadlines."""
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
    pool = Pool("hangzhou", (*borrowing, *lending))
    return TimetableInputs(pool, PoolFacts(capacity, {}, tuple(members)), tuple(asked), (), NOW, 45.0)


def hard(*, jobs: int, owners: int, seed: int, works: int = 6) -> TimetableInputs:
    """Jobs of many sizes with deadlines, a quarter of them out and promised; owners that want more than there is."""
    dice = random.Random(seed)
    names = [f"work-{n}" for n in range(works)]
    specs = {name: WorkSpec(NOW + 3600.0 * dice.choice((4, 6, 8))) for name in names}
    refs = tuple(MemberRef(name, "batch/v1", "Job", "data", None, (), spec) for name, spec in specs.items())
    trading = Lane("trading", 30, frozenset({"shop"}))
    data = Lane("data", 10, drain=Drain(600.0, 900.0, 120.0), members=refs)
    members = []
    for number in range(jobs):
        size = Resources(1000 * dice.choice((2, 4, 5, 7, 9, 13)), 1024 * dice.choice((4, 9, 16, 30)))
        mark = None
        if dice.random() < 0.25:
            promise = Promised(NOW + 60.0 * dice.randint(20, 240), 1)
            mark = Mark(1, 0, NOW - 900, (), (Notice(0, NOW - 900),), NOW - 600, NOW + 600, (promise,))
        members.append(
            Member(
                Ref("batch/v1", "Job", "data", f"job-{number:03}"), "data", MemberKind.JOB, size,
                level=0 if mark else 1, used=Resources() if mark else size,
                running_since=NOW - dice.choice((60.0, 600.0, 5000.0)),
                saved_at=NOW - dice.choice((100.0, 3000.0)), saved_every=dice.choice((300.0, 3600.0)),
                work=dice.choice(names), mark=mark,
            )
        )  # fmt: skip
    use = total(m.unit for m in members)
    capacity = Resources(use.cpu * 115 // 100, use.memory * 115 // 100)
    left = {n: Work(dice.choice((0.3, 0.6, 0.8)) * jobs / works * 14_400.0, specs[n].deadline) for n in names}
    asked = []
    for owner in range(owners):
        at, steps = NOW + 60.0 * dice.randint(0, 300), []
        for _ in range(dice.randint(1, 4)):
            end = at + dice.choice((120.0, 600.0, 1800.0))
            steps.append(NeedStep(at, end, capacity.percent(dice.randint(2, 20))))
            at = end
        asked.append(Need(f"shop/core/t{owner}@{steps[0].start:.0f}", "trading", "shop", tuple(steps)))
    lanes = {"trading": LaneUse(capacity.percent(5))}
    facts = PoolFacts(capacity, lanes, tuple(members), left, Resources(3000, 3000))
    return TimetableInputs(Pool("hard", (trading, data)), facts, tuple(asked), (), NOW, 45.0)


def large_seen(*, nodes: int, pods: int, jobs: int) -> tuple[Pool, PoolSeen]:
    """A pool as an adapter would see it."""
    dice = random.Random(1)
    data = Lane("data", 5, drain=Drain(600.0, 900.0, 120.0))
    pool = Pool("large", (Lane("trading", 20, frozenset({"shop"})), data), node_selector=(("pool", "large"),))
    members, occupancy = [], {}
    for number in range(jobs):
        ref, size = Ref("batch/v1", "Job", "data", f"job-{number}"), dice.choice(SIZES)
        members.append(MemberSeen(ref, "data", "nightly", MemberKind.JOB, size, 1, saved_at=NOW - 300 * dice.random()))
        occupancy[Holder("data", "Job", ref.name)] = Occupancy(size, NOW - dice.choice((60.0, 5000.0)))
    for number in range((pods - jobs) // 10):
        occupancy[Holder(f"team-{number % 400}", "Deployment", f"app-{number}")] = Occupancy(CORE, 0.0)
    node = Resources(32_000, 131_072)
    return pool, PoolSeen(node.times(nodes), occupancy, tuple(members), (node,) * nodes)


def large_inputs(pool: Pool, seen: PoolSeen, *, owners: int, factor: float) -> TimetableInputs:
    """So many owners that want ``factor`` times what is free, at different times of a day."""
    dice = random.Random(2)
    targets = [
        Standing("trading", f"shop/core/t{n}", Holder("shop", "Deployment", f"t{n}"), CORE, 2, 2) for n in range(owners)
    ]
    facts = facts_of(pool, seen, targets, {}, {})
    free = facts.capacity - facts.reserve - total(base_of(lane, facts) for lane in pool.lanes)
    asked = []
    for owner in range(owners):
        start = NOW + 60.0 * dice.randint(10, 600)
        sizes = [int(free.cpu / 1000 * factor / owners * dice.uniform(0.5, 6)) + 1 for _ in range(4)]
        steps = tuple(
            NeedStep(start + 900.0 * n, start + 900.0 * (n + 1), CORE.times(size)) for n, size in enumerate(sizes)
        )
        asked.append(Need(f"shop/core/t{owner}@{start:.0f}", "trading", "shop", steps))
    return TimetableInputs(pool, facts, tuple(asked), (), NOW, 45.0)


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work()
    return round(time.process_time() - began, 2)


def measured(name: str, inputs: TimetableInputs) -> Row:
    made: list[Timetabled] = []
    seconds = timed(lambda: made.append(timetable(inputs)))
    stocks = stocks_of(inputs.pool, inputs.facts, NOW)
    plan = made[0].plan
    return {
        "case": name,
        "pieces": sum(len(stock.pieces) for stock in stocks),
        "stocks": len(fewer(stocks)),
        "needs": len(inputs.needs),
        "cpu": seconds,
        "stopped": len(plan.lendings),
        "refused": len({refusal.key for refusal in plan.refusals}),
        "unsure": sum(not refusal.sure for refusal in plan.refusals),
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def sizes() -> list[Row]:
    return [
        measured("nothing is lent", night(jobs=300, needs=20, cores=2)),
        measured("80 Jobs, 1 need", night(jobs=80, needs=1, cores=60, lenders=1)),
        measured("300 Jobs, 20 needs, 6 lanes, 24 h", night(jobs=300, needs=20, cores=60)),
        measured("the same, one is refused", night(jobs=300, needs=20, cores=150)),
        measured("the same, many are refused", night(jobs=300, needs=20, cores=300)),
    ]


def hard_pools() -> list[Row]:
    rows = [
        measured(f"hard, {jobs} Jobs, seed {seed}", hard(jobs=jobs, owners=owners, seed=seed))
        for jobs, owners, seeds in ((8, 4, 6), (12, 5, 4), (20, 6, 4), (60, 12, 12), (150, 16, 4), (300, 20, 4))
        for seed in range(seeds)
    ]
    worst = max(rows, key=lambda row: float(str(row["cpu"])))
    return [*rows, {**worst, "case": f"WORST: {worst['case']}"}]


def large() -> list[Row]:
    began = time.process_time()
    pool, seen = large_seen(nodes=10_000, pods=100_000, jobs=MEMBERS_MOST)
    rows: list[Row] = [{"case": "10,000 nodes and 100,000 pods", "built": round(time.process_time() - began, 2)}]
    for owners, factor in ((300, 0.5), (300, 3.0), (NEEDS_MOST, 3.0)):
        rows.append(_whole_way(pool, seen, owners, factor))
    return rows


def _whole_way(pool: Pool, seen: PoolSeen, owners: int, factor: float) -> Row:
    """From what was seen to the step, beside the timetable."""
    inputs = large_inputs(pool, seen, owners=owners, factor=factor)
    row = measured(f"{MEMBERS_MOST} Jobs, {owners} needs x{factor}", inputs)
    made = timetable(inputs)
    plan = present(replace(inputs, standing=made))
    return row | {
        "facts": timed(lambda: facts_of(pool, seen, [], {}, {})),
        "digest": timed(lambda: replace(inputs, now=NOW)),
        "pickled": timed(lambda: pickle.dumps(inputs)),
        "present": timed(lambda: present(replace(inputs, standing=made))),
        "without": timed(lambda: present(inputs)),
        "step": timed(lambda: step(pool, inputs.facts, plan, NOW)),
    }


# ---- equal inputs, equal timetables


def digests(answers: multiprocessing.Queue[list[str]]) -> None:
    """Timetables of some pools, by their digests, on the one core."""
    _stay()
    cases = [hard(jobs=60, owners=12, seed=seed) for seed in range(4)]
    answers.put([timetable(inputs).result for inputs in [*cases, night(jobs=300, needs=20, cores=300)]])


def burn() -> None:
    """A load, until it is ended."""
    _stay()
    while True:
        pass


def _stay() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CORE_NUMBER})


@contextmanager
def loaded(count: int) -> Iterator[None]:
    spawn = multiprocessing.get_context("spawn")
    load = [spawn.Process(target=burn, daemon=True) for _ in range(count)]
    for one in load:
        one.start()
    try:
        yield
    finally:
        for one in load:
            one.kill()


def equal() -> list[Row]:
    spawn = multiprocessing.get_context("spawn")

    def asked(count: int) -> list[list[str]]:
        answers: multiprocessing.Queue[list[str]] = spawn.Queue()
        solvers = [spawn.Process(target=digests, args=(answers,)) for _ in range(count)]
        for one in solvers:
            one.start()
        found = [answers.get() for _ in solvers]
        for one in solvers:
            one.join()
        return found

    began = time.monotonic()
    (alone,) = asked(1)
    free = time.monotonic() - began
    with loaded(LOAD):
        began = time.monotonic()
        beside = asked(2)
    return [
        {"case": f"{len(alone)} pools by one process, an idle core", "seconds": round(free, 1)},
        {
            "case": f"by two at once beside a load of {LOAD}",
            "seconds": round(time.monotonic() - began, 1),
            "equal": all(one == alone for one in beside),
        },
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {"sizes": sizes, "hard": hard_pools, "large": large, "equal": equal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--part", choices=sorted(PARTS), action="append")
    given = parser.parse_args()
    timetable(night(jobs=1, needs=1, cores=1))  # the solver is loaded
    rows = {name: PARTS[name]() for name in given.part or PARTS}
    if given.output == "json":
        print(json.dumps(rows))
        return
    print(f"at most {MEMBERS_MOST} pieces of work and {NEEDS_MOST} needs; cpu in seconds")
    for name, table in rows.items():
        print(f"\n{name}")
        for row in table:
            print(f"  {row['case']!s:46}" + "  ".join(f"{key} {value}" for key, value in row.items() if key != "case"))
    if any(row.get("equal") is False for table in rows.values() for row in table):
        sys.exit("equal inputs gave different timetables")


if __name__ == "__main__":
    main()
