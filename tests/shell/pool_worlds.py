"""A pool in a random world: lanes, Jobs and a Deployment that may stop, drains that are learned, deadlines."""

from __future__ import annotations

import random
from typing import Any

from pooled import DATA, PooledCluster, Work
from worlds import NS, T0

from tidegate.api.walltime import to_rfc3339

Json = dict[str, Any]

POOL = "p"
WORK = {"work": "nightly"}
START = T0 - 86_400.0
"""When the work that runs was started."""


def with_pool(cluster: PooledCluster, dice: random.Random, standing: int) -> Json:
    """Put work on the machines that trading, ``standing`` units of one core, has the use of; the spec of the pool."""
    cores = dice.choice([40, 60, 100])
    stop, room = dice.choice([10.0, 40.0, 200.0]), cores - standing - dice.randint(0, 6)
    pods, every = dice.choice([1, 2, 3]), dice.choice([None, 300.0, 1800.0])
    for number in range(dice.randint(3, 10)):
        if room < pods:
            break
        job = Work(1, "cron", f"u-job-{number}", ready=1, pods=pods, stop_seconds=stop, job=True, member="nightly")
        job.started, job.saved_every, room = START + 60.0 * number, every, room - pods
        cluster.things[f"job-{number}"] = job
    level = dice.randint(0, min(room, 20))
    loader = Work(level, "helm", "u-loader", ready=level, stop_seconds=stop, member="loader", started=START)
    cluster.things["loader"] = loader
    return _spec(dice, cores)


def _spec(dice: random.Random, cores: int) -> Json:
    jobs: Json = {"name": "nightly", "jobs": {"namespace": DATA, "matchLabels": WORK}}
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": DATA, "name": "loader"}
    loader: Json = {"name": "loader", "ref": ref}
    for member in (jobs, loader):
        if dice.random() < 0.4:  # enough of it may stop for a while, and not for ever
            deadline = to_rfc3339(round(T0 + dice.uniform(3600.0, 14_400.0)))[11:16]
            left = {"unitSeconds": dice.choice([600, 7200, 40_000])}
            member["work"] = {"deadline": deadline, "timeZone": "UTC", "remaining": left}
    trading: Json = {"name": "trading", "guaranteePercent": dice.choice([0, 20, 40]), "allowedNamespaces": [NS]}
    if dice.random() < 0.3:
        trading["capPercentPerNamespace"] = dice.choice([50, 90])
    data = {
        "name": "data",
        "guaranteePercent": dice.choice([0, 5, 20]),
        "members": [jobs, loader],
        "drain": {
            "noticeSeconds": dice.choice([0, 60, 300]),
            "minimumRunSeconds": dice.choice([0, 300, 900]),
            "guessSeconds": dice.choice([30, 60]),
        },
        "giveBackWithinSeconds": dice.choice([600, 1800, 3600]),
    }
    return {"capacity": {"given": {"cpu": str(cores), "memory": f"{cores}Gi"}}, "lanes": [trading, data]}
