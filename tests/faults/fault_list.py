"""The faults of a run, each independent of the others so that any can be left out; and how they meet requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from wire import Ask, Treatment

WRITES = (
    "loan-create", "loan-update", "loan-delete", "level", "hand-back", "lease-create", "lease-update", "status",
    "event-create",
)  # fmt: skip
"""Every kind of write that an operator makes."""
READS = ("get", "list", "watch", "discover")
CODES = ("409", "422", "429", "500", "503", "504", "504-done", "403")
HOWS = ("lost", "answer-lost", "delay", "late", "hang", *CODES)
"""What may become of a request."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    number: int
    kind: str
    at: float
    """Seconds from the scene's beginning."""
    lasting: float
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> float:
        """When it is over, what it did late included."""
        return self.at + self.lasting + float(self.args.get("tail", 0.0))

    def __str__(self) -> str:
        told = " ".join(f"{name}={_short(value)}" for name, value in self.args.items() if value not in ("", None, ()))
        return f"#{self.number} {self.kind} at {self.at:.0f} for {self.lasting:.0f} s: {told}"


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(str(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


# ---- how they meet requests


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    kind: str
    at: float
    """Seconds from the scene's beginning."""
    about: str
    message: str

    def __str__(self) -> str:
        return f"{self.at:7.1f}  {self.kind}: {self.about}: {self.message}"


@dataclass
class RequestFaults:
    """``wire.Faults``: those faults that meet requests and watches."""

    faults: list[Fault]
    seed: int
    begin: float
    """The event loop's time at the scene's beginning."""
    on_hit: Callable[[Fault, Ask, Treatment], None] = lambda fault, ask, treatment: None
    _done: dict[int, int] = field(default_factory=dict)
    _seen: dict[tuple[int, str], int] = field(default_factory=dict)

    def on(self, ask: Ask, now: float) -> Treatment | None:
        """See ``wire.Faults``: the first that meets it."""
        if ask.slot == "person":
            return None
        since = now - self.begin
        for fault in self.faults:
            if fault.kind not in ("requests", "closed") or not fault.at <= since < fault.at + fault.lasting:
                continue
            if not _meets(fault.args, ask) or self._done.get(fault.number, 0) >= fault.args.get("most", 10**9):
                continue
            if not self._drawn(fault, ask):
                continue
            self._done[fault.number] = self._done.get(fault.number, 0) + 1
            treatment = Treatment(fault.args["how"], float(fault.args.get("seconds", 0.0)), f"#{fault.number}")
            self.on_hit(fault, ask, treatment)
            return treatment
        return None

    def holds_back(self, ask: Ask, now: float) -> bool:
        """See ``wire.Faults``."""
        return self.stalled(ask.plural, now) is not None

    def stalled(self, plural: str, now: float, *, within: float = 0.0) -> Fault | None:
        """A stall or an end of the watches of a kind, now or within the last seconds."""
        since = now - self.begin
        for fault in self.faults:
            if fault.kind not in (("stall",) if not within else ("stall", "expire", "cut")):
                continue
            if fault.args["plural"] == plural and fault.at <= since < fault.at + fault.lasting + within:
                return fault
        return None

    def _drawn(self, fault: Fault, ask: Ask) -> bool:
        share = fault.args.get("share", 1.0)
        if share >= 1.0:
            return True
        text = f"{ask.slot} {ask.method} {ask.path}"
        count = self._seen[fault.number, text] = self._seen.get((fault.number, text), 0) + 1
        return crc32(f"{self.seed} {fault.number} {text} {count}".encode()) % 10_000 < share * 10_000


def _meets(args: dict[str, Any], ask: Ask) -> bool:
    deeds = args.get("deeds", ())
    return (
        (not deeds or ask.deed in deeds)
        and args.get("slot", "") in ("", ask.slot)
        and args.get("namespace", "") in ("", ask.namespace)
        and args.get("plural", "") in ("", ask.plural)
        and args.get("name", "") in ("", ask.name)
    )


def last_end(faults: Iterable[Fault]) -> float:
    """When all of them are over."""
    return max((fault.end for fault in faults), default=0.0)
