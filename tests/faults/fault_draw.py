"""How the faults of a run are drawn from its seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from fault_list import HOWS, READS, WRITES, Fault
from fault_scene import Scene
from prometheus import BAD

LENDERS = ("wish", "wish", "same", "crowd", "crowd", "cordon", "queue", "hpa", "hpa", "sidecar", "sidecar")
"""What happens to lent work beside the operator."""

Told = dict[str, Any]
Draw = Callable[[Random, Scene], "dict[str, Any]"]


def draw_faults(scene: Scene) -> list[Fault]:
    """The faults of a scene's seed; none in one run of twenty-five."""
    chance = Random(f"faults {scene.seed}")
    if chance.random() < 0.04:
        return []
    kinds: list[Draw] = [one for one, weight in _KINDS for _ in range(weight)]
    found = []
    drawn = [told for _ in range(chance.randint(3, 11)) for told in _some(chance, scene, chance.choice(kinds))]
    for number, told in enumerate(drawn, start=1):
        found.append(
            Fault(number, told.pop("kind"), float(round(told.pop("at"), 1)), float(told.pop("lasting", 0.0)), told)
        )
    return [*found, *_closed(scene, len(found) + 1)]


def _closed(scene: Scene, number: int) -> list[Fault]:
    """A namespace of an operator that is of several refuses it, from the start or later; now and then all die in it."""
    chance = Random(f"closed {scene.seed}")
    if scene.scope is None or chance.random() < 0.2:
        return []
    at = 0.0 if chance.random() < 0.3 else round(_when(chance, scene), 1)
    lasting = float(round(chance.uniform(30.0, 400.0), 1))
    faults = [Fault(number, "closed", at, lasting, {"how": "403", "namespace": chance.choice(scene.namespaces)})]
    if chance.random() < 0.5:
        faults += [
            Fault(number + n, "kill", at + round(lasting * chance.random(), 1), 0.0, {"slot": slot})
            for n, slot in enumerate(scene.slots, start=1)
        ]
    return faults


def _some(chance: Random, scene: Scene, draw: Draw) -> list[Told]:
    """One fault; now and then with a second one at about the same time, since it takes two to lose most things."""
    first = draw(chance, scene)
    if chance.random() < 0.5:
        return [first]
    if (
        first["kind"] == "requests" and first["lasting"] > 20.0 and chance.random() < 0.4
    ):  # gone while it was asked about
        gone = _event(chance, scene) | {"how": chance.choice(("delete", "cancel", "again", "shrink"))}
        return [first, gone | {"lasting": 0.0, "at": max(1.0, first["at"] + chance.uniform(0.0, first["lasting"]))}]
    second = chance.choice((_event, _kill_at_write, _foreign, _single, _kill, _policy))(chance, scene)
    return [first, second | {"at": max(1.0, first["at"] + chance.uniform(-5.0, 30.0))}]


def _when(chance: Random, scene: Scene) -> float:
    """An instant, more often one at which something is written anyway."""
    show = chance.choice(scene.shows)
    near = chance.random()
    if near < 0.35:
        return max(1.0, show.start - chance.uniform(0.0, 80.0))
    if near < 0.65:
        return show.end + chance.uniform(-5.0, 170.0)
    if near < 0.8:
        return chance.uniform(show.start, show.end)
    return chance.uniform(1.0, scene.last_end + 120.0)


def _single(chance: Random, scene: Scene) -> Told:
    """One request, or a few, of one kind."""
    deeds = (chance.choice(WRITES if chance.random() < 0.75 else READS),)
    how = chance.choice(HOWS)
    lasting = chance.uniform(20.0, 240.0)
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": lasting,
        "deeds": deeds,
        "how": how,
        "most": chance.randint(1, 3),
        **_seconds(chance, how),
    }


def _weather(chance: Random, scene: Scene) -> Told:
    """For a while, a share of all requests."""
    how = chance.choice(HOWS)
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": chance.uniform(20.0, 120.0),
        "how": how,
        "deeds": () if chance.random() < 0.5 else tuple(chance.sample(WRITES, 3)),
        "share": chance.choice((0.05, 0.2, 0.5)),
        **_seconds(chance, how),
    }


