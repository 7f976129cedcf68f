"""Many traces, lags, perturbations and contestants at once, on as many cores as are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Score, Track
from tidegate.backtest.field import Entry, played
from tidegate.backtest.outcome import Outcome, row_of
from tidegate.backtest.sources import Question, Source, case_of

Progress = Callable[[int, int], None]
"""(plays that are done, all of them)."""


@dataclass(frozen=True)
class Task:
    """One play."""

    place: int
    source: Source
    question: Question
    physics: Physics
    entry: Entry


def outcome_of(
    source: Source,
    question: Question,
    physics: Physics,
    entries: Sequence[Entry],
    *,
    jobs: int = 1,
    progress: Progress = lambda done, of: None,
) -> Outcome:
    """All contestants on one case."""
    case = case_of(source, question, physics)
    tasks = [Task(place, source, question, physics, entry) for place, entry in enumerate(entries)]
    done = dict(_plays(tasks, jobs, progress))
    scores = tuple(done[task.place][0] for task in tasks)
    return Outcome(case, scores, tuple(done[task.place][1] for task in tasks))


def suite(
    sources: Iterable[Source],
    question: Question,
    physics: Physics,
    entries: Sequence[Entry],
    *,
    lags: Sequence[float],
    perturbations: Sequence[str],
    jobs: int = 1,
    progress: Progress = lambda done, of: None,
) -> list[dict[str, Any]]:
    """Rows of all plays in a stated order: trace, lag, perturbation, contestant.

    What announcements mean nothing to is played once, under the first perturbation: the others change nothing for it. A
    trace without events is played with right announcements only.
    """
    tasks: list[Task] = []
    for source in sources:
        for lag in lags:
            for number, name in enumerate(perturbations):
                if number and not source.happenings:
                    continue
                asked, moved = replace(question, perturbation=name), replace(physics, lag=lag)
                for entry in entries:
                    if number == 0 or entry.announced:
                        tasks.append(Task(len(tasks), source, asked, moved, entry))
    done = dict(_plays(tasks, jobs, progress))
    cases: dict[tuple[str, float, str], Case] = {}
    rows = []
    for task in tasks:
        key = (task.source.name, task.physics.lag, task.question.perturbation)
        if key not in cases:
            cases[key] = case_of(task.source, task.question, task.physics)
        rows.append(row_of(cases[key], done[task.place][0]))
    return rows


def _plays(tasks: Sequence[Task], jobs: int, progress: Progress) -> Iterator[tuple[int, tuple[Score, Track]]]:
    if jobs <= 1 or len(tasks) <= 1:
        for number, task in enumerate(tasks, start=1):
            yield task.place, _play(task)
            progress(number, len(tasks))
        return
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_play, task): task.place for task in tasks}
        for number, done in enumerate(as_completed(waiting), start=1):
            yield waiting[done], done.result()
            progress(number, len(tasks))


def _play(task: Task) -> tuple[Score, Track]:
    return played(case_of(task.source, task.question, task.physics), task.entry)


def text_of_rows(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as JSON, one a line."""
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n"
