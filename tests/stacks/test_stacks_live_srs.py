"""Live and edge together: SRS's double under the generated configuration, a real nginx before it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import requests  # noqa: E402
from srs_double import FACTS, Srs, parse  # noqa: E402
from web import PATIENCE, Edge, edge, free_port, next_second, origin, wait_for  # noqa: E402

from tidegate_stacks import live, srs  # noqa: E402

nginx_needed = pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx on PATH (Debian: nginx)")
pytestmark = pytest.mark.timeout(180)

ALONE = ["live-origin-0.live-origin"]
TWO = [*ALONE, "live-origin-1.live-origin"]


@pytest.fixture
def servers() -> Iterator[list[Srs]]:
    made: list[Srs] = []
    yield made
    for one in made:
        one.close()


def started(servers: list[Srs], conf: str, **rest: Any) -> Srs:
    servers.append(Srs(conf, **rest))
    return servers[-1]


def follow(site: Edge, path: str, hops: int = 4) -> list[str]:
    """Kinds of the playlists that a player meets on its way to a segment."""
    kinds = []
    for _ in range(hops):
        answer = site.get(path)
        kinds.append("media" if "#EXTINF" in answer.text else "master" if "#EXTM3U" in answer.text else "segment")
        if kinds[-1] == "segment":
            break
        path = [line for line in answer.text.splitlines() if not line.startswith("#")][-1]
    return kinds


@nginx_needed
def test_thirty_polls_of_thirty_get_media_playlists_while_newcomers_open_the_room(
    servers: list[Srs], tmp_path: Path
) -> None:
    one = started(servers, srs.origin_conf(ALONE))
    assert one.publish("live", "room")
    with edge(tmp_path, one.http.address) as site:
        end = threading.Event()
        newcomers = threading.Thread(target=lambda: [site.get("/live/room.m3u8") for _ in iter(end.is_set, True)])
        newcomers.start()
        try:
            polls = []
            for _ in range(30):
                polls.append("#EXTINF" in site.get("/live/room.m3u8").text)
                time.sleep(0.05)
        finally:
            end.set()
            newcomers.join(PATIENCE)
        assert polls == [True] * 30
        assert follow(site, "/live/room.m3u8") == ["media", "segment"]
        playlists = sum(path.startswith("/live/room.m3u8") for path in one.http.asked)
        assert playlists <= 3 + 30, "the crowd's polls do not reach the origin"


@nginx_needed
def test_by_its_defaults_srs_gives_each_player_a_session_which_the_edge_survives_but_cannot_share(
    servers: list[Srs], tmp_path: Path
) -> None:
    conf = srs.origin_conf(ALONE).replace("hls_ctx off;", "").replace("hls_ts_ctx off;", "")
    one = started(servers, conf)
    one.publish("live", "room")
    with edge(tmp_path, one.http.address) as site:
        assert follow(site, "/live/room.m3u8") == ["master", "media", "segment"]
        next_second()
        first = site.get("/live/room.m3u8").text
        next_second()
        assert site.get("/live/room.m3u8").text != first, "who comes a second later has another session"


@pytest.mark.parametrize(("option", "seen"), [("hls_ctx", "master"), ("hls_ts_ctx", "?hls_ctx=")])
def test_each_of_the_two_session_options_is_needed(servers: list[Srs], option: str, seen: str) -> None:
    def playlist(conf: str) -> str:
        one = started(servers, conf)
        one.publish("live", "room")
        asked = "" if option == "hls_ctx" else "?hls_ctx=s1"
        text = requests.get(f"http://{one.http.address}/live/room.m3u8{asked}", timeout=PATIENCE).text
        return f"master {text}" if "EXT-X-STREAM-INF" in text else text

    assert seen not in playlist(srs.origin_conf(ALONE))
    assert seen in playlist(srs.origin_conf(ALONE).replace(f" {option} off;", ""))


@nginx_needed
@pytest.mark.parametrize("named_by_time", [True, False], ids=["as-generated", "by-default"])
def test_after_an_origin_has_started_again_no_segment_of_the_last_show_is_played(
    servers: list[Srs], tmp_path: Path, named_by_time: bool
) -> None:
    conf = srs.origin_conf(ALONE)
    if not named_by_time:
        conf = conf.replace("hls_ts_file [app]/[stream]-[seq]-[timestamp].ts;", "")
    first = started(servers, conf)
    first.publish("live", "room")
    with edge(tmp_path, first.http.address) as site:
        play(site)
        next_second()
        second = Srs(conf)
        servers.append(second)
        second.publish("live", "room")
        first.http.answer = second.http.answer
        next_second()
        assert (play(site) == f"live/room of {second.started}") is named_by_time


def play(site: Edge) -> str:
    """What the first segment of the playlist says of itself."""
    (path, *_) = [line for line in site.get("/live/room.m3u8").text.splitlines() if not line.startswith("#")]
    return site.get(path).text.partition(":")[0]


def test_a_playlist_is_short_and_goes_soon_after_its_show(servers: list[Srs]) -> None:
    for hosts in (ALONE, TWO):
        one = started(servers, srs.origin_conf(hosts))
        one.publish("live", "room")
        one.streams["live/room"].born -= 100
        text = requests.get(f"http://{one.http.address}/live/room.m3u8", timeout=PATIENCE).text
        assert text.count(f"#EXTINF:{srs.FRAGMENT_SECONDS}\n") == srs.WINDOW_SECONDS // srs.FRAGMENT_SECONDS
        one.unpublish("live", "room")
        for ago, there in ((srs.DISPOSE_SECONDS - 5, 200), (srs.DISPOSE_SECONDS + 5, 404)):
            one.streams["live/room"].ended = time.time() - ago
            answer = requests.get(f"http://{one.http.address}/live/room.m3u8", timeout=PATIENCE)
            assert answer.status_code == there


# ---- who may publish


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[str]:
    """URL of the service that compares keys, with a Secret as it is mounted."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "room").write_text("right\n")
    (folder / "music.room").write_text("other")
    (folder / "empty").write_text("")
    (folder / "base64").write_text("ab+c/d==")
    (folder / "percent").write_text("a%41b")
    (folder / "rungs._").write_text("transcoders")
    (tmp_path / "publish-keys.py").write_text(live.script("publish-keys.py"))
    port = free_port()
    process = subprocess.Popen([sys.executable, str(tmp_path / "publish-keys.py"), str(folder), str(port)])
    url = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        try:
            return requests.get(url, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    wait_for(answers, "the service does not answer")
    yield url
    process.terminate()
    process.wait(PATIENCE)


def test_only_who_knows_a_streams_key_may_publish_it(servers: list[Srs], keys: str) -> None:
    one = started(servers, srs.origin_conf(ALONE, on_publish=keys))
    tries = {
        ("live", "room", "?key=right"): True,
        ("live", "room", "?a=b&key=right"): True,
        ("live", "room", "?key=wrong"): False,
        ("live", "room", ""): False,
        ("music", "room", "?key=other"): True,
        ("music", "room", "?key=right"): False,
        ("live", "unknown", "?key=right"): False,
        ("live", "empty", "?key="): False,
        ("rungs", "room_p720", "?key=transcoders"): True,
        ("rungs", "room", "?key=transcoders"): False,
        ("live", "room_p720", "?key=transcoders"): False,
        ("live", "base64", "?key=ab+c/d=="): True,
        ("live", "base64", "?key=ab%2Bc%2Fd%3D%3D"): True,
        ("live", "base64", "?key=ab c/d=="): False,
        ("live", "percent", "?key=a%41b"): True,
        ("live", "percent", "?key=a%2541b"): True,
        ("live", "percent", "?key=aAb"): False,
        ("live", "../secret/room", "?key=right"): False,
        ("live", "", "?key=right"): False,
    }
    assert {one_try: one.publish(*one_try) for one_try in tries} == tries
    assert requests.post(keys, data=b"no json", timeout=PATIENCE).status_code == 403


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="needs a kernel with IPv6")
def test_the_kubelet_reaches_the_service_at_an_ipv6_address_too(keys: str) -> None:
    assert requests.get(keys.replace("127.0.0.1", "[::1]"), timeout=PATIENCE).status_code == 200


