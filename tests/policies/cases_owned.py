"""Fields that the operator moves: who sets them, and how they are ignored."""

from __future__ import annotations

from cases import HPA, INNER, LIST, OWNED, SET, case
from declared import UNKNOWN, Declared, hpa, job, secret, thing

OWNED_PATHS = [
    *(
        case(f"an HPA's minReplicas is ignored as {path}", hpa(path))
        for path in (
            "spec.minReplicas",
            'spec["minReplicas"]',
            '["spec"].minReplicas',
            '["spec"]["minReplicas"]',
            "spec",
            '["spec"]',
            "spec.*",
            'spec["*"]',
            "spec[*]",
            "*",
            "*.minReplicas",
            "*.*",
        )
    ),
    *(
        case(f"an HPA's minReplicas is not ignored by {path!r}", hpa(path), found=((OWNED, "orders"),))
        for path in (
            "spec.maxReplicas",
            "spec.minReplicasOfSomethingElse",
            "spec.minReplicas.inner",
            "minReplicas",
            "spec.*.minReplicas",
            "spec[0]",
            "specs",
            'spec["minreplicas"]',
            "spec[",
            "",
        )
    ),
    *(
        case(f"an HPA {version} sets minReplicas", hpa(version=version), found=((OWNED, "orders"),))
        for version in ("v1", "v2", "v2beta1", "v2beta2")
    ),
    case("an HPA that sets no minReplicas has nothing to ignore", hpa(least=None)),
    case("a Job that sets no suspend has nothing to ignore", job(suspend=None)),
    case(
        "a CronJob that sets no suspend has nothing to ignore",
        thing("batch/v1:CronJob", "n", spec={"schedule": "0 3 * * *"}),
    ),
    case("a null sets nothing", thing("batch/v1:Job", "n", spec={"suspend": None})),
    case("a Job that sets suspend", job(), found=((OWNED, "nightly"),)),
    case("a Job whose suspend is ignored", job("spec.suspend")),
    case(
        "a CronJob of an older version",
        thing("batch/v1beta1:CronJob", "n", spec={"suspend": True}),
        found=((OWNED, "n"),),
    ),
    case(
        "a ClusterQueue that sets both of the operator's fields",
        thing("kueue.x-k8s.io/v1beta2:ClusterQueue", "q", spec={"resourceGroups": [{}], "stopPolicy": "None"}),
        found=((OWNED, "q"), (OWNED, "q")),
    ),
    case(
        "KEDA's former group",
        thing("keda.k8s.io/v1alpha1:ScaledObject", "s", spec={"minReplicaCount": 1}),
        found=((OWNED, "s"),),
    ),
    case("an HPA of somebody else's group", thing("example.com/v1:HorizontalPodAutoscaler", "h", spec=SET)),
    case("a patch that sets minReplicas", thing(f"{HPA}Patch", "h", spec=SET), found=((OWNED, "h"),)),
    case("a patch that sets something else", thing(f"{HPA}Patch", "h", spec={"maxReplicas": 9})),
    case("a patch whose minReplicas is ignored", thing(f"{HPA}Patch", "h", "spec.minReplicas", spec=SET)),
    case("an item of a kind's list", thing(f"{HPA}List", "l", items=LIST), found=((OWNED, "l"),)),
    case(
        "an item of a kind's list, ignored by its place",
        thing(f"{HPA}List", "l", "items[0].spec.minReplicas", items=LIST),
    ),
    case("an item of a kind's list, ignored in every place", thing(f"{HPA}List", "l", "items[*].spec", items=LIST)),
    case(
        "an item of a kind's list, ignored in another place",
        thing(f"{HPA}List", "l", "items[1].spec", items=LIST),
        found=((OWNED, "l"),),
    ),
    case(
        "a path of the item is no path of the list", thing(f"{HPA}List", "l", "spec", items=LIST), found=((OWNED, "l"),)
    ),
    case("an item of a core List", thing("core/v1:List", "l", items=[INNER]), found=((OWNED, "l"),)),
    case(
        "a List within a List",
        thing("core/v1:List", "l", items=[{"apiVersion": "v1", "kind": "List", "items": [INNER]}]),
        found=((OWNED, "l"),),
    ),
    case("a core List whose items are not known", thing("core/v1:List", "l", items=UNKNOWN), found=((OWNED, "l"),)),
    case("a kind's list whose items are not known", thing(f"{HPA}List", "l", items=UNKNOWN), found=((OWNED, "l"),)),
    case("a list of what nobody moves, not known", thing("core/v1:ConfigMapList", "l", items=UNKNOWN)),
    case("a secret spec", thing(HPA, "h", spec=secret(SET)), found=((OWNED, "h"),)),
    case("a secret number", thing(HPA, "h", spec={"minReplicas": secret(2)}), found=((OWNED, "h"),)),
    case("a secret spec that sets nothing of it", thing(HPA, "h", spec=secret({"maxReplicas": 9}))),
    case("a spec that is not known", thing(HPA, "h", spec=UNKNOWN), found=((OWNED, "h"),)),
    case("a spec that is not known, ignored", thing(HPA, "h", "spec.minReplicas", spec=UNKNOWN)),
    case("a number that is not known", thing(HPA, "h", spec={"minReplicas": UNKNOWN}), found=((OWNED, "h"),)),
    case("something else that is not known", thing(HPA, "h", "spec.minReplicas", spec={**SET, "metrics": UNKNOWN})),
    case(
        "unknown metadata",
        Declared(f"kubernetes:{HPA}", "h", {"metadata": UNKNOWN, "spec": SET}),
        found=((OWNED, "h"),),
    ),
    *(
        case(
            f"a release whose values say {values}",
            thing("helm.sh/v3:Release", "r", chart="x", values=values),
            found=((OWNED, "r"),),
        )
        for values in (
            {"autoscaling": {"enabled": True}},
            {"web": {"hpa": {"enabled": True, "maxReplicas": 9}}},
            {"keda": True},
            {"cron": {"suspend": False}},
            {"web": [{"minReplicas": 3}]},
            {"autoscaling": {"enabled": UNKNOWN}},
            {"autoscaling": {"enabled": "false"}},
            {"autoscaling": secret({"enabled": True})},
            UNKNOWN,
        )
    ),
    *(
        case(f"a release whose values say {values}", thing("helm.sh/v3:Release", "r", chart="x", values=values))
        for values in (
            None,
            {},
            {"replicaCount": 3},
            {"autoscaling": {"enabled": False, "minReplicas": 2}},
            {"hpa": {"enabled": False}},
            {"image": {"tag": UNKNOWN}},
        )
    ),
    case(
        "resources that are no objects",
        Declared("random:index/randomId:RandomId", "r", {}),
        Declared("pulumi:pulumi:Stack", "s", {}),
    ),
]
