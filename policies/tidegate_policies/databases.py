"""What holds data: databases of operators and of clouds, claims of volumes.

Both are known by tables of names, and by words: an operator's group or kind that bears an engine's name, and a cloud's
module that does. What only describes, guards or reads a database (a user, a backup, a read replica) holds no data.
"""

from __future__ import annotations

import re
from typing import Any

from tidegate_policies.resources import RELEASE, Kind, Object, Seen
from tidegate_policies.values import UNKNOWN, look

_KINDS = frozenset(
    {
        ("", "PersistentVolumeClaim"),
        ("apps.kubeblocks.io", "Cluster"),
        ("app.redislabs.com", "RedisEnterpriseCluster"),
        ("app.redislabs.com", "RedisEnterpriseDatabase"),
        ("core.pingcap.com", "Cluster"),
        ("db.atlasgo.io", "AtlasDatabase"),
        ("k8ssandra.io", "K8ssandraCluster"),
        ("kafka.strimzi.io", "Kafka"),
        ("mongodb.com", "MongoDB"),
        ("planetscale.com", "VitessCluster"),
        ("rabbitmq.com", "RabbitmqCluster"),
        ("stackgres.io", "SGCluster"),
        ("stackgres.io", "SGShardedCluster"),
        ("ydb.tech", "Storage"),
    }
)
"""Kinds whose name and group say nothing of a database."""

_ENGINES = (
    "aerospike|alloydb|arango|bigtable|cassandra|clickhouse|cockroach|cosmosdb|couch|crdb|cynosdb|docdb|documentdb|dragonfly"
    "|druid|dynamodb|elasticache|elasticsearch|etcd|firestore|fdb|foundationdb|greenplum|influxdb|innodb|keydb|keyspaces"
    "|kubedb|kvrocks|maria|memorydb|milvus|mongo|mssql|mysql|neo4j|neptune|nebula|obcluster|oceanbase|opensearch|percona"
    "|perconaxtradb|perconapg|perconaserver|polardb|postgres|postgresql|pxc|psmdb|qdrant|questdb|rds|redis|redshift|scylla"
    "|singlestore|solr|spanner|starrocks|surrealdb|tarantool|tidb|timescale|valkey|vitess|weaviate|yugabyte|ybcluster|ydb"
)
_ENGINE_IN_GROUP = re.compile(rf"(?:^|[.-])(?:{_ENGINES}|databases?|sql)", re.IGNORECASE)
_ENGINE_IN_KIND = re.compile(rf"^(?:{_ENGINES}|PG(?:Cluster|Shard)|Doris|Kv?rocks)", re.IGNORECASE)
_BESIDE = re.compile(
    "(?:(?<!Database)Account|ActionGroup|Association|Backup\\w*|Binding|Catalog|Claim|Config\\w*|Connect\\w*|Credentials?|Dashboard|Endpoint|Exporter|Extension"
    "|Failback|Firewall\\w*|Grants?|Import|Job|Maintenance\\w*|Migration|Monitor\\w*|Option\\w*|Operator\\w*|OpsRequest"
    "|Parameters?|ParameterGroup|Policy|Pooler|Privileges?|Probe|Proxy|Publication|Quota|Rebuild|Restore\\w*"
    "|Reader?Instance|Roles?|Rule|Schedule\\w*|Schema|Secret\\w*|SecurityGroup|Sentinel|ServiceMonitor|Settings?|Snapshot"
    "|SubnetGroup|Subscription|Task|Template|Topic|Upgrade|Users?|(?<!Lake)Version|View|Whitelist|Allowlist)$"
)
"""Ends of names of what stands beside a database."""

_PARTS = re.compile("Read[Oo]nly|ReadReplica|ClusterInstance|GlobalClusterMember")
"""Nodes whose deletion leaves the data where they are."""

