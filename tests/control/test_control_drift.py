"""What a Loan says of who wants it and of whose field it is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from sites import Site, place, terms

from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.control.drift import WANTED_BY_MOST, manager_name, wanted_by
from tidegate.planning.instants import on_record
from tidegate.planning.shift.model import Notice, Promised
from tidegate.ports import HandOverNote, Held, Manager


def test_as_many_names_as_a_loan_may_hold_are_all_told() -> None:
    names = tuple(f"shop/show-{number}" for number in range(WANTED_BY_MOST))
    assert wanted_by(names) == names


def test_of_more_names_the_first_are_told_and_the_rest_is_counted() -> None:
    names = tuple(f"shop/show-{number}" for number in range(WANTED_BY_MOST + 4))
    told = wanted_by(names)
    assert len(told) == WANTED_BY_MOST
    assert told[:-1] == names[: WANTED_BY_MOST - 1]
    assert told[-1] == "and 5 more"


def test_a_field_that_nobody_owns_is_somebodys() -> None:
    assert manager_name(Held(3, Manager("helm", "Apply"))) == "helm"
    assert manager_name(Held(3, None)) == "somebody"


async def test_the_next_life_reads_the_loan_that_this_one_goes_by() -> None:
    """A digest is made of these instants: were one of them another one afterwards, all would be planned anew."""
    site = Site()
    site.clock.at += 0.123456789
    await site.ledger.load()
    now, later = site.clock.at, site.clock.at + 600.987654321
    note = HandOverNote("p", "data", (Notice(3, now),), (Notice(4, now),), later, later, (Promised(later, 6),))
    await site.ledger.move(place(), held=Held(10, None), level=4, terms=replace(terms(), until=later, hand_over=note))
    (ours,) = site.ledger.loans.values()
    assert loan_from_object(loan_to_object(ours)) == ours
    assert (ours.stepped_at, ours.until) == (on_record(now), on_record(later))
    assert not site.ledger.unsaved()


@given(st.floats(0.0, 4e9))
def test_an_instant_on_record_stays_what_it_is_and_lies_in_no_future(instant: float) -> None:
    told = on_record(instant)
    assert on_record(told) == told
    assert instant - 0.0011 < told <= instant
