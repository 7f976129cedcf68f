"""A cache that asks who speaks: ACL users or a password from a Secret, and TLS, as shipped, on real servers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import cache_site  # noqa: E402
from cache_site import ARGS, PORT, Site, until  # noqa: E402

from tidegate_stacks import cache  # noqa: E402
from tidegate_stacks.cache import CacheAuthArgs, CacheTlsArgs  # noqa: E402

pytestmark = [
    pytest.mark.skipif(bool(cache_site.missing_programs()), reason=cache_site.missing_programs()),
    pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl on PATH"),
    pytest.mark.timeout(240),
]

PASSWORD = 'p"a\\ss w$rd'
AUTH = CacheAuthArgs(secret="cache-secret")


def three_and_a_reader(site: Site) -> None:
    site.pace |= {"CORE": "1"}
    for shard in range(cache_site.SHARDS):
        site.add(shard, 0)
    site.add(0, 1)
    until(site.whole, "a cluster of three and a reader", 90)


def anonymous(site: Site, *words: str) -> str:
    command = ["redis-cli", "-h", site.pods["cache-0-0"].address, "-p", str(PORT), *words]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return found.stdout + found.stderr


def command_lines() -> str:
    return " ".join(
        path.read_bytes().replace(b"\0", b" ").decode(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline")
    )


def certificates(folder: Path, serial: str) -> None:
    """An authority, once, and a certificate that servers and pods use among themselves."""
    folder.mkdir(exist_ok=True)
    run = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-batch"]
    if not (folder / "ca.crt").exists():
        ca = [*run, "-x509", "-subj", "/CN=ca", "-keyout", folder / "ca.key", "-out", folder / "ca.crt"]
        subprocess.run(ca, check=True, capture_output=True)
    key, request = folder / "new.key", folder / "new.csr"
    subprocess.run([*run, "-subj", "/CN=cache", "-keyout", key, "-out", request], check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"]
    made = folder / "new.crt"
    subprocess.run([*sign, "-set_serial", serial, "-out", made], check=True, capture_output=True)
    key.replace(folder / "tls.key")
    made.replace(folder / "tls.crt")


def serial_of(address: str) -> str:
    """Serial number of the certificate that a server shows."""
    shown = subprocess.run(["openssl", "s_client", "-connect", address], input=b"", capture_output=True, check=False)
    read = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(read, input=shown.stdout, capture_output=True, check=False).stdout.decode().strip()


def test_a_password_of_any_signs_is_asked_for_and_shown_nowhere(tmp_path: Path) -> None:
    args = ARGS.model_copy(update={"auth": AUTH})
    with cache_site.site(tmp_path, args=args, secret={"password": PASSWORD}) as site:
        three_and_a_reader(site)
        assert "NOAUTH" in anonymous(site, "GET", "key")
        assert site.pods["cache-0-0"].ask("-c", "SET", "key", "value") == "OK"
        assert PASSWORD not in command_lines()
        assert all(pod.script("alive.sh", "server") == 0 for pod in site.running())
        written = [path for pod in site.pods.values() for path in pod.folder.rglob("*") if path.is_file()]
        assert not [path for path in written if PASSWORD.encode() in path.read_bytes()], "in no file of the pod"


def test_acl_users_and_tls_hold_for_clients_replicas_and_the_bus(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text(
        "user default off\nuser pods on >for-pods ~* &* +@all\nuser shop on >for-shop ~item:* +@read +@connection\n"
    )
    certificates(tmp_path / "tls", "11")
    auth = CacheAuthArgs(secret="cache-secret", user="pods")
    args = ARGS.model_copy(update={"auth": auth, "tls": CacheTlsArgs(secret="cache-tls")})
    with cache_site.site(tmp_path, args=args, secret={"password": "for-pods"}) as site:
        three_and_a_reader(site)
        first = site.pods["cache-0-0"]
        assert "OK" not in anonymous(site, "PING", "OK"), "without TLS nobody is heard"
        tls = ["--tls", "--cacert", str(tmp_path / "tls/ca.crt")]
        shop = [*tls, "--user", "shop", "--pass", "for-shop", "--no-auth-warning"]
        assert "NOAUTH" in anonymous(site, *tls, "GET", "item:1")
        assert "NOPERM" in anonymous(site, *shop, "SET", "item:1", "x")
        answers = [anonymous(site, *shop, "GET", f"item:{number}").strip() for number in range(12)]
        assert "" in answers, "a key that is not there"
        moved = [answer.split()[2].partition(":")[0] for answer in answers if answer.startswith("MOVED")]
        assert len(moved) + answers.count("") == len(answers), "the user may read"
        assert {*moved} == {f"cache-{shard}-0.{cache_site.SERVICE}" for shard in (1, 2)}, "a certificate bears names"
        assert "for-pods" not in command_lines()
        assert all(pod.script("alive.sh", "server") == 0 for pod in site.running())
        assert first.script("leave.sh") == 0
        assert site.pods["cache-0-1"].role() == "master", "a pod hands over before it leaves"

        assert serial_of(f"{first.address}:{PORT}") == "serial=0B"
        certificates(tmp_path / "tls", "12")
        until(lambda: serial_of(f"{first.address}:{PORT}") == "serial=0C", "a renewed certificate is taken up")
        until(site.whole, "all are still connected")


def test_no_secret_is_in_what_the_stack_writes() -> None:
    auth = CacheAuthArgs(secret="cache-secret", user="pods")
    args = ARGS.model_copy(update={"auth": auth})
    found = ground.lay(lambda: cache.Cache("cache", args))[1]
    env = found.find("StatefulSet", "cache-0").inputs["spec"]["template"]["spec"]["containers"][0]["env"]
    (password,) = [one for one in env if one["name"] == "REDISCLI_AUTH"]
    assert password["valueFrom"] == {"secretKeyRef": {"name": "cache-secret", "key": "password"}}
    assert "requirepass " not in found.find("ConfigMap", "cache-config").inputs["data"]["server.conf"]
    assert "masterauth" not in json.dumps(found.find("ConfigMap", "cache-config").inputs["data"]["server.conf"])
