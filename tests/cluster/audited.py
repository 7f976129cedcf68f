"""The API server's audit log, which is cut into files: a long run fills more than one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def lines_of(log: Path | str) -> Iterator[str]:
    """Every line that was logged, the oldest first: of the files that were put aside (``audit-2026-….log``), and of the
    one that is written to.
    """
    path = Path(log)
    for file in (*sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")), path):
        with file.open(encoding="utf-8") as lines:
            yield from lines
