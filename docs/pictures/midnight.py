"""The README's picture of the result: midnight alone, out of double-11.svg, large enough for a telephone.
`make picture` draws both: the evening is played, then this is cut out of what it drew.

python docs/pictures/midnight.py            writes midnight.svg beside it
python docs/pictures/midnight.py --check    exits 1 when it is not what this file makes of double-11.svg
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tidegate.demo.chart import document, legend
from tidegate.demo.evening.picture import LEGEND

FOLDER = Path(__file__).parent
WHOLE, PICTURE = FOLDER / "double-11.svg", FOLDER / "midnight.svg"
WIDTH, HEIGHT = 500, 316
LEFT, TOP = 500, 420
"""Where the chart of midnight stands in the whole picture."""
TITLE = "Midnight: the order service's pods, needed and ready"


def cut(whole: str) -> str:
    """The picture: the last chart of the whole one, with a legend of its own."""
    charts = re.findall(r"<g>.*?</g>", whole, re.DOTALL)
    if len(charts) != 3 or ">Midnight<" not in charts[-1]:
        sys.exit(f"{WHOLE.name} does not end with the chart of midnight: make picture")
    looks = dict(LEGEND)
    rows = (("demand", "tidegate", "lost"), ("hpa70", "hpa80"))
    body = f'<g transform="translate({-LEFT} {56 - TOP})">{charts[-1].replace(">Midnight<", f">{TITLE}<")}</g>'
    for place, names in enumerate(rows):
        body += legend([(name, looks[name]) for name in names], 8, 20 + 20 * place)
    return document(WIDTH, HEIGHT, body, title=TITLE, alone=True) + "\n"


def main() -> None:
    """Write the picture, or check it."""
    made = cut(WHOLE.read_text(encoding="utf-8"))
    same = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == made
    if "--check" in sys.argv[1:]:
        sys.exit(0 if same else f"{PICTURE.name} is not midnight of {WHOLE.name}: python docs/pictures/midnight.py")
    PICTURE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
