"""The configuration of a stack that holds everything, checked as one: all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from tidegate_stacks import joined
from tidegate_stacks.batch import BatchArgs
from tidegate_stacks.cache import CacheArgs
from tidegate_stacks.cdn import CdnArgs
from tidegate_stacks.checks import A, Args, ArgsError, load
from tidegate_stacks.database import DatabaseArgs
from tidegate_stacks.live import LiveOriginArgs
from tidegate_stacks.platform import AddonsArgs, OperatorArgs, PrioritiesArgs
from tidegate_stacks.policy import EventPolicyArgs
from tidegate_stacks.pool import TRADING

SERVING = ("cache", "cdn", "database", "live")
"""Sections of what lives in the stack's namespace and leaves its targets to the joint policy."""


class Together(Args):
    """One section per component."""

    operator: OperatorArgs
    priorities: PrioritiesArgs = PrioritiesArgs()
    addons: AddonsArgs = AddonsArgs()
    database: DatabaseArgs
    cache: CacheArgs
    live: LiveOriginArgs
    cdn: CdnArgs
    batch: BatchArgs
    events: EventPolicyArgs
    """The policy that events name, with the workloads that the stack does not make."""


IN_LANES = ("cache", "cdn", "live")
"""Sections whose pods may run in a lane of the pool that batch makes."""

SECTIONS = tuple(Together.model_fields)


def read(sections: Mapping[str, Any], *, namespace: str, protect: bool, priority: str | None = None) -> Together:
    """The stack's settings from its configuration. ArgsError names every field that is wrong, as ``config.cdn.disk``.

    ``namespace`` is given once and holds for all that serve, and for data processing where it says no other;
    ``protect``: whether the database outlives the stack; ``priority``: PriorityClass of all that serve.
    """
    given = dict(sections)
    for name in SERVING:
        given[name] = _with(given.get(name), namespace=namespace, policy=None, priority=priority)
    given["database"] = _with(given.get("database"), protect=protect)
    given["events"] = _with(given.get("events") or {}, namespace=namespace)
    given["batch"] = _data_side(given.get("batch"), namespace)
    wrong = _lanes(given, namespace)
    for name in IN_LANES:
        if _of(given[name], "lane") is not None and (nodes := _of(given["batch"], "nodes")):
            given[name] = _with(given[name], nodes=nodes)
    try:
        settings = load(Together, {name: one for name, one in given.items() if one is not None}, "config")
    except ArgsError as error:
        raise ArgsError([*error.problems, *wrong]) from None
    if wrong:
        raise ArgsError(wrong)
    return settings


def section(kind: type[A], name: str, given: Any, **shared: Any) -> A:
    """One section of a project of its own, with what the project's surroundings say: namespace, priority."""
    return load(kind, _with(given, **shared), f"config.{name}")


def data_section(given: Any, namespace: str) -> BatchArgs:
    """Data processing in a project of its own."""
    return load(BatchArgs, _data_side(given, namespace), "config.batch")


class Platform(Args):
    """Sections of the project that the rest stands on."""

    operator: OperatorArgs
    priorities: PrioritiesArgs = PrioritiesArgs()
    addons: AddonsArgs = AddonsArgs()


PLATFORM_SECTIONS = tuple(Platform.model_fields)


def platform(given: Mapping[str, Any]) -> Platform:
    """Its settings; ArgsError names all that is wrong."""
    return load(Platform, {name: one for name, one in given.items() if one is not None}, "config")


def sections_of(settings: Args) -> dict[str, Args]:
    """Sections by their names, for the preflight."""
    return {name: getattr(settings, name) for name in type(settings).model_fields}


def stack(config: pulumi.Config, kind: type[joined.Exports]) -> str | None:
    """Full name of another project's stack where the configuration gives one; None: ``joined.stack_of``."""
    return (config.get_object("stacks") or {}).get(kind.project)


def moves(config: pulumi.Config) -> joined.Moves:
    """What an event moves in the projects that ``joins`` names."""
    names = config.get_object("joins") or []
    if wrong := [name for name in names if name not in joined.MOVED]:
        raise ArgsError([f"config.joins: {name}: use {', '.join(joined.MOVED)}" for name in wrong])
    return joined.moves([joined.MOVED[name] for name in names], config.get_object("stacks") or {})


def pool(config: pulumi.Config) -> pulumi.Output[str | None] | None:
    """Name of the pool that project batch makes; None where the configuration says that nothing asks it."""
    if not config.get_bool("asksPool"):
        return None
    return joined.read(joined.Batch, stack(config, joined.Batch)).apply(lambda it: it.pool)


def _data_side(batch: Any, namespace: str) -> Any:
    """The section with the stack's namespace wherever it names none."""
    batch = _with_each(batch, "workers", namespace=namespace)
    pool = _of(batch, "pool")
    if not isinstance(pool, Mapping):
        return batch
    data = _with_each(_with_each(pool.get("data"), "jobs", namespace=namespace), "deployments", namespace=namespace)
    filled = {**pool, "trading": _with(pool.get("trading"), namespaces=[namespace])}
    return {**batch, "pool": filled if data is None else {**filled, "data": data}}


def _lanes(given: Mapping[str, Any], namespace: str) -> list[str]:
    """What is wrong between sections: a lane without its pool, or one that does not let this namespace ask."""
    others = _of(given["events"], "others")
    asking = [(f"config.{name}", given[name]) for name in IN_LANES]
    asking += [(f"config.events.others[{i}]", one) for i, one in enumerate(others if isinstance(others, list) else ())]
    lanes = [(f"{where}.lane", lane) for where, one in asking if (lane := _of(one, "lane")) is not None]
    pool = _of(given["batch"], "pool")
    if not isinstance(given["batch"], Mapping):
        return []  # that section itself is what is wrong
    if pool is None:
        return [f"{where}: {lane!r} is a lane of a pool: give batch.pool too, or remove lane" for where, lane in lanes]
    wrong = [
        f"{where}: {lane!r} is no lane of batch.pool that may be asked: use {TRADING}"
        for where, lane in lanes
        if lane != TRADING
    ]
    may = _of(_of(pool, "trading"), "namespaces")
    if lanes and isinstance(may, list) and namespace not in may:
        wrong.append(f"config.batch.pool.trading.namespaces: {namespace}, whose policy asks there, is not among them")
    return wrong


def _of(section: Any, name: str) -> Any:
    return section.get(name) if isinstance(section, Mapping) else None


def _with_each(section: Any, name: str, **shared: Any) -> Any:
    """A section with what the items of one of its lists share."""
    items = _of(section, name)
    return {**section, name: [_with(one, **shared) for one in items]} if isinstance(items, list) else section


def _with(section: Any, **shared: Any) -> Any:
    """A section with what it shares with others; what is missing or no map is left for ``load`` to name."""
    return {**shared, **section} if isinstance(section, Mapping) else section
