"""The pure core: from announcements and observations to levels, steps, reasons and verdicts.

One door: ``make_plan(world, now) -> Plan`` in ``planning.plan``. Nothing here reads a clock, an environment or a file.
"""
