"""What the night is about: it cannot be had without lending, and with lending it can."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.demo.night import demand as night
from tidegate.demo.night.scenario import scenario
from tidegate.simulation.splits import Night

PLAYED = scenario()

# ---- without lending


def computed(machines: int = night.MACHINES) -> Night:
    return Night(
        scenario=PLAYED,
        machines=machines,
        machine_cores=night.CORES,
        pod_cores=night.POD_CORES,
        work=night.data_work(),
        most_data_cores=night.DATA_CORES,
        deadline=night.DEADLINE,
    )


def test_a_pool_cut_in_two_either_loses_demand_or_is_late() -> None:
    """Else the night would show nothing: a fixed cut would do."""
    in_time, whole = computed().data_in_time(), computed().nothing_lost()
    assert in_time.data_done_at <= night.DEADLINE
    assert in_time.lost_percent > 1.0
    assert whole.lost_percent == 0.0
    assert whole.data_done_at > night.DEADLINE + 3600.0


def test_one_machine_less_for_data_is_too_late_and_one_less_for_trading_loses() -> None:
    in_time, whole = computed().data_in_time(), computed().nothing_lost()
    assert computed().split(in_time.data - 1).data_done_at > night.DEADLINE
    assert computed().split(whole.data + 1).lost_percent > 0.0


def test_data_does_not_get_wider_than_its_work_is() -> None:
    assert computed(1000).split(900).data_done_at == computed(1000).split(32).data_done_at


# ---- the night itself


def test_the_nights_demand_is_a_tenth_of_the_evenings_shape() -> None:
    orders = PLAYED.demand["orders_per_second"]
    assert PLAYED.seconds == night.LAST - night.FIRST
    assert orders.max() == pytest.approx(54_400.0)
    assert orders[: round(night.MIDNIGHT - night.FIRST)] == pytest.approx(np.full(3900, 500.0))


def test_after_one_o_clock_all_of_data_fits_beside_trading() -> None:
    after = PLAYED.span(night.DATA_AGAIN + 300, night.LAST)
    most = sum(float(PLAYED.need(s)[after].max()) for s in PLAYED.services) * night.POD_CORES
    assert most * 1.12 + night.DATA_CORES < night.MACHINES * night.CORES
