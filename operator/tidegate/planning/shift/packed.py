"""A timetable as text, so that it can be put on record: the next life plans by the one that this life planned by.

The same timetable comes back, to the last digit. A reader takes nothing for granted: the text may have been written by
another version, or by anybody.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.inputs import Timetabled
from tidegate.planning.shift.model import Need, NeedStep
from tidegate.planning.shift.outcome import Grant, Lending, PoolPlan, Refusal

FORMAT = 2
LENDINGS_MOST = 4000
"""Absences in a timetable that is packed: more of them would not fit, and trying takes time."""
UNPACKED_MOST = 4_000_000
"""Bytes that a text may unfold to."""


def pack(made: Timetabled, *, most: int) -> str:
    """A timetable in at most so many ASCII characters; empty when it does not fit."""
    if sum(map(len, made.plan.lendings.values())) > LENDINGS_MOST:
        return ""
    text = json.dumps(_told(made), separators=(",", ":")).encode()
    if len(text) >= UNPACKED_MOST:
        return ""
    found = base64.b64encode(zlib.compress(text, 6)).decode()
    return found if len(found) <= most else ""


def unpack(text: str) -> Timetabled:
    """The timetable that was packed. ValueError when the text is none."""
    try:
        unfolding = zlib.decompressobj()
        told = unfolding.decompress(base64.b64decode(text, validate=True), UNPACKED_MOST)
        if not unfolding.eof:
            raise ValueError("it was cut off, or is too long")
        return _read(json.loads(told))
    except (KeyError, IndexError, TypeError, ValueError, RecursionError, OverflowError, zlib.error) as error:
        raise ValueError(f"no timetable: {error}") from error


def _told(made: Timetabled) -> dict[str, Any]:
    plan = made.plan
    owners = sorted({owner for ones in plan.lendings.values() for one in ones for owner in one.needs})
    number = {owner: at for at, owner in enumerate(owners)}
    return {
        "format": FORMAT,
        "digest": made.digest,
        "madeFor": made.made_for,
        "now": plan.now,
        "pool": plan.pool,
        "asked": [[need.key, need.lane, need.namespace, _steps(need.steps)] for need in made.asked],
        "grants": [[g.key, g.lane, g.namespace, g.guaranteed, g.promised, _steps(g.steps)] for g in plan.grants],
        "refusals": [
            [
                r.key,
                r.lane,
                r.reason.value,
                r.message,
                r.resource,
                r.at,
                r.earliest,
                r.until,
                r.sure,
                *_amount(r.needed),
                *_amount(r.available),
            ]
            for r in plan.refusals
        ],
        "owners": owners,
        "lendings": [[*ref, [_lending(one, number) for one in ones]] for ref, ones in plan.lendings.items()],
    }


def _read(told: dict[str, Any]) -> Timetabled:
    if told["format"] != FORMAT:
        raise ValueError(f"it is of format {told['format']}, not of {FORMAT}")
    grants = tuple(
        Grant(_text(key), _text(lane), _text(namespace), bool(guaranteed), _read_steps(steps), bool(promised))
        for key, lane, namespace, guaranteed, promised, steps in told["grants"]
    )
    owners = tuple(map(_text, told["owners"]))
    plan = PoolPlan(
        float(told["now"]),
        _text(told["pool"]),
        grants,
        tuple(map(_read_refusal, told["refusals"])),
        {
            Ref(*map(_text, one[:4])): tuple(_read_lending(absent, owners) for absent in one[4])
            for one in told["lendings"]
        },
    )
    asked = tuple(
        Need(_text(key), _text(lane), _text(ns), _read_steps(steps)) for key, lane, ns, steps in told["asked"]
    )
    return Timetabled(_text(told["digest"]), float(told["madeFor"]), asked, plan)


def _steps(steps: Sequence[NeedStep]) -> list[list[float]]:
    return [[step.start, step.end, *_amount(step.amount)] for step in steps]


def _read_steps(told: Sequence[Sequence[Any]]) -> tuple[NeedStep, ...]:
    return tuple(NeedStep(float(start), float(end), Resources(int(cpu), int(mem))) for start, end, cpu, mem in told)


def _amount(amount: Resources) -> list[int]:
    return [amount.cpu, amount.memory]


def _lending(one: Lending, number: Mapping[str, int]) -> list[Any]:
    needs = [number[owner] for owner in one.needs]
    return [one.notify_at, one.stop_at, one.free_by, one.until, one.return_by, needs]


def _read_lending(told: Sequence[Any], owners: Sequence[str]) -> Lending:
    notify_at, stop_at, free_by, until, return_by = map(float, told[:5])
    return Lending(notify_at, stop_at, free_by, until, return_by, tuple(owners[int(number)] for number in told[5]))


def _read_refusal(told: Sequence[Any]) -> Refusal:
    key, lane, reason, message, resource, at, earliest, until, sure, *amounts = told
    cpu, memory, free_cpu, free_memory = map(int, amounts)
    return Refusal(
        _text(key), _text(lane), Reason(reason), _text(message), _text(resource), float(at),
        Resources(cpu, memory), Resources(free_cpu, free_memory),
        None if earliest is None else float(earliest), None if until is None else float(until), bool(sure),
    )  # fmt: skip


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise TypeError(f"{told!r} is no text")
    return told
