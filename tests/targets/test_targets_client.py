"""The client against a server that misbehaves as servers do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.aio.client.configuration import Configuration

from tidegate.ports import ConflictError, NotFoundError, RefusedError, UnavailableError
from tidegate.targets.client import Form, KubeClient, Limits
from tidegate.targets.errors import (
    PATCH_FAILED,
    ExistsError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    PatchFailedError,
    TooLargeError,
    from_answer,
)

Answer = Callable[[web.Request], web.StreamResponse]
QUICK = Limits(connect=1, total=0.3, attempts=3, budget=3, first_pause=0.01, longest_pause=0.02)


def status(code: int, reason: str = "", **details: Any) -> Answer:
    body = {"kind": "Status", "status": "Failure", "message": "said so", "reason": reason, "code": code}
    return lambda _: web.json_response({**body, "details": details}, status=code)


def fine(**body: Any) -> Answer:
    return lambda _: web.json_response(body)


class Server:
    """Gives its answers in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, str]] = []
        self.hang = 0.0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.query_string, await request.text()))
        if self.hang:
            await asyncio.sleep(self.hang)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)


@asynccontextmanager
async def serving(answer: Answer | None = None, limits: Limits = QUICK) -> AsyncIterator[tuple[Server, KubeClient]]:
    server = Server()
    server.answers = [answer] if answer is not None else []
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    running = TestServer(app, host="127.0.0.1")
    await running.start_server()
    client = await KubeClient.connect(url=str(running.make_url("/")), limits=limits)
    try:
        yield server, client
    finally:
        await client.close()
        await running.close()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, KubeClient]]:
    async with serving() as made:
        yield made


Served = tuple[Server, KubeClient]


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (status(404, "NotFound"), NotFoundError),
        (lambda _: web.Response(text="404 page not found", status=404), NotFoundError),
        (status(409, "Conflict"), ConflictError),
        (status(409, "AlreadyExists"), ExistsError),
        (status(410, "Expired"), ExpiredError),
        (status(401, "Unauthorized"), ForbiddenError),
        (status(403, "Forbidden"), ForbiddenError),
        (status(422, "Invalid"), InvalidError),
        (status(400, "BadRequest"), RefusedError),
        (status(500, "InternalError"), UnavailableError),
        (status(429, "TooManyRequests"), UnavailableError),
        (lambda _: web.Response(text="<html>", status=200), UnavailableError),
    ],
)
async def test_every_answer_has_one_error_of_ours(served: Served, answer: Answer, want: type[Exception]) -> None:
    server, client = served
    server.answers = [answer]
    with pytest.raises(want) as raised:
        await client.get("/x")
    assert raised.value.__cause__ is not None, "what the server said is chained"


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        ({"message": PATCH_FAILED, "reason": "Invalid", "details": {}}, True),
        ({"message": 'admission webhook "h" denied the request: no'}, False),
        ({"message": 'admission webhook "h" denied the request: no', "reason": "Invalid"}, False),
        ({"message": f'admission webhook "h" denied the request: {PATCH_FAILED}', "details": {}}, False),
        ({"message": PATCH_FAILED, "reason": "Invalid", "details": {"name": "web", "causes": [{}]}}, False),
    ],
)
def test_of_all_that_is_unprocessable_a_failed_patch_test_is_told_apart(said: dict[str, Any], failed: bool) -> None:
    """The answers of a real server, 1.36."""
    error = from_answer("PATCH /x", 422, json.dumps({"kind": "Status", "code": 422, **said}).encode())
    assert isinstance(error, InvalidError)
    assert isinstance(error, PatchFailedError) is failed


async def test_a_conflict_names_the_manager_that_the_server_names(served: Served) -> None:
    server, client = served
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "tidegate" using v2', "field": ".spec.x"}
    server.answers = [status(409, "Conflict", causes=[cause])]
    with pytest.raises(ConflictError) as conflict:
        await client.patch("/x", {}, Form.APPLY, manager="helm")
    assert conflict.value.manager == "tidegate"


async def test_a_long_answer_is_quoted_briefly(served: Served) -> None:
    server, client = served
    server.answers = [lambda _: web.Response(text="x" * 100_000, status=400)]
    with pytest.raises(RefusedError) as refused:
        await client.get("/x")
    assert len(str(refused.value)) < 500


