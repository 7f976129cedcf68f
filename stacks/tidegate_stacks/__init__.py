"""Components that lay the ground Tidegate works on: operator, database, cache, edge, live origin, batch queues.

Each component is pure functions first (naming, sizing, the objects it renders), a Pulumi component second. A Pulumi
project beside this package (``stacks/all-in-one``) only reads configuration, wires components and exports.
"""
