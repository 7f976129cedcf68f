"""The lines of an iCalendar file (RFC 5545): unfolded, split into names, parameters and values, nested by BEGIN, END.

What the values mean is ``calendars``'. Strict: what the RFC does not allow is an InputError with file and line, since
an event that is read half would be announced wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.backtest.series import InputError

MOST_BYTES = 16 << 20
"""Of one file: a busy calendar of ten years takes a tenth of it."""
SHOWN = 60
"""Characters of a line that an error repeats."""

_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAMETER = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^";:,]*)((?:,(?:"[^"]*"|[^";:,]*))*)')
_PART = re.compile(r"(?:\\.|[^\\,])+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Property:
    """One content line."""

    name: str
    """In capitals."""
    value: str
    """As it stands there: escapes are ``text``'s."""
    parameters: dict[str, str]
    """By name in capitals; of several values the first."""
    where: str
    """File and line, for errors."""

    def text(self) -> str:
        """The value of a property whose type is TEXT."""
        return _unescaped(self.value)

    def texts(self) -> list[str]:
        """The same of a list of them."""
        return [_unescaped(part) for part in _PART.findall(self.value)]

    def wrong(self, what: str, right: str) -> InputError:
        """An error about this line."""
        return InputError(f"{self.where}: {self.name}: {what}; {right}")


@dataclass(slots=True)
class Component:
    """What stands between BEGIN and END."""

    name: str
    where: str
    properties: list[Property] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)

    def all(self, name: str) -> list[Property]:
        """Every property of a name."""
        return [one for one in self.properties if one.name == name]

    def one(self, name: str) -> Property | None:
        """The property of a name that may stand there once; None without it."""
        found = self.all(name)
        if len(found) > 1:
            raise found[1].wrong("is given twice", f"once in a {self.name}")
        return found[0] if found else None

    def parts(self, name: str) -> list[Component]:
        """The components of a name right within this one."""
        return [one for one in self.components if one.name == name]


def read_components(path: Path) -> list[Component]:
    """The VCALENDARs of a file."""
    root = Component("file", str(path))
    open_ones = [root]
    for number, line in _lines(path):
        one = _property(line, f"{path}: line {number}")
        if one.name == "BEGIN":
            made = Component(one.value.upper(), one.where)
            open_ones[-1].components.append(made)
            open_ones.append(made)
        elif one.name == "END":
            if len(open_ones) == 1 or open_ones[-1].name != one.value.upper():
                within = open_ones[-1].name if len(open_ones) > 1 else "nothing"
                raise one.wrong(f"{one.value[:SHOWN]} ends here, and {within} is open", "let each BEGIN have its END")
            open_ones.pop()
        elif len(open_ones) == 1:
            raise one.wrong("stands outside of any calendar", "let the file begin with BEGIN:VCALENDAR")
        else:
            open_ones[-1].properties.append(one)
    if len(open_ones) > 1:
        raise InputError(f"{open_ones[-1].where}: {open_ones[-1].name} has no END; was the file cut off?")
    found = root.parts("VCALENDAR")
    if not found or len(found) != len(root.components):
        raise InputError(f"{path}: holds no calendar; give a file that begins with BEGIN:VCALENDAR")
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number of its first line, unfolded line). Unfolded before decoding: a fold may lie within a character."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a calendar as an .ics file") from error
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path}: is larger than {MOST_BYTES >> 20} MiB; give the calendar of the demand's time alone")
    pieces: list[bytes] = []
    begun = 1
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if line[:1] in (b" ", b"\t"):
            if not pieces:
                raise InputError(f"{path}: line {number}: continues no line; let no line begin with a blank but those")
            pieces.append(line[1:])
            continue
        yield from _joined(path, begun, pieces)
        pieces, begun = [line] if line else [], number
    yield from _joined(path, begun, pieces)


def _joined(path: Path, number: int, pieces: list[bytes]) -> Iterator[tuple[int, str]]:
    if not pieces:
        return
    try:
        yield number, b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: line {number}: is no UTF-8; give the file in UTF-8") from error


def _property(line: str, where: str) -> Property:
    name = _NAME.match(line)
    at = name.end() if name else 0
    parameters: dict[str, str] = {}
    while name and line[at : at + 1] == ";":
        given = _PARAMETER.match(line, at)
        if given is None:
            break
        parameters.setdefault(given[1].upper(), given[2].strip('"'))
        at = given.end()
    if name is None or line[at : at + 1] != ":":
        raise InputError(f"{where}: {line[:SHOWN]!r} is no NAME;PARAMETER=…:value; is it a part of the line before?")
    return Property(name[0].upper(), line[at + 1 :], parameters, where)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], text).strip()