async def test_what_is_idempotent_is_asked_again_a_few_times(served: Served) -> None:
    server, client = served
    server.answers = [status(503), status(500), fine(a=1)]
    assert await client.get("/x") == {"a": 1}
    assert len(server.asked) == 3
    server.answers = [status(503)]
    with pytest.raises(UnavailableError):
        await client.get("/x")
    assert len(server.asked) == 3 + QUICK.attempts


@pytest.mark.parametrize("verb", ["create", "swap"])
async def test_what_may_have_been_done_is_not_asked_again(served: Served, verb: str) -> None:
    server, client = served
    server.answers = [status(503), fine()]
    with pytest.raises(UnavailableError):
        await (client.create("/x", {}) if verb == "create" else client.patch("/x", [], Form.JSON))
    assert len(server.asked) == 1


async def test_a_throttled_request_is_sent_again_after_the_time_the_server_asks(served: Served) -> None:
    server, client = served
    server.answers = [lambda _: web.Response(status=429, headers={"Retry-After": "1"}), fine(a=1)]
    began = time.monotonic()
    assert await client.create("/x", {}) == {"a": 1}, "429 says that nothing was done"
    assert time.monotonic() - began >= 1.0


async def test_a_wait_longer_than_the_budget_is_not_begun(served: Served) -> None:
    server, client = served
    server.answers = [lambda _: web.Response(status=429, headers={"Retry-After": "60"})]
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await client.get("/x")
    assert time.monotonic() - began < 1.0


async def test_a_server_that_hangs_is_given_up(served: Served) -> None:
    server, client = served
    server.answers, server.hang = [fine()], 2.0
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await client.get("/x")
    assert time.monotonic() - began < QUICK.total * QUICK.attempts + 0.5


async def test_nobody_there_is_unavailable_for_writes_too() -> None:
    client = await KubeClient.connect(url="http://127.0.0.1:9", limits=QUICK)
    with pytest.raises(UnavailableError):
        await client.create("/x", {})
    await client.close()


async def test_writes_bear_our_name(served: Served) -> None:
    server, client = served
    server.answers = [fine()]
    await client.create("/x", {"a": 1})
    await client.replace("/x", {"a": 1})
    await client.patch("/x", {"a": 1}, Form.MERGE)
    assert all("fieldManager=tidegate" in query for _, query, _ in server.asked)
    assert json.loads(server.asked[0][2]) == {"a": 1}


async def test_pages_follow_their_token(served: Served) -> None:
    server, client = served
    server.answers = [fine(metadata={"continue": "abc/+="}, items=[{"n": 1}]), fine(metadata={}, items=[{"n": 2}])]
    assert await client.items("/x", {"labelSelector": "a in (b,c)"}) == [{"n": 1}, {"n": 2}]
    assert "continue=abc/%2B%3D" in server.asked[1][1]


async def test_the_servers_clock_is_read_from_its_answers(served: Served) -> None:
    server, client = served
    assert client.clock_skew_seconds is None
    headers = {"Date": formatdate(time.time() + 30, usegmt=True)}
    server.answers = [lambda _: web.json_response({}, headers=headers)]
    for _ in range(3):
        await client.get("/x")
    assert client.clock_skew_seconds is not None
    assert 28.5 < client.clock_skew_seconds < 31.5


async def test_a_watch_event_larger_than_any_buffer_arrives_whole(served: Served) -> None:
    server, client = served
    event = {"type": "ADDED", "object": {"metadata": {"name": "big"}, "data": "x" * 9_000_000}}
    server.answers = [lambda _: web.Response(body=json.dumps(event).encode() + b"\n")]
    async with aclosing(client.watch("/x", resource_version="1", lasting=5, silence=5)) as events:
        seen = [kind async for kind, _ in events]
    assert seen == ["OPEN", "ADDED"]


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}, ExpiredError),
        ({"type": "ERROR", "object": {"kind": "Status", "code": 500}}, UnavailableError),
        ({"type": "ERROR", "object": None}, UnavailableError),
        ({"no": "event"}, UnavailableError),
        ([], UnavailableError),
    ],
)
async def test_an_error_event_ends_a_watch_with_our_error(served: Served, body: object, want: type[Exception]) -> None:
    server, client = served
    server.answers = [lambda _: web.Response(body=json.dumps(body).encode() + b"\n")]
    with pytest.raises(want):
        async for _ in client.watch("/x", resource_version="1", lasting=5, silence=5):
            pass