def test_nobody_may_publish_while_the_hook_does_not_answer(servers: list[Srs]) -> None:
    closed = f"http://127.0.0.1:{free_port()}/"
    assert not started(servers, srs.origin_conf(ALONE, on_publish=closed)).publish("live", "room")
    assert started(servers, srs.origin_conf(ALONE)).publish("live", "room"), "without a hook everybody may"


def test_nobody_publishes_at_a_relay(servers: list[Srs]) -> None:
    relay = started(servers, srs.relay_conf(TWO))
    assert not relay.publish("live", "room")
    assert relay._listed("play")
    assert relay.option("vhost.cluster.mode") == "remote"
    assert relay.option("vhost.cluster.origin").split() == [f"{host}:1935" for host in TWO]


@pytest.mark.parametrize(
    ("publish", "hook"),
    [
        ("open", None),
        ({"keys": "stream-keys"}, f"http://127.0.0.1:{live.KEYS_PORT}/"),
        ({"hook": "http://rooms.shop.svc/publish"}, "http://rooms.shop.svc/publish"),
    ],
    ids=["open", "keys", "hook"],
)
def test_the_choice_of_publishers_reaches_the_origins(publish: Any, hook: str | None) -> None:
    options = parse(live.configs("live", arguments(publish=publish))["origin.conf"])
    assert options.get("vhost.http_hooks.on_publish", [None]) == [hook]
    assert options.get("vhost.http_hooks.enabled", ["off"]) == ["on" if hook else "off"]


