"""What is measured in the evening, as a recording: it does not depend on what is done."""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.simulation.scenario import METRIC_AGE, METRIC_WINDOW, Scenario

SAMPLE_SECONDS = 15
"""Distance of the recording's samples: a usual scrape interval."""


def record_signals(scenario: Scenario, queries: dict[str, str], path: Path) -> Path:
    """Write what a metrics pipeline would show of the demand, as a recording: ``queries`` is query by service name.

    Each sample says of which minute it is, as a Prometheus tells of ``rate(x[1m])``: who reads it knows its age.
    """
    recording = {}
    for service in scenario.services:
        instants = (scenario.first + at for at in range(0, scenario.seconds, SAMPLE_SECONDS))
        recording[queries[service.name]] = [
            [at, scenario.metric(service, at), at - METRIC_AGE - METRIC_WINDOW, at - METRIC_AGE] for at in instants
        ]
    path.write_text(json.dumps(recording), encoding="utf-8")
    return path
