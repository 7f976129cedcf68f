"""What came of announcements is believed by who made them, and begins with what is known of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.planning.hosts import HOST, MOST_HOSTS, TIER, Hosts, Opening
from tidegate.planning.model import Key
from tidegate.planning.steps import Steps


def by(host: str = "", tier: str = "", amount: float = 1.0) -> Opening:
    return Opening(0.0, 3600.0, host, tier, amount, Key("shop", "show"))


def after(*came: tuple[str, str, float]) -> Hosts:
    """(host, tier, share) of events, one after the other."""
    hosts = Hosts()
    for host, tier, share in came:
        hosts.came(share, [by(host, tier)])
    return hosts


MIXED = [("lena", "head", 1.0), ("otto", "head", 0.5)] * 6
"""One says what comes, the other claims double."""


def test_who_claims_double_is_discounted_and_who_does_not_is_not() -> None:
    hosts = after(*MIXED)
    assert hosts.prepared(0.95, [by("otto")]) <= 0.75
    assert 1.0 <= hosts.prepared(0.95, [by("lena")]) <= 1.25
    assert hosts.believed([by("otto")]) == pytest.approx(0.5, abs=0.05)


def test_events_that_never_come_cost_the_hosts_who_come_nothing() -> None:
    hosts = after(*[("lena", "head", 1.0)] * 4, *[("ghost", "tail", 0.0)] * 20)
    assert hosts.prepared(0.95, [by("lena", "head")]) >= 1.0
    assert hosts.prepared(0.95, [by("ghost", "tail")]) <= 0.2


def test_of_a_host_of_whom_nothing_is_known_his_tier_counts_and_then_all() -> None:
    hosts = after(*[("a", "head", 1.0)] * 5, *[("b", "tail", 0.3)] * 5)
    assert hosts.prepared(0.95, [by("new", "tail")]) == hosts.prepared(0.95, [by("", "tail")])
    assert hosts.prepared(0.95, [by("new", "tail")]) < hosts.prepared(0.95, [by("new", "head")])
    assert hosts.prepared(0.95, [by("new", "other")]) == hosts.all.quantile(0.95)


def test_one_event_of_a_host_counts_for_some_and_three_for_most() -> None:
    others = [("", "", 1.0)] * 10
    first, third = (after(*others, *[("otto", "", 0.5)] * n) for n in (1, 3))
    assert 0.6 <= first.believed([by("otto")]) <= 0.85
    assert 0.5 <= third.believed([by("otto")]) <= 0.6


def test_hosts_who_open_at_once_count_by_how_much_they_announce() -> None:
    hosts = after(*MIXED)
    one, other = (hosts.prepared(0.95, [by(who)]) for who in ("lena", "otto"))
    assert hosts.prepared(0.95, [by("lena", amount=3.0), by("otto")]) == pytest.approx((3.0 * one + other) / 4.0)


def test_what_several_hosts_brought_together_tells_nothing_of_any_of_them() -> None:
    hosts = Hosts()
    hosts.came(0.5, [by("lena", "head"), by("otto", "head")])
    assert hosts.known.keys() == {(TIER, "head")}
    assert hosts.all.events == 1.0


def test_those_who_opened_last_are_remembered_and_no_more_than_so_many() -> None:
    hosts = after(*[(f"host-{n}", "", 1.0) for n in range(3 * MOST_HOSTS)], ("host-0", "", 1.0))
    assert len(hosts.known) == MOST_HOSTS
    assert list(hosts.known)[-1] == (HOST, "host-0")


def test_a_host_who_is_to_be_forgotten_is_new() -> None:
    hosts = after(*MIXED)
    assert hosts.forget({"otto"})
    assert not hosts.forget({"otto"})
    assert hosts.prepared(0.95, [by("otto")]) == hosts.all.quantile(0.95)


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["", "x"]), st.floats(-1e9, 1e9)), max_size=40),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_whatever_came_a_share_is_finite_and_what_is_kept_gives_the_same(
    came: list[tuple[str, str, float]], q: float
) -> None:
    hosts = after(*came)
    again = Hosts.of(Steps(hosts.all.events, hosts.all.mean, hosts.all.square), hosts.told())
    for opening in (by("a", "x"), by("b"), by()):
        assert 0.0 <= hosts.prepared(q, [opening]) <= 20.0
        assert 0.0 <= hosts.believed([opening]) <= 4.0
        assert again.prepared(q, [opening]) == hosts.prepared(q, [opening])
