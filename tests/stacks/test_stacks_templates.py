"""Every pod template of every component and every project bears what a cluster under a crowd needs of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from samples import EACH, Make, as_it_is  # noqa: E402
from templates import lacks, templates  # noqa: E402
from test_stacks_projects import FILES, STACKS, laid_in_order  # noqa: E402

from tidegate_stacks import dry, objects  # noqa: E402

NO_PODS = ("namespaces", "operator", "policy", "priorities", "rtmp")
"""Components that register no pod template: the operator's comes with its chart, whose own tests look at it."""
TEMPLATES = [name for name in EACH if name not in NO_PODS]


def registered(make: Make) -> list[Any]:
    return [one.inputs for one in ground.lay(lambda: make("one", as_it_is))[1].objects]


@pytest.mark.parametrize("component", TEMPLATES)
def test_every_template_of_a_component_bears_what_it_needs(component: str) -> None:
    laid = registered(EACH[component])
    assert list(templates(laid)), "there is something to look at"
    assert lacks(laid, prioritized=False) == [], "used alone, a component may leave the priority to the cluster"


@pytest.mark.parametrize("settings", FILES)
def test_every_template_of_every_project_bears_what_it_needs(settings: str) -> None:
    """The PriorityClasses that the projects make are judged by their values: what serves stands above what is lent."""
    apart = [one.inputs for found in laid_in_order(settings).values() for one in found.objects]
    assert len(list(templates(apart))) >= 8
    assert lacks(apart) == []
    whole = [one.inputs for one in dry.run(STACKS / "all-in-one", settings).objects]
    assert lacks(whole) == []


def test_components_without_templates_are_known_by_name() -> None:
    assert {name for name in EACH if not list(templates(registered(EACH[name])))} == set(NO_PODS)


def test_only_lent_work_goes_without_a_liveness_probe() -> None:
    """What says that work is stuck, only its owner knows: workers whose arguments name no command are the exception."""
    without = {
        str(template)
        for name in TEMPLATES
        for template in templates(registered(EACH[name]))
        if not (template.partial or template.ends)
        and not all("livenessProbe" in container for container in template.spec["containers"])
    }
    assert without <= {"Deployment one-copy", "Deployment one-loader"}


# ---- the walk would see it: every line of the shared builders, left out once

BUILDERS = ("alive", "container", "network_policy", "pod", "resources", "spread")
NODES = {"pool": "hangzhou-a"}
APART = {"podAntiAffinity": {}}
NOTE = {"example.org/note": "kept"}
PATIENT = {
    "httpGet": {"port": "status", "path": "/ready"},
    "periodSeconds": 10,
    "timeoutSeconds": 5,
    "failureThreshold": 6,
}
"""A minute without an answer."""
ANY = [{}]
PEERS = [
    ANY,
    [{"namespaceSelector": {}}],
    [{"podSelector": {}}],
    [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "all"}}}],
]
"""In the order of the ports that ``everything`` opens."""
RANGES = ("203.0.113.0/24",)
NARROWED = [{"ipBlock": {"cidr": "203.0.113.0/24"}}, {"namespaceSelector": {}}]
"""Anybody, narrowed to some networks and the cluster."""


