"""The cache's pods find their place, keep it and lose nothing: as shipped, on real servers on loopback.

All tests share one cluster of six, which each of them leaves whole.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import cache_site  # noqa: E402
from cache_site import PORT, Pod, Site, rounds, until  # noqa: E402

pytestmark = [
    pytest.mark.skipif(bool(cache_site.missing_programs()), reason=cache_site.missing_programs()),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with cache_site.site(tmp_path_factory.mktemp("cache")) as made:
        made.six()
        yield made


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    until(shared.whole, "the cluster is whole before the test")
    yield shared
    for pod in [pod for pod in shared.pods.values() if pod.ordinal > 1]:
        pod.stop()
        del shared.pods[pod.name]


def write(site: Site, many: int, prefix: str) -> list[str]:
    """Keys over all shards, each of them confirmed by a replica."""
    entrance = next(pod for pod in site.running() if pod.role() == "master")
    keys = [f"{prefix}-{number}" for number in range(many)]
    for key in keys:
        assert entrance.ask("-c", "SET", key, key) == "OK"
    for shard in range(cache_site.SHARDS):
        assert int(site.master(shard).ask("WAIT", "1", "5000")) >= 1
    return keys


def lost(site: Site, keys: list[str]) -> list[str]:
    entrance = site.running()[0]
    return [key for key in keys if entrance.ask("-c", "GET", key) != key]


def test_pods_form_a_cluster_grow_it_and_leave_it_without_losing_a_write(site: Site) -> None:
    first = site.pods["cache-0-0"]
    assert first.slots() == 16384
    assert sorted(pod.role() for pod in site.running()) == ["master"] * 3 + ["slave"] * 3
    keys = write(site, 30, "grow")

    # More readers: what the operator asks for before a peak.
    reader = site.add(1, 2)
    assert not reader.ready(), "a pod is not ready before it has copied its shard"
    until(site.whole, "the new replica has its shard")
    assert reader.role() == "slave"
    assert int(reader.ask("DBSIZE")) == int(site.master(1).ask("DBSIZE")) > 0

    # A pod that serves writes is drained: its hook hands over first.
    leaving = site.master(2)
    assert leaving.script("leave.sh") == 0
    assert leaving.role() == "slave"
    leaving.stop()
    assert site.master(2) is not leaving
    assert lost(site, keys) == []

    # It comes back with its volume, and follows.
    itself = identity(leaving)
    leaving.start()
    until(site.whole, "the pod that was drained is back")
    assert leaving.id() == itself, "it came back as itself"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small volume: needs root")
def test_a_reader_receives_more_than_its_volume_holds(site: Site) -> None:
    master = site.master(0)
    fill(master, mib=40)
    reader = site.add(0, 2, start=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(reader.data)], check=True)
    try:
        reader.start()
        until(reader.ready, "40 MiB received beside a volume of 16 MiB")
        assert int(reader.ask("DBSIZE")) == int(master.ask("DBSIZE"))
        reader.stop()
    finally:
        reader.kill()
        subprocess.run(["umount", str(reader.data)], check=True)
        master.ask("FLUSHALL")


def fill(master: Pod, *, mib: int) -> None:
    """Values of 1 MiB that do not compress, in this shard."""
    tag = next(tag for tag in map(str, range(999)) if int(master.ask("CLUSTER", "KEYSLOT", tag)) < 5000)
    for number in range(mib):
        value = os.urandom(512 * 1024).hex().encode()
        command = ["redis-cli", "-h", master.address, "-p", str(PORT), "-x", "SET", f"{{{tag}}}{number}"]
        assert subprocess.run(command, input=value, capture_output=True, check=True).stdout == b"OK\n"


def test_a_first_pod_with_a_new_volume_becomes_a_reader_of_the_one_cluster(site: Site) -> None:
    keys = write(site, 30, "volume")
    first = site.pods["cache-0-0"]
    until(lambda: site.master(0) is not first or first.role() == "master", "a master")
    if site.master(0) is not first:
        assert first.ask("CLUSTER", "FAILOVER") == "OK"
        until(lambda: first.role() == "master", "the first pod writes")
    before = first.id()
    # At the same address, at once: the others never see it fail, they find another node where it was.
    first.kill()
    shutil.rmtree(first.data)
    first.start()
    until(lambda: site.pods["cache-0-1"].role() == "master", "its replica takes over")
    until(site.whole, "one cluster of six, without the node that is gone")
    assert first.id() != before
    assert lost(site, keys) == []
    assert first.ask("-c", "SET", "through the new one", "kept") == "OK"
    assert site.pods["cache-1-0"].ask("-c", "GET", "through the new one") == "kept"


def test_others_join_while_the_seed_is_away(site: Site) -> None:
    seed = site.pods["cache-0-0"]
    seed.kill()
    seed.vanish()
    try:
        newcomer = site.add(1, 2)
        until(newcomer.ready, "a reader joins without the seed")
        assert newcomer.id() in site.pods["cache-2-0"].nodes()
    finally:
        seed.start()


def test_all_links_are_up_again_when_every_pod_restarts_with_another_address(site: Site) -> None:
    for pod in site.pods.values():
        pod.stop()
    for pod in site.pods.values():
        pod.address = pod.address.replace(f"127.{cache_site.NET}.", f"127.{cache_site.NET + 1}.")
        pod.start()
    until(site.whole, "all links are up")
    for pod in site.running():
        told = {fields[1].partition(":")[0] for fields in pod.nodes().values()}
        assert told == {other.address for other in site.running()}, "no view holds an address of before"


@pytest.mark.long
def test_a_shard_that_lost_its_reader_takes_none_of_another(site: Site) -> None:
    site.add(0, 2)
    until(site.whole, "a shard of three")
    alone = next(pod for pod in site.running() if pod.shard == 1 and pod.role() == "slave")
    alone.kill()
    try:
        watched = [pod for pod in site.running() if pod.shard == 0]
        followed = {pod.name: pod.nodes()[pod.id()][3] for pod in watched}
        until(lambda: "fail" in site.master(2).nodes()[identity(alone)][2], "the reader is seen to have failed")
        time.sleep(8)  # a server moves a replica after a master has been without for 5 s
        for pod in watched:
            rounds(pod, 1)
            assert pod.nodes()[pod.id()][3] == followed[pod.name]
            assert "Migrating to orphaned master" not in (pod.folder / "log").read_text()
    finally:
        alone.start()


def identity(pod: Pod) -> str:
    lines = (pod.data / "nodes.conf").read_text().splitlines()
    return next(line for line in lines if "myself" in line).split()[0]


@pytest.mark.long
def test_a_reader_that_is_gone_is_forgotten_and_one_that_cannot_be_reached_is_not(site: Site) -> None:
    reader = site.add(2, 2)
    until(site.whole, "seven nodes")
    gone = reader.id()
    reader.kill()
    views = site.running()
    until(lambda: all("fail" in pod.nodes()[gone][2].split(",") for pod in views), "it is seen to have failed")
    time.sleep(5)  # longer than FORGET_SECONDS
    for shard in range(cache_site.SHARDS):
        rounds(site.master(shard), 1)
    assert all(gone in pod.nodes() for pod in views), "its name is there: it merely cannot be reached"
    reader.vanish()
    until(lambda: not any(gone in pod.nodes() for pod in views), "no pod bears its name: it is forgotten")

    # It was forgotten in error, or comes back years later: it joins again as the same node.
    reader.start()
    until(site.whole, "seven nodes again", 120)  # servers refuse gossip of a node that they forgot for 60 s
    assert reader.id() == gone


def test_masters_leave_a_machine_that_holds_most_of_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_machine() -> list[str]:
        return sorted(pod.machine for pod in site.running() if pod.role() == "master")

    apart = ["machine-0", "machine-1", "machine-2"]
    monkeypatch.setitem(site.pace, "TURN_SECONDS", "2")
    for pod in site.running():
        pod.restart_script()
    until(lambda: by_machine() == apart, "each master on a machine of its own")
    keys = write(site, 20, "machine")
    # The machine of a shard's master is drained, and its replica stands beside another master.
    moved = site.master(2)
    (other,) = [pod for pod in site.running() if pod.shard == 2 and pod is not moved]
    assert other.ask("CLUSTER", "FAILOVER") == "OK"
    until(lambda: "Failover election won" in (other.folder / "log").read_text(), "two masters on one machine")
    until(lambda: by_machine() == apart, "one of them moves away")
    assert lost(site, keys) == []
    monkeypatch.undo()
    for pod in site.running():
        pod.restart_script()


@pytest.mark.long
def test_all_masters_that_leave_at_once_hand_over(site: Site) -> None:
    """A change of the configuration replaces the pods of all shards at the same time."""
    keys = write(site, 20, "rollout")
    leaving = [site.master(shard) for shard in range(cache_site.SHARDS)]
    env = [pod.environment() for pod in leaving]
    hooks = [
        subprocess.Popen(["sh", "leave.sh"], cwd=pod.folder, env=one) for pod, one in zip(leaving, env, strict=True)
    ]
    assert [hook.wait(60) for hook in hooks] == [0, 0, 0]
    assert [pod.role() for pod in leaving] == ["slave"] * 3
    assert lost(site, keys) == []


@pytest.mark.long
def test_a_master_that_restarts_without_its_memory_does_not_empty_its_shard(site: Site) -> None:
    keys = write(site, 30, "memory")
    master = site.master(1)
    master.kill()
    master.start()
    until(lambda: any(pod.role() == "master" for pod in site.running() if pod.shard == 1), "its replica took over")
    until(site.whole, "it is back", 90)
    assert lost(site, keys) == []


def test_probes_tell_the_living_from_the_stuck(site: Site) -> None:
    pod = site.pods["cache-1-1"]
    assert pod.script("alive.sh", "server") == 0
    assert pod.script("alive.sh", "join") == 0
    os.kill(pod.processes[0].pid, signal.SIGSTOP)  # the server is there, and answers nothing
    try:
        assert pod.script("alive.sh", "server") != 0
    finally:
        os.kill(pod.processes[0].pid, signal.SIGCONT)
    os.kill(pod.processes[1].pid, signal.SIGSTOP)
    try:
        (pod.folder / "beat").write_text("1000000000")
        assert pod.script("alive.sh", "join") != 0, "the script has not gone on since 2001"
    finally:
        os.kill(pod.processes[1].pid, signal.SIGCONT)
