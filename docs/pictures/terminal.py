"""The README's moving picture of a terminal, from the transcripts in docs/demo.md: `make picture-terminal`.

python docs/pictures/terminal.py            writes terminal.svg beside it
python docs/pictures/terminal.py --check    exits 1 when it is not what this file makes of that page

Nothing is typed in here: each line is a line of a transcript, cut at the window's edge. The window is narrow, so that
it can be read on a telephone. Whoever prefers no motion sees the first screen, complete.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "demo.md"
PICTURE = FOLDER / "terminal.svg"

COLUMNS, ROWS = 60, 24
CHARACTER, LINE = 8.43, 20.0
"""Pixels of a character of 14 pixels in a monospaced font, and from line to line."""
LEFT, TOP = 14.0, 50.0
WIDTH, HEIGHT = round(2 * LEFT + COLUMNS * CHARACTER), round(TOP + ROWS * LINE)
LINE_SECONDS, RESULT_SECONDS, STAY_SECONDS = 0.55, 0.12, 6.0
"""From line to line, within a result, and how long a full screen stays. A judgment: as fast as one reads."""
RESULT_FOLLOWS = "..."
STYLES = (
    (re.compile(r"^\$ "), "typed"),
    (re.compile(r"^ *Tidegate +\d"), "good"),
    (re.compile(r"^ *HPA "), "bad"),
    (re.compile(r"^\d\d:\d\d:\d\d "), "line"),
)


@dataclass(frozen=True)
class Screen:
    """A command and what it printed."""

    command: str
    lines: list[str]


def screens(page: str) -> list[Screen]:
    """The two transcripts, each as far as the window has room."""
    found = []
    for heading, command in (("The evening", "make demo"), ("The night", "make demo-night")):
        text = page.partition(f"\n## {heading}\n")[2]
        block = re.search(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        if block is None:
            sys.exit(f"{PAGE}: no transcript under {heading}")
        found.append(Screen(f"$ {command}", [f"$ {command}", *block[1].splitlines()][:ROWS]))
    return found


def moving(page: str) -> str:
    """The whole picture."""
    shown, at = [], 0.0
    for screen in screens(page):
        begin, timed, result = at, [], False
        for row, line in enumerate(screen.lines):
            timed.append((row, line, at))
            result = result or line == RESULT_FOLLOWS
            at += RESULT_SECONDS if result else LINE_SECONDS
        at += STAY_SECONDS
        shown.append((begin, at, timed))
    rules, body = [], []
    for place, (_, end, timed) in enumerate(shown):
        for row, line, since in timed:
            name = f"s{place}r{row}"
            rules.append(_appearing(name, since / at * 100, end / at * 100))
            look = next((look for pattern, look in STYLES if pattern.search(line)), "text")
            y = TOP + row * LINE
            hidden = ' opacity="0"' if place else ""
            body.append(
                f'<text class="{look}" id="{name}"{hidden} x="{LEFT:g}" y="{y:g}" xml:space="preserve" '
                f'textLength="{len(line[:COLUMNS]) * CHARACTER:.1f}">{escape(line[:COLUMNS])}</text>'
                if line.strip()
                else ""
            )
    times = f"text{{animation:{at:.1f}s step-end infinite}}{''.join(rules)}"
    style = (
        'text{font:14px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#c9d1d9}'
        ".typed{fill:#7ee787;font-weight:700}.good{fill:#7ee787}.bad{fill:#ffa198}.line{fill:#c9d1d9}"
        f"@media (prefers-reduced-motion:no-preference){{{times}}}"
    )
    dots = "".join(f'<circle cx="{20 + 18 * n}" cy="18" r="5.5" fill="{c}"/>' for n, c in enumerate(DOTS))
    label = "make demo and make demo-night in a terminal: the transcripts stand in docs/demo.md"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{label}"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="9" fill="#0d1117"/>{dots}{"".join(body)}</svg>\n'
    )


DOTS = ("#ff5f57", "#febc2e", "#28c840")


def _appearing(name: str, since: float, until: float) -> str:
    """A line that is there from one share of the time to another."""
    before = "0%{opacity:0}" if since > 0 else ""
    after = f"{until:.2f}%{{opacity:0}}" if until < 100 else ""
    return f"@keyframes {name}{{{before}{since:.2f}%{{opacity:1}}{after}}}#{name}{{animation-name:{name}}}"


def main() -> None:
    """Write the picture, or check it."""
    made = moving(PAGE.read_text(encoding="utf-8"))
    same = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == made
    if "--check" in sys.argv[1:]:
        sys.exit(0 if same else f"{PICTURE.name} is not what {PAGE.name} says: make picture-terminal")
    PICTURE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
