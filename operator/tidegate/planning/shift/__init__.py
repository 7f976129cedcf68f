"""The capacity shift: lanes of one pool lend each other machines around a peak and get them back when promised.

``plan.plan_pool`` decides for all needs of a pool together what is granted and which work stops when;
``step.step`` moves each lent thing one state on, from what was stored and what is seen now. Pure, as all of
``planning``: instants are epoch seconds, amounts are whole millicores and MiB.
"""
