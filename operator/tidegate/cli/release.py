"""``tidegate release`` and ``tidegate resume``: give everything back, with or without an operator."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import Output, failed

if TYPE_CHECKING:
    from tidegate.control.ledger import Ledger
    from tidegate.ports import Loan
    from tidegate.targets.client import KubeClient

OBEY = 3.0
"""Seconds that a live operator is given to see the stop before its loans are returned."""


def release(
    everything: Annotated[
        bool, typer.Option("--all", help="return every loan; required, so that nobody does it by accident")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="also while an event is live")] = False,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            help="return only loans of this namespace; may be repeated; the operator borrows nothing anywhere until "
            "tidegate resume",
        ),
    ] = None,
    operator_namespace: Annotated[
        str,
        typer.Option(envvar="TIDEGATE_OPERATOR_NAMESPACE", help="where the operator runs: the stop is written there"),
    ] = "tidegate",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT,
) -> None:
    """Return everything that was borrowed: values, owners, and the Loan objects.

    First a durable stop is written that a live operator obeys (tidegate resume lifts it). Values are restored at
    once, not in steps: an autoscaler without a gentle behavior.scaleDown falls to its metric's level in seconds.
    While a loan is live nothing is done without --now.
    """
    if not everything:
        raise failed("nothing done: say --all to return every loan", output, 1)
    told = _run(_release(now=now, namespace=namespace, operator_namespace=operator_namespace), output)
    if output is Output.JSON:
        print(json.dumps(told))
    else:
        _tell(told)
    raise typer.Exit(1 if told["refused"] or told["failed"] else 0)


def resume(
    operator_namespace: Annotated[
        str, typer.Option(envvar="TIDEGATE_OPERATOR_NAMESPACE", help="where the operator runs")
    ] = "tidegate",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT,
) -> None:
    """Lift the durable stop: the operator borrows again."""
    lifted = _run(_resume(operator_namespace), output)
    if output is Output.JSON:
        print(json.dumps({"lifted": lifted}))
    else:
        print("the stop is lifted" if lifted else "there was no stop")


def _run(job: Any, output: Output) -> Any:
    from tidegate.ports import TidegateError

    try:
        return asyncio.run(job)
    except TidegateError as error:
        raise failed(f"not done: {error}", output, 2) from error


def _tell(told: dict[str, Any]) -> None:
    for name in told["live"] if told["refused"] else ():
        print(f"live: {name}")
    if told["refused"]:
        print(
            "nothing done: loans are live, returning them now lowers capacity in mid-event; add --now to do it anyway"
        )
        return
    for name in told["returned"]:
        print(f"returned: {name}")
    for name, why in told["failed"].items():
        print(f"not returned: {name}: {why}")
    print(
        f"{len(told['returned'])} returned, {len(told['failed'])} left; the operator is stopped until `tidegate resume`"
    )


@dataclass(frozen=True, slots=True)
class _Person:
    """Whoever runs the command may write. The epoch is that of the Loans that are returned: a Loan keeps the epoch of
    the leader that wrote it, for only the operator may write another one into it.
    """

    epoch: int

    def may_write(self) -> bool:
        return True


async def _release(*, now: bool, namespace: list[str] | None, operator_namespace: str) -> dict[str, Any]:
    from tidegate.api.loan import loan_from_object, loan_to_object
    from tidegate.control.ledger import Ledger
    from tidegate.ports import Loan
    from tidegate.shell.clock import RealClock
    from tidegate.targets.client import KubeClient
    from tidegate.targets.loans import KubeLoanBook, loan_key
    from tidegate.targets.registry import KubeTargets

    client = await KubeClient.connect()
    try:
        book = KubeLoanBook(client, namespace or None, to_object=loan_to_object, from_object=loan_from_object)
        loans = [loan for loan in await book.list() if isinstance(loan, Loan)]
        live = [str(loan.place.ref) for loan in loans if loan.until > time.time()]
        if live and not now:
            return {"refused": True, "live": live, "returned": [], "failed": {}}
        await _stop(client, operator_namespace)
        if loans:
            await asyncio.sleep(OBEY)  # writes that were under way have ended by then, and are among the loans
            loans = [loan for loan in await book.list() if isinstance(loan, Loan)]
        epochs = sorted({loan.epoch for loan in loans}) or [0]
        returned: list[str] = []
        failed: dict[str, str] = {}
        for epoch in epochs:
            ledger = Ledger(KubeTargets(client), book, RealClock(), _Person(epoch), loan_key)
            done, left = await _return_loans(ledger)
            returned, failed = [*returned, *done], failed | left
        newer = [loan for loan in await book.list() if isinstance(loan, Loan) and loan.epoch not in epochs]
        failed |= {_name(loan): "an operator has written it meanwhile; run this again" for loan in newer}
        failed |= {
            f"namespace {one}": "its Loans may not be read; one that was deleted has none" for one in book.closed
        }
        return {"refused": False, "live": live, "returned": returned, "failed": failed}
    finally:
        await client.close()


async def _return_loans(ledger: Ledger) -> tuple[list[str], dict[str, str]]:
    """Return the loans that a leader of the ledger's epoch wrote: what was returned, and why what was not."""
    from tidegate.ports import TidegateError

    await ledger.load()
    returned, failed = [], {str(one.key): one.note for one in ledger.unreadable.values()}
    for loan in [loan for loan in ledger.loans.values() if loan.epoch == ledger.epoch]:
        try:
            left = await _give_back(ledger, loan)
        except TidegateError as error:
            left = str(error)
        if left:
            failed[_name(loan)] = left
        else:
            returned.append(_name(loan))
    return returned, failed


def _name(loan: Loan) -> str:
    return f"{loan.key.namespace}/{loan.place.ref} {loan.place.field} to {loan.original}"


async def _give_back(ledger: Ledger, loan: Loan) -> str:
    """Return one loan; why its object is there still, or empty."""
    from tidegate.control.debts import is_driven, settle
    from tidegate.ports import NotFoundError

    if await is_driven(ledger, loan):
        await ledger.let_go(loan)
        return ""
    try:
        await ledger.give_back(loan)
    except NotFoundError:
        await settle(ledger, loan)
        return ""
    return _why_kept(ledger, loan)


def _why_kept(ledger: Ledger, loan: Loan) -> str:
    value = ledger.returned(loan.place.id)
    until = ledger.late.until(loan.place.id, value) if value is not None else None
    if value is None or until is None:
        return ""
    at = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"holds {value}; a write of {loan.pending} got no answer and may still be carried out, so the Loan stays:"
        f" run this again after {at}"
    )


async def _stop(client: KubeClient, namespace: str) -> None:
    from tidegate.control.stop import NAME, stop_object, stop_path
    from tidegate.ports import NotFoundError

    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        await client.find(stop_path(namespace, NAME), NAME)
    except NotFoundError:
        await client.create(stop_path(namespace), stop_object(namespace, by=getpass.getuser(), at=stamp))


async def _resume(namespace: str) -> bool:
    from tidegate.control.stop import NAME, stop_path
    from tidegate.ports import NotFoundError
    from tidegate.targets.client import KubeClient

    client = await KubeClient.connect()
    try:
        await client.delete(stop_path(namespace, NAME))
    except NotFoundError:
        return False
    else:
        return True
    finally:
        await client.close()
