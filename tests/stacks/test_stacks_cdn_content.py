"""Prefetch and purge by the script of the Job, on real caches: a shield of two pods, two sites, a counting origin."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from lab import Answer, CachePod, Origin, running  # noqa: E402

from tidegate_stacks import cdn_cache, cdn_content, cdn_shield, cdn_site  # noqa: E402
from tidegate_stacks.cdn import BudgetArgs, Caches, CdnArgs, ContentArgs, ContentJob, SiteArgs  # noqa: E402
from tidegate_stacks.checks import ArgsError, load  # noqa: E402

HOST = "live.example.com"
SITE = SiteArgs(name="east", normal_mbps=1, peak_mbps=1)
ARGS = CdnArgs(namespace="shop", host=HOST, sites=(SITE,), disk="1Gi")
CACHES = Caches("cdn", HOST, ("cdn-shield.shop.svc",), ("cdn-east-pods.shop.svc",), 8080, 8082)

needs_programs = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("curl")), reason="needs nginx and curl on PATH (Debian: nginx, curl)"
)


@dataclass
class Network:
    """Caches in front of an origin, and what the origin has."""

    origin: Origin
    shields: list[CachePod]
    sites: list[CachePod]
    has: dict[str, bytes] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    """Paths that are answered with a status instead."""

    def answer(self, path: str) -> Answer:
        bare = path.partition("?")[0]
        if path in self.gone or bare not in self.has:
            return self.gone.get(path, 404), {}, b""
        return 200, {"Cache-Control": "max-age=86400"}, self.has[bare]

    def run(self, args: ContentArgs, folder: Path, **change: str) -> subprocess.CompletedProcess[str]:
        """The script, told by the Job's own environment; only where it finds the caches is changed."""
        told = cdn_content.environment(args, CACHES)
        purge = args.action == "purge"
        caches = {
            "FIRST": " ".join(one.refresh_address for one in self.shields) if purge else "",
            "THEN": " ".join(one.refresh_address if purge else one.address for one in self.sites),
        }
        (folder / "paths").write_text(cdn_content.content_files(args)["paths"])
        place = {"URLS": str(folder / "paths"), "WORK": str(folder), "PATH": os.environ["PATH"]}
        plain = {key: value for key, value in told.items() if isinstance(value, str)}
        script = ["sh", "-c", cdn_content.script()]
        environment = {**plain, **caches, **place, **change}
        return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120, check=False)


def shield_pod(origins: list[str]) -> CachePod:
    return CachePod(cdn_cache.configuration(ARGS, origins, cdn_shield.pods_of("cdn", ARGS), spread=False))


def site_pod(shields: list[str]) -> CachePod:
    return CachePod(cdn_cache.configuration(ARGS, shields, cdn_site.pods_of("cdn", ARGS, SITE), spread=True))


@pytest.fixture
def network() -> Iterator[Network]:
    origin = Origin(lambda path: made.answer(path))

    shields = [shield_pod([origin.address]) for _ in range(2)]
    sites = [site_pod([one.address for one in shields]) for _ in range(2)]
    made = Network(origin, shields, sites)
    made.has = {f"/vod/show/{number}.ts": b"segment %d" % number for number in range(40)}
    made.has["/vod/show/index.m3u8"] = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n"
    named = "".join(f"#EXTINF:2,\n{'./' if number % 2 else ''}{number}.ts\n" for number in range(40))
    made.has["/vod/show/low.m3u8"] = f'#EXTM3U\r\n#EXT-X-MAP:URI="../init.mp4"\n{named}'.encode()
    made.has["/vod/init.mp4"] = b"init"
    try:
        with running([*shields, *sites]):
            yield made
    finally:
        origin.close()


def prefetch(*paths: str, **budget: int) -> ContentArgs:
    return ContentArgs(action="prefetch", paths=paths, budget=BudgetArgs(**budget))


def purge(*paths: str, **budget: int) -> ContentArgs:
    return ContentArgs(action="purge", paths=paths, follow_playlists=False, budget=BudgetArgs(**budget))


