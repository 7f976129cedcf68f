"""Bounds that no unit lifts: whether an occurrence needs more of a signal than something behind all targets can carry.

What one database can write is such a bound. More units in front of it only wait in a longer line, so that the verdict
says it an hour ahead, however ready the units are.
"""

from __future__ import annotations

from tidegate.planning.book import Book, quantile
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import OURS, Limit, Occurrence, Policy, Ref
from tidegate.planning.reasons import Reason


def over_a_limit(
    book: Book, policy: Policy, signals: frozenset[str], occurrence: Occurrence, now: float
) -> Verdict | None:
    """The verdict when an occurrence that announces ``signals`` meets a limit of its policy; None when it does not.

    The need is that of all events of the policy together while the occurrence is on, at the policy's quantile. Of
    several limits the one that is exceeded furthest is named, then the first by name.
    """
    found = [
        (need / limit.most, limit, need)
        for limit in policy.limits
        if limit.signal in signals and (need := _demand(book, policy, limit.signal, occurrence, now)) > limit.most
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


def _demand(book: Book, policy: Policy, signal: str, occurrence: Occurrence, now: float) -> float:
    """The largest demand for a signal while an occurrence is on, what is there without any event included."""
    row = book.row(policy.key, signal)
    if row is None:
        return 0.0
    background = max((value for one in policy.targets for name, value in one.background if name == signal), default=0.0)
    total = quantile(row, q=policy.quantile, correlation=policy.correlation, background=background)
    begin, end = max(occurrence.start, now), occurrence.start + occurrence.duration
    low, high = (min(max(book.index(at), 0), book.size - 1) for at in (begin, end))
    return float(total[low : max(high, low + 1)].max())
