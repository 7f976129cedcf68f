"""Everything on one cluster: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import naming, preflight
from tidegate_stacks.batch import BatchQueues
from tidegate_stacks.cache import Cache
from tidegate_stacks.cdn import Cdn
from tidegate_stacks.database import SCALED_KINDS, Database
from tidegate_stacks.live import LiveOrigin
from tidegate_stacks.platform import Addons, Namespaces, NamespacesArgs, Operator, Priorities
from tidegate_stacks.policy import EventPolicy
from tidegate_stacks.together import SECTIONS, read, sections_of

config = pulumi.Config()
namespace = config.require("namespace")
protect = config.require_bool("protectData")
priority = naming.child("priorities", "serving")
sections = {name: config.get_object(name) for name in SECTIONS}
settings = read(sections, namespace=namespace, protect=protect, priority=priority)
preflight.check(config.get_bool("preflight"), sections_of(settings), makes=[priority])

# Apart: what is protected keeps everything that it depends on.
ground = Namespaces("ground", NamespacesArgs(names=(namespace,), protect=(namespace,) if protect else ()))
system = Namespaces("system", NamespacesArgs(names=(str(settings.operator.namespace),)))
operator = Operator(
    "tidegate", settings.operator, scaled_kinds=SCALED_KINDS, opts=pulumi.ResourceOptions(depends_on=[system])
)
# A database that is kept goes on needing its priority and its operator.
kept = pulumi.ResourceOptions(protect=protect or None)
priorities = Priorities("priorities", settings.priorities, opts=kept)
addons = Addons("addons", settings.addons, opts=kept)
after = pulumi.ResourceOptions(depends_on=[ground, priorities, addons])
database = Database("database", settings.database, opts=after)
cache = Cache("cache", settings.cache, opts=after)
live = LiveOrigin("live", settings.live, opts=after)
cdn = Cdn("cdn", settings.cdn, origins=live.segment_hosts, opts=after)
batch = BatchQueues("batch", settings.batch, opts=pulumi.ResourceOptions(depends_on=[ground, operator, addons]))
policy = EventPolicy(
    "events",
    settings.events,
    [*database.targets, *cache.targets, *live.targets, *cdn.targets],
    pool=batch.pool,
    limits=database.limits,
    opts=pulumi.ResourceOptions(depends_on=[ground, operator]),
)

pulumi.export("policy", policy.policy_name)
pulumi.export("database", {"host": database.host, "secret": database.secret})
pulumi.export("cache", cache.host)
pulumi.export("publish", live.publish)
pulumi.export("play", live.play)
pulumi.export("cdn", {"host": cdn.host, "shield": cdn.shield, "prefetch": cdn.prefetch, "sites": cdn.sites})
pulumi.export("queues", batch.queues)
pulumi.export("pool", batch.pool)
