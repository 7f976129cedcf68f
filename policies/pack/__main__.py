"""The policy pack. Building it starts a server and never returns, so that nothing else may import this file."""

from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy, StackValidationPolicy

from tidegate_policies.rules import RULES, Rule


def policy(rule: Rule) -> ResourceValidationPolicy | StackValidationPolicy:
    """A rule as the policy runtime wants it."""
    if rule.resource:
        return ResourceValidationPolicy(rule.name, rule.description, rule.resource)
    return StackValidationPolicy(rule.name, rule.description, rule.stack)


PolicyPack("tidegate", [policy(rule) for rule in RULES], EnforcementLevel.MANDATORY)
