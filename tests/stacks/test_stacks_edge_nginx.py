"""The edge's configuration in a real nginx on loopback: what a crowd costs an origin, and what the crowd gets."""

from __future__ import annotations

import contextlib
import math
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import requests  # noqa: E402
from web import Edge, Origin, Reply, edge, has, next_second, origin, wait_for  # noqa: E402

from tidegate_stacks import nginx_values  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx on PATH (Debian: nginx)"),
    pytest.mark.timeout(180),
]

PLAYERS = 200


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    with origin(has("alice")) as first, origin(has("bob")) as second:
        yield first, second


@pytest.fixture
def site(origins: tuple[Origin, Origin], tmp_path: Path) -> Iterator[Edge]:
    with edge(tmp_path, *(one.address for one in origins)) as made:
        yield made


def test_a_crowd_that_asks_for_one_segment_costs_the_origin_one_request(
    site: Edge, origins: tuple[Origin, Origin]
) -> None:
    assert site.crowd("/live/alice-1.ts", 50) == {200: 50}
    assert origins[0].asked == ["/live/alice-1.ts"]
    assert origins[1].asked == []


def test_a_stream_is_found_on_the_origin_that_has_it(site: Edge) -> None:
    for stream in ("alice", "bob"):
        answer = site.get(f"/live/{stream}.m3u8")
        assert (answer.status_code, answer.text) == (200, "segment")


def test_a_segment_that_was_found_is_not_looked_for_again_on_the_other_origins(
    site: Edge, origins: tuple[Origin, Origin]
) -> None:
    assert site.get("/live/bob-1.ts").status_code == 200
    time.sleep(1.1)  # the first one's 404 is believed for a second
    assert site.get("/live/bob-1.ts").status_code == 200
    assert [len(one.asked) for one in origins] == [1, 1]


def test_a_crowd_that_comes_before_the_show_costs_each_origin_one_request_a_second(
    site: Edge, origins: tuple[Origin, Origin]
) -> None:
    for path in ("/live/carol.m3u8", "/live/carol-1.ts"):
        for one in origins:
            one.asked.clear()
        begin = time.time()
        assert site.crowd(path, PLAYERS) == {404: PLAYERS}
        seconds = math.floor(time.time()) - math.floor(begin) + 1
        assert [len(one.asked) <= seconds for one in origins] == [True, True], f"{path}: in {seconds} s"
        assert all(one.asked for one in origins)


def test_a_segment_that_appears_is_served_as_soon_as_its_absence_is_a_second_old(tmp_path: Path) -> None:
    there = False
    with origin(lambda _: Reply(b"late") if there else Reply(status=404)) as one, edge(tmp_path, one.address) as site:
        assert site.get("/live/a-1.ts").status_code == 404
        there = True
        next_second()
        next_second()
        assert site.get("/live/a-1.ts").text == "late", "an old 404 must not be served while it is looked for again"


def test_the_lock_holds_for_a_segment_that_takes_longer_than_nginx_waits_by_itself(tmp_path: Path) -> None:
    by_itself = 5  # seconds: nginx's default of proxy_cache_lock_timeout and of proxy_cache_lock_age
    slow = Reply(b"x" * 100_000, after=by_itself + 1.5)
    with origin(lambda _: slow) as one, edge(tmp_path, one.address) as site:
        assert site.crowd("/live/a-1.ts", PLAYERS) == {200: PLAYERS}
        assert one.asked == ["/live/a-1.ts"]


def test_an_origin_that_is_silent_for_too_long_costs_one_request_and_not_one_for_each_who_waits(
    tmp_path: Path,
) -> None:
    times = nginx_values.Times(read_seconds=1)
    with origin(lambda _: Reply(after=3)) as one, edge(tmp_path, one.address, times=times) as site:
        begin = time.time()
        assert site.crowd("/live/a-1.ts", 50) == {502: 50}
        assert len(one.asked) <= math.ceil(time.time() - begin)


