"""Rules that guard the seams between infrastructure code and the operator, as plain functions.

Nothing here imports ``pulumi_policy``: a pack object starts a server when it is built and never returns, so that only
``policies/pack`` builds one, in an environment of its own.
"""