def _seconds(chance: Random, how: str) -> Told:
    if how == "delay":
        return {"seconds": chance.choice((0.5, 2.0, 5.0, 12.0))}
    if how == "late":
        seconds = chance.choice((6.0, 20.0, 60.0, 200.0))
        return {"seconds": seconds, "tail": seconds}
    return {"seconds": float(chance.choice((0, 1, 3, 10)))} if how == "429" else {}


def _hanging(chance: Random, scene: Scene) -> Told:
    """All requests about a namespace, or about one object, hang."""
    one = chance.choice(scene.workloads)
    name = "" if chance.random() < 0.5 else one.name
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": chance.uniform(30.0, 180.0),
        "how": "hang",
        "namespace": one.namespace,
        "name": name,
    }


def _partition(chance: Random, scene: Scene) -> Told:
    """One replica, or all, cannot reach the API server."""
    slot = chance.choice((*scene.slots, ""))
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": chance.choice((3.0, 8.0, 15.0, 30.0, 75.0, 120.0)),
        "how": chance.choice(("hang", "refused", "503")),
        "slot": slot,
    }


def _early(chance: Random, scene: Scene) -> Told:
    """The API server is away, or slow with one list, while the operator starts."""
    if chance.random() < 0.5:
        return {
            "kind": "requests",
            "at": 0.0,
            "lasting": chance.uniform(5.0, 80.0),
            "how": chance.choice(("refused", "503")),
        }
    return {
        "kind": "requests",
        "at": 0.0,
        "lasting": chance.uniform(60.0, 400.0),
        "how": "delay",
        "seconds": 4.0,
        "plural": "loans",
        "deeds": ("list",),
    }


def _stall(chance: Random, scene: Scene) -> Told:
    plural = chance.choice(
        ("liveevents", "liveevents", "scalingpolicies", "horizontalpodautoscalers", "deployments", "configmaps")
    )
    kind = chance.choice(("stall", "stall", "expire", "cut"))
    return {
        "kind": kind,
        "at": _when(chance, scene),
        "lasting": chance.uniform(20.0, 200.0) if kind == "stall" else 0.0,
        "plural": plural,
    }


def _kill(chance: Random, scene: Scene) -> Told:
    """SIGKILL or SIGTERM at an instant."""
    return {
        "kind": chance.choice(("kill", "kill", "term")),
        "at": _when(chance, scene),
        "slot": chance.choice(scene.slots),
    }


def _kill_at_write(chance: Random, scene: Scene) -> Told:
    """SIGKILL before or after a write of some kind."""
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": 400.0,
        "deeds": (chance.choice(WRITES),),
        "most": 1,
        "how": chance.choice(("kill-before", "kill-after")),
    }


def _clock(chance: Random, scene: Scene) -> Told:
    """The wall clock of a replica is wrong for a while."""
    by = chance.choice((20.0, 300.0, 3600.0, 86_400.0)) * chance.choice((-1, 1))
    return {
        "kind": "clock",
        "at": _when(chance, scene),
        "lasting": chance.uniform(15.0, 240.0),
        "slot": chance.choice(scene.slots),
        "by": by,
    }


def _foreign(chance: Random, scene: Scene) -> Told:
    """Somebody else writes a borrowed field: once, or again and again."""
    show = chance.choice(scene.shows)
    mine = [one for one in scene.workloads if (one.namespace, one.policy) == (show.namespace, show.policy)]
    one = chance.choice(mine)
    how = chance.choice(("reapply", "new", "new", "copy", "copy"))
    times = chance.choice((1, 1, 2, 7)) if how != "new" else 1
    return {
        "kind": "foreign",
        "at": show.start + chance.uniform(-30.0, show.seconds + 120.0),
        "lasting": 5.0 * times,
        "how": how,
        "namespace": one.namespace,
        "name": one.name,
        "value": chance.choice((6, 7, 11, 13) if scene.pool else (6, 7, 11, 13, 71, 83)),
        "times": times,
        "manager": chance.choice(("helm", "argocd", "kubectl-edit")),
    }


