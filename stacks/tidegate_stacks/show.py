"""``make ground``: what ``pulumi up`` would make, without engine, account or cluster.

A table to read, and every object as YAML. Charts are rendered by Pulumi's provider at ``pulumi up``. A chart that lies
in this repository is rendered here too where ``helm`` is on PATH; others are only counted.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from tidegate_stacks import dry, joined
from tidegate_stacks.tally import GIB, Prices, Row, add, rows, total

STACKS = Path(__file__).resolve().parents[1]
TOGETHER = "all-in-one"
ORDER = tuple(kind.project.removeprefix("tidegate-") for kind in joined.EXPORTS)
HELM_SECONDS = 60


def laid(folder: Path, project: str, settings: str) -> dry.Ground:
    """What a project registers. One that reads other stacks has them laid first, with the same settings."""
    if project not in ORDER:
        return dry.run(folder / project, settings)
    stacks: dict[str, Any] = {}
    for name in ORDER[: ORDER.index(project) + 1]:
        made = dry.run(folder / name, settings, stacks=stacks)
        stacks[f"{joined.ORGANIZATION}/tidegate-{name}/dev"] = made.exports
    return made


def table(each: Sequence[Row], prices: Prices) -> Table:
    """One row a component: as it stands, and at most."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("component")
    for column in ("objects", "pods", "cores", "GiB memory", "GiB storage", "targets"):
        made.add_column(column, justify="right")
    if prices.given:
        made.add_column("an hour", justify="right")
    for row in each:
        made.add_row(*cells(row, prices))
    made.add_section()
    made.add_row(*cells(total(each), prices))
    return made


def cells(row: Row, prices: Prices) -> list[str]:
    """A row as texts: ``2 → 5`` where an event may move it."""
    low, high = row.standing, row.most
    pairs = [
        (low.pods, high.pods),
        (low.cpu_millis / 1000, high.cpu_millis / 1000),
        (low.memory / GIB, high.memory / GIB),
        (low.storage / GIB, high.storage / GIB),
    ]
    charts = f" + {len(row.charts)} chart{'s' * (len(row.charts) > 1)}" if row.charts else ""
    made = [row.name, f"{len(row.objects)}{charts}", *(_range(*pair) for pair in pairs), str(row.targets or "")]
    return [*made, _range(prices.an_hour(low), prices.an_hour(high))] if prices.given else made


def _range(low: float, high: float) -> str:
    if not high:
        return ""
    small, large = (f"{value:.2f}".rstrip("0").rstrip(".") for value in (low, high))
    return small if small == large else f"{small} → {large}"


def render_charts(each: Sequence[Row], ground: dry.Ground, home: Path) -> None:
    """Put what charts of this repository hold in their place."""
    for row in each:
        for name in list(row.charts):
            if objects := rendered(ground, name, home):
                row.charts.remove(name)
            for one in objects:
                add(row, one)


def write(each: Sequence[Row], folder: Path) -> list[Path]:
    """Every object as YAML, one file a component."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    files = []
    for row in each:
        if row.objects:
            path = folder / f"{row.name}.yaml"
            path.write_text(yaml.safe_dump_all(row.objects, sort_keys=False, allow_unicode=True), encoding="utf-8")
            files.append(path)
    return files


def rendered(ground: dry.Ground, name: str, home: Path) -> list[Any]:
    """Objects of a chart that is a folder here, rendered as Pulumi's provider does it; else nothing."""
    helm = shutil.which("helm")
    chart = next((one.inputs for one in ground.resources if one.kind == "Chart" and one.name == name), None)
    if helm is None or chart is None or not (home / str(chart["chart"])).is_dir():
        return []
    command = [helm, "template", name, chart["chart"], "--namespace", chart["namespace"], "--no-hooks", "-f-"]
    values = yaml.safe_dump(chart.get("values") or {})
    done = subprocess.run(  # noqa: S603 - a chart of this repository
        command, input=values, cwd=home, capture_output=True, text=True, timeout=HELM_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"chart {name}: {done.stderr.strip()}")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="make ground", description="What pulumi up would make.")
    made.add_argument("--project", default=TOGETHER, choices=[TOGETHER, *ORDER])
    made.add_argument("--settings", default="dev", help="of Pulumi.SETTINGS.yaml: dev or prod")
    made.add_argument("--stacks", type=Path, default=STACKS, help="folder of the projects")
    made.add_argument("--output", type=Path, default=Path("build/ground"), help="where the YAML goes")
    for option, of in (
        ("core-hour", "a core"),
        ("gib-hour", "a GiB of memory"),
        ("storage-gib-month", "a GiB of disk"),
    ):
        made.add_argument(f"--{option}", type=float, default=0.0, metavar="PRICE", help=f"price of {of}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the files."""
    given = parser().parse_args(arguments)
    began = time.monotonic()
    home = given.stacks / given.project
    if not (home / f"Pulumi.{given.settings}.yaml").is_file():
        sys.stderr.write(f"make ground: {home / f'Pulumi.{given.settings}.yaml'} is not there\n")
        return 2
    prices = Prices(given.core_hour, given.gib_hour, given.storage_gib_month)
    ground = laid(given.stacks, given.project, given.settings)
    each = rows(ground)
    folder = given.output / f"{given.project}-{given.settings}"
    render_charts(each, ground, home)
    files = write(each, folder)
    console = Console(width=110, highlight=False)
    console.print(f"{given.project}, settings {given.settings}: as registered → at the most that its targets allow\n")
    console.print(table(each, prices))
    console.print(f"{len(files)} files in {folder}/ hold every object; {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
