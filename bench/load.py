"""What the operator does under load: events that fall due, a storm of floors, idleness, and a cold start.

    python bench/load.py [--only cold,storm,idle] [--events 60000] [--output json]

``cold``: a start over so many events with 500 loans to take; then, while these are held, floors that fall due and
events that are edited and are due at once, each timed to its write; then a second start over what the first one left,
which may write no status anew. ``storm``: so many floors due at one instant behind a server that takes 10 ms a request.
``idle``: minutes in which nothing happens and nothing may be written but the Lease.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from plan_scale import raw_events
from whole import (
    GROUP,
    Figure,
    Operator,
    deployment,
    empty_cluster,
    live_event,
    local_time,
    policy,
    quantile,
    served,
    show,
    until,
    until_quiet,
)

from tidegate.api.walltime import from_rfc3339
from tidegate.embedded.cluster import AuditEntry, EmbeddedCluster

SHOPS = 100
EACH = 5
LEAD = 30
STATUS = {"liveevents/status", "scalingpolicies/status"}


def shops(events: int, *, shops_on: int, more: Iterable[str] = ()) -> EmbeddedCluster:
    """A hundred policies of five workloads each, some with a show that is on; all other events begin in 3 to 20 hours,
    so that none of them means anything new for a while.
    """
    names = [f"shop-{number}" for number in range(SHOPS)]
    cluster = empty_cluster([*names, *more])
    now, dice = time.time(), random.Random(7)
    for number, namespace in enumerate(names):
        targets = [f"w{index}" for index in range(EACH)]
        for target in targets:
            cluster.create(deployment(namespace, target))
        cluster.create(policy(namespace, targets))
        if number < shops_on:
            cluster.create(live_event(namespace, "on", now - 600, orders=50, seconds=12 * 3600))
    for event in raw_events(events - shops_on, SHOPS, now=now):
        event["spec"]["schedule"] |= {"startTime": local_time(now + dice.uniform(3, 20) * 3600), "timeZone": "UTC"}
        event["spec"]["expected"] = {"orders": dice.randint(1, 40)}
        event["spec"].pop("moments")
        cluster.create(event)
    return cluster


def levels(cluster: EmbeddedCluster, since: float, prefix: str = "") -> list[AuditEntry]:
    """Writes of levels that were taken."""
    return [
        entry
        for entry in cluster.audit
        if entry.time >= since
        and entry.resource == "deployments/scale"
        and entry.is_write
        and entry.code < 300
        and entry.namespace.startswith(prefix)
    ]


def loans(cluster: EmbeddedCluster) -> int:
    """Loans that there are."""
    return len(cluster.store.bucket(("tidegate.dev", "loans")))


async def planned(operator: Operator) -> float:
    """Seconds from the operator's start to its first plan."""
    await operator.until_logged(r"first plan: (\d+) events")
    return time.time() - operator.begun


# ---- a cold start, and events that fall due


