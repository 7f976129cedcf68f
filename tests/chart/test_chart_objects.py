"""What the chart renders: CRDs that stay, a pod that may do little, monitoring where it is asked for, a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from helm_chart import CHART, NAMESPACE, Json, of_kind, one, pod_of, render

from tidegate.api.crd import all_crds
from tidegate.shell.settings import load_settings

KEEP = {"helm.sh/resource-policy": "keep"}


def test_the_crds_are_those_of_the_models_and_stay(tmp_path: Path) -> None:
    rendered = of_kind(render(tmp_path), "CustomResourceDefinition")
    assert [{**crd, "metadata": {"name": crd["metadata"]["name"]}} for crd in rendered] == all_crds()
    assert [crd["metadata"].get("annotations") for crd in rendered] == [KEEP] * len(rendered)


def test_crds_go_with_the_chart_or_are_left_out_when_asked(tmp_path: Path) -> None:
    going = of_kind(render(tmp_path, crds={"keep": False}), "CustomResourceDefinition")
    assert [crd["metadata"].get("annotations") for crd in going] == [None] * len(all_crds())
    assert of_kind(render(tmp_path, crds={"enabled": False}), "CustomResourceDefinition") == []


def test_no_crd_lies_where_helm_would_never_upgrade_it() -> None:
    assert not (CHART / "crds").exists()


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "tidegate"), ("Job", "tidegate-release")])
def test_a_pod_may_do_next_to_nothing_on_its_machine(kind: str, name: str, tmp_path: Path) -> None:
    pod = pod_of(one(render(tmp_path), kind, name))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(pod.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC", "volumes"))
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]["memory"] == "256Mi"
    assert container["resources"]["limits"] == {"memory": "768Mi"}


def test_nobody_gets_a_token_unasked(tmp_path: Path) -> None:
    objects = render(tmp_path)
    assert {o["automountServiceAccountToken"] for o in of_kind(objects, "ServiceAccount")} == {False}
    assert pod_of(one(objects, "Deployment"))["automountServiceAccountToken"] is True


def test_probes_have_a_port_that_no_scrape_can_block(tmp_path: Path) -> None:
    (container,) = pod_of(one(render(tmp_path), "Deployment"))["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["probes"] != ports["metrics"]
    paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in paths.values()} == {"probes"}
    assert [paths[name]["path"] for name in ("startup", "liveness", "readiness")] == ["/healthz", "/healthz", "/readyz"]


def environment(objects: list[Json]) -> dict[str, str]:
    (container,) = pod_of(one(objects, "Deployment"))["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_the_operator_understands_the_environment_that_the_chart_gives_it(tmp_path: Path) -> None:
    told = {
        "prometheusUrl": "http://prometheus.monitoring:9090",
        "prometheusHistoryDays": 3.5,
        "queries": "free",
        "beatSeconds": 7.5,
        "statusWritesPerSecond": 50,
        "leaseName": "own",
        "plan": {"cellSeconds": 5, "creationRate": 100, "failOverSeconds": 0, "horizonSeconds": 2500000},
        "log": {"format": "text", "level": "debug"},
    }
    objects = render(tmp_path, settings=told, watchNamespaces=["shop", "chat"], ports={"probes": 9000, "metrics": 9001})
    settings = load_settings(environment(objects))
    assert settings.unknown == ()
    assert (settings.namespaces, settings.operator_namespace) == (("chat", "shop"), NAMESPACE)
    assert (settings.lease_name, settings.prometheus_url) == ("own", "http://prometheus.monitoring:9090")
    assert (settings.beat_seconds, settings.status_writes_per_second) == (7.5, 50)
    assert not settings.confine_queries
    assert settings.prometheus_history_days == 3.5
    plan = settings.plan
    assert (plan.cell, plan.creation_rate, plan.fail_over, plan.horizon) == (5, 100, 0, 2_500_000)
    assert (settings.listen_probes, settings.listen_metrics, settings.log_level) == (9000, 9001, "debug")


def test_a_secret_for_prometheus_is_mounted_where_the_operator_looks_for_it(tmp_path: Path) -> None:
    """Settings read the folder, so that what the chart names is replaced by one that is here."""
    objects = render(tmp_path, settings={"prometheusUrl": "https://thanos", "prometheusSecret": "thanos-token"})
    pod = pod_of(one(objects, "Deployment"))
    assert pod["volumes"] == [{"name": "prometheus", "secret": {"secretName": "thanos-token"}}]
    told, (mount,) = environment(objects), pod["containers"][0]["volumeMounts"]
    assert (mount["name"], mount["readOnly"]) == ("prometheus", True)
    assert mount["mountPath"] == told["TIDEGATE_PROMETHEUS_CREDENTIALS"]
    here = tmp_path / "mounted"
    here.mkdir()
    (here / "token").write_text("t")
    assert load_settings({**told, "TIDEGATE_PROMETHEUS_CREDENTIALS": str(here)}).prometheus_credentials == here


def test_kopf_and_the_settings_agree_on_what_is_watched(tmp_path: Path) -> None:
    for values, scope, watched in (
        ({}, ["--all-namespaces"], None),
        ({"rbac": {"scope": "namespaces"}}, [f"--namespace={NAMESPACE}"], (NAMESPACE,)),
        ({"watchNamespaces": ["shop", "chat"]}, ["--namespace=chat", "--namespace=shop"], ("chat", "shop")),
    ):
        objects = render(tmp_path, **values)  # type: ignore[arg-type]
        (container,) = pod_of(one(objects, "Deployment"))["containers"]
        assert container["args"][1:] == scope
        assert load_settings(environment(objects)).namespaces == watched
        (job,) = pod_of(one(objects, "Job", "tidegate-release"))["containers"]
        assert job.get("args", []) == [arg for arg in scope if arg != "--all-namespaces"]


def test_a_budget_only_where_there_is_more_than_one(tmp_path: Path) -> None:
    assert of_kind(render(tmp_path), "PodDisruptionBudget") == []
    (budget,) = of_kind(render(tmp_path, replicas=2), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1


def test_monitoring_is_asked_for_and_finds_the_pods(tmp_path: Path) -> None:
    assert of_kind(render(tmp_path), "ServiceMonitor") == []
    objects = render(tmp_path, serviceMonitor={"enabled": True, "additionalLabels": {"release": "kube-prometheus"}})
    monitor, service = one(objects, "ServiceMonitor"), one(objects, "Service", "tidegate-metrics")
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus"
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items()
    pod = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= pod.items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_replicas_are_spread_by_our_labels_unless_told_otherwise(tmp_path: Path) -> None:
    deployment = one(render(tmp_path), "Deployment")
    (spread,) = pod_of(deployment)["topologySpreadConstraints"]
    assert spread["labelSelector"] == deployment["spec"]["selector"]
    wanted = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    own = [{**wanted, "labelSelector": {"matchLabels": {"tier": "infra"}}}, {**wanted, "labelSelector": {}}]
    told = pod_of(one(render(tmp_path, topologySpreadConstraints=own), "Deployment"))["topologySpreadConstraints"]
    assert told == own


def test_an_image_is_pinned_by_digest_beside_its_tag(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    objects = render(tmp_path, image={"repository": "registry.example/tidegate", "digest": digest})
    (container,) = pod_of(one(objects, "Deployment"))["containers"]
    assert container["image"] == f"registry.example/tidegate:0.1.0@{digest}"


def test_everything_is_returned_before_the_operator_goes(tmp_path: Path) -> None:
    objects = render(tmp_path)
    job = one(objects, "Job", "tidegate-release")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    (container,) = pod_of(job)["containers"]
    assert container["command"] == ["tidegate", "release", "--all", "--now"]
    account = pod_of(job)["serviceAccountName"]
    hooked = [obj for obj in objects if "helm.sh/hook" in obj["metadata"].get("annotations", {})]
    assert hooked == [job], "its account and Roles are there until the release is deleted, which is after it"
    assert one(objects, "ServiceAccount", account)


def test_the_pod_that_returns_everything_is_as_the_operators_where_pods_have_to_be(tmp_path: Path) -> None:
    """A cluster that takes pods only with a label, or a mesh that keeps its sidecar out by an annotation, would hold up
    the uninstallation.
    """
    values = {
        "podLabels": {"team": "platform"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "system-cluster-critical",
        "imagePullSecrets": [{"name": "registry"}],
    }
    objects = render(tmp_path, **values)
    job, operator = one(objects, "Job", "tidegate-release"), one(objects, "Deployment")
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"):
        assert pod_of(job)[name] == pod_of(operator)[name] == values[name]
    metadata = job["spec"]["template"]["metadata"]
    assert metadata["annotations"] == values["podAnnotations"]
    assert metadata["labels"].items() >= {"team": "platform", "app.kubernetes.io/component": "release"}.items()


def test_it_can_be_left_without_returning(tmp_path: Path) -> None:
    objects = render(tmp_path, releaseOnDelete={"enabled": False})
    assert of_kind(objects, "Job") == []
    assert not [obj for obj in objects if obj["metadata"]["name"].startswith("tidegate-release")]


def test_two_releases_share_no_object_of_the_cluster(tmp_path: Path) -> None:
    names = {
        (obj["kind"], obj["metadata"]["name"])
        for obj in render(tmp_path, crds={"enabled": False}, rbac={"aggregate": True})
        if "namespace" not in obj["metadata"]
    }
    assert names
    assert all(name.startswith(f"{NAMESPACE}-tidegate") for _, name in names)


def test_a_token_for_prometheus_and_a_certificate_for_the_webhook_are_mounted_side_by_side(tmp_path: Path) -> None:
    settings = {"prometheusUrl": "http://prometheus:9090", "prometheusSecret": "token"}
    pod = pod_of(one(render(tmp_path, settings=settings, admissionWebhook={"enabled": True}), "Deployment"))
    (container,) = pod["containers"]
    assert {volume["name"] for volume in pod["volumes"]} == {"admission", "prometheus"}
    assert {mount["name"]: mount["readOnly"] for mount in container["volumeMounts"]} == {
        "admission": True,
        "prometheus": True,
    }
