"""The objects of a database: CloudNativePG's Cluster and Pooler, and what guards and watches their pods.

Facts of CloudNativePG that this module stands on (1.28 to 1.31, its documentation and source):

- Pods of instances bear ``cnpg.io/cluster`` and ``cnpg.io/podRole: instance``; those of poolers bear
  ``cnpg.io/poolerName``, which their Deployment selects by.
- Instances serve PostgreSQL at 5432, the operator at 8000, metrics at 9187; poolers serve 5432, metrics at 9127.
- A pooler's ``[databases]`` section is ``*``: it lets in every database. Rules of ``pg_hba`` come before its own rule
  ``host all all``, and the first rule that matches counts.
- A pooler looks passwords up in database ``postgres`` as a user of its own; these connections come on top.
- The operator deletes a PodMonitor that bears the name of a Cluster or Pooler without ``enablePodMonitor``, which is
  deprecated: ours have other names.
- With one instance its disruption budget never lets the only pod go, so a drain would wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate_stacks import naming, sizing
from tidegate_stacks.database_args import NO_BACKUP, BackupArgs, DatabaseArgs, durability_of, poolers_of
from tidegate_stacks.objects import (
    CLUSTER,
    NAMESPACE,
    Obj,
    alive,
    budget,
    network_policy,
    obj,
    pod_monitor,
    resources,
    spread,
)

API_VERSION = "postgresql.cnpg.io/v1"
BARMAN_PLUGIN = "barman-cloud.cloudnative-pg.io"
PORT = 5432
"""Of PostgreSQL and of PgBouncer alike."""
STATUS_PORT = 8000
INSTANCE_METRICS_PORT = 9187
POOLER_METRICS_PORT = 9127
ZONE = "topology.kubernetes.io/zone"
POOLERS_OVER = 1
"""Poolers above their number while an update replaces them, one at a time: their connections are counted too."""
SCRATCH = "1Gi"
"""CloudNativePG's temporary files of one instance: its own binary, sockets, segments fetched from the archive."""


# ---- PostgreSQL


def instances_of(name: str) -> dict[str, str]:
    """Labels of the instances' pods."""
    return {"cnpg.io/cluster": name, "cnpg.io/podRole": "instance"}


def parameters(args: DatabaseArgs) -> dict[str, str]:
    """Settings of PostgreSQL. Those that are read at its start alone do not follow ``peak``.

    Each pooler may hold its applications' connections and as many again that look passwords up. Only the first sort
    and join, so memory is divided over those.
    """
    connections = sizing.server_connections(
        poolers=args.most_poolers + POOLERS_OVER, per_pooler=2 * args.connections_per_pooler
    )
    working = sizing.server_connections(poolers=poolers_of(args).most, per_pooler=args.connections_per_pooler)
    return {
        **sizing.postgres_parameters(args.memory, connections=connections, working=working),
        **sizing.wal_parameters(args.wal_disk),
        "max_wal_senders": str(sizing.WAL_SENDERS),
    }


def cluster(name: str, args: DatabaseArgs) -> Obj:
    """The CloudNativePG Cluster."""
    disk: Obj = {"size": f"{args.data_gib * (100 + args.disk_headroom_percent) // 100}Gi"}
    wal: Obj = {"size": args.wal_disk}
    if args.storage_class is not None:
        disk["storageClass"] = wal["storageClass"] = args.storage_class
    # Requests equal limits: a database that is throttled or evicted at the peak is worse than idle CPU. The node's disk
    # is bounded and not reserved, as everywhere: the data lie on volumes.
    limits = {"cpu": args.cpu, "memory": args.memory, "ephemeral-storage": "2Gi"}
    requests = {**limits, "ephemeral-storage": "0"}
    spec: Obj = {
        "instances": args.instances,
        "storage": disk,
        "walStorage": wal,
        "resources": {"requests": requests, "limits": limits},
        "ephemeralVolumesSizeLimit": {
            "temporaryData": SCRATCH,
            "shm": f"{sizing.memory_bytes(args.memory) // sizing.MIB // 4}Mi",
        },
        "seccompProfile": {"type": "RuntimeDefault"},
        "postgresql": _postgresql(args),
        "bootstrap": {"initdb": {"database": args.database, "owner": args.database}},
        "affinity": {"podAntiAffinityType": "required", "topologyKey": "kubernetes.io/hostname"},
        "topologySpreadConstraints": [_over_zones(name, args)],
        "primaryUpdateStrategy": "unsupervised",
        "enablePDB": args.instances > 1,
    }
    if args.image is not None:
        spec["imageName"] = args.image
    if args.priority is not None:
        spec["priorityClassName"] = args.priority
    if isinstance(args.backup, BackupArgs):
        spec |= _archive(args.backup)
    return obj(API_VERSION, "Cluster", name, args.namespace, name, spec=spec)


