"""Absence is told apart: every answer that a look may get, and what is concluded of what it was asked for.

Only a 404 that speaks of the object, of a kind that is served still, is a deletion. After all others nobody can tell.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from test_targets_client import serving
from test_targets_identity import GROUP, crd, version

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import UNKNOWN, Ref, Trouble
from tidegate.planning.shift.model import Lane, MemberRef, Pool
from tidegate.ports import Json, Manager, NotFoundError, Place, RefusedError, TidegateError, UnavailableError
from tidegate.targets import discovery as discoveries
from tidegate.targets import scale as scales
from tidegate.targets.client import Form, KubeClient, Params
from tidegate.targets.errors import LaterError, from_answer
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

BETA = Ref(f"{GROUP}/v1beta1", "Fleet", "default", "main")
OBJECT = f"/apis/{GROUP}/v1beta1/namespaces/default/fleets/main"
SERVED, VERSIONS, HPAS = f"/apis/{GROUP}/v1beta1", f"/apis/{GROUP}", "horizontalpodautoscalers"
DEFINITION, QUOTAS = f"fleets.{GROUP}", "resourcequotas"

NAMED = json.dumps({"kind": "Status", "code": 404, "details": {"name": "main", "kind": "fleets"}}).encode()
PLAIN = b"404 page not found\n"
NOTHING = (404, PLAIN)
NO_ANSWER = (0, b"")
LOGIN = (200, b'{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 401}')
PORTAL = (200, b'{"error": "session has ended", "metadata": {"name": "main"}}')
"""What a proxy answers in the server's place, with 200."""


@dataclass
class Answers:
    """What the server says of a path, instead of the truth."""

    of: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def to(self, request: str) -> Json | None:
        """An answer of 200 that was not the server's; None: it is asked."""
        for path, (code, body) in self.of.items():
            if request.endswith(path) and code == 200:
                return json.loads(body)  # type: ignore[no-any-return]
            if request.endswith(path):
                raise LaterError(f"{request}: timeout") if code == 0 else from_answer(request, code, body)
        return None


class Answering(KubeClient):
    """A client whose server answers as it is told."""

    answers = Answers()
    asked: tuple[str, ...] = ()

    async def get(self, path: str, params: Params | None = None) -> Json:
        self.asked = (*self.asked, path)
        said = self.answers.to(f"GET {path}")
        return await super().get(path, params) if said is None else said

    async def patch(
        self, path: str, body: Json | list[Json], form: Form, *, manager: str = "tidegate", force: bool = False
    ) -> Json:
        said = self.answers.to(f"PATCH {path}")
        return await super().patch(path, body, form, manager=manager, force=force) if said is None else said


def fleet(**spec: object) -> Json:
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    body = {"replicas": 3, "template": {"spec": {"containers": [container]}}, **spec}
    metadata = {"name": "main", "namespace": "default"}
    return {"apiVersion": f"{GROUP}/v1beta1", "kind": "Fleet", "metadata": metadata, "spec": body}


@pytest.fixture
def cluster() -> EmbeddedCluster:
    made = EmbeddedCluster()
    made.create(crd(version("v1beta1", storage=True), version("v1", storage=False)))
    made.create(fleet())
    return made


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[Answering]:
    async with running(cluster) as url:
        made = await Answering.connect(url=url)
        assert isinstance(made, Answering)
        made.answers = Answers()
        yield made
        await made.close()


LANE = Lane("data", members=(MemberRef("m", BETA.api_version, BETA.kind, "default", object_name="main"),))
POOL = Pool("p", (LANE,), node_selector=(("pool", "p"),))


async def of_target(targets: KubeTargets) -> str:
    try:
        sight = await targets.examine(BETA)
    except NotFoundError:
        raise
    except TidegateError:
        return "nobody can tell"
    if sight.observed.trouble in UNKNOWN:
        return "nobody can tell"
    return "gone" if sight.observed.trouble is Trouble.MISSING else "seen" if sight.place else "nothing to borrow"


async def of_loan(targets: KubeTargets, place: Place) -> str:
    try:
        await targets.held(place)
    except NotFoundError:
        return "gone"
    except TidegateError:
        return "nobody can tell"
    return "seen"


