"""The night as objects of a cluster: trading, data work, their pool, and what is announced."""

from __future__ import annotations

from typing import Any

from tidegate.demo import double11
from tidegate.demo.night import demand as night
from tidegate.demo.objects import NAMESPACE, decimal, derived_signal, enforcing_policy, flat_event, target
from tidegate.demo.workloads import HPA_BENEATH_PERCENT, autoscaler, deployment, pod_template
from tidegate.simulation.baselines import opening_replicas
from tidegate.simulation.scenario import Service

Json = dict[str, Any]

WAREHOUSE = "warehouse"
POOL = "hangzhou-a"
EVENT = "double11-opening"
TRADING, DATA = "trading", "data"
LOADER, NIGHTLY = "loader", "nightly"

NODE_LABELS = {"pool": POOL}
CREATION_RATE = 100.0
HEADROOM_PERCENT = 12
"""More than the HPAs beneath could want on top of the peak: at a target of 90 % they ask for a ninth more."""
HOLD_SECONDS, RELEASE_PERCENT_PER_MINUTE = 60, 50
TRADING_STOP_SECONDS = 20.0
"""How long a pod of trading takes to let its connections go: judgment."""
PLATEAU_ORDERS = 80_000.0
"""Orders a second that the sale is announced with after its first hour, all pools together: judgment, a little above
what was published."""

NOTICE_SECONDS, MINIMUM_RUN_SECONDS, DRAIN_SECONDS, GIVE_BACK_SECONDS = 600, 900, 120, 900
"""Told ten minutes before; a quarter of an hour at a time; a guess of two minutes from the write to a free machine, of
which the pods take 45 s; back at the latest a quarter of an hour after trading's need."""
TRADING_GUARANTEE, DATA_GUARANTEE = 40, 10
"""Percent of the pool that are never lent away."""


def objects_before() -> list[Json]:
    """Trading and data work, as they run before anything is announced."""
    made = [one for s in night.services() for one in (_service(s), autoscaler(s))]
    return [*made, loader(), *(job(number) for number in range(night.JOBS))]


def announced() -> list[Json]:
    """The pool, who plans on it, and the sale."""
    return [pool(), policy(), sale()]


# ---- what runs


def _service(service: Service) -> Json:
    template = _pods(service.name, start_seconds=service.start_seconds, stop_seconds=TRADING_STOP_SECONDS)
    return deployment(service.name, NAMESPACE, opening_replicas(service, HPA_BENEATH_PERCENT), template)


def loader() -> Json:
    """Data work without an end of its own: replicas that load what the Jobs read."""
    template = _pods(LOADER, start_seconds=15.0, stop_seconds=20.0)
    return deployment(LOADER, WAREHOUSE, night.LOADERS, template)


def job(number: int) -> Json:
    """One Job of the night. Its pods do not start in the same second as another's, nor are they made safe then."""
    said = {
        "tidegate.dev/run-seconds": f"{night.JOB_SECONDS:g}",
        "tidegate.dev/checkpoint-seconds": f"{night.CHECKPOINT_SECONDS:g}",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{NIGHTLY}-{number:02d}", "namespace": WAREHOUSE, "labels": {"work": NIGHTLY}},
        "spec": {
            "parallelism": night.JOB_PODS,
            "completions": night.JOB_PODS,
            "suspend": False,
            "template": _pods(
                NIGHTLY,
                start_seconds=5.0 + number % 30,
                stop_seconds=night.JOB_STOP_SECONDS,
                annotations=said,
                restartPolicy="Never",
            ),
        },
    }


def _pods(
    name: str, *, start_seconds: float, stop_seconds: float, annotations: Json | None = None, **spec: Any
) -> Json:
    said = {"tidegate.dev/stop-seconds": f"{stop_seconds:g}", **(annotations or {})}
    template = pod_template(name, start_seconds=start_seconds, annotations=said, **spec)
    requests = {"cpu": str(night.POD_CORES), "memory": night.POD_MEMORY}
    template["spec"]["containers"][0]["resources"] = {"requests": requests}
    return template


# ---- who shares


def work_left_query(member: str) -> str:
    """The PromQL by which the work that a member has left is measured, in unit-seconds."""
    return f'sum(work_left_unit_seconds{{member="{member}"}})'


def pool() -> Json:
    """Forty machines, and two lanes that share them."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": WAREHOUSE, "name": LOADER}
    jobs = {"namespace": WAREHOUSE, "matchLabels": {"work": NIGHTLY}}
    data = {
        "name": DATA,
        "guaranteePercent": DATA_GUARANTEE,
        "members": [
            {"name": NIGHTLY, "jobs": jobs, "work": _work(NIGHTLY)},
            {"name": LOADER, "ref": ref, "work": _work(LOADER)},
        ],
        "drain": {
            "noticeSeconds": NOTICE_SECONDS,
            "minimumRunSeconds": MINIMUM_RUN_SECONDS,
            "guessSeconds": DRAIN_SECONDS,
        },
        "giveBackWithinSeconds": GIVE_BACK_SECONDS,
    }
    trading = {"name": TRADING, "guaranteePercent": TRADING_GUARANTEE, "allowedNamespaces": [NAMESPACE]}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "CapacityPool",
        "metadata": {"name": POOL},
        "spec": {"capacity": {"nodeSelector": NODE_LABELS}, "lanes": [trading, data]},
    }


def _work(member: str) -> Json:
    return {"deadline": "06:00", "timeZone": "Asia/Shanghai", "remaining": {"query": work_left_query(member)}}


def policy() -> Json:
    """Trading's policy, on the pool."""
    targets = [target(s, headroom_percent=HEADROOM_PERCENT) | _on_the_pool(s) for s in night.services()]
    return enforcing_policy(
        night.services(),
        targets,
        hold_seconds=HOLD_SECONDS,
        step_percent=RELEASE_PERCENT_PER_MINUTE,
        poolRef={"name": POOL},
    )


def _on_the_pool(service: Service) -> Json:
    """Its lane; and a lead time with half a minute beyond the start, for the autoscaler's sync and a full pool."""
    return {"lane": TRADING, "leadTime": {"guessSeconds": round(service.start_seconds) + 30}}


def sale() -> Json:
    """The sale from midnight to 02:00: at its peak through the first hour, then on a plateau."""
    orders = night.SHARE * PLATEAU_ORDERS
    expected = {double11.ORDERS: orders, double11.PAYMENTS: double11.PAID_SHARE * orders}
    derived = [derived_signal(double11.INVENTORY, double11.INVENTORY_FACTOR, double11.INVENTORY_LAG)]
    moments = [_first_hour(signal, level) for signal, level in expected.items()]
    length = round(night.SALE_ENDS - night.MIDNIGHT)
    return flat_event(EVENT, "2019-11-11T00:00:00", length, expected, derived, moments)


def _first_hour(signal: str, plateau: float) -> Json:
    """The peak that the first hour is announced with: the highest second, and nobody knows for how long."""
    peak = float(night.demand()[signal].max()) - night.SHARE * double11.background()[signal]
    return {
        "name": f"first-hour-{signal.partition('_')[0]}",
        "signal": signal,
        "offsetSeconds": 0,
        "durationSeconds": round(night.DATA_AGAIN - night.MIDNIGHT),
        "factor": decimal(peak / plateau),
    }
