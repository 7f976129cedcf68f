"""What a namespace that asks for as much as it may costs everybody else.

    python bench/hostile.py [--probes 40] [--output json]

Twice the same: two hundred workloads in forty namespaces, and events that are made and due at once, each timed to the
write of its floor. The second time another namespace holds a thousand objects at every bound (policies of 64 targets,
month-long events of 32 signals and 64 moments, overrides), of which twenty a second are deleted and made again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from load import levels, planned, status_writes, told
from whole import (
    GROUP,
    Figure,
    Json,
    Operator,
    deployment,
    empty_cluster,
    live_event,
    local_time,
    policy,
    quantile,
    served,
    show,
    until_quiet,
)

from tidegate.embedded.cluster import EmbeddedCluster

SHOPS, EACH = 40, 5
BAD = "slip"
POLICIES, EVENTS, OVERRIDES = 40, 800, 160
CHURN = 20
"""Objects that are deleted and made again in a second."""


def healthy(probes: int) -> tuple[EmbeddedCluster, list[str]]:
    """Shops with a show that is on, and namespaces that wait for one."""
    shops, waiting = [f"shop-{n}" for n in range(SHOPS)], [f"probe-{n}" for n in range(probes)]
    cluster = empty_cluster([*shops, *waiting, BAD])
    for namespace in shops:
        for number in range(EACH):
            cluster.create(deployment(namespace, f"w{number}"))
        cluster.create(policy(namespace, [f"w{number}" for number in range(EACH)]))
        cluster.create(live_event(namespace, "on", time.time() - 600, orders=50, seconds=12 * 3600))
    for namespace in waiting:
        cluster.create(deployment(namespace, "w0"))
        cluster.create(policy(namespace, ["w0"]))
    return cluster, waiting


def hostile() -> Iterator[Json]:
    """A thousand objects at every bound."""
    now, dice = time.time(), random.Random(3)
    for number in range(POLICIES):
        made = policy(BAD, [f"t{number}-{target}" for target in range(64)])
        made["metadata"]["name"] = f"p{number}"
        for target in made["spec"]["targets"]:
            target["max"] = 1_000_000
        yield made
    links = [{"signal": f"d{n}", "from": "s0", "factor": "1000", "lagSeconds": 600 * n} for n in range(24)]
    moments = [
        {"name": f"m{n}", "signal": "s0", "offsetSeconds": 900 * n, "durationSeconds": 600, "factor": "9"}
        for n in range(64)
    ]
    for number in range(EVENTS):
        start = now + dice.uniform(-86_400, 86_400)
        yield {
            "apiVersion": GROUP,
            "kind": "LiveEvent",
            "metadata": {"name": f"e{number}", "namespace": BAD},
            "spec": {
                "schedule": {"startTime": local_time(start), "timeZone": "UTC", "durationSeconds": 30 * 86_400},
                "expected": {"orders": 10**9, **{f"s{n}": 10**9 for n in range(7)}},
                "derived": links,
                "moments": moments,
                "spreadPercent": 50,
                "policyRef": {"name": f"p{number % (2 * POLICIES)}"},
            },
        }
    for number in range(OVERRIDES):
        yield {
            "apiVersion": GROUP,
            "kind": "Override",
            "metadata": {"name": f"o{number}", "namespace": BAD},
            "spec": {
                "policyRef": {"name": f"p{number % POLICIES}"},
                "action": "Boost",
                "percent": 1000,
                "until": f"{local_time(now + 86_400)}Z",
                "reason": "more",
                "author": "nobody",
            },
        }


async def churn(cluster: EmbeddedCluster, objects: list[Json]) -> None:
    """Delete one after the other and make it again, for ever."""
    number = 0
    while True:
        one = objects[number % len(objects)]
        with suppress(Exception):  # deleted already: that is what it is about
            cluster.delete(GROUP, one["kind"], one["metadata"]["name"], namespace=BAD)
        cluster.create(one)
        number += 1
        await asyncio.sleep(1.0 / CHURN)


async def measure(args: argparse.Namespace, folder: Path, *, bad: bool) -> tuple[list[float], list[Figure]]:
    """Times from due to written, and what it took."""
    cluster, waiting = healthy(args.probes)
    objects = list(hostile()) if bad else []
    for one in objects:
        cluster.create(one)
    said = "with it" if bad else "without"
    async with served(cluster) as url:
        operator = Operator(url, folder, nice=args.nice, STATUS_WRITES_PER_SECOND="200")
        churning = asyncio.create_task(churn(cluster, objects)) if bad else None
        try:
            await planned(operator)
            await until_quiet(cluster, seconds=20, patience=args.settle)
            begun, before = time.time(), operator.spent()
            took = await told(cluster, waiting)
            used = operator.spent().since(before)
            shown = status_writes(cluster, since=begun)
            wrote = [e for e in cluster.audit if e.time >= begun and e.is_write and e.resource.endswith("/status")]
            return took, [
                Figure(f"{said}: floors timed", len(took)),
                Figure(f"{said}: p50", quantile(took, 0.5), "s"),
                Figure(f"{said}: p99", quantile(took, 0.99), "s"),
                Figure(f"{said}: share of a core", used.cpu / used.wall),
                Figure(f"{said}: ready to run, without a processor", used.waited / used.wall, "of the time"),
                Figure(f"{said}: status writes in a second, its own", own(wrote) / used.wall),
                Figure(f"{said}: status writes in a second, others'", (len(wrote) - own(wrote)) / used.wall),
                Figure(f"{said}: objects whose status was written", len(shown)),
                Figure(f"{said}: levels of its own that were written", len(levels(cluster, 0.0, BAD))),
                Figure(f"{said}: peak memory", operator.peak_mib(), "MiB"),
                Figure(f"{said}: errors in the log", operator.complaints(), "", "0"),
            ]
        finally:
            operator.end()
            if churning is not None:
                churning.cancel()
                with suppress(asyncio.CancelledError):
                    await churning


def own(wrote: list) -> int:  # type: ignore[type-arg]
    """Of these writes those in the namespace itself."""
    return sum(entry.namespace == BAD for entry in wrote)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=40)
    parser.add_argument("--settle", type=float, default=60.0, help="seconds of patience with the first statuses")
    parser.add_argument("--nice", type=int, default=0, help="niceness of the operator: below 0 where others are busy")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    figures: list[Figure] = []
    p99 = []
    for bad in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            took, some = asyncio.run(measure(args, Path(folder), bad=bad))
        figures += some
        p99.append(quantile(took, 0.99))
    figures.append(Figure("p99 with it to p99 without", p99[1] / p99[0], "", "<= 1.2"))
    show(figures, output=args.output, title="hostile")


if __name__ == "__main__":
    main()
