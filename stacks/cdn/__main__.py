"""The content network: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.cdn import Cdn, CdnArgs

config = pulumi.Config()
platform = joined.read(joined.Platform, together.stack(config, joined.Platform))
live = joined.read(joined.Live, together.stack(config, joined.Live))
settings = together.section(
    CdnArgs,
    "cdn",
    config.get_object("cdn"),
    namespace=platform.apply(lambda it: it.namespace),
    priority=platform.apply(lambda it: it.priority),
    policy=None,
)
preflight.check(config.get_bool("preflight"), {"cdn": settings})

cdn = Cdn("cdn", settings, origins=live.apply(lambda it: it.segments))

joined.export(
    joined.Cdn,
    host=cdn.host,
    shield=cdn.shield,
    prefetch=cdn.prefetch,
    egress_mbps=cdn.egress_mbps,
    sites=cdn.sites,
    targets=cdn.targets,
)
