"""Fifty edge sites by one program under Pulumi's mock engine, and the fifty-first: seconds, and resources touched.

.venv-stacks/bin/python bench/sites.py [--sites 50]
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests/stacks"


def main() -> None:
    """Lay both and print what differs."""
    parser = argparse.ArgumentParser(description="Edge sites by one program, and one more.")
    parser.add_argument("--sites", type=int, default=50)
    many = parser.parse_args().sites
    sys.path.insert(0, str(TESTS))
    tests = importlib.import_module("test_stacks_sites")
    laid = []
    for number in (many, many + 1):
        began, busy = time.monotonic(), time.process_time()
        laid.append(tests.laid(tests.network(number))[1])
        took, worked = time.monotonic() - began, time.process_time() - busy
        print(f"{number} sites: {len(laid[-1])} resources in {took:.1f} s, {worked:.1f} s of processor time")
    before, after = laid
    print(f"one more: {len(after.keys() - before.keys())} made, {len(tests.changed(before, after))} changed", end=", ")
    print(f"{len(before.keys() - after.keys())} deleted")


if __name__ == "__main__":
    main()
