"""Why a target's units are not there: its pods, its own conditions, and the quotas of its namespace.

Asked only about targets that an event is near (``KubeTargets.examine``). It costs at most one list of pods a look, none
where everything is ready and the namespace has no quota, and one list of quotas a namespace. Nothing here ever speaks
against driving a target: what may not be read is said once in the log, and the target has no evidence then.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass

from tidegate.planning.model import Evidence, Ref, Room
from tidegate.planning.reasons import Reason
from tidegate.ports import Json, NotFoundError, TidegateError
from tidegate.targets.client import KubeClient
from tidegate.targets.errors import ForbiddenError
from tidegate.targets.pods import evidence_of
from tidegate.targets.quotas import rooms
from tidegate.targets.read import child, maps, text
from tidegate.targets.rules import Rule
from tidegate.targets.scale import Workload

log = logging.getLogger("tidegate.evidence")

RULES = (Rule("", ("pods",), ("list",)),)
"""A workload's own, by its selector, while an event is near."""

PODS = 250
"""Pods of one look. Of a workload with more, only those that are not running yet are looked at: what keeps many from
starting is to be seen there. Judgment: about 2 MB."""
ROUND = 0.5
"""Seconds that a namespace's list of quotas is believed: as long as it takes to look at the targets of one round."""
REFUSED_PAUSE = 300.0
"""Seconds after a refusal before the same is asked again: the administrator may have granted it meanwhile."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look brought."""

    evidence: tuple[Evidence, ...] = ()
    rooms: tuple[Room, ...] = ()


class Witness:
    """Looks for evidence; keeps the last of it for a beat in which the server gives no answer."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._quotas: dict[str, tuple[float, list[Json] | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._refused: dict[str, float] = {}
        self._said: set[str] = set()
        self._last: dict[Ref, Seen] = {}

    async def of(self, workload: Workload, *, short: bool) -> Seen:
        """What speaks against more units of a workload. ``short``: it has fewer ready units than are wanted."""
        try:
            seen = await self._look(workload, short=short)
        except TidegateError as error:  # no answer: what was so a beat ago is the best guess, also for the better
            log.info("%s: no evidence this time: %s", workload.ref, error)
            return self._last.get(workload.ref, Seen())
        except Exception:  # an object that is not as we think it is must not cost the target anything
            log.exception("%s: what its pods and quotas say is not understood", workload.ref)
            return Seen()
        self._last[workload.ref] = seen
        return seen

    async def _look(self, workload: Workload, *, short: bool) -> Seen:
        document, namespace = workload.document, workload.ref.namespace
        quotas = await self._quotas_of(namespace)
        pods: list[Json] = []
        if workload.selector and (short or quotas):
            pods = await self._pods(workload, most=PODS if short else 1) or []
        evidence = list(evidence_of(pods)) if short else []
        pod = max(pods, key=lambda p: text(child(p, "metadata").get("creationTimestamp")), default=None)
        if pod is None:  # a pod tells more than the template: defaults and sidecars are in it
            pod = child(document, "spec", "template")
        room = rooms(quotas or [], pod, workload.units)
        refused = workload.refused
        if refused is not None and not _outdated(refused, quotas, room):
            evidence.append(refused)
        return Seen(tuple(evidence), room)

    async def _pods(self, workload: Workload, *, most: int) -> list[Json] | None:
        path = f"/api/v1/namespaces/{workload.ref.namespace}/pods"
        asked: dict[str, str | int | bool] = {"labelSelector": workload.selector, "limit": most}
        if workload.units > most > 1:
            asked["fieldSelector"] = "status.phase=Pending"
        return await self._allowed(path, asked, f"pods in {workload.ref.namespace}")

    async def _quotas_of(self, namespace: str) -> list[Json] | None:
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            listed, found = self._quotas.get(namespace, (-math.inf, []))
            if time.monotonic() - listed >= ROUND:
                path = f"/api/v1/namespaces/{namespace}/resourcequotas"
                found = await self._allowed(path, {"limit": PODS}, f"resourcequotas in {namespace}")
                self._quotas[namespace] = (time.monotonic(), found)
            return found

    async def _allowed(self, path: str, params: dict[str, str | int | bool], what: str) -> list[Json] | None:
        """One page of a list; None when we may not, which is said once."""
        if time.monotonic() < self._refused.get(what, -math.inf):
            return None
        try:
            found = maps((await self._client.get(path, params)).get("items"))
        except NotFoundError:
            return []  # the server does not serve the kind
        except ForbiddenError as error:
            self._refused[what] = time.monotonic() + REFUSED_PAUSE
            if what not in self._said:
                self._said.add(what)
                log.warning("%s cannot be listed, so verdicts there name fewer causes: %s", what, error)
            return None
        self._said.discard(what)
        return found


def _outdated(refused: Evidence, quotas: list[Json] | None, room: tuple[Room, ...]) -> bool:
    """Whether a quota that refused a pod has room by now, or is gone: a controller tries again only after a while, and
    its condition stays as it was until then.
    """
    if refused.reason is not Reason.QUOTA_EXCEEDED or quotas is None:
        return False
    if refused.object.name not in {text(child(quota, "metadata").get("name")) for quota in quotas}:
        return True
    mine = [one for one in room if one.object == refused.object]
    return bool(mine) and all(one.left >= one.each for one in mine)
