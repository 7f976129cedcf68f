"""A timetable costs no more than was stated before it is made, and is the same wherever it is made."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from pools import cores, facts, job, lane, loader, need, pool

from tidegate.planning import shift
from tidegate.planning.resources import Resources
from tidegate.planning.shift import search
from tidegate.planning.shift.bounded import Solver
from tidegate.planning.shift.inputs import TimetableInputs
from tidegate.planning.shift.merge import STOCKS_MOST, fewer
from tidegate.planning.shift.milp import Effort, OutOfWorkError, Program
from tidegate.planning.shift.model import Drain, Mark, Promised, Work
from tidegate.planning.shift.pieces import stocks_of
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.timetable import Problem

T0 = 1_794_240_000.0
NIGHT = pool(lane("trading", guarantee=40), lane("data", drain=Drain(600.0, 900.0, 120.0)))


def mixed(jobs: int, seed: int = 1) -> TimetableInputs:
    """Jobs of many sizes and ages with a deadline, and needs that want more than is free."""
    dice = random.Random(seed)
    works = [
        job(
            f"j{n:03}",
            Resources(1000 * dice.randint(1, 13), 1024 * dice.randint(2, 30)),
            work="night",
            saved_at=T0 - dice.randint(0, 3000),
            saved_every=3600.0,
        )
        for n in range(jobs)
    ]
    use = sum(w.unit.cpu for w in works), sum(w.unit.memory for w in works)
    seen = facts(Resources(use[0] * 115 // 100, use[1] * 115 // 100), *works)
    seen = replace(seen, works={"night": Work(jobs * 8000.0, T0 + 6 * 3600.0)})
    asked = tuple(
        need(f"t{n}", T0 + 60 * dice.randint(30, 200), T0 + 60 * dice.randint(210, 300), cores(use[0] // 20_000))
        for n in range(8)
    )
    return TimetableInputs(NIGHT, seen, asked, (), T0, 45.0)


def test_no_program_has_a_time_limit() -> None:
    folder = Path(shift.__file__).parent
    assert [p.name for p in folder.glob("*.py") if "time_limit" in p.read_text()] == []
    assert [p.name for p in folder.glob("*.py") if "import time\n" in p.read_text()] == []


def test_a_pool_of_few_stocks_keeps_them_and_one_of_many_has_no_more_than_are_planned() -> None:
    few = stocks_of(NIGHT, mixed(STOCKS_MOST // 2).facts, T0)
    assert fewer(few) == tuple(few)
    many = stocks_of(NIGHT, mixed(3 * STOCKS_MOST).facts, T0)
    assert len(many) > 2 * STOCKS_MOST
    assert len(fewer(many)) <= STOCKS_MOST


def test_work_that_is_planned_together_counts_as_if_it_had_all_been_saved_when_the_oldest_was() -> None:
    works = [job(f"j{n}", cores(1), work="w", saved_at=T0 - n, saved_every=float(n)) for n in range(STOCKS_MOST + 1)]
    seen = replace(facts(cores(500), *works), works={"w": Work(1.0, T0 + 3600)})
    (stock,) = fewer(stocks_of(NIGHT, seen, T0))
    assert (stock.saved_at, stock.saved_every) == (T0 - STOCKS_MOST, float(STOCKS_MOST))
    assert len(stock.pieces) == STOCKS_MOST + 1


def test_replicas_that_are_planned_together_are_back_by_the_earliest_promise() -> None:
    def out(n: int) -> Mark:
        return Mark(2, 1, T0 - 60, promises=(Promised(T0 + 600.0 + n, 1),))

    works = [loader(f"l{n}", 1, cores(1), mark=out(n)) for n in range(STOCKS_MOST + 1)]
    (stock,) = fewer(stocks_of(NIGHT, facts(cores(500), *works), T0))
    assert stock.whole_by == T0 + 600.0
    assert min(piece.due for piece in stock.pieces) == T0 + 600.0


def test_work_that_is_out_takes_part_however_many_stocks_there_are() -> None:
    sizes = [Resources(1000 + n, 1024) for n in range(2 * STOCKS_MOST)]
    works = [job(f"j{n:03}", size) for n, size in enumerate(sizes)]
    works[0] = replace(works[0], level=0, mark=Mark(1, 0, T0 - 60, promises=(Promised(T0 + 600.0, 1),)))
    kept = fewer(stocks_of(NIGHT, facts(cores(500), *works), T0))
    assert len(kept) == STOCKS_MOST
    assert works[0].ref in {piece.ref for stock in kept for piece in stock.pieces}


def test_when_the_effort_is_used_up_nothing_more_is_solved() -> None:
    solver = Solver(1.0)
    problem = Problem((T0, T0 + 60.0), (), cores(1), {}, {})
    assert solver.some(problem, [cores(1)])[0] is not None
    assert solver.spent
    assert solver.some(problem, [cores(1)]) == (None, False)
    assert solver.cheapest(problem, [cores(1)]) is None
    assert solver.some(problem, [cores(2)]) == (None, True), "what is sure without a program is told"


def test_a_timetable_of_a_pool_on_which_nothing_can_be_found_costs_no_more_than_was_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eight seconds of work and the programs under way then, none of them larger than 9,000 whole columns.

    Without that bound it is ten times as much here, and minutes where HiGHS finds its answers late.
    """
    solvers: list[tuple[float, Solver]] = []
    whole: list[int] = []
    real = Solver.__init__

    def counted(solver: Solver, units: float) -> None:
        real(solver, units)
        solvers.append((units, solver))

    def finds_nothing(program: Program, *_: object) -> None:
        whole.append(int(program.whole.sum()))
        raise OutOfWorkError

    monkeypatch.setattr(Solver, "__init__", counted)
    monkeypatch.setattr(Program, "_run", finds_nothing)
    inputs = mixed(STOCKS_MOST)
    dice, most = random.Random(3), cores(inputs.facts.capacity.cpu // 20_000)
    starts = [T0 + 60 * dice.randint(30, 1200) for _ in range(40)]
    asked = tuple(need(f"t{n}", start, start + 60 * dice.randint(30, 200), most) for n, start in enumerate(starts))
    made = timetable(replace(inputs, needs=asked))
    assert made.plan.refusals
    assert sum(units - solver.effort.left for units, solver in solvers) < 8.5e6
    assert max(whole) <= 9000


@pytest.mark.parametrize("seed", range(3))
def test_a_large_pool_gets_the_same_timetable_again_and_what_is_granted_is_there(seed: int) -> None:
    inputs = mixed(40, seed)
    made = timetable(inputs)
    assert made.result == timetable(replace(inputs, needs=inputs.needs[::-1])).result
    seen, units = inputs.facts, {m.ref: m.unit for m in inputs.facts.members}
    free = seen.capacity - sum((m.unit for m in seen.members), start=Resources())
    lent = [(one, units[ref]) for ref, ones in made.plan.lendings.items() for one in ones]
    for at in {step.start for grant in made.plan.grants for step in grant.steps}:
        out = sum((unit for one, unit in lent if one.free_by <= at < one.until), start=Resources())
        assert made.plan.granted("trading", at).fits(free + out)


def _knapsack(right: float) -> tuple[Program, list[object]]:
    """Many whole columns, and a row that the relaxation meets exactly."""
    import numpy as np

    program = Program(Effort(1e9))
    columns = [program.variable(0, 1, cost=1.0 + n % 7) for n in range(search.EXACT_MOST + 3)]
    program.row([(c, 2.0) for c in columns], least=right)
    return program, [np.array([columns])]


def test_a_large_program_without_a_relaxed_answer_has_none() -> None:
    program, blocks = _knapsack(2.0 * search.EXACT_MOST + 100.0)
    assert search.search(program, blocks, gap=0.03, nodes=5, cheap=True) is None  # type: ignore[arg-type]


def test_a_large_program_is_answered_in_whole_numbers_that_keep_its_rows() -> None:
    program, blocks = _knapsack(101.0)
    found = search.search(program, blocks, gap=0.03, nodes=5, cheap=True)  # type: ignore[arg-type]
    assert found is not None
    assert sum(round(float(v)) for v in found.values) == 51
    assert abs(found.values - found.values.round()).max() < 1e-6


def test_a_large_program_whose_fractions_cannot_be_made_whole_is_given_up_and_not_called_impossible() -> None:
    program = Program(Effort(1e9))
    columns = [program.variable(0, 1) for _ in range(search.EXACT_MOST + 3)]
    program.row([(c, 2.0) for c in columns], least=101.0, most=101.0)
    import numpy as np

    with pytest.raises(OutOfWorkError):
        search.search(program, [np.array([columns])], gap=0.03, nodes=5, cheap=False)
