"""``tidegate sample``: an event that is soon, with its policy, to be applied or planned. Works without a cluster.

The policies are the presets of ``policies/scaling``, word for word but for mode, namespace and the queries, which would
ask a Prometheus for series that are not there. So ``live`` would have nothing to follow: a headroom and a hold stand in
its place. The wheel holds them as
``tidegate/presets``. The events are here: each is of the kind that its preset is made for, and small enough for the
cluster of a laptop.
"""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from enum import Enum
from pathlib import Path
from string import Template
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
import yaml

from tidegate.planning.model import Mode


class Sample(Enum):
    """Samples by the name of their preset."""

    FLASH_SALE = "flash-sale"
    DOUBLE_11 = "double-11"
    MATCH_DAY = "match-day"
    WEEKLY_SHOW = "weekly-show"


HEAD = """\
# T-0 is $start in $zone. Made by: tidegate sample $name
apiVersion: tidegate.dev/v1alpha1
kind: LiveEvent
metadata:
  name: $name
  namespace: $namespace
spec:
  schedule: {startTime: "$start", timeZone: $zone, durationSeconds: $seconds}
"""
EVENTS = {
    Sample.FLASH_SALE: (
        300,
        """\
  # The plateau; never a total. How many come is a guess: one standard deviation is a fifth.
  expected: {orders_per_second: 500, page_views_per_second: 5000}
  spreadPercent: 20
  profile: flash-sale
  moments:
    # "3, 2, 1, link!": three times the plateau in the first minute.
    - {name: link, signal: orders_per_second, offsetSeconds: 0, durationSeconds: 60, factor: "3.0"}
  policyRef: {name: flash-sale}
""",
    ),
    Sample.DOUBLE_11: (
        1800,
        """\
  # A thirtieth of what was published for 2019, which is 544,000 orders a second in the first seconds.
  expected: {orders_per_second: 2000, payments_per_second: 1600}
  derived:
    - {signal: inventory_updates_per_second, from: orders_per_second, factor: "1.2", lagSeconds: 5}
    - {signal: cache_reads_per_second, from: orders_per_second, factor: 9}
  spreadPercent: 5
  moments:
    - {name: first-seconds, signal: orders_per_second, offsetSeconds: 0, durationSeconds: 96, factor: "9.1"}
    - {name: first-minutes, signal: orders_per_second, offsetSeconds: 96, durationSeconds: 504, factor: "5.0"}
  policyRef: {name: double-11}
""",
    ),
    Sample.MATCH_DAY: (
        6900,
        """\
  expected: {concurrent_viewers: 120000}
  spreadPercent: 20
  profile: match
  moments:
    # At the final whistle all of them press "back" at once.
    - {name: final-whistle, signal: home_page_requests_per_second, anchor: End, durationSeconds: 300, level: 9000}
  policyRef: {name: match-day}
""",
    ),
    Sample.WEEKLY_SHOW: (
        7200,
        """\
  expected: {concurrent_viewers: 60000, orders_per_second: 400}
  derived:
    - {signal: chat_messages_per_second, from: concurrent_viewers, factor: "0.02"}
  spreadPercent: 25
  profile: show
  moments:
    - {name: first-link, signal: orders_per_second, offsetSeconds: 1800, durationSeconds: 90, factor: "4.0"}
  policyRef: {name: weekly-show}
""",
    ),
}
"""Seconds from start to end, and the rest of the spec."""

NO_SIGNALS = (
    "  # Nothing is measured: the queries of the preset would find no series here. What is announced is prepared.\n"
)

UNSEEN = {
    Sample.FLASH_SALE: (30, 300),
    Sample.DOUBLE_11: (4, 30),
    Sample.MATCH_DAY: (30, 1200),
    Sample.WEEKLY_SHOW: (25, 900),
}
"""Percent of headroom and seconds of hold where nobody sees what comes, in the place of ``live``."""
SAID = {
    Mode.ENFORCE: "It acts. For workloads of your own, Observe first: --mode Observe.",
    Mode.OBSERVE: "Dry: its status says what it would do.",
}
"""What is said of a mode that is not the preset's own."""
NAMESPACE = r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?"
"""A DNS label."""
NUMBER = re.compile(r"[0-9]+(e[0-9]+|x[0-9a-f]+|o[0-7]+|b[01]+)?")
"""A DNS label that is a number to some reader of YAML: kubectl takes 1e3 for one, PyYAML for a text."""
UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
LONGEST_SECONDS = 366 * 86_400
"""A sample is for now; what is further ahead is an event of one's own."""


def sample(
    name: Annotated[Sample, typer.Argument(help="which one: each is a preset of policies/scaling, with an event")],
    ahead: Annotated[str, typer.Option("--in", help="how long until T-0, such as 90s, 5m, 1h30m or 2d")] = "5m",
    zone: Annotated[str, typer.Option(help="IANA time zone in which the event's time is written")] = "UTC",
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="of event and policy; default: the preset's")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="Enforce acts; Observe only says what it would do")] = Mode.ENFORCE,
    workloads: Annotated[
        bool, typer.Option("--workloads", help="the namespace and a Deployment or StatefulSet for each target, too")
    ] = False,
    at: Annotated[str | None, typer.Option(help="as if it were this instant, RFC 3339; default: now")] = None,
) -> None:
    """Print an event whose T-0 is soon, with its policy: pipe it into kubectl apply -f -, or tidegate plan -.

    With --workloads also what it scales: pods that do nothing and take 10m of processor each. Apply those to a cluster
    for trying things out: where a workload of that name is yours, they would replace it.
    """
    from tidegate.cli.world import instant

    now = instant(at, default=_now())
    print(
        rendered(name, now + seconds_of(ahead), zone=zone, namespace=namespace, mode=mode, workloads=workloads), end=""
    )


