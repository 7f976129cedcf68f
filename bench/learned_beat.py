"""One beat with 500 targets whose floors follow demand: each target has a signal of its own that is learned from.

    python bench/learned_beat.py [--targets 500] [--beats 60]

Prints milliseconds of processor time for what is learned of the readings of one beat and for all decisions, beside the
goal; what the process holds more than before; and how much text is kept of a signal. Queries and writes are left out:
they are the network's.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from tidegate.control.forecaster import Forecaster
from tidegate.planning.model import (
    Freshness,
    Key,
    LeadTimeGuess,
    Live,
    Observed,
    Policy,
    Reading,
    Ref,
    Release,
    SignalSpec,
    TargetSpec,
)
from tidegate.planning.plan import Planner
from tidegate.planning.world import World

BEAT, NOW = 15.0, 1_794_240_000.0
GOAL = 150.0
"""Milliseconds."""
PER_NAMESPACE = 5


def policies(targets: int) -> Iterator[Policy]:
    """One for each target."""
    for number in range(targets):
        key = Key(f"team-{number // PER_NAMESPACE}", f"policy-{number}")
        ref = Ref("apps/v1", "Deployment", key.namespace, f"web-{number}")
        target = TargetSpec("web", ref, (("orders", 10.0),), headroom=0.0, lead=LeadTimeGuess(120.0))
        signals = (SignalSpec("orders", f"orders_{number}"),)
        yield Policy(key, (target,), signals, release=Release(30.0, 0.2), live=Live())


def main() -> int:
    """Play the beats and print what they took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--targets", type=int, default=500)
    parser.add_argument("--beats", type=int, default=60)
    asked = parser.parse_args()
    before, noise = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, random.Random(1)
    known = {one.key: one for one in policies(asked.targets)}
    forecaster, planner = Forecaster(), Planner()
    learned, decided = [], []
    for beat in range(asked.beats):
        now = NOW + beat * BEAT
        demand = {
            key: 1_000.0 * (1.2 + math.sin(number + now / 3_600.0)) * math.exp(noise.gauss(0.0, 0.02))
            for number, key in enumerate(known)
        }
        begun = time.process_time()
        forecaster.want(known, {})
        readings = {}
        for key, value in demand.items():
            told = Reading(Freshness.FRESH, value, now - 30.0, stamp=now - 30.0, span=60.0, confirmed=value)
            readings[key, "orders"] = forecaster.take((key, "orders"), told, now)
        learned.append(1_000.0 * (time.process_time() - begun))
        observed = {(key, "web"): Observed(level=round(value / 9.0)) for key, value in demand.items()}
        begun = time.process_time()
        planner.plan(World(known, {}, observed, readings), now)
        decided.append(1_000.0 * (time.process_time() - begun))
    told_of = (statistics.median(one[asked.beats // 2 :]) for one in (learned, decided))
    parts = list(told_of)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    kept = [len(one.packed()) for one in forecaster.known.values()]
    print(f"learned from {asked.targets} readings: {parts[0]:.0f} ms")
    print(f"decided on {asked.targets} targets:    {parts[1]:.0f} ms")
    print(f"one beat:                  {sum(parts):.0f} ms (goal: {GOAL:.0f} ms for 500)")
    print(f"memory:                    {grown / 1024:.0f} MiB")
    print(f"kept of a signal:          {statistics.mean(kept):.0f} characters after {asked.beats} readings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
