"""``tidegate explain``: a reason for every number."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FileOption, Output, failed, given_files

if TYPE_CHECKING:
    from tidegate.cli.world import Given
    from tidegate.planning.model import Policy, TargetSpec


def explain(
    policy: Annotated[str, typer.Argument(help="name of the ScalingPolicy")],
    target: Annotated[str, typer.Argument(help="name of the target in it")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="LiveEvents, ScalingPolicies, Overrides; none: ask the cluster")
    ] = None,
    filename: FileOption = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="of the policy")] = None,
    at: Annotated[str | None, typer.Option(help="explain this instant, RFC 3339; default: now")] = None,
    learned: Annotated[
        bool, typer.Option("--learned", help="say what the operator has learned of the target instead")
    ] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT,
) -> None:
    """Say who asked for how much at an instant, which lead time applies, what limited the level, and what an autoscaler
    in front of the target wishes anyway.

    With --learned: how long its units take to start, how its signals grow within that time, and how much of what was
    announced has come. It is asked of the cluster: in files nothing is learned.

    Exit codes: 0 explained; 1 there is no such target, or an object of the files was left out; 2 a file or the cluster
    cannot be read.
    """
    from tidegate.cli.beneath import told as scaler_beneath
    from tidegate.cli.occurrences import next_of
    from tidegate.cli.world import instant, load
    from tidegate.planning.explain import kept_by
    from tidegate.planning.model import Observed
    from tidegate.planning.plan import Planner
    from tidegate.planning.upcoming import next_change, why_no_change
    from tidegate.planning.whole import plan_whole

    now = instant(at, default=_now())
    given = load(given_files(files, filename), namespace, now, output)
    found = [
        (p, t)
        for p in given.world.policies.values()
        for t in p.targets
        if (p.key.name, t.name) == (policy, target) and namespace in (None, p.key.namespace)
    ]
    if len(found) != 1:
        known = ", ".join(sorted(f"{p.key}: {t.name}" for p in given.world.policies.values() for t in p.targets))
        what = "is not there" if not found else "is in several namespaces, give --namespace"
        raise failed(f"target {target} of policy {policy} {what}; there are: {known or 'none'}", output, 1)
    chosen, spec = found[0]
    if learned:
        _tell_learned(given, chosen, spec, output)
        return
    planner = Planner(given.world.settings)
    world, plan = plan_whole(planner, given.world, now)
    decided = plan.targets[chosen.key, spec.name]
    line = dict(planner.lines(world, [(chosen.key, spec.name)])).get((chosen.key, spec.name))
    seen = given.world.observed.get((chosen.key, spec.name), Observed())
    kept = kept_by(planner.book, chosen, spec, line, now, level=decided.level, loan=seen.loan)
    change = next_change(decided)
    following = next_of(
        (one for one in given.events if (one.key.namespace, one.policy) == chosen.key), [chosen.key], now
    )
    told: dict[str, Any] = {
        "at": _utc(now),
        "policy": str(chosen.key),
        "target": spec.name,
        "assumedLevels": given.assumed,
        "leftOut": given.problems,
        "need": decided.need,
        "due": kept.need if kept is not None else 0,
        "dueFor": _utc(kept.at) if kept is not None else None,
        "level": decided.level,
        "ownersLevel": seen.loan.original if seen.loan is not None else seen.level,
        "stands": seen.level,
        "withheld": decided.withheld.message if decided.withheld is not None else None,
        "reason": decided.reason.value,
        "message": decided.message,
        "askedBy": [
            {"event": str(s.event), "signal": s.signal, "demand": round(s.demand, 3), "units": s.units}
            for s in (kept.asked if kept is not None else ())
        ],
        "background": dict(spec.background),
        "capacity": dict(spec.capacity),
        "headroomPercent": round(spec.headroom * 100, 3),
        "overridden": list(decided.overridden),
        "guardrails": [{"reason": j.reason.value, "level": j.level, "message": j.message} for j in decided.trail],
        "leadTime": {
            "seconds": decided.lead.seconds,
            "parts": dict(decided.lead.parts),
            "learned": decided.lead.learned,
        },
        "next": {"at": _utc(change[0]), "level": change[1]} if change is not None else None,
        "nextOccurrence": {"event": str(following.event.key), "start": _utc(following.start)} if following else None,
        "whyNoNext": why_no_change(decided) if change is None else None,
        "beneath": scaler_beneath(chosen, spec, seen, given.learned.get(chosen.key)),
    }
    if output is Output.JSON:
        print(json.dumps(told))
    else:
        _print(told)
    if given.lacking:
        raise typer.Exit(1)


def _tell_learned(given: Given, policy: Policy, target: TargetSpec, output: Output) -> None:
    from tidegate.cli.learned import lines, told

    if given.assumed:
        raise failed("--learned is asked of the cluster: leave the files out", output, 2)
    known = told(policy, target, given.learned.get(policy.key))
    if output is Output.JSON:
        print(json.dumps({"policy": str(policy.key), "target": target.name, **known}))
        return
    print(f"{policy.key} {target.name}: what was learned")
    for line in lines(known):
        print(line)


def _now() -> float:
    """Epoch seconds."""
    return time.time()


def _print(told: dict[str, Any]) -> None:
    from tidegate.cli.beneath import lines as beneath_lines

    level = "level unknown" if told["level"] is None else f"level {told['level']}"
    print(f"{told['policy']} {told['target']} at {told['at']}: {level}, needed {max(told['need'], told['due'])}")
    if told["withheld"] is not None:
        stands = f"; {told['stands']} stands" if told["stands"] not in (None, told["level"]) else ""
        print(f"not written  {told['withheld']}{stands}")
    if told["assumedLevels"]:
        print("  (without a cluster: the target is taken to stand at its policy's min)")
    if told["dueFor"] is None or told["dueFor"] == told["at"]:
        print("asked by")
    elif told["dueFor"] > told["at"]:
        print(f"asked by (for {told['dueFor']}: {told['due']} units are needed then, and take their lead time)")
    else:
        print(f"asked by (at {told['dueFor']}: {told['due']} units were needed, and are held)")
    for share in told["askedBy"]:
        demand = f"{_number(share['demand'])} {share['signal']}"
        print(f"  {share['event']:40} {demand:36} {share['units']:>7} units alone")
    for signal, value in told["background"].items():
        print(f"  {'background':40} {_number(value)} {signal}")
    if not told["askedBy"]:
        print(f"  {_nobody(told)}")
    for override in told["overridden"]:
        print(f"overridden  {override}")
    print("guardrails, in their order")
    for judgement in told["guardrails"]:
        print(f"  {judgement['level']:>7}  {judgement['reason']}: {judgement['message']}")
    lead = told["leadTime"]
    parts = " + ".join(f"{name} {_number(seconds)}" for name, seconds in lead["parts"].items())
    source = "measured" if lead["learned"] else "the policy's guess"
    print(f"lead time  {_seconds(lead['seconds'])} = {parts}   (start: {source})")
    for line in beneath_lines(told["beneath"]):
        print(line)
    _print_next(told)


def _print_next(told: dict[str, Any]) -> None:
    if told["next"]:
        print(f"next       {told['next']['level']} at {told['next']['at']}")
    else:
        print(f"next       {told['whyNoNext']}")
    coming = told["nextOccurrence"]
    if coming and not told["next"] and not told["askedBy"]:
        print(f"           {coming['event']} takes place next at {coming['start']}; see it with --at {coming['start']}")


def _number(value: float) -> str:
    """A number as people write it: never with an exponent, three places at most."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _seconds(seconds: float) -> str:
    """A length of time, from ten minutes on also in hours and minutes."""
    hours, minutes = divmod(round(seconds / 60), 60)
    told = f" ({hours} h {minutes} min)" if hours else f" ({minutes} min)"
    return f"{_number(seconds)} s{told if seconds >= 600 else ''}"


def _nobody(told: dict[str, Any]) -> str:
    """Why there is a level though nobody asks for units."""
    level, owners = told["level"], told["ownersLevel"]
    if level is None or owners is None:
        return "nobody"
    if level == owners:
        return f"nobody: {level} is the owner's own level"
    if level > owners:
        return f"nobody: what was lent is kept, or on its way back to the owner's {owners}; the last guardrail says why"
    return f"nobody: the owner's own level is {owners}; the last guardrail says why it is {level}"


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
