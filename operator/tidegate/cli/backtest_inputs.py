"""What ``tidegate backtest`` is given: demand, events, a policy and a cluster, from options and files."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tidegate.backtest.case import Physics
    from tidegate.backtest.field import Entry
    from tidegate.backtest.folder import LeftOut, Shard
    from tidegate.backtest.happenings import Happening
    from tidegate.backtest.sources import Source
    from tidegate.planning.model import Policy

MOST_SECONDS = 31 * 86_400.0
"""Of a start lag, and of what else a cluster takes time for: a month."""


def physics_of(
    lag: float,
    spread: float,
    per_unit: float,
    failed: float,
    node_units: int,
    node_seconds: float,
    billed: float,
    age: float,
    gaps: float,
    seed: int,
) -> Physics:
    """The cluster as the options describe it."""
    from tidegate.backtest.case import Nodes, Physics

    nodes = Nodes(node_units, node_seconds) if node_units else None
    return Physics(
        lag=lag,
        lag_spread=spread,
        lag_per_unit=per_unit,
        failed_starts=failed,
        nodes=nodes,
        billed_seconds=billed,
        metric_age=age,
        metric_gaps=gaps,
        seed=seed,
    )


def given_options(context: typer.Context) -> list[str]:
    """The options that stand on the command line, as ``--step``."""
    names = {one.name: one.opts[0] for one in context.command.params}
    return [option for name, option in names.items() if _is_typed(context, name)]


def refuse_before(context: typer.Context, subcommand: str) -> None:
    """Options that stand before a subcommand are for the command without one: UsageError names them."""
    before = given_options(context)
    if before:
        raise typer.BadParameter(
            f"{', '.join(before)}: before {subcommand} an option is for a single backtest; give it behind {subcommand},"
            f" if tidegate backtest {subcommand} --help names it"
        )


def _is_typed(context: typer.Context, name: str | None) -> bool:
    source = None if name is None else context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@dataclass(frozen=True)
class Asked:
    """What is asked of a Prometheus, as the options say."""

    url: str | None
    query: str | None
    since: str | None
    until: str | None
    credentials: Path | None
    seconds: float


def source_of(demand: Path | None, builtin: str, asked: Asked, step: float) -> Source:
    """Demand from a file, from a Prometheus, or as it comes with the program."""
    from tidegate.backtest.builtin import BUILTIN
    from tidegate.backtest.series import InputError, read_series
    from tidegate.backtest.sources import Source

    if demand is not None and asked.url is not None:
        raise InputError("--demand and --prometheus: give one of them")
    if asked.url is not None:
        return _measured(asked, asked.url, step)
    given = {
        "--query": asked.query,
        "--from": asked.since,
        "--to": asked.until,
        "--prometheus-credentials": asked.credentials,
    }
    for name in (name for name, value in given.items() if value is not None):
        raise InputError(f"{name} is of no use without --prometheus; give both")
    if demand is not None:
        return Source(demand.name.removesuffix(".gz").removesuffix(".csv"), read_series(demand))
    if builtin not in BUILTIN:
        raise InputError(f"--builtin: there is no {builtin!r}; there are {', '.join(BUILTIN)}")
    return BUILTIN[builtin]()


def _measured(asked: Asked, url: str, step: float) -> Source:
    """Demand as a Prometheus has it."""
    from tidegate.backtest.ranges import LEAST_STEP, Prometheus, fetch
    from tidegate.backtest.series import InputError
    from tidegate.backtest.sources import Source
    from tidegate.metrics.credentials import Credentials, CredentialsError

    if not asked.query:
        raise InputError("--prometheus needs --query, PromQL that gives one series")
    until, since = optional_instant(asked.until, "--to"), optional_instant(asked.since, "--from")
    end = time.time() if until is None else until
    start = end - 7 * 86_400.0 if since is None else since
    credentials = None if asked.credentials is None else Credentials(asked.credentials)
    try:
        if credentials is not None:
            credentials.check()
    except CredentialsError as error:
        raise InputError(f"--prometheus-credentials: {error}") from error
    server = Prometheus(url, credentials, asked.seconds)
    with Steps("page {done} of {of} from Prometheus", logged=True) as steps:
        series = fetch(server, asked.query, start=start, end=end, step=max(step, LEAST_STEP), progress=steps)
    notes = () if not COUNTER.search(asked.query) else (COUNTER_NOTE.format(query=asked.query),)
    return Source(asked.query, series, notes=notes)


COUNTER = re.compile(r"^[^\[]*_total\b[^\[]*$")
"""A query for a counter itself: no range of it is taken."""
COUNTER_NOTE = "{query} asks for a counter itself, which only grows: demand is its rate, as in sum(rate(…_total[1m]))."


def events_of(files: list[Path], source: Source) -> list[Happening]:
    """Announced events of CSV files, of calendars and of LiveEvents, in order."""
    from tidegate.backtest.calendars import announced_in
    from tidegate.backtest.series import InputError

    found: list[Happening] = []
    for file in files:
        if file.suffix.lower() in (".yaml", ".yml", ".json"):
            from tidegate.backtest.liveevents import of_live_events
            from tidegate.cli.manifests import UnreadableError, read_documents

            try:
                found += of_live_events(file, [one.content for one in read_documents([file])], source.series)
            except UnreadableError as error:
                raise InputError(f"{file}: {error}") from error
        else:
            found += announced_in(file, source.series)
    return sorted(found, key=lambda one: one.start)


def earlier_of(files: list[Path], judged: Source) -> tuple[Source, ...]:
    """Earlier editions of a demand, in order of time."""
    from tidegate.backtest.editions import is_earlier
    from tidegate.backtest.folder import read_trace
    from tidegate.backtest.series import InputError

    found = [read_trace(file) for file in files]
    for file, one in zip(files, found, strict=True):
        if not is_earlier(one, judged):
            raise InputError(
                f"--history: {file} does not end before {judged.name} begins, or has no dates; give what was over by"
                " then: nobody learns from what is to come"
            )
    return tuple(sorted(found, key=lambda one: one.series.end))


def policy_of(file: Path) -> Policy:
    """The one ScalingPolicy of a file."""
    from tidegate.api.parse import parse_policy
    from tidegate.api.problems import InvalidObject
    from tidegate.backtest.series import InputError
    from tidegate.cli.manifests import UnreadableError, read_documents

    try:
        found = [parse_policy(one.content) for one in read_documents([file]) if one.kind == "ScalingPolicy"]
    except (InvalidObject, UnreadableError) as error:
        raise InputError(f"{file}: {error}") from error
    if len(found) != 1 or len(found[0].targets) != 1 or len(found[0].targets[0].capacity) != 1:
        raise InputError(f"{file}: give one ScalingPolicy with one target that carries one signal, that of the demand")
    return found[0]


def notes_of(file: Path | None, policy: Policy | None) -> Iterator[str]:
    """What is played otherwise than a given policy says."""
    from tidegate.planning.model import Mode

    if policy is not None and policy.mode is Mode.OBSERVE:
        yield f"{file}: in mode Observe, which writes nothing: played as if it said mode: Enforce."


def background_of(policy: Policy) -> float | None:
    """Demand without any event, as a policy says; None where it does not."""
    return dict(policy.targets[0].background).get(policy.targets[0].capacity[0][0])


def entries_of(policies: str | None, sweep: bool, given: Policy | None) -> list[Entry]:
    """The contestants that were asked for."""
    from tidegate.backtest.field import entries
    from tidegate.backtest.variants import AS_IT_COMES, OVER_HPA

    names = None if policies is None else listed(policies, "--policies")
    if given is None:
        return entries(names, sweep=sweep)
    headrooms = tuple(dict.fromkeys((given.targets[0].headroom, 0.0, 0.1, 0.2)))
    variants = [replace(one, policy=given, headrooms=headrooms) for one in (AS_IT_COMES, OVER_HPA)]
    return entries(names, sweep=sweep, variants=variants)


def check_bounded(bounded: str, entries: Iterable[Entry]) -> None:
    """A bound is on a contestant that is played."""
    from tidegate.backtest.series import InputError

    names = list(dict.fromkeys(one.played_as for one in entries))
    if bounded not in names:
        raise InputError(
            f"--bounded: {bounded} is not played, so that no bound on it can be kept; give one of {', '.join(names)}"
        )


def optional_instant(text: str | None, option: str) -> float | None:
    """An instant of an option."""
    from tidegate.backtest.series import instant

    return None if text is None else instant(text, option)


def listed(text: str, option: str) -> tuple[str, ...]:
    """What an option names, with commas between."""
    from tidegate.backtest.series import InputError

    if not text.strip():
        raise InputError(f"{option}: names nothing; give names with commas between, or leave the option out")
    found = tuple(one.strip() for one in text.split(","))
    if "" in found:
        raise InputError(f"{option}: {text!r} has nothing between two commas, or at an end; leave out the comma")
    return found


def seconds_of(text: str, option: str) -> float:
    """Seconds that something takes."""
    from tidegate.backtest.series import InputError

    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= MOST_SECONDS:
        raise InputError(f"{option}: {text!r} is no number of seconds; give one from 0 to {MOST_SECONDS:.0f}")
    return seconds


def shard_of(text: str) -> Shard:
    """Which part of the traces: ``2/8`` is the third of eight."""
    from tidegate.backtest.folder import Shard
    from tidegate.backtest.series import InputError

    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
    if found is None or int(found[1]) >= int(found[2]):
        raise InputError(f"--shard: {text!r} is no part; give INDEX/OF, as 0/8 to 7/8 for eight parts")
    return Shard(int(found[1]), int(found[2]))


def perturbation_of(name: str) -> str:
    """The name of a perturbation."""
    from tidegate.backtest.happenings import PERTURBATIONS
    from tidegate.backtest.series import InputError

    if name not in PERTURBATIONS:
        raise InputError(f"there is no perturbation {name!r}; there are {', '.join(PERTURBATIONS)}")
    return name


class LeftOuts:
    """Tells on standard error of files that are left out, as they are met."""

    MOST = 20
    """Files that are no traces and are told one by one."""

    def __init__(self) -> None:
        self.wrong = False
        self._others = 0

    def __call__(self, one: LeftOut) -> None:
        """One file more."""
        self.wrong = self.wrong or one.wrong
        self._others += not one.wrong
        if one.wrong or self._others <= self.MOST:
            typer.echo(str(one), err=True)
        elif self._others == self.MOST + 1:
            typer.echo("left out: more files that are no traces", err=True)


class Steps:
    """How far something that takes long has come, on standard error: in place on a terminal, else a line now and then.

    Nothing is said of what is done before it is worth saying.
    """

    SILENT, EVERY = 2.0, 10.0
    """Seconds before the first line on a terminal, and between two lines where there is none."""

    def __init__(self, words: str, *, logged: bool = False) -> None:
        """``words`` with ``{done}`` and ``{of}`` in them; ``logged``: also where there is no terminal."""
        self._words, self._terminal, self._begun = words, sys.stderr.isatty(), False
        self._mute = not (logged or self._terminal)
        self._next = time.monotonic() + (self.SILENT if self._terminal else self.EVERY)

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun and self._terminal:
            typer.echo("", err=True)

    def __call__(self, done: int, of: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if self._mute or now < self._next:
            return
        self._begun, words = True, self._words.format(done=done, of=of)
        self._next = now + (0.1 if self._terminal else self.EVERY)
        typer.echo(f"\r{words}\x1b[K" if self._terminal else words, nl=not self._terminal, err=True)
