"""``tidegate``: the command line. Also installed as ``kubectl-tidegate``, so that ``kubectl tidegate`` works.

Exit codes: 0 all right, 1 a finding (bad input, a refused release), 2 the command could not be carried out. What is
read is read without a cluster where files are given; ``--output json`` on everything that reads.
"""

from __future__ import annotations

import typer

from tidegate.cli import backtest, crds, demo, embedded, explain, plan, rbac, release, sample, validate, version

app = typer.Typer(
    name="tidegate",
    help="Capacity before the crowd, back before the bill: plans, explains and undoes what the operator does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.add_typer(backtest.app, name="backtest")
app.command("embedded")(embedded.embedded)
app.command("sample")(sample.sample)
app.command("validate")(validate.validate)
app.command("plan")(plan.plan)
app.command("explain")(explain.explain)
app.command("release")(release.release)
app.command("resume")(release.resume)
app.command("crds")(crds.crds)
app.command("rbac")(rbac.rbac)
app.command("version")(version.version)


if __name__ == "__main__":
    app()
