"""What the edge keeps an answer under, whom it asks, and how it starts: its configuration in a real nginx."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import requests  # noqa: E402
from web import PATIENCE, Edge, Origin, Reply, edge, free_port, has, origin, wait_for  # noqa: E402

from tidegate_stacks import edge as edges  # noqa: E402
from tidegate_stacks import nginx  # noqa: E402
from tidegate_stacks.nginx_values import OriginTls, Rule, Tls  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx on PATH (Debian: nginx)"),
    pytest.mark.timeout(180),
]


@pytest.fixture
def echo() -> Iterator[Origin]:
    """Says what it was asked."""
    with origin(lambda path: f"made for {path}".encode()) as one:
        yield one


def test_two_answers_that_differ_by_their_arguments_or_their_host_do_not_mix(echo: Origin, tmp_path: Path) -> None:
    with edge(tmp_path, echo.address) as site:
        for path in (
            "/live/a.m3u8?_HLS_msn=7&_HLS_part=1",
            "/live/a.m3u8?_HLS_msn=8&_HLS_part=0",
            "/live/a.m3u8?_HLS_skip=YES",
            "/live/a.m3u8",
            "/img/a.jpg?w=100",
            "/img/a.jpg?w=800",
            "/img/a.jpg?w=800&h=600",
            "/img/a%20b%3F.jpg",
        ):
            assert site.get(path).text == f"made for {path}"
        hosts = [site.get("/a.ts", headers={"Host": host}).headers["X-Cache"] for host in ("a.example", "b.example")]
        assert hosts == ["MISS", "MISS"]
        assert [headers["Host"] for headers in echo.headers[-2:]] == ["a.example", "b.example"]


def test_the_order_of_arguments_makes_no_second_object(echo: Origin, tmp_path: Path) -> None:
    with edge(tmp_path, echo.address) as site:
        for query in ("w=100&h=50", "h=50&w=100", "h=50&utm=x&w=100"):
            assert site.get(f"/img/a.jpg?{query}").text == "made for /img/a.jpg?w=100&h=50"
        assert echo.asked == ["/img/a.jpg?w=100&h=50"]


def test_a_session_is_neither_kept_under_nor_sent_to_an_origin(echo: Origin, tmp_path: Path) -> None:
    with edge(tmp_path, echo.address) as site:
        for person in ("ann", "bo"):
            headers = {
                "Cookie": f"id={person}",
                "Authorization": person,
                "Accept-Language": person,
                "Range": "bytes=0-3",
            }
            for path in ("/live/a-1.ts", "/live/a.m3u8"):
                answer = site.get(f"{path}?token={person}&hls_ctx_x={person}", headers=headers)
                part = path.endswith(".ts")  # a range of what is kept whole
                assert (answer.status_code, answer.text) == ((206, "made") if part else (200, f"made for {path}"))
        assert echo.asked.count("/live/a-1.ts") == 1
        assert set(echo.asked) == {"/live/a-1.ts", "/live/a.m3u8"}
        assert all(set(headers) <= {"Host", "Connection"} for headers in echo.headers)


def test_which_arguments_count_is_a_setting(echo: Origin, tmp_path: Path) -> None:
    with edge(tmp_path, echo.address, arguments=("x-oss-process",)) as site:
        assert site.get("/a.jpg?w=1&x-oss-process=image/resize").text == "made for /a.jpg?x-oss-process=image/resize"
        assert site.get("/a.m3u8?_HLS_msn=1").text == "made for /a.m3u8?_HLS_msn=1"


def test_rules_by_path_say_how_long_and_by_what_objects_are_kept(echo: Origin, tmp_path: Path) -> None:
    rules = (
        Rule("/img/", 3600, ("size",)),
        Rule("/img/fresh/", 0),
        Rule("/live/", 9),
    )
    with edge(tmp_path, echo.address, rules=rules) as site:
        image = site.get("/img/a.jpg?w=1&size=2")
        assert (image.text, image.headers["Cache-Control"]) == ("made for /img/a.jpg?size=2", "public, max-age=3600")
        fresh = site.get("/img/fresh/a.jpg?w=1")
        assert (fresh.text, fresh.headers["Cache-Control"]) == ("made for /img/fresh/a.jpg?w=1", "public, max-age=0")
        assert site.get("/live/a-1.ts").headers["Cache-Control"] == "public, max-age=9"
        assert site.get("/live/a.m3u8").headers["Cache-Control"] == "public, max-age=1", "a playlist stays one"


def test_hosts_that_are_not_served_reach_no_origin(echo: Origin, tmp_path: Path) -> None:
    with edge(tmp_path, echo.address, hosts=("play.example",)) as site:
        assert site.get("/a.ts", headers={"Host": "play.example"}).status_code == 200
        assert site.get("/a.ts", headers={"Host": "playXexample"}).status_code == 421
        assert len(echo.asked) == 1


def test_a_port_of_its_own_fetches_anew_and_replaces_what_is_kept(tmp_path: Path) -> None:
    refresh = free_port()
    changes = {f"listen {refresh};": f"listen 127.0.0.1:{refresh};"}
    host = {"Host": "a.example"}

    def purge() -> requests.Response:
        return requests.get(f"http://127.0.0.1:{refresh}/img/a.jpg", headers=host, timeout=PATIENCE)

    with origin(lambda _: b"old") as one, edge(tmp_path, one.address, changes=changes, refresh_port=refresh) as site:
        assert site.get("/img/a.jpg", headers=host).text == "old"
        one.answer = lambda _: b"new"
        assert site.get("/img/a.jpg", headers=host).text == "old"
        assert (purge().text, purge().headers["X-Cache"]) == ("new", "BYPASS")
        assert site.get("/img/a.jpg", headers=host).text == "new"
        one.answer = lambda _: Reply(status=500)
        assert purge().status_code == 502
        assert site.get("/img/a.jpg", headers=host).text == "new", "an origin that fails takes nothing away"
        one.answer = lambda _: Reply(status=404)
        purge()
        for _ in range(2):
            assert site.get("/img/a.jpg", headers=host).status_code in (404, 410)
            time.sleep(1.1)


def test_objects_are_spread_over_shields_and_each_has_one_home(tmp_path: Path) -> None:
    with (
        origin(lambda path: path.encode()) as first,
        origin(lambda path: path.encode()) as second,
        edge(tmp_path / "1", first.address, second.address, spread=True) as site,
        edge(tmp_path / "2", first.address, second.address, spread=True) as other,
    ):
        for number in range(40):
            assert site.get(f"/live/a-{number}.ts").status_code == 200
            assert other.get(f"/live/a-{number}.ts").status_code == 200
        assert min(len(first.asked), len(second.asked)) >= 20, "each has its share, of both sites"
        assert not set(first.asked) & set(second.asked)
        moved = first.asked[0]
        first.answer = lambda _: Reply(status=503)
        assert edge_again(tmp_path, first, second, moved) == moved, "the other one stands in for a home that fails"


def edge_again(folder: Path, first: Origin, second: Origin, path: str) -> str:
    with edge(folder / "3", first.address, second.address, spread=True) as site:
        return site.get(path).text


def test_a_stream_on_the_last_of_the_most_origins_is_found(tmp_path: Path) -> None:
    with (
        origin(has("alice")) as last,
        origin(has()) as others,
        edge(tmp_path, *[others.address] * 7, last.address) as site,
    ):
        assert site.get("/live/alice-1.ts").text == "segment"
        assert site.get("/live/bob-1.ts").status_code == 404


@pytest.mark.parametrize(
    ("origins", "options", "message"),
    [
        ([], {}, "origins: 0 given; give 1 to 8"),
        (["a:1"] * 9, {}, "origins: 9 given; give 1 to 8"),
        (["a"], {}, r"origins\[0\]: give host:port"),
        (["a:1; return 200"], {}, r"origins\[0\]: give host:port"),
        (["a:1"], {"arguments": ("w;",)}, "arguments: give names of letters"),
        (["a:1"], {"rules": (Rule("img", 1),)}, r"rules\[0\].path: give a path that begins with /"),
        (["a:1"], {"rules": (Rule("/img", -1),)}, r"rules\[0\].seconds: give 0 to 31536000"),
    ],
)
def test_what_nginx_cannot_be_told_is_refused_in_words(origins: list[str], options: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nginx.nginx_conf(origins, disk="1Gi", **options)  # type: ignore[arg-type]


def certificate(folder: Path, name: str) -> str:
    """Writes tls.crt and tls.key for a name; returns the certificate's text."""
    folder.mkdir(exist_ok=True)
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", "new.key", "-out", "new.crt"], cwd=folder, check=True, capture_output=True)
    for kind in ("key", "crt"):
        (folder / f"new.{kind}").chmod(0o644)
        (folder / f"new.{kind}").replace(folder / f"tls.{kind}")
    return (folder / "tls.crt").read_text()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl on PATH")
