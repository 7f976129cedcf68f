"""One performance: the cluster is up, the operator watches it, and the clock runs until the last instant is over."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from tidegate.demo.process import Operator
from tidegate.demo.stage import Stage
from tidegate.shell.clock import ScheduledClock

START_PATIENCE = 60.0
"""Real seconds that the operator may take until it has planned everything."""


class Shown(Protocol):
    """What is on the screen meanwhile."""

    def showing(self) -> AbstractContextManager[object]:
        """A context in which it is on the screen."""

    def update(self) -> None:
        """Show what is new; called some four times a second."""


@contextmanager
def performing(
    stage: Stage,
    clock: ScheduledClock,
    *,
    keep: Path | None,
    namespace: str | None,
    settings: Callable[[Path], dict[str, str]],
) -> Iterator[Operator]:
    """Start the stage, and the operator on it, for the length of a block. ``settings`` are asked for with the folder in
    which everything is written; ``namespace`` None lets the operator see the whole cluster.
    """
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        clock.to_file(folder / "clock.json")
        stack.callback(stage.stop)
        url = stage.start()
        ours = {"CLOCK_SCHEDULE": str(folder / "clock.json"), **settings(folder)}
        kubeconfig = stage.kubeconfig(folder / "kubeconfig")
        yield stack.enter_context(Operator(folder, url=url, kubeconfig=kubeconfig, namespace=namespace, settings=ours))


def watch(shown: Shown, stage: Stage, clock: ScheduledClock, operator: Operator, until: float) -> None:
    """Wait for the operator's first plan, let the clock begin, and show what happens until an instant has come.

    RuntimeError when there is no plan within ``START_PATIENCE``, OperatorDiedError when the operator ends before.
    """
    patience = time.monotonic() + START_PATIENCE
    with shown.showing():
        while not stage.recording.policy_ready:
            operator.check()
            if time.monotonic() > patience:
                raise RuntimeError(f"the operator made no plan within {START_PATIENCE:g} s:\n{operator.last_words()}")
            time.sleep(0.05)
        clock.begin(time.time() + 0.2)
        while not stage.caught_up(until):
            operator.check()
            shown.update()
            time.sleep(0.25)
        shown.update()
