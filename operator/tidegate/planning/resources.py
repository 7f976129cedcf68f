"""Amounts of machines: a vector of CPU and memory in whole numbers, so that sums are exact and order cannot matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NAMES = ("cpu", "memory")
"""Resources by name, in the order in which a shortage is reported."""


@dataclass(frozen=True, slots=True)
class Resources:
    """CPU and memory. Differences may be negative."""

    cpu: int = 0
    """Millicores."""
    memory: int = 0
    """MiB."""

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(self.cpu - other.cpu, self.memory - other.memory)

    def times(self, count: int) -> Resources:
        """So many of it."""
        return Resources(self.cpu * count, self.memory * count)

    def percent(self, share: int) -> Resources:
        """A share in percent, rounded down."""
        return Resources(self.cpu * share // 100, self.memory * share // 100)

    def fits(self, room: Resources) -> bool:
        """Whether every resource is within ``room``."""
        return self.cpu <= room.cpu and self.memory <= room.memory

    def most(self, other: Resources) -> Resources:
        """The larger of both, resource by resource."""
        return Resources(max(self.cpu, other.cpu), max(self.memory, other.memory))

    def least(self, other: Resources) -> Resources:
        """The smaller of both, resource by resource."""
        return Resources(min(self.cpu, other.cpu), min(self.memory, other.memory))

    @property
    def positive(self) -> Resources:
        """What is above 0."""
        return Resources(max(self.cpu, 0), max(self.memory, 0))

    @property
    def nothing(self) -> bool:
        """Whether nothing is asked: no resource is above 0."""
        return self.cpu <= 0 and self.memory <= 0

    def of(self, name: str) -> int:
        """One resource by its name in ``NAMES``."""
        return self.cpu if name == "cpu" else self.memory

    def units_in(self, room: Resources) -> int:
        """How many of it fit into ``room``; 0 when room is short of anything, a great many when it weighs nothing."""
        counts = [max(0, room.of(name)) // self.of(name) for name in NAMES if self.of(name) > 0]
        return min(counts, default=1_000_000_000)

    def part_in(self, room: Resources) -> Resources:
        """The largest proportional part of it that fits into ``room``: pods need their CPU and their memory at once."""
        room = room.positive  # what is not asked for cannot be short
        if self.fits(room):
            return self
        short = [(room.of(n), self.of(n)) for n in NAMES if self.of(n) > room.of(n)]
        have, want = min(short, key=lambda pair: pair[0] / pair[1])
        return Resources(self.cpu * have // want, self.memory * have // want)

    def __str__(self) -> str:
        return f"{written('cpu', self.cpu)} CPU, {written('memory', self.memory)} memory"


NOTHING = Resources()


def binding(wanted: Resources, room: Resources) -> str:
    """The resource that is short, by the largest share of what is wanted; the first of ``NAMES`` when none is."""
    return max(NAMES, key=lambda n: (wanted.of(n) - room.of(n)) / max(wanted.of(n), 1))


def written(name: str, amount: int) -> str:
    """An amount of one resource as people write it: cores, or Gi from 1 Gi on. Two places at most, rounded towards 0,
    so that what can be there is never told to be more than it is.
    """
    if name != "cpu" and abs(amount) < 1024:
        return f"{amount}Mi"
    hundredths = int(100 * amount / (1000 if name == "cpu" else 1024))
    if name == "cpu" and not hundredths:
        return f"{amount}m" if amount else "0"
    number = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
    return number if name == "cpu" else f"{number}Gi"


def total(amounts: Iterable[Resources]) -> Resources:
    """The sum."""
    cpu = memory = 0
    for amount in amounts:
        cpu += amount.cpu
        memory += amount.memory
    return Resources(cpu, memory)
