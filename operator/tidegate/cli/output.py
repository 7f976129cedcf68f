"""How commands print: text for people, JSON for programs."""

from __future__ import annotations

from enum import Enum


class Output(Enum):
    """The form of what a command prints."""

    TEXT = "text"
    JSON = "json"