def test_a_site_asks_its_shield_over_tls_and_a_renewed_certificate_needs_no_restart(
    echo: Origin, tmp_path: Path
) -> None:
    certificate(tmp_path / "tls", "shield.example")
    port = free_port()
    tls = Tls("/certificates/tls.crt", "/certificates/tls.key", port=port)
    asks, doubts = (OriginTls(name, "/certificates/tls.crt") for name in ("shield.example", "other.example"))
    here = {"/certificates": str(tmp_path / "tls")}
    listens = {f"listen {port} ssl": f"listen 127.0.0.1:{port} ssl"}
    with (
        edge(tmp_path, echo.address, tls=tls, changes={**here, **listens}),
        edge(tmp_path, f"127.0.0.1:{port}", origin_tls=asks, changes=here) as site,
        edge(tmp_path, f"127.0.0.1:{port}", origin_tls=doubts, changes=here) as wary,
    ):
        assert site.get("/a.ts?w=1", headers={"Host": "play.example"}).text == "made for /a.ts?w=1"
        assert echo.headers[-1]["Host"] == "play.example", "the host goes through both"
        assert wary.get("/b.ts").status_code == 502, "a certificate of another name is not believed"
        second = certificate(tmp_path / "tls", "shield.example")
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "shield.example"],
            input="",
            capture_output=True,
            text=True,
            check=True,
        )
        assert second.strip() in shown.stdout


