"""The kinds of which there are few: policies, overrides and pools. kopf watches them; here they are listed and kept.

Listed once before the loop begins, because a policy or a pool that was not read yet looks like one that was deleted,
and its loans would be returned; and again now and then, as the cure for a watch that lost one. Each kind is listed
for itself, and so is each namespace, where there are several: one that the server refuses holds no other up, and one
that hangs only a start.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tidegate.planning.model import Key
from tidegate.ports import NotFoundError, RefusedError, TidegateError
from tidegate.shell.bodies import key_of
from tidegate.shell.pace import Pace
from tidegate.shell.publisher import StatusPublisher
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource

log = logging.getLogger("tidegate")

API_VERSION = "tidegate.dev/v1alpha1"
EVENTS = Resource(API_VERSION, "LiveEvent", "liveevents", namespaced=True, scale=False)
POLICIES = Resource(API_VERSION, "ScalingPolicy", "scalingpolicies", namespaced=True, scale=False)
OVERRIDES = Resource(API_VERSION, "Override", "overrides", namespaced=True, scale=False)
POOLS = Resource(API_VERSION, "CapacityPool", "capacitypools", namespaced=False, scale=False)

RELIST = 300.0
"""Seconds after which they are listed again."""
RELIST_SOON = 15.0
"""The same for as long after we began to lead: a watch whose connection died in silence is not noticed earlier."""
UNHEARD = 2.0
"""Seconds between two tries to list what must be listed before anything may be written."""
ASKED_EVERY = 10.0
"""Seconds between two questions whether a kind can be listed at all: kopf's watch does not tell us when it breaks."""
FEW = 20
"""Objects of a kind up to which the question is for all of them, so that the word of whoever is on call is heard within
seconds though the connection of a watch has died. Of more it is for one: a tenant's are up to half a megabyte each."""
GRACE = 5.0
"""Seconds after a break for which writes go on: what they rest on is hardly older than it always is. Judgment."""
HELD_FOR = 60.0
"""Seconds without having heard after which levels are raised again by what was known last. Judgment: a floor that comes
a minute late is in most lead times' room; one that never comes is an outage of our own making."""

SLOTS, HUNG_SLOTS = 8, 4
"""Lists and questions at once, and those of them whose last one hung: however many namespaces hang, others get theirs.
"""

EXPIRY = 1.0
"""Seconds between two looks for deleted objects whose grace has ended."""


@dataclass(slots=True)
class FewKind:
    """One kind in one place: where it is listed and whom its objects go to."""

    resource: Resource
    scope: str
    """A namespace; empty: the whole cluster."""
    put: Callable[[Mapping[str, Any]], object]
    delete: Callable[[Key], None]
    listed: bool = False
    closed: bool = False
    """The server refuses this namespace, one of several, as it answered last: it was deleted, and our rights with it,
    or whoever owns it took them from us. The others wait for it no longer."""
    hung: bool = False
    """It was asked for, and there was no answer, or none that says anything."""
    listed_at: float = -math.inf
    """When the last complete list was asked for, by the monotonic clock."""
    broken_at: float = -math.inf
    """When it was last found that it cannot be heard; a list that was asked for later mends it."""
    deaf_since: float = math.inf
    """Since when it has not been heard; infinite while it is."""
    said: str = ""
    """What answered the last question that failed; empty since it was listed."""
    newer: set[Key] = field(default_factory=set)
    """What the watch told while a list was under way: it is newer than the list."""
    versions: dict[Key, str] = field(default_factory=dict)
    """The version of each object that was taken in last: most of a list is known already."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One list at a time: what an earlier one answers late is older than what a later one has told."""


class Deaf(NamedTuple):
    """What has not been heard."""

    kinds: str
    """Their plurals, in one text."""
    since: float
    """By the monotonic clock."""
    said: str
    """Who answered what, where anybody did."""


