"""Reading the few objects that Go clients send as protobuf whatever the server speaks: what ``kubectl create`` makes.

kubectl builds ``create namespace``, ``create deployment`` and their like from typed clients, and those insist on
protobuf bodies (answers may be JSON). Only what such commands fill in is known here; a kind or a field that is not in
the table is refused, never dropped. Field numbers are those of the ``generated.proto`` files of kubernetes/api.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from tidegate.embedded.errors import Json, bad_request, unsupported_body

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

Message = dict[int, tuple[str, str]]
"""Field number to (name, type).

A type is a message, or ``str``, ``int``, ``bool``, ``bytes``, ``quantity``. In front of it, ``[]`` makes a list, ``{}``
a map by string, and ``?`` says that zero means something (else it means absent). ``-`` is a field that the server fills
in itself.
"""

_META = ("metadata", "ObjectMeta")
_IGNORED = ("", "-")

_MESSAGES: dict[str, Message] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "-"), 3: ("contentEncoding", "str"), 4: ("contentType", "str")},
    "TypeMeta": {1: ("apiVersion", "str"), 2: ("kind", "str")},
    "ObjectMeta": {
        1: ("name", "str"),
        2: ("generateName", "str"),
        3: ("namespace", "str"),
        4: _IGNORED,
        5: ("uid", "str"),
        6: ("resourceVersion", "str"),
        7: _IGNORED,
        8: _IGNORED,
        11: ("labels", "{}str"),
        12: ("annotations", "{}str"),
        14: ("finalizers", "[]str"),
    },
    "LabelSelector": {1: ("matchLabels", "{}str"), 2: ("matchExpressions", "[]LabelSelectorRequirement")},
    "LabelSelectorRequirement": {1: ("key", "str"), 2: ("operator", "str"), 3: ("values", "[]str")},
    "Quantity": {1: ("string", "str")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "?int"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "?bool"),
        4: ("propagationPolicy", "str"),
        5: ("dryRun", "[]str"),
    },
    "Preconditions": {1: ("uid", "str"), 2: ("resourceVersion", "str")},
    "Namespace": {1: _META, 2: ("spec", "NamespaceSpec"), 3: _IGNORED},
    "NamespaceSpec": {1: ("finalizers", "[]str")},
    "ConfigMap": {1: _META, 2: ("data", "{}str"), 3: ("binaryData", "{}bytes"), 4: ("immutable", "?bool")},
    "Secret": {
        1: _META,
        2: ("data", "{}bytes"),
        3: ("type", "str"),
        4: ("stringData", "{}str"),
        5: ("immutable", "?bool"),
    },
    "ServiceAccount": {1: _META, 4: ("automountServiceAccountToken", "?bool")},
    "Deployment": {1: _META, 2: ("spec", "DeploymentSpec"), 3: _IGNORED},
    "DeploymentSpec": {
        1: ("replicas", "?int"),
        2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
        4: ("strategy", "DeploymentStrategy"),
        5: ("minReadySeconds", "int"),
        6: ("revisionHistoryLimit", "?int"),
        7: ("paused", "bool"),
        9: ("progressDeadlineSeconds", "?int"),
    },
    "DeploymentStrategy": {1: ("type", "str")},
    "Job": {1: _META, 2: ("spec", "JobSpec"), 3: _IGNORED},
    "JobSpec": {
        1: ("parallelism", "?int"),
        2: ("completions", "?int"),
        3: ("activeDeadlineSeconds", "?int"),
        6: ("template", "PodTemplateSpec"),
        7: ("backoffLimit", "?int"),
        8: ("ttlSecondsAfterFinished", "?int"),
        10: ("suspend", "?bool"),
    },
    "PodTemplateSpec": {1: _META, 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "[]Container"),
        3: ("restartPolicy", "str"),
        4: ("terminationGracePeriodSeconds", "?int"),
        6: ("dnsPolicy", "str"),
        7: ("nodeSelector", "{}str"),
        8: ("serviceAccountName", "str"),
        9: ("serviceAccount", "str"),
        10: ("nodeName", "str"),
        11: ("hostNetwork", "bool"),
        12: ("hostPID", "bool"),
        13: ("hostIPC", "bool"),
        16: ("hostname", "str"),
        17: ("subdomain", "str"),
        19: ("schedulerName", "str"),
        24: ("priorityClassName", "str"),
    },
    "Container": {
        1: ("name", "str"),
        2: ("image", "str"),
        3: ("command", "[]str"),
        4: ("args", "[]str"),
        5: ("workingDir", "str"),
        6: ("ports", "[]ContainerPort"),
        7: ("env", "[]EnvVar"),
        8: ("resources", "ResourceRequirements"),
        13: ("terminationMessagePath", "str"),
        14: ("imagePullPolicy", "str"),
        16: ("stdin", "bool"),
        17: ("stdinOnce", "bool"),
        18: ("tty", "bool"),
        20: ("terminationMessagePolicy", "str"),
    },
    "ContainerPort": {
        1: ("name", "str"),
        2: ("hostPort", "int"),
        3: ("containerPort", "int"),
        4: ("protocol", "str"),
        5: ("hostIP", "str"),
    },
    "EnvVar": {1: ("name", "str"), 2: ("value", "str")},
    "ResourceRequirements": {1: ("limits", "{}quantity"), 2: ("requests", "{}quantity")},
    "HorizontalPodAutoscaler": {1: _META, 2: ("spec", "HorizontalPodAutoscalerSpec"), 3: _IGNORED},
    "HorizontalPodAutoscalerSpec": {
        1: ("scaleTargetRef", "CrossVersionObjectReference"),
        2: ("minReplicas", "?int"),
        3: ("maxReplicas", "int"),
        4: ("metrics", "[]MetricSpec"),
    },
    "CrossVersionObjectReference": {1: ("kind", "str"), 2: ("name", "str"), 3: ("apiVersion", "str")},
    "MetricSpec": {1: ("type", "str"), 4: ("resource", "ResourceMetricSource")},
    "ResourceMetricSource": {1: ("name", "str"), 2: ("target", "MetricTarget")},
    "MetricTarget": {
        1: ("type", "str"),
        2: ("value", "quantity"),
        3: ("averageValue", "quantity"),
        4: ("averageUtilization", "?int"),
    },
}

_KINDS = {
    ("v1", "Namespace"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "DeleteOptions"),
    ("meta.k8s.io/v1", "DeleteOptions"),
    ("apps/v1", "Deployment"),
    ("batch/v1", "Job"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
}


def decode(body: bytes) -> Json:
    """A body as the document it stands for; ApiError 400 when it is damaged, 415 for what is not known here."""
    if not body.startswith(_MAGIC):
        raise bad_request("the protobuf body does not begin as Kubernetes objects do")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        type_meta = _message("TypeMeta", envelope[1])
        api_version, kind = type_meta.get("apiVersion", ""), type_meta.get("kind", "")
        # DeleteOptions come in the version of what they delete
        known = kind == "DeleteOptions" or (api_version, kind) in _KINDS
        if not known:
            raise unsupported_body(f"{CONTENT_TYPE} ({api_version}, Kind={kind})")
        return {"apiVersion": api_version, "kind": kind, **_message(kind, envelope.get(2, b""))}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise bad_request(f"the protobuf body cannot be read: {error!r}") from error


def _message(name: str, raw: bytes) -> Json:
    fields, found = _MESSAGES[name], Json()
    for number, value in _fields(raw):
        if number not in fields:
            raise unsupported_body(f"{CONTENT_TYPE} (field {number} of {name})")
        field, kind = fields[number]
        if kind.startswith("[]"):
            found.setdefault(field, []).append(_value(kind[2:], value))
        elif kind.startswith("{}"):
            entry = dict(_fields(value))
            found.setdefault(field, {})[entry.get(1, b"").decode()] = _value(kind[2:], entry.get(2, b""))
        elif kind != "-":
            decoded = _value(kind.lstrip("?"), value)
            if decoded or kind.startswith("?"):
                found[field] = decoded
    return found


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "str":
            return value.decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "int":
            return value - (1 << 64) if value >= 1 << 63 else value
        case "bool":
            return bool(value)
        case "quantity":
            return _message("Quantity", value).get("string", "")
        case _:
            return _message(kind, value)


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """The wire format: (field number, integer or bytes), in order."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        wire = tag & 7
        if wire == 0:
            value, position = _varint(raw, position)
            yield tag >> 3, value
        elif wire == 2:
            length, position = _varint(raw, position)
            if position + length > len(raw):
                raise ValueError("it ends in the middle of a field")
            yield tag >> 3, raw[position : position + length]
            position += length
        else:
            raise ValueError(f"wire type {wire} is used by no field known here")


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