def _lender(chance: Random, scene: Scene) -> Told:
    """The owner of lent work has his say, or more work of its lane comes; where there is no pool, somebody writes."""
    if not scene.pool:
        return _foreign(chance, scene)
    show = next(one for one in scene.shows if one.namespace == "shop")
    one = chance.choice([one for one in scene.workloads if one.lender])
    how = chance.choice(LENDERS)
    if how in ("queue", "hpa"):
        kind = "Job" if how == "queue" else "Deployment"
        one = chance.choice([one for one in scene.workloads if one.lender and one.kind == kind])
    return {
        "kind": "lender",
        "at": max(1.0, show.start + chance.uniform(-150.0, show.seconds + 200.0)),
        "lasting": chance.uniform(60.0, 400.0) if how in ("crowd", "cordon", "hpa", "sidecar") else 0.0,
        "how": how,
        "namespace": chance.choice(("shop", one.namespace)) if how == "sidecar" else one.namespace,
        "name": one.name,
        "value": 0 if one.kind == "Job" else chance.choice((4, 7, 12)),
        "many": chance.randint(1, 4),
    }


def _event(chance: Random, scene: Scene) -> Told:
    """An event is changed."""
    show = chance.choice(scene.shows)
    how = chance.choice(
        ("later", "earlier", "grow", "shrink", "extend", "cancel", "delete", "invalid", "postpone", "again")
    )
    at = show.start + chance.uniform(-120.0, show.seconds)
    return {
        "kind": "event",
        "at": max(show.told_at + 5.0, at),
        "lasting": chance.uniform(10.0, 120.0) if how == "invalid" else 0.0,
        "how": how,
        "namespace": show.namespace,
        "name": show.name,
        "by": float(chance.choice((60, 120, 240))),
        "tail": 300.0,
    }


def _policy(chance: Random, scene: Scene) -> Told:
    """A policy is changed."""
    namespace, name = chance.choice(scene.policies)
    how = chance.choice(("capacity", "delete", "replace", "invalid", "maximum"))
    lasting = chance.uniform(5.0, 90.0) if how in ("delete", "invalid") else 0.5 if how == "replace" else 0.0
    return {
        "kind": "policy",
        "at": _when(chance, scene),
        "lasting": lasting,
        "how": how,
        "namespace": namespace,
        "name": name,
    }


def _hostile(chance: Random, scene: Scene) -> Told:
    """Somebody puts in an object that is hard to digest."""
    how = chance.choice(("chain", "template", "loan", "finalizer", "undeletable"))
    at = 0.0 if how == "undeletable" else _when(chance, scene)  # that one is there when the operator comes
    return {"kind": "hostile", "at": at, "lasting": chance.uniform(60.0, 400.0), "how": how}


def _metrics(chance: Random, scene: Scene) -> Told:
    """Prometheus answers badly."""
    return {
        "kind": "metrics",
        "at": _when(chance, scene),
        "lasting": chance.uniform(30.0, 400.0),
        "how": chance.choice(BAD),
    }


def _stop(chance: Random, scene: Scene) -> Told:
    """The durable stop, with everything returned from outside or not."""
    return {
        "kind": "stop",
        "at": _when(chance, scene),
        "lasting": chance.uniform(30.0, 240.0),
        "how": chance.choice(("set", "release")),
    }


def _lists(chance: Random, scene: Scene) -> Told:
    """Machines, pods or work cannot be listed: a pool that cannot be looked at."""
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": chance.uniform(20.0, 250.0),
        "deeds": ("list",),
        "plural": chance.choice(("nodes", "pods", "jobs") if scene.pool else ("pods", "horizontalpodautoscalers")),
        "how": chance.choice(("hang", "500", "403", "lost")),
    }


def _statuses(chance: Random, scene: Scene) -> Told:
    """No status can be written."""
    return {
        "kind": "requests",
        "at": _when(chance, scene),
        "lasting": chance.uniform(30.0, 300.0),
        "deeds": ("status",),
        "how": chance.choice(("422", "500", "503", "403", "hang", "lost", "answer-lost")),
    }


_KINDS: tuple[tuple[Draw, int], ...] = (
    (_single, 10),
    (_weather, 3),
    (_hanging, 2),
    (_partition, 3),
    (_early, 1),
    (_stall, 3),
    (_kill, 4),
    (_kill_at_write, 5),
    (_clock, 2),
    (_foreign, 6),
    (_lender, 4),
    (_event, 6),
    (_policy, 3),
    (_hostile, 2),
    (_metrics, 2),
    (_stop, 1),
    (_statuses, 4),
    (_lists, 2),
)
"""With how often each is drawn. Judgment."""