_MODULES = re.compile(
    rf"(?:{_ENGINES}|adb|cache|cdb|databases?|dbfor\w+|db|dcdb|dds|drds|gaussdb|gdb|gpdb|graphdatabase|hbase|keewidb|kvstore|lindorm"
    r"|memorystore|ocean|ots|qldb|selectdb|sql|sqlserver|tablestore|tcaplus|tdsql\w*|timestream\w*|tsdb|vdb)\w*",
    re.IGNORECASE,
)
"""Modules of a cloud's package that are of databases."""

_STORES = re.compile(
    "(?:Cache|Cluster|DbSystem|Ledger|SqlContainer|Database|Databases?Account|Domain|Graph|Instance|Instances|Keyspace|Lake\\w*|ReplicationGroup|Redis"
    "|\\w*Enterprise|RedisCache|Server|ManagedInstance|Table|Tair\\w*|Collection|AdvancedCluster|Db|DB|Namespace\\w*"
    "|Workgroup\\w*|\\w*Instance)(?:V[0-9]+)?$"
)
"""Ends of types that hold data, within such a module."""

_NO_SERVER = re.compile("operator|exporter|crds?$|proxy|admin|console|dashboard|curator|backup|ui$", re.IGNORECASE)
"""Charts that bear an engine's name and are none."""

_ANYWHERE = re.compile("^(?:Managed)?Database(?:Cluster|Instance|Mysql\\w*|Postgresql\\w*)?$")
_NO_CLOUD = frozenset({"command", "docker", "kubernetes", "pulumi", "pulumi-python", "pulumi-nodejs", "random", "time"})


def holds_data(kind: Kind) -> bool:
    """Whether the deletion of an object of this kind deletes data."""
    if kind in _KINDS:
        return True
    group, name = kind
    if "." not in group or kind == ("postgresql.cnpg.io", "Database") or _BESIDE.search(name) or _PARTS.search(name):
        return False
    return bool(_ENGINE_IN_KIND.search(name) or _ENGINE_IN_GROUP.search(group)) or group == "postgresql.cnpg.io"


def is_cloud_database(token: str) -> bool:
    """Whether a resource of this type is a database of a cloud: ``alicloud:rds/instance:Instance``."""
    package, _, rest = token.partition(":")
    module, _, name = rest.rpartition(":")
    if "/" not in module and not package.endswith("-native"):
        return False  # a component, of which the parts are judged
    if package.lower() in _NO_CLOUD or _BESIDE.search(name) or _PARTS.search(name):
        return name == "Account" and "cosmosdb" in module.lower()
    if _ANYWHERE.match(name):
        return True
    within = _MODULES.fullmatch(module.partition("/")[0]) or _ENGINE_IN_KIND.match(package)
    return bool(within and (_STORES.search(name) or _ENGINE_IN_KIND.fullmatch(name)))


def is_database_chart(chart: Any) -> bool:
    """Whether a chart is that of a database, by its name: what Helm makes of it is not seen."""
    name = chart.rstrip("/").rpartition("/")[2] if isinstance(chart, str) else ""
    return bool(_ENGINE_IN_KIND.match(name)) and not _NO_SERVER.search(name)


def why(one: Object) -> str:
    """What of an object holds data, as a noun; empty when nothing does."""
    if one.patch:
        return ""
    if holds_data(one.kind):
        return "a claim of a volume" if one.kind == ("", "PersistentVolumeClaim") else "a database"
    if one.kind == ("apps", "StatefulSet") and (claims := look(one.props, "spec.volumeClaimTemplates")):
        return "what may have claims of volumes (not known yet)" if claims is UNKNOWN else "a workload with volumes"
    return ""


def data_of(seen: Seen) -> list[tuple[str, Object | None]]:
    """What a resource holds: a noun, and the object, where it is one of a cluster."""
    if is_cloud_database(seen.type) or (seen.type == RELEASE and is_database_chart(look(seen.props, "chart"))):
        return [("a database", None)]
    return [(noun, one) for one in seen.objects if (noun := why(one))]
