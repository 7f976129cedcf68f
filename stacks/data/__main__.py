"""The database: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.database import Database, DatabaseArgs

config = pulumi.Config()
platform = joined.read(joined.Platform, together.stack(config, joined.Platform))
settings = together.section(
    DatabaseArgs,
    "database",
    config.get_object("database"),
    namespace=platform.apply(lambda it: it.namespace),
    priority=platform.apply(lambda it: it.priority),
    policy=None,
    protect=config.require_bool("protectData"),
)
preflight.check(config.get_bool("preflight"), {"database": settings})

database = Database("database", settings)

joined.export(
    joined.Data,
    host=database.host,
    secret=database.secret,
    targets=database.targets,
    limits=database.limits,
)
