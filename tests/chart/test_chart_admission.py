"""The admission webhook: off unless asked for, never in the way, and asked where the operator answers."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from helm_chart import CHART, NAMESPACE, Json, helm, of_kind, one, pod_of, render

from tidegate.shell.settings import load_settings

ON = {"enabled": True}
HOST = f"tidegate-admission.{NAMESPACE}.svc"


def hooks(objects: list[Json]) -> dict[str, Json]:
    """The webhooks by the resource that they are about."""
    configuration = one(objects, "ValidatingWebhookConfiguration", f"{NAMESPACE}-tidegate")
    return {hook["rules"][0]["resources"][0]: hook for hook in configuration["webhooks"]}


def handlers(**environment: str) -> list[str]:
    """Ids of the operator's admission handlers in an environment. kopf serves each at ``/`` and its id."""
    all_of_them = "kopf.get_default_registry()._webhooks.get_all_handlers()"
    program = f"import kopf, tidegate.shell.app; print(*(handler.id for handler in {all_of_them}))"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())


def environment(objects: list[Json]) -> dict[str, str]:
    (container,) = pod_of(one(objects, "Deployment"))["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    objects = render(tmp_path)
    kinds = {obj["kind"] for obj in objects}
    assert not kinds & {"ValidatingWebhookConfiguration", "Secret", "Service", "Issuer", "Certificate"}
    assert load_settings(environment(objects)).admission_certificates is None
    assert handlers(PYTHONPATH=":".join(sys.path), **environment(objects)) == []


@pytest.mark.parametrize("values", [{}, {"rbac": {"scope": "namespaces"}}, {"watchNamespaces": ["shop"]}])
def test_each_path_that_the_chart_names_is_a_handler_of_the_operator_and_none_is_left_out(
    values: Json, tmp_path: Path
) -> None:
    objects = render(tmp_path, admissionWebhook=ON, **values)
    served = handlers(PYTHONPATH=":".join(sys.path), **environment(objects))
    assert sorted(hook["clientConfig"]["service"]["path"] for hook in hooks(objects).values()) == [
        f"/{handler}" for handler in served
    ]
    for resource, hook in hooks(objects).items():
        assert hook["clientConfig"]["service"]["path"] == f"/{resource}"
    assert ("capacitypools" in served) is (values == {}), "pools are of the whole cluster's operator alone"


def test_it_never_stands_in_the_way(tmp_path: Path) -> None:
    for hook in hooks(render(tmp_path, admissionWebhook=ON)).values():
        assert (hook["failurePolicy"], hook["timeoutSeconds"]) == ("Ignore", 2)
        assert (hook["sideEffects"], hook["matchPolicy"]) == ("None", "Equivalent")
        (rule,) = hook["rules"]
        assert rule["operations"] == ["CREATE", "UPDATE"], "a deletion is nobody's to refuse"
        assert all("/" not in resource for resource in rule["resources"]), "nor is a status"
        (condition,) = hook["matchConditions"]
        assert "object.spec != oldObject.spec" in condition["expression"]


@pytest.mark.parametrize(("watched", "reach"), [([], None), (["shop", "chat"], ["chat", "shop"])])
def test_it_reaches_as_far_as_the_operator(watched: list[str], reach: list[str] | None, tmp_path: Path) -> None:
    for hook in hooks(render(tmp_path, admissionWebhook=ON, watchNamespaces=watched)).values():
        selector = hook.get("namespaceSelector")
        assert selector == (
            reach and {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": reach}]}
        )


def test_the_service_finds_the_port_of_every_replica(tmp_path: Path) -> None:
    objects = render(tmp_path, admissionWebhook=ON, ports={"admission": 9999}, replicas=2)
    service = one(objects, "Service", "tidegate-admission")
    deployment = one(objects, "Deployment")
    (container,) = pod_of(deployment)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = load_settings(environment(objects))

    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert ports[service["spec"]["ports"][0]["targetPort"]] == settings.listen_admission == 9999
    for hook in hooks(objects).values():
        asked = hook["clientConfig"]["service"]
        assert (asked["namespace"], asked["name"]) == (NAMESPACE, "tidegate-admission")
        assert asked["port"] == service["spec"]["ports"][0]["port"]


def test_the_operator_starts_without_its_certificate_and_finds_it_where_it_is_mounted(tmp_path: Path) -> None:
    objects = render(tmp_path, admissionWebhook=ON)
    pod = pod_of(one(objects, "Deployment"))
    (mount,) = pod["containers"][0]["volumeMounts"]
    (volume,) = pod["volumes"]

    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert load_settings(environment(objects)).admission_certificates == Path(mount["mountPath"])
    assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == ("tidegate-admission", True)
    assert [item["path"] for item in volume["secret"]["items"]] == ["tls.crt", "tls.key"], "not the CA's"


def test_the_chart_makes_a_certificate_that_the_api_server_can_trust(tmp_path: Path) -> None:
    objects = render(tmp_path, admissionWebhook=ON)
    secret = one(objects, "Secret", "tidegate-admission")
    bundles = {hook["clientConfig"]["caBundle"] for hook in hooks(objects).values()}
    assert bundles == {secret["data"]["ca.crt"]}
    for name, data in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(data))
    for words in (
        ["verify", "-CAfile", "ca.crt", "-verify_hostname", HOST, "tls.crt"],
        ["x509", "-in", "tls.crt", "-noout", "-checkend", str(9 * 365 * 86_400)],
    ):
        done = subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_cert_manager_makes_it_where_it_is_asked_to(tmp_path: Path) -> None:
    objects = render(tmp_path, admissionWebhook={**ON, "certManager": True})
    certificate = one(objects, "Certificate", "tidegate-admission")
    configuration = one(objects, "ValidatingWebhookConfiguration", f"{NAMESPACE}-tidegate")
    pod = pod_of(one(objects, "Deployment"))

    assert of_kind(objects, "Secret") == []
    assert HOST in certificate["spec"]["dnsNames"]
    assert certificate["spec"]["secretName"] == pod["volumes"][0]["secret"]["secretName"]
    assert one(objects, "Issuer", certificate["spec"]["issuerRef"]["name"])["spec"] == {"selfSigned": {}}
    annotations = configuration["metadata"]["annotations"]
    assert annotations == {"cert-manager.io/inject-ca-from": f"{NAMESPACE}/tidegate-admission"}
    assert all("caBundle" not in hook["clientConfig"] for hook in configuration["webhooks"])


@pytest.mark.parametrize("more", ["certManager=false", "certManager=true"])
def test_helm_lint_finds_nothing_in_it(more: str) -> None:
    done = helm("lint", "--strict", str(CHART), "--set", f"admissionWebhook.enabled=true,admissionWebhook.{more}")
    assert done.returncode == 0, done.stdout


def test_two_releases_of_one_name_do_not_meet(tmp_path: Path) -> None:
    configuration = one(
        render(tmp_path, admissionWebhook=ON), "ValidatingWebhookConfiguration", f"{NAMESPACE}-tidegate"
    )
    assert configuration["metadata"]["name"].startswith(f"{NAMESPACE}-"), "it is of the whole cluster"
