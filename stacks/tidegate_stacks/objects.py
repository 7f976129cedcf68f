"""Kubernetes objects as plain maps: pure, in Kubernetes' own words, without Pulumi.

What is the same for everything that serves: restricted pods, an HPA that lets go gently, a disruption budget, pods
spread over zones, a NetworkPolicy. A leaf may be a Pulumi Output; nothing here looks into it.

What is written here is typed by ``kinds``, which mypy reads and no program imports: a misspelt property fails it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pulumi

from tidegate_stacks import naming, sizing

if TYPE_CHECKING:
    from tidegate_stacks import kinds

Obj = dict[str, Any]

CONFIG_ANNOTATION = "tidegate.dev/config"
"""Checksum of the files that a pod reads once, at its start: when it changes, the pods are replaced."""

WAIT_ANNOTATION = "pulumi.com/timeoutSeconds"
"""How long Pulumi's provider waits for an object to be ready before an update has failed."""
LEAST_WAIT_SECONDS = 600
"""The provider's own default."""

SCALE_DOWN_PERCENT = 20
"""Share of the replicas that an HPA may remove per minute. A floor that is lost (an operator that dies, a revert) is
then no cliff: 40 replicas become 32, then 25, instead of 2."""
SCALE_DOWN_WINDOW = 60


def obj(api_version: str, kind: str, name: str, namespace: Any, component: str, **rest: Any) -> Obj:
    """Any object; ``namespace`` None for one of the cluster."""
    metadata: Obj = {"name": name, "labels": naming.labels(name, component)}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def hpa(workload: Obj, *, minimum: int, maximum: int, cpu_percent: int, component: str) -> Obj:
    """An HPA in front of a workload. Its minimum is set once: from then on it is the floor that the operator moves."""
    metadata = workload["metadata"]
    spec: kinds.HorizontalPodAutoscalerSpec = {
        "scaleTargetRef": {
            "apiVersion": workload["apiVersion"],
            "kind": workload["kind"],
            "name": metadata["name"],
        },
        "minReplicas": minimum,
        "maxReplicas": maximum,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": cpu_percent}},
            }
        ],
        "behavior": {
            "scaleDown": {
                "policies": [{"type": "Percent", "value": SCALE_DOWN_PERCENT, "periodSeconds": SCALE_DOWN_WINDOW}],
                "stabilizationWindowSeconds": 300,
            }
        },
    }
    return obj(
        "autoscaling/v2", "HorizontalPodAutoscaler", metadata["name"], metadata["namespace"], component, spec=spec
    )


def budget(workload: Obj, *, unavailable: int | str, component: str, holds_state: bool = False) -> Obj:
    """A disruption budget: how much of a workload a drain may take at a time.

    Pods that are not ready serve nobody, so that a drain may take them whatever the others do: else a version that does
    not start would hold up every drain for as long as it stands. ``holds_state``: a pod that is not ready may still
    hold what others lack, a stream or data; a drain then waits for somebody to look.
    """
    metadata = workload["metadata"]
    spec: kinds.PodDisruptionBudgetSpec = {
        "maxUnavailable": unavailable,
        "selector": {"matchLabels": naming.selector(metadata["name"])},
        "unhealthyPodEvictionPolicy": "IfHealthyBudget" if holds_state else "AlwaysAllow",
    }
    return obj("policy/v1", "PodDisruptionBudget", metadata["name"], metadata["namespace"], component, spec=spec)


def service(name: str, namespace: Any, component: str, *, pods: Mapping[str, str], ports: Mapping[str, int]) -> Obj:
    """A Service in front of pods with these labels; ``ports``: name → number, the same on both sides."""
    spec: kinds.ServiceSpec = {
        "selector": dict(pods),
        "ports": [{"name": port, "port": number, "targetPort": port} for port, number in ports.items()],
    }
    return obj("v1", "Service", name, namespace, component, spec=spec)


def headless(name: str, namespace: Any, component: str, *, pods: Mapping[str, str], ports: Mapping[str, int]) -> Obj:
    """A Service that gives each pod a name of its own, before it is ready as well."""
    made = service(name, namespace, component, pods=pods, ports=ports)
    more: kinds.ServiceSpec = {"clusterIP": "None", "publishNotReadyAddresses": True}
    made["spec"] |= more
    return made


def config_map(name: str, namespace: Any, component: str, data: Mapping[str, Any]) -> Obj:
    """A ConfigMap."""
    return obj("v1", "ConfigMap", name, namespace, component, data=dict(data))


