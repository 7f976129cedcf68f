"""Refusals, in the words of the real API server: every failed request answers with a ``Status`` object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiError(Exception):
    """A refusal: HTTP code, machine-readable reason, a sentence, and the fields that are to blame."""

    def __init__(
        self, code: int, reason: str, message: str, *, causes: Sequence[Cause] = (), details: Json | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = tuple(causes)
        self.details = details or {}

    def status(self) -> Json:
        """The ``Status`` object of the answer."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in self.causes]
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }


def bad_request(message: str) -> ApiError:
    """400: the request itself makes no sense."""
    return ApiError(400, "BadRequest", message)


def forbidden(message: str) -> ApiError:
    """403."""
    return ApiError(403, "Forbidden", message)


def no_such_path() -> ApiError:
    """404 for a path that is not served (as opposed to an object that is not there)."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404 for an object."""
    return ApiError(
        404, "NotFound", f'{qualified(resource, group)} "{name}" not found', details=_named(group, resource, name)
    )


def already_exists(resource: str, group: str, name: str) -> ApiError:
    """409 on create."""
    message = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_named(group, resource, name))


def conflict(resource: str, group: str, name: str, why: str | None = None) -> ApiError:
    """409 on a write that was based on another version (or another uid) of the object."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_named(group, resource, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: understood, and against the rules; one cause for each field."""
    told = str(causes[0]) if len(causes) == 1 else "[" + ", ".join(str(c) for c in causes) + "]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {told}'
    return ApiError(422, "Invalid", message, causes=causes, details={"name": name, "group": group, "kind": kind})


def patch_failed() -> ApiError:
    """422: a JSON patch whose test failed or whose path is not there. The real server does not say which either."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")


def gone(message: str) -> ApiError:
    """410: the version asked for is no longer remembered; list again."""
    return ApiError(410, "Expired", message)


def unsupported_patch(content_type: str, accepted: Sequence[str]) -> ApiError:
    """415 for a patch type that this kind does not take."""
    message = (
        f"the body of the request was in an unknown format ({content_type}) - accepted media types include: "
        + ", ".join(accepted)
    )
    return ApiError(415, "UnsupportedMediaType", message)


def unsupported_body(content_type: str) -> ApiError:
    """415 for an encoding that is not read here, with the way around it."""
    message = (
        f"this server reads JSON and YAML, not {content_type}; with kubectl, send a manifest: "
        "kubectl create --dry-run=client -o yaml ... | kubectl apply -f -"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable(offered: str) -> ApiError:
    """406: the client insists on an encoding that is not offered."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {offered}")


def method_not_allowed() -> ApiError:
    """405."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def qualified(resource: str, group: str) -> str:
    """``deployments.apps``; a resource of the core group has no suffix."""
    return f"{resource}.{group}" if group else resource


def _named(group: str, resource: str, name: str) -> Json:
    return {"name": name, "group": group, "kind": resource} if group else {"name": name, "kind": resource}
