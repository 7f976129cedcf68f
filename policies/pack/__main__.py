"""The policy pack. Building it starts a server and never returns, so that nothing else may import this file."""

from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy, StackValidationPolicy

from tidegate_policies.rules import RULES, Rule


def policy(rule: Rule) -> ResourceValidationPolicy | StackValidationPolicy:
    """A rule as the policy runtime wants it."""
    if check := rule.resource:
        return ResourceValidationPolicy(
            rule.name, rule.description, lambda args, report: check(args, lambda message: report(message, None))
        )
    return StackValidationPolicy(rule.name, rule.description, rule.stack)


PolicyPack("tidegate", [policy(rule) for rule in RULES], EnforcementLevel.MANDATORY)
