"""The API server of the contract; and plays the scenarios: once a run, all at the same time, only those that a
selected test judges.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import scenarios as play
from contract import Api, EmbeddedApi, RealApi, Refusals
from harness import Cluster, tool
from recorder import Recorder
from scene import Body, Playbill, Scene
from shop import METRIC
from stage import KUBECONFIG, METRICS_FILE, STOCK_KUBECONFIG

from tidegate.targets.client import KubeClient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios last: they are all on at once, and the chart's operator of the whole cluster would act in them."""
    items.sort(key=lambda item: hasattr(getattr(item, "function", None), "scenario"))


# ---- the contract


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    """The server that KUBECONFIG names, else an embedded one for the whole run."""
    if KUBECONFIG:
        yield RealApi()
        return
    embedded = EmbeddedApi()
    yield embedded
    embedded.close()


@pytest.fixture
async def kube(api: Api) -> AsyncIterator[KubeClient]:
    """A client that may do everything."""
    client = await api.connect()
    yield client
    await client.close()


@pytest.fixture
async def ns(kube: KubeClient) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    await kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await kube.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
async def refusals(api: Api, kube: KubeClient, ns: str) -> AsyncIterator[Refusals]:
    """What the server refuses in that namespace."""
    made = api.refusals(kube, ns)
    yield made
    await made.close()


# ---- scenarios


@pytest.fixture(scope="session")
def playbill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playbill]:
    """Every scenario that a test of this run judges, all on at once."""
    judged = [getattr(item.function, "scenario", None) for item in request.session.items if hasattr(item, "function")]
    bodies = [body for body in dict.fromkeys(judged) if body is not None and can_be_played(body)]
    folder = tmp_path_factory.mktemp("scenarios")
    _demand_little(Path(str(METRICS_FILE)))
    clusters = {"": Cluster(str(KUBECONFIG))}
    if STOCK_KUBECONFIG and play.twenty_at_stock_rates in bodies:
        clusters["stock"] = Cluster(STOCK_KUBECONFIG)
    recorders = {}
    for name, cluster in clusters.items():
        cluster.open()
        cluster.install_crds()
        recorders[name] = Recorder(cluster)
        recorders[name].start()

    def make(body: Body) -> Scene:
        where = "stock" if body is play.twenty_at_stock_rates else ""
        return Scene(body.__name__.replace("_", "-"), clusters[where], recorders[where], folder)

    bill = Playbill(make)
    bill.start(bodies)
    yield bill
    bill.close()
    for name, cluster in clusters.items():
        recorders[name].stop()
        cluster.close()


@pytest.fixture
def scene(request: pytest.FixtureRequest, playbill: Playbill) -> Scene:
    """The scene of the test's scenario, after it was played."""
    played = playbill.of(request.function.scenario)
    assert played.recorder.gaps == [], "the record has gaps: judge nothing by it"
    return played


def can_be_played(body: Body) -> bool:
    """Whether a scenario has what its tests are skipped without."""
    needs: dict[Body, bool] = {
        play.twenty_at_stock_rates: bool(STOCK_KUBECONFIG),
        play.helm_installed: tool("helm") is not None,
    }
    return needs.get(body, True)


def _demand_little(path: Path) -> None:
    """Let the HPAs' metric want one unit, whatever else the file says."""
    known = json.loads(path.read_text()) if path.exists() else {}
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({**known, METRIC: 1}))
    aside.rename(path)
