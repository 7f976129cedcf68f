"""The same after an update: outputs are the live object, with managedFields as the API server writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases import ORDERS, PULUMI, SCALED, case
from declared import REPLICAS, TEMPLATE, UNKNOWN, Declared, deployment, entry, hpa, live, metadata, policy


def updated(*entries: dict[str, Any], replicas: int = 40, **more: Any) -> Declared:
    """A Deployment as an update's outputs show it."""
    return deployment(replicas=replicas, managedFields=list(entries), uid="1", resourceVersion="77", **more)


UPDATES = [
    *(
        case(
            f"after an update, replicas are {manager}'s",
            policy("orders"),
            deployment(replicas=40, **live(manager)),
            found=ORDERS,
        )
        for manager in (PULUMI, "pulumi-kubernetes", "pulumi-resource-kubernetes", "pulumi-kubernetes-00000000")
    ),
    *(
        case(
            f"after an update, replicas are {manager}'s",
            policy("orders"),
            hpa("spec.minReplicas"),
            deployment(replicas=40, **live(manager)),
        )
        for manager in (
            "kube-controller-manager",
            "tidegate",
            "kubectl",
            "pulumi-kubernetes-operator",
            "my-pulumi-kubernetes-1f7b2c9a",
            "pulumi-kubernetes-1f7b2c9a-x",
            "pulumi-kubernetes-XYZ",
        )
    ),
    case(
        "several managers, one of them Pulumi's",
        policy("orders"),
        deployment(replicas=40, **live("tidegate", PULUMI, "kubectl")),
        found=ORDERS,
    ),
    case(
        "several managers, none of them Pulumi's",
        policy("orders"),
        deployment(replicas=40, **live("tidegate", "kubectl")),
    ),
    case(
        "Pulumi owns the rest, the autoscaler the replicas",
        policy("orders"),
        updated(entry(PULUMI, TEMPLATE), entry("kube-controller-manager", REPLICAS, "Update")),
    ),
    case(
        "Pulumi's entries are several",
        policy("orders"),
        updated(entry(PULUMI, TEMPLATE), entry("pulumi-kubernetes-2b2b2b2b", REPLICAS)),
        found=ORDERS,
    ),
    case(
        "client-side apply is an Update",
        policy("orders"),
        updated(entry("pulumi-resource-kubernetes", REPLICAS, "Update")),
        found=ORDERS,
    ),
    case(
        "an entry of a subresource is no program's",
        policy("orders"),
        updated(entry(PULUMI, TEMPLATE), entry(PULUMI, REPLICAS, "Update", subresource="scale")),
    ),
    case("an atomic spec is owned as a whole", policy("orders"), updated(entry(PULUMI, {"f:spec": {}})), found=ORDERS),
    case("the map itself is not its keys", policy("orders"), updated(entry(PULUMI, {"f:spec": {".": {}}}))),
    case("managed fields that are left out tell nothing", policy("orders"), updated(), found=ORDERS),
    case(
        "managed fields that are not known tell nothing",
        policy("orders"),
        deployment(replicas=40, managedFields=UNKNOWN),
        found=ORDERS,
    ),
    case(
        "a patch's own manager",
        policy("orders"),
        updated(entry("team-a", REPLICAS), annotations={"pulumi.com/patchFieldManager": "team-a"}),
        found=ORDERS,
    ),
    case(
        "beside an autoscaler, after an update",
        hpa("spec.minReplicas"),
        deployment(replicas=40, **live(PULUMI)),
        found=SCALED,
    ),
    case(
        "an HPA whose floor the operator moved",
        replace(
            hpa(),
            props={
                **hpa().props,
                "metadata": {
                    **metadata("orders"),
                    "managedFields": [entry("tidegate", {"f:spec": {"f:minReplicas": {}}})],
                },
            },
        ),
    ),
]
