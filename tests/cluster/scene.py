"""One scenario's scene: its namespace, its operators, what was recorded there, and the story to tell on failure."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness import LEASE, ApiError, Cluster, Json, eventually
from operators import Operator
from recorder import Fall, Recorder, Series, falls
from shop import APPLIER, deployment, hpa, minimum_of, ready_of, replicas_of

STORY_MOST = 120
"""Lines of a story; the middle is left out beyond that."""


class Scene:
    """A namespace with a shop in it."""

    def __init__(self, name: str, cluster: Cluster, recorder: Recorder, folder: Path) -> None:
        self.name = name
        self.cluster = cluster
        self.recorder = recorder
        self.folder = folder
        self.ns = cluster.namespace(name)
        self.t0 = 0.0
        self.operators: list[Operator] = []
        self.marks: list[tuple[float, str]] = []
        self.notes: dict[str, Any] = {}
        """What the body found out and its tests judge."""

    # ---- acting

    def operator(self, name: str = "one", *, also: tuple[str, ...] = (), **settings: str) -> Operator:
        """An operator for this namespace, and ``also`` for others, with an account of its own; not started."""
        account = self.cluster.account(self.ns, f"tidegate-{name}", self.folder)
        made = Operator(self.ns, name, account, self.folder, also=also, **settings)
        self.operators.append(made)
        return made

    def leading(self, operator: Operator, seconds: float = 60) -> None:
        """Start an operator and wait until this life of it leads: a Lease of a life before does not count."""
        before = self._holder()
        operator.start()
        self.mark(f"{operator.name} started")

        def leads() -> bool:
            holder = self._holder()
            return holder != before and holder.startswith(operator.identity)

        eventually(leads, seconds, f"{operator.name} leads; {operator.tail()}")
        self.mark(f"{operator.name} leads")

    def leader(self) -> Operator | None:
        """Who holds the Lease and is alive."""
        holder = self._holder()
        return next((o for o in self.operators if o.alive and holder.startswith(o.identity)), None)

    def _holder(self) -> str:
        lease = self.cluster.find("Lease", self.ns, LEASE)
        return (lease or {}).get("spec", {}).get("holderIdentity") or ""

    def workload(self, name: str = "web", **how: Any) -> None:
        """A Deployment with an HPA in front, applied by the shop's team."""
        self.apply(deployment(self.ns, name, replicas=None))
        self.apply(hpa(self.ns, name, **how))

    def apply(self, obj: Json) -> Json:
        """Server-side apply by the shop's team."""
        return self.cluster.apply(obj, manager=APPLIER)

    def mark(self, text: str) -> None:
        """Put a line into the story."""
        self.marks.append((time.time(), text))

    def wait_until(self, instant: float, what: str) -> None:
        """Sleep until an instant; too late is an error of the scenario, not of the operator."""
        remaining = instant - time.time()
        assert remaining > 0, f"the scenario was {-remaining:.1f} s late for: {what}"
        time.sleep(remaining)
        self.mark(what)

    def until(self, look: Callable[[], Any], seconds: float, claim: str) -> Any:
        """Wait for something; the story comes with the failure."""
        return eventually(look, seconds, claim)

    def until_floor(self, level: int, seconds: float, name: str = "web") -> None:
        """Wait for a floor."""
        self.until(lambda: self.floor(name).last == level, seconds, f"the floor of {name} is {level}")
        self.mark(f"floor of {name} is {level}")

    def until_returned(self, original: int, seconds: float, name: str = "web") -> None:
        """Wait until a floor is back and its Loan is gone."""
        self.until(
            lambda: self.floor(name).last == original and self.loan(name).last is None,
            seconds,
            f"{name} is back at {original} and its Loan is gone",
        )
        self.mark(f"{name} returned")

    def loans(self) -> list[str]:
        """Loans that stand now, by the server's own word."""
        return [loan["metadata"]["name"] for loan in self.cluster.list("Loan", self.ns)["items"]]

    # ---- looking back

    def floor(self, name: str = "web") -> Series[Any]:
        """minReplicas over time."""
        return self.recorder.series("HorizontalPodAutoscaler", self.ns, name, minimum_of)

    def replicas(self, name: str = "web") -> Series[Any]:
        """What the Deployment was asked for over time."""
        return self.recorder.series("Deployment", self.ns, name, replicas_of)

    def level(self, name: str) -> Series[Any]:
        """What an operator sets: minReplicas where there is an HPA, else replicas."""
        found = self.floor(name)
        return found if found.points else self.replicas(name)

    def ready(self, name: str = "web") -> Series[Any]:
        """Ready pods over time."""
        return self.recorder.series("Deployment", self.ns, name, ready_of)

    def loan(self, name: str = "web", pick: Callable[[Json], Any] = lambda spec: spec["pending"]) -> Series[Any]:
        """Something of the Loan's spec over time, None once it is gone; empty before the first."""
        for loan in self.recorder.names("Loan", self.ns):
            first = self.recorder.versions("Loan", self.ns, loan)[0].obj
            if first is not None and first["spec"]["target"]["name"] == name:
                return self.recorder.series("Loan", self.ns, loan, lambda obj: pick(obj["spec"]))
        return Series(())

    def of(self, kind: str, name: str, pick: Callable[[Json], Any]) -> Series[Any]:
        """Something of an object of this namespace over time."""
        return self.recorder.series(kind, self.ns, name, pick)

    # ---- judging

    def claim(self, true: bool, sentence: str, name: str = "web") -> None:
        """Assert, with the story."""
        assert true, f"NOT SO: {sentence}\n{self.story(name)}"

    def claim_kept(self, series: Series[Any], least: int, start: float, end: float, what: str) -> None:
        """A number was never below ``least`` in [start, end]."""
        values = series.within(start, end)
        lowest = min((value if value is not None else 0 for value in values), default=0)
        since, until = start - self.t0, end - self.t0
        self.claim(lowest >= least, f"{what} is at least {least} from {since:+.0f} s to {until:+.0f} s, seen {lowest}")

    def falls(self, name: str = "web") -> list[Fall]:
        """The floor's steps down."""
        return falls(self.floor(name))

    def claim_gentle(self, steps: list[Fall], *, highest: int, share: float, what: str) -> None:
        """No more than ``share`` of the highest floor (and one unit, for rounding) was given back in any minute.

        A second less than a minute, because we are told of a change a little later than it was made.
        """
        allowed = share * highest + 1
        for step in steps:
            taken = sum(s.before - s.after for s in steps if step.at <= s.at < step.at + 59.0)
            at = step.at - self.t0
            self.claim(
                taken <= allowed,
                f"{what}: at most {share:.0%} of {highest} is given back a minute, from {at:+.1f} s on it was {taken}",
            )

    def story(self, name: str = "web") -> str:
        """What happened, a line a change, seconds from T-0."""
        columns = {
            "min": self.floor(name),
            "replicas": self.replicas(name),
            "ready": self.ready(name),
            "loan original/pending/verified": self.loan(
                name, lambda s: f"{s['original']}/{s['pending']}/{s.get('verified')}"
            ),
        }
        lines = [(at, 1, f"{what} = {value}") for what, series in columns.items() for at, _, value in series.points]
        lines += [(at, 0, f"--- {text}") for at, text in self.marks]
        lines.append((self.t0, 0, "=== T-0"))
        told = [f"{at - self.t0:+8.2f}  {text}" for at, _, text in sorted(lines)]
        if len(told) > STORY_MOST:
            told = [*told[: STORY_MOST // 2], "  ...", *told[-STORY_MOST // 2 :]]
        tails = [operator.tail() for operator in self.operators]
        return "\n".join([f"{self.ns}/{name}, seconds from T-0:", *told, *tails])

    def close(self) -> None:
        """Leave nothing behind but the stories and the operators' logs."""
        told = [self.story(name) for name in self.recorder.names("HorizontalPodAutoscaler", self.ns)[:5]]
        (self.folder / f"{self.ns}.story").write_text("\n\n".join(told or [self.story()]))
        for operator in self.operators:
            operator.make_sure_it_ended()
        try:
            self.cluster.drop_namespace(self.ns)
        except ApiError:
            traceback.print_exc()


Body = Callable[[Scene], None]


class Playbill:
    """Plays scenarios at the same time, each in a thread and a namespace of its own."""

    def __init__(self, make: Callable[[Body], Scene], *, apart: float = 3.0) -> None:
        """``apart`` seconds lie between two starts: an operator's start costs some seconds of CPU."""
        self._make = make
        self._apart = apart
        self._pool = ThreadPoolExecutor(max_workers=16)
        self._running: dict[Body, Future[tuple[Scene, BaseException | None]]] = {}

    def start(self, bodies: list[Body]) -> None:
        """Begin with all of them, in order."""
        for number, body in enumerate(bodies):
            self._running[body] = self._pool.submit(self._play, body, number * self._apart)

    def of(self, body: Body) -> Scene:
        """The scene of a scenario once it was played; AssertionError when it did not come to its end."""
        scene, error = self._running[body].result()
        if error is not None:
            raise AssertionError(f"{body.__name__} did not come to its end: {error}\n{scene.story()}") from error
        return scene

    def close(self) -> None:
        """Clean up after all of them."""
        for future in self._running.values():
            try:
                scene, _ = future.result()
                scene.close()
            except Exception:  # noqa: BLE001  the others are cleaned up all the same
                traceback.print_exc()
        self._pool.shutdown()

    def _play(self, body: Body, delay: float) -> tuple[Scene, BaseException | None]:
        time.sleep(delay)
        scene = self._make(body)
        try:
            body(scene)
        except Exception as error:  # noqa: BLE001  handed to every test of the scenario
            scene.mark(f"broke off: {error}"[:300])
            return scene, error
        finally:
            scene.mark("end of the scenario")
            for operator in scene.operators:
                operator.make_sure_it_ended()
        return scene, None