def rendered(
    name: Sample, t0: float, *, zone: str = "UTC", namespace: str | None = None, mode: Mode, workloads: bool = False
) -> str:
    """The sample as YAML; its T-0 is the first whole second at or after ``t0``."""
    if namespace is not None and re.fullmatch(NAMESPACE, namespace) is None:
        raise typer.BadParameter(
            f"--namespace {namespace[:70]!r} is no name of a namespace; give at most 63 lower-case letters, digits and"
            " -, with a letter or digit at both ends"
        )
    policy = _preset(name, namespace, mode)
    known = yaml.safe_load(policy)
    seconds, rest = EVENTS[name]
    words = {
        "name": name.value,
        "namespace": _quoted(known["metadata"]["namespace"]),
        "start": _wall_clock(math.ceil(t0), zone),
        "zone": zone,
        "seconds": seconds,
    }
    parts = [yaml.dump(one, Dumper=_Dumper, sort_keys=False) for one in _workloads(known)] if workloads else []
    return "---\n".join([*parts, Template(HEAD + rest).substitute(words), policy])


def seconds_of(text: str) -> int:
    """A length of time such as ``1h30m`` in seconds; BadParameter in words."""
    found = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    total = (
        sum(int(number) * unit for number, unit in zip(found.groups("0"), UNITS.values(), strict=True)) if found else 0
    )
    if not 0 < total <= LONGEST_SECONDS:
        raise typer.BadParameter(f"--in {text!r} is no time to come; give one like 90s, 5m, 1h30m or 2d, 366d at most")
    return total


def presets() -> Path:
    """The folder of the presets: the wheel's own, or the checkout's."""
    package = Path(__file__).parents[1]
    found = next((p for p in (package / "presets", package.parents[1] / "policies" / "scaling") if p.is_dir()), None)
    if found is None:
        typer.echo(f"the presets are missing from this installation: there is no {package / 'presets'}", err=True)
        raise typer.Exit(2)
    return found


def _now() -> float:
    """Epoch seconds."""
    return time.time()


def _preset(name: Sample, namespace: str | None, mode: Mode) -> str:
    text = (presets() / f"{name.value}.yaml").read_text(encoding="utf-8")
    if f"\n  mode: {mode.value}\n" not in text:  # what the preset says of its own mode goes with it
        said = f"  # {SAID[mode]}\n  mode: {mode.value}"
        text = re.sub(r"^(?:  # [^\n]*\n)*  mode: \w+$", said, text, count=1, flags=re.MULTILINE)
    text = _planned_only(text, *UNSEEN[name])
    text = re.sub(r"^  signals:\n(?:    .*\n)+", NO_SIGNALS, text, count=1, flags=re.MULTILINE)
    if namespace is not None:
        text = re.sub(r"^  namespace: .*$", f"  namespace: {_quoted(namespace)}", text, count=1, flags=re.MULTILINE)
    return text


def _quoted(name: str) -> str:
    """A name as YAML."""
    return name if _is_plain(name) else f'"{name}"'


def _is_plain(name: str) -> bool:
    """Whether every reader of YAML takes a name for a text, not for a number, a truth value or nothing."""
    return len(name) > 1 and NUMBER.fullmatch(name) is None and bool(yaml.safe_load(name) == name)


class _Dumper(yaml.SafeDumper):
    """YAML whose names are texts to every reader."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    quoted = re.fullmatch(NAMESPACE, text) is not None and not _is_plain(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def _planned_only(text: str, headroom: int, hold: int) -> str:
    """A preset that follows nothing."""
    text = re.sub(r"^(?:  # [^\n]*\n)*  live: [^\n]*\n", "", text, count=1, flags=re.MULTILINE)
    carries = r"^(      capacity: [^\n]*\n(?:      background: [^\n]*\n)?)"
    text = re.sub(carries, rf"\g<1>      headroomPercent: {headroom}\n", text, flags=re.MULTILINE)
    held = f"    # What demand still is, nobody sees here.\n    holdSeconds: {hold}"
    return re.sub(r"^(?:    # [^\n]*\n)*    holdSeconds: \d+$", held, text, count=1, flags=re.MULTILINE)


def _wall_clock(t0: int, zone: str) -> str:
    """The local time of an instant; BadParameter where there is no such zone, or that time means another instant."""
    from tidegate.api.walltime import to_instant

    try:
        local = datetime.fromtimestamp(t0, ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f"--zone {zone!r} is no time zone; give one like Asia/Shanghai or UTC") from error
    if to_instant(local, ZoneInfo(zone)) != t0:
        raise typer.BadParameter(
            f"{local.isoformat()} comes twice in {zone}, and T-0 would be the first: use --zone UTC"
        )
    return local.isoformat()


def _workloads(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The namespace of a policy, and a workload for each of its targets, at the target's min."""
    namespace = policy["metadata"]["namespace"]
    made: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    for target in policy["spec"]["targets"]:
        ref, name = target["ref"], target["ref"]["name"]
        container = {
            "name": "pause",
            "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
        }
        spec: dict[str, Any] = {
            "replicas": target["min"],
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        }
        if ref["kind"] == "StatefulSet":
            spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
        made.append(
            {
                "apiVersion": ref["apiVersion"],
                "kind": ref["kind"],
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            }
        )
    return made
