"""Arguments are refused in words: every problem at once, each with its field, before anything is registered.

Two rules that components rely on: what decides the *shape* (numbers, names, regions) is a plain value, known when the
program runs; what is only passed on (an image, a namespace, a host) may be a Pulumi Output, which is checked as soon
as it is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pulumi
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

A = TypeVar("A", bound="Args")


class Args(BaseModel):
    """Base of all arguments: unknown names are refused, nothing is coerced, nothing changes afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        # Pydantic's own error text is what a program prints that makes arguments itself. It would show secrets.
        hide_input_in_errors=True,
    )


class ArgsError(ValueError):
    """Arguments that cannot be used. ``problems``: one sentence per field, all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


CONFIGURATION = {"configuration": True}
"""Context of a validation whose result is registered: what has to be said is refused when it is left out."""


def load(kind: type[A], given: object, where: str) -> A:
    """Arguments from plain data, as a stack's configuration gives it. ``where`` names it in messages: ``edge``.

    ArgsError lists all that is wrong, e.g. ``edge.regions[1].peak_mbps: is below normal_mbps ...``.
    """
    if not isinstance(given, Mapping):
        raise ArgsError([f"{where}: give a map of fields, not {type(given).__name__}"])
    try:
        # A list of a configuration file is the tuple of an argument; strictness is about numbers and texts.
        return kind.model_validate(_frozen(given), context=CONFIGURATION)
    except ValidationError as error:
        raise ArgsError(explain(error, where)) from None


def explain(error: ValidationError, where: str) -> list[str]:
    """Pydantic's findings as sentences, by field."""
    found = error.errors(include_url=False)
    return [f"{_path(where, one['loc'])}: {_words(one)}" for one in found if not _follows(one["loc"], found)]