async def test_a_broken_kubeconfig_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "config"
    broken.write_text("nonsense: [")
    with pytest.raises(RefusedError, match="no usable cluster configuration"):
        await KubeClient.connect(kubeconfig=str(broken))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(
        RefusedError, match=r"^no cluster: KUBECONFIG is not set, this is no pod, and \S+ does not exist$"
    ):
        await KubeClient.connect()


async def test_a_kubeconfig_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nowhere"
    monkeypatch.setenv("KUBECONFIG", str(missing))
    with pytest.raises(RefusedError) as refused:
        await KubeClient.connect()
    assert str(refused.value) == f"no cluster: KUBECONFIG names {missing}, which does not exist"
    assert capfd.readouterr() == ("", "")


def test_the_environment_names_the_proxy_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the kubeconfig comes first; an address that needs none is reached directly."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "10.0.0.1,inside.example")

    def proxy_of(host: str, given: str | None = None) -> str | None:
        made = Configuration(host=host)
        made.proxy = given

        async def one() -> str | None:
            client = KubeClient(made)
            await client.close()
            return made.proxy  # type: ignore[no-any-return]

        return asyncio.run(one())

    assert proxy_of("https://api.example:6443") == "http://proxy.example:3128"
    assert proxy_of("https://api.inside.example") is None
    assert proxy_of("https://10.0.0.1") is None
    assert proxy_of("http://api.example") is None
    assert proxy_of("https://api.example", "http://other:1") == "http://other:1"


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(body=b""),
        lambda _: web.Response(status=204),
        lambda _: web.Response(text="<html>log in</html>", content_type="text/html"),
        lambda _: web.json_response([]),
        lambda _: web.json_response(None),
        fine(),
        fine(kind="Status", metadata={}, status="Success"),
        fine(kind="List", metadata={}, items={}),
        fine(kind="List", metadata={}, items=[1, None]),
        fine(kind="List", items=[]),
    ],
    ids=["empty", "204", "HTML", "an array", "null", "{}", "a Status", "a map", "items of no kind", "no metadata"],
)
async def test_an_answer_that_is_no_list_is_never_an_empty_one(
    served: tuple[Server, KubeClient], answer: Answer
) -> None:
    """Read as one it would mean that everything was deleted."""
    server, client = served
    server.answers = [answer]
    with pytest.raises(UnavailableError, match="the answer is"):
        await client.items("/api/v1/pods")


@pytest.mark.parametrize("answer", [lambda _: web.Response(body=b""), lambda _: web.json_response([1])])
async def test_an_answer_that_is_no_object_is_none(served: tuple[Server, KubeClient], answer: Answer) -> None:
    server, client = served
    server.answers = [answer]
    with pytest.raises(UnavailableError, match="the answer is no object"):
        await client.get("/api/v1/namespaces/shop/configmaps/tidegate-stop")


async def test_a_list_without_items_is_empty_as_some_servers_write_it(served: tuple[Server, KubeClient]) -> None:
    server, client = served
    server.answers = [fine(kind="List", metadata={"resourceVersion": "1"}, items=None)]
    assert await client.items("/api/v1/pods") == []


async def test_a_list_whose_pages_lead_to_themselves_ends(served: tuple[Server, KubeClient]) -> None:
    server, client = served
    server.answers = [fine(kind="List", metadata={"continue": "more"}, items=[])]
    with pytest.raises(UnavailableError, match="the list does not end"):
        await client.items("/api/v1/pods")


@pytest.mark.parametrize(("cause", "ending"), [("NamespaceTerminating", True), ("FieldValueInvalid", False)])
def test_a_refusal_for_a_namespace_that_is_being_deleted_is_told_apart(cause: str, ending: bool) -> None:
    """As a real server (1.36) answers, with the cause's reason."""
    details = {"name": "x", "causes": [{"reason": cause, "message": "namespace shop is being terminated"}]}
    said = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "forbidden", "details": details}
    error = from_answer("POST /x", 403, json.dumps(said).encode())
    assert isinstance(error, ForbiddenError)
    assert error.ending is ending


@pytest.mark.parametrize("refusal", [status(403, "Forbidden"), status(410, "Expired"), status(500)])
async def test_a_list_that_is_refused_in_its_middle_is_no_shorter_list(
    served: tuple[Server, KubeClient], refusal: Answer
) -> None:
    server, client = served
    server.answers = [fine(kind="List", metadata={"continue": "more"}, items=[{"metadata": {"name": "a"}}]), refusal]
    with pytest.raises((RefusedError, UnavailableError, ExpiredError)):
        await client.items("/api/v1/pods")


