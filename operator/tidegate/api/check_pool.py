"""Checks of a CapacityPool across its fields, and its value for the core."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from zoneinfo import ZoneInfo

from tidegate.api.capacitypool import CapacityPoolSpec, MemberJobs, MemberWork, PoolCapacity, PoolLane, PoolMember
from tidegate.api.check_schedule import check_zone
from tidegate.api.problems import Problem, quoted
from tidegate.api.walltime import next_time_of_day
from tidegate.planning.shift.model import Drain, Lane, MemberRef, Pool, WorkSpec

JOBS = ("batch/v1", "Job")
"""API version and kind of what is suspended instead of scaled."""

_NOT_MEMBERS = {
    "HorizontalPodAutoscaler": ("is an autoscaler", "name the workload it scales, e.g. a Deployment"),
    "ScaledObject": ("is an autoscaler", "name the workload it scales, e.g. a Deployment"),
    "Pod": ("has no level to set", "name its Deployment or Job"),
    "CronJob": ("makes Jobs and does not run itself", "name its Jobs by their labels, in jobs"),
}
"""Kind → what is wrong with it as a member, and what would be right."""


def pool_of(
    spec: CapacityPoolSpec, name: str, *, now: float, uid: str, generation: int, problems: list[Problem]
) -> Pool:
    """The pool as the core knows it, with the deadlines that follow ``now``; what is wrong is added to ``problems``."""
    check_capacity(spec.capacity, problems)
    check_shares(spec.lanes, problems)
    places = [f"spec.lanes[{index}]" for index in range(len(spec.lanes))]
    zones: dict[str, ZoneInfo] = {}
    for lane, path in zip(spec.lanes, places, strict=True):
        zones |= check_lane(lane, path, problems)
    _check_names(spec.lanes, problems)
    _check_objects(spec.lanes, problems)
    selector, given = spec.capacity.node_selector, spec.capacity.given
    return Pool(
        name=name,
        lanes=tuple(_lane(lane, now, zones) for lane in spec.lanes) if not problems else (),
        node_selector=tuple(sorted((selector or {}).items())),
        given=None if given is None else given.there(),
        uid=uid,
        generation=generation,
    )


def check_capacity(capacity: PoolCapacity, problems: list[Problem]) -> None:
    """Measured or given."""
    one = capacity.node_selector is not None, capacity.given is not None
    if all(one):
        wrong = "has nodeSelector and given"
        problems.append(Problem("spec.capacity", wrong, "give one: measured on nodes, or as written"))
    elif not any(one):
        right = 'give one: nodeSelector: {pool: hangzhou-a}, or given: {cpu: "640", memory: 1280Gi}'
        problems.append(Problem("spec.capacity", "has neither nodeSelector nor given", right))


def check_shares(lanes: Sequence[PoolLane], problems: list[Problem]) -> None:
    """Guarantees that can all be kept."""
    total = sum(lane.guarantee_percent for lane in lanes)
    if total > 100:
        told = " + ".join(str(lane.guarantee_percent) for lane in lanes if lane.guarantee_percent)
        wrong = f"guarantee {told} = {total} % of the pool"
        problems.append(Problem("spec.lanes", wrong, "at most 100 together: lower a guaranteePercent"))


def check_lane(lane: PoolLane, path: str, problems: list[Problem]) -> dict[str, ZoneInfo]:
    """What is wrong within one lane; the zones that its deadlines name."""
    zones: dict[str, ZoneInfo] = {}
    seen: set[str] = set()
    for index, namespace in enumerate(lane.allowed_namespaces):
        if namespace in seen:
            where = f"{path}.allowedNamespaces[{index}]"
            problems.append(Problem(where, f"{quoted(namespace)} is there twice", "one entry a namespace"))
        seen.add(namespace)
    for index, member in enumerate(lane.members):
        check_member(member, f"{path}.members[{index}]", problems)
        if member.work is not None:
            zones |= _check_work(member.work, f"{path}.members[{index}].work", problems)
    return zones


def check_member(member: PoolMember, path: str, problems: list[Problem]) -> None:
    """One object, or Jobs by their labels; and nothing that has no level of its own."""
    if member.ref is not None and member.jobs is not None:
        problems.append(Problem(path, "has ref and jobs", "give one: an object, or Jobs by their labels"))
    elif member.ref is None and member.jobs is None:
        right = "give one: ref (an object by name) or jobs: {namespace: warehouse, matchLabels: {workload: nightly}}"
        problems.append(Problem(path, "has neither ref nor jobs", right))
    if member.ref is not None and member.ref.kind in _NOT_MEMBERS:
        wrong, right = _NOT_MEMBERS[member.ref.kind]
        problems.append(Problem(f"{path}.ref.kind", f"{quoted(member.ref.kind)} {wrong}", right))


def _check_work(work: MemberWork, path: str, problems: list[Problem]) -> dict[str, ZoneInfo]:
    zone = check_zone(work.time_zone, problems, f"{path}.timeZone")
    given = work.remaining.query is not None, work.remaining.unit_seconds is not None
    if all(given):
        problems.append(Problem(f"{path}.remaining", "has query and unitSeconds", "give one: measured, or as written"))
    elif not any(given):
        right = 'give one: query: "sum(etl_remaining_unit_seconds)", or unitSeconds: 144000'
        problems.append(Problem(f"{path}.remaining", "has neither query nor unitSeconds", right))
    return {} if zone is None else {work.time_zone: zone}


def _check_names(lanes: Sequence[PoolLane], problems: list[Problem]) -> None:
    """Each lane, and each member of the pool, by a name of its own."""
    names: set[str] = set()
    members: dict[str, str] = {}
    for index, lane in enumerate(lanes):
        if lane.name in names:
            path = f"spec.lanes[{index}].name"
            problems.append(Problem(path, f"{quoted(lane.name)} is used twice", "one name a lane"))
        names.add(lane.name)
        for place, member in enumerate(lane.members):
            if member.name in members:
                wrong = f"{quoted(member.name)} is a member of lane {members[member.name]} already"
                path = f"spec.lanes[{index}].members[{place}].name"
                problems.append(Problem(path, wrong, "one name a member, in the whole pool"))
            members.setdefault(member.name, lane.name)


def _check_objects(lanes: Sequence[PoolLane], problems: list[Problem]) -> None:
    """One object is a member once: what is lent twice would be counted twice."""
    objects: dict[tuple[str, str, str, str], str] = {}
    jobs: list[tuple[MemberJobs, str]] = []
    for index, lane in enumerate(lanes):
        for place, member in enumerate(lane.members):
            path = f"spec.lanes[{index}].members[{place}]"
            ref = member.ref
            if ref is not None:
                key = (ref.api_version.rpartition("/")[0], ref.kind, ref.namespace, ref.name)
                if key in objects:
                    wrong = f"{ref.kind} {quoted(ref.name)} of {ref.namespace} is member {objects[key]} already"
                    problems.append(Problem(f"{path}.ref", wrong, "one object is a member of a pool once: remove one"))
                objects.setdefault(key, member.name)
            if member.jobs is not None:
                twice = next((name for other, name in jobs if _overlap(member.jobs, other)), None)
                if twice is not None:
                    wrong = f"its Jobs are all, or are among, those of member {twice}"
                    right = "one Job is a member of a pool once: choose by labels that exclude one another"
                    problems.append(Problem(f"{path}.jobs", wrong, right))
                jobs.append((member.jobs, member.name))


def _overlap(one: MemberJobs, other: MemberJobs) -> bool:
    """Whether all Jobs of one are among those of the other. Others may overlap as it happens; nobody can tell here."""
    first, second = one.match_labels.items(), other.match_labels.items()
    return one.namespace == other.namespace and (first <= second or second <= first)


# ---- to the core


def _lane(lane: PoolLane, now: float, zones: dict[str, ZoneInfo]) -> Lane:
    drain = lane.drain
    return Lane(
        name=lane.name,
        guarantee=lane.guarantee_percent,
        allowed_namespaces=frozenset(lane.allowed_namespaces),
        cap=lane.cap_percent_per_namespace,
        members=tuple(_member(member, now, zones) for member in lane.members),
        drain=Drain(float(drain.notice_seconds), float(drain.minimum_run_seconds), float(drain.guess_seconds)),
        give_back_within=float(lane.give_back_within_seconds),
    )


def _member(member: PoolMember, now: float, zones: dict[str, ZoneInfo]) -> MemberRef:
    work = None if member.work is None else _work(member.work, now, zones)
    if member.ref is not None:
        ref = member.ref
        return MemberRef(member.name, ref.api_version, ref.kind, ref.namespace, object_name=ref.name, work=work)
    jobs = member.jobs
    assert jobs is not None  # noqa: S101 - checked before
    labels = tuple(sorted(jobs.match_labels.items()))
    return MemberRef(member.name, *JOBS, jobs.namespace, labels=labels, work=work)


def _work(work: MemberWork, now: float, zones: dict[str, ZoneInfo]) -> WorkSpec:
    return WorkSpec(
        deadline=next_time_of_day(time.fromisoformat(work.deadline), zones[work.time_zone], now),
        query=work.remaining.query,
        given=work.remaining.unit_seconds,
        stale_after=float(work.stale_after_seconds),
    )