NAME = "live-origin-0.live-origin.shop.svc"
GONE = "live-origin-1.live-origin.shop.svc"


class Dns:
    """A DNS server that knows what is in a file."""

    def __init__(self, folder: Path) -> None:
        self.hosts = folder / "hosts"
        self.hosts.write_text("")
        self.port = free_port()
        options = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/svc/"]
        places = [f"--addn-hosts={self.hosts}", f"--port={self.port}", f"--pid-file={folder / 'dns.pid'}"]
        where = ["--listen-address=127.0.0.1", "--bind-interfaces", f"--user={self.hosts.owner()}"]
        # A record that says it holds for five minutes: what counts is how long nginx believes it.
        self.process = subprocess.Popen(["dnsmasq", *options, *places, *where, "--local-ttl=300"])

    def tell(self, name: str, *addresses: str) -> None:
        self.hosts.write_text("".join(f"{one} {name}\n" for one in addresses))
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[Dns]:
    folder = tmp_path / "dns"
    folder.mkdir()
    folder.chmod(0o755)
    made = Dns(folder)
    yield made
    made.close()


@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="needs dnsmasq on PATH (Debian: dnsmasq-base)")
def test_an_origin_that_comes_back_with_another_address_is_found_within_ten_seconds(dns: Dns, tmp_path: Path) -> None:
    port = free_port()
    with (
        origin(lambda _: b"old", ip="127.0.3.1", port=port) as old,
        origin(lambda _: b"new", ip="127.0.3.2", port=port),
        edge(tmp_path, f"{NAME}:{port}", f"{GONE}:{port}", resolver=f"127.0.0.1:{dns.port}") as site,
    ):
        # Until here nobody knew either name: pods of the edge start all the same.
        assert site.get("/0.ts").status_code == 502
        dns.tell(NAME, "127.0.3.1")
        wait_for(lambda: site.get(f"/{time.time()}.ts").text == "old", "the first address is not learnt")
        dns.tell(NAME, "127.0.3.2")
        old.close()
        changed = last = time.monotonic()
        right = 0
        while right < 20:  # each of nginx's processes learns for itself
            asked = time.monotonic()
            right = right + 1 if site.get(f"/{asked}.ts").text == "new" else 0
            last = last if right else asked
            assert asked - changed < PATIENCE, "the new address is not learnt"
        assert last - changed <= 10


@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="needs dnsmasq on PATH (Debian: dnsmasq-base)")
def test_of_a_names_addresses_one_that_takes_no_connection_is_passed_over(dns: Dns, tmp_path: Path) -> None:
    port = free_port()
    with (
        origin(lambda _: b"here", ip="127.0.3.2", port=port),
        edge(tmp_path, f"{NAME}:{port}", resolver=f"127.0.0.1:{dns.port}") as site,
    ):
        dns.tell(NAME, "127.0.3.2", "127.0.3.3")
        wait_for(lambda: site.get(f"/{time.time()}.ts").text == "here", "the name is not known")
        assert {site.get(f"/{number}.ts").text for number in range(20)} == {"here"}


def test_a_pod_tells_nginx_of_its_own_dns_servers_and_starts_again_after_it_was_killed(
    echo: Origin, tmp_path: Path
) -> None:
    (tmp_path / "resolv.conf").write_text(
        "search shop.svc\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5\n"
    )
    (tmp_path / "start.sh").write_text(nginx.start_script())
    site = Edge(tmp_path / "edge", [echo.address])
    told = site.folder / "told.conf"
    places = [str(one) for one in (site.folder / "nginx.conf", tmp_path / "resolv.conf", told, site.folder / "cache")]
    for text in ("made for /1.ts", "made for /2.ts"):
        site.start("sh", str(tmp_path / "start.sh"), *places)
        assert site.get(f"/{text[-4:]}").text == text
        workers = subprocess.run(["pgrep", "-P", str(site.process.pid)], capture_output=True, text=True, check=True)
        for pid in (site.process.pid, *map(int, workers.stdout.split())):
            subprocess.run(["kill", "-KILL", str(pid)], check=False)
        site.process.wait(PATIENCE)
    line = nginx.resolver_line("10.96.0.10 [fd00::a]")
    shipped = (site.folder / "nginx.conf").read_text()
    assert told.read_text() == shipped.replace(nginx.resolver_line("127.0.0.1"), line)
    assert line in told.read_text()


def test_names_of_services_are_made_whole_since_nginx_knows_no_search_list() -> None:
    args = edges.EdgeCacheArgs(
        namespace="shop",
        regions=(edges.RegionArgs(name="east", normal_mbps=1, peak_mbps=1),),
        cluster_domain="c.example",
    )
    text = edges.conf_of(args, ["o-0.o.shop.svc:8080", "10.0.0.1:8080", "origin.example:80"])
    for want in ("o-0.o.shop.svc.c.example:8080;", " 10.0.0.1:8080;", " origin.example:80;"):
        assert want in text
