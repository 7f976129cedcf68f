"""What the API server answered, as our small error tree.

The border of the project: behind it nobody sees a status code. Everything is decided by code, ``reason`` and
``details`` of the Status document; message text is only ever quoted, never matched, but for two things that stand
nowhere else: the name of the manager in a field conflict, which is read from a cause whose reason says that it is one,
and the sentence by which a JSON patch whose test failed differs from a webhook that refuses with the same code.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from kubernetes.aio.client.exceptions import ApiException

from tidegate.ports import ConflictError, Json, NotFoundError, RefusedError, TidegateError, UnavailableError
from tidegate.targets.read import child, maps, whole

QUOTED = 300
"""Characters of a server's message that are kept: enough for one sentence, too few for a payload."""

PATCH_FAILED = "the server rejected our request due to an error in our request"
"""All that a real server says of a JSON patch whose test failed, with 422, ``Invalid`` and no details (1.36)."""


_ENDING = "NamespaceTerminating"
"""Reason of the cause that a server gives for refusing to make anything in a namespace that is being deleted."""


class ForbiddenError(RefusedError):
    """We may not: 401 or 403."""


class NotServedError(NotFoundError):
    """404 for the path, not for an object: the server does not serve that kind, or not in that version (any more)."""


class InvalidError(RefusedError):
    """422: the document is wrong, or admission refuses it with that code."""


class PatchFailedError(InvalidError):
    """422: a test of a JSON patch failed, or a path of it is not there."""


class ExistsError(ConflictError):
    """409 AlreadyExists."""


class ExpiredError(UnavailableError):
    """410: the resourceVersion (or the continue token) is too old; list again."""


class TooLargeError(UnavailableError):
    """The answer is larger than may be held: a smaller part of it has to be asked for."""


class LaterError(UnavailableError):
    """No answer, or "later"."""

    def __init__(self, message: str, *, after: float | None = None, untouched: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.untouched = untouched
        """The server is known not to have begun the request: it may be sent again whatever it is."""


class WatchFailedError(LaterError):
    """A watch that did not get past the version that was told last: an ERROR event other than 410, or what is no event
    or half of one.
    """


def from_answer(request: str, code: int, data: bytes, *, retry_after: str | None = None) -> TidegateError:
    """The error for an answer of 400 and above. ``request`` is ``VERB path``. The answer is chained as its cause."""
    status = _status(data)
    said = str(status.get("message") or data[:QUOTED].decode(errors="replace") or "nothing")[:QUOTED].strip()
    error = _by_code(f"{request}: the API server answered {code}: {said}", code, status, retry_after)
    error.__cause__ = _cause(code, status, said)
    return error


def from_event(path: str, status: Json) -> TidegateError:
    """The error for an ERROR event of a watch, whose object is a Status."""
    error = from_answer(f"WATCH {path}", whole(status.get("code")) or 500, orjson.dumps(status))
    if isinstance(error, ExpiredError):
        return error
    failed = WatchFailedError(str(error))
    failed.__cause__ = error.__cause__
    return failed


def _by_code(message: str, code: int, status: Json, retry_after: str | None) -> TidegateError:
    reason = status.get("reason")
    if code == 404:  # only an answer about an object bears its name
        named = child(status, "details").get("name")
        return NotFoundError(message) if named else NotServedError(message)
    if code == 409:
        return ExistsError(message) if reason == "AlreadyExists" else ConflictError(message, manager=_manager(status))
    if code == 410:
        return ExpiredError(message)
    if code in (401, 403):
        refused = ForbiddenError(message)
        refused.ending = any(cause.get("reason") == _ENDING for cause in _details(status))
        return refused
    if code == 422:
        return PatchFailedError(message) if _patch_failed(status) else InvalidError(message)
    if code in (408, 429) or code >= 500:
        after = float(retry_after) if retry_after and retry_after.isdigit() else None
        return LaterError(message, after=after, untouched=code == 429)
    return RefusedError(message)


def _status(data: bytes) -> Json:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _details(status: Json) -> list[dict[str, Any]]:
    return maps(child(status, "details").get("causes"))


def _patch_failed(status: Json) -> bool:
    """A webhook may refuse with 422 and no details, too; the server puts the webhook's name before its words."""
    return status.get("message") == PATCH_FAILED and not child(status, "details")


def _manager(status: Json) -> str | None:
    """Who stands against us; the server names it in the causes of a refused apply and nowhere else."""
    for cause in _details(status):
        named = re.search(r'"([^"]+)"', str(cause.get("message", "")))
        if cause.get("reason") == "FieldManagerConflict" and named:
            return named.group(1)
    return None


def _cause(code: int, status: Json, said: str) -> Exception:
    cause: Exception = ApiException(status=code, reason=str(status.get("reason") or ""))
    cause.args = (said,)
    return cause
