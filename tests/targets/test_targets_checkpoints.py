"""What a Job says of its checkpoints: when its work was last safe, and how often it is made so."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tidegate.targets.jobs import member_of

STARTED = 1_793_980_800.0
"""2026-11-06T16:00:00Z."""


def job(every: str | None = None, saved: str | None = None) -> dict[str, Any]:
    said = {} if every is None else {"tidegate.dev/checkpoint-seconds": every}
    container = {"name": "main", "resources": {"requests": {"cpu": "1"}}}
    return {
        "metadata": {
            "name": "nightly",
            "namespace": "warehouse",
            "uid": "1",
            "annotations": {} if saved is None else {"tidegate.dev/checkpoint-time": saved},
        },
        "spec": {"template": {"metadata": {"annotations": said}, "spec": {"containers": [container]}}},
        "status": {"startTime": "2026-11-06T16:00:00Z"},
    }


@pytest.mark.parametrize(
    ("document", "saved_at", "every"),
    [
        (job(), STARTED, math.inf),
        (job(every="300"), STARTED + 900, 300.0),
        (job(saved="2026-11-06T16:10:00Z"), STARTED + 600, math.inf),
        (job(every="300", saved="2026-11-06T16:10:00Z"), STARTED + 600, 300.0),
        *((job(every=odd), STARTED, math.inf) for odd in ("often", "0", "-5", "nan", "inf")),
    ],
)
def test_a_job_tells_when_its_work_was_safe_and_how_often_it_is(
    document: dict[str, Any], saved_at: float, every: float
) -> None:
    found = member_of(document, lane="data", member="nightly", now=STARTED + 1000)
    assert found is not None
    assert (found[0].saved_at, found[0].saved_every) == (saved_at, every)
