# ruff: noqa: A005 - the folder is the name of the project
"""What the rest stands on: configuration, wiring, exports."""

import pulumi

from tidegate_stacks import joined, preflight, together
from tidegate_stacks.database import SCALED_KINDS
from tidegate_stacks.platform import Addons, Namespaces, NamespacesArgs, Operator, Priorities

config = pulumi.Config()
namespace = config.require("namespace")
protect = config.require_bool("protectData") or None
settings = together.platform({name: config.get_object(name) for name in together.PLATFORM_SECTIONS})
preflight.check(config.get_bool("preflight"), together.sections_of(settings))

# Apart: what is protected keeps everything that it depends on.
ground = Namespaces("ground", NamespacesArgs(names=(namespace,), protect=(namespace,) if protect else ()))
system = Namespaces("system", NamespacesArgs(names=(str(settings.operator.namespace),)))
after = pulumi.ResourceOptions(depends_on=[system])
operator = Operator("tidegate", settings.operator, scaled_kinds=SCALED_KINDS, opts=after)
# A database that is kept goes on needing its priority and its operator.
kept = pulumi.ResourceOptions(protect=protect)
priorities = Priorities("priorities", settings.priorities, opts=kept)
addons = Addons("addons", settings.addons, opts=kept)

joined.export(joined.Platform, namespace=namespace, system=operator.namespace, priority=priorities.serving)
