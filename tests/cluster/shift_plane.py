"""The control plane of the capacity shift: what is played there counts every core, and has it for itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Cluster, tool
from shop import METRIC

KUBECONFIG = os.environ.get("TIDEGATE_TEST_SHIFT_KUBECONFIG")
METRICS = os.environ.get("TIDEGATE_TEST_SHIFT_METRICS_FILE")
AUDIT = os.environ.get("TIDEGATE_TEST_SHIFT_AUDIT_LOG")

on_the_shifts_plane = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not KUBECONFIG or not METRICS or tool("kubectl") is None,
        reason="needs kubectl and a control plane of its own with 20 nodes of 32 cores and external metrics, named by"
        " TIDEGATE_TEST_SHIFT_KUBECONFIG and TIDEGATE_TEST_SHIFT_METRICS_FILE",
    ),
    pytest.mark.timeout(1200),
]
"""For every module whose first test waits until its scene was played there."""


@contextmanager
def opened() -> Iterator[Cluster]:
    """The cluster, whose HPAs' metric wants next to nothing."""
    Path(str(METRICS)).write_text(json.dumps({METRIC: 1}))
    cluster = Cluster(str(KUBECONFIG))
    cluster.open()
    try:
        yield cluster
    finally:
        cluster.close()