def everything() -> list[Any]:
    """One workload that uses every argument of the builders, and the Service and policy in front of it."""
    ports = {"http": 8080, "status": 8081}
    server = objects.container(
        "server",
        "registry.example/server:1",
        cpu="1",
        memory="1Gi",
        disk="2Gi",
        ready=objects.http_probe("status", "/ready"),
        alive=objects.alive(objects.http_probe("status", "/ready")),
        ports=ports,
        mounts={"config": "/etc/server", "tmp": "/tmp"},
        command=["server"],
    )
    template = objects.pod(
        "one",
        "all",
        containers=[server],
        volumes=[
            {"name": "config", "configMap": {"name": "one"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        nodes=NODES,
        config="text",
        annotations=NOTE,
        priority="serving",
        affinity=APART,
    )
    spec = {"selector": {"matchLabels": {}}, "template": template}
    reached = {
        objects.ANYBODY: {"http": 8080},
        objects.CLUSTER: {"metrics": 9090},
        objects.NAMESPACE: {"status": 8081},
        objects.COMPONENT: {"status": 8081},
    }
    return [
        objects.obj("apps/v1", "Deployment", "one", "shop", "all", spec=spec),
        objects.network_policy("one", "shop", "all", ports=reached),
        objects.service("one", "shop", "all", pods={"app.kubernetes.io/name": "one"}, ports={"http": 8080}),
    ]


def complaints() -> list[str]:
    """What the walk says of it, and which of the arguments did not arrive."""
    laid = everything()
    deployment, policy, _ = laid
    narrowed = objects.network_policy("one", "shop", "all", ports={objects.ANYBODY: {"http": 8080}}, ranges=RANGES)
    template = deployment["spec"]["template"]
    server = template["spec"]["containers"][0]
    arrived = {
        "nodes": template["spec"].get("nodeSelector") == NODES,
        "affinity": template["spec"].get("affinity") == APART,
        "annotations": NOTE.items() <= template["metadata"]["annotations"].items(),
        "rest": server.get("command") == ["server"],
        "a patient liveness probe": server.get("livenessProbe") == PATIENT,
        "no constraint holds a pod back": all(
            one.get("whenUnsatisfiable") == "ScheduleAnyway" for one in template["spec"]["topologySpreadConstraints"]
        ),
        "the policy is the workload's": policy["metadata"]["name"] == "one",
        "peers": [rule.get("from", ANY) for rule in policy["spec"]["ingress"]] == PEERS,
        "ports": [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["ingress"]]
        == [[8080], [9090], [8081], [8081]],
        "ranges": narrowed["spec"]["ingress"][0].get("from") == NARROWED,
        "protocol": all(port.get("protocol") for rule in policy["spec"]["ingress"] for port in rule["ports"]),
    }
    return [*lacks(laid), *(f"{name}: not as asked" for name, is_there in arrived.items() if not is_there)]


def mutants(builder: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """(what is left out, code) of a function without one statement, or without one entry of one of its maps."""
    source = textwrap.dedent(inspect.getsource(builder))
    for place in range(len(list(_places(ast.parse(source))))):
        tree = ast.parse(source)
        said, leave_out = list(_places(tree))[place]
        leave_out()
        code = compile(ast.fix_missing_locations(tree), objects.__file__, "exec")
        scope: dict[str, Any] = {}
        exec(code, vars(objects), scope)  # the module's own names, nothing written back
        yield said, scope[builder.__name__].__code__


def _places(tree: ast.Module) -> Iterator[tuple[str, Callable[[], None]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for index, key in enumerate(node.keys):
                yield ast.unparse(key or node.values[index]), lambda node=node, index=index: _without(node, index)
        for body in (getattr(node, name, None) for name in ("body", "orelse")):
            if isinstance(node, ast.Module) or not isinstance(body, list):
                continue
            for index, statement in enumerate(body):
                if not isinstance(statement, ast.Return | ast.Expr):
                    yield ast.unparse(statement), lambda body=body, index=index: body.__setitem__(index, ast.Pass())


def _without(node: ast.Dict, index: int) -> None:
    del node.keys[index], node.values[index]


@pytest.mark.parametrize("name", BUILDERS)
def test_any_line_that_is_left_out_of_a_shared_builder_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaints() == []
    builder = getattr(objects, name)
    survived, tried = [], 0
    for said, code in mutants(builder):
        tried += 1
        with monkeypatch.context() as left_out:
            left_out.setattr(builder, "__code__", code)
            try:
                if not complaints():
                    survived.append(said)
            except (KeyError, NameError, TypeError, UnboundLocalError):
                pass  # such a builder builds nothing
    assert tried >= 4
    assert survived == []


def test_a_security_setting_that_is_left_out_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in list(objects._CONTAINER):
        with monkeypatch.context() as left_out:
            left_out.delitem(objects._CONTAINER, setting)
            assert complaints(), setting
