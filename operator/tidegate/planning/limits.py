"""Bounds that no unit lifts: whether an occurrence needs more of a signal than something behind all targets can carry.

What one database can write is such a bound. More units in front of it only wait in a longer line, so that the verdict
says it an hour ahead, however ready the units are.
"""

from __future__ import annotations

import math

from tidegate.planning.book import Book, Entry, Sums, quantile
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import OURS, Limit, Occurrence, Policy, Ref
from tidegate.planning.reasons import Reason


def over_a_limit(
    book: Book, policy: Policy, entry: Entry, occurrence: Occurrence, span: tuple[float, float]
) -> Verdict | None:
    """The verdict on an occurrence of ``entry`` when it meets a limit of its policy; None when it does not.

    The need is that of all events of the policy together, at the policy's quantile, for as long within ``span`` (from
    now to the horizon) as this occurrence has any of the signal: what follows its end by a lag, or comes at its very
    end, counts. Of several limits the one that is exceeded furthest is named, then the first by name.
    """
    found = [
        (need / limit.most, limit, need)
        for limit in policy.limits
        if (need := _demand(book, policy, limit.signal, entry, occurrence, span)) > limit.most
    ]
    if not found:
        return None
    _, limit, need = min(found, key=lambda one: (-one[0], one[1].name))
    about = Ref(OURS, "ScalingPolicy", policy.key.namespace, policy.key.name)
    return Verdict(
        Outcome.BLOCKED,
        Reason.WRITE_LIMIT,
        _sentence(limit, need),
        occurrence.start,
        object=about,
        field=f"spec.limits[{policy.limits.index(limit)}].most",
    )


def _sentence(limit: Limit, need: float) -> str:
    says = f": {limit.says}" if limit.says else ""
    return f"{limit.name}: {need:.6g} {limit.signal} needed, {limit.most:.6g} is the most that is carried{says}"


def _demand(
    book: Book, policy: Policy, signal: str, entry: Entry, occurrence: Occurrence, span: tuple[float, float]
) -> float:
    """The largest demand for a signal while the occurrence has any of it, what is there without any event included."""
    origin = math.floor(occurrence.start / book.cell)
    parts = [part for part in entry.parts if part.signal == signal and part.origin == origin]
    now, until = span
    low = max(min((part.first for part in parts), default=0) - book.first, book.index(now), 0)
    high = min(max((part.end for part in parts), default=0) - book.first, book.index(until) + 1, book.size)
    row = book.row(policy.key, signal) if low < high else None
    if row is None:
        return 0.0
    background = max((value for one in policy.targets for name, value in one.background if name == signal), default=0.0)
    mine = Sums(row.cells[:, low:high])
    total = quantile(mine, q=policy.quantile, correlation=policy.correlation, background=background)
    return float(total.max())
