"""A cache's cluster is founded once: slots are taken on positive evidence, never because nobody answers."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import cache_site  # noqa: E402
from cache_site import Site, rounds, until  # noqa: E402

pytestmark = [
    pytest.mark.skipif(bool(cache_site.missing_programs()), reason=cache_site.missing_programs()),
    pytest.mark.timeout(240),
]


def all_but(site: Site, missing: tuple[int, int]) -> None:
    for ordinal in range(2):
        for shard in range(cache_site.SHARDS):
            if (shard, ordinal) != missing:
                site.add(shard, ordinal)


@pytest.mark.parametrize(
    "missing", [(2, 0), pytest.param((1, 1), marks=pytest.mark.long)], ids=["a first pod", "a second pod"]
)
def test_nobody_takes_slots_while_a_pod_is_missing(tmp_path: Path, missing: tuple[int, int]) -> None:
    with cache_site.site(tmp_path) as site:
        all_but(site, missing)
        until(lambda: all(len(pod.nodes()) == 5 for pod in site.running()), "five have met")
        for pod in site.running():
            rounds(pod, 2)
        assert [pod.slots() for pod in site.running()] == [0] * 5
        assert not any(pod.ready() for pod in site.running())
        site.add(*missing)
        until(site.whole, "all six are there: the cluster is founded")


def test_a_pod_that_reaches_nobody_founds_nothing_and_joins_when_it_does(tmp_path: Path) -> None:
    with cache_site.site(tmp_path) as site:
        site.six()
        seed, others = site.pods["cache-0-0"], [pod for pod in site.pods.values() if pod.name != "cache-0-0"]
        seed.kill()
        shutil.rmtree(seed.data)
        until(lambda: site.pods["cache-0-1"].role() == "master", "its replica takes over")

        # No name is found.
        site.cut = True
        seed.start()
        until(lambda: seed.ask("PING") == "PONG", "the seed is up")
        rounds(seed, 3)
        assert (seed.slots(), seed.ready()) == (0, False)

        # Names are found, and nobody answers.
        for pod in others:
            pod.signal(signal.SIGSTOP)
        site.cut = False
        site.write_names()
        rounds(seed, 2)
        assert (seed.slots(), seed.ready()) == (0, False)

        for pod in others:
            pod.signal(signal.SIGCONT)
        until(site.whole, "one cluster of six", 90)
        assert [pod.slots() for pod in site.running()] == [16384] * 6


@pytest.mark.long
def test_slots_that_a_dead_node_may_hold_are_not_taken_by_those_who_came_after_it(tmp_path: Path) -> None:
    with cache_site.site(tmp_path) as site:
        site.six()
        # A whole shard is lost. Its first pod comes back with a new volume, its second one does not: it may hold data.
        first, second = site.pods["cache-1-0"], site.pods["cache-1-1"]
        old = [first.id(), second.id()]
        second.kill()
        first.kill()
        shutil.rmtree(first.data)
        first.start()
        until(lambda: len(first.nodes()) >= 5, "it has met the others")
        rounds(first, 3)
        assert first.nodes()[first.id()][8:] == [], "the second one may hold them"
        assert not first.ready()

        shutil.rmtree(second.data)
        second.start()
        until(lambda: second.id() in first.nodes() and first.id() in second.nodes(), "both are there, as other nodes")
        rounds(first, 3)
        assert first.nodes()[first.id()][8:] == [], "neither knows whose they are; the other shards do"

        # A person who knows that both volumes are lost says so.
        for pod in site.running():
            for identity in old:
                pod.ask("CLUSTER", "FORGET", identity)
        until(site.whole, "the shard is laid anew")


@pytest.mark.long
def test_a_founding_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    with cache_site.site(tmp_path) as site:
        all_but(site, (2, 1))
        until(lambda: all(len(pod.nodes()) == 5 for pod in site.running()), "five have met")
        # One shard's slots were taken, and the machine of all others stopped in that moment.
        assert site.pods["cache-0-0"].ask("CLUSTER", "ADDSLOTSRANGE", "0", "5460") == "OK"
        site.add(2, 1)
        until(site.whole, "the others take theirs")


def test_an_address_that_is_somebody_else_s_now_is_not_met(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with cache_site.site(tmp_path / "one") as site, cache_site.site(tmp_path / "other") as other:
        stranger = other.add(2, 3)
        until(lambda: stranger.ask("PING") == "PONG", "another cache's server is up")
        stranger.processes.pop().kill()  # its script: it is another Service's
        until(
            lambda: stranger.ask("CONFIG", "SET", "cluster-announce-hostname", "cache-2-3.other.shop.svc") == "OK", ""
        )
        newcomer = site.add(1, 0)
        site.names["cache-0-0." + cache_site.SERVICE] = stranger.address
        site.write_names()
        until(lambda: newcomer.ask("PING") == "PONG", "up")
        rounds(newcomer, 3)
        assert list(newcomer.nodes()) == [newcomer.id()]
