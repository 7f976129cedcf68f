"""Names of loans."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tidegate.planning.model import Ref
from tidegate.ports import Place
from tidegate.targets.loans import loan_key, loan_name

dns = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)
places = st.builds(
    Place,
    st.builds(Ref, st.just("autoscaling/v2"), st.sampled_from(["HorizontalPodAutoscaler", "Room"]), st.just("ns"), dns),
    st.uuids().map(str),
    st.sampled_from(["/spec/minReplicas", "/spec/replicas"]),
    st.sampled_from(["", "scale"]),
)


@given(places)
def test_a_loans_name_is_one_that_an_object_may_have(place: Place) -> None:
    name = loan_name(place)
    assert len(name) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert name == loan_name(place)


@given(places, places)
def test_two_fields_never_share_a_loan(one: Place, two: Place) -> None:
    assert (loan_name(one) == loan_name(two)) == (one == two)


def test_a_loan_can_be_found_by_eye() -> None:
    place = Place(Ref("autoscaling/v2", "HorizontalPodAutoscaler", "shop", "order"), "u", "/spec/minReplicas")
    assert loan_key(place).namespace == "shop"
    assert loan_key(place).name.startswith("horizontalpodautoscaler-order-minreplicas-")
