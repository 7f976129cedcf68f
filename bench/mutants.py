"""How many small faults in a room its own tests find: mutants, made with Cosmic Ray.

    make mutants ARGS="--room planning --sample 300 --seed 1"

A place is a token of a room's code that Cosmic Ray can change in one or more ways. Places are drawn by lot, and one way
for each; a larger sample begins with the smaller one. What cannot matter to a test is not drawn: see
``mutant_places.idle``.

Each mutant lives in a copy of the tree, never in the working tree. One clean run under coverage says which tests
execute which line, and how long they take. Against a mutant run the tests that execute its statement, the quickest
first, up to the first that fails. Where the statement runs at import, all other tests of the room follow. A statement
that no test executes is a survivor at once. A run that takes four times what it took clean, and half a minute more, is
ended and counts as killed.

Prints a line on stderr for each mutant; then the killed share with a 95 % Wilson interval, and every survivor with its
reason from bench/mutants-reasons.toml.
"""

from __future__ import annotations

import argparse
import json
import math
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mutant_places import Mutant, draw, mutants, mutated
from mutant_runs import Result, clean_run, judge

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "bench" / "mutants-reasons.toml"
ROOMS = ("planning", "control", "targets")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__")


def wilson(hits: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share."""
    if not of:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    share, spread = hits / of, z * z / of
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / of + spread / of / 4)
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def reasons() -> dict[tuple[str, str, str], str]:
    """Why reviewed survivors survive, by file, operator and text of the line: a line that moves keeps its reason."""
    found = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("survivor", [])
    return {(one["file"], one["operator"], one["line"]): one["reason"] for one in found}


def measure(room: str, args: argparse.Namespace) -> dict[str, Any]:
    """One room."""
    began, known = time.monotonic(), reasons()
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        first = Path(temporary).resolve() / "0"
        shutil.copytree(ROOT, first, ignore=NOT_COPIED)
        found = list(mutants(first, room))
        sources = {one.file: (first / one.file).read_text(encoding="utf-8") for one in found}
        drawn = list(islice((one for one in draw(found, args.seed) if mutated(one, sources[one.file])), args.sample))
        clean = clean_run(first, room)
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(args.jobs):
            copies.put(first if not number else Path(shutil.copytree(first, first.with_name(str(number)))))

        def one(mutant: Mutant) -> Result | None:
            if args.seconds and time.monotonic() - began > args.seconds:
                return None
            folder = copies.get()
            try:
                result = judge(folder, mutant, clean)
            finally:
                copies.put(folder)
            print(f"{mutant.file}:{mutant.line} {mutant.operator}: {result.outcome}", file=sys.stderr, flush=True)
            return result

        with ThreadPoolExecutor(args.jobs) as pool:
            results = [result for result in pool.map(one, drawn) if result]
    survived = [result for result in results if result.outcome == "survived"]
    for result in survived:
        result.reason = known.get((result.mutant.file, result.mutant.operator, result.text), "no reason yet")
    low, high = wilson(len(results) - len(survived), len(results))
    return {
        "room": room,
        "places": len({mutant.place for mutant in found}),
        "drawn": len(drawn),
        "done": len(results),
        "killed": sum(result.outcome == "killed" for result in results),
        "timed_out": sum(result.outcome == "timed out" for result in results),
        "survived": len(survived),
        "killed_share": 1 - len(survived) / len(results) if results else None,
        "interval_95": [low, high],
        "minutes": (time.monotonic() - began) / 60,
        "clean_seconds": sum(clean.seconds.values()),
        "failing_without_mutant": clean.failing,
        "survivors": [asdict(result) for result in survived],
    }


def show(found: Mapping[str, Any]) -> None:
    """The figures of a room, and its survivors."""
    low, high = found["interval_95"]
    print(f"{found['room']}: {found['done']} of {found['drawn']} mutants in {found['minutes']:.0f} min, ", end="")
    print(f"drawn from {found['places']} places")
    if found["done"] < found["drawn"]:
        print(f"  the time was over: the interval is that of {found['done']}")
    print(f"  killed {found['killed']}, timed out {found['timed_out']}, survived {found['survived']}")
    if found["done"]:
        print(f"  killed share {found['killed_share']:.1%}, 95 % interval {low:.1%} to {high:.1%}")
    for name in found["failing_without_mutant"]:
        print(f"  left out, since it failed without any mutant: {name}")
    for one in found["survivors"]:
        mutant = one["mutant"]
        print(f"\n  {mutant['file']}:{mutant['line']}  {mutant['operator']}  ({one['tests']} tests)")
        print("".join(f"    {line}\n" for line in one["diff"]) + f"    {one['reason']}")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--room", choices=ROOMS, action="append", help="may be given several times; all without")
    parser.add_argument("--sample", type=int, default=300, help="mutants a room")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0, help="a room; what is not judged by then is left out")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    rooms = []
    for room in args.room or ROOMS:
        rooms.append(measure(room, args))
        if args.output == "text":
            show(rooms[-1])
    if args.output == "json":
        print(json.dumps({"commit": commit, "seed": args.seed, "rooms": rooms}))
    else:
        print(f"commit {commit}, seed {args.seed}")


if __name__ == "__main__":
    main()
