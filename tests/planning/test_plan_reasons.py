"""What a plan says of a level is so at that instant."""

from __future__ import annotations

from worlds import CORE, T0, event, policy, world

from tidegate.planning.model import LoanState, Observed
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason

KEY = (CORE, "order")


def test_a_level_that_is_ready_ahead_says_for_what_and_one_that_is_held_says_so() -> None:
    """At 23:58 nobody reads that a need has fallen which has not come yet."""
    lent = Observed(level=10, ready=10, desired=10, loan=LoanState(2, 10, T0 - 60.0, T0 - 60.0, T0 + 700.0))
    show = world(event(duration=600.0), observed={KEY: lent}, policies=(policy(hold=300.0),))
    ahead, on, held = (make_plan(show, T0 + at).targets[KEY] for at in (-30.0, 60.0, 660.0))
    assert (ahead.reason, ahead.message) == (Reason.EVENT_DEMAND, "announced events need 10 units")
    assert (on.reason, on.message) == (Reason.EVENT_DEMAND, "announced events need 10 units")
    assert (held.reason, held.message) == (
        Reason.RELEASE_HOLD,
        "10 units kept: the need has fallen, its hold is not over",
    )


def test_a_peak_that_is_on_has_begun_when_it_did() -> None:
    """A time that moves with every look would rewrite the status of every policy with a show that is on."""
    told = {
        make_plan(world(event()), T0 + after).targets[CORE, "order"].peak_at for after in (0.0, 15.0, 900.0, 3000.0)
    }
    assert told == {T0}
    higher = (event(), event("more", 500.0, T0 + 600.0, 600.0))
    told = {
        make_plan(world(*higher), T0 + after).targets[CORE, "order"].peak_at for after in (0.0, 300.0, 615.0, 900.0)
    }
    assert told == {T0 + 600.0}
