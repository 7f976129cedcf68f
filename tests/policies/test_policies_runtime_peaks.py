"""No change in a peak, in the real policy runtime: its environment, its configuration, its channels."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip(
    "pulumi_policy.policy",
    reason="needs the extra [policies], in an environment of its own: make test-ground",
)

from declared import component, deployment, policy, secret, thing
from peaks import PEAK, SEEN, STEP, event, live_orders, orders, schedule, written
from runtime import LEVELS, running

CHANGED = [(PEAK, "orders")]
BOTH = [*CHANGED, (STEP, "orders")]


def test_a_stack_s_own_event_stands_in_the_way_with_its_name() -> None:
    cache = component("cache")
    with running() as pack:
        stack = [deployment().under(cache), thing("core/v1:Service", "s").under(cache), policy("orders"), cache]
        said = list(pack.analyze_stack(event(schedule()), *stack).diagnostics)
        assert sorted(one.urn for one in said) == sorted(one.urn for one in stack[:2])
        assert all(one.policyName == PEAK and "shop/double-11" in one.message for one in said)
        assert {LEVELS[one.enforcementLevel] for one in said} == {"mandatory"}
        assert pack.found(event(schedule(600)), *stack) == []
        assert pack.found(event(secret(schedule())), policy("orders"), deployment()) == CHANGED


def test_what_the_cluster_holds_tells_a_change_from_none(tmp_path: Path) -> None:
    path = written(tmp_path, event(schedule()), policy("orders"), live_orders())
    with running(TIDEGATE_CLUSTER=str(path)) as pack:
        assert pack.found(orders()) == []
        assert pack.found(orders("shop/orders:2")) == BOTH
        allowed = {"allow": {"orders": "tonight's fix, agreed with the show"}}
        pack.configure(no_change_in_a_peak=allowed)
        assert pack.found(orders("shop/orders:2")) == [(STEP, "orders")]
        pack.configure(no_change_in_a_peak=allowed, no_step_in_a_peak=allowed)
        assert pack.found(orders("shop/orders:2")) == []
        written(tmp_path, event(schedule(100)), policy("orders"), live_orders())
        pack.configure()
        assert pack.found(orders("shop/orders:2")) == []
        pack.configure(no_change_in_a_peak={"minutes": 120}, no_step_in_a_peak={"minutes": 120})
        assert pack.found(orders("shop/orders:2")) == BOTH
        path.write_text("half a fi")
        (said,) = pack.analyze_stack(orders("shop/orders:2")).diagnostics
        assert (said.policyName, LEVELS[said.enforcementLevel]) == (SEEN, "advisory")
        assert str(path) in said.message


def test_the_cluster_is_asked_by_kubectl(tmp_path: Path) -> None:
    found = written(tmp_path, event(schedule()), policy("orders"), live_orders())
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\ncat {found}\n")
    program.chmod(0o755)
    with running(TIDEGATE_ASK_CLUSTER="yes", PATH=f"{tmp_path}:/usr/bin:/bin") as pack:
        assert pack.found(orders()) == []
        assert pack.found(orders("shop/orders:2")) == BOTH
    program.write_text("#!/bin/sh\necho 'no such host' >&2\nexit 1\n")
    with running(TIDEGATE_ASK_CLUSTER="yes", PATH=f"{tmp_path}:/usr/bin:/bin") as pack:
        assert pack.found(orders("shop/orders:2")) == [(SEEN, "orders")]
