"""What a Loan says of who wants it and of whose field it is."""

from __future__ import annotations

from tidegate.control.drift import WANTED_BY_MOST, manager_name, wanted_by
from tidegate.ports import Held, Manager


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
