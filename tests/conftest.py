"""What all rooms' tests share: builders beside a test file are importable by their plain name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# A loaded machine fails no test: no example, and no drawing of one, is timed.
settings.register_profile("tidegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidegate")

# For `make mutants`: the same examples each time, and none made smaller after a failure.
settings.register_profile(
    "mutants",
    parent=settings.get_profile("tidegate"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)

for room in sorted(Path(__file__).parent.iterdir()):
    if room.is_dir() and not room.name.startswith((".", "__")):
        sys.path.append(str(room))


def pytest_addoption(parser: pytest.Parser) -> None:
    """For machines that ought to have everything: there, a skipped test is something that nobody looked at."""
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``--no-skips`` the run fails when a test was skipped, or a whole file at its import."""
    if session.config.getoption("no_skips") and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says why such a run failed: its tests are all green."""
    if terminalreporter.config.getoption("no_skips") and (count := _skipped(terminalreporter.config)):
        terminalreporter.write_line(f"FAILED: --no-skips, and {count} skipped", red=True)


def _skipped(config: pytest.Config) -> int:
    """How many were skipped; none in a process that only runs tests for another."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0
