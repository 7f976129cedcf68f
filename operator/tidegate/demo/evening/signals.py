"""What is measured in the evening, as a recording: it does not depend on what is done."""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.simulation.scenario import Scenario

SAMPLE_SECONDS = 15
"""Distance of the recording's samples: a usual scrape interval."""


def record_signals(scenario: Scenario, queries: dict[str, str], path: Path) -> Path:
    """Write what a metrics pipeline would show of the demand, as a recording: ``queries`` is query by service name."""
    recording = {}
    for service in scenario.services:
        instants = range(0, scenario.seconds, SAMPLE_SECONDS)
        seen = ((scenario.first + at, scenario.metric(service, scenario.first + at)) for at in instants)
        recording[queries[service.name]] = list(seen)
    path.write_text(json.dumps(recording), encoding="utf-8")
    return path
