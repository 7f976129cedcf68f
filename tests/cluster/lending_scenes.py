"""What others do to work that is lent: here it is done, ``test_cluster_lending`` judges it."""

from __future__ import annotations

import time

from harness import path_of
from lending_site import (
    LAST,
    LENGTH,
    Body,
    LendingScene,
    Rival,
    all_jobs,
    job_of,
    the_loader,
    workload_of,
)
from shop import hpa

LOADERS = 13


def _standing(scene: LendingScene) -> None:
    """Wait until everybody runs."""

    def runs() -> bool:
        pods = [*scene.cluster.list("Pod", scene.shop)["items"], *scene.cluster.list("Pod", scene.data)["items"]]
        return len(pods) >= scene.notes["pods"] and all(one["status"].get("phase") == "Running" for one in pods)

    scene.until(runs, 90, f"{scene.notes['pods']} pods run")


def _jobs(scene: LendingScene, count: int, cores: float) -> None:
    scene.shop_of()
    scene.notes["first"] = scene.jobs(count, cores)
    scene.notes["pods"] = count + 4
    _standing(scene)


def _at_t0(scene: LendingScene) -> None:
    scene.wait(0)
    scene.notes["ready"], scene.notes["verdict"] = scene.ready(), scene.verdict()


# ---- larger than their templates


def larger_stands(scene: LendingScene) -> None:
    """A LimitRange adds a tenth of a core to each loader, a runtime's overhead half a core to each pod of the shop."""
    limits = {"type": "Container", "defaultRequest": {"cpu": "100m", "memory": "64Mi"}}
    metadata = {"namespace": scene.data, "name": "defaults"}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [limits]}}
    scene.cluster.send("POST", f"api/v1/namespaces/{scene.data}/limitranges", body)
    runtime = f"heavy-{scene.site.home}"
    scene.cluster.send(
        "POST",
        "apis/node.k8s.io/v1/runtimeclasses",
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": runtime},
            "handler": "heavy",
            "overhead": {"podFixed": {"cpu": "500m", "memory": "16Mi"}},
        },
    )
    scene.shop_of(runtimeClassName=runtime)
    beside = [{"name": "beside", "image": "registry.example/y:1"}]
    time.sleep(1.0)  # the LimitRange is known to admission by then
    scene.own(workload_of(scene.data, "loader", LOADERS, 3, scene.name, beside=beside))
    scene.notes["pods"] = LOADERS + 4
    _standing(scene)


def larger(scene: LendingScene) -> None:
    scene.announce(the_loader(scene.data))
    _at_t0(scene)
    scene.wait(LAST)


# ---- more work than fits


def crowded_stands(scene: LendingScene) -> None:
    _jobs(scene, 16, 3)


def crowded(scene: LendingScene) -> None:
    """Eighteen Jobs fit beside the shop at rest: sixteen are there, eight come in the peak, four after it."""
    scene.announce(all_jobs(scene.data))
    _at_t0(scene)
    scene.wait(10, "eight Jobs more")
    scene.jobs(8, 3, first=16)
    scene.wait(LENGTH + 60, "four Jobs more")
    scene.jobs(4, 3, first=24)
    scene.wait(LAST - 60)
    scene.notes["back"], scene.notes["active"] = scene.suspended(), scene.active()
    scene.wait(LAST)


# ---- somebody else drives it


def queued_stands(scene: LendingScene) -> None:
    _jobs(scene, 13, 4)


def queued(scene: LendingScene) -> None:
    """One lent Job is given to a queue by its label, another one is suspended again whenever it is started."""
    scene.announce(all_jobs(scene.data))
    scene.until(lambda: len(scene.suspended()) >= 2, 150, "two Jobs are lent")
    labelled, fought = sorted(scene.suspended())[:2]
    scene.notes["labelled"], scene.notes["fought"] = labelled, fought
    scene.site.patch(path_of("Job", scene.data, labelled), {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}})
    scene.mark(f"{labelled} belongs to a queue")
    rivals = [Rival(scene, labelled), Rival(scene, fought)]
    for rival in rivals:
        rival.start()
    scene.wait(LAST)
    scene.notes["loans"] = scene.told()
    for rival in rivals:
        rival.over.set()
    scene.notes["rival"] = [rival.writes for rival in rivals]


def scaled_stands(scene: LendingScene) -> None:
    scene.shop_of()
    scene.own(workload_of(scene.data, "loader", LOADERS, 4, scene.name))
    scene.notes["pods"] = LOADERS + 4
    _standing(scene)


