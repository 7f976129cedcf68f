"""Objects of a cache: the servers' configuration, the scripts beside them, and a StatefulSet for each shard."""

from __future__ import annotations

from importlib.resources import files

from tidegate_stacks import naming, sizing
from tidegate_stacks.cache_args import CacheArgs, CacheAuthArgs, CacheTlsArgs
from tidegate_stacks.objects import (
    CLUSTER,
    COMPONENT,
    NAMESPACE,
    Obj,
    alive,
    budget,
    claim,
    container,
    http_probe,
    network_policy,
    pod,
    pod_monitor,
    scratch,
    stateful_set,
)

PORT = 6379
BUS_PORT = PORT + 10_000
"""Port of the cluster bus; the protocol's rule."""
METRICS_PORT = 9121
"""Port of redis_exporter, by its default."""
SCRIPTS = ("alive.sh", "common.sh", "join.sh", "leave.sh", "meet.sh", "ready.sh", "serve.sh", "tidy.sh")
LEAST = 2
"""Pods of a shard: one that writes, one that takes over."""
CLIENTS_PERCENT = 10
"""Share of ``maxmemory`` that clients' buffers may take together (judgement). Beyond it the largest one is cut off."""
DRAIN_SECONDS = 60
NEVER_SECONDS = 3600
"""How long a server lets those wait that ask it for a copy, until ``join.sh`` finds that it has its place."""
USER = 999
"""Owner of the files in Valkey's and Redis's images."""
TLS_FOLDER = "/etc/cache-tls"
USERS_FOLDER = "/etc/cache-users"
NOT_PROTECTED = {"tidegate.dev/allow": "databases-are-protected: a cache, which fills again from what stands behind it"}
"""What the policy pack's rules are told of a shard's volumes."""
FIRST_POD = {"apps.kubernetes.io/pod-index": "0"}
"""Label that the StatefulSet controller gives to the first pod (Kubernetes 1.28)."""