def arguments(**rest: Any) -> live.LiveOriginArgs:
    given = {"namespace": "shop", "publish": "open", "normal_mbps": 1, "peak_mbps": 9, **rest}
    return live.LiveOriginArgs.model_validate(given)


@pytest.mark.parametrize(
    "publish", [None, {}, {"keys": "a", "hook": "http://b"}, {"open": True, "keys": "a"}, {"open": False}]
)
def test_who_may_publish_has_to_be_said_in_one_way(publish: Any) -> None:
    with pytest.raises(ValueError, match="say who may publish, in one way: keys"):
        arguments(publish=publish)


def test_keys_lie_in_a_secret_that_only_the_service_beside_the_origins_reads() -> None:
    origins, *_ = live.origin_objects("live", arguments(publish={"keys": "stream-keys"}))
    pods = origins["spec"]["template"]["spec"]
    mounts = {one["name"]: {mount["name"] for mount in one["volumeMounts"]} for one in pods["containers"]}
    assert mounts == {"srs": {"config", "tmp"}, "keys": {"config", "keys"}}
    assert {"name": "keys", "secret": {"secretName": "stream-keys"}} in pods["volumes"]


# ---- streams without an end


@nginx_needed
def test_a_stream_without_an_end_is_played_on_from_its_copy_when_its_origin_goes(
    servers: list[Srs], keys: str, tmp_path: Path
) -> None:
    spare = started(servers, srs.origin_conf(ALONE, on_publish=keys))
    conf = srs.origin_conf(ALONE, on_publish=keys, forward=["spare-publish.shop.svc:1935"])
    first = started(servers, conf, reach={"spare-publish.shop.svc:1935": spare})
    assert first.publish("live", "room", "?key=right")
    assert "live/room" in spare.streams
    with edge(tmp_path, first.http.address, spare.http.address) as site:
        assert follow(site, "/live/room.m3u8") == ["media", "segment"]
        first.http.answer = lambda _: (_ for _ in ()).throw(ConnectionError)
        next_second()
        assert follow(site, "/live/room.m3u8") == ["media", "segment"]
        assert site.get("/live/room.m3u8").headers["X-Cache"] != "STALE"


def test_without_forwards_there_is_no_copy(servers: list[Srs]) -> None:
    assert not started(servers, srs.origin_conf(ALONE)).on("vhost.forward.enabled")


@pytest.mark.parametrize("conf", [srs.origin_conf(TWO), srs.relay_conf(TWO)], ids=["origin", "relay"])
def test_who_watches_or_publishes_is_waited_for_at_the_end(servers: list[Srs], conf: str) -> None:
    one = started(servers, conf)
    assert one.seconds_to_end(grace=100) == 100
    assert started(servers, conf.replace("force_grace_quit on;", "")).seconds_to_end(grace=100) == 0
    assert one.option("grace_start_wait") == str(srs.START_WAIT_MS)
    assert one.option("grace_final_wait") == str(srs.FINAL_WAIT_MS)


def test_a_pod_has_longer_than_srs_waits() -> None:
    args = arguments()
    waits = (srs.START_WAIT_MS + srs.FINAL_WAIT_MS) / 1000
    for (workload, *_), grace in (
        (live.origin_objects("live", args), args.publisher_grace_seconds),
        (live.relay_objects("live", args), args.viewer_grace_seconds),
    ):
        assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace + waits


# ---- what listens


def test_the_api_is_reached_from_inside_the_pod_and_by_the_other_origins_only(servers: list[Srs]) -> None:
    assert started(servers, srs.relay_conf(TWO)).listens("http_api") == "127.0.0.1:1985"
    assert started(servers, srs.origin_conf(ALONE)).listens("http_api") == "127.0.0.1:1985"
    both = started(servers, srs.origin_conf(TWO))
    assert both.listens("http_api") == "0.0.0.0:1985"
    assert both.on("vhost.cluster.origin_cluster")
    assert both.option("vhost.cluster.coworkers").split() == [f"{host}:1985" for host in TWO]
    for part in (live.origin_objects, live.relay_objects):
        (policy,) = [one for one in part("live", arguments()) if one["kind"] == "NetworkPolicy"]
        rules = [rule for rule in policy["spec"]["ingress"] if {"port": 1985, "protocol": "TCP"} in rule["ports"]]
        within = [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "live"}}}]
        assert [rule["from"] for rule in rules] == ([within] if part is live.origin_objects else [])


