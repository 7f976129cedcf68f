"""Everything on one cluster: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import naming
from tidegate_stacks.batch import BatchQueues
from tidegate_stacks.cache import Cache
from tidegate_stacks.database import SCALED_KINDS, Database
from tidegate_stacks.edge import EdgeCache
from tidegate_stacks.live import LiveOrigin
from tidegate_stacks.platform import Namespaces, NamespacesArgs, Operator, Priorities, PrioritiesArgs
from tidegate_stacks.policy import EventPolicy
from tidegate_stacks.together import SECTIONS, read

config = pulumi.Config()
namespace = config.require("namespace")
protect = config.require_bool("protectData")
priority = naming.child("priorities", "serving")
sections = {name: config.get_object(name) for name in SECTIONS}
settings = read(sections, namespace=namespace, protect=protect, priority=priority)

# Apart: what is protected keeps everything that it depends on.
ground = Namespaces("ground", NamespacesArgs(names=(namespace,), protect=(namespace,) if protect else ()))
system = Namespaces("system", NamespacesArgs(names=(str(settings.operator.namespace),)))
operator = Operator(
    "tidegate", settings.operator, scaled_kinds=SCALED_KINDS, opts=pulumi.ResourceOptions(depends_on=[system])
)
priorities = Priorities("priorities", PrioritiesArgs())
after = pulumi.ResourceOptions(depends_on=[ground, priorities])
database = Database("database", settings.database, opts=after)
cache = Cache("cache", settings.cache, opts=after)
live = LiveOrigin("live", settings.live, opts=after)
edge = EdgeCache("edge", settings.edge, origins=live.segment_hosts, opts=after)
batch = BatchQueues("batch", settings.batch, opts=pulumi.ResourceOptions(depends_on=[ground, operator]))
policy = EventPolicy(
    "events",
    settings.events,
    [*database.targets, *cache.targets, *live.targets, *edge.targets],
    pool=batch.pool,
    limits=database.limits,
    opts=pulumi.ResourceOptions(depends_on=[ground, operator]),
)

pulumi.export("policy", policy.policy_name)
pulumi.export("database", {"host": database.host, "secret": database.secret})
pulumi.export("cache", cache.host)
pulumi.export("publish", live.publish)
pulumi.export("play", live.play)
pulumi.export("edge", edge.services)
pulumi.export("queues", batch.queues)
pulumi.export("pool", batch.pool)
