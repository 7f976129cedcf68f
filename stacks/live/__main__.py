"""The live origin: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.live import LiveOrigin, LiveOriginArgs

config = pulumi.Config()
platform = joined.read(joined.Platform, together.stack(config, joined.Platform))
settings = together.section(
    LiveOriginArgs,
    "live",
    config.get_object("live"),
    namespace=platform.apply(lambda it: it.namespace),
    priority=platform.apply(lambda it: it.priority),
    policy=None,
)
preflight.check(config.get_bool("preflight"), {"live": settings})

live = LiveOrigin("live", settings)

joined.export(
    joined.Live,
    publish=live.publish,
    play=live.play,
    segments=live.segments,
    targets=live.targets,
)
