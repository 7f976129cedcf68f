"""Data processing: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.batch import BatchQueues

config = pulumi.Config()
settings = together.data_section(config.get_object("batch"), config.require("namespace"))
preflight.check(config.get_bool("preflight"), {"batch": settings})

batch = BatchQueues("batch", settings)

joined.export(joined.Batch, queues=batch.queues, priority=batch.priority, pool=batch.pool)
