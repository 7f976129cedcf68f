"""What conforms, what breaks a rule, and what looks like the other: the shape of the table and what its parts share.

Each case names all that is found, by all rules at once: (rule, resource). Nothing else may be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from declared import Declared, metadata

OWNED = "operator-owned-paths-are-ignored"
DATA = "databases-are-protected"
SPACES = "namespaces-of-databases-are-protected"
MOVED = "moved-workloads-are-ignored"
BESIDE = "no-replicas-beside-an-autoscaler"
REASONS = "suppressions-have-reasons"
NEEDED = "suppressions-are-needed"

PULUMI = "pulumi-kubernetes-1f7b2c9a"


@dataclass(frozen=True)
class Case:
    """A stack, and everything that is wrong with it."""

    claim: str
    resources: tuple[Declared, ...]
    found: tuple[tuple[str, str], ...] = ()


def case(claim: str, *resources: Declared, found: tuple[tuple[str, str], ...] = ()) -> Case:
    return Case(claim, resources, found)


def broken(token: str, props: Any, name: str = "broken") -> Declared:
    return Declared(f"kubernetes:{token}", name, props)


HPA = "autoscaling/v2:HorizontalPodAutoscaler"
ORDERS = ((MOVED, "orders"),)
SCALED = ((BESIDE, "orders"),)
SET = {"minReplicas": 2}
LIST = [{"metadata": metadata("a"), "spec": SET}, {"metadata": metadata("b"), "spec": {}}]
INNER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": SET}
