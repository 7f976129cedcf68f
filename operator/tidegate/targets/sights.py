"""A target as the core is told of it, from its workload and the HPAs that point to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.planning.model import Evidence, Observed, Ref, Trouble
from tidegate.planning.reasons import Reason
from tidegate.ports import Beneath, Held, Place, Sight
from tidegate.targets import hpa as hpas
from tidegate.targets import scale
from tidegate.targets.hpa import Hpa
from tidegate.targets.scale import Workload


def sight_of(workload: Workload, pointing: Sequence[Hpa]) -> Sight:
    """A workload with a level and the HPAs that point to it, as the core is told of them."""
    if workload.ref.kind == "ReplicaSet" and workload.controller:
        return foreign(workload.ref, workload.controller)
    if not pointing:
        return _through_scale(workload)
    own = place_of(workload)
    return replace(_behind(workload, pointing), beneath=Beneath(own, workload.level or 0))


def place_of(workload: Workload) -> Place:
    """Where a workload's own level lies."""
    return Place(workload.ref, workload.uid, scale.FIELD, scale.SUBRESOURCE)


def _behind(workload: Workload, pointing: Sequence[Hpa]) -> Sight:
    if len(pointing) > 1:
        names = " and ".join(hpa.ref.name for hpa in pointing)
        return trouble(Trouble.NOT_SCALABLE, f"more than one HPA points to {workload.ref}: {names}; keep one")
    return _through_hpa(workload, pointing[0])


def _through_hpa(workload: Workload, hpa: Hpa) -> Sight:
    """The floor is the HPA's minimum."""
    if hpa.controller:
        return foreign(hpa.ref, hpa.controller)
    if hpa.minimum is None or hpa.maximum is None:
        return trouble(Trouble.UNREADABLE, f"{hpa.ref} holds no number in minReplicas or maxReplicas")
    if workload.level == 0 and hpa.minimum > 0:
        note = f"{workload.ref} stands at 0 replicas, which switches {hpa.ref} off; scale it to 1 or more"
        off = Trouble.SCALING_DISABLED
        return Sight(Observed(level=hpa.minimum, ready=workload.ready, scaler=hpa.ref, trouble=off, note=note), None)
    observed = Observed(
        level=hpa.minimum,
        ready=workload.ready,
        desired=hpa.desired if hpa.desired is not None else workload.level,
        maximum=hpa.maximum,
        scaler=hpa.ref,
        unit=workload.takes,
        still=hpa.still,
        limited=hpa.limited,
        aims=hpa.aims,
        ordered=workload.ordered,
        evidence=_unable(hpa) if (workload.level or 0) < hpa.minimum else (),
    )
    return Sight(observed, Place(hpa.ref, hpa.uid, hpas.FIELD), Held(hpa.minimum, hpa.manager, hpa.version))


def _through_scale(workload: Workload) -> Sight:
    """The level is the workload's own replicas."""
    if workload.controller:
        return foreign(workload.ref, workload.controller)
    if workload.level is None:
        return trouble(Trouble.NOT_SCALABLE, f"{workload.ref} has no number where its kind keeps its replicas; set one")
    level, takes = workload.level, workload.takes
    observed = Observed(level=level, ready=workload.ready, desired=level, unit=takes, ordered=workload.ordered)
    held = Held(workload.level, workload.manager, workload.version)
    return Sight(observed, place_of(workload), held, refused=workload.refused)


def _unable(hpa: Hpa) -> tuple[Evidence, ...]:
    """What an HPA says of itself whose workload stands below its floor. One that has no metrics brings a workload to
    its floor all the same: what keeps it from that is looked for first. Since when is not told: a real HPA sets a
    failed condition anew with each sync, its time with it.
    """
    for kind in ("AbleToScale", "ScalingActive"):
        said = hpa.said(kind, "False")
        if said is not None:
            field, words = f"status.conditions[{kind}]", f"{hpa.ref} cannot scale, {said.reason}: {said.message}"
            return (Evidence(Reason.SCALER_UNABLE, hpa.ref, field, words),)
    return ()


def trouble(kind: Trouble, note: str) -> Sight:
    """A target of which nothing may be written, and why."""
    return Sight(Observed(trouble=kind, note=note), None)


def foreign(ref: Ref, owner: str) -> Sight:
    """A target that somebody else drives."""
    note = f"{ref} is driven by {owner}: what drives it would undo our change"
    return Sight(Observed(trouble=Trouble.FOREIGN_OWNER, note=note, about=ref), None)