# ---- answers larger than may be held


SMALL = replace(QUICK, total=10.0, answer=100_000)


def shelf(sizes: list[int]) -> Answer:
    """A list of objects of so many bytes each, in pages as asked for."""

    def page(request: web.Request) -> web.StreamResponse:
        begin, most = int(request.query.get("continue", 0)), int(request.query["limit"])
        items = [{"at": at, "fat": "x" * size} for at, size in enumerate(sizes)][begin : begin + most]
        more = str(begin + most) if begin + most < len(sizes) else ""
        return web.json_response({"metadata": {"continue": more}, "items": items})

    return page


@given(st.lists(st.sampled_from([0, 100, 5_000, 60_000]), max_size=60), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
async def test_a_list_of_large_objects_comes_whole_in_pages_that_can_be_held(sizes: list[int], most: int) -> None:
    async with serving(shelf(sizes), SMALL) as (server, client):
        pages = [page["items"] async for page in client.pages("/things", size=most)]
    assert [one["at"] for page in pages for one in page] == list(range(len(sizes)))
    assert max((sum(len(one["fat"]) for one in page) for page in pages), default=0) <= SMALL.answer
    assert len(server.asked) <= 3 * len(sizes) + 1


async def test_one_object_that_is_too_large_is_not_asked_for_again_and_again() -> None:
    async with serving(shelf([200_000]), SMALL) as (server, client):
        for ask in (client.items("/things"), client.get("/things", {"limit": 1})):
            server.asked.clear()
            with pytest.raises(TooLargeError, match="larger than"):
                await ask
            assert len(server.asked) <= 6  # 500 objects in one page, then 125, 31, 7, 1
        server.answers = [fine(metadata={}, items=[])]
        assert await client.items("/things") == [], "and the client goes on"


async def test_what_is_large_only_once_it_is_unpacked_is_too_large() -> None:
    def packed(_: web.Request) -> web.StreamResponse:
        answer = web.json_response({"fat": "x" * 1_000_000})
        answer.enable_compression(web.ContentCoding.gzip)
        return answer

    async with serving(packed, SMALL) as (_, client):
        with pytest.raises(TooLargeError):
            await client.get("/thing")


# ---- documents nested deeper than the parser goes


def nested(depth: int) -> str:
    return '{"f:a":' * depth + "{}" + "}" * depth


@pytest.mark.parametrize("depth", [900, 1_100, 9_000])
async def test_one_object_that_is_nested_too_deep_hides_no_other_of_its_list(depth: int) -> None:
    odd = (
        f'{{"metadata": {{"name": "odd [{{", "managedFields": [{{"fieldsV1": {nested(depth)}}}]}}, "spec": {{"a": 1}}}}'
    )
    text = f'{{"metadata": {{}}, "items": [{{"at": 0}}, {odd}, {{"at": 2, "b": [[1]]}}]}}'
    async with serving(lambda _: web.Response(text=text, content_type="application/json"), SMALL) as (_, client):
        first, second, third = await client.items("/things")
    assert (first, third) == ({"at": 0}, {"at": 2, "b": [[1]]})
    assert (second["metadata"]["name"], second["spec"]) == ("odd [{", {"a": 1})


async def test_of_a_large_page_with_something_too_deep_smaller_ones_are_asked_for() -> None:
    def page(request: web.Request) -> web.StreamResponse:
        begin, most = int(request.query.get("continue", 0)), int(request.query["limit"])
        items = [f'{{"at": {at}, "b": {nested(2_000) if at == 7 else "[]"}}}' for at in range(20)][begin : begin + most]
        more = str(begin + most) if begin + most < 20 else ""
        text = f'{{"metadata": {{"continue": "{more}"}}, "items": [{",".join(items)}]}}'
        return web.Response(text=text.ljust(60_000 * len(items)), content_type="application/json")

    async with serving(page, replace(SMALL, answer=8 << 20)) as (_, client):
        pages = [one["items"] async for one in client.pages("/things", size=20)]
    assert [one["at"] for page in pages for one in page] == list(range(20))
    assert next(len(page) for page in pages if page[-1]["at"] >= 7) <= 4