def pods_of(args: CacheArgs) -> sizing.Range:
    """Pods of each shard, its writing one among them; slots spread the reads evenly over shards."""
    return sizing.serving_range(
        -(-args.normal // args.shards),
        -(-args.peak // args.shards),
        per_unit=args.per_node,
        headroom_percent=20,
        least=LEAST,
    )


def server_conf(args: CacheArgs) -> str:
    """The server: a cache, so nothing is kept on disk but the node's place in the cluster.

    A reader receives its copy without a file, since its volume is smaller than a shard. If a reader that is full has
    to copy all again, it holds both copies for a while and may exceed its memory: it then starts anew, empty, and
    copies once. The backlog is as large as it is so that this is rare. A reader may take over however long its master
    has been away: as long as nobody served the shard, nobody wrote what it lacks. A new server gives nobody a copy of
    its emptiness: replication does not ask who lives at an address, and a replica would give up what it holds.

    Answers that a client does not read count as memory: without a bound of their own they would drive out all keys.
    """
    backlog = sizing.replication_backlog_bytes(args.memory)
    pending = sizing.replica_buffer_bytes(args.memory)
    listening = f"port {PORT}\n" if args.tls is None else _tls_conf(args.tls)
    return f"""\
{listening}dir /data
save ""
appendonly no
cluster-enabled yes
cluster-config-file /data/nodes.conf
cluster-node-timeout 5000
cluster-require-full-coverage no
cluster-allow-replica-migration no
cluster-replica-validity-factor 0
maxmemory {sizing.max_memory_bytes(args.memory)}
maxmemory-policy allkeys-lru
maxmemory-clients {CLIENTS_PERCENT}%
repl-diskless-sync yes
repl-diskless-sync-delay {NEVER_SECONDS}
repl-diskless-load swapdb
repl-backlog-size {backlog}
client-output-buffer-limit replica {pending} {pending} 0
protected-mode no
"""


def _tls_conf(args: CacheTlsArgs) -> str:
    """Clients are sent to pods by name: a certificate cannot bear addresses that change with every start."""
    clients = "yes" if args.clients_show_theirs else "optional"
    return f"""\
port 0
tls-port {PORT}
tls-cert-file {TLS_FOLDER}/tls.crt
tls-key-file {TLS_FOLDER}/tls.key
tls-ca-cert-file {TLS_FOLDER}/ca.crt
tls-auth-clients {clients}
tls-replication yes
tls-cluster yes
cluster-preferred-endpoint-type hostname
"""


def scripts() -> dict[str, str]:
    """Shell scripts that pods run, by file name."""
    folder = files("tidegate_stacks") / "scripts" / "cache"
    return {name: (folder / name).read_text(encoding="utf-8") for name in SCRIPTS}


def config_files(args: CacheArgs) -> dict[str, str]:
    """All files that a pod reads, by name."""
    return {"server.conf": server_conf(args), **scripts()}


def shard_objects(name: str, args: CacheArgs, shard: int, slots: sizing.SlotRange) -> list[Obj]:
    """One shard: pods that find their place by themselves."""
    workload = naming.child(name, str(shard))
    shard_set = stateful_set(
        workload,
        args.namespace,
        name,
        replicas=pods_of(args).normal,
        headless=naming.child(name, "nodes"),
        start_seconds=_start_seconds(args),
        most=pods_of(args).most,
        template=_template(name, args, shard, slots),
        claims=[claim("data", "1Gi", args.storage_class)],
    )
    # The volume of a peak's reader goes with the reader. Those of a StatefulSet that is deleted stay: a shard that is
    # laid anew then comes back as the nodes that the others know, with the slots that they hold.
    shard_set["metadata"].setdefault("annotations", {}).update(NOT_PROTECTED)
    shard_set["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenScaled": "Delete", "whenDeleted": "Retain"}
    clients = NAMESPACE if args.reach == "namespace" else CLUSTER
    ports: dict[str, dict[str, int]] = {clients: {"redis": PORT}, COMPONENT: {"bus": BUS_PORT}}
    if args.exporter is not None:
        ports[CLUSTER] = {**ports.get(CLUSTER, {}), "metrics": METRICS_PORT}
    made = [
        shard_set,
        budget(shard_set, unavailable=1, component=name, holds_state=True),
        network_policy(workload, args.namespace, name, ports=ports),
    ]
    return [*made, pod_monitor(workload, args.namespace, name, port="metrics")] if args.monitor else made


def _start_seconds(args: CacheArgs) -> int:
    """How long one pod takes to serve: its volume, its start and its copy; doubled, since nodes differ (judgement)."""
    return 2 * sizing.cache_lead_seconds(
        sizing.shard_mib(args.data_gib, shards=args.shards),
        copies=1,
        copy_mib_per_second=args.copy_mib_per_second,
        attach_seconds=args.attach_seconds,
    )


def _template(name: str, args: CacheArgs, shard: int, slots: sizing.SlotRange) -> Obj:
    workload = naming.child(name, str(shard))
    return pod(
        workload,
        name,
        containers=_containers(name, args, slots),
        volumes=_volumes(name, args),
        nodes=args.nodes,
        grace_seconds=DRAIN_SECONDS,
        config="\n".join(config_files(args).values()),
        priority=args.priority,
        affinity=affinity(workload, name, apart=args.apart),
        user=USER,
    )


def affinity(workload: str, component: str, *, apart: bool) -> Obj:
    """Where the pods of a shard may stand.

    No pod of a shard shares a machine with the shard's first pod, so that no machine holds a whole shard. Pods of the
    same number in different shards avoid each other with the scheduler's highest weight: the first pods are the first
    masters, and a machine that holds most of them takes the quorum along. That is no hard rule, since two hard rules
    block each other: with three machines, the only one without a first pod may be the one that the first rule forbids,
    and the pod would wait for ever. ``spread_masters`` of the scripts holds for what comes later.
    """
    own_first = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {**naming.selector(workload), **FIRST_POD}},
    }
    weights = {"kubernetes.io/hostname": 100, "topology.kubernetes.io/zone": 50}
    preferred: list[Obj] = [
        {
            "weight": weight,
            "podAffinityTerm": {
                "topologyKey": key,
                "labelSelector": {"matchLabels": {"app.kubernetes.io/part-of": component}},
                "matchLabelKeys": list(FIRST_POD),
            },
        }
        for key, weight in weights.items()
    ]
    rules: Obj = {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
    if apart:
        rules["requiredDuringSchedulingIgnoredDuringExecution"] = [own_first]
    else:
        preferred.append({"weight": 100, "podAffinityTerm": own_first})
    return {"podAntiAffinity": rules}


def _containers(name: str, args: CacheArgs, slots: sizing.SlotRange) -> list[Obj]:
    env = _env(name, args, slots)
    ready = {"exec": {"command": ["sh", "/etc/cache/ready.sh"]}, "periodSeconds": 5, "timeoutSeconds": 5}
    mounts = {"config": "/etc/cache", **({"tls": TLS_FOLDER} if args.tls else {})}
    users = {"users": USERS_FOLDER} if args.auth and args.auth.user else {}
    server = container(
        "server",
        args.image,
        cpu=args.cpu,
        memory=args.memory,
        command=["sh", "/etc/cache/serve.sh"],
        env=env,
        ready=ready,
        alive=alive({"exec": {"command": ["sh", "/etc/cache/alive.sh", "server"]}}),
        ports={"redis": PORT, "bus": BUS_PORT},
        mounts={**mounts, **users, "data": "/data"},
        lifecycle={"preStop": {"exec": {"command": ["sh", "/etc/cache/leave.sh"]}}},
    )
    join = container(
        "join",
        args.image,
        cpu="10m",
        memory="32Mi",
        command=["sh", "/etc/cache/join.sh"],
        env=env,
        alive=alive({"exec": {"command": ["sh", "/etc/cache/alive.sh", "join"]}}),
        mounts={**mounts, "beat": "/beat"},
    )
    return [server, join, *_exporter(args)]


def _exporter(args: CacheArgs) -> list[Obj]:
    """Reads the server's counts on loopback, where its certificate's names do not fit: nothing leaves the pod."""
    if args.exporter is None:
        return []
    # Its port is open to the cluster and asks nobody who he is. /scrape would send the password to any address that the
    # asker names, and tell the values of keys.
    told = {
        "REDIS_ADDR": f"{'rediss' if args.tls else 'redis'}://127.0.0.1:{PORT}",
        "REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT": "true",
        "REDIS_EXPORTER_DISABLE_EXPORTING_KEY_VALUES": "true",
    }
    if args.tls:
        told |= {
            "REDIS_EXPORTER_SKIP_TLS_VERIFICATION": "true",
            "REDIS_EXPORTER_TLS_CLIENT_CERT_FILE": f"{TLS_FOLDER}/tls.crt",
            "REDIS_EXPORTER_TLS_CLIENT_KEY_FILE": f"{TLS_FOLDER}/tls.key",
        }
    env: list[Obj] = [{"name": key, "value": value} for key, value in told.items()]
    if args.auth:
        env.append({"name": "REDIS_PASSWORD", "valueFrom": _password(args.auth)})
        env += [{"name": "REDIS_USER", "value": args.auth.user}] if args.auth.user else []
    # No readiness: a shard whose counts cannot be read serves as ever.
    made = container(
        "exporter",
        args.exporter,
        cpu="10m",
        memory="64Mi",
        env=env,
        alive=alive(http_probe("metrics", "/health")),
        ports={"metrics": METRICS_PORT},
        mounts={"tls": TLS_FOLDER} if args.tls else {},
    )
    return [made]


def _volumes(name: str, args: CacheArgs) -> list[Obj]:
    volumes: list[Obj] = [
        {"name": "config", "configMap": {"name": naming.child(name, "config")}},
        scratch("beat", "1Mi"),
    ]
    if args.tls:
        volumes.append({"name": "tls", "secret": {"secretName": args.tls.secret}})
    if args.auth and args.auth.user:
        users = {"secretName": args.auth.secret, "items": [{"key": "users.acl", "path": "users.acl"}]}
        volumes.append({"name": "users", "secret": users})
    return volumes


def _env(name: str, args: CacheArgs, slots: sizing.SlotRange) -> list[Obj]:
    """What the scripts read; ``common.sh`` and ``join.sh`` say what each is."""
    told = {
        "PORT": str(PORT),
        "SHARDS": str(args.shards),
        "CORE": str(LEAST),
        "FIRST_SLOT": str(slots.first),
        "LAST_SLOT": str(slots.last),
        "SEED": f"{naming.child(name, '0')}-0.{naming.child(name, 'nodes')}.$(NAMESPACE).svc",
        "SYNC_DELAY_SECONDS": str(sizing.CACHE_SYNC_DELAY_SECONDS),
        "BEAT": "/beat/join",
        **({"TLS": TLS_FOLDER} if args.tls else {}),
    }
    fields = {
        "POD": "metadata.name",
        "NAMESPACE": "metadata.namespace",
        "POD_IP": "status.podIP",
        "MACHINE": "spec.nodeName",
    }
    return [
        *({"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()),
        *({"name": key, "value": value} for key, value in told.items()),
        *_credentials(args),
    ]


def _credentials(args: CacheArgs) -> list[Obj]:
    if args.auth is None:
        return []
    password = _password(args.auth)
    env: list[Obj] = [{"name": name, "valueFrom": password} for name in ("VALKEYCLI_AUTH", "REDISCLI_AUTH")]
    if args.auth.user:
        env.append({"name": "CACHE_USER", "value": args.auth.user})
        env.append({"name": "USERS", "value": f"{USERS_FOLDER}/users.acl"})
    return env


def _password(auth: CacheAuthArgs) -> Obj:
    return {"secretKeyRef": {"name": auth.secret, "key": "password"}}
