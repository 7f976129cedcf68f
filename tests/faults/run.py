# ruff: noqa: T201 - a program for the terminal
"""Fault runs: the real operator on the embedded API in simulated time, through seeded random faults, before a judge.

python tests/faults/run.py --runs 200 --seed 1
python tests/faults/run.py --runs 200 --seed 1 --first 200
python tests/faults/run.py --runs 50 --seed 1 --drawn hpa,sidecar
python tests/faults/run.py --only 17 --verbose
python tests/faults/run.py --only 17 --shrink
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fault_draw import draw_faults
from fault_list import Fault
from fault_run import Outcome, run
from fault_scene import draw_scene

STRIDE = 1_000_000
"""Run n of seed s has the seed s * STRIDE + n: the runs of two seeds are never the same."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when anything was found."""
    asked = _asked(arguments)
    if asked.only is not None:
        return _one(asked.only, verbose=asked.verbose, shrink=asked.shrink)
    begun = time.monotonic()
    series = _seeds(asked.seed, set(filter(None, asked.drawn.split(","))))
    seeds = list(islice(series, asked.first, asked.first + asked.runs))
    outcomes = []
    for outcome in _play(seeds, asked.jobs):
        outcomes.append(outcome)
        if asked.verbose or (outcome.findings and asked.tell):
            print(f"{outcome.seed}: {', '.join(sorted(outcome.kinds)) or 'nothing'} ({outcome.cpu:.1f} s)", flush=True)
    if asked.shrink:
        for kind, (_, first, _) in tally(outcomes).items():
            print(f"\n{kind}, seed {first}, shrunk:")
            for fault in shrunk(first, kind):
                print(f"  {fault}")
    print(report(outcomes, time.monotonic() - begun))
    return 1 if any(one.findings for one in outcomes) else 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="how many runs")
    parser.add_argument("--seed", type=int, default=1, help="which series of runs")
    parser.add_argument(
        "--first", type=int, default=0, help="the number of its first run, from 0: to go on with a series"
    )
    parser.add_argument(
        "--drawn", default="", help="only runs in which one of these is drawn: kinds of faults, or hows"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes to run in")
    parser.add_argument("--only", type=int, help="one run by its own seed, as the table names it")
    parser.add_argument("--verbose", action="store_true", help="the timeline of --only; of many runs a line each")
    parser.add_argument("--tell", action="store_true", help="of many runs a line for each with a finding")
    parser.add_argument("--shrink", action="store_true", help="leave out every fault that a finding does not need")
    return parser.parse_args(arguments)


def _seeds(series: int, drawn: set[str]) -> Iterator[int]:
    """The runs of a series; with ``drawn`` only those in which a fault of such a kind, or such a how, is drawn."""
    for seed in itertools.count(series * STRIDE):
        faults = draw_faults(draw_scene(seed)) if drawn else []
        if not drawn or any({one.kind, str(one.args.get("how"))} & drawn for one in faults):
            yield seed


def _play(seeds: list[int], jobs: int) -> Iterator[Outcome]:
    if jobs <= 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run, seeds)


def _one(seed: int, *, verbose: bool, shrink: bool) -> int:
    outcome = run(seed, tell=verbose and not shrink)
    for fault in outcome.faults:
        print(fault)
    for line in outcome.timeline:
        print(line)
    for finding in outcome.findings:
        print(finding)
    if shrink:
        for kind in sorted(outcome.kinds):
            needed = shrunk(seed, kind)
            print(f"\n{kind} needs {len(needed)} of {len(outcome.faults)} faults:")
            for fault in needed:
                print(f"  {fault}")
            if verbose:
                print("\n".join(run(seed, needed, tell=True).timeline))
    print(f"seed {seed}: {len(outcome.findings)} findings, {outcome.cpu:.1f} s of processor time")
    return 1 if outcome.findings else 0


# ---- what came of many


def tally(outcomes: Iterable[Outcome]) -> dict[str, tuple[int, int, str]]:
    """Of each kind of finding: in how many runs, the first seed, and what it said there."""
    runs: Counter[str] = Counter()
    first: dict[str, tuple[int, str]] = {}
    for outcome in outcomes:
        for kind in outcome.kinds:
            runs[kind] += 1
            if kind not in first:
                first[kind] = outcome.seed, str(next(one for one in outcome.findings if one.kind == kind)).strip()
    return {kind: (count, *first[kind]) for kind, count in sorted(runs.items())}


def report(outcomes: list[Outcome], wall: float) -> str:
    """The table."""
    cpu = sum(one.cpu for one in outcomes)
    lines = [f"{'kind':<24}{'runs':>6}  {'first seed':<12}there"]
    lines += [f"{kind:<24}{count:>6}  {seed:<12}{told[:150]}" for kind, (count, seed, told) in tally(outcomes).items()]
    bad = sum(bool(one.findings) for one in outcomes)
    lines.append(
        f"{len(outcomes)} runs, {bad} with findings, {sum(len(one.faults) for one in outcomes)} faults; "
        f"{cpu:.0f} s of processor time ({cpu / max(1, len(outcomes)):.1f} a run), {wall:.0f} s"
    )
    return "\n".join(lines)


# ---- shrinking


def shrunk(seed: int, kind: str) -> list[Fault]:
    """The fewest faults, left out one after the other, with which a run still has a finding of that kind."""
    faults = run(seed).faults
    if kind in run(seed, []).kinds:
        return []
    at = 0
    while at < len(faults):
        fewer = faults[:at] + faults[at + 1 :]
        if kind in run(seed, fewer).kinds:
            faults = fewer
        else:
            at += 1
    return faults


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of names have one order in each course of a run
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
