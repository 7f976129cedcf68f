"""Many traces, lags, perturbations and contestants at once, on as many cores as are given."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, TypeVar

from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Score, Track
from tidegate.backtest.field import Entry, played
from tidegate.backtest.folder import LeftOut, Tell
from tidegate.backtest.lessons import Lesson, lesson_of, reach_of
from tidegate.backtest.operator import policy_of
from tidegate.backtest.outcome import Outcome, row_of
from tidegate.backtest.series import InputError
from tidegate.backtest.sources import Question, Source, case_of
from tidegate.planning.model import Policy

Work = TypeVar("Work")
Done = TypeVar("Done")
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
    lesson: Lesson | None = None
    """What was learned from earlier editions."""


@dataclass(frozen=True)
class Study:
    """What is learned before plays, by all that learn alike."""

    earlier: tuple[Source, ...]
    question: Question
    physics: Physics
    policy: Policy
    capacity: float

    def lesson(self) -> Lesson | None:
        """See ``lesson_of``."""
        return lesson_of(self.earlier, self.question, self.physics, self.policy, self.capacity)


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


def playable(sources: Iterable[Source], question: Question, physics: Physics, tell: Tell) -> list[Source]:
    """Those of which a case can be made; ``tell`` hears of the others. An edition that cannot be learned from is left
    out of what its successors know.
    """
    found = []
    for source in sources:
        if _can_be_played(source, question, physics, tell):
            asked = replace(question, begin=None, capacity=1.0)
            known = tuple(one for one in source.earlier if _can_be_played(one, asked, physics, tell))
            found.append(replace(source, earlier=known))
    return found


def _can_be_played(source: Source, question: Question, physics: Physics, tell: Tell) -> bool:
    try:
        case_of(source, question, physics)
    except InputError as error:
        tell(LeftOut(Path(source.name), str(error), wrong=True))
        return False
    return True


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
    taught = _taught(tasks, jobs)
    for number, (place, found) in enumerate(_all(_play, taught, jobs), start=1):
        yield taught[place].place, found
        progress(number, len(taught))


def _taught(tasks: Sequence[Task], jobs: int) -> list[Task]:
    """The same tasks, each with what is learned from the earlier editions of its trace.

    What several learn alike is studied once: headroom and quantile make no difference to it. Who learns nothing has no
    part in it.
    """
    studies: dict[Hashable, Study] = {}
    keys: dict[int, Hashable] = {}
    cases: dict[Hashable, Case] = {}
    for task in tasks:
        if not task.source.earlier or task.entry.variant is None or not task.entry.learns:
            continue
        where = id(task.source), task.question, task.physics
        if where not in cases:
            cases[where] = case_of(task.source, task.question, task.physics)
        policy = policy_of(cases[where], task.entry.variant, task.entry.setting)
        keys[task.place] = key = where, reach_of(policy)
        studies.setdefault(key, Study(task.source.earlier, task.question, task.physics, policy, cases[where].capacity))
    found = dict(_all(Study.lesson, list(studies.values()), jobs))
    lessons = {key: found[number] for number, key in enumerate(studies)}
    bare = {id(task.source): replace(task.source, earlier=()) for task in tasks}
    return [
        replace(task, source=bare[id(task.source)], lesson=lessons[keys[task.place]] if task.place in keys else None)
        for task in tasks
    ]


def _all(work: Callable[[Work], Done], items: Sequence[Work], jobs: int) -> Iterator[tuple[int, Done]]:
    """(number of the item, what came of it), as they are done."""
    if jobs <= 1 or len(items) <= 1:
        for number, item in enumerate(items):
            yield number, work(item)
        return
    others = set(active_children())
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=get_context("spawn"), initializer=_leave_interrupts)
    try:
        waiting = {pool.submit(work, item): number for number, item in enumerate(items)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    except BaseException:  # one that failed, or Ctrl-C: what the others would find is of no use to anybody
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(active_children()) - others:
            worker.terminate()
        raise
    pool.shutdown()


def _leave_interrupts() -> None:
    """Ctrl-C is sent to all processes of a terminal; the one that started the others ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _play(task: Task) -> tuple[Score, Track]:
    return played(case_of(task.source, task.question, task.physics), task.entry, task.lesson)


def text_of_rows(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as JSON, one a line."""
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n"
