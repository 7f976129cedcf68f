"""Targets on a real cluster: finds where a workload's level is written, and moves it. The loop's ``Targets``.

The order of looking is the order of ``see``: is it a kind with a level, is it there, does an HPA stand in front of it,
and is what we would write anybody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tidegate.planning.model import Ref, Trouble
from tidegate.ports import Held, Manager, NotFoundError, Place, RefusedError, Sight, TidegateError, UnavailableError
from tidegate.targets import hpa, scale
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Discovery, Resource
from tidegate.targets.errors import ForbiddenError, NotServedError
from tidegate.targets.evidence import Witness
from tidegate.targets.fields import Fields
from tidegate.targets.hpa import HpaShelf
from tidegate.targets.jobs import QUEUE_LABEL
from tidegate.targets.read import child
from tidegate.targets.scale import Workload, Workloads
from tidegate.targets.shelf import Shelf
from tidegate.targets.sights import foreign, sight_of, trouble

ROUND = 0.5
"""Seconds that a namespace's list of HPAs is believed: as long as it takes to look at the targets of one round."""

INSTEAD: dict[tuple[str, str], str] = {
    ("autoscaling", "HorizontalPodAutoscaler"): "name the workload itself: the HPA in front of it is found",
    ("keda.sh", "ScaledJob"): "its jobs have no level that could be held",
    ("keda.sh", "ScaledObject"): "its HPA belongs to KEDA; it is not driven yet",
}
"""Kinds that people name by mistake, by (group, kind), sorted; with what to do instead."""


class KubeTargets:
    """``ports.Targets`` over an API server."""

    def __init__(
        self,
        client: KubeClient,
        writes: KubeClient | None = None,
        *,
        shelf: Shelf | None = None,
        lifetime: float = ROUND,
    ) -> None:
        """``client`` looks, ``writes`` writes and reads back, so that neither waits for the other's turns or
        connections; None for a command that does one thing at a time. ``shelf``: what watches show, where there are
        any. ``lifetime``: seconds of the machine's clock that a list of HPAs is believed.
        """
        self._client = client
        self._shelf = shelf
        self.discovery = Discovery(client)
        """Where kinds live: also for others that need to know."""
        self._workloads = Workloads(client)
        self._hpas = HpaShelf(client, lifetime=lifetime)
        self._fields = Fields(writes or client)
        self._witness = Witness(client)

    async def refresh(self, namespaces: Iterable[str]) -> None:
        """List the HPAs of these namespaces anew: at the start of a round."""
        await self._hpas.refresh(namespaces)

    def forget(self, namespace: str) -> None:
        """Something changed in a namespace (a watch saw it): the next look asks the server."""
        self._hpas.forget(namespace)

    async def see(self, ref: Ref) -> Sight:
        """See ``ports.Targets``; from the watches where they can tell. UnavailableError when the server gives no
        answer.
        """
        watched = self._shelf.sight(ref) if self._shelf is not None else None
        return watched if watched is not None else (await self._look(ref))[0]

    async def examine(self, ref: Ref) -> Sight:
        """See ``ports.Targets``; UnavailableError as for ``see``, never for want of evidence."""
        sight, workload = await self._look(ref)
        seen = sight.observed
        if workload is None or sight.place is None or seen.level is None:
            return sight
        found = await self._witness.of(workload, short=workload.ready < max(seen.level, workload.level or 0))
        return replace(sight, observed=replace(seen, evidence=seen.evidence + found.evidence, rooms=found.rooms))

    async def held(self, place: Place) -> Held:
        """See ``ports.Targets``; always from the server."""
        return await self._fields.held(place)

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        """See ``ports.Targets``."""
        try:
            await self._fields.swap(place, believed=believed, wanted=wanted)
        finally:
            self._hpas.forget(place.ref.namespace)

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        """See ``ports.Targets``."""
        try:
            await self._fields.hand_back(place, manager)
        finally:
            self._hpas.forget(place.ref.namespace)

    async def _look(self, ref: Ref) -> tuple[Sight, Workload | None]:
        try:
            return await self._see(ref)
        except NotFoundError:
            return trouble(Trouble.MISSING, f"{ref} does not exist in namespace {ref.namespace}"), None
        except ForbiddenError as error:
            return trouble(Trouble.FORBIDDEN, str(error)), None
        except RefusedError as error:
            return trouble(Trouble.UNREADABLE, str(error)), None

    async def _see(self, ref: Ref) -> tuple[Sight, Workload | None]:
        """A target, and its workload where it has a level."""
        resource = await self.discovery.locate(ref.api_version, ref.kind)
        if resource is None:
            words = f"the cluster serves no {ref.kind} of {ref.api_version}, which says nothing of {ref.name}"
            return trouble(Trouble.NOT_SERVED, words), None
        if not (resource.scale and resource.namespaced):
            return await self._unscalable(resource, ref), None
        # The policy's own spelling where it is served: older versions know a Loan by it. Places compare by identity.
        ref = Ref(resource.api_version, *ref[1:])
        try:
            workload = await self._workloads.look(resource, ref)
        except NotFoundError as error:
            raise await self._absence(resource, ref, error) from error
        try:
            pointing = await self._hpas.in_front_of(ref)
        except NotServedError as error:  # nobody can tell whether one stands in front
            raise UnavailableError(f"{ref}: the cluster serves no {hpa.API_VERSION} (any more)") from error
        return sight_of(workload, pointing), workload

    async def _absence(self, resource: Resource, ref: Ref, error: NotFoundError) -> TidegateError:
        """What a 404 says: of the object, where its kind is served still; else another version may be, and the next
        look asks which.
        """
        if not isinstance(error, NotServedError) and await self.discovery.still_serves(resource):
            return error
        self.discovery.forget(resource)
        return UnavailableError(f"{ref}: {resource.api_version} is not served any more, or no /scale of it")

    async def _unscalable(self, resource: Resource, ref: Ref) -> Sight:
        if advice := INSTEAD.get((resource.group, ref.kind)):
            return trouble(Trouble.NOT_SCALABLE, f"{ref}: {advice}")
        if not resource.namespaced:
            return trouble(Trouble.NOT_SCALABLE, f"{ref} belongs to the cluster, not to a namespace")
        try:
            document = await self._client.find(resource.path(ref.namespace, ref.name), ref.name)
        except NotFoundError as error:
            raise await self._absence(resource, ref, error) from error
        metadata = child(document, "metadata")
        if controller := scale.controller_of(metadata):
            return foreign(ref, controller)
        if queue := child(metadata, "labels").get(QUEUE_LABEL):
            return foreign(ref, f"Kueue (queue {queue})")
        return trouble(Trouble.NOT_SCALABLE, f"{ref.kind} has no scale subresource")
