"""The figures of the night, for the terminal and for the report."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tidegate.demo.chart import clock as time_of_day
from tidegate.demo.night import demand as night
from tidegate.demo.night.result import HOURS, NightResult
from tidegate.demo.night.story import machines
from tidegate.demo.objects import NAMESPACE

INSTANTS = (
    night.MIDNIGHT - 1800,
    night.MIDNIGHT - 240,
    night.MIDNIGHT,
    night.DATA_AGAIN - 60,
    night.DATA_AGAIN + 120,
    night.DATA_AGAIN + 600,
    night.DATA_AGAIN + 7200,
)
"""When it is told who holds the machines."""


def rows(result: NightResult) -> list[tuple[str, str]]:
    """Each figure with its name."""
    recording, book = result.recording, result.recording.promises
    sold, waiting = recording.oversold, recording.waiting[NAMESPACE]
    late, whole = book.late(night.LAST), night.JOBS * night.JOB_SECONDS + night.LOADERS * night.LOADER_SECONDS
    return [
        ("oversold", f"{sold.instants} of {sold.looked:,} instants"),
        ("promise", f"{book.given - late} of {book.given} units (Jobs, replicas) back in time{_when(result)}"),
        (
            "work lost",
            f"{recording.work_lost:,.0f} of {whole:,.0f} unit-seconds ({_percent(recording.work_lost, whole)})",
        ),
        ("data done", _done(result)),
        ("demand lost", f"{result.lost():.2f} %, in the first ten minutes {_first_minutes(result):.2f} %"),
        ("ready", f"{result.ready_before:+.0f} s before T-0, all of trading"),
        ("waited", f"{waiting.most} pods of trading at most, for want of a machine"),
        ("one pool", f"{night.MACHINES * HOURS:.0f} machine-hours: {night.MACHINES} machines, {HOURS:g} h"),
        ("two clusters", _two_clusters(result)),
        ("the pool cut", _cut(result)),
    ]


def explanation() -> str:
    """What the figures say, and which of them were measured."""
    return (
        "Oversold: instants at which pods on a machine, levels as written, or the operator's own books came to more "
        "than there is. Promise: Loans' promised times against the instants at which the work ran again. Lost: demand "
        "that met no ready pod, in pods, 23:00 to 06:00. All that is measured on the cluster. Two clusters, each as "
        "large as its side's peak that was measured, all the night, would lose nothing either; that and the cut pool "
        "are computed, the latter without headroom and start times: kinder than it would be."
    )


def holders(result: NightResult) -> Table:
    """Who holds the machines at some instants."""
    made = Table(title=f"Machines, of {night.MACHINES}", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    made.add_column("", no_wrap=True)
    for at in INSTANTS:
        made.add_column(time_of_day(at), justify="right", no_wrap=True)
    told = [machines(result.recording.lanes.at(at)) for at in INSTANTS]
    for number, name in enumerate(("trading", "data", "leaving", "free")):
        made.add_row(name, *(str(counts[number]) for counts in told))
    return made


def table(result: NightResult) -> Table:
    """The figures for the terminal."""
    made = Table(box=None, show_header=False, collapse_padding=True)
    made.add_column("", no_wrap=True, style="bold")
    made.add_column("")
    for name, figure in rows(result):
        made.add_row(name, figure)
    return made


def _when(result: NightResult) -> str:
    if result.last_back is None or result.promised is None:
        return ""
    back, first = time_of_day(result.last_back, seconds=True), time_of_day(result.promised[0], seconds=True)
    return f", the last at {back}; promised by {first} at the earliest"


def _done(result: NightResult) -> str:
    done = result.recording.data_done_at
    if done is None:
        return f"not by {time_of_day(night.LAST)}, when it had to be"
    return f"at {time_of_day(done, seconds=True)}; it had to be by {time_of_day(night.DEADLINE)}"


def _two_clusters(result: NightResult) -> str:
    two, least = result.two_clusters, result.data_in_time.data
    sides = f"{two.trading} machines for trading's peak and {two.data} for data's"
    frugal = f"{(two.trading + least) * HOURS:.0f} with data's as small as its deadline allows ({least})"
    return f"{two.machines * HOURS:.0f} machine-hours: {sides}; {frugal}"


def _cut(result: NightResult) -> str:
    in_time, whole = result.data_in_time, result.nothing_lost
    losing = f"{in_time.trading} + {in_time.data} lose {in_time.lost_percent:.2f} % of the demand"
    return f"{losing}; {whole.trading} + {whole.data} lose none, and data is done {_late(whole.data_done_at)}"


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.2f} %"


def _first_minutes(result: NightResult) -> float:
    return result.lost(night.MIDNIGHT, night.MIDNIGHT + 600)


def _late(done_at: float) -> str:
    minutes = round((done_at - night.DEADLINE) / 60)
    return f"{minutes // 60}:{minutes % 60:02} h late" if minutes > 0 else "in time"