def scaled(scene: LendingScene) -> None:
    """An HPA comes in front of a lent Deployment, which it wants at five."""
    scene.announce(the_loader(scene.data))
    scene.wait(5)
    scene.notes["lent"] = scene.level("loader", "Deployment").last
    scene.cluster.create(hpa(scene.data, "loader", minimum=5, maximum=6))
    scene.notes["came_at"] = time.time()
    scene.mark("an HPA comes")
    scene.wait(LAST)


# ---- the owner's word


def owned_stands(scene: LendingScene) -> None:
    _jobs(scene, 13, 4)


def owned(scene: LendingScene) -> None:
    """The owner suspends a Job that was told; and applies to one that is lent what we have written."""
    scene.announce(all_jobs(scene.data))
    scene.until(scene.told, 120, "somebody is told")
    told = min(scene.told())
    scene.notes["told"] = told
    scene.site.patch(path_of("Job", scene.data, told), {"spec": {"suspend": True}}, manager="owner")
    scene.mark(f"the owner suspends {told}")
    scene.until(lambda: len(scene.suspended()) >= 3, 120, "others are lent")
    applied = next(name for name in sorted(scene.suspended()) if name != told)
    scene.notes["applied"] = applied
    wish = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": scene.data, "name": applied}}
    scene.cluster.apply({**wish, "spec": {"suspend": True}}, manager="owner")
    scene.mark(f"the owner applies suspend: true to {applied}")
    scene.wait(LAST)


def resized_stands(scene: LendingScene) -> None:
    scaled_stands(scene)


def resized(scene: LendingScene) -> None:
    """The owner scales a Deployment that was told from 13 to 12."""
    scene.announce(the_loader(scene.data))
    scene.until(scene.told, 120, "the loader is told")
    scene.site.patch(path_of("Deployment", scene.data, "loader"), {"spec": {"replicas": 12}}, manager="owner")
    scene.mark("the owner scales it to 12")
    _at_t0(scene)
    scene.wait(LAST)


# ---- what a stop would not free


def elsewhere_stands(scene: LendingScene) -> None:
    """Beside thirteen Jobs here: four whose pods stand elsewhere, and four that have none."""
    _jobs(scene, 13, 4)
    scene.notes["away"] = [f"away-{number}" for number in range(4)]
    for name in scene.notes["away"]:
        scene.own(job_of(scene.data, name, 1, "none"))
    scene.notes["bare"] = [f"bare-{number}" for number in range(4)]
    for name in scene.notes["bare"]:
        made = job_of(scene.data, name, 1, scene.name)
        made["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"  # admission refuses its pods
        scene.own(made)


def elsewhere(scene: LendingScene) -> None:
    """With all of trading there, a machine is cordoned."""
    scene.announce(all_jobs(scene.data))
    _at_t0(scene)
    scene.notes["cannot"] = scene.status().get("cannotStop", [])
    scene.notes["before"] = scene.suspended()
    scene.site.patch(f"api/v1/nodes/{scene.machines[1]}", {"spec": {"unschedulable": True}})
    scene.mark("a machine is cordoned")
    scene.wait(LENGTH - 5)
    scene.notes["after"] = scene.suspended()
    scene.site.patch(f"api/v1/nodes/{scene.machines[1]}", {"spec": {"unschedulable": None}})
    scene.wait(LAST)


# ---- machines that are gone


def lost_stands(scene: LendingScene) -> None:
    _jobs(scene, 13, 4)


def lost(scene: LendingScene) -> None:
    """One of two machines goes in the peak, for good."""
    scene.announce(all_jobs(scene.data))
    _at_t0(scene)
    scene.wait(10, "a machine is gone")
    scene.cluster.send("DELETE", f"api/v1/nodes/{scene.machines[1]}")
    scene.wait(LAST)
    scene.notes["back"], scene.notes["active"] = scene.suspended(), scene.active()


SCENES: dict[str, tuple[Body, Body]] = {
    "larger": (larger_stands, larger),
    "crowded": (crowded_stands, crowded),
    "queued": (queued_stands, queued),
    "scaled": (scaled_stands, scaled),
    "owned": (owned_stands, owned),
    "resized": (resized_stands, resized),
    "elsewhere": (elsewhere_stands, elsewhere),
    "lost": (lost_stands, lost),
}