def _postgresql(args: DatabaseArgs) -> Obj:
    made: Obj = {"parameters": parameters(args)}
    if durability := durability_of(args):
        made["synchronous"] = {
            "method": "any",
            "number": 1,
            "dataDurability": durability,
            # A failover waits until a replica that surely has every confirmed write can be told. Where writes pause
            # without a replica anyway, that costs nothing more.
            "failoverQuorum": durability == "required",
        }
    return made


def _over_zones(name: str, args: DatabaseArgs) -> Obj:
    return {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule" if args.zones == "required" else "ScheduleAnyway",
        "labelSelector": {"matchLabels": instances_of(name)},
    }


def _archive(backup: BackupArgs) -> Obj:
    if backup.object_store is None:
        return {"backup": {"volumeSnapshot": {"className": backup.snapshot_class}}}
    plugin = {"name": BARMAN_PLUGIN, "isWALArchiver": True, "parameters": {"barmanObjectName": backup.object_store}}
    return {"plugins": [plugin]}


def scheduled_backup(name: str, args: DatabaseArgs, backup: BackupArgs) -> Obj:
    """A backup by the clock, the first one at once."""
    spec: Obj = {
        "cluster": {"name": name},
        "schedule": backup.schedule,
        "backupOwnerReference": "cluster",
        "immediate": True,
        "method": "volumeSnapshot",
    }
    if backup.object_store is not None:
        spec |= {"method": "plugin", "pluginConfiguration": {"name": BARMAN_PLUGIN}}
    return obj(API_VERSION, "ScheduledBackup", naming.child(name, "daily"), args.namespace, name, spec=spec)


# ---- PgBouncer


def poolers_in(name: str) -> dict[str, str]:
    """Labels of the poolers' pods that CloudNativePG sets and never changes."""
    return {"cnpg.io/poolerName": naming.child(name, "pooler")}


def pooler_parameters(args: DatabaseArgs) -> dict[str, str]:
    """Settings of PgBouncer: each of its bounds is the same, so that none can be passed by asking differently.

    ``max_db_connections`` counts per database over all users, ``max_user_connections`` per user over all databases.
    With ``admitted``, which lets one database in, the first bounds the whole pooler.
    """
    most = str(args.connections_per_pooler)
    return {
        "max_client_conn": str(args.clients_per_pooler),
        "default_pool_size": most,
        "reserve_pool_size": "0",
        "max_db_connections": most,
        "max_user_connections": most,
    }


def admitted(args: DatabaseArgs) -> list[str]:
    """Rules of PgBouncer's ``pg_hba``: the one database, and no other. ``md5`` is CloudNativePG's own method; PgBouncer
    takes SCRAM for it where the password is stored so.
    """
    everywhere = ("0.0.0.0/0", "::/0")
    return [f"host {args.database} all {net} md5" for net in everywhere] + [
        f"host all all {net} reject" for net in everywhere
    ]


def pooler(name: str, args: DatabaseArgs) -> Obj:
    """PgBouncer in front of the primary."""
    spec: Obj = {
        "cluster": {"name": name},
        "instances": poolers_of(args).normal,
        "type": "rw",
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": POOLERS_OVER, "maxUnavailable": 0},
        },
        "pgbouncer": {"poolMode": "transaction", "parameters": pooler_parameters(args), "pg_hba": admitted(args)},
        "template": _pooler_pod(name, args),
    }
    return obj(API_VERSION, "Pooler", naming.child(name, "pooler"), args.namespace, name, spec=spec)


