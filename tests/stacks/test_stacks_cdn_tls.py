"""An nginx from the CDN's own values answers HTTPS by host name: the ConfigMap that is registered, in a real nginx."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from lab import CachePod, Origin, running, wait_until  # noqa: E402

from tidegate_stacks.cdn import Cdn, CdnArgs, SiteArgs, TlsArgs, WayInArgs  # noqa: E402

HOST = "live.example.com"

pytestmark = [
    pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx on PATH (Debian: nginx)"),
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl on PATH (Debian: curl)"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl on PATH (Debian: openssl)"),
]


def certificate(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A self-signed certificate of a host, as a Secret holds it."""
    chain, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{host}"]
    command += ["-keyout", str(key), "-out", str(chain)]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


def registered_conf(origin: str, *, tls: bool = True) -> str:
    """The text that the program registers for the site ``east``, with the shield's pods replaced by an origin."""
    args = CdnArgs(
        namespace="shop",
        host=HOST,
        sites=(SiteArgs(name="east", normal_mbps=10, peak_mbps=10),),
        tls=TlsArgs(issuer="letsencrypt") if tls else None,
        way_in=WayInArgs(kind="load-balancer"),
        disk="1Gi",
    )
    found = ground.lay(lambda: Cdn("cdn", args, origins=["10.9.9.9:8080"]))[1]
    text: str = found.find("ConfigMap", "cdn-east").inputs["data"]["nginx.conf"]
    for number in range(2):
        shield = f"cdn-shield-{number}.cdn-shield.shop.svc.cluster.local:8080"
        assert shield in text
        text = text.replace(shield, origin)
    return text


@pytest.fixture
def origin() -> Iterator[Origin]:
    made = Origin(lambda path: (200, {}, f"made for {path}".encode()))
    yield made
    made.close()


@pytest.fixture
def site(origin: Origin, tmp_path: Path) -> Iterator[CachePod]:
    pod = CachePod(registered_conf(origin.address), certificate=certificate(tmp_path, "first", HOST))
    with running([pod]):
        yield pod


def curl(site: CachePod, url: str, authority: Path, host: str = HOST) -> subprocess.CompletedProcess[str]:
    """Ask by host name; only the address is ours, as a DNS record would say it. The certificate is verified."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(authority), "--max-time", "30"]
    command += ["--resolve", f"{host}:{site.https}:127.0.0.1", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_one_https_request_by_host_name_is_answered_under_a_certificate_of_that_name(
    site: CachePod, origin: Origin, tmp_path: Path
) -> None:
    answer = curl(site, f"https://{HOST}:{site.https}/img/a.jpg", tmp_path / "first.crt")
    assert (answer.returncode, answer.stdout) == (0, "made for /img/a.jpg"), answer.stderr
    assert origin.asked == {"/img/a.jpg": 1}
    assert shown_name(site) == HOST


def test_another_name_than_the_certificate_s_is_not_believed(site: CachePod, tmp_path: Path) -> None:
    answer = curl(site, f"https://shop.example.com:{site.https}/a", tmp_path / "first.crt", host="shop.example.com")
    assert answer.returncode == 60, "curl must refuse the certificate"


def test_a_host_that_is_not_served_is_refused(site: CachePod, origin: Origin) -> None:
    assert site.get("/a.ts", "shop.example.com").status_code == 421
    assert origin.asked == {}


def test_a_renewed_certificate_is_shown_without_a_restart(site: CachePod, tmp_path: Path) -> None:
    second = certificate(tmp_path, "second", HOST)
    both = tmp_path / "both.crt"
    both.write_text((tmp_path / "first.crt").read_text() + second[0].read_text())
    assert shown(site, both)["subject"] == ((("commonName", "first"),),)
    site.certify(*second)
    wait_until(lambda: shown(site, both)["subject"] == ((("commonName", "second"),),), "the renewed certificate")


def test_players_that_speak_http_2_are_answered_in_it(site: CachePod) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", site.https)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() == "h2"


def test_without_tls_no_certificate_is_asked_for(origin: Origin) -> None:
    text = registered_conf(origin.address, tls=False)
    assert "ssl" not in text


def shown(site: CachePod, authorities: Path | None = None) -> dict[str, Any]:
    """The certificate that a player is shown."""
    context = ssl.create_default_context(cafile=str(authorities or site.folder / "tls/tls.crt"))
    with (
        socket.create_connection(("127.0.0.1", site.https)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as wrapped,
    ):
        found = wrapped.getpeercert()
        assert found
        return dict(found)


def shown_name(site: CachePod) -> str:
    ((kind, name),) = shown(site)["subjectAltName"]
    assert kind == "DNS"
    return str(name)
