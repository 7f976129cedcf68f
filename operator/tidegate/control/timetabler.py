"""Make the timetables of pools beside the loop.

A round: a plan takes the last timetable there is, and waits for none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.control.age import Age
from tidegate.control.rounds import Backoff, Job
from tidegate.planning.decision import PoolView
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.ports import Clock, Solver

log = logging.getLogger("tidegate.timetables")

GIVES_WAY = 60.0
"""Seconds for which a pool whose timetable knows all its needs lets pools go first that have a new one: a need that is
in no timetable gets no more than what is free. Judgment: longer than all of them take, and no pool waits for ever."""
FEW = 4
"""Namespaces that wait for one timetable and are told of it out of turn; of more, all hear of it in their turn."""


@dataclass(slots=True)
class Timetabler:
    """Keeps the last timetable of every pool. See ``rounds.Round``."""

    solver: Solver
    clock: Clock
    on_news: Callable[[str], None] = lambda namespace: None
    """Told of each new timetable: for everybody (an empty name), and for each of a few namespaces that wait for it."""
    timetables: dict[str, Timetabled] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Why a pool's last timetable could not be made."""
    _views: dict[str, PoolView] = field(default_factory=dict)
    """Pools that are due for a timetable, as the last decision saw them; each is asked for once."""
    _pools: frozenset[str] = frozenset()
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=5.0, longest=60.0))

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "timetables"

    def want(self, views: Mapping[str, PoolView], pools: Collection[str] = ()) -> None:
        """What was decided for each pool, and from what a timetable would be made now. ``pools`` that were not seen yet
        keep theirs.
        """
        self._pools = frozenset((*views, *pools))
        for gone in self.timetables.keys() - self._pools:
            del self.timetables[gone]
        self.notes = {name: note for name, note in self.notes.items() if name in views}
        self._backoff.keep(views.keys())
        self._views = {name: view for name, view in views.items() if view.due}

    def recall(self, former: Mapping[str, Timetabled]) -> None:
        """The timetables by which the last leader planned, in the place of what this life made beside it."""
        self.timetables.update(former)

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        names = (name for name in self._views if self._backoff.until(name, now) <= now)
        return [Job(name, name, _due_at(self._views[name].inputs), self._backoff.suspects(name)) for name in names]

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        return min((at for name in self._views if (at := self._backoff.until(name, now)) > now), default=None)

    async def do(self, job: Job) -> None:
        """Make one timetable of what the last decision saw."""
        name = str(job.key)
        view = self._views.pop(name, None)
        if view is None:
            return
        self._backoff.failed(name, self.clock.now())  # held against it until it has answered
        try:
            made = await self.solver.solve(view.inputs)
        except Exception as error:  # noqa: BLE001 - whatever ends a solver, the last timetable stands
            self.notes[name] = f"its timetable could not be made: {error}"
            log.warning("pool %s: %s", name, self.notes[name])
            return
        self._backoff.well(name)
        self.notes.pop(name, None)
        if name in self._pools:
            self.timetables[name] = made
            self._tell({need.namespace for need in view.inputs.needs})

    def _tell(self, waiting: Collection[str]) -> None:
        self.on_news("")
        for namespace in sorted(waiting) if len(waiting) <= FEW else ():
            self.on_news(namespace)

    def age(self, now: float) -> Age:
        """Seconds since the timetables that are not good any more were made."""
        return Age.of(now - self.timetables[name].made_for for name in self._views if name in self.timetables)


def _due_at(inputs: TimetableInputs) -> float:
    """When a pool is due for a timetable: from its decision on, earlier where a need is in none yet."""
    known = {need.key for need in inputs.standing.asked} if inputs.standing is not None else frozenset()
    return inputs.now - (0.0 if all(need.key in known for need in inputs.needs) else GIVES_WAY)
