"""The table of bad inputs (bad_inputs.yaml) as values, and as the page docs/reference/bad-inputs.md.

python tests/api/bad_inputs.py            writes the page
python tests/api/bad_inputs.py --check    exits 1 when the page is not what the table says
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).with_name("bad_inputs.yaml")
PAGE = Path(__file__).parents[2] / "docs/reference/bad-inputs.md"

INTRODUCTION = """\
# Bad inputs, and what is said about each

Generated from `tests/api/bad_inputs.yaml` by `python tests/api/bad_inputs.py`; every row is a test.
Each input is a valid object with the change of the first column. The messages are those of `tidegate validate` and of
condition `Accepted=False`. What the schema in the cluster can see is refused by the API server already, with the text
of the last column; *stored* means that only the operator can see it: it is refused at apply where the chart's
`admissionWebhook` is on, else stored, and nothing is planned for the object.
"""


@dataclass(frozen=True)
class BadInput:
    """A valid object with a change that must be refused."""

    name: str
    kind: str
    want: list[list[str]]
    """(field path, message) of every problem."""
    server: str | None = None
    change: dict[str, Any] = field(default_factory=dict)
    """Field path to its new value."""
    remove: list[str] = field(default_factory=list)
    repeat: dict[str, Any] = field(default_factory=dict)
    """Field path to a list of ``times`` entries like ``of``, each with a name of its own."""

    def build(self) -> dict[str, Any]:
        """The bad object."""
        built = bases()[self.kind]
        for path, value in self.change.items():
            holder, last = _place(built, path)
            holder[last] = value
        for path in self.remove:
            holder, last = _place(built, path)
            del holder[last]
        for path, many in self.repeat.items():
            holder, last = _place(built, path)
            holder[last] = [many["of"] | {"name": many["name"].format(i)} for i in range(many["times"])]
        return built

    def told(self) -> list[str]:
        """The change, one line a field."""
        changes = [f"{_short(path)}: {_flow(value)}" for path, value in self.change.items()]
        changes += [f"{_short(path)}: (removed)" for path in self.remove]
        return changes + [f"{_short(path)}: ({many['times']:,} entries)" for path, many in self.repeat.items()]


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return table


def bases() -> dict[str, dict[str, Any]]:
    """A valid object of each kind."""
    found: dict[str, dict[str, Any]] = copy.deepcopy(_table()["bases"])
    return found


def cases() -> list[BadInput]:
    """All rows of the table."""
    return [BadInput(**row) for row in _table()["cases"]]


def page() -> str:
    """The table as Markdown."""
    lines = [INTRODUCTION]
    for kind in bases():
        lines += [
            f"## {kind}",
            "",
            "| input | field path: what is wrong; what would be right | API server |",
            "|---|---|---|",
        ]
        lines += [*(_row(case) for case in cases() if case.kind == kind), ""]
    return "\n".join(lines)


def _place(obj: dict[str, Any], path: str) -> tuple[Any, str | int]:
    """What holds the field at a path like ``spec.moments[0].factor``, and the last step to it."""
    steps: list[str | int] = []
    for part in path.split("."):
        name, _, index = part.partition("[")
        steps += [name, int(index[:-1])] if index else [name]
    holder: Any = obj
    for step in steps[:-1]:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder[step]
    return holder, steps[-1]


def _row(case: BadInput) -> str:
    change = "<br>".join(f"`{line.replace('|', chr(92) + '|')}`" for line in case.told())
    want = "<br>".join(f"`{path}`: {_cell(message)}" for path, message in case.want)
    return f"| {change} | {want} | {_cell(case.server) if case.server else '*stored*'} |"


def _short(path: str) -> str:
    return path.removeprefix("spec.")


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    if arguments == ["--check"]:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        if not fresh:
            sys.stderr.write(f"{PAGE.name} is not what the table says: run python tests/api/bad_inputs.py\n")
        return 0 if fresh else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