async def of_member(pools: KubePools) -> str:
    sight = await pools.see(POOL)
    told = [one.seen for one in sight.seen.members]
    if sight.unseen:
        assert told == [False], "it is there as it was last seen"
        return "nobody can tell"
    return "gone" if not told else "seen"


UNTOLD, GONE, SEEN = ("nobody can tell",) * 3, ("gone",) * 3, ("seen",) * 3
TABLE: dict[str, tuple[dict[str, tuple[int, bytes]], tuple[str, str, str]]] = {
    "404, object": ({OBJECT: (404, NAMED)}, GONE),
    "404, kind": ({OBJECT: NOTHING, SERVED: NOTHING, VERSIONS: NOTHING}, UNTOLD),
    "404, version": ({OBJECT: NOTHING, SERVED: NOTHING}, SEEN),  # in the version that is left
    "404, object, of a kind that is not served": ({OBJECT: (404, NAMED), SERVED: NOTHING, VERSIONS: NOTHING}, UNTOLD),
    "404, object, and no answer whether its kind is served": ({OBJECT: (404, NAMED), SERVED: (503, b"")}, UNTOLD),
    "404, /scale": ({DEFINITION: (403, b""), f"{OBJECT}/scale": (404, NAMED)}, UNTOLD),
    "403": ({OBJECT: (403, b"")}, UNTOLD),
    "401": ({OBJECT: (401, b"")}, UNTOLD),
    "500": ({OBJECT: (500, b"")}, UNTOLD),
    "503": ({OBJECT: (503, b"")}, UNTOLD),
    "timeout": ({OBJECT: NO_ANSWER}, UNTOLD),
    "200, a Status": ({OBJECT: LOGIN}, UNTOLD),
    "200, a portal's word": ({OBJECT: PORTAL}, UNTOLD),
    "200, a Status for the Scale": ({DEFINITION: (403, b""), f"{OBJECT}/scale": LOGIN}, UNTOLD),
    "200, a Status for the definition": ({DEFINITION: LOGIN}, SEEN),
    "200, a Status for what is served": ({SERVED: LOGIN, VERSIONS: LOGIN}, SEEN),
    "discovery fails for the group": ({SERVED: (503, b""), VERSIONS: (503, b"")}, SEEN),
    "discovery may not be read": ({SERVED: (403, b"")}, SEEN),
    "404, kind of HPAs": ({HPAS: NOTHING}, ("nobody can tell", "seen", "nobody can tell")),
    "403, HPAs": ({HPAS: (403, b"")}, ("nobody can tell", "seen", "nobody can tell")),
    "503, HPAs": ({HPAS: (503, b"")}, ("nobody can tell", "seen", "nobody can tell")),
    "404, quotas": ({QUOTAS: NOTHING}, SEEN),
    "403, quotas": ({QUOTAS: (403, b"")}, SEEN),
    "503, quotas": ({QUOTAS: (503, b"")}, SEEN),
}


