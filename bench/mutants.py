"""How many small faults in a room its own tests find: mutants, made with Cosmic Ray.

    make mutants ARGS="--room planning --sample 300 --seed 1"

A place is a token of a room's code that Cosmic Ray can change in one or more ways. Places are drawn by lot, and one way
for each; a larger sample begins with the smaller one. What cannot matter to a test is not drawn: see
``mutant_places``.

Each mutant lives in a copy of the tree, never in the working tree. One clean run under coverage says which tests
execute which line, and how long they take. Against a mutant run the tests that execute its statement, the quickest
first, up to the first that fails. Where the statement runs at import, all other tests of the room follow. A statement
that no test executes is a survivor at once. A run that takes four times what it took clean, and half a minute more, is
ended and counts as killed.

Prints the killed share with a 95 % Wilson interval, and every survivor with its reason from bench/mutants-reasons.toml.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import queue
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mutant_places import Mutant, draw, mutants, mutated, statement

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "bench" / "mutants-reasons.toml"
ROOMS = ("planning", "control", "targets")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__")


@dataclass(slots=True)
class Result:
    """What became of a mutant: killed, timed out or survived."""

    mutant: Mutant
    outcome: str
    tests: int
    """Tests that were there to be run against it."""
    diff: list[str]
    text: str
    """The line before the change."""
    reason: str = ""


@dataclass(slots=True)
class CleanRun:
    """Which tests of a room execute which of its lines; seconds of each test."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    """By file and line; the empty name stands for the import."""
    failing: list[str] = field(default_factory=list)

    def against(self, file: str, lines: range) -> list[str]:
        """Tests to run against a change of these lines, in their order."""
        touched = self.tests.get(file, {})
        executing = set().union(*(touched.get(line, set()) for line in lines))
        touching = set().union(*touched.values())
        names = self.seconds.keys() if "" in executing else executing
        return sorted(names, key=lambda name: (name not in executing, name not in touching, self.seconds[name], name))


# ---- what becomes of it


def pytest(folder: Path, arguments: Sequence[str], limit: float | None = None, **environment: str) -> tuple[int, str]:
    """Run tests in a copy of the tree: exit code, below zero where the limit ended it, and output."""
    path = os.pathsep.join(str(folder / part) for part in ("operator", "stacks", "policies"))
    known = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", **environment}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=mutants",
        *arguments,
    ]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "KUBECONFIG"} | known,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -signal.SIGKILL, process.communicate()[0]
    return process.returncode, output


def clean_run(folder: Path, room: str) -> CleanRun:
    """Run a room's tests as they are. A test that fails even so judges no mutant; ends the program where many do."""
    from coverage import CoverageData

    watch = [f"--cov=operator/tidegate/{room}", "--cov-context=test", "--cov-report="]
    times = ["--durations=0", "--durations-min=0", "-vv", "-p", "no:xdist"]
    code, output = pytest(folder, [*watch, *times, f"tests/{room}"], COVERAGE_FILE=str(folder / ".coverage"))
    failing = set(re.findall(r"^(?:FAILED|ERROR) (tests/\S+::.*?)(?: - .*)?$", output, re.MULTILINE))
    if code and not 0 < len(failing) < 5:
        sys.exit(f"{output[-5000:]}\nthe tests of {room} fail without any mutant")
    found = CleanRun(failing=sorted(failing))
    for seconds, name in re.findall(r"^([\d.]+)s (?:call|setup|teardown) +(\S.*?) *$", output, re.MULTILINE):
        if name not in failing:
            found.seconds[name] = found.seconds.get(name, 0.0) + float(seconds)
    data = CoverageData(str(folder / ".coverage"))
    data.read()
    for path in data.measured_files():
        lines = data.contexts_by_lineno(path)
        contexts = {line: {one.rpartition("|")[0] for one in names} - failing for line, names in lines.items()}
        found.tests[str(Path(path).relative_to(folder))] = contexts
    if not any(name for lines in found.tests.values() for names in lines.values() for name in names):
        sys.exit(f"no test of {room} executes a line of it")
    return found


def judge(folder: Path, mutant: Mutant, clean: CleanRun) -> Result:
    """Let a copy of the tree hold the mutant while the tests run; the copy is as before afterwards."""
    path = folder / mutant.file
    source = path.read_text(encoding="utf-8")
    stamp = path.stat().st_mtime
    text = mutated(mutant, source) or source
    changed = list(difflib.unified_diff(source.splitlines(), text.splitlines(), n=0, lineterm=""))[3:]
    tests = clean.against(mutant.file, statement(source, mutant.line))
    result = Result(mutant, "survived", len(tests), changed, source.splitlines()[mutant.line - 1].strip())
    if tests:
        each = 10.0 + 4 * max(clean.seconds[name] for name in tests)
        limit = 30.0 + 4 * sum(clean.seconds[name] for name in tests)
        listed = folder / "tests.txt"
        listed.write_text("\n".join(tests), encoding="utf-8")
        stop = ["-x", "--tb=line", "-o", f"timeout={each:.0f}", "-p", "no:xdist"]
        try:
            path.write_text(text, encoding="utf-8")
            os.utime(
                path, (stamp + 60, stamp + 60)
            )  # by second and size alone, compiled code could pass for a mutant's
            code, output = pytest(folder, [*stop, f"@{listed}"], limit, PYTHONDONTWRITEBYTECODE="1")
            if code == 4 and "not found" in output:  # a mutant can change the names of parameters
                files = sorted({name.partition("::")[0] for name in tests})
                code, output = pytest(folder, [*stop, *files], 2 * limit, PYTHONDONTWRITEBYTECODE="1")
        finally:
            path.write_text(source, encoding="utf-8")
            os.utime(path, (stamp, stamp))
        late = code < 0 or "Failed: Timeout" in output
        result.outcome = "timed out" if late else "killed" if code else "survived"
    return result


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
                return judge(folder, mutant, clean)
            finally:
                copies.put(folder)

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
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    about = {"commit": commit.stdout.strip(), "seed": args.seed}
    rooms = []
    for room in args.room or ROOMS:
        rooms.append(measure(room, args))
        if args.output == "text":
            show(rooms[-1])
    print(
        json.dumps(about | {"rooms": rooms}) if args.output == "json" else f"commit {about['commit']}, seed {args.seed}"
    )


if __name__ == "__main__":
    main()
