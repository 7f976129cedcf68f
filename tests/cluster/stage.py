"""Which cluster the scenarios are played on, and how a test says which scenario it judges."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest
from harness import tool
from scene import Body

KUBECONFIG = os.environ.get("KUBECONFIG")
METRICS_FILE = os.environ.get("TIDEGATE_TEST_METRICS_FILE")
STOCK_KUBECONFIG = os.environ.get("TIDEGATE_TEST_STOCK_KUBECONFIG")
AUDIT_LOG = os.environ.get("TIDEGATE_TEST_AUDIT_LOG")


def _missing() -> str:
    if not KUBECONFIG:
        return "needs an API server, found by KUBECONFIG"
    if not METRICS_FILE:
        return "needs HPAs that read external metrics from the file named by TIDEGATE_TEST_METRICS_FILE"
    if tool("kubectl") is None:
        return "needs kubectl, in $TIDEGATE_TOOLS/bin or on PATH"
    return ""


on_a_cluster = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
    pytest.mark.timeout(1500),
]
"""For every module of scenarios: its first test waits until all of them were played."""
needs_helm = pytest.mark.skipif(tool("helm") is None, reason="needs helm 4, in $TIDEGATE_TOOLS/bin or on PATH")
needs_stock = pytest.mark.skipif(
    not STOCK_KUBECONFIG, reason="needs a cluster at stock controller rates, named by TIDEGATE_TEST_STOCK_KUBECONFIG"
)

Test = TypeVar("Test", bound=Callable[..., object])


def of(body: Body) -> Callable[[Test], Test]:
    """Says which scenario a test judges, so that only the scenarios that are asked for are played."""

    def mark(test: Test) -> Test:
        test.scenario = body  # type: ignore[attr-defined]
        return test

    return mark