def _follows(location: tuple[int | str, ...], found: Sequence[Any]) -> bool:
    """Whether a finding about a list only repeats those about its items."""
    return any(len(one["loc"]) > len(location) and one["loc"][: len(location)] == location for one in found)


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(one) for key, one in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _path(where: str, location: tuple[int | str, ...]) -> str:
    path = where
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def _words(one: Any) -> str:
    kind, context = one["type"], one.get("ctx", {})
    if kind == "value_error":
        return str(one["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "is not known: check the spelling"
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return f"give at least {context['min_length']}"
    if kind == "string_pattern_mismatch":
        return f"use {_PATTERNS.get(context['pattern'], context['pattern'])}, not {quoted(one['input'])}"
    return f"{one['msg'].replace('Input should', 'should')}, not {quoted(one['input'])}"


MAX_QUOTED = 80
"""Longest text that an error message repeats (judgement)."""


def quoted(value: object) -> str:
    """A wrong value as an error message shows it: short scalars as they are.

    Messages end in logs, and a value that stands in the wrong place may hold a secret. So a map or a list is only
    named, and so is a text of several lines, one longer than ``MAX_QUOTED``, and one that looks like an address with
    credentials or a query.
    """
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if isinstance(value, str):
        hidden = len(value) > MAX_QUOTED or "\n" in value or "@" in value or "?" in value
        return f"a text of {len(value)} characters" if hidden else repr(value)
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return f"a value of type {type(value).__name__}"


# ---- what fields are made of


def _text(value: object) -> object:
    if isinstance(value, pulumi.Output):
        return value.apply(_known_text)
    return _known_text(value)


def _known_text(value: object) -> str:
    if isinstance(value, str) and value.strip() and value == value.strip():
        return value
    raise ValueError(f"give a text without spaces around it, not {quoted(value)}")


Text = Annotated[str | pulumi.Output, BeforeValidator(_text)]  # type: ignore[type-arg]
"""A text that is only passed on: it may be an Output, and unknown until an update runs."""


def _secret(value: object) -> object:
    return value.apply(_known_secret) if isinstance(value, pulumi.Output) else _known_secret(value)


def _known_secret(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.rstrip()
    said = "an empty text" if isinstance(value, str) else f"a value of type {type(value).__name__}"
    raise ValueError(f"give a text, not {said}")


Secret = Annotated[str | pulumi.Output, BeforeValidator(_secret)]  # type: ignore[type-arg]
"""A text that gives access to something. No message shows it; its field has ``repr=False``. The newline at the end of a
file is taken off. It may be an Output."""

_IMAGE = re.compile(r"[a-z0-9][^\s@]*(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})|@sha256:[0-9a-f]{64})")


def _image(value: object) -> object:
    return value.apply(_known_image) if isinstance(value, pulumi.Output) else _known_image(value)


def _known_image(value: object) -> str:
    if isinstance(value, str) and (found := _IMAGE.fullmatch(value)) and found["tag"] != "latest":
        return value
    raise ValueError(
        f"give an image by tag or digest, e.g. registry.example/shop/app:1.4, and never latest, not {quoted(value)}"
    )


Image = Annotated[str | pulumi.Output, BeforeValidator(_image)]  # type: ignore[type-arg]
"""An image by tag or digest: what runs tomorrow is what runs today. It may be an Output."""

HOST_PORT = re.compile(
    r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):"
    r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
"""Where a server is reached: a name or an address, IPv6 in brackets, and a port."""
_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?\[\]@!$&()*+,=%-]*")


def _host_port(value: object) -> object:
    return value.apply(_known_host_port) if isinstance(value, pulumi.Output) else _known_host_port(value)


def _known_host_port(value: object) -> str:
    if isinstance(value, str) and HOST_PORT.fullmatch(value):
        return value
    raise ValueError(f"give host:port, e.g. live-publish.shop.svc:1935, not {quoted(value)}")


def _url(value: object) -> object:
    return value.apply(_known_url) if isinstance(value, pulumi.Output) else _known_url(value)


def _known_url(value: object) -> str:
    if isinstance(value, str) and _URL.fullmatch(value):
        return value
    raise ValueError(
        "give a URL, e.g. http://auth.shop.svc:8080/publish, with spaces, quotes, ; and # percent-encoded,"
        f" not {quoted(value)}"
    )


HostPort = Annotated[str | pulumi.Output, BeforeValidator(_host_port)]  # type: ignore[type-arg]
"""Where a server is reached. It is written into configurations. It may be an Output."""
Url = Annotated[str | pulumi.Output, BeforeValidator(_url)]  # type: ignore[type-arg]
"""A URL, with nothing in it that a configuration reads as its own. It may be an Output."""

_LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_SIGNAL = r"^[a-z][a-z0-9_]{0,62}$"
_SCHEDULE = r"^\S+( \S+){5}$"
_PATTERNS = {
    _LABEL: "lower-case letters, digits and dashes, starting with a letter",
    _SIGNAL: "lower-case letters, digits and underscores, starting with a letter",
    _SCHEDULE: "six fields, seconds first, as in 0 0 3 * * *",
}

Part = Annotated[str, StringConstraints(pattern=_LABEL, max_length=24)]
"""A part of a name: a region, a queue."""

Name = Annotated[str, StringConstraints(pattern=_LABEL, max_length=63)]
"""A name of the cluster that decides the shape, such as a namespace that gets objects of its own."""

_TIME_OF_DAY = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")
_MEMORY = re.compile(r"([0-9]{1,12})(Mi|Gi|Ti)")
_CPU = re.compile(r"[0-9]{1,7}m|[0-9]{1,6}")


def _memory(value: object) -> object:
    if isinstance(value, str) and (found := _MEMORY.fullmatch(value)) and int(found[1]) > 0:
        return value
    raise ValueError(f"give a size in Mi, Gi or Ti, e.g. 4Gi, not {quoted(value)}")


def _cpu(value: object) -> object:
    if isinstance(value, str) and _CPU.fullmatch(value) and int(value.rstrip("m")) > 0:
        return value
    raise ValueError(f'give cores or thousandths of a core in quotes, e.g. "2" or "500m", not {quoted(value)}')


def _labels(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError(f"give labels, e.g. {{pool: hangzhou-a}}, not {quoted(value)}")
    wrong = [
        f"{key}: {one if isinstance(one, str) and len(one) <= 63 else quoted(one)}"
        for key, one in value.items()
        if not (isinstance(key, str) and _LABEL_KEY.fullmatch(key))
        or not (isinstance(one, str) and _LABEL_VALUE.fullmatch(one))
    ]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is no label: give texts, e.g. pool: hangzhou-a")
    return dict(value)


def _time_of_day(value: object) -> object:
    """YAML may read 18:00 without quotes as the number 1080: said in words."""
    if isinstance(value, str) and _TIME_OF_DAY.fullmatch(value):
        return value
    raise ValueError(f'give hours and minutes in quotes, e.g. "06:00", not {quoted(value)}')


def _zone(value: object) -> object:
    try:
        if isinstance(value, str) and ZoneInfo(value):
            return value
    except (ValueError, OSError, ZoneInfoNotFoundError):
        pass
    raise ValueError(f"give an IANA time zone, e.g. Asia/Shanghai, not {quoted(value)}")


Memory = Annotated[str, BeforeValidator(_memory)]
"""A size of memory or disk: ``4Gi``."""
Cpu = Annotated[str, BeforeValidator(_cpu)]
"""CPU: ``"2"`` cores or ``500m``."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""How many, at least one."""
Percent = Annotated[int, Field(ge=0, le=100)]
"""A share of a hundred."""
Seconds = Annotated[int, Field(ge=0, le=86_400)]
"""How long, at most a day."""
Labels = Annotated[dict[str, str], BeforeValidator(_labels), Field(max_length=8)]
"""Labels of nodes or objects."""
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
"""Hours and minutes of a wall clock."""
Zone = Annotated[str, BeforeValidator(_zone)]
"""An IANA time zone."""
Rate = Annotated[int, Field(ge=1, le=10**12 - 1)]
"""Demand per second, in a signal's unit; the API's own bound."""
Schedule = Annotated[str, StringConstraints(pattern=_SCHEDULE)]
"""Cron with seconds first, as CloudNativePG reads it."""
Signal = Annotated[str, StringConstraints(pattern=_SIGNAL)]
"""Name of a signal as events announce it: ``egress_mbps``."""
_MOST_SIGNAL = 63


def signal_of_place(signal: str, place: str) -> str:
    """The signal of a place that peaks apart from others: ``egress_mbps_cn_east``."""
    return f"{signal}_{place.replace('-', '_')}"


def refuse_long_signals(signal: str, places: Iterable[str]) -> None:
    """ValueError where the signal of a place is longer than the API takes."""
    for place in places:
        if len(made := signal_of_place(signal, place)) > _MOST_SIGNAL:
            raise ValueError(
                f"{made!r} has {len(made)} characters, and a signal at most {_MOST_SIGNAL}: shorten {signal!r}"
                f" or {place!r}"
            )
