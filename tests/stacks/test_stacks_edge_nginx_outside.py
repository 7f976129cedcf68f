"""What reaches an edge from outside in a real nginx: bodies, crowds, idle connections, and the end of its pod."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from web import Edge, Origin, Reply, edge, free_port, origin, wait_for  # noqa: E402

from tidegate_stacks import nginx, nginx_pod  # noqa: E402
from tidegate_stacks.nginx_values import MAX_PATH, PID, RUNS, Rule, Times  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx on PATH (Debian: nginx)"),
    pytest.mark.timeout(180),
]


@pytest.mark.parametrize("path", ["/img/a.jpg", "/live/a.m3u8", "/live/a-1.ts"])
@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_a_body_reaches_no_origin_since_no_key_holds_it(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    with origin(lambda _: b"answer") as one, edge(tmp_path, one.address) as site:
        body = iter([b"evil"]) if headers else b"evil"
        assert site.get(path, data=body).text == "answer"
        assert [set(seen) for seen in one.headers] == [{"Host", "Connection"}]


def test_a_crowd_that_asks_for_many_objects_at_once_is_not_turned_away_by_the_servers_behind(tmp_path: Path) -> None:
    """The workers stand still for a moment, as on a machine that is full, and then find all that was asked."""
    many = 900
    with origin(lambda _: b"segment") as one, edge(tmp_path, one.address) as site:
        for name in ("a-{}.ts", "a-{}.m3u8"):
            players = [socket.create_connection(("127.0.0.1", site.port), timeout=60) for _ in range(many)]
            time.sleep(0.5)
            for pid in workers(site):
                os.kill(pid, signal.SIGSTOP)
            for number, player in enumerate(players):
                asked = f"GET /live/{name.format(number)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                player.sendall(asked.encode())
            for pid in workers(site):
                os.kill(pid, signal.SIGCONT)
            assert Counter(answered(player)[9:12] for player in players) == {b"200": many}


def workers(site: Edge) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(site.process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def answered(player: socket.socket) -> bytes:
    with player:
        return b"".join(iter(lambda: player.recv(65536), b""))


def started_as_a_pod(folder: Path, one: Origin, before: str = "", **rest: Any) -> tuple[Edge, list[str]]:
    """An edge, and the command of its pod with its folder in place of the pod's. ``before``: shell that comes first."""
    script = folder / "start.sh"
    script.write_text(nginx.start_script())
    (folder / "resolv.conf").write_text("nameserver 10.96.0.10\n")
    site = Edge(folder / "edge", [one.address], **rest)
    places = [site.folder / "nginx.conf", folder / "resolv.conf", site.folder / "runs.conf", site.folder / "cache"]
    return site, ["sh", "-c", f'{before}exec sh "$@"', "sh", str(script), *map(str, places)]


def test_a_pod_takes_as_many_files_as_its_machine_allows(tmp_path: Path) -> None:
    with origin(lambda _: b"here") as one:
        site, command = started_as_a_pod(tmp_path, one, before="ulimit -S -n 256; ")
        site.start(*command)
        idle = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(600)]
        try:
            assert site.get("/1.ts").text == "here", "connections that ask for nothing keep nobody out"
        finally:
            for player in idle:
                player.close()
            site.stop()


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="needs a kernel with IPv6")
def test_a_pod_listens_on_ipv6_where_its_kernel_has_it(tmp_path: Path) -> None:
    ports = {"listen 8080": f"listen {free_port()}", "listen 8081": f"listen {free_port()}"}
    with origin(lambda _: b"here") as one:
        for number, addresses in enumerate(("/proc/net/if_inet6", "/nowhere")):
            (folder := tmp_path / str(number)).mkdir()
            site, command = started_as_a_pod(folder, one, changes=ports)
            site.port, site.status = (int(port.removeprefix("listen ")) for port in ports.values())
            site.start(*command, addresses)
            try:
                reached = {port: reaches("::1", port) for port in (site.port, site.status)}
                assert set(reached.values()) == {number == 0}
                assert site.get("/1.ts").text == "here"
            finally:
                site.stop()


def reaches(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6) as player:
        return player.connect_ex((host, port)) == 0


def test_a_pod_that_goes_finishes_what_it_sends_whatever_signal_its_image_names(tmp_path: Path) -> None:
    with origin(lambda _: Reply(b"x" * 1000, after=3)) as one:
        site = Edge(tmp_path / "edge", [one.address])
        site.start()
        got: list[int] = []
        player = threading.Thread(target=lambda: got.append(site.get("/live/a-1.ts").status_code))
        player.start()
        wait_for(lambda: bool(one.asked), "the player does not ask")
        leaves = nginx_pod.LEAVES.replace("sleep 5", "sleep 0").replace(RUNS, str(site.folder / "nginx.conf"))
        subprocess.run(["sh", "-c", leaves.replace(PID, str(site.folder / "nginx.pid"))], check=True, timeout=30)
        site.process.terminate()
        player.join()
        assert got == [200]
        site.process.wait(30)


def test_the_pod_waits_for_its_end_within_its_grace(tmp_path: Path) -> None:
    pod = nginx_pod.template("w", "c", nginx_pod.NginxArgs(), config_map="m", conf="")["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sh", "-c", nginx_pod.LEAVES]
    first = re.fullmatch(r"sleep (\d+); .*", nginx_pod.LEAVES)
    assert first
    assert int(first[1]) + nginx.DRAIN_SECONDS < pod["terminationGracePeriodSeconds"]


LONG = [f"h{number}.{'a' * 60}.{'b' * 60}.example" for number in range(40)]


def test_many_long_names_and_paths_are_no_word_that_nginx_refuses(tmp_path: Path) -> None:
    rules = [Rule(f"/{number:02}{'p' * (MAX_PATH - 3)}", 60, tuple(f"a{n}" for n in range(32))) for number in range(64)]
    with (
        origin(lambda path: path.encode()) as one,
        edge(tmp_path, one.address, hosts=[*LONG, "default"], rules=rules) as site,
    ):
        path = f"{rules[7].path}/x"
        for host, status in ((LONG[0], 200), (LONG[-1], 200), ("DEFAULT", 200), ("other", 421), (f"x{LONG[0]}", 421)):
            assert site.get(path, headers={"Host": host}).status_code == status, host
        assert site.get(f"{path}?a31=1&b=2", headers={"Host": LONG[0]}).text == f"{path}?a31=1"


@pytest.mark.parametrize(
    ("rules", "times", "want"),
    [
        ([], Times(), 600),
        ([Rule("/vod/", 86_400), Rule("/img/", 60)], Times(), 86_400),
        ([], Times(other_seconds=7200), 7200),
        ([Rule("/vod/", 60)], Times(segment_seconds=3600), 3600),
    ],
)
def test_an_object_that_nobody_asks_for_stays_as_long_as_it_is_said_to_be_kept(
    rules: list[Rule], times: Times, want: int
) -> None:
    text = nginx.nginx_conf(["o:80"], disk="1Gi", rules=rules, times=times)
    found = re.search(r"keys_zone=objects:[^;]* inactive=(\d+)s", text)
    assert found
    assert int(found[1]) == want
