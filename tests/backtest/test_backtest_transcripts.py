"""docs/backtest.md says what a real Prometheus, blocks of promtool and the command say."""

from __future__ import annotations

import shutil

import pytest
from real_prometheus import free_port
from transcripts import BLOCK, PAGE, commands_of, with_transcripts


def test_the_page_shows_what_its_commands_print_on_a_real_prometheus() -> None:
    if shutil.which("promtool") is None or shutil.which("prometheus") is None:
        pytest.skip("no prometheus and promtool on PATH (Debian: apt-get install prometheus)")
    text = PAGE.read_text(encoding="utf-8")
    commands = [command for block in BLOCK.findall(text) for command in commands_of(block)]
    assert [command.split()[1] for command in commands] == ["zcat", "promtool", "prometheus", "tidegate", "tidegate"]
    assert with_transcripts(text, free_port()) == text, "python tests/backtest/transcripts.py writes it anew"