def container(
    name: str,
    image: Any,
    *,
    cpu: str,
    memory: str,
    disk: str = "64Mi",
    reserved: bool = False,
    ready: Obj | None = None,
    alive: Obj | None = None,
    ports: Mapping[str, int] | None = None,
    mounts: Mapping[str, str] | None = None,
    **rest: Any,
) -> Obj:
    """A container of a pod template.

    ``disk``: what it may write to its own file system, its logs and the node's share of its ``emptyDir`` volumes.
    ``reserved``: that disk is kept free for it. ``ready``, ``alive``: probes; ``ports``: name → number; ``mounts``:
    volume → path; ``config`` is mounted read-only. ``rest``: other fields of a container, as they are.
    """
    made: kinds.Container = {
        "name": name,
        "image": image,
        "resources": cast("kinds.ResourceRequirements", resources(cpu, memory, disk, reserved=reserved)),
    }
    if ports:
        made["ports"] = [{"name": port, "containerPort": number} for port, number in ports.items()]
    if ready:
        made["readinessProbe"] = cast("kinds.Probe", ready)
    if alive:
        made["livenessProbe"] = cast("kinds.Probe", alive)
    if mounts:
        made["volumeMounts"] = [_mount(volume, path) for volume, path in mounts.items()]
    return {**rest, **made}


def _mount(volume: str, path: str) -> kinds.VolumeMount:
    """Files that a pod reads once are not for it to write."""
    mount: kinds.VolumeMount = {"name": volume, "mountPath": path}
    if volume == "config":
        mount["readOnly"] = True
    return mount


