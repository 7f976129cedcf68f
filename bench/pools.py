"""Many pools on one cluster: how soon something is done on one of them, and what all of them cost.

    python bench/pools.py [--pools 50] [--pods 5000] [--probes 20] [--operator DIR] [--output json]

Each pool has two machines, a shop of twenty pods and work that may stop; on each of them something is planned, so that
each is looked at every two seconds. Then shows are announced that begin at once, on one pool after the other, and each
is timed to the notice that its work is given. ``--operator``: the operator of another checkout, for a figure beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from whole import (
    GROUP,
    ROOT,
    Figure,
    Json,
    Operator,
    deployment,
    empty_cluster,
    live_event,
    policy,
    quantile,
    served,
    show,
    until,
)

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.room import NodePool

SHOP, CORES = 20, 32
MILLI = 100
"""Of each pod of the work; a pod of the shop takes as much."""


def machines(number: int) -> list[Json]:
    """Two machines of one pool."""
    amount = {"cpu": str(CORES), "memory": "256Gi", "pods": "1000"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{number}-{one}", "labels": {"pool": f"p{number}"}},
            "status": {"allocatable": amount, "capacity": amount, "conditions": [{"type": "Ready", "status": "True"}]},
        }
        for one in range(2)
    ]


def on_its_machines(document: Json, number: int) -> Json:
    """A workload whose pods stand on the machines of a pool."""
    spec = document["spec"]["template"]["spec"]
    spec["nodeSelector"] = {"pool": f"p{number}"}
    spec["containers"][0]["resources"] = {"requests": {"cpu": f"{MILLI}m", "memory": "64Mi"}}
    return document


def pool(number: int) -> Json:
    """A pool that has nothing free beside its shop and its work."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": f"data-{number}", "name": "etl"}
    data = {
        "name": "data",
        "members": [{"name": "etl", "ref": ref}],
        "drain": {"noticeSeconds": 5, "minimumRunSeconds": 0, "guessSeconds": 10},
    }
    lanes = [{"name": "trading", "allowedNamespaces": [f"shop-{number}"]}, data]
    spec = {"capacity": {"nodeSelector": {"pool": f"p{number}"}}, "lanes": lanes}
    return {"apiVersion": GROUP, "kind": "CapacityPool", "metadata": {"name": f"pool-{number}"}, "spec": spec}


def shop_policy(number: int) -> Json:
    """The policy of a pool's shop; a unit takes a core, so that work has to stop for it."""
    made = policy(f"shop-{number}", ["web"])
    made["spec"]["poolRef"] = {"name": f"pool-{number}"}
    made["spec"]["targets"][0] |= {"lane": "trading", "unit": {"cpu": "1", "memory": "64Mi"}, "min": SHOP}
    return made


def cluster_of(pools: int, pods: int) -> EmbeddedCluster:
    """All of it; each shop has a show ahead in an hour, for which work will be stopped."""
    namespaces = [f"{kind}-{number}" for number in range(pools) for kind in ("shop", "data")]
    cluster = empty_cluster(namespaces, nodes=NodePool(count=0, show_pods=True))
    work = pods // pools - SHOP
    for number in range(pools):
        for machine in machines(number):
            made = cluster.create(machine)
            cluster.patch("v1", "Node", made["metadata"]["name"], {"status": machine["status"]}, subresource="status")
        cluster.create(on_its_machines(deployment(f"shop-{number}", "web", replicas=SHOP), number))
        cluster.create(on_its_machines(deployment(f"data-{number}", "etl", replicas=work), number))
        cluster.create(pool(number))
        cluster.create(shop_policy(number))
        cluster.create(live_event(f"shop-{number}", "later", time.time() + 3600, orders=10 * 40, seconds=600))
    return cluster


def told(cluster: EmbeddedCluster, number: int) -> bool:
    """Whether the work of a pool has a Loan: it was told."""
    return bool(cluster.list(GROUP, "Loan", namespace=f"data-{number}"))


async def measured(args: argparse.Namespace, folder: Path) -> list[Figure]:
    cluster = cluster_of(args.pools, args.pods)
    async with served(cluster) as url:
        await until(lambda: running(cluster) >= args.pools * (args.pods // args.pools), patience=120)
        operator = Operator(url, folder, args.operator, nice=0)
        try:
            await operator.until_logged(r"first plan: (\d+) events")
            await asyncio.sleep(args.settle)
            before = operator.spent()
            await asyncio.sleep(30.0)
            used = operator.spent().since(before)
            took = [await reaction(cluster, number) for number in range(min(args.probes, args.pools))]
            lists = sum(one.resource == "pods" and one.verb == "list" for one in cluster.audit)
            peak, complaints = operator.peak_mib(), operator.complaints()
        finally:
            operator.end()
    return [
        Figure("pods", running(cluster)),
        Figure("announced to told, median", quantile(took, 0.5), "s"),
        Figure("announced to told, p99", quantile(took, 0.99), "s", "1"),
        Figure("processor of the operator while nothing happens", used.cpu / used.wall, "cores"),
        Figure("lists of pods", lists),
        Figure("peak of its memory", peak, "MiB"),
        Figure("errors in its log", complaints, "", "0"),
    ]


def running(cluster: EmbeddedCluster) -> int:
    """Pods on machines."""
    return sum(bool(pod["spec"].get("nodeName")) for pod in cluster.list("v1", "Pod"))


async def reaction(cluster: EmbeddedCluster, number: int) -> float:
    """Seconds from a show that begins at once to the notice; infinite when it never comes."""
    begun = time.time()
    cluster.create(live_event(f"shop-{number}", "now", begun, orders=10 * 55, seconds=900))
    found = await until(lambda: told(cluster, number), patience=90, every=0.02)
    return time.time() - begun if found else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pools", type=int, default=50)
    parser.add_argument("--pods", type=int, default=5000, help="of all pools together")
    parser.add_argument("--probes", type=int, default=20)
    parser.add_argument("--settle", type=float, default=30.0, help="seconds after the first plan")
    parser.add_argument("--operator", type=Path, default=ROOT, help="the checkout whose operator is measured")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measured(args, Path(folder)))
    show(figures, output=args.output, title=f"{args.pools} pools, {args.pods} pods")


if __name__ == "__main__":
    main()
