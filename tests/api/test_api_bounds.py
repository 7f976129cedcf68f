"""Events and policies whose every number is at a bound of the API: refused in words, or planned like any other."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest

from tidegate.api.parse import parse_live_event, parse_policy
from tidegate.api.problems import InvalidObject
from tidegate.planning.decision import Plan
from tidegate.planning.model import Key, LoanState, Observed
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World

NOW = 1_794_240_000.0
"""2026-11-09 16:00 UTC."""
DAY = 86_400
INT32 = 2**31 - 1
STARTS = (
    "2026-11-09T16:00:00",
    "2026-11-09T15:59:59",
    "2026-11-10T15:00:00",
    "2026-11-09T10:00:00",
    "2000-01-01T00:00:00",
    "2099-12-31T23:59:59",
)


class Bounds:
    """An event of two signals on a policy of two targets."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.signals = self.dice.sample(("a", "b", "c"), 2)

    def positive(self) -> Any:
        return self.dice.choice((1, "0.000000001", "999999999999.999999999", 10**12 - 1, 250))

    def quantity(self) -> Any:
        return self.dice.choice((0, 1, "0.000000001", "999999999999.999999999", 10**12 - 1, 1000, "0.1"))

    def moment(self, number: int) -> dict[str, Any]:
        dice = self.dice
        height = {"factor": self.positive()} if dice.random() < 0.5 else {"level": self.quantity()}
        return height | {
            "name": f"m{number}",
            "signal": dice.choice(self.signals),
            "offsetSeconds": dice.choice((0, -1, -DAY, 3600)),
            "durationSeconds": dice.choice((1, 90, DAY)),
            "anchor": dice.choice(("Start", "End")),
        }

    def event(self) -> dict[str, Any]:
        dice = self.dice
        schedule = {
            "startTime": dice.choice(STARTS),
            "timeZone": dice.choice(("UTC", "Asia/Kathmandu", "America/St_Johns")),
            "durationSeconds": dice.choice((1, 7, 60, 3600, DAY, 200_000)),
        }
        spec = {
            "schedule": schedule,
            "expected": {signal: self.quantity() for signal in self.signals},
            "spreadPercent": dice.choice((0, 1, 300)),
            "profile": dice.choice(("flat", "show", "flash-sale", "match", "opening")),
            "moments": [self.moment(number) for number in range(dice.randint(0, 3))],
            "policyRef": {"name": "core"},
        }
        if dice.random() < 0.3:
            spec["derived"] = [{"signal": "d", "from": self.signals[0], "factor": self.positive()}]
        return {"metadata": {"name": "e", "namespace": "shop"}, "spec": spec}

    def policy(self) -> dict[str, Any]:
        dice = self.dice
        main = {
            "name": "t",
            "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "t"},
            "capacity": {signal: self.positive() for signal in self.signals},
            "headroomPercent": dice.choice((0, 500)),
            "min": dice.choice((0, 1)),
            "max": dice.choice((1, 1_000_000)),
            "leadTime": {"guessSeconds": dice.choice((0, 40_000)), "machineSeconds": dice.choice((0, 40_000))},
            "stage": {"name": "database", "settleSeconds": dice.choice((0, 3000))},
        }
        front = {
            "name": "u",
            "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "u"},
            "capacity": {self.signals[0]: 1},
            "max": 10,
            "stage": {"name": "edge", "settleSeconds": 3000},
        }
        spec = {
            "mode": "Enforce",
            "quantilePercent": dice.choice((50, 95, 99)),
            "correlationPercent": dice.choice((0, 100)),
            "targets": [main, front],
            "release": {"holdSeconds": dice.choice((0, DAY)), "maxStepPercentPerMinute": dice.choice((1, 100))},
        }
        return {"metadata": {"name": "core", "namespace": "shop"}, "spec": spec}

    def plan(self) -> Plan | None:
        """The plan of both; None where the API refuses one."""
        dice = self.dice
        try:
            parsed, core = parse_live_event(self.event()), parse_policy(self.policy())
        except InvalidObject:
            return None
        boost = Override(
            Key("shop", "o"), "core", None, OverrideAction.BOOST, NOW + 600, "a", "r", percent=1000, created=NOW - 600
        )
        observed = {
            (core.key, one.name): Observed(
                level=dice.choice((0, 2, INT32)), ready=2, loan=dice.choice((None, LoanState(1, INT32, NOW, NOW)))
            )
            for one in core.targets
        }
        overrides = (boost,) if dice.random() < 0.5 else ()
        announced = {parsed.key: parsed.announcement(NOW - 3 * DAY, NOW + 3 * DAY)}
        return make_plan(World({core.key: core}, announced, observed, overrides=overrides), NOW)


@pytest.mark.parametrize("part", range(8))
def test_whatever_the_api_lets_in_is_planned_within_what_a_level_can_be(part: int) -> None:
    """Not one of them is left out because something in it could not be worked out."""
    planned = 0
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        for seed in range(100 * part, 100 * part + 100):
            plan = Bounds(seed).plan()
            if plan is None:
                continue
            planned += 1
            for one in plan.targets.values():
                assert one.reason is not Reason.CANNOT_BE_PLANNED, (seed, one.message)
                assert one.level is None or 0 <= one.level <= INT32, seed
                assert min(one.peak, one.need) >= 0, seed
            assert {v.reason for v in plan.verdicts.values()}.isdisjoint({Reason.CANNOT_BE_PLANNED}), seed
    assert planned > 30, "the others are refused in words"
