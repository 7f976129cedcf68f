"""What all rooms' tests share: builders beside a test file are importable by their plain name."""

from __future__ import annotations

import sys
from pathlib import Path

for room in sorted(Path(__file__).parent.iterdir()):
    if room.is_dir() and not room.name.startswith((".", "__")):
        sys.path.append(str(room))