@needs_programs
def test_a_prefetched_recording_is_served_by_every_site_and_costs_the_origin_one_request_per_object(
    network: Network, tmp_path: Path
) -> None:
    done = network.run(prefetch("/vod/show/index.m3u8"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    # Two playlists, an init segment and forty segments for each of two sites; the playlists once more, to be read.
    assert "prefetch: 43 objects, 88 requests" in done.stdout, done.stdout
    objects = [f"/vod/show/{number}.ts" for number in range(40)] + ["/vod/init.mp4"]
    assert {path: network.origin.asked[path] for path in objects} == dict.fromkeys(objects, 1)
    before = network.origin.asked.total()
    for site in network.sites:
        answers = [site.get(path, HOST) for path in objects]
        assert {answer.headers["X-Cache"] for answer in answers} == {"HIT"}
        assert answers[0].content == b"segment 0"
    assert network.origin.asked.total() == before
    assert network.origin.hosts == {HOST}, "the origin sees the public host name"


@needs_programs
def test_a_purged_object_is_the_origin_s_new_one_at_every_site_at_once(network: Network, tmp_path: Path) -> None:
    path, other = "/vod/show/1.ts", "/vod/show/2.ts"
    assert network.run(prefetch(path, other), tmp_path).returncode == 0
    network.has[path] = network.has[other] = b"new"
    assert [site.get(path, HOST).content for site in network.sites] == [b"segment 1"] * 2, "this is what purging is for"
    done = network.run(purge(path), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [site.get(path, HOST).content for site in network.sites] == [b"new"] * 2
    assert [site.get(other, HOST).content for site in network.sites] == [b"segment 2"] * 2, "nothing else is purged"


@needs_programs
@pytest.mark.parametrize("status", [404, 410, 403])
def test_what_the_origin_has_taken_away_is_gone_after_a_purge(network: Network, tmp_path: Path, status: int) -> None:
    path = "/vod/show/1.ts"
    assert network.run(prefetch(path), tmp_path).returncode == 0
    network.gone[path] = status
    assert network.run(purge(path), tmp_path).returncode == 0
    for site in network.sites:
        assert {site.get(path, HOST).status_code for _ in range(3)} <= {404, 410, status}
    time.sleep(1.1)  # a negative answer is kept for a second
    for site in network.sites:
        assert {site.get(path, HOST).status_code for _ in range(3)} <= {404, 410, status}


@needs_programs
def test_a_purge_whose_origin_is_down_says_so_and_fails(network: Network, tmp_path: Path) -> None:
    path = "/vod/show/1.ts"
    assert network.run(prefetch(path), tmp_path).returncode == 0
    network.gone[path] = 500
    done = network.run(purge(path), tmp_path)
    assert done.returncode == 1
    assert f"failed: 502 {network.shields[0].refresh_address} {path}" in done.stdout
    assert [site.get(path, HOST).content for site in network.sites] == [b"segment 1"] * 2, "better old than nothing"


@needs_programs
@pytest.mark.parametrize(
    ("budget", "said", "most"),
    [({"requests": 10}, "requests", 10), ({"seconds": 4}, "seconds", 10), ({"mib": 1, "concurrency": 2}, "bytes", 5)],
    ids=["requests", "seconds", "bytes"],
)
def test_at_the_end_of_its_budget_a_prefetch_begins_nothing_new(
    network: Network, tmp_path: Path, budget: dict[str, int], said: str, most: int
) -> None:
    network.origin.delay = 0.5 if said == "seconds" else 0.0
    network.has |= {f"/vod/show/{number}.ts": b"x" * 400_000 for number in range(40)}
    paths = [f"/vod/show/{number}.ts" for number in range(40)]
    done = network.run(prefetch(*paths, **{"concurrency": 1, **budget}), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the budget of {said} is spent" in done.stdout, done.stdout
    assert 0 < network.origin.asked.total() <= most


@needs_programs
def test_a_purge_that_its_budget_cuts_short_fails(network: Network, tmp_path: Path) -> None:
    done = network.run(purge("/vod/show/1.ts", "/vod/show/2.ts", requests=3, concurrency=1), tmp_path)
    assert done.returncode == 1
    assert "the budget of requests is spent" in done.stdout


@needs_programs
def test_no_more_requests_are_under_way_than_the_budget_says(network: Network, tmp_path: Path) -> None:
    under_way, most = [0], [0]
    answer = network.answer

    def counted(path: str) -> Answer:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        try:
            return answer(path)
        finally:
            under_way[0] -= 1

    network.origin.answer = counted
    network.origin.delay = 0.0
    paths = [f"/vod/show/{number}.ts" for number in range(40)]
    assert network.run(prefetch(*paths, concurrency=3), tmp_path).returncode == 0
    assert 1 <= most[0] <= 3


@needs_programs
def test_a_cache_that_is_away_is_named(network: Network, tmp_path: Path) -> None:
    network.sites[1].kill()
    done = network.run(prefetch("/vod/show/1.ts"), tmp_path)
    assert done.returncode == 1
    assert f"failed: 000 {network.sites[1].address} /vod/show/1.ts" in done.stdout
    assert network.sites[0].get("/vod/show/1.ts", HOST).headers["X-Cache"] == "HIT"


@needs_programs
def test_a_name_without_an_address_is_said_and_fails(network: Network, tmp_path: Path) -> None:
    done = network.run(prefetch("/vod/show/1.ts"), tmp_path, THEN="nobody.invalid:8080")
    assert done.returncode == 1
    assert "no address for" in done.stdout


@needs_programs
def test_a_name_that_stands_for_several_pods_reaches_each(tmp_path: Path) -> None:
    """``getent`` may print one address of several; busybox's ``nslookup`` prints all: doubles of both."""
    said = (
        "Server: 10.0.0.2",
        "Address: 10.0.0.2:53",
        "",
        "Name: a",
        "Address: 10.1.0.1",
        "Name: a",
        "Address: 10.1.0.2",
    )
    for tool, text in {
        "getent": "echo 10.1.0.1 STREAM a",
        "nslookup": f"printf '%s\\n' {' '.join(map(repr, said))}",
        "curl": 'for word; do case $word in ::*) echo "$word" >>"$WORK/reached" ;; esac; done; echo 200 1',
    }.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / tool).chmod(0o755)
    origin = Origin(lambda _path: (200, {}, b""))
    try:
        network = Network(origin, [], [])
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = network.run(prefetch("/a.ts"), tmp_path, THEN="pods.shop.svc:8080", PATH=path)
    finally:
        origin.close()
    assert done.returncode == 0, done.stdout + done.stderr
    reached = (tmp_path / "reached").read_text().split()
    assert sorted(reached) == ["::10.1.0.1:8080", "::10.1.0.2:8080"]


@needs_programs
@pytest.mark.parametrize("away", [0, 1])
def test_a_pod_of_the_shield_that_is_away_costs_no_object(network: Network, away: int) -> None:
    network.shields[away].kill()
    for number in range(40):
        answer = network.sites[0].get(f"/vod/show/{number}.ts", HOST)
        assert (answer.status_code, answer.content) == (200, b"segment %d" % number)
    assert set(network.origin.asked.values()) == {1}


# ---- the Job


def job_of(args: ContentArgs) -> Any:
    found = ground.lay(lambda: ContentJob("warm", "shop", args, caches=CACHES))[1]
    (job,) = [one for one in found.objects if one.kind == "Job"]
    return job.inputs, found


def test_the_job_ends_with_its_budget_and_is_not_tried_again() -> None:
    job, _ = job_of(prefetch("/a.ts", seconds=100))
    assert job["spec"]["backoffLimit"] == 0
    assert 100 < job["spec"]["activeDeadlineSeconds"] <= 200
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}, "an update does not wait for it"


def test_the_job_is_told_its_budget_and_where_the_caches_are() -> None:
    job, _ = job_of(purge("/a.ts", concurrency=3, requests=7, mib=2, seconds=9))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert told["FIRST"] == "cdn-shield.shop.svc:8082", "a purge refreshes the shield first"
    assert told["THEN"] == "cdn-east-pods.shop.svc:8082"
    assert [told[key] for key in ("CONCURRENCY", "REQUESTS", "BYTES", "SECONDS_BUDGET")] == ["3", "7", "2097152", "9"]
    assert set(told) >= {word.strip("${}") for word in ("$ACTION", "$HOST", "$URLS", "$FOLLOW")}


def test_another_list_is_another_job_and_the_same_list_the_same() -> None:
    first, again, other = (job_of(prefetch(path))[0]["metadata"]["name"] for path in ("/a.ts", "/a.ts", "/b.ts"))
    assert first == again
    assert first != other


def test_the_files_of_the_job_are_those_that_it_mounts() -> None:
    job, found = job_of(prefetch("/a.ts", "/b.ts"))
    name = job["metadata"]["name"]
    assert found.find("ConfigMap", name).inputs["data"]["paths"] == "/a.ts\n/b.ts\n"
    assert {"name": "config", "configMap": {"name": name}} in job["spec"]["template"]["spec"]["volumes"]
    assert found.find("NetworkPolicy", name).inputs["spec"].get("ingress", []) == [], "nobody may reach the pod"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"paths": ["vod/1.ts"]}, "content.paths[0]: give a path as players ask for it"),
        ({"paths": []}, "content.paths: give at least 1"),
        ({"paths": ["/a b"]}, "content.paths[0]: give a path"),
        ({"paths": ["/" + "a" * 1000] * 1000}, "content.paths: are 1002000 bytes of paths"),
        ({"budget": {"concurrency": 100}}, "content.budget.concurrency: should be less than or equal to 64"),
        ({"action": "warm"}, "content.action: should be 'prefetch' or 'purge'"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ArgsError) as refused:
        load(ContentArgs, {"action": "prefetch", "paths": ["/a.ts"], **given}, "content")
    assert any(one.startswith(problem) for one in refused.value.problems), refused.value.problems