class FewKinds:
    """All of them, for one store."""

    def __init__(
        self,
        client: KubeClient,
        store: WatchedStore,
        publisher: StatusPublisher,
        namespaces: tuple[str, ...] | None,
        *,
        since: Callable[[], float] = lambda: -math.inf,
    ) -> None:
        """``namespaces`` None: the whole cluster, and with it pools. The store is not synced before each kind was
        listed once. ``since`` tells when we began to lead, by the monotonic clock: whatever was listed before that is
        listed again.
        """
        self._since = since
        self._slots, self._hung_slots = asyncio.Semaphore(SLOTS), asyncio.Semaphore(HUNG_SLOTS)
        self._client, self._store, self._publisher = client, store, publisher
        scopes = sorted(set(namespaces)) if namespaces else [""]
        self._hear = {scope: asyncio.Event() for scope in scopes}
        """By scope: something is to be listed at once."""
        store.overrides_synced, store.pools_synced = False, namespaces is not None
        kinds = [FewKind(POLICIES, scope, store.put_policy, store.delete_policy) for scope in scopes]
        kinds += [FewKind(OVERRIDES, scope, store.put_override, store.delete_override) for scope in scopes]
        if namespaces is None:
            kinds.append(FewKind(POOLS, "", store.put_pool, lambda key: store.delete_pool(key.name)))
        self._kinds = {(kind.resource.kind, kind.scope): kind for kind in kinds}

    def seen(self, kind: str, what: str, body: Mapping[str, Any]) -> None:
        """The watch saw an object: ``ADDED``, ``MODIFIED``, ``DELETED``, or ``None`` in the first listing."""
        key = key_of(body)
        one = self._kinds.get((kind, key.namespace)) or self._kinds.get((kind, ""))
        if one is None:
            return
        one.newer.add(key)
        one.versions.pop(key, None)
        if what == "DELETED":
            one.delete(key)
            self._publisher.forget(kind, key)
        else:
            one.put(body)
            one.versions[key] = body["metadata"].get("resourceVersion") or ""
            self._publisher.seen(kind, key, body.get("status"))

    async def list_first(self) -> None:
        """List every kind that was not listed yet. A kind that the server does not serve yet has no objects.

        TidegateError, after all were tried, when one could not be listed without which there is nothing to plan: to be
        called again. Overrides are asked for again by ``list_for_ever``: until they were listed nothing is written, and
        statuses say so. So is a namespace that is closed, unless every one is.
        """
        waiting = [one for one in self._kinds.values() if not one.listed]
        answers = await asyncio.gather(*(self._list_each([one]) for one in waiting))
        for one, failed in zip(waiting, answers, strict=True):
            if failed and one.resource is not OVERRIDES and not self._settled(one.resource):
                raise failed[0]

    def scopes(self) -> frozenset[str]:
        """Where they are listed."""
        return frozenset(self._hear)

    def heard(self, scope: str | None = None) -> bool:
        """Whether each kind, or each of one scope, was listed since we began to lead, and since a break of more than
        seconds; who never led needs nothing anew.
        """
        now = time.monotonic()
        return not any(
            not one.listed or self._before_lead(one) or now - one.deaf_since > GRACE for one in self._of(scope)
        )

    def may_raise(self, scope: str | None = None) -> bool:
        """Whether what was not heard is waited for no longer: levels may rise by what was known last. Of what was never
        listed nothing is known: it is waited for.
        """
        return self.known(scope) and self._deaf_for(scope) > HELD_FOR

    def known(self, scope: str | None = None) -> bool:
        """Each kind was listed once."""
        return all(one.listed for one in self._of(scope))

    def trouble(self, scope: str | None = None) -> str:
        """What was not heard, since when, and what goes on meanwhile; empty when all was."""
        if (deaf := self.deaf(scope)) is None:
            return ""
        goes_on = "levels are raised by what was known before, nothing is lowered" if self.may_raise(scope) else ""
        return f"{deaf.kinds} were not listed for {self._deaf_for(scope):.0f} s: {goes_on or 'nothing is written'}"

    def deaf(self, scope: str | None = None) -> Deaf | None:
        """What was not heard, since when, and what was answered; None when all was."""
        if self.heard(scope):
            return None
        unheard = [one for one in self._of(scope) if not one.listed or self._is_unheard(one)]
        said = next((one.said for one in unheard if one.said), "")
        kinds = sorted({one.resource.plural for one in unheard})
        return Deaf(", ".join(kinds), min(map(self._since_when, unheard)), said)

    def broke(self, at: float) -> None:
        """A watch of ours on the same server broke, by the monotonic clock: those that we do not see may have, too."""
        lost = [one for one in self._kinds.values() if one.listed_at < at and one.broken_at < at]
        for one in lost:
            self._break(one, at)
            self._hear[one.scope].set()

    def _of(self, scope: str | None) -> list[FewKind]:
        return [one for one in self._kinds.values() if scope is None or one.scope == scope]

    def _settled(self, resource: Resource) -> bool:
        """A kind was listed wherever it may be, and it may somewhere."""
        ours = [one for one in self._kinds.values() if one.resource is resource]
        return any(one.listed for one in ours) and all(one.listed or one.closed for one in ours)

    def _deaf_for(self, scope: str | None) -> float:
        now = time.monotonic()
        return max((now - self._since_when(one) for one in self._of(scope) if self._is_unheard(one)), default=0.0)

    def _since_when(self, one: FewKind) -> float:
        return min(one.deaf_since, self._since()) if self._before_lead(one) else one.deaf_since

    def _break(self, one: FewKind, at: float, said: str = "") -> None:
        one.broken_at, one.deaf_since, one.said = at, min(one.deaf_since, at), said or one.said

    async def ask_for_ever(self) -> None:
        """See now and then that each kind can be listed."""

        async def ask(scope: str) -> None:
            while True:
                await asyncio.sleep(ASKED_EVERY)
                await self._ask(scope)

        await self._for_each_scope(ask)

    async def ask(self) -> None:
        """See that each kind can be listed; what cannot is not heard until it was."""
        await self._for_each_scope(self._ask)

    async def _for_each_scope(self, job: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Beside one another: none waits for another."""
        async with asyncio.TaskGroup() as group:
            for scope in self._hear:
                group.create_task(job(scope))

    async def _ask(self, scope: str) -> None:
        for one in self._of(scope):
            if one.turn.locked():
                continue  # it is being listed: that says as much
            if one.closed:
                await self._list_each([one])
                continue
            if one.listed and len(self._known(one)) <= FEW:
                if await self._list_each([one], changed=True):
                    self._hear[scope].set()
                continue
            asked = time.monotonic()
            try:
                async with self._slot(one):
                    await self._client.get(one.resource.path(one.scope), {"limit": 1})
            except NotFoundError:
                continue  # a kind that is not served: nobody can have changed any
            except TidegateError as error:
                log.warning("%s cannot be listed: %s", one.resource.plural, error)
                self._refused(one, asked, error)
                self._hear[scope].set()

    def hear(self) -> None:
        """We lead: list at once."""
        for one in self._hear.values():
            one.set()

    async def list_for_ever(self) -> None:
        """Again now and then, each kind for itself; at once what was not listed since we began to lead."""
        await self._for_each_scope(self._keep_listed)

    async def _keep_listed(self, scope: str) -> None:
        while True:
            await self._rest(scope)
            unheard = self._unheard(scope)
            await self._list_each(unheard or [one for one in self._of(scope) if not one.closed])
            if unheard and len(self._unheard(scope)) < len(unheard):
                log.info("heard again: %s", ", ".join(sorted({one.resource.plural for one in unheard})))
                self._store.on_change("")

    def _unheard(self, scope: str) -> list[FewKind]:
        """What is to be listed at once. What is closed is asked for with the rest, every ten seconds."""
        return [one for one in self._of(scope) if self._is_unheard(one) and not one.closed]

    @asynccontextmanager
    async def _slot(self, one: FewKind) -> AsyncIterator[None]:
        """For one list or question."""
        async with self._hung_slots if one.hung else nullcontext(), self._slots:
            yield

    def _is_unheard(self, one: FewKind) -> bool:
        return self._before_lead(one) or one.deaf_since < math.inf

    def _known(self, one: FewKind) -> frozenset[Key]:
        """Its objects, as far as we know."""
        known = self._store.known(one.resource.kind)
        return frozenset(key for key in known if key.namespace == one.scope) if one.scope else known

    def _before_lead(self, one: FewKind) -> bool:
        return one.listed_at < self._since() < math.inf

    async def _rest(self, scope: str) -> None:
        """Until it is time to list again: what failed is tried again by the next round."""
        begun = time.monotonic()
        while True:
            now = time.monotonic()
            pause = RELIST_SOON if 0.0 <= now - self._since() < RELIST else RELIST
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hear[scope].wait(), UNHEARD)
            if self._hear[scope].is_set() or self._unheard(scope) or now - begun >= pause:
                break
        self._hear[scope].clear()

    async def list_again(self) -> list[Exception]:
        """List every kind once more; what failed was logged."""
        answers = await asyncio.gather(*(self._list_each(self._of(scope)) for scope in self._hear))
        return [error for failed in answers for error in failed]

    async def expire_for_ever(self) -> None:
        """Let deleted objects go when their grace has ended, also while nothing else happens."""
        while True:
            await asyncio.sleep(EXPIRY)
            self._store.expire()

    async def _list_each(self, kinds: Iterable[FewKind], *, changed: bool = False) -> list[Exception]:
        """List kinds, each for itself; what failed. ``changed``: of objects that are known only changes count."""
        failed: list[Exception] = []
        for one in kinds:
            asked = time.monotonic()
            try:
                async with one.turn, self._slot(one):
                    await self._list(one, changed=changed)
            except TidegateError as error:
                level = logging.DEBUG if one.closed and one.said == str(error) else logging.WARNING
                log.log(level, "%s could not be listed: %s", one.resource.plural, error)
                failed.append(error)
                self._refused(one, asked, error)
            except Exception as error:  # an answer that is no list
                log.exception("%s could not be listed", one.resource.plural)
                failed.append(error)
                self._break(one, asked, "the answer is not understood")
        return failed

    async def _list(self, one: FewKind, *, changed: bool) -> None:
        one.newer, asked, served = set(), time.monotonic(), True
        listed: set[Key] = set()
        try:
            async with aclosing(self._client.pages(one.resource.path(one.scope))) as pages:
                async for page in pages:
                    await self._take_in(one, page.pop("items", None) or [], listed, changed=changed)
        except NotFoundError:
            if one.resource is POLICIES:
                raise
            log.warning("the cluster does not serve %s: its CRD is missing, or its version", one.resource.plural)
            served = False
        # A kind that is not served says nothing of its objects: where they are deleted with it, the watch tells.
        gone = self._known(one) - listed - one.newer if served else ()
        for key in gone:
            one.versions.pop(key, None)
            one.delete(key)
        one.newer = set()
        one.listed_at, one.said = asked, ""
        if one.broken_at < asked:
            one.deaf_since = math.inf
        first, one.listed, one.hung = not one.listed, True, False
        if one.closed:
            one.closed = False
            log.info("%s of namespace %s can be listed again", one.resource.plural, one.scope)
            self._store.on_change("")
        if first:
            self._settle()

    async def _take_in(
        self, one: FewKind, objects: list[Mapping[str, Any]], listed: set[Key], *, changed: bool
    ) -> None:
        """The objects of a page, each dropped as soon as it was read. Of an object what counts is kept, and that is
        little; in its annotations its owner may write 256 KiB, and a namespace may have thousands of them.
        """
        pace, kind = Pace(), one.resource.kind
        objects.reverse()
        while objects:
            obj = objects.pop()
            key = key_of(obj)
            listed.add(key)
            # One that is invalid is looked at again, now and then: what it may not have beside others may have gone.
            version = obj["metadata"].get("resourceVersion") or ""
            known = bool(version) and one.versions.get(key) == version
            known = known and (changed or (kind, key) not in self._store.invalid)
            if key not in one.newer and not known:
                one.put(obj)
                one.versions[key] = version
                self._publisher.seen(kind, key, obj.get("status"))
            await pace.breathe()

    def _refused(self, one: FewKind, asked: float, error: TidegateError) -> None:
        """It could not be listed. A namespace of several that refuses is closed: the others do not wait for it."""
        self._break(one, asked, str(error))
        one.hung = not isinstance(error, RefusedError)
        closed = not one.hung and one.scope != "" and len(self.scopes()) > 1
        if closed and not one.closed:
            what = f"{one.resource.plural} of namespace {one.scope}"
            log.warning("%s may not be listed: until they are, nothing is written there; others do not wait", what)
            one.closed = True
            self._settle()
        one.closed = closed

    def _settle(self) -> None:
        """Tell the store which kinds are known."""
        store = self._store
        store.policies_synced = store.policies_synced or self._settled(POLICIES)
        store.overrides_synced = store.overrides_synced or self._settled(OVERRIDES)
        store.pools_synced = store.pools_synced or self._settled(POOLS)
