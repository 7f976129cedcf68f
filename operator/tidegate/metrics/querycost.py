"""What it takes to parse a query, told from its text alone. Pure.

The parser compiles regular expressions while it parses: one counted repeat of four characters takes what a thousand
others do, and as much more as what it repeats is long. Of a nested query it makes an object for each part and in each
the rest once more, so that 4 KB of parentheses take a gigabyte; and where one is nested deeper than its stack it ends
the process.
"""

from __future__ import annotations

import re
from math import prod

_SPOKEN = re.compile(r"""#[^\r\n]*|("(?:[^"\\]|\\.)*["\\]?|'(?:[^'\\]|\\.)*['\\]?|`[^`]*`?)""", re.DOTALL)
"""A comment, or a text (the group) with its quotes; one that does not end goes to the query's end."""
_MATCHERS = re.compile(r"\{[^{}]*\}")
_PART = re.compile(r"[-+*/%^(<>=!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_BRACES = re.compile(r"\{[^{}]*\}")
_NUMBER = re.compile(r"\d+", re.ASCII)
_SPELLED = re.compile(r"\\[xuU0-7]")
"""How a text writes a character by its number: a brace, say."""
MOST_WORK = 1500
"""Weight of a query's regular expressions with their repeats written out, some 10 ms; ``.`` weighs 1. Judgment: names
of pods weigh 20, and an address in figures 120."""
_ATOM = re.compile(r"\\+.|\[(?:\\.|[^\]\\])*\]?|\{[^{}]*\}|.", re.DOTALL)
"""A piece of a regular expression: an escape, a class, a counted repeat, a character."""
_CLASSES = {**dict.fromkeys("wWpPDS", 100.0), **dict.fromkeys("dbB", 10.0)}
"""What classes of all scripts weigh, by their letters."""
_LITERAL, _FOLDED = 1 / 16, 1 / 4
"""What a character weighs, and one in whichever case."""
_FLAGS = re.compile(r"\(\?[a-zA-Z]*([ix])")


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
    if sum(map(_work, texts)) > MOST_WORK:
        return (
            "has regular expressions that are too large with their repeats written out; use .* or +, or fewer classes"
        )
    plain = _SPOKEN.sub("", query)
    if (found := plain.count(",")) > listed:
        return f"lists {found} labels, matchers and arguments; at most {listed}"
    if (found := len(_PART.findall(_MATCHERS.sub("", plain)))) > parts:
        return f"has {found} parentheses and operators; at most {parts}: record a part by a rule"
    return ""


def _repeats(text: str) -> int:
    """How many times a regular expression repeats its parts by number, 0 for none."""
    counts = [_count(one) for one in _BRACES.findall(text) if _NUMBER.search(one)]
    return prod(max(count, 1) for count in counts) if counts else 0


def _count(braces: str) -> int:
    return max((int(digits[:6]) for digits in _NUMBER.findall(braces)), default=1)


def _work(text: str) -> float:
    """What a regular expression weighs with its repeats written out: what it takes to compile it."""
    flags = {one for found in _FLAGS.finditer(text) for one in found[1]}
    if "x" in flags:  # it has comments, in which a bracket opens nothing
        return max(_repeats(text), 1) * float(len(text))
    literal = _FOLDED if "i" in flags else _LITERAL
    groups, last = [0.0], 0.0
    for found in _ATOM.finditer(text):
        atom = found[0]
        if atom == "(":
            groups.append(0.0)
            continue
        if atom == ")" and len(groups) > 1:
            last = groups.pop()
        elif atom[0] == "{" and len(atom) > 1:
            groups[-1] += last * max(_count(atom) - 1, 0)  # once it is there already
            last *= max(_count(atom), 1)
            continue
        elif atom[0] == "\\":
            last = _CLASSES.get(atom[-1], 1.0)
        else:
            last = 1.0 + literal * len(atom) if atom[0] in ".[" else literal
        groups[-1] += last
    return sum(groups)