@pytest.mark.parametrize("conf", [srs.origin_conf(TWO), srs.relay_conf(TWO)], ids=["origin", "relay"])
def test_metrics_are_served_where_the_monitor_looks(servers: list[Srs], conf: str) -> None:
    assert started(servers, conf).listens("exporter") == f"0.0.0.0:{srs.PORTS['metrics']}"
    for part in (live.origin_objects, live.relay_objects):
        workload, *others = part("live", arguments(monitor=True))
        (monitor,) = [one for one in others if one["kind"] == "PodMonitor"]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        ports = workload["spec"]["template"]["spec"]["containers"][0]["ports"]
        assert {"name": endpoint["port"], "containerPort": srs.PORTS["metrics"]} in ports
        assert not [one for one in part("live", arguments()) if one["kind"] == "PodMonitor"]


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash on PATH, as SRS's image has it")
def test_the_probe_asks_the_api_on_loopback() -> None:
    def asked(port: int) -> int:
        probe = live.API_ASKED.replace("/1985", f"/{port}")
        assert probe != live.API_ASKED
        return subprocess.run(["bash", "-c", probe], check=False, capture_output=True, timeout=PATIENCE).returncode

    with origin(lambda path: b"{}" if path == "/api/v1/versions" else b"") as api:
        assert asked(api.port) == 0
        assert api.asked == ["/api/v1/versions"]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert asked(nobody.getsockname()[1]) != 0
    for part in (live.origin_objects, live.relay_objects):
        workload, *_ = part("live", arguments())
        container = workload["spec"]["template"]["spec"]["containers"][0]
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"] == ["bash", "-c", live.API_ASKED]


# ---- the table of facts


def test_every_fact_says_what_since_when_and_from_where() -> None:
    for fact in FACTS.values():
        assert all((fact.meaning, fact.since, fact.source)), fact.option


def test_every_option_that_is_written_is_one_that_a_fact_explains_or_that_is_the_same_everywhere() -> None:
    plain = {"listen", "max_connections", "daemon", "pid", "srs_log_tank", "ff_log_dir", "http_server.enabled"}
    plain |= {"http_server.listen", "http_server.dir", "vhost.tcp_nodelay", "vhost.min_latency", "vhost.hls.hls_path"}
    plain |= {"vhost.http_remux.enabled", "vhost.http_remux.mount", "vhost.security.allow", "vhost.security.deny"}
    full = srs.origin_conf(TWO, on_publish="http://hook/", forward=["spare:1935"])
    written = set(parse(full)) | set(parse(srs.relay_conf(TWO)))
    assert written == set(FACTS) | plain


def test_an_option_is_written_where_srs_would_do_something_else() -> None:
    full = srs.origin_conf(TWO, on_publish="http://hook/", forward=["spare:1935"])
    options = {**parse(srs.relay_conf(TWO)), **parse(full)}
    same = {name for name, fact in FACTS.items() if options[name][-1] == fact.default}
    assert same == {"vhost.cluster.mode", "http_api.listen", "exporter.listen"}


def test_what_srs_does_where_nothing_is_said(servers: list[Srs]) -> None:
    """The defaults of the table: one that changes changes what is seen here."""
    silent = started(servers, "listen 1935;")
    assert silent.publish("live", "room")
    assert requests.get(f"http://{silent.http.address}/live/room.m3u8", timeout=PATIENCE).status_code == 404
    assert [silent.listens(part) for part in ("http_api", "exporter")] == [None, None]
    listens = started(servers, "http_api { enabled on; } exporter { enabled on; }")
    assert [listens.listens(part) for part in ("http_api", "exporter")] == ["0.0.0.0:1985", "0.0.0.0:9972"]
    assert [silent.option(f"grace_{part}_wait") for part in ("start", "final")] == ["2300", "3200"]
    assert [silent.option(f"vhost.cluster.{part}") for part in ("mode", "origin_cluster")] == ["local", "off"]
    assert [silent.option(f"vhost.{part}") for part in ("cluster.coworkers", "cluster.origin")] == ["", ""]
    hls = started(servers, "vhost a { hls { enabled on; hls_ctx off; } }")
    hls.publish("live", "room")
    hls.streams["live/room"].born -= 100
    text = requests.get(f"http://{hls.http.address}/live/room.m3u8?hls_ctx=s1", timeout=PATIENCE).text
    names = [f"/live/room-{number}.ts?hls_ctx=s1" for number in range(5, 11)]
    assert [line for line in text.splitlines() if not line.startswith("#")] == names
    assert text.count("#EXTINF:10") == 6
    for ago, there in ((110, 200), (130, 404)):
        hls.streams["live/room"].ended = time.time() - ago
        answer = requests.get(f"http://{hls.http.address}/live/room.m3u8", timeout=PATIENCE)
        assert answer.status_code == there
    asks = started(servers, "vhost a { http_hooks { enabled on; } forward { enabled on; } }")
    assert asks.publish("live", "room"), "no URL to ask, nowhere to send"
    assert not started(servers, "vhost a { security { enabled on; } }").publish("live", "room")