def pod(
    workload: str,
    component: str,
    *,
    containers: Sequence[Obj],
    volumes: Sequence[Obj] = (),
    nodes: Mapping[str, str] | None = None,
    grace_seconds: int = 30,
    config: Any = None,
    annotations: Mapping[str, Any] | None = None,
    priority: Any = None,
    affinity: Obj | None = None,
    user: int = 65532,
) -> Obj:
    """A pod template that passes the *restricted* pod security standard and is spread over zones and nodes.

    ``config``: text of the files that its processes read once, at their start; a change replaces the pods.
    ``priority``: name of a PriorityClass that exists. ``user``: id that the image's files belong to; images that start
    as root would be refused without one.
    """
    spec: kinds.PodSpec = {
        "automountServiceAccountToken": False,
        "containers": [
            cast("kinds.Container", {**container, "securityContext": _CONTAINER}) for container in containers
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": grace_seconds,
        "topologySpreadConstraints": cast("list[kinds.TopologySpreadConstraint]", spread(workload)),
        "volumes": cast("list[kinds.Volume]", list(volumes)),
    }
    if nodes:
        spec["nodeSelector"] = dict(nodes)
    if priority is not None:
        spec["priorityClassName"] = priority
    if affinity:
        spec["affinity"] = cast("kinds.Affinity", affinity)
    metadata: kinds.ObjectMeta = {"labels": naming.labels(workload, component)}
    noted = dict(annotations or {})
    if config is not None:
        noted[CONFIG_ANNOTATION] = checksum(config)
    if noted:
        metadata["annotations"] = noted
    return {"metadata": metadata, "spec": spec}


def checksum(config: Any) -> Any:
    """Of a text, or of one that is known later."""
    if isinstance(config, pulumi.Output):
        return config.apply(checksum)
    return hashlib.sha256(str(config).encode()).hexdigest()[:16]


_CONTAINER: kinds.SecurityContext = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def spread(workload: str) -> list[Obj]:
    """Evenly over zones, then over nodes; a crowd is worse than a lopsided spread, so neither holds a pod back."""
    constraints: list[kinds.TopologySpreadConstraint] = [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": naming.selector(workload)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]
    return cast("list[Obj]", constraints)


def scratch(name: str, size: str) -> Obj:
    """A volume that goes with its pod. Who fills it is evicted."""
    return {"name": name, "emptyDir": {"sizeLimit": canonical(size)}}


def canonical_cpu(cpu: str) -> str:
    """CPU as the API server writes it: ``2000m`` is ``2``."""
    millis = sizing.cpu_millis(cpu)
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def canonical(size: str) -> str:
    """A size as the API server writes it, so that a refresh finds nothing changed: ``2048Mi`` is ``2Gi``."""
    number, unit = int(size[:-2]), size[-2:]
    while number % 1024 == 0 and (larger := {"Mi": "Gi", "Gi": "Ti"}.get(unit)):
        number, unit = number // 1024, larger
    return f"{number}{unit}"


def resources(cpu: str, memory: str, disk: str = "64Mi", *, reserved: bool = False) -> Obj:
    """Requests for all three, a limit for memory and disk: CPU that nobody uses is better used at the peak.

    ``reserved``: the disk is kept free for the pod. Else it is bounded only: a few lines of log need no reserve, and a
    machine that does not say what disk it has would never hold a pod that asks for some.
    """
    limits = {"memory": canonical(memory), "ephemeral-storage": canonical(disk)}
    kept = canonical(disk) if reserved else "0"
    requests = {"cpu": canonical_cpu(cpu), "memory": canonical(memory), "ephemeral-storage": kept}
    asked: kinds.ResourceRequirements = {"requests": requests, "limits": limits}
    return cast("Obj", asked)


ANYBODY, CLUSTER, NAMESPACE, COMPONENT = "anybody", "cluster", "namespace", "component"
"""Who may reach a port: the world, every pod of the cluster, those of the namespace, or the component's own."""


def network_policy(
    workload: str,
    namespace: Any,
    component: str,
    *,
    ports: Mapping[str, Mapping[str, int]],
    ranges: Sequence[str] = (),
) -> Obj:
    """Who may reach the pods of a workload; whatever is not named is closed. What they reach themselves is free.

    ``ports``: who → port's name → number, e.g. ``{CLUSTER: {"http": 8080}}``. ``ranges``: networks that ``ANYBODY`` is
    narrowed to, beside the cluster's own pods. A load balancer's ranges guard its address alone: the Service has a port
    on every node too.
    """
    outside: list[kinds.NetworkPolicyPeer] = [{"ipBlock": {"cidr": network}} for network in ranges]
    peers: dict[str, list[kinds.NetworkPolicyPeer] | None] = {
        ANYBODY: [*outside, {"namespaceSelector": {}}] if outside else None,
        CLUSTER: [{"namespaceSelector": {}}],
        NAMESPACE: [{"podSelector": {}}],
        COMPONENT: [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": component}}}],
    }
    rules: list[kinds.NetworkPolicyIngressRule] = []
    for who, open_to_them in ports.items():
        rule: kinds.NetworkPolicyIngressRule = {
            "ports": [{"port": number, "protocol": "TCP"} for number in open_to_them.values()]
        }
        if (peer := peers[who]) is not None:
            rule["from"] = peer
        rules.append(rule)
    spec: kinds.NetworkPolicySpec = {
        "podSelector": {"matchLabels": naming.selector(workload)},
        "policyTypes": ["Ingress"],
    }
    if rules:  # the API server keeps no empty list: a refresh would find it gone
        spec["ingress"] = rules
    return obj("networking.k8s.io/v1", "NetworkPolicy", workload, namespace, component, spec=spec)


def pod_monitor(workload: str, namespace: Any, component: str, *, port: str, path: str = "/metrics") -> Obj:
    """What a Prometheus Operator scrapes."""
    spec = {
        "selector": {"matchLabels": naming.selector(workload)},
        "podMetricsEndpoints": [{"port": port, "path": path}],
    }
    return obj("monitoring.coreos.com/v1", "PodMonitor", workload, namespace, component, spec=spec)


def priority_class(name: str, component: str, *, value: int, preempts: bool, says: str) -> Obj:
    """Who goes first where machines are short. ``preempts``: whether its pods may drive others out."""
    rest = {
        "value": value,
        "preemptionPolicy": "PreemptLowerPriority" if preempts else "Never",
        "description": says,
    }
    return obj("scheduling.k8s.io/v1", "PriorityClass", name, None, component, **rest)


def deployment(
    name: str,
    namespace: Any,
    component: str,
    *,
    template: Obj,
    replicas: int | None = None,
    surge: int | str = "25%",
    unavailable: int | str = 0,
) -> Obj:
    """A Deployment. ``replicas`` is None where an autoscaler is there from the start.

    ``surge``, ``unavailable``: how many pods an update may add, and take away, at a time.
    """
    spec: kinds.DeploymentSpec = {
        "selector": {"matchLabels": naming.selector(name)},
        "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        "template": cast("kinds.PodTemplateSpec", template),
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return obj("apps/v1", "Deployment", name, namespace, component, spec=spec)


def stateful_set(
    name: str,
    namespace: Any,
    component: str,
    *,
    replicas: int,
    headless: str,
    template: Obj,
    start_seconds: int,
    most: int | None = None,
    claims: Sequence[Obj] = (),
) -> Obj:
    """A StatefulSet whose pods start and stop at the same time, and keep their volumes when they leave.

    An update replaces them one by one, and Pulumi waits for all: for as long as each may take to go, by its grace, and
    ``start_seconds`` to be ready again. ``most``: how many there may be, where an operator adds some.
    """
    spec: kinds.StatefulSetSpec = {
        "replicas": replicas,
        "serviceName": headless,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": naming.selector(name)},
        "template": cast("kinds.PodTemplateSpec", template),
    }
    if claims:
        spec["volumeClaimTemplates"] = cast("list[kinds.PersistentVolumeClaim]", list(claims))
    made = obj("apps/v1", "StatefulSet", name, namespace, component, spec=spec)
    each = template["spec"]["terminationGracePeriodSeconds"] + start_seconds
    made["metadata"]["annotations"] = {WAIT_ANNOTATION: str(max(LEAST_WAIT_SECONDS, (most or replicas) * each))}
    return made


def claim(name: str, size: str, storage_class: Any = None) -> Obj:
    """A volume of each pod of a StatefulSet."""
    spec: kinds.PersistentVolumeClaimSpec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"metadata": {"name": name}, "spec": spec}


def http_probe(port: str, path: str, *, period: int = 5) -> Obj:
    """Ready when the path answers with a success."""
    probe: kinds.Probe = {"httpGet": {"port": port, "path": path}, "periodSeconds": period}
    return cast("Obj", probe)


def alive(probe: Obj, *, period: int = 10, failures: int = 6) -> Obj:
    """The same question as a liveness probe: slower, and patient. A crowd must not restart what serves it; a process
    that answers nothing for a minute is stuck.
    """
    patient: kinds.Probe = {"periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures}
    return {**probe, **patient}
