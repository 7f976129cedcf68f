"""What it takes to parse a query, told from its text alone. Pure.

The parser compiles regular expressions while it parses: one counted repeat of four characters takes what a thousand
others do. Of a nested query it makes an object for each part and in each the rest once more, so that 4 KB of
parentheses take a gigabyte; and where one is nested deeper than its stack it ends the process.
"""

from __future__ import annotations

import re
from math import prod

_SPOKEN = re.compile(r"""#[^\r\n]*|("(?:[^"\\]|\\.)*["\\]?|'(?:[^'\\]|\\.)*['\\]?|`[^`]*`?)""", re.DOTALL)
"""A comment, or a text (the group) with its quotes; one that does not end goes to the query's end."""
_MATCHERS = re.compile(r"\{[^{}]*\}")
_PART = re.compile(r"[-+*/%^(<>=!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_REPEAT = re.compile(r"\{[^{}]*\d[^{}]*\}", re.ASCII)
_NUMBER = re.compile(r"\d+", re.ASCII)
_SPELLED = re.compile(r"\\[xuU0-7]")
"""How a text writes a character by its number: a brace, say."""


def texts_of(query: str) -> list[str]:
    """The texts of a query without their quotes, as written."""
    return [text[1:].removesuffix(text[0]) for text in _SPOKEN.findall(query) if text]


def too_costly(query: str, *, parts: int, listed: int, repeats: int) -> str:
    """Why a query must not be parsed, in words; empty when it may be.

    ``parts``: most parentheses, operators and signs. ``listed``: most labels, matchers and arguments. ``repeats``: most
    counted repeats, multiplied within each text: ``[a-z0-9]{8,10}-[a-z0-9]{5}`` has 50.
    """
    texts = texts_of(query)
    if any(_SPELLED.search(text) for text in texts):
        return "spells a character by its number; write the character"
    if sum(map(_repeats, texts)) > repeats:
        return f"repeats more than {repeats} times in its regular expressions; use .* or +"
    plain = _SPOKEN.sub("", query)
    if (found := plain.count(",")) > listed:
        return f"lists {found} labels, matchers and arguments; at most {listed}"
    if (found := len(_PART.findall(_MATCHERS.sub("", plain)))) > parts:
        return f"has {found} parentheses and operators; at most {parts}: record a part by a rule"
    return ""


def _repeats(text: str) -> int:
    """How many times a regular expression repeats its parts by number, 0 for none."""
    counts = [max(int(digits[:6]) for digits in _NUMBER.findall(one)) for one in _REPEAT.findall(text)]
    return prod(max(count, 1) for count in counts) if counts else 0