@pytest.mark.parametrize("answer", TABLE)
async def test_only_a_404_of_the_object_is_a_deletion(
    client: Answering, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Of a target, of the field of a Loan and of a pool's member alike; seen before, and asked for again later."""
    told, (target, loan, member) = TABLE[answer]
    targets = KubeTargets(client, lifetime=0.0)
    pools = KubePools(client, targets, now=lambda: 0.0)
    sight = await targets.see(BETA)
    assert sight.place is not None
    found = await of_target(targets), await of_loan(targets, sight.place), await of_member(pools)
    assert found == SEEN
    for module in (discoveries, scales):
        monkeypatch.setattr(module, "LIFETIME", 0.0)
    monkeypatch.setattr(discoveries, "MISS_LIFETIME", 0.0)
    client.answers.of = told
    for _ in range(2):
        found = await of_target(targets), await of_loan(targets, sight.place), await of_member(pools)
        assert found == (target, loan, member)
    client.answers.of = {}
    for _ in range(2):
        found = await of_target(targets), await of_loan(targets, sight.place), await of_member(pools)
    assert found == SEEN, "and when it is answered for again, all go on"


async def test_a_404_that_names_the_object_is_no_deletion_where_its_kind_was_served_a_moment_ago(
    client: Answering,
) -> None:
    """What is believed of the kind is asked for anew before anything is called gone."""
    targets = KubeTargets(client, lifetime=0.0)
    pools = KubePools(client, targets, now=lambda: 0.0)
    sight = await targets.see(BETA)
    assert sight.place is not None
    assert (await of_loan(targets, sight.place), await of_member(pools)) == ("seen", "seen")
    client.answers.of = TABLE["404, object, of a kind that is not served"][0]
    assert await of_loan(targets, sight.place) == "nobody can tell"
    assert await of_target(targets) == "nobody can tell"
    assert await of_member(pools) == "nobody can tell"


@pytest.mark.parametrize("labels", [(), (("app", "nightly"),)], ids=["by name", "by labels"])
async def test_jobs_are_not_gone_where_their_kind_is_not_served(
    client: Answering, cluster: EmbeddedCluster, labels: tuple[tuple[str, str], ...]
) -> None:
    spec = fleet()["spec"]["template"]["spec"]
    template = {"metadata": {"labels": {"app": "nightly"}}, "spec": {**spec, "restartPolicy": "Never"}}
    metadata = {"name": "nightly", "namespace": "default", "labels": {"app": "nightly"}}
    cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}})
    member = MemberRef("m", "batch/v1", "Job", "default", object_name=None if labels else "nightly", labels=labels)
    pool = Pool("p", (Lane("data", members=(member,)),), node_selector=(("pool", "p"),))
    pools = KubePools(client, KubeTargets(client), now=lambda: 0.0)
    assert [one.seen for one in (await pools.see(pool)).seen.members] == [True]
    client.answers.of = {"/jobs": NOTHING, "/jobs/nightly": NOTHING}
    sight = await pools.see(pool)
    assert ([one.seen for one in sight.seen.members], sight.unseen) == ([False], {"data"})


async def test_a_kind_that_is_not_served_is_named_and_is_not_called_missing(
    client: Answering, cluster: EmbeddedCluster
) -> None:
    sight = await KubeTargets(client).see(Ref("nowhere.example/v1", "Fleet", "default", "main"))
    assert sight.observed.trouble is Trouble.NOT_SERVED
    assert "serves no Fleet of nowhere.example/v1" in sight.observed.note


async def test_a_namespace_that_ends_takes_its_objects_when_they_are_gone_and_no_sooner(
    client: Answering, cluster: EmbeddedCluster
) -> None:
    cluster.delete(*BETA[:2], "main")
    kept = fleet()
    kept["metadata"]["finalizers"] = ["example.org/slow"]
    cluster.create(kept)
    targets = KubeTargets(client)
    sight = await targets.see(BETA)
    cluster.delete(*BETA[:2], "main")
    assert sight.place is not None
    assert await of_loan(targets, sight.place) == "seen"
    cluster.patch(*BETA[:2], "main", {"metadata": {"finalizers": None}})
    assert (await of_target(targets), await of_loan(targets, sight.place)) == ("gone", "gone")


async def test_an_object_without_the_field_is_there_all_the_same(client: Answering, cluster: EmbeddedCluster) -> None:
    targets = KubeTargets(client)
    sight = await targets.see(BETA)
    assert sight.place is not None
    cluster.patch(*BETA[:2], "main", {"spec": {"replicas": None}})
    with pytest.raises(RefusedError, match="has no number at /spec/replicas"):
        await targets.held(sight.place)
    assert await of_target(targets) == "nothing to borrow"


async def test_a_scale_that_is_not_served_any_more_costs_no_loan(client: Answering) -> None:
    """The server names the object in that 404, though it is there."""
    targets = KubeTargets(client)
    sight = await targets.see(BETA)
    assert sight.place is not None
    client.answers.of = {f"{OBJECT}/scale": (404, NAMED)}
    for believed in (3, 0):
        with pytest.raises(UnavailableError, match="has no /scale any more"):
            await targets.swap(sight.place, believed=believed, wanted=9)


