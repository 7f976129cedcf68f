"""The README's picture of how the parts hang together, in light and in dark: `make picture-architecture`.

python docs/pictures/architecture.py            writes architecture-light.svg and architecture-dark.svg beside it
python docs/pictures/architecture.py --check    exits 1 when one of them is not what this file draws

It is narrow on purpose: on a telephone of 390 pixels its smallest letters are still 10 pixels high.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 520, 764
FONT = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif'

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2933",
    "faint": "#52606d",
    "frame": "#cbd2d9",
    "soft": "#f1f4f8",
    "operator": "#e3edfc",
    "accent": "#1d5fd1",
    "trading": "#3f7de0",
    "data": "#58b28c",
    "on": "#ffffff",
}
DARK = {
    "paper": "#0d1117",
    "ink": "#e6edf3",
    "faint": "#9da7b3",
    "frame": "#3d4756",
    "soft": "#161b22",
    "operator": "#14233c",
    "accent": "#6ea8ff",
    "trading": "#4b86e0",
    "data": "#3f8f6d",
    "on": "#ffffff",
}

SOURCES = ("LiveEvent", "ScalingPolicy", "Prometheus")
LEVERS = ("HPA minimum", "/scale", "Job suspend")
GROUND = ("CDN + shield", "edge sites", "live origin", "cache", "database", "batch queues")

SHARES = ((23.2, 6), (23.9, 6), (23.97, 86), (25.0, 86), (25.06, 40), (25.16, 14), (25.8, 6))
"""Hour, counted on after midnight, and percent of the pool that trading has: the shape of the demonstration's night,
and not its measurement."""
FIRST, LAST = SHARES[0][0], SHARES[-1][0]
TICKS = ((23.75, "23:45", "data is told"), (24.0, "00:00", "T-0"), (25.0, "01:00", "given back"))


def drawing(colours: dict[str, str]) -> str:
    """The whole picture."""
    parts = [
        _row(SOURCES, 34, colours, colours["soft"]),
        _text(260, 22, "what is announced, what it needs, what is measured", colours["faint"], size=15),
        _arrow(82, 108, colours),
        _operator(108, colours),
        _arrow(222, 248, colours),
        _row(LEVERS, 248, colours, colours["soft"]),
        _arrow(292, 330, colours, "moves floors, gives them back"),
        _ground(330, colours),
        _pool(534, colours),
    ]
    label = (
        "LiveEvent, ScalingPolicy and Prometheus go into the kopf operator: planner, then loans. It moves the minimum "
        "of HPAs, /scale and the suspension of Jobs on what pulumi up has laid: CDN, edge sites, live origin, cache, "
        "database and batch queues. Trading and data processing share one pool: data is told at 23:45, trading has "
        "most machines at 00:00, data has them back after 01:00."
    )
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{colours["paper"]}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(label)}" font-family="{escape(FONT)}">{paper}{"".join(parts)}</svg>\n'
    )


def _text(
    x: float, y: float, words: str, fill: str, *, size: int = 17, weight: int = 400, anchor: str = "middle"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{fill}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _box(x: float, y: float, width: float, height: float, fill: str, stroke: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{stroke}" '
        'stroke-width="1.5"/>'
    )


def _row(names: tuple[str, ...], y: float, colours: dict[str, str], fill: str) -> str:
    """Three boxes side by side."""
    parts = []
    for place, name in enumerate(names):
        x = 14 + place * 168
        parts.append(_box(x, y, 156, 44, fill, colours["frame"]))
        parts.append(_text(x + 78, y + 28, name, colours["ink"], weight=600))
    return "".join(parts)


def _arrow(top: float, bottom: float, colours: dict[str, str], words: str = "") -> str:
    x, tip, colour = 260, bottom - 2, colours["accent"]
    beside = _text(x + 14, (top + bottom) / 2 + 6, words, colours["faint"], size=15, anchor="start") if words else ""
    return (
        f'<path d="M{x} {top + 3}V{tip - 7}" stroke="{colour}" stroke-width="2.5" fill="none"/>'
        f'<path d="M{x - 6} {tip - 9}L{x} {tip}L{x + 6} {tip - 9}Z" fill="{colour}"/>{beside}'
    )


def _operator(y: float, colours: dict[str, str]) -> str:
    parts = [
        _box(14, y, 492, 114, colours["operator"], colours["accent"]),
        _text(260, y + 27, "kopf operator", colours["ink"], weight=700),
    ]
    for x, name, what in ((28, "planner", "backwards from T-0"), (270, "loans", "written before a change")):
        parts.append(_box(x, y + 42, 222, 58, colours["paper"], colours["frame"]))
        parts.append(_text(x + 111, y + 65, name, colours["ink"], weight=600))
        parts.append(_text(x + 111, y + 87, what, colours["faint"], size=15))
    parts.append(f'<path d="M252 {y + 71}h10" stroke="{colours["accent"]}" stroke-width="2.5"/>')
    parts.append(f'<path d="M260 {y + 65}l8 6l-8 6Z" fill="{colours["accent"]}"/>')
    return "".join(parts)


def _ground(y: float, colours: dict[str, str]) -> str:
    parts = [_box(6, y, 508, 180, colours["soft"], colours["frame"])]
    parts.append(_text(22, y + 28, "pulumi up", colours["accent"], weight=700, anchor="start"))
    parts.append(_text(124, y + 28, "lays the ground, in Python", colours["faint"], size=15, anchor="start"))
    for place, name in enumerate(GROUND):
        x, top = 22 + place % 3 * 162, y + 44 + place // 3 * 64
        parts.append(_box(x, top, 152, 52, colours["paper"], colours["frame"]))
        parts.append(_text(x + 76, top + 32, name, colours["ink"], weight=600))
    return "".join(parts)


def _pool(y: float, colours: dict[str, str]) -> str:
    """Machines over the night: trading from below, data above."""
    left, top, width, height = 22.0, y + 32, 476.0, 140.0

    def place(hour: float) -> float:
        return left + (hour - FIRST) / (LAST - FIRST) * width

    blue = colours["trading"]
    line = " ".join(f"{place(hour):.1f},{top + height * (1 - share / 100):.1f}" for hour, share in SHARES)
    parts = [
        _text(left, y + 20, "one pool of machines, through the night", colours["ink"], weight=600, anchor="start"),
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{colours["data"]}"/>',
        f'<polygon points="{left:g},{top + height:g} {line} {left + width:g},{top + height:g}" fill="{blue}"/>',
        _text(place(24.49), top + 90, "trading", colours["on"], weight=700),
        _text(place(23.47), top + 66, "data", colours["on"], weight=700),
        _text(place(25.5), top + 66, "data", colours["on"], weight=700),
    ]
    for hour, clock, what in TICKS:
        x = place(hour)
        anchor = "end" if clock == "23:45" else "start" if clock == "00:00" else "middle"
        shift = {"end": 10.0, "start": -12.0, "middle": 0.0}[anchor]
        parts.append(f'<path d="M{x:.1f} {top:g}v{height + 8:g}" stroke="{colours["ink"]}" stroke-dasharray="3 3"/>')
        parts.append(_text(x + shift, top + height + 28, clock, colours["ink"], weight=700, anchor=anchor))
        parts.append(_text(x + shift, top + height + 48, what, colours["faint"], size=15, anchor=anchor))
    return "".join(parts)


def pictures() -> dict[Path, str]:
    """Each file and what it holds."""
    return {
        FOLDER / "architecture-light.svg": drawing(LIGHT),
        FOLDER / "architecture-dark.svg": drawing(DARK),
    }


def main() -> None:
    """Write the pictures, or check them."""
    different = [p for p, text in pictures().items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        sys.exit(f"not as drawn: {', '.join(p.name for p in different)}; make picture-architecture" if different else 0)
    for path in different:
        path.write_text(pictures()[path], encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
