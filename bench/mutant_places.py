"""Where a mutant of a room may stand, which are left out, and which the lot draws: the pure part of ``mutants.py``."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BITS = {"BitOr", "BitAnd", "BitXor", "LShift", "RShift"}
ORDER, IDENTITY = {"Lt", "LtE", "Gt", "GtE"}, {"Is", "IsNot"}
SAME = {frozenset({"Is", "Eq"}), frozenset({"IsNot", "NotEq"})}
SILENT = {"lru_cache", "cache", "final", "override", "overload", "abstractmethod", "runtime_checkable"}
"""Decorators without which every call still gives the same answer."""
DECLARED = {"slots", "frozen", "kw_only"}
"""Arguments of ``dataclass`` that forbid what mypy forbids anyway."""

Position = tuple[int, int]
Span = tuple[Position, Position]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one token."""

    file: str
    line: int
    column: int
    operator: str
    """As Cosmic Ray names it."""
    occurrence: int
    """Of this operator in the file."""

    @property
    def place(self) -> tuple[str, int, int, str]:
        """Mutants of the same place differ in what stands there instead."""
        return self.file, self.line, self.column, self.operator.partition("/")[2].partition("_")[0]


def idle(source: str) -> list[Span]:
    """Spans of a file whose change no test could or should see.

    Annotations and type aliases, ``if TYPE_CHECKING``, arguments of log calls, decorators in SILENT, and the
    arguments in DECLARED. Docstrings and texts need no rule: Cosmic Ray changes none.
    """
    lines = source.splitlines()
    tree = ast.parse(source)
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation:
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            found.append(node.returns)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            found += [node.test, *node.body]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
            found += node.args
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for one in node.decorator_list:
                if SILENT & set(re.findall(r"\w+", ast.unparse(one))):
                    found.append(one)
                elif isinstance(one, ast.Call):
                    found += [argument.value for argument in one.keywords if argument.arg in DECLARED]
    aliases = (node.value for node in tree.body if isinstance(node, ast.Assign))
    found += [
        one
        for alias in aliases
        for one in ast.walk(alias)
        if isinstance(one, ast.BinOp) and isinstance(one.op, ast.BitOr)
    ]
    return [_span(node, lines) for node in found]


def _span(node: Any, lines: Sequence[str]) -> Span:
    """From one column before a node, where a decorator has its ``@``, to its end; columns in characters."""

    def characters(line: int, offset: int) -> int:
        return len(lines[line - 1].encode()[:offset].decode())

    start = node.lineno, characters(node.lineno, node.col_offset) - 1
    return start, (node.end_lineno, characters(node.end_lineno, node.end_col_offset))


def sensible(operator: str, after: str) -> bool:
    """Whether a change of an operator could be meant by a programmer; ``after``: the source that follows it.

    Not: arithmetic for bits, ``==`` for ``is`` (the same for enums), ``is`` for an order, the ``*`` of a signature; nor
    any of these the other way round.
    """
    family, *words = operator.partition("/")[2].split("_")
    if family == "ReplaceBinaryOperator":
        return (words[0] in BITS) == (words[1] in BITS) and not after.lstrip("*/").lstrip().startswith((",", ")"))
    if family == "ReplaceComparisonOperator":
        return frozenset(words) not in SAME and not (ORDER & set(words) and IDENTITY & set(words))
    return True


def mutants(root: Path, room: str) -> Iterator[Mutant]:
    """All mutants of a room that may be drawn."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    operators = {name: kind() for name in operator_names() if not (kind := get_operator(name)).arguments()}
    for path in sorted((root / "operator" / "tidegate" / room).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        spans, lines = idle(source), source.splitlines()
        nodes = list(ast_nodes(get_ast(source)))
        for name, operator in operators.items():
            starts = (start for node in nodes for start, _ in operator.mutation_positions(node))
            for occurrence, (line, column) in enumerate(starts):
                if any(start <= (line, column) < end for start, end in spans):
                    continue
                if sensible(name, lines[line - 1][column:]):
                    yield Mutant(str(path.relative_to(root)), line, column, name, occurrence)


def draw(found: Sequence[Mutant], seed: int) -> Iterator[Mutant]:
    """One mutant of each place, in an order that the seed decides."""
    places: dict[tuple[str, int, int, str], list[Mutant]] = {}
    for mutant in found:
        places.setdefault(mutant.place, []).append(mutant)
    dice = random.Random(seed)
    order = sorted(places)
    dice.shuffle(order)
    return (dice.choice(places[place]) for place in order)


def mutated(mutant: Mutant, source: str) -> str | None:
    """The file's text with the change; None where that is no Python, or the same program."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text: str | None = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    try:
        return text if text and ast.dump(ast.parse(text)) != ast.dump(ast.parse(source)) else None
    except SyntaxError:
        return None


def statement(source: str, line: int) -> range:
    """Lines of the innermost statement around a line; of one with a body, its head alone."""
    best = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            if line < end:
                best = range(node.lineno, end)
    return best
