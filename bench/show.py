"""One live show end to end on loopback, with real nginx, ffmpeg and dnsmasq: its figures.

    .venv-stacks/bin/python bench/show.py [--players 200]

Stall ratio and push-to-play before, while and after a site is killed and an origin comes back at a new address; what
the origin is asked with and without the CDN; what a prefetch saves. See ``tests/stacks/show.py`` for what runs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests/stacks"


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description="A live show on loopback, and its figures.")
    parser.add_argument("--players", type=int, default=200)
    arguments = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    if missing := importlib.import_module("show_programs").missing():
        sys.exit(f"needs {missing}")
    show = importlib.import_module("show")
    for line in show.lines(asyncio.run(show.run(arguments.players))):
        print(line)


if __name__ == "__main__":
    main()
