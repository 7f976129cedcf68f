"""Workloads behind autoscalers, and resources that are not what they should be."""

from __future__ import annotations

from cases import BESIDE, HPA, ORDERS, PULUMI, SCALED, broken, case
from declared import REPLICAS, UNKNOWN, deployment, entry, hpa, policy, thing, workload

AUTOSCALED = [
    *(
        case(
            f"replicas beside an HPA {version}",
            hpa("spec.minReplicas", version=version),
            deployment(replicas=3),
            found=SCALED,
        )
        for version in ("v1", "v2", "v2beta2")
    ),
    case("replicas before an HPA", deployment(replicas=3), hpa("spec.minReplicas"), found=SCALED),
    case("no replicas beside an HPA", hpa("spec.minReplicas"), deployment()),
    case("replicas that are ignored", hpa("spec.minReplicas"), deployment("spec.replicas", replicas=3)),
    case("an HPA of another namespace", hpa("spec.minReplicas", namespace="carts"), deployment(replicas=3)),
    case("an HPA of another name", hpa("spec.minReplicas", scales="carts"), deployment(replicas=3)),
    case("an HPA without namespace", hpa("spec.minReplicas", namespace=None), deployment(replicas=3), found=SCALED),
    case(
        "an HPA whose namespace is not known",
        hpa("spec.minReplicas", namespace=UNKNOWN),
        deployment(replicas=3),
        found=SCALED,
    ),
    case(
        "KEDA's default is a Deployment",
        thing(
            "keda.sh/v1alpha1:ScaledObject", "s", "spec.minReplicaCount", spec={"scaleTargetRef": {"name": "orders"}}
        ),
        deployment(replicas=3),
        found=SCALED,
    ),
    case(
        "a StatefulSet of the same name",
        thing("keda.sh/v1alpha1:ScaledObject", "s", spec={"scaleTargetRef": {"name": "orders"}}),
        workload("apps/v1:StatefulSet", replicas=3),
    ),
    case(
        "a reference that is not known",
        thing("keda.sh/v1alpha1:ScaledObject", "s", spec={"scaleTargetRef": UNKNOWN}),
        deployment(replicas=3),
        found=((BESIDE, "s"),),
    ),
]

BROKEN = [
    *(
        case(
            f"{props!r} as properties of a {token.rpartition(':')[2]} hides no offender",
            broken(token, props),
            policy("orders"),
            deployment(replicas=3),
            found=ORDERS,
        )
        for token in (
            HPA,
            "apps/v1:Deployment",
            "tidegate.dev/v1alpha1:ScalingPolicy",
            "tidegate.dev/v1alpha1:CapacityPool",
            "core/v1:List",
        )
        for props in (
            {},
            {"spec": None},
            {"spec": []},
            {"spec": "x"},
            {"metadata": "x", "spec": {"targets": {}, "lanes": "y"}},
            {"metadata": [], "items": "x"},
            {
                "spec": {
                    "targets": [None, "x", {"ref": "y"}, {"ref": []}],
                    "lanes": [None, {"members": [1]}],
                    "scaleTargetRef": 3,
                }
            },
        )
    ),
    case(
        "managed fields that are no managed fields",
        policy("orders"),
        deployment(
            replicas=3,
            managedFields=["x", {"manager": 3}, {"manager": PULUMI, "fieldsV1": "x"}, entry(PULUMI, REPLICAS)],
        ),
        found=ORDERS,
    ),
]