def test_a_playlist_that_nobody_asked_for_is_not_old(tmp_path: Path) -> None:
    made: list[float] = []

    def playlist(_: str) -> bytes:
        made.append(time.time())
        return str(len(made)).encode()

    with origin(playlist) as one, edge(tmp_path, one.address) as site:
        site.get("/live/a.m3u8")
        time.sleep(2.1)
        asked = time.time()
        number = int(site.get("/live/a.m3u8").text)
        assert made[number - 1] >= math.floor(asked), "the first answer after a pause is made then"


def test_a_crowd_that_returns_to_a_playlist_costs_one_request_a_second(tmp_path: Path) -> None:
    with origin(lambda _: Reply(b"list", after=0.8)) as one, edge(tmp_path, one.address) as site:
        site.get("/live/a.m3u8")
        time.sleep(1.5)  # it has expired; nginx's lock alone does not cover what is there and old
        one.asked.clear()
        begin = time.time()
        assert site.crowd("/live/a.m3u8", PLAYERS) == {200: PLAYERS}
        assert len(one.asked) <= math.floor(time.time()) - math.floor(begin) + 1


def test_nobody_waits_while_a_segment_is_fetched_again_and_one_waits_for_a_picture(tmp_path: Path) -> None:
    times = nginx_values.Times(segment_seconds=1, other_seconds=1)
    with origin(lambda _: b"old") as one, edge(tmp_path, one.address, times=times) as site:
        for path in ("/live/a-1.ts", "/img/a.jpg"):
            assert site.get(path).text == "old"
        time.sleep(2.1)
        one.asked.clear()
        one.answer = lambda _: Reply(b"new", after=1.2)
        assert site.get("/live/a-1.ts").text == "old", "it does not change: nobody waits"
        with ThreadPoolExecutor(1) as first:
            fresh = first.submit(site.get, "/img/a.jpg")
            wait_for(lambda: "/img/a.jpg" in one.asked, "who asks first sends for it")
            assert site.get("/img/a.jpg").text == "old", "who asks meanwhile does not wait"
            assert fresh.result().text == "new"
        assert sorted(one.asked) == ["/img/a.jpg", "/live/a-1.ts"]


@pytest.mark.parametrize(("seconds", "status"), [(nginx_values.STALE_SECONDS, 200), (1, 502)], ids=["soon", "later"])
def test_a_playlist_that_is_a_little_old_is_better_than_an_error(tmp_path: Path, seconds: int, status: int) -> None:
    healthy = True
    changes = {f"stale-if-error={nginx_values.STALE_SECONDS}": f"stale-if-error={seconds}"}
    with (
        origin(lambda _: Reply(b"list") if healthy else Reply(status=500)) as one,
        edge(tmp_path, one.address, changes=changes) as site,
    ):
        assert site.get("/live/a.m3u8").headers["X-Cache"] == "MISS"
        healthy = False
        time.sleep(2.1)
        late = site.get("/live/a.m3u8")
        assert late.status_code == status, "for a bounded time"
        if status == 200:
            assert (late.text, late.headers["X-Cache"]) == ("list", "STALE")


def test_a_playlist_is_not_old_where_its_show_has_ended(tmp_path: Path) -> None:
    on_air = True
    with origin(lambda _: Reply(b"list") if on_air else Reply(status=404)) as one, edge(tmp_path, one.address) as site:
        assert site.get("/live/a.m3u8").text == "list"
        on_air = False
        next_second()
        assert site.get("/live/a.m3u8").status_code == 404


def test_a_stream_is_not_said_to_be_nowhere_while_the_origin_that_may_have_it_fails(
    site: Edge, origins: tuple[Origin, Origin]
) -> None:
    assert site.get("/live/alice.m3u8").status_code == 200
    origins[0].answer = lambda _: Reply(status=503)
    next_second()
    assert site.get("/live/alice.m3u8").headers["X-Cache"] == "STALE"
    assert site.get("/live/alice-1.ts").status_code == 502
    assert site.get("/live/bob-1.ts").status_code == 200


