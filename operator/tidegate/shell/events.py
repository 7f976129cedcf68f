"""Kubernetes Events: few, well named, and never in the way.

What is said again about the same target of a subject for the same reason within ten minutes raises the count of the
Event that is there, as ``kubectl describe`` expects. A queue stands between the loop and the server; when it is full,
the newest is dropped and counted: an Event is news, no record (status and metrics are). What somebody is to read before
something happens is none of these, and goes another way (``notices.py``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.pauses import Pauses
from tidegate.planning.model import Ref
from tidegate.ports import Json, NotFoundError, TidegateError, UnavailableError
from tidegate.shell.notices import Notice, Notices, Said, Subject
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.discovery import Discovery
from tidegate.targets.rules import Rule

log = logging.getLogger(__name__)

RULES = (Rule("", ("events",), ("create", "patch")),)
"""In the namespace of what they are about."""

TOGETHER = 600.0
"""Seconds within which the same thing said again is the same Event."""

QUEUE = 1000
"""Different Events that may wait; and that are remembered for being said again."""

PAUSE = 0.1
"""Seconds between two writes: ten Events a second are more than anybody reads."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds, the doubling pause of a namespace that gave no answer: its Events wait, and those of others do not."""

FORGOTTEN = 60.0
"""Seconds after such a pause for which it is remembered how often in a row there was no answer."""

LONGEST_MESSAGE = 1024
"""Characters, the API's own limit."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """How often in a row a namespace gave no answer, and until when it is not asked, by the monotonic clock."""

    failures: int
    until: float


class KubeEventSink:
    """``ports.EventSink`` over an API server."""

    def __init__(
        self,
        client: KubeClient,
        discovery: Discovery,
        *,
        instance: str,
        now: Callable[[], float],
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        """``instance`` is this process's identity; ``now`` in epoch seconds, the loop's clock; ``passed`` in seconds of
        a clock that is never stepped, for pauses.
        """
        self._client = client
        self._discovery = discovery
        self._instance = instance
        self._now = now
        self._said: OrderedDict[Subject, Said] = OrderedDict()
        self._due: dict[Subject, None] = {}
        self._rests: dict[str, _Rest] = {}
        """Namespaces that gave no answer."""
        self._pauses = Pauses(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.notices = Notices(self._write, now=now, passed=passed)
        self.dropped = 0
        """Events that nobody will see: the queue was full, or the server would not have them."""

    def emit(
        self,
        subject: Ref,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        about: str = "",
        until: float | None = None,
    ) -> None:
        """See ``ports.EventSink``."""
        name, now = Subject(subject, reason, about), self._now()
        said = self._said.get(name)
        if again := said is not None and 0 <= now - said.last < TOGETHER:
            said.count, said.last, said.message, said.warning = said.count + 1, now, message[:LONGEST_MESSAGE], warning
        else:
            said = Said(message[:LONGEST_MESSAGE], warning, now, now)
        if until is None or not self.notices.put(Notice(name, said, until)):
            if not again and len(self._due) >= QUEUE:
                self.dropped += 1
                return
            self._due[name] = None
            self._idle.clear()
            self._wake.set()
        self._said[name] = said
        self._said.move_to_end(name)
        self._trim()

    async def flush(self, *, patience: float) -> None:
        """Wait until what waits is posted, for ``patience`` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.flushed()

    async def flushed(self) -> None:
        """Return when nothing waits."""
        await self._idle.wait()
        await self.notices.flushed()

    def _trim(self) -> None:
        for name in list(self._said)[: max(0, len(self._said) - QUEUE)]:
            if name not in self._due:
                del self._said[name]

    async def run(self) -> None:
        """Post what waits, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.notices.run())
            group.create_task(self._run())

    async def _run(self) -> None:
        while True:
            while (name := self._next()) is None:
                if not self._due:
                    self._idle.set()
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._until_rested()):
                        await self._wake.wait()
            del self._due[name]
            if said := self._said.get(name):
                await self._try(name, said)
                await asyncio.sleep(PAUSE)

    def _next(self) -> Subject | None:
        """The first that waits, but for those of namespaces that gave no answer lately."""
        now = time.monotonic()
        self._rests = {namespace: rest for namespace, rest in self._rests.items() if now < rest.until + FORGOTTEN}
        return next((name for name in self._due if not self._rests_now(name, now)), None)

    def _rests_now(self, name: Subject, now: float) -> bool:
        rest = self._rests.get(name.ref.namespace)
        return rest is not None and now < rest.until

    def _until_rested(self) -> float | None:
        """Seconds until one that waits may be tried; None when none waits."""
        waiting = {name.ref.namespace for name in self._due}
        ends = [rest.until for namespace, rest in self._rests.items() if namespace in waiting]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _rest(self, namespace: str) -> None:
        """There was no answer: the next try costs everybody as long as this one did."""
        failures = self._rests[namespace].failures + 1 if namespace in self._rests else 1
        self._rests[namespace] = _Rest(failures, time.monotonic() + self._pauses.after(failures))

    async def _try(self, name: Subject, said: Said) -> None:
        try:
            await self._write(name, said)
            self._rests.pop(name.ref.namespace, None)
        except TidegateError as error:
            if isinstance(error, UnavailableError):
                self._rest(name.ref.namespace)
            self.dropped += 1
            log.info("event %s on %s not written: %s", name.reason, name.ref, error)
        except Exception:  # news must never cost the process anything
            self.dropped += 1
            log.exception("event %s on %s not written", name.reason, name.ref)

    async def _write(self, name: Subject, said: Said) -> None:
        """Raises TidegateError."""
        if said.path:
            with suppress(NotFoundError):  # expired on the server: said anew below
                change = {"count": said.count, "lastTimestamp": _instant(said.last), "message": said.message}
                await self._client.patch(said.path, change, Form.MERGE)
                return
        collection = f"/api/v1/namespaces/{name.ref.namespace or 'default'}/events"
        posted = await self._client.create(collection, await self._document(name.ref, name.reason, said))
        said.path = f"{collection}/{posted['metadata']['name']}"

    async def _document(self, subject: Ref, reason: str, said: Said) -> Json:
        involved = {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
        }
        if uid := await self._uid(subject):
            involved["uid"] = uid  # describe shows only Events that bear the object's uid
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{subject.name[:200]}.", "namespace": subject.namespace or "default"},
            "involvedObject": involved,
            "reason": reason,
            "message": said.message,
            "type": "Warning" if said.warning else "Normal",
            "source": {"component": "tidegate"},
            "reportingComponent": "tidegate.dev/operator",
            "reportingInstance": self._instance[:128],
            "firstTimestamp": _instant(said.first),
            "lastTimestamp": _instant(said.last),
            "count": said.count,
        }

    async def _uid(self, subject: Ref) -> str | None:
        with suppress(TidegateError):
            if resource := await self._discovery.find(subject.api_version, subject.kind):
                found = await self._client.find(resource.path(subject.namespace, subject.name), subject.name)
                return str(found["metadata"]["uid"])
        return None


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
