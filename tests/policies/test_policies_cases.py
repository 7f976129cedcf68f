"""Every case of the table by the rules as plain functions: no runtime, no proxies."""

from __future__ import annotations

from typing import Any

import pytest
from cases import Case
from declared import Stack
from table import CASES

from tidegate_policies.rules import RULES


def found(resources: Any, config: Any = None) -> list[tuple[str, str]]:
    """(rule, resource) of all that is found."""
    said: list[tuple[str, str]] = []
    names = {one.urn: one.name for one in resources}
    for rule in RULES:
        if rule.resource:
            for one in resources:
                rule.resource(one, lambda _, rule=rule, one=one: said.append((rule.name, one.name)))  # type: ignore[misc]
        if rule.stack:
            rule.stack(Stack(resources, config or {}), lambda _, urn, rule=rule: said.append((rule.name, names[urn])))  # type: ignore[misc]
    return said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_rules_find_what_is_wrong_and_nothing_else(case: Case) -> None:
    assert sorted(found(case.resources)) == sorted(case.found)


@pytest.mark.parametrize("case", [one for one in CASES if len(one.resources) > 1], ids=lambda case: case.claim)
def test_the_order_of_registration_does_not_matter(case: Case) -> None:
    assert sorted(found(case.resources[::-1])) == sorted(case.found)


def test_no_claim_is_made_twice() -> None:
    claims = [case.claim for case in CASES]
    assert sorted(claims) == sorted(set(claims))