def test_the_choice_of_an_origin_tells_what_is_nowhere_from_what_nobody_could_say(
    site: Edge, origins: tuple[Origin, Origin]
) -> None:
    """No version of nginx plays an old playlist after a 410; each may after a connection that breaks."""

    def said(path: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as asks:
            asks.connect(str(site.folder / "cache/choice.sock"))
            asks.sendall(f"GET {path} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
            return asks.makefile("rb").readline()

    assert said("/live/bob.m3u8") == b"HTTP/1.1 200 OK\r\n"
    assert said("/live/carol.m3u8") == b"HTTP/1.1 410 Gone\r\n"
    origins[0].answer = lambda _: Reply(status=502)
    assert said("/live/carol.m3u8") == b""
    assert said("/live/bob.m3u8") == b"HTTP/1.1 200 OK\r\n"


CACHING = {
    "no-cache": {"Cache-Control": "no-cache"},
    "max-age-0": {"Cache-Control": "max-age=0"},
    "no-store": {"Cache-Control": "private, no-store"},
    "expires": {"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"},
    "cookie": {"Set-Cookie": "session=1"},
    "vary": {"Vary": "*"},
    "pragma": {"Pragma": "no-cache"},
    "accel": {"X-Accel-Expires": "0"},
    "long": {"Cache-Control": "max-age=86400"},
}


def test_what_an_origin_says_of_caching_neither_switches_the_cache_off_nor_passes_it(tmp_path: Path) -> None:
    def answer(path: str) -> Reply:
        return Reply(b"x", headers=CACHING[path.rpartition("/")[2].partition(".")[0]])

    with origin(answer) as one, edge(tmp_path, one.address) as site:
        for name, headers in CACHING.items():
            segments = [site.get(f"/live/{name}.ts") for _ in range(3)]
            assert one.asked.count(f"/live/{name}.ts") == 1, name
            playlist = site.get(f"/live/{name}.m3u8")
            assert segments[2].headers["Cache-Control"] == "public, max-age=600"
            assert playlist.headers["Cache-Control"] == "public, max-age=1"
            for header in set(headers) - {"Cache-Control"}:
                assert header not in segments[0].headers, name
                assert header not in playlist.headers, name
        next_second()
        for name in CACHING:
            site.get(f"/live/{name}.ts")
            assert one.asked.count(f"/live/{name}.ts") == 1, f"{name}: not even after a second"
        one.answer = lambda _: b"new"
        assert site.get("/live/long.m3u8").text == "new", "a long max-age makes no playlist old"


def test_what_stands_in_front_is_told_how_long_an_answer_lasts(tmp_path: Path) -> None:
    wants = {
        ("/live/a.m3u8", 200): "public, max-age=1",
        ("/live/a-1.ts", 200): "public, max-age=600",
        ("/img/a.jpg", 200): "public, max-age=60",
        ("/live/b.m3u8", 404): "public, max-age=1",
        ("/live/b-1.ts", 404): "public, max-age=1",
        ("/img/b.jpg", 403): "public, max-age=1",
        ("/live/c-1.ts", 502): "no-store",
    }
    statuses = dict(wants.keys())
    with origin(lambda path: Reply(b"x", status=statuses[path])) as one, edge(tmp_path, one.address) as site:
        for (path, status), want in wants.items():
            for _ in range(2):  # from the origin, and from the cache
                answer = site.get(path)
                assert (path, answer.status_code, answer.headers["Cache-Control"]) == (path, status, want)
                assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_half_a_segment_is_not_kept(tmp_path: Path) -> None:
    with origin(lambda _: Reply(b"x" * 200_000, cut=True)) as one, edge(tmp_path, one.address) as site:
        with contextlib.suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            assert len(site.get("/live/a-1.ts").content) < 200_000, "half of it was passed on as the whole"
        one.answer = lambda _: b"whole"
        assert site.get("/live/a-1.ts").text == "whole"


def test_a_method_that_a_cache_would_pass_on_each_time_reaches_no_origin(tmp_path: Path) -> None:
    with origin(lambda _: b"x") as one, edge(tmp_path, one.address) as site:
        for method, status in {"POST": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 204}.items():
            answer = requests.request(method, f"http://{site.address}/live/a.m3u8", timeout=30)
            assert (method, answer.status_code) == (method, status)
        assert one.asked == []
        assert requests.head(f"http://{site.address}/live/a.m3u8", timeout=30).status_code == 200
