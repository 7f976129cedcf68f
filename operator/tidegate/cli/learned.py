"""What the operator has learned of a target, in words: ``tidegate explain --learned``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.api.walltime import to_rfc3339
from tidegate.planning.growth import Growth
from tidegate.planning.hosts import HOST, Hosts, Opening, Who
from tidegate.planning.leadtime import start_time
from tidegate.planning.model import Key, PlanSettings, Policy, TargetSpec
from tidegate.planning.steps import Steps
from tidegate.ports import Grown, Learned

FEW = 40
"""Readings (ten minutes) of which nothing can be told yet."""


def told(policy: Policy, target: TargetSpec, learned: Learned | None) -> dict[str, Any]:
    """Of one target: its start time, and of each signal how it grows and how much of what was announced came."""
    samples = learned.starts.get(target.name, ()) if learned is not None else ()
    start = start_time(samples, target.lead, q=policy.quantile, rate=PlanSettings().creation_rate)
    known = learned.growth if learned is not None else {}
    carried = dict(target.capacity)
    return {
        "start": {
            "seconds": round(start.seconds, 3),
            "learned": start.learned,
            "samples": start.samples,
            "fastest": min((one.seconds for one in samples), default=None),
            "slowest": max((one.seconds for one in samples), default=None),
        },
        "quantilePercent": round(100 * policy.quantile, 3),
        "signals": {name: _signal(policy, known[name], start.seconds) for name in sorted(known) if name in carried},
    }


def _signal(policy: Policy, grown: Grown, seconds: float) -> dict[str, Any]:
    steps, forgotten = Steps(grown.events, grown.mean, grown.square), policy.live.forgotten if policy.live else ()
    hosts = Hosts.of(steps, (one for one in grown.hosts if one[0] != HOST or one[1] not in forgotten))
    found: dict[str, Any] = {
        "announcedSteps": round(grown.events),
        "cameInTheMean": round(grown.mean, 3) if grown.events else None,
        "preparedFor": round(steps.quantile(policy.quantile), 3),
        "hosts": [_host(hosts, who, policy.quantile) for who in sorted(hosts.known)],
        "since": to_rfc3339(grown.since) if grown.since else None,
        "daysOfPrometheus": round(grown.past / 86_400.0, 3),
        "readings": 0,
    }
    live = policy.live
    try:
        growth = Growth.unpacked(grown.packed, 1.0, 0.97 if live is None else live.quantile, 0.0)
    except ValueError:
        return found
    outside, phases = growth.outlook(seconds)
    return found | {
        "readings": growth.steps,
        "seconds": seconds,
        "growsAtMostPercent": round(100.0 * outside, 2),
        "phases": [
            {"minutes": minutes, "events": round(events), "growsAtMostPercent": round(100.0 * share, 2)}
            for minutes, events, share in phases
        ],
    }


def _host(hosts: Hosts, who: Who, q: float) -> dict[str, Any]:
    """Of one host, or of a tier. Of whose tier a host is stands in his events alone: here he begins with all."""
    (kind, name), steps = who, hosts.known[who]
    host, tier = (name, "") if kind == HOST else ("", name)
    opening = Opening(0.0, 0.0, host, tier, 1.0, Key("", ""))
    return {
        "kind": kind,
        "name": name,
        "announcedSteps": round(steps.events),
        "cameInTheMean": round(steps.mean, 3),
        "preparedFor": round(hosts.prepared(q, [opening]), 3),
    }


def lines(told: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    start = told["start"]
    if start["samples"]:
        spread = f"{start['fastest']:.0f} to {start['slowest']:.0f} s in {start['samples']} steps"
        says = "too few for a quantile: the longest, or the guess"
        if start["learned"]:
            says = f"{told['quantilePercent']:g} % within {start['seconds']:.0f} s"
        yield f"start      {spread}; {says}"
    else:
        yield f"start      not measured yet: the policy's guess of {start['seconds']:.0f} s"
    if not told["signals"]:
        yield "signals    nothing is learned of them: the policy has no live, or is new"
    for signal, found in told["signals"].items():
        yield f"{signal}"
        if found["since"]:
            yield f"  learned from      {_source(found)}"
        came = found["cameInTheMean"]
        yield (
            f"  announced steps   {found['announcedSteps']} seen"
            + (f", {100 * came:.0f} % of them came in the mean" if came is not None else "")
            + f"; the next one is prepared for at {100 * found['preparedFor']:.0f} %"
        )
        for one in found["hosts"]:
            yield (
                f"    {one['kind'] + ' ' + one['name']:24} {one['announcedSteps']} seen, "
                f"{100 * one['cameInTheMean']:.0f} % came; the next one at {100 * one['preparedFor']:.0f} %"
            )
        if found["readings"] < FEW:
            yield f"  growth            {found['readings']} readings: too few to tell"
            continue
        yield (
            f"  growth            {found['readings']} readings; within {found['seconds']:.0f} s at most"
            f" {found['growsAtMostPercent']:+.1f} % without an event"
        )
        for phase in found["phases"]:
            yield (
                f"    {_phase(phase['minutes']):24} at most {phase['growsAtMostPercent']:+.1f} %"
                f"   ({phase['events']} events)"
            )


def _source(found: dict[str, Any]) -> str:
    if found["daysOfPrometheus"]:
        return f"{found['daysOfPrometheus']:g} days of Prometheus, and what was read since {found['since']}"
    return f"what was read since {found['since']} alone"


def _phase(minutes: int) -> str:
    return f"{-minutes} min before T-0" if minutes < 0 else f"{minutes} min after T-0"
