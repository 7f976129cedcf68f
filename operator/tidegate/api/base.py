"""What all kinds of the API share: base models, quantities, names and the bounds that the schema and the CLI both use.

Two bases: ``Written`` for what users write (unknown fields are refused, nothing is coerced) and ``Stored`` for what is
read back (unknown fields of a newer version are ignored). Both speak camelCase to the outside.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from tidegate.api.problems import (
    KIND_PATTERN,
    LABEL_KEY_PATTERN,
    LABEL_PATTERN,
    LABEL_VALUE_PATTERN,
    SIGNAL_PATTERN,
    SUBDOMAIN_PATTERN,
    VERSION_PATTERN,
    quoted,
)

GROUP = "tidegate.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

MAX_QUANTITY = 10**12 - 1
"""Largest quantity: a hundred times everyone on Earth, small enough that a float holds it and its decimals exactly."""
DAY = 86_400
WEEK = 7 * DAY
MAX_DURATION = 31 * DAY
"""Longest occurrence. A festival of weeks is one; a year is a mistake (milliseconds?)."""

_QUANTITY = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


class Written(BaseModel):
    """Base of what users write: unknown fields are refused, types are not coerced."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class Stored(BaseModel):
    """Base of what we wrote ourselves and read back: unknown fields are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", use_attribute_docstrings=True
    )

    def to_json(self) -> dict[str, Any]:
        """As the plain JSON object of the API: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(*rules: tuple[str, str]) -> ConfigDict:
    """Model configuration that adds CEL rules to the schema: (expression, message)."""
    return ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": " ".join(rule.split()), "message": message} for rule, message in rules
            ]
        }
    )


def quantity(value: object) -> float:
    """An integer or a decimal string as a float; anything else is a pydantic error with what would be right."""
    if type(value) is int:
        if 0 <= value <= MAX_QUANTITY:
            return float(value)
        raise refusal(
            f"{quoted(value)} is too {'small' if value < 0 else 'large'}", f"a quantity from 0 to {MAX_QUANTITY}"
        )
    if isinstance(value, str):
        if _QUANTITY.fullmatch(value):
            return float(value)
        raise refusal(
            f"{quoted(value)} is not a plain decimal number",
            'digits with at most 9 decimals, no sign, unit or exponent, e.g. 2000000 or "2.5"',
        )
    if isinstance(value, float):
        raise refusal(f"{value} is a floating-point number", f'a decimal number in quotes: "{_as_decimal(value)}"')
    raise refusal(f"{quoted(value)} is not a number", 'an integer or a decimal number in quotes, e.g. 2000000 or "2.5"')


def positive_quantity(value: object) -> float:
    """As ``quantity``, and more than 0."""
    number = quantity(value)
    if number > 0:
        return number
    raise refusal("0 would mean nothing here", 'a quantity above 0, e.g. 250 or "0.5"')


def refusal(wrong: str, right: str) -> PydanticCustomError:
    """A validator's refusal: what is wrong, and what would be right."""
    # The texts go in as context, never as the template: they may hold braces.
    return PydanticCustomError("tidegate", "{wrong}; {right}", {"wrong": wrong, "right": right})


def _as_decimal(value: float) -> str:
    if 0 <= value <= MAX_QUANTITY:
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return "2.5"


def rule(expression: str, message: str) -> dict[str, str]:
    """A CEL rule of a schema, with what is said when it does not hold."""
    return {"rule": " ".join(expression.split()), "message": message}


def _quantity_schema(minimum: int, *rules: dict[str, str]) -> dict[str, Any]:
    decimal = rule(
        "type(self) == int || string(self).matches('^[0-9]{1,12}([.][0-9]{1,9})?$')",
        'give an integer or a plain decimal number in quotes, e.g. 2000000 or "2.5"',
    )
    return {
        "x-kubernetes-int-or-string": True,
        "maxLength": 32,
        "minimum": minimum,
        "maximum": MAX_QUANTITY,
        "x-kubernetes-validations": [decimal, *rules],
    }


_ABOVE_ZERO = rule("type(self) == int || string(self).matches('[1-9]')", 'must be more than 0, e.g. 250 or "0.5"')

Quantity = Annotated[float, BeforeValidator(quantity), WithJsonSchema(_quantity_schema(0))]
"""A number of the API: an integer or a decimal string, 0 or more."""

PositiveQuantity = Annotated[
    float, BeforeValidator(positive_quantity), WithJsonSchema(_quantity_schema(1, _ABOVE_ZERO))
]
"""A number of the API, more than 0."""

SignalName = Annotated[str, StringConstraints(pattern=SIGNAL_PATTERN, min_length=1, max_length=63, strict=True)]
"""Name of a signal, as in PromQL: ``orders_per_second``."""

Name = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, min_length=1, max_length=63, strict=True)]
"""Name of a part of one of our objects: a DNS label."""

ObjectName = Annotated[str, StringConstraints(pattern=SUBDOMAIN_PATTERN, min_length=1, max_length=253, strict=True)]
"""Name of an object of the cluster: a DNS subdomain."""

Seconds = Annotated[int, Field(ge=0, le=WEEK)]
"""A length of up to a week."""

ApiVersion = Annotated[str, StringConstraints(pattern=VERSION_PATTERN, max_length=253, strict=True)]
"""API version of an object of the cluster: ``apps/v1``."""

KindName = Annotated[str, StringConstraints(pattern=KIND_PATTERN, max_length=63, strict=True)]
"""Kind of an object of the cluster: ``Deployment``."""

LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY_PATTERN, min_length=1, max_length=317, strict=True)]
"""Key of a label: ``pool`` or ``example.com/pool``."""

LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE_PATTERN, max_length=63, strict=True)]
"""Value of a label."""

HostName = Annotated[
    str,
    StringConstraints(pattern=LABEL_VALUE_PATTERN, min_length=1, max_length=63, strict=True),
    Field(examples=["head-host-1"]),
]
"""Name of a host, or of a class of hosts: as the value of a label, and never empty."""

_LOCAL_TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"


def _text_schema(expression: str, message: str, length: int) -> dict[str, Any]:
    return {"maxLength": length, "x-kubernetes-validations": [rule(expression, message)]}


LocalTime = Annotated[
    str,
    Field(
        examples=['"2026-11-10T20:00:00"'],
        json_schema_extra=_text_schema(
            f"self.matches('^{_LOCAL_TIME}$')",
            "give the wall-clock time without offset, as 2026-11-10T20:00:00; the zone is timeZone",
            32,
        ),
    ),
]
"""Wall-clock time without offset. ``api.check_schedule`` reads it; here it is a text."""

LocalDay = Annotated[
    str,
    Field(
        json_schema_extra=_text_schema(
            f"self.matches('^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{_LOCAL_TIME})$')",
            "give a local date, as 2026-11-12, or the full local start, as 2026-11-12T20:00:00",
            32,
        )
    ),
]
"""A day of an occurrence, or its full local start."""

ZoneName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, strict=True),
    Field(
        examples=["Asia/Shanghai"],
        json_schema_extra=_text_schema(
            "self.matches('^[A-Za-z][A-Za-z0-9_+/-]*$')",
            "name an IANA time zone as Area/City, such as Asia/Shanghai; an offset is no zone",
            64,
        ),
    ),
]
"""Name of an IANA time zone."""
