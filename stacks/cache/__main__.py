"""The cache: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.cache import Cache, CacheArgs

config = pulumi.Config()
platform = joined.read(joined.Platform, together.stack(config, joined.Platform))
settings = together.section(
    CacheArgs,
    "cache",
    config.get_object("cache"),
    namespace=platform.apply(lambda it: it.namespace),
    priority=platform.apply(lambda it: it.priority),
    policy=None,
)
preflight.check(config.get_bool("preflight"), {"cache": settings})

cache = Cache("cache", settings)

joined.export(joined.Cache, host=cache.host, targets=cache.targets)