async def cold(args: argparse.Namespace, folder: Path) -> list[Figure]:
    """Two starts over many events; between them floors that fall due."""
    probes = [f"probe-{number}" for number in range(args.probes)]
    cluster = shops(args.events, shops_on=SHOPS, more=probes)
    for namespace in probes:
        cluster.create(deployment(namespace, "w0"))
        cluster.create(policy(namespace, ["w0"]))
    settings = {"STATUS_WRITES_PER_SECOND": str(args.status_rate)}
    async with served(cluster) as url:
        operator = Operator(url, folder, nice=args.nice, **settings)
        try:
            first = await planned(operator)
            start = operator.spent()
            await until(lambda: loans(cluster) >= SHOPS * EACH, patience=600)
            held, taken = loans(cluster), time.time() - operator.begun
            before = operator.spent()
            by_clock = await fall_due(cluster, probes[: len(probes) // 2])
            by_edit = await told(cluster, probes[len(probes) // 2 :])
            used = operator.spent().since(before)
            shown = await all_shown(cluster, patience=args.status_seconds)
            peak, complaints = operator.peak_mib(), operator.complaints()
        finally:
            operator.end()
        begun, before_it = time.time(), statuses(cluster)
        operator = Operator(url, folder, nice=args.nice, **settings)
        try:
            second = await planned(operator)
            await until_quiet(cluster, seconds=20, patience=60)
            later = status_writes(cluster, since=begun)
            changed = leaves_changed(before_it, statuses(cluster), later & shown)
            second_peak, complaints = operator.peak_mib(), complaints + operator.complaints()
        finally:
            operator.end()
    return [
        Figure("first start: to the first plan", first, "s", "< 15"),
        Figure("first start: processor time until then", start.cpu, "s"),
        Figure("first start: ready to run, without a processor", start.waited, "s"),
        Figure("first start: until all loans are taken", taken, "s"),
        Figure("loans held", held),
        *timed("due by the clock to its write", by_clock),
        *timed("edited and due at once to its write", by_edit),
        Figure("meanwhile: wall time", used.wall, "s"),
        Figure("meanwhile: processor time of the operator", used.cpu, "s"),
        Figure("meanwhile: ready to run, without a processor", used.waited, "s"),
        Figure("first start: objects whose status was written", len(shown)),
        Figure("first start: peak memory", peak, "MiB"),
        Figure("second start: to the first plan", second, "s", "< 15"),
        Figure("second start: statuses written that were shown before", len(later & shown)),
        Figure("of these with more than the instant of the last look", sum(changed.values()), "", "0"),
        *(Figure(f"  {leaf}", count) for leaf, count in changed.most_common(20)),
        Figure("second start: statuses written that were not", len(later - shown)),
        Figure("second start: peak memory", second_peak, "MiB"),
        Figure("errors in the log", complaints, "", "0"),
    ]


def timed(name: str, seconds: Sequence[float]) -> list[Figure]:
    """How long something took, of all times that it happened."""
    return [
        Figure(f"{name}: times", len(seconds)),
        Figure(f"{name}: p50", quantile(seconds, 0.5), "s"),
        Figure(f"{name}: p99", quantile(seconds, 0.99), "s", "< 1"),
    ]


async def fall_due(cluster: EmbeddedCluster, namespaces: Sequence[str]) -> list[float]:
    """Seconds from the instant at which the operator last said that a floor would move to its write."""
    now = time.time()
    for number, namespace in enumerate(namespaces):
        cluster.create(live_event(namespace, "show", now + 110 + 5 * number, orders=100, seconds=3600))
    due: dict[str, float] = {}

    def done() -> bool:
        for namespace in namespaces:
            seen = cluster.get(GROUP, "ScalingPolicy", "core", namespace=namespace)
            target = (((seen or {}).get("status") or {}).get("targets") or [{}])[0]
            if target.get("nextStepFloor", 0) > target.get("floor", 0):  # later ones replace it: others need room too
                due[namespace] = from_rfc3339(target["nextStepTime"])
        return len({entry.namespace for entry in levels(cluster, now, "probe-")}) >= len(namespaces)

    await until(done, patience=240 + 5 * len(namespaces), every=1.0)
    written = first_writes(cluster, now)
    return [written[one] - due[one] for one in namespaces if one in due and one in written]


async def told(cluster: EmbeddedCluster, namespaces: Sequence[str]) -> list[float]:
    """Seconds from an event's creation, whose show is on already, to the write of its floor."""
    took = []
    for namespace in namespaces:
        begun = time.time()
        cluster.create(live_event(namespace, "now", begun - 60, orders=100, seconds=3600))
        await until(lambda: namespace in first_writes(cluster, begun), patience=60, every=0.5)  # noqa: B023
        if (at := first_writes(cluster, begun).get(namespace)) is not None:
            took.append(at - begun)
        await asyncio.sleep(1.0)
    return took


def first_writes(cluster: EmbeddedCluster, since: float) -> dict[str, float]:
    """When the first level of each namespace was written."""
    first: dict[str, float] = {}
    for entry in levels(cluster, since):
        first.setdefault(entry.namespace, entry.time)
    return first


def status_writes(cluster: EmbeddedCluster, *, since: float) -> set[tuple[str, str, str]]:
    """Objects whose status was written."""
    return {
        (entry.resource, entry.namespace, entry.name)
        for entry in cluster.audit
        if entry.time >= since and entry.resource in STATUS and entry.is_write
    }


def statuses(cluster: EmbeddedCluster) -> dict[tuple[str, str, str], Any]:
    """All statuses, by resource, namespace and name."""
    return {
        (resource, one.namespace, one.name): one.document().get("status", {})
        for resource in STATUS
        for one in cluster.store.bucket((GROUP.partition("/")[0], resource.partition("/")[0])).items()
    }


def leaves_changed(before: Any, after: Any, names: Iterable[tuple[str, str, str]]) -> Counter[str]:
    """Which leaves of so many statuses differ, each status counted once, by the first leaf that does."""
    found: Counter[str] = Counter()
    for name in names:
        differing = sorted(differences(before.get(name, {}), after.get(name, {}), name[0]))
        differing = [leaf for leaf in differing if "/lookedAt:" not in leaf]
        found.update(differing[:1] or ([] if before.get(name) != after.get(name) else [f"{name[0]}: as it was"]))
    return found


def differences(one: Any, other: Any, path: str) -> Iterator[str]:
    """Paths of leaves that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for a, b in zip(one, other, strict=True):
            yield from differences(a, b, f"{path}/*")
    elif one != other:
        yield f"{path}: {str(one)[:60]} to {str(other)[:60]}" if not isinstance(one, dict) else path


async def all_shown(cluster: EmbeddedCluster, *, patience: float) -> set[tuple[str, str, str]]:
    """Wait for the statuses of a first start, but not for ever; what was written."""
    await until_quiet(cluster, seconds=20, patience=patience)
    return status_writes(cluster, since=0.0)


# ---- all floors at one instant


async def storm(args: argparse.Namespace, folder: Path) -> list[Figure]:
    """Floors of many policies, all due at one instant, behind a server that takes its time."""
    names = [f"storm-{number}" for number in range((args.floors + 15) // 16)]
    cluster = empty_cluster(names)
    for number, namespace in enumerate(names):
        targets = [f"w{index}" for index in range(min(16, args.floors - 16 * number))]
        for target in targets:
            cluster.create(deployment(namespace, target, start_seconds=LEAD - 5))
        cluster.create(policy(namespace, targets, lead=LEAD))
    async with served(cluster, latency=args.request_ms / 1000) as url:
        operator = Operator(url, folder, nice=args.nice)
        try:
            await planned(operator)
            start = time.time() + args.ahead
            for namespace in names:
                cluster.create(live_event(namespace, "show", start, orders=50))
            await until(lambda: bool(levels(cluster, 0.0)), patience=args.ahead + 60)
            requests, before = sum(cluster.requests.values()), operator.spent()
            parts = lead_parts(cluster, names[0])
            await until(lambda: time.time() >= start, patience=args.ahead, every=0.05)
            ready = sum(ready_units(cluster, name) >= 5 for name in every(cluster))
            await until(lambda: len(levels(cluster, 0.0)) >= args.floors, patience=180)
            used = operator.spent().since(before)
            requests = sum(cluster.requests.values()) - requests
            peak, complaints = operator.peak_mib(), operator.complaints()
        finally:
            operator.end()
    written = sorted(entry.time - start for entry in levels(cluster, 0.0))
    took = written[-1] - written[0]
    return [
        Figure("floors written", len(written)),
        Figure("first write, after T-0", written[0], "s"),
        Figure("last write, after T-0", written[-1], "s", "< 0"),
        Figure("from the first write to the last", took, "s"),
        *(Figure(f"lead, as told: {name}", seconds, "s") for name, seconds in parts.items()),
        Figure("workloads whose units were all ready at T-0", ready),
        Figure("requests in a second", requests / used.wall),
        Figure("processor time of the operator", used.cpu, "s"),
        Figure("of wall time", used.wall, "s"),
        Figure("ready to run, without a processor", used.waited, "s"),
        Figure("peak memory", peak, "MiB"),
        Figure("errors in the log", complaints, "", "0"),
    ]


def lead_parts(cluster: EmbeddedCluster, namespace: str) -> dict[str, float]:
    """What the lead time of a policy's first target is made of, by its status."""
    status = (cluster.get(GROUP, "ScalingPolicy", "core", namespace=namespace) or {}).get("status") or {}
    first = (status.get("targets") or [{}])[0]
    parts = {**first.get("leadTimeParts", {}), "whole": first.get("leadTimeSeconds", 0)}
    return {name: float(seconds) for name, seconds in parts.items() if name != "measured"}


def every(cluster: EmbeddedCluster) -> list[tuple[str, str]]:
    """All Deployments."""
    return [(item.namespace, item.name) for item in cluster.store.bucket(("apps", "deployments")).items()]


def ready_units(cluster: EmbeddedCluster, name: tuple[str, str]) -> int:
    """Ready pods of a Deployment."""
    found = cluster.get("apps/v1", "Deployment", name[1], namespace=name[0]) or {}
    return int((found.get("status") or {}).get("readyReplicas", 0))


# ---- nothing at all


def told_now(cluster: EmbeddedCluster) -> dict[tuple[str, str, str], Any]:
    """What all statuses say, beside the instant of the last look: that is there to move."""
    return {
        name: {field: value for field, value in status.items() if field != "lookedAt"}
        for name, status in statuses(cluster).items()
    }


async def until_told(cluster: EmbeddedCluster, *, seconds: float, patience: float) -> bool:
    """Wait until no status has said anything new for so long; whether it came to that."""
    said, since, end = told_now(cluster), time.monotonic(), time.monotonic() + patience
    while time.monotonic() < end:
        await asyncio.sleep(5.0)
        if (now := told_now(cluster)) != said:
            said, since = now, time.monotonic()
        if time.monotonic() - since >= seconds:
            return True
    return False


async def idle(args: argparse.Namespace, folder: Path) -> list[Figure]:
    """Minutes in which nothing happens; some workloads have loans."""
    cluster = shops(args.idle_events, shops_on=SHOPS // 10)
    async with served(cluster) as url:
        operator = Operator(url, folder, nice=args.nice, STATUS_WRITES_PER_SECOND=str(args.status_rate))
        try:
            await planned(operator)
            quiet = await until_told(cluster, seconds=90, patience=args.status_seconds)
            seen, begun, before, shown = cluster.writes_seen(), time.time(), operator.spent(), told_now(cluster)
            await asyncio.sleep(60 * args.idle_minutes)
            used, after = operator.spent().since(before), told_now(cluster)
            changed = [name for name in after if after[name] != shown.get(name)]
            written = [e for e in cluster.audit if e.time >= begun and e.is_write and e.resource != "leases"]
            shows = [entry for entry in written if entry.resource in STATUS]
            for entry in [one for one in written if one not in shows][:5]:
                print(entry)
            return [
                Figure("events", args.idle_events),
                Figure("loans held", loans(cluster)),
                Figure("written before it was quiet", seen),
                Figure("it became quiet", quiet, "", "1"),
                Figure("writes but the Lease and statuses", len(written) - len(shows), "", "0"),
                Figure("statuses that say something else", len(changed), "", "0"),
                Figure("status writes: the instant of the last look of what is on", len(shows)),
                Figure("minutes", used.wall / 60),
                Figure("share of a core", used.cpu / used.wall),
                Figure("peak memory", operator.peak_mib(), "MiB"),
                Figure("errors in the log", operator.complaints(), "", "0"),
            ]
        finally:
            operator.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="cold,storm,idle", help="which of the three, separated by commas")
    parser.add_argument("--events", type=int, default=60_000, help="of the cold start")
    parser.add_argument("--probes", type=int, default=100, help="floors timed, half by the clock, half by an edit")
    parser.add_argument("--status-rate", type=float, default=20.0, help="status writes in a second, at the most")
    parser.add_argument("--status-seconds", type=float, default=3600.0, help="patience with the first statuses")
    parser.add_argument("--floors", type=int, default=2000)
    parser.add_argument("--request-ms", type=float, default=10.0)
    parser.add_argument("--ahead", type=float, default=240.0, help="seconds from the first plan to the storm's T-0")
    parser.add_argument("--idle-events", type=int, default=3000)
    parser.add_argument("--idle-minutes", type=float, default=2.0)
    parser.add_argument("--nice", type=int, default=0, help="niceness of the operator: below 0 where others are busy")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    runs = {"cold": cold, "storm": storm, "idle": idle}
    for name in args.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            show(asyncio.run(runs[name](args, Path(folder))), output=args.output, title=name)


if __name__ == "__main__":
    main()
