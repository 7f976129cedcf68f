"""The policy that events name, over what the other projects make: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs

config = pulumi.Config()
platform = joined.read(joined.Platform, together.stack(config, joined.Platform))
namespace = platform.apply(lambda it: it.namespace)
settings = together.section(EventPolicyArgs, "events", config.get_object("events") or {}, namespace=namespace)
preflight.check(config.get_bool("preflight"), {"events": settings})

moved = together.moves(config)
policy = EventPolicy("events", settings, moved.targets, pool=together.pool(config), limits=moved.limits)

joined.export(joined.Events, policy=policy.policy_name)
