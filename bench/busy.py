"""What the operator costs on a busy cluster in which nothing happens: autoscalers tell of themselves all the time.

    python bench/busy.py [--workloads 500] [--loans 200] [--moves 3.5] [--minutes 3] [--output json]

Every workload is a Deployment behind an HPA whose status moves so many times a minute. So many of them have a loan for
a show that is on, the others wait for one in the evening; each policy of five has a signal in Prometheus. Printed are
the operator's share of a core, the longest stand-still of its event loop and how often it asks for a signal. The
process remembers stand-stills for five minutes: with ``--settle`` below 300 the start counts too.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web
from whole import Figure, Operator, deployment, empty_cluster, free_port, live_event, policy, served, show, until

from tidegate.embedded.cluster import WRITE_VERBS, EmbeddedCluster
from tidegate.metrics.ages import PART

EACH = 5
"""Workloads of a policy, which has a namespace to itself."""
ORDERS = 100


def hpa(namespace: str, name: str) -> dict[str, object]:
    """An autoscaler in front of a Deployment of the same name."""
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2,
            "maxReplicas": 1000,
            "metrics": [{"type": "Resource", "resource": metric}],
        },
    }


def world(workloads: int, loans: int) -> EmbeddedCluster:
    """All objects."""
    names = [f"shop-{number}" for number in range((workloads + EACH - 1) // EACH)]
    cluster = empty_cluster(names)
    now = time.time()
    for number, namespace in enumerate(names):
        targets = [f"w{index}" for index in range(min(EACH, workloads - number * EACH))]
        for target in targets:
            cluster.create(deployment(namespace, target))
            cluster.create(hpa(namespace, target))
        query = f'sum(rate(orders_total{{shop="{number}"}}[1m]))'
        cluster.create(policy(namespace, targets, query=query))
        start = now - 600 if number * EACH < loans else now + 6 * 3600
        cluster.create(live_event(namespace, "show", start, orders=ORDERS))
    return cluster


async def move(cluster: EmbeddedCluster, workloads: int, per_minute: float) -> None:
    """Let one autoscaler after the other tell of its metric, for ever."""
    begun, number = time.monotonic(), 0
    while True:
        utilization = 40 + number % 37
        current = {"name": "cpu", "current": {"averageUtilization": utilization, "averageValue": f"{utilization}m"}}
        index = number % workloads
        status = {
            "currentReplicas": 2,
            "desiredReplicas": 2,
            "currentMetrics": [{"type": "Resource", "resource": current}],
            "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}],
        }
        cluster.patch(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            f"w{index % EACH}",
            {"status": status},
            namespace=f"shop-{index // EACH}",
            subresource="status",
        )
        number += 1
        await asyncio.sleep(max(0.0, begun + number * 60.0 / (workloads * per_minute) - time.monotonic()))


@asynccontextmanager
async def prometheus(queries: Counter[str]) -> AsyncIterator[str]:
    """Answers every query with the demand that was announced, as of now, and counts them."""

    async def answer(request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else request.query
        query, now = str(form.get("query", "")), time.time()
        queries[query] += 1
        parts = re.findall(rf'"{PART}", "(\w+ \d+)"', query)  # it asks how old the samples are
        result = [{"metric": {PART: part}, "value": [now, str(now)]} for part in parts]
        result = result or [{"metric": {}, "value": [now, str(ORDERS)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    app = web.Application()
    app.router.add_route("*", "/api/v1/query", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def measure(args: argparse.Namespace, folder: Path) -> list[Figure]:
    """One run."""
    cluster = world(args.workloads, args.loans)
    queries: Counter[str] = Counter()
    async with served(cluster) as url, prometheus(queries) as metrics:
        operator = Operator(url, folder, nice=args.nice, PROMETHEUS_URL=metrics)
        mover = asyncio.create_task(move(cluster, args.workloads, args.moves))
        try:
            await operator.until_logged(r"first plan: (\d+) events")
            borrowed = cluster.store.bucket(("tidegate.dev", "loans"))
            if not await until(lambda: len(borrowed) >= args.loans, patience=300):
                print(f"only {len(borrowed)} loans after five minutes")
            await asyncio.sleep(args.settle)
            queries.clear()
            before_requests, before = cluster.requests.copy(), operator.spent()
            await asyncio.sleep(args.minutes * 60)
            used = operator.spent().since(before)
            still = await operator.metric("tidegate_loop_stand_still_seconds")
            requests = cluster.requests - before_requests
            writes = {(verb, what): n for (verb, what, _), n in requests.items() if verb in WRITE_VERBS}
            writes = {name: count for name, count in writes.items() if name[1] != "leases"}
            signals = (args.workloads + EACH - 1) // EACH
            return [
                Figure("loans held", len(borrowed)),
                Figure("wall time measured", used.wall, "s"),
                Figure("processor time of the operator", used.cpu, "s"),
                Figure("share of a core", used.cpu / used.wall, "", "<= 0.25"),
                Figure("ready to run, without a processor", used.waited, "s"),
                Figure("longest stand-still of the event loop", still, "s", "< 0.1"),
                Figure("queries for a signal in a minute", sum(queries.values()) / signals / args.minutes),
                Figure("requests to the API server in a second", sum(requests.values()) / used.wall),
                *(Figure(f"of these: {verb} {what}", n / used.wall) for (verb, what), n in most(requests)),
                *(Figure(f"writes: {verb} {what}", count) for (verb, what), count in sorted(writes.items())),
                Figure("peak memory", operator.peak_mib(), "MiB"),
                Figure("errors in the log", operator.complaints(), "", "0"),
            ]
        finally:
            operator.end()
            mover.cancel()
            with suppress(asyncio.CancelledError):
                await mover


def most(requests: Counter[tuple[str, str, str]]) -> list[tuple[tuple[str, str], int]]:
    """The five kinds of requests of which there are most."""
    kinds: Counter[tuple[str, str]] = Counter()
    for (verb, what, _), count in requests.items():
        kinds[verb, what] += count
    return kinds.most_common(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=int, default=500)
    parser.add_argument("--loans", type=int, default=200)
    parser.add_argument("--moves", type=float, default=3.5, help="of an autoscaler's status in a minute")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--settle", type=float, default=300.0, help="seconds between the last loan and the first look")
    parser.add_argument("--nice", type=int, default=0, help="niceness of the operator: below 0 where others are busy")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(asyncio.run(measure(args, Path(folder))), output=args.output, title="busy")


if __name__ == "__main__":
    main()
