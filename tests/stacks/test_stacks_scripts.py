"""Every shell script that a pod runs is clean by the linter of shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import tidegate_stacks

FOLDER = Path(tidegate_stacks.__file__).parent / "scripts"
SCRIPTS = sorted(FOLDER.rglob("*.sh"))


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck on PATH (Debian: shellcheck)")
@pytest.mark.parametrize("script", SCRIPTS, ids=[str(one.relative_to(FOLDER)) for one in SCRIPTS])
def test_the_linter_of_shells_finds_nothing(script: Path) -> None:
    # Variables of the pod's own environment are "possible misspellings" to it: remarks are left out, warnings are not.
    command = ["shellcheck", "--severity=warning", "--external-sources", script.name]
    found = subprocess.run(command, cwd=script.parent, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_there_are_scripts_to_look_at() -> None:
    assert {"join.sh", "nginx-start.sh", "content.sh", "srs-start.sh", "transcode.sh"} <= {one.name for one in SCRIPTS}
