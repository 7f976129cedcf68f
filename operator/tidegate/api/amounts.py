"""Amounts of machines as the API writes them: Kubernetes quantities, exact in both directions.

Inside they are whole millicores and MiB (``planning.resources``). What is *there* is rounded down and what is *needed*
is rounded up, so that no rounding ever promises a machine twice.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.api.base import Stored, Written, refusal, rule
from tidegate.api.problems import quoted
from tidegate.planning.resources import Resources

MAX_AMOUNT = 10**12
"""Most millicores, and most MiB: a thousand million cores. More is a slip in the suffix."""

_DIGITS = r"[0-9]{1,15}(\.[0-9]{1,9})?"
_SCALES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
}


class _Unit(NamedTuple):
    """How one resource is written and counted."""

    suffixes: str
    """As a regular expression."""
    counted_in: Decimal
    """What the core counts it in, in the resource's own unit."""
    right: str
    """What would be right, for whoever wrote it wrongly."""
    example: str
    most: int
    """Largest integer without a suffix, for the schema."""


_CPU = _Unit("(m|k)?", Decimal("0.001"), 'give cores, e.g. 640 or "640", or millicores, e.g. 250m', '"640"', 10**9)
_MEMORY = _Unit(
    "(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?",
    Decimal(2**20),
    "give bytes with a suffix, e.g. 512Mi, 1280Gi or 2Ti",
    "1280Gi",
    10**15 - 1,
)


def _amount(value: object, unit: _Unit) -> Decimal:
    """A written amount in the core's unit, not rounded yet; anything else is a pydantic error with what is right."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        what = "is a floating-point number" if isinstance(value, float) else "is no amount"
        raise refusal(f"{quoted(value)} {what}", unit.right)
    found = re.fullmatch(f"({_DIGITS}){unit.suffixes}", str(value), re.ASCII)
    if found is None:
        raise refusal(f"{quoted(value)} is no amount", unit.right)
    amount = Decimal(found[1]) * _SCALES[found[3] or ""] / unit.counted_in
    if amount > MAX_AMOUNT:
        raise refusal(f"{quoted(value)} is more than any pool has", unit.right)
    if amount < 1:
        raise refusal(f"{quoted(value)} is nothing, counted in millicores and MiB", unit.right)
    return amount


def _schema(unit: _Unit) -> dict[str, Any]:
    pattern = _DIGITS.replace("\\.", "[.]")
    suffixes = unit.suffixes
    expression = f"type(self) == int ? self > 0 : string(self).matches('^{pattern}{suffixes}$')"
    return {
        "x-kubernetes-int-or-string": True,
        "maxLength": 32,
        "minimum": 1,
        "maximum": unit.most,
        "x-kubernetes-validations": [rule(expression, unit.right)],
    }


def _cpu(value: object) -> Decimal:
    return _amount(value, _CPU)


def _memory(value: object) -> Decimal:
    return _amount(value, _MEMORY)


Cpu = Annotated[Decimal, BeforeValidator(_cpu), WithJsonSchema(_schema(_CPU))]
"""CPU as Kubernetes writes it, more than 0; inside in millicores."""
Memory = Annotated[Decimal, BeforeValidator(_memory), WithJsonSchema(_schema(_MEMORY))]
"""Memory as Kubernetes writes it, more than 0; inside in MiB."""


class Amount(Written):
    """CPU and memory."""

    cpu: Cpu = Field(examples=[_CPU.example])
    """Cores, as Kubernetes writes them: 640, "0.5", 250m."""
    memory: Memory = Field(examples=[_MEMORY.example])
    """Bytes, as Kubernetes writes them: 512Mi, 1280Gi."""

    def there(self) -> Resources:
        """What is there: rounded down."""
        return Resources(_whole(self.cpu, ROUND_FLOOR), _whole(self.memory, ROUND_FLOOR))

    def needed(self) -> Resources:
        """What is needed: rounded up."""
        return Resources(_whole(self.cpu, ROUND_CEILING), _whole(self.memory, ROUND_CEILING))


class ShownAmount(Stored):
    """CPU and memory, as they are shown."""

    cpu: Annotated[str, Field(max_length=32)]
    """Cores, as Kubernetes writes them."""
    memory: Annotated[str, Field(max_length=32)]
    """Bytes, as Kubernetes writes them."""


def shown_amount(amount: Resources) -> dict[str, str]:
    """An amount as a status shows it: exact, whole cores and GiB where it comes out even. Below 0 is shown as 0."""
    cpu, memory = max(amount.cpu, 0), max(amount.memory, 0)
    return {
        "cpu": f"{cpu}m" if cpu % 1000 else str(cpu // 1000),
        "memory": "0" if not memory else f"{memory}Mi" if memory % 1024 else f"{memory // 1024}Gi",
    }


def _whole(amount: Decimal, rounding: str) -> int:
    return int(amount.to_integral_value(rounding))
