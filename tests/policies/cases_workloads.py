"""Workloads that policies and pools name: of any kind, in lists, unknown or secret in parts."""

from __future__ import annotations

from dataclasses import replace

from cases import MOVED, ORDERS, case
from declared import (
    UNKNOWN,
    Provider,
    deployment,
    metadata,
    policy,
    policy_of,
    pool,
    secret,
    thing,
    workload,
)

WORKLOADS = [
    case("replicas of what a policy names", policy("orders"), deployment(replicas=3), found=ORDERS),
    case("the same, in the other order", deployment(replicas=3), policy("orders"), found=ORDERS),
    *(
        case(f"the same, ignored as {path}", policy("orders"), deployment(path, replicas=3))
        for path in ("spec.replicas", 'spec["replicas"]', "spec", "*", "spec.*")
    ),
    case("no replicas are set", policy("orders"), deployment()),
    case("replicas that nothing moves", policy("carts"), deployment(replicas=3)),
    case("replicas of what a pool lends", pool("orders"), deployment(replicas=3), found=ORDERS),
    case("a pool of another namespace", pool("orders", namespace="carts"), deployment(replicas=3)),
    *(
        case(
            f"a {kind} of {api} that a policy names",
            policy("orders", api=api, kind=kind),
            workload(f"{api}:{kind}", replicas=3),
            found=ORDERS,
        )
        for api, kind in (
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "ReplicaSet"),
            ("argoproj.io/v1alpha1", "Rollout"),
            ("apps.kruise.io/v1alpha1", "CloneSet"),
            ("agones.dev/v1", "Fleet"),
            ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
        )
    ),
    case(
        "another version of the kind", policy("orders"), workload("apps/v1beta2:Deployment", replicas=3), found=ORDERS
    ),
    case(
        "a former group of the kind",
        policy("orders"),
        workload("extensions/v1beta1:Deployment", replicas=3),
        found=ORDERS,
    ),
    case(
        "a policy by the former group", policy("orders", api="extensions/v1beta1"), deployment(replicas=3), found=ORDERS
    ),
    case(
        "a kind of the same name of another group", policy("orders"), workload("example.com/v1:Deployment", replicas=3)
    ),
    case("a patch", policy("orders"), workload("apps/v1:DeploymentPatch", replicas=3), found=ORDERS),
    case("a patch, ignored", policy("orders"), workload("apps/v1:DeploymentPatch", "spec.replicas", replicas=3)),
    case(
        "a workload in a List",
        policy("orders"),
        thing(
            "core/v1:List", "l", items=[{"apiVersion": "apps/v1", "kind": "Deployment", **deployment(replicas=3).props}]
        ),
        found=((MOVED, "l"),),
    ),
    case(
        "a policy in a List",
        thing(
            "core/v1:List",
            "l",
            items=[{"apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", **policy("orders").props}],
        ),
        deployment(replicas=3),
        found=ORDERS,
    ),
    case(
        "a workload that Helm made of a release",
        policy("orders"),
        thing(
            "helm.sh/v3:Release",
            "r",
            "manifest",
            manifest={
                "Deployment.apps/v1/orders": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    **deployment(replicas=3).props,
                }
            },
        ),
        found=((MOVED, "r"),),
    ),
    case(
        "a secret namespace",
        policy("orders"),
        replace(deployment(), props={"metadata": metadata("orders", secret("shop")), "spec": {"replicas": 3}}),
        found=ORDERS,
    ),
    case(
        "a secret name",
        policy("orders"),
        replace(deployment(), props={"metadata": metadata(secret("orders")), "spec": {"replicas": 3}}),
        found=ORDERS,
    ),
    case("secret replicas", policy("orders"), deployment(replicas=secret(3)), found=ORDERS),
    case("replicas that are not known", policy("orders"), deployment(replicas=UNKNOWN), found=ORDERS),
    case(
        "a workload whose spec is not known",
        policy("orders"),
        replace(deployment(), props={"metadata": metadata("orders"), "spec": UNKNOWN}),
        found=ORDERS,
    ),
    case(
        "a namespace that is not known",
        policy("orders"),
        replace(deployment(), props={"metadata": metadata("orders", UNKNOWN), "spec": {"replicas": 3}}),
        found=ORDERS,
    ),
    case(
        "a namespace that nobody says",
        policy("orders"),
        replace(deployment(), props={"metadata": metadata("orders", None), "spec": {"replicas": 3}}),
        found=ORDERS,
    ),
    case(
        "a provider's namespace is another",
        policy("orders"),
        replace(deployment(), props={"metadata": metadata("orders", None), "spec": {"replicas": 3}}).by(
            Provider("p", {"namespace": "carts"})
        ),
    ),
    case(
        "a cluster elsewhere",
        policy("orders").by(Provider("a", {"kubeconfig": "hz"})),
        deployment(replicas=3).by(Provider("b", {"kubeconfig": "sh"})),
    ),
    case(
        "two providers of one cluster",
        policy("orders").by(Provider("a", {"kubeconfig": "hz"})),
        deployment(replicas=3).by(Provider("b", {"kubeconfig": "hz"})),
        found=ORDERS,
    ),
    case(
        "an unrelated namespace that is not known",
        policy("orders"),
        deployment(replicas=3),
        replace(thing("core/v1:ConfigMap", "c"), props={"metadata": metadata("c", UNKNOWN)}),
        found=ORDERS,
    ),
    case(
        "an unrelated name that is not known",
        policy("orders"),
        deployment(replicas=3),
        replace(deployment(name="other"), props={"metadata": metadata(UNKNOWN), "spec": {"replicas": 2}}),
        found=ORDERS,
    ),
    case(
        "an unknown name that may be the one that is named",
        policy("orders"),
        replace(deployment(name="other"), props={"metadata": metadata(UNKNOWN), "spec": {"replicas": 2}}),
        found=((MOVED, "other"),),
    ),
    case(
        "unknown metadata of what may be the one that is named",
        policy("orders"),
        replace(deployment(name="other"), props={"metadata": UNKNOWN, "spec": {"replicas": 2}}),
        found=((MOVED, "other"),),
    ),
    case(
        "an unknown name beside the one that is named, which conforms",
        policy("orders"),
        deployment("spec.replicas", replicas=3),
        replace(deployment(name="other"), props={"metadata": metadata(UNKNOWN), "spec": {"replicas": 2}}),
    ),
    case("a target whose name is not known, beside replicas", policy(UNKNOWN), deployment(replicas=3), found=ORDERS),
    case("a target whose name is not known, ignored", policy(UNKNOWN), deployment("spec.replicas", replicas=3)),
    case(
        "a target whose name is not known, of another kind",
        policy(UNKNOWN, kind="StatefulSet"),
        deployment(replicas=3),
    ),
    case(
        "unknown names on both sides",
        policy(UNKNOWN),
        replace(deployment(), props={"metadata": metadata(UNKNOWN), "spec": {"replicas": 2}}),
        found=ORDERS,
    ),
    case("a target without ref, which the server refuses", policy_of([{"name": "t"}]), deployment(replicas=3)),
    case(
        "targets that are not known, nothing that sets replicas",
        policy_of(UNKNOWN),
        deployment(),
        deployment("spec.replicas", name="carts", replicas=3),
    ),
    case(
        "targets that are not known, beside replicas",
        policy_of(UNKNOWN),
        deployment(replicas=3),
        found=((MOVED, "events"),),
    ),
    case(
        "a ref that is not known, beside replicas",
        policy_of([{"name": "t", "ref": UNKNOWN}]),
        deployment(replicas=3),
        found=((MOVED, "events"),),
    ),
    case(
        "one policy is not known, the other names it",
        replace(policy_of(UNKNOWN), name="bad"),
        policy("orders"),
        deployment(replicas=3),
        found=((MOVED, "bad"), *ORDERS),
    ),
]
