"""The files of the project as git knows them, and what the pages say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s*\\]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


@cache
def tracked() -> tuple[Path, ...]:
    """Files that are committed or about to be; skips the test where this is no git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nobody says which files belong to the project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def texts() -> Iterator[tuple[str, str]]:
    """(name, text) of every tracked text file."""
    for path in tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def pages() -> dict[str, str]:
    """Every Markdown page by name."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(found)}


def blocks(language: str) -> list[Block]:
    """Fenced blocks of a language in all pages."""
    return [
        Block(page, found[1], found[2])
        for page, text in pages().items()
        for found in FENCE.finditer(text)
        if found[1] == language
    ]


def links(text: str) -> list[str]:
    """Where a page's links lead; what stands in code is no link."""
    found: list[str] = LINK.findall(CODE.sub("", FENCE.sub("", text)))
    return found


def anchors(text: str) -> set[str]:
    """What a link may point to in a page: its headings, as code hosts spell them."""
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
