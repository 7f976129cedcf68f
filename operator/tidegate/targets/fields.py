"""One integer field of one object, or the switch that suspends a Job: read it fresh, swap it, hand its ownership back.
The only writes to others' objects.

Every write is a JSON patch with ``test`` operations, so that nobody's change in between is ever overwritten.
"""

from __future__ import annotations

import asyncio

from tidegate.pauses import Pauses
from tidegate.ports import ConflictError, Held, Json, Manager, NotFoundError, Place, RefusedError, UnavailableError
from tidegate.targets import jobs
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.discovery import Discovery, Resource
from tidegate.targets.errors import InvalidError, NotServedError, PatchFailedError
from tidegate.targets.ownership import Leaf, appliers_without, fields_of, handed_back, leaf_of_pointer, owner, value_at
from tidegate.targets.read import child, text, version_of, whole
from tidegate.targets.scale import SUBRESOURCE, Workloads, leaf_in

HAND_BACK_TRIES = 8
"""Tries to patch a resourceVersion that status writes keep moving: a busy Deployment moves it several times a second
while pods start (a first try met a 422, the second passed), an HPA 3.5 times a minute."""

HAND_BACK_PAUSES = Pauses(first=0.2, longest=1.6, least=0.2)


class Fields:
    """Reads and writes places, over a client of its own: what a look waits for holds no write up."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._discovery = Discovery(client)
        self._workloads = Workloads(client)

    async def held(self, place: Place) -> Held:
        """Value and owner, fresh. NotFoundError when the object, or that uid, is gone, and for nothing else: a kind, a
        version or a subresource that is not served, and an object without the field, are no deletion.
        """
        resource = await self._resource(place)
        document = await self._read(resource, place)
        return await self._held(resource, place, document)

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        """Set the field if uid and value are as believed; ConflictError else, RefusedError when the server finds the
        new value wrong. It ends, with all its requests, within the time of one write.
        """
        begun = False
        try:
            async with self._client.one_write(f"{place.ref}: setting {place.field} to {wanted}"):
                resource = await self._resource(place)
                path = resource.path(place.ref.namespace, place.ref.name, place.subresource)
                tests: list[Json] = [{"op": "test", "path": "/metadata/uid", "value": place.uid}]
                tests.append(await self._test(resource, path, place, believed))
                # "add" replaces, and makes what a zero left out
                write = {"op": "add", "path": place.field, "value": _told(place, wanted)}
                begun = True
                refused = await self._patched(path, [*tests, write])
                begun = refused is None
                if refused is not None:
                    raise await self._why_refused(resource, place, believed, refused) from refused
        except UnavailableError as error:
            error.in_doubt = begun and not getattr(error, "untouched", False)
            raise

    async def _patched(self, path: str, operations: list[Json]) -> InvalidError | NotFoundError | None:
        """Send a patch; what the server says against it, None when it is done."""
        try:
            await self._client.patch(path, operations, Form.JSON)
        except (InvalidError, NotFoundError) as error:
            return error
        return None

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        """Give the field's ownership back; see ``ownership.handed_back`` for what becomes of it. It ends, with all its
        requests, within the time of one write.
        """
        async with self._client.one_write(f"{place.ref}: handing {place.field} back"):
            await self._hand_back(place, manager)

    async def _hand_back(self, place: Place, manager: Manager | None) -> None:
        resource = await self._resource(place)
        for attempt in range(HAND_BACK_TRIES):
            if attempt:
                await asyncio.sleep(HAND_BACK_PAUSES.after(attempt))
            document = await self._read(resource, place)
            version = text(child(document, "metadata").get("resourceVersion"))
            leaf = await self._leaf(resource, place, document)
            fields = handed_back(fields_of(document), leaf, to=manager, api_version=resource.api_version)
            if fields is None or await self._rewrite(resource, place, version, fields):
                return
        raise UnavailableError(f"{place.ref}: its version moved under each of {HAND_BACK_TRIES} tries to hand back")

    async def _rewrite(self, resource: Resource, place: Place, version: str, fields: list[Json]) -> bool:
        """Replace managedFields on the main object; False when it moved in between."""
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": place.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            # One empty entry is the documented way to say "none"; of an empty list that is said not to be sure.
            {"op": "replace", "path": "/metadata/managedFields", "value": fields or [{}]},
        ]
        try:
            await self._client.patch(resource.path(place.ref.namespace, place.ref.name), operations, Form.JSON)
        except NotServedError as error:
            raise self._not_served(resource, place) from error
        except (PatchFailedError, ConflictError):
            return False
        return True

    async def _test(self, resource: Resource, path: str, place: Place, believed: int) -> Json:
        """The patch test for a level. A Scale leaves its replicas out when they are 0, so that a test on them fails;
        the test is then on the whole of its spec, which holds nothing else.
        """
        if believed == 0 and place.subresource == SUBRESOURCE:
            try:
                spec = child(await self._client.find(path, place.ref.name), "spec")
            except NotFoundError as error:
                await self._read(resource, place)
                raise self._not_served(resource, place, place.subresource) from error
            if "replicas" not in spec:
                return {"op": "test", "path": "/spec", "value": spec}
        return {"op": "test", "path": place.field, "value": _told(place, believed)}

    async def _why_refused(
        self, resource: Resource, place: Place, believed: int, error: InvalidError | NotFoundError
    ) -> Exception:
        if isinstance(error, InvalidError):
            return await self._why(resource, place, believed, error)
        await self._read(resource, place)  # raises what is really gone
        return self._not_served(resource, place, place.subresource)

    async def _why(self, resource: Resource, place: Place, believed: int, error: InvalidError) -> Exception:
        """What a 422 says of a write. Of a server that tells a failed test as it tells a refusal, the value decides."""
        try:
            held = await self._held(resource, place, await self._read(resource, place))
        except (NotFoundError, RefusedError) as gone:
            return ConflictError(str(gone))
        if held.value != believed:
            named = held.manager.name if held.manager else None
            return ConflictError(f"{place.ref}: {place.field} is {held.value}, not {believed}", manager=named)
        if isinstance(error, PatchFailedError):  # the value has come back since
            return ConflictError(f"{place.ref}: {place.field} was not {believed} for a moment")
        return RefusedError(str(error))

    async def _resource(self, place: Place) -> Resource:
        resource = await self._discovery.locate(place.ref.api_version, place.ref.kind)
        if resource is None:  # which says nothing of the object: its kind may be installed anew with all its objects
            raise UnavailableError(f"the cluster serves no {place.ref.kind} of {place.ref.api_version} (any more)")
        return resource

    def _not_served(self, resource: Resource, place: Place, subresource: str = "") -> UnavailableError:
        """Another version may be: the next try asks which."""
        self._discovery.forget(resource)
        what = f"{resource.kind} of {resource.api_version} has no /{subresource}" if subresource else ""
        return UnavailableError(f"{place.ref}: {what or f'{resource.api_version} is not served'} any more")

    async def _read(self, resource: Resource, place: Place) -> Json:
        try:
            document = await self._client.find(resource.path(place.ref.namespace, place.ref.name), place.ref.name)
        except NotServedError as error:
            raise self._not_served(resource, place) from error
        except NotFoundError as error:
            if not await self._discovery.still_serves(resource):
                raise self._not_served(resource, place) from error
            raise
        if child(document, "metadata").get("uid") != place.uid:
            raise NotFoundError(f"{place.ref} was deleted; another of that name took its place")
        return document

    async def _leaf(self, resource: Resource, place: Place, document: Json) -> Leaf:
        if place.subresource == SUBRESOURCE:
            return leaf_in(document, await self._workloads.paths(resource))
        return leaf_of_pointer(place.field)

    async def _held(self, resource: Resource, place: Place, document: Json) -> Held:
        leaf = await self._leaf(resource, place, document)
        stands = value_at(document, leaf)
        value, version = whole(stands), version_of(document)
        if place.subresource == SUBRESOURCE:
            paths = await self._workloads.paths(resource)
            try:
                value, version = await self._workloads.level(resource, document, paths)
            except NotServedError as error:
                raise self._not_served(resource, place, place.subresource) from error
        elif place.field == jobs.FIELD:
            value = jobs.level_of(stands)
        if value is None and stands is not None:
            raise RefusedError(f"{place.ref}: what stands at {place.field} is no whole number")
        if value is None:
            raise RefusedError(f"{place.ref} has no number at {place.field} (any more); it is there all the same")
        fields = fields_of(document)
        return Held(value, owner(fields, leaf), version, without=appliers_without(fields, leaf))


def _told(place: Place, level: int) -> int | bool:
    """A level as its field holds it."""
    return jobs.written(level) if place.field == jobs.FIELD else level