@pytest.mark.parametrize(
    ("answers", "in_doubt"),
    [
        ({SERVED: NOTHING, VERSIONS: NOTHING, OBJECT: NOTHING}, False),
        ({f"{OBJECT}/scale": (404, NAMED)}, False),
        ({f"{OBJECT}/scale": (503, b"")}, True),
        ({f"{OBJECT}/scale": NO_ANSWER}, True),
    ],
    ids=["its kind is not served", "no /scale", "503", "no answer"],
)
async def test_a_write_that_may_be_carried_out_later_is_told_from_one_that_was_not_taken(
    client: Answering, answers: dict[str, tuple[int, bytes]], in_doubt: bool
) -> None:
    sight = await KubeTargets(client).see(BETA)
    assert sight.place is not None
    client.answers.of = answers
    with pytest.raises(UnavailableError) as failed:
        await KubeTargets(client).swap(sight.place, believed=3, wanted=9)
    assert failed.value.in_doubt is in_doubt


@pytest.mark.parametrize("gains", ["/scale", "being installed"])
async def test_a_kind_that_gains_what_it_lacked_is_found_soon(
    client: Answering, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, gains: str
) -> None:
    name = f"fleets.{GROUP}"
    definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    plain = [version("v1beta1", storage=True, scale=False)]
    cluster.patch(*definition, name, {"spec": {"versions": [{**plain[0], "served": gains == "/scale"}]}})
    targets = KubeTargets(client)
    wanted = Trouble.NOT_SCALABLE if gains == "/scale" else Trouble.NOT_SERVED
    assert (await targets.see(BETA)).observed.trouble is wanted
    cluster.patch(*definition, name, {"spec": {"versions": [version("v1beta1", storage=True)]}})
    later = discoveries.time.monotonic() + discoveries.MISS_LIFETIME + 1.0
    monkeypatch.setattr(discoveries.time, "monotonic", lambda: later)
    assert (await targets.see(BETA)).observed.level == 3


async def test_where_a_kind_keeps_its_level_is_asked_anew(
    client: Answering, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = KubeTargets(client)
    assert (await targets.see(BETA)).observed.level == 3
    moved = version("v1beta1", storage=True)
    moved["subresources"]["scale"]["specReplicasPath"] = ".spec.size"
    definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"fleets.{GROUP}")
    cluster.patch(*definition, {"spec": {"versions": [moved]}})
    cluster.patch(*BETA[:2], "main", {"spec": {"size": 7}})
    later = discoveries.time.monotonic() + discoveries.LIFETIME + 1.0
    monkeypatch.setattr(discoveries.time, "monotonic", lambda: later)
    assert (await targets.see(BETA)).observed.level == 7


@pytest.mark.parametrize("body", [b"", b"[]", b'{"kind": "Status", "code": 401}'], ids=["empty", "[]", "a Status"])
async def test_a_write_that_no_object_answers_may_not_have_been_done(body: bytes) -> None:
    async with serving(lambda _: web.Response(body=body)) as (_, client):
        for write in (client.create("/x", {}), client.replace("/x", {}), client.patch("/x", {}, Form.MERGE)):
            with pytest.raises(UnavailableError, match="the answer is no"):
                await write


async def test_a_level_goes_back_to_its_owner_also_where_the_definition_may_not_be_read(
    client: Answering, cluster: EmbeddedCluster
) -> None:
    """An operator of some namespaces may not: where the kind keeps its level is told by our own write."""
    moved = version("v1beta1", storage=True)
    moved["subresources"]["scale"]["specReplicasPath"] = ".spec.size"
    definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"fleets.{GROUP}")
    cluster.patch(*definition, {"spec": {"versions": [moved]}})
    cluster.delete(*BETA[:2], "main")
    applied = fleet(size=3)
    del applied["spec"]["replicas"]
    await client.patch(OBJECT, applied, Form.APPLY, manager="helm")
    client.answers.of = {DEFINITION: (403, b"")}
    targets = KubeTargets(client, lifetime=0.0)
    place = (await targets.see(BETA)).place
    assert place is not None
    await targets.swap(place, believed=3, wanted=9)
    for held in (await targets.held(place), (await targets.see(BETA)).held):
        assert held is not None
        assert (held.value, held.manager) == (9, Manager("tidegate", "Update", "scale"))
    await targets.swap(place, believed=9, wanted=3)
    await targets.hand_back(place, None)
    assert (await targets.held(place)).manager is None
    applied["spec"]["size"] = 4
    await client.patch(OBJECT, applied, Form.APPLY, manager="helm")
    assert (await targets.see(BETA)).observed.level == 4
