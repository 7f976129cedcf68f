"""How the planner scales: one day of shows on many workloads, from raw objects to a plan.

    python bench/plan_scale.py --events 60000 --workloads 500 [--output json]

Prints, beside the goals: seconds without parsing, seconds of parsing, peak memory of the process; and of a plan after
one changed event the milliseconds until the sums are up, the milliseconds in which all targets are decided, and the
longest slice of any plan, the first included. All are CPU time of the process: a busy machine changes none of them by
much. Events are spread over the day with a rush in the evening, policies hold five workloads each.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from tidegate.api.parse import parse_live_event, parse_policy
from tidegate.planning.decision import Plan
from tidegate.planning.model import Announcement, Key, Observed, Policy
from tidegate.planning.plan import Planner, Planning
from tidegate.planning.world import World
from tidegate.shell.runtime import COLLECTED

DAY = 86_400.0
NOW = 1_794_240_000.0
GOALS = {"seconds": 3.0, "parse_seconds": 6.0, "peak_rss_mib": 600.0, "longest_slice_ms": 20.0}
SUMS_GOALS = {500: 5.0, 2000: 8.0}
DECIDED_GOALS = {500: 100.0}
"""Milliseconds, by number of workloads."""
SLICE = 25
"""Targets that are decided before the event loop may do something else."""
HOURS = [1] * 8 + [2] * 10 + [6] * 5 + [3]


def raw_policies(workloads: int) -> Iterator[dict[str, Any]]:
    """ScalingPolicies of five workloads each."""
    for number in range((workloads + 4) // 5):
        targets = [
            {
                "name": f"w{index}",
                "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"w{number}-{index}"},
                "capacity": {"orders_per_second": 20 + index}
                if index % 2
                else {"concurrent_viewers": 400 + 50 * index},
                "max": 100_000,
            }
            for index in range(min(5, workloads - number * 5))
        ]
        yield {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "ScalingPolicy",
            "metadata": {"name": "core", "namespace": f"shop-{number}", "uid": str(number), "generation": 1},
            "spec": {"mode": "Enforce", "targets": targets},
        }


def raw_events(count: int, policies: int, *, seed: int = 11, now: float = NOW) -> Iterator[dict[str, Any]]:
    """LiveEvents of a day: an hour or a few each, most of them small."""
    dice = random.Random(seed)
    for number in range(count):
        start = now + dice.choices(range(24), HOURS)[0] * 3600 + dice.randrange(0, 3600, 60)
        viewers = int(dice.paretovariate(1.2) * 50)
        yield {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "LiveEvent",
            "metadata": {
                "name": f"show-{number}",
                "namespace": f"shop-{number % policies}",
                "uid": str(number),
                "generation": 1,
            },
            "spec": {
                "schedule": {
                    "startTime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start + 8 * 3600)),
                    "timeZone": "Asia/Shanghai",
                    "durationSeconds": dice.choice([3600, 5400, 7200, 10800, 14400]),
                },
                "expected": {"concurrent_viewers": viewers, "orders_per_second": max(1, viewers // 50)},
                "spreadPercent": dice.choice([20, 30, 50]),
                "profile": dice.choice(["show", "flat", "flash-sale"]),
                "moments": [
                    {
                        "name": "link",
                        "signal": "orders_per_second",
                        "offsetSeconds": 1800,
                        "durationSeconds": 90,
                        "factor": "3.0",
                    }
                ],
                "policyRef": {"name": "core"},
            },
        }


def parse(objects: Iterator[dict[str, Any]]) -> dict[Key, Announcement]:
    """Announcements by key."""
    found = {}
    for obj in objects:
        event = parse_live_event(obj)
        found[event.key] = event.announcement(NOW - DAY, NOW + 2 * DAY)
    return found


def measure(events: int, workloads: int) -> dict[str, float]:
    """One run; seconds, MiB and milliseconds."""
    policies: dict[Key, Policy] = {p.key: p for p in map(parse_policy, raw_policies(workloads))}
    raw = list(raw_events(events, len(policies)))
    begin = time.process_time()
    announcements = parse(iter(raw))
    parse_seconds = time.process_time() - begin
    del raw  # the operator keeps no raw objects either
    gc.set_threshold(*COLLECTED)  # as the operator does at its start
    gc.freeze()  # and after its first list
    observed = {(p.key, t.name): Observed(level=2, ready=2, desired=2) for p in policies.values() for t in p.targets}
    world = World(policies, announcements, observed)
    planner = Planner(world.settings)
    begin = time.process_time()
    _, first = drive(planner.begin(world, NOW))
    seconds = time.process_time() - begin
    sums, decided, slices = [], [], first
    for number in range(0, events, max(1, events // 50)):
        key = Key(f"shop-{number % len(policies)}", f"show-{number}")
        old = announcements[key]
        announcements[key] = replace(old, expected=tuple((s, v * 1.5) for s, v in old.expected))
        begin = time.process_time()
        planning = planner.begin(world, NOW + 1 + number / events, changed=frozenset([key]))
        planning.bring_up()
        sums.append((time.process_time() - begin) * 1000)
        plan, steps = drive(planning)
        decided.append(sum(steps))
        slices += steps
        assert len(plan.targets) == workloads
    return {
        "seconds": round(seconds, 3),
        "parse_seconds": round(parse_seconds, 3),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "sums_ms": round(statistics.median(sums), 2),
        "sums_worst_ms": round(max(sums), 2),
        "decided_ms": round(statistics.median(decided), 1),
        "decided_worst_ms": round(max(decided), 1),
        "longest_slice_ms": round(max(slices), 1),
    }


def drive(planning: Planning) -> tuple[Plan, list[float]]:
    """The plan, and the milliseconds of each of its slices."""
    slices, done = [], False
    while not done:
        begin = time.process_time()
        done = planning.step(SLICE)
        slices.append((time.process_time() - begin) * 1000)
        if planning.rebuilt:
            gc.freeze()  # sums that are made from nothing stay for hours: looking through them again and again costs
    begin = time.process_time()
    plan = planning.plan
    slices.append((time.process_time() - begin) * 1000)
    return plan, slices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--workloads", type=int, default=500)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    figures = measure(args.events, args.workloads)
    if args.output == "json":
        print(json.dumps(figures))
        return
    goals = {**GOALS, "sums_ms": SUMS_GOALS.get(args.workloads), "decided_ms": DECIDED_GOALS.get(args.workloads)}
    for name, value in figures.items():
        goal = f"   goal < {goals[name]:g}" if goals.get(name) is not None else ""
        print(f"{name:22} {value:10}{goal}")


if __name__ == "__main__":
    main()
