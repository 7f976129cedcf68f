"""Which tests of a room execute which line, and what they say of a mutant: what runs tests for ``mutants.py``."""

from __future__ import annotations

import difflib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mutant_places import Mutant, mutated, statement


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


def pytest(folder: Path, arguments: Sequence[str], limit: float | None = None, **environment: str) -> tuple[int, str]:
    """Run tests in a copy of the tree: exit code, below zero where the limit ended it, and output."""
    path = os.pathsep.join(str(folder / part) for part in ("operator", "stacks", "policies"))
    known = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", **environment}
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *arguments],
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
    times = ["--durations=0", "--durations-min=0", "-vv"]
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
        known = found.seconds.keys() | {""}
        tests = {line: {one.rpartition("|")[0] for one in names} & known for line, names in lines.items()}
        found.tests[str(Path(path).relative_to(folder))] = tests
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
        stop = ["-x", "--tb=line", "-o", f"timeout={each:.0f}"]
        try:
            path.write_text(text, encoding="utf-8")
            os.utime(path, (stamp + 60, stamp + 60))  # what was compiled before is told by second and size alone
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
