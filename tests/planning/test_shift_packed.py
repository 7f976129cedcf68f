"""A timetable that is put on record comes back as it was; what is none is told from one."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from pools import cores, job, lane, need, pool

from tidegate.planning.resources import total
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.model import Drain, PoolFacts
from tidegate.planning.shift.packed import LENDINGS_MOST, pack, unpack
from tidegate.planning.shift.plan import timetable

T0 = 1_794_240_000.1
PLENTY = 1_000_000


@cache
def made() -> Timetabled:
    """Of a pool that lends, and refuses one of three needs in part."""
    jobs = tuple(job(f"job-{n}") for n in range(8))
    lanes = (lane("trading"), lane("data", drain=Drain(120.0, 300.0, 60.0)))
    needs = (
        need("a", T0 + 900.0, T0 + 1800.3, cores(4)),
        need("b", T0 + 900.0, T0 + 3600.0, cores(3)),
        need("c", T0 + 1200.0, T0 + 1800.0, cores(9)),
    )
    facts = PoolFacts(total(one.unit for one in jobs) + cores(2), {}, jobs)
    found = timetable(TimetableInputs(pool(*lanes), facts, needs, (), T0, 45.0))
    assert found.plan.grants
    assert found.plan.refusals
    assert found.plan.lendings
    return found


def text(told: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(told).encode())).decode()


def told() -> Any:
    return json.loads(zlib.decompress(base64.b64decode(pack(made(), most=PLENTY))))


def test_a_timetable_comes_back_to_the_last_digit() -> None:
    assert unpack(pack(made(), most=PLENTY)) == made()
    assert unpack(pack(made(), most=PLENTY)).result == made().result


def test_one_that_takes_more_room_than_there_is_is_left_out_whole() -> None:
    size = len(pack(made(), most=PLENTY))
    assert pack(made(), most=size)
    assert pack(made(), most=size - 1) == ""
    (ref, ones), *_ = made().plan.lendings.items()
    many = replace(made(), plan=replace(made().plan, lendings={ref: ones * (LENDINGS_MOST + 1)}))
    assert pack(many, most=PLENTY) == "", "nobody tries for long"


@pytest.mark.parametrize(
    "found",
    [
        "",
        "no base64",
        base64.b64encode(b"not deflated").decode(),
        base64.b64encode(zlib.compress(b"no JSON")).decode(),
        base64.b64encode(zlib.compress(b" " * 50_000_000)).decode(),
        text([]),
        text({}),
        text(told() | {"format": 1}),
        text(told() | {"madeFor": "soon"}),
        text(told() | {"grants": [[1, 2]]}),
        text(told() | {"owners": []}),
        text(told() | {"lendings": [["batch/v1", "Job", "data", 7, []]]}),
        pack(made(), most=PLENTY)[:-40] + "A" * 40,
    ],
)
def test_what_is_no_timetable_is_told_from_one(found: str) -> None:
    with pytest.raises(ValueError, match="no timetable"):
        unpack(found)