def _pooler_pod(name: str, args: DatabaseArgs) -> Obj:
    """CloudNativePG completes it: user and group, volumes, command, service account, whose token it needs."""
    listens: Obj = {"tcpSocket": {"port": PORT}, "periodSeconds": 5, "timeoutSeconds": 5}
    container: Obj = {
        "name": "pgbouncer",
        # Its scratch volume takes CloudNativePG's manager, about 100 MB.
        "resources": resources("500m", "256Mi", "512Mi"),
        "readinessProbe": listens,
        "livenessProbe": alive(listens),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    if args.pooler_image is not None:
        container["image"] = args.pooler_image
    workload = naming.child(name, "pooler")
    apart = [{**one, "labelSelector": {"matchLabels": poolers_in(name)}} for one in spread(workload)]
    spec: Obj = {
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": apart,
    }
    if args.priority is not None:
        spec["priorityClassName"] = args.priority
    return {"metadata": {"labels": {**naming.labels(workload, name), **poolers_in(name)}}, "spec": spec}


# ---- what guards and watches their pods


def guards(name: str, args: DatabaseArgs) -> list[Obj]:
    """Budget of the poolers, and who may reach the pods. The operator makes the instances' budgets itself."""
    poolers = naming.child(name, "pooler")
    held = _chosen(budget(pooler(name, args), unavailable=1, component=name), poolers_in(name))
    return [held, _reach_instances(name, args), _reach_poolers(name, poolers, args)]


def _reach_instances(name: str, args: DatabaseArgs) -> Obj:
    """Each other, jobs and poolers, and the operator. Where replicas serve reads, the whole namespace."""
    ports: dict[str, dict[str, int]] = {}
    if args.reads:
        ports[NAMESPACE] = {"postgresql": PORT}
    if args.monitor:
        ports[CLUSTER] = {"metrics": INSTANCE_METRICS_PORT}
    made = _chosen(network_policy(name, args.namespace, name, ports=ports), instances_of(name))
    own = [{"podSelector": {"matchLabels": labels}} for labels in ({"cnpg.io/cluster": name}, poolers_in(name))]
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": args.operator_namespace}}}
    open_ports = [{"port": port, "protocol": "TCP"} for port in (PORT, STATUS_PORT)]
    made["spec"].setdefault("ingress", []).append({"from": [*own, operator], "ports": open_ports})
    return made


def _reach_poolers(name: str, poolers: str, args: DatabaseArgs) -> Obj:
    ports = {NAMESPACE: {"pgbouncer": PORT}}
    if args.monitor:
        ports[CLUSTER] = {"metrics": POOLER_METRICS_PORT}
    return _chosen(network_policy(poolers, args.namespace, name, ports=ports), poolers_in(name))


def monitors(name: str, args: DatabaseArgs) -> list[Obj]:
    """What Prometheus scrapes, where the cluster serves the kind."""
    if not args.monitor:
        return []
    both = (
        (naming.child(name, "metrics"), instances_of(name)),
        (naming.child(name, "pooler-metrics"), poolers_in(name)),
    )
    return [_chosen(pod_monitor(called, args.namespace, name, port="metrics"), pods) for called, pods in both]


def _chosen(made: Obj, pods: Mapping[str, str]) -> Obj:
    """The object with a selector of pods that CloudNativePG labels."""
    field = "podSelector" if made["kind"] == "NetworkPolicy" else "selector"
    return {**made, "spec": {**made["spec"], field: {"matchLabels": dict(pods)}}}


def all_objects(name: str, args: DatabaseArgs) -> tuple[Obj, list[Obj]]:
    """The Cluster, and everything that is made after it."""
    after: list[Any] = [pooler(name, args), *guards(name, args), *monitors(name, args)]
    if args.backup is not None and args.backup != NO_BACKUP:
        after.append(scheduled_backup(name, args, args.backup))
    return cluster(name, args), after
