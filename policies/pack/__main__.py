"""The policy pack. Building it starts a server and never returns, so that nothing else may import this file."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ResourceValidationPolicy,
    StackValidationPolicy,
)

from tidegate_policies.judging import Rule
from tidegate_policies.rules import RULES

ALLOW = {"allow": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}}}
"""Of every rule: URN, name or pattern → reason why it may break the rule."""


def policy(rule: Rule) -> ResourceValidationPolicy | StackValidationPolicy:
    """A rule as the policy runtime wants it."""
    level = EnforcementLevel.ADVISORY if rule.advisory else EnforcementLevel.MANDATORY
    schema = PolicyConfigSchema({**ALLOW, **{name: dict(one) for name, one in rule.settings.items()}})
    if check := rule.resource:
        return ResourceValidationPolicy(
            rule.name,
            rule.description,
            lambda args, report: check(args, lambda message: report(message, None)),
            level,
            schema,
        )
    return StackValidationPolicy(rule.name, rule.description, rule.stack, level, schema)


PolicyPack("tidegate", [policy(rule) for rule in RULES])
