"""One operator of whichever version PYTHONPATH names, led by its standard input.

    python upgrade_driver.py URL

Each line is a JSON array: ``["beat", instant]`` plays one beat at that instant; ``["crds"]`` asks for the CRDs of
that version. Each is answered by one line of JSON. What people wrote is listed from the cluster once, as a watch would.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
from dataclasses import dataclass
from typing import Any

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.control.loop import Loop, LoopSettings
from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import PlanSettings
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient
from tidegate.targets.loans import KubeLoanBook, latest_epoch, loan_key
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

GROUP = "/apis/tidegate.dev/v1alpha1"


@dataclass
class Told:
    """The time that the test says it is."""

    at: float = 0.0

    def now(self) -> float:
        return self.at


@dataclass
class Leads:
    """This process leads for as long as it lives."""

    epoch: int

    def may_write(self) -> bool:
        return True


class Silent:
    """``ports.EventSink``."""

    def emit(self, *args: Any, **kwargs: Any) -> None:
        pass


async def listed(client: KubeClient, clock: Told) -> WatchedStore:
    """What the first lists of the watches would bring."""
    store = WatchedStore(clock.now)
    puts = {
        "capacitypools": store.put_pool,
        "scalingpolicies": store.put_policy,
        "liveevents": store.put_event,
    }
    for plural, put in puts.items():
        for document in await client.items(f"{GROUP}/{plural}"):
            put(document)
    if store.invalid:
        raise RuntimeError(f"not valid for this version: {store.invalid}")
    store.policies_synced = store.events_synced = store.stop_synced = True
    return store


def before_the_rounds(**parts: Any) -> Any:
    """The loop of versions whose parts were assembled outside; its ``beat`` is one turn."""
    gather, apply, ledgers, pools = (
        importlib.import_module(f"tidegate.control.{name}") for name in ("gather", "apply", "ledger", "pools")
    )
    targets, clock, metrics, events = (parts.pop(name) for name in ("targets", "clock", "metrics", "events"))
    ledger = ledgers.Ledger(targets, parts.pop("book"), clock, parts["leadership"], parts.pop("key_of"))
    made: Any = Loop
    return made(
        clock=clock,
        gatherer=gather.Gatherer(targets, metrics, ledger, idle_seconds=60.0),
        ledger=ledger,
        applier=apply.Applier(targets, ledger, clock),
        **parts | {"pools": pools.PoolKeeper(parts["pools"], metrics, ledger, clock, events)},
    )


async def operator(client: KubeClient, clock: Told) -> Any:
    """The loop of this version, with its own adapters."""
    targets = KubeTargets(client, lifetime=0.0)
    assembled = importlib.util.find_spec("tidegate.control.apply") is not None
    make: Any = before_the_rounds if assembled else Loop
    return make(
        clock=clock,
        store=await listed(client, clock),
        targets=targets,
        metrics=RecordedSource({}),
        book=KubeLoanBook(client, to_object=loan_to_object, from_object=loan_from_object),
        key_of=loan_key,
        leadership=Leads(await latest_epoch(client) + 1),
        events=Silent(),
        pools=KubePools(client, targets, now=clock.now),
        settings=LoopSettings(),
        plan_settings=PlanSettings(fail_over=5.0, reaction=3.0, creation_rate=100.0),
    )


def answer(what: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def obey(url: str) -> None:
    """Answer each line of standard input until it ends."""
    client = await KubeClient.connect(url=url)
    clock = Told()
    loop: Any = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, *rest = json.loads(line)
        if word == "crds":
            answer(list(all_crds()))
            continue
        clock.at = rest[0]
        loop = loop or await operator(client, clock)
        beat = await (loop.turn if hasattr(loop, "turn") else loop.beat)()
        answer([repr(one) for one in beat.applied if one.error])
    await client.close()


if __name__ == "__main__":
    asyncio.run(obey(sys.argv[1]))
