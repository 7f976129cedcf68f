"""What the pack knows of the cluster: nothing, a file that ``kubectl get … -o json`` wrote, or kubectl's answer.

``TIDEGATE_CLUSTER`` names the file. ``TIDEGATE_ASK_CLUSTER=yes`` has the pack ask by kubectl, with the kubeconfig and
the context of its environment. Objects are read with ``--show-managed-fields``: they tell what Pulumi applied.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate_policies.resources import Cluster, Kind, Object, Seen
from tidegate_policies.seams import GROUP, canonical
from tidegate_policies.values import items, look, plain

FILE = "TIDEGATE_CLUSTER"
ASK = "TIDEGATE_ASK_CLUSTER"
SECONDS = 10.0
"""A kubectl that has not answered by then is stopped: a preview waits for it."""
KEPT_SECONDS = 30.0
"""As long an answer is good: every resource of a stack is judged, most of them within seconds."""
_PLURALS = {(GROUP, "LiveEvent"): "liveevents", (GROUP, "ScalingPolicy"): "scalingpolicies"}


@dataclass(frozen=True)
class Known:
    """Objects of the cluster as they are."""

    objects: tuple[Object, ...] = ()
    asked: frozenset[Kind] = field(default_factory=frozenset)
    """Kinds of which all objects are known."""
    wrong: str = ""
    """Why nothing is known, though somebody wanted it to be."""

    def find(self, one: Object) -> Object | None:
        """The object as it is."""
        same = (live for live in self.objects if live.kind == one.kind and live.name == one.name)
        return next((live for live in same if one.namespace in (None, live.namespace, "")), None)


def is_configured() -> bool:
    """Whether anybody says where to look."""
    return bool(os.environ.get(FILE) or asks())


def asks() -> bool:
    """Whether kubectl is to be asked."""
    return os.environ.get(ASK, "").lower() in ("1", "true", "yes")


def announced() -> Known:
    """Events and policies, and whatever else a file holds."""
    if file := os.environ.get(FILE):
        return _from_file(Path(file))
    return by_kubectl(tuple(_PLURALS)) if asks() else Known()


def live(kinds: Iterable[Kind]) -> Known:
    """Objects of some kinds as they are. Each kind is asked for by itself: one that is not served spoils no other."""
    if os.environ.get(FILE):
        return announced()
    known = [by_kubectl((kind,)) for kind in sorted(set(kinds))] if asks() else []
    objects = tuple(one for part in known for one in part.objects)
    return Known(objects, frozenset(kind for part in known for kind in part.asked))


def forget() -> None:
    """Ask anew."""
    _kept.clear()


_kept: dict[tuple[Any, ...], tuple[float, Known]] = {}
"""What was read, by what was asked, and when (monotonic seconds)."""


def _from_file(path: Path) -> Known:
    try:
        state = path.stat()
        key = (path, state.st_mtime_ns, state.st_size)
        if key not in _kept:
            _kept[key] = time.monotonic(), _read(path.read_text(encoding="utf-8"), ())
        return _kept[key][1]
    except (OSError, ValueError) as error:
        return Known(wrong=f"{FILE}={path}: {error}: write it by kubectl get … --all-namespaces --output=json")


def by_kubectl(kinds: tuple[Kind, ...]) -> Known:
    """All objects of some kinds, as kubectl found them not long ago."""
    asked, known = _kept.get(kinds, (0.0, None))
    if known is None or time.monotonic() - asked > KEPT_SECONDS:
        known = _ask(kinds)
        _kept[kinds] = time.monotonic(), known
    return known


def _ask(kinds: tuple[Kind, ...]) -> Known:
    names = ",".join(".".join(filter(None, (_PLURALS.get((group, kind), kind), group))) for group, kind in kinds)
    command = ["kubectl", "get", names, "--all-namespaces", "--show-managed-fields", "--output=json"]
    try:
        done = subprocess.run(  # noqa: S603 - kinds come from the stack's own type tokens, and no shell reads them
            [*command, f"--request-timeout={SECONDS:.0f}s"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Known(wrong=f"kubectl get {names}: {error}")
    if done.returncode:
        return Known(wrong=f"kubectl get {names}: {done.stderr.strip()[:200]}")
    try:
        return _read(done.stdout, kinds)
    except ValueError as error:
        return Known(wrong=f"kubectl get {names}: {error}")


def _read(text: str, kinds: Iterable[Kind]) -> Known:
    document = plain(json.loads(text))
    if look(document, "kind") is None:
        raise ValueError("no object of Kubernetes")
    found = tuple(_object(one) for one in (items(document["items"]) if "items" in document else [document]))
    return Known(found, frozenset(kinds) or frozenset(one.kind for one in found))


def _object(given: Any) -> Object:
    version, kind = look(given, "apiVersion"), look(given, "kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        raise ValueError("an item without apiVersion and kind")
    name = str(look(given, "metadata.name"))
    seen = Seen(type=f"{version}:{kind}", name=name, urn="", props=given, cluster=Cluster())
    return Object(seen, canonical(version.rpartition("/")[0], kind), given)


def is_event(one: Object) -> bool:
    """Whether it announces a peak."""
    return one.kind == (GROUP, "LiveEvent")
