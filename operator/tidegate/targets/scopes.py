"""Collections of several namespaces, of which some may refuse us.

One that was deleted takes our rights there with it, and whoever owns it may take them from us. Neither is anything to
the other namespaces; and of what is refused nothing is known, which is not the same as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.ports import Json, RefusedError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource


async def listed(
    client: KubeClient, resource: Resource, namespaces: Sequence[str]
) -> tuple[list[Json], frozenset[str]]:
    """All objects of a kind in these namespaces, and the namespaces that the server refuses us.

    The error of a namespace that does not answer; a refusal where all are refused.
    """
    found: list[Json] = []
    closed: dict[str, RefusedError] = {}
    for namespace in namespaces:
        try:
            found += await client.items(resource.path(namespace))
        except RefusedError as error:
            closed[namespace] = error
    if closed and len(closed) == len(namespaces):
        raise next(iter(closed.values()))
    return found, frozenset(closed)
