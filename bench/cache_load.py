"""A cache grows from three readers to six under load, and one of its masters is killed while it does.

Real servers with the shipped configuration and scripts, one address each on loopback. It prints figures, and its
exit code is 1 if a confirmed write is lost:

- the time to ready of each new reader, beside what ``sizing.cache_lead_seconds`` said before;
- the 99th percentile of reads before, in and after the growth;
- writes by what became of them: those that ``WAIT 1 1000`` confirmed must all be there.

Run: .venv-stacks/bin/python bench/cache_load.py [--keys 400000]    (redis-server 7; about 3 GiB of memory, 3 minutes)
"""

from __future__ import annotations

import argparse
import binascii
import importlib
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for room in ("stacks", "tests/stacks"):
    sys.path.insert(0, str(ROOT / room))
# By name, since the environment that checks the types of this folder holds no Pulumi.
cache: Any = importlib.import_module("tidegate_stacks.cache")
sizing: Any = importlib.import_module("tidegate_stacks.sizing")
site_module: Any = importlib.import_module("cache_site")

MIB = 1024 * 1024
SIZES = ((70, 200, 1_000), (25, 2_000, 6_000), (5, 16_000, 40_000))
"""Percent of the keys, and between how many bytes their values lie."""
READS_PER_SECOND = 400
WRITES_PER_SECOND = 100
QUIET_SECONDS = 15
"""How long reads are measured before and after the growth."""
KILL_AFTER_SECONDS = 4
"""From the order of the readers to the loss of a master: in the midst of their copies."""


class Link:
    """One connection: commands out, answers in. ``ServerSaysNoError`` for an error reply."""

    def __init__(self, address: str) -> None:
        self._socket = socket.create_connection((address, site_module.PORT), timeout=3)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def send(self, commands: list[tuple[bytes, ...]]) -> None:
        parts: list[bytes] = []
        for words in commands:
            parts.append(b"*%d\r\n" % len(words))
            parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self._socket.sendall(b"".join(parts))

    def answer(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ServerSaysNoError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def ask(self, *words: bytes) -> Any:
        self.send([words])
        return self.answer()

    def close(self) -> None:
        self._socket.close()


class ServerSaysNoError(Exception):
    """An error reply."""


def slot_of(key: bytes) -> int:
    return binascii.crc_hqx(key, 0) % 16_384  # the protocol's CRC16


@dataclass
class Topology:
    """Who serves which slots, asked anew when somebody says no."""

    pods: list[str]
    """Addresses to ask."""
    masters: list[tuple[int, int, str]] = field(default_factory=list)
    readers: list[tuple[int, int, str]] = field(default_factory=list)

    def learn(self) -> None:
        for address in self.pods:
            try:
                link = Link(address)
                # As clients do: replicas that have not copied their shard yet are left out of this answer.
                ranges = link.ask(b"CLUSTER", b"SLOTS")
                link.close()
            except (OSError, ServerSaysNoError):
                continue
            self.masters = [(first, last, master[0].decode()) for first, last, master, *_ in ranges]
            self.readers = [(first, last, one[0].decode()) for first, last, _, *more in ranges for one in more]
            if len(self.masters) == site_module.SHARDS:
                return

    @staticmethod
    def among(places: list[tuple[int, int, str]], key: bytes) -> str:
        """One that serves the key."""
        slot = slot_of(key)
        return random.choice([address for first, last, address in places if first <= slot <= last])

    def reader(self, key: bytes) -> str:
        """A reader of the key; its master while it has none."""
        try:
            return self.among(self.readers, key)
        except IndexError:
            return self.among(self.masters, key)


def values(keys: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys of mixed size; what they hold does not compress."""
    noise, dice = os.urandom(4 * MIB), random.Random(1)
    kinds = dice.choices(SIZES, weights=[one[0] for one in SIZES], k=keys)
    for number, (_, least, most) in enumerate(kinds):
        start, size = dice.randrange(3 * MIB), dice.randint(least, most)
        yield b"item:%d" % number, noise[start : start + size]


def fill(topology: Topology, keys: int) -> int:
    """Write all keys; the bytes of their values."""
    links = {address: Link(address) for _, _, address in topology.masters}
    waiting: dict[str, list[tuple[bytes, ...]]] = {address: [] for address in links}
    size = 0

    def flush(address: str) -> None:
        links[address].send(waiting[address])
        for _ in waiting[address]:
            links[address].answer()
        waiting[address].clear()

    for key, value in values(keys):
        size += len(value)
        address = topology.among(topology.masters, key)
        waiting[address].append((b"SET", key, value))
        if len(waiting[address]) == 100:
            flush(address)
    for address, link in links.items():
        flush(address)
        link.close()
    return size


class Client:
    """Keeps one connection to each server, and a topology that it learns anew."""

    def __init__(self, pods: list[str]) -> None:
        self.topology = Topology(pods)
        self.topology.learn()
        self._links: dict[str, Link] = {}

    def link(self, address: str, *, readonly: bool = False) -> Link:
        if address not in self._links:
            self._links[address] = Link(address)
            if readonly:
                self._links[address].ask(b"READONLY")
        return self._links[address]

    def anew(self) -> None:
        for link in self._links.values():
            link.close()
        self._links.clear()
        self.topology.learn()


def reading(pods: list[str], keys: int, stop: Event, out: Queue[Any]) -> None:
    """Reads from readers, so many a second: (when, seconds) of each, how many failed, and how many found nothing."""
    client, took, failed, cold, learnt = Client(pods), [], 0, 0, time.monotonic()
    while not stop.is_set():
        key = b"item:%d" % random.randrange(keys)
        began = time.monotonic()
        try:
            address = client.topology.reader(key)
            cold += client.link(address, readonly=True).ask(b"GET", key) is None
            took.append((began, time.monotonic() - began))
        except (OSError, ServerSaysNoError, IndexError):
            failed += 1
            client.anew()
        if began - learnt > 5:
            client.topology.learn()  # as cluster clients do, to find new readers
            learnt = began
        time.sleep(max(0.0, began + 1 / READS_PER_SECOND - time.monotonic()))
    out.put((took, failed, cold))


def writing(pods: list[str], stop: Event, out: Queue[Any]) -> None:
    """Writes, so many a second, each confirmed by a replica or not: the numbers of both, and how many were refused."""
    client, number = Client(pods), 0
    became: dict[str, list[int]] = {"confirmed": [], "not confirmed": [], "refused": []}
    while not stop.is_set():
        number += 1
        key, began = b"write:%d" % number, time.monotonic()
        sent = False
        try:
            link = client.link(client.topology.among(client.topology.masters, key))
            sent = link.ask(b"SET", key, b"%d" % number) == b"OK"
            confirmed = link.ask(b"WAIT", b"1", b"1000") >= 1
            became["confirmed" if confirmed else "not confirmed"].append(number)
        except (OSError, ServerSaysNoError, IndexError):
            became["not confirmed" if sent else "refused"].append(number)
            client.anew()
        time.sleep(max(0.0, began + 1 / WRITES_PER_SECOND - time.monotonic()))
    out.put(became)


def missing(pods: list[str], numbers: list[int]) -> int:
    """How many of these writes are not there."""
    client, gone = Client(pods), 0
    for number in numbers:
        key = b"write:%d" % number
        gone += client.link(client.topology.among(client.topology.masters, key)).ask(b"GET", key) != b"%d" % number
    return gone


def wait_for(look: Any, claim: str, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds:.0f} s: {claim}")
        time.sleep(0.5)


def times_to_ready(pods: list[Any], began: float, kill: Any = None) -> dict[str, float]:
    """Seconds until each is ready. ``kill`` is called in between, once."""
    took: dict[str, float] = {}
    while len(took) < len(pods):
        if kill and time.monotonic() - began > KILL_AFTER_SECONDS:
            kill()
            kill = None
        for pod in pods:
            if pod.name not in took and pod.ready():
                took[pod.name] = round(time.monotonic() - began, 1)
        if time.monotonic() - began > 180:
            raise SystemExit(f"only {took} are ready after 180 s")
        time.sleep(0.2)
    return took


def copy_seconds(pod: Any) -> float:
    """From the request of a full copy to its end, as the reader's server logged it."""
    said = (pod.folder / "log").read_text().splitlines()
    began, ended = (
        next(line.split()[4] for line in said if words in line)
        for words in ("Full resync from master", "Finished with success")
    )
    taken = datetime.strptime(ended, "%H:%M:%S.%f") - datetime.strptime(began, "%H:%M:%S.%f")
    return max(0.1, taken.seconds + taken.microseconds / 1e6)


def p99(took: list[tuple[float, float]], first: float, last: float) -> str:
    among = sorted(seconds for when, seconds in took if first <= when < last)
    if not among:
        return "no reads"
    at = 1000 * among[int(0.99 * (len(among) - 1))]
    return f"{at:.1f} ms (longest {1000 * among[-1]:.0f} ms, {len(among)} reads)"


def grow(site: Any, keys: int) -> int:
    shards = range(site_module.SHARDS)
    for shard in shards:
        site.add(shard, 0)
    wait_for(site.whole, "three masters")
    pods = [f"127.{site_module.NET}.{shard + 1}.{ordinal + 1}" for ordinal in range(3) for shard in shards]
    topology = Topology(pods)
    topology.learn()
    size = fill(topology, keys)
    print(f"{keys} keys of {SIZES[0][1]} to {SIZES[-1][2]} bytes, {size / MIB:.0f} MiB of values")

    # The first readers tell what one server sends, as the operator learns it from event to event.
    began = time.monotonic()
    first = times_to_ready([site.add(shard, 1) for shard in shards], began)
    data_mib = -(-size // MIB // site_module.SHARDS)
    speed = max(1, round(data_mib / max(copy_seconds(site.pods[f"cache-{shard}-1"]) for shard in shards)))
    print(f"first readers ready after {first} s; one server sent {speed} MiB/s")

    stop = multiprocessing.Event()
    out: tuple[Queue[Any], Queue[Any]] = (multiprocessing.Queue(), multiprocessing.Queue())
    loads = [
        multiprocessing.Process(target=reading, args=(pods, keys, stop, out[0])),
        multiprocessing.Process(target=writing, args=(pods, stop, out[1])),
    ]
    for load in loads:
        load.daemon = True
        load.start()
    time.sleep(QUIET_SECONDS)

    for rate, whose in ((speed, "measured"), (sizing.CACHE_COPY_MIB_PER_SECOND, "assumed")):
        predicted = sizing.cache_lead_seconds(data_mib, copies=1, copy_mib_per_second=rate, attach_seconds=0)
        print(
            f"predicted with {rate} MiB/s, {whose}: {predicted} s, {sizing.CACHE_START_SECONDS} s of them for the start"
        )
    victim = site.master(2)
    ordered = time.monotonic()
    taken = times_to_ready([site.add(shard, 2) for shard in shards], ordered, victim.kill)
    ready = time.monotonic()
    print(f"six readers; taken: {taken} s; the master of shard 2 was killed after {KILL_AFTER_SECONDS} s")
    wait_for(lambda: any(pod.role() == "master" for pod in site.running() if pod.shard == 2), "another master")
    time.sleep(QUIET_SECONDS)
    stop.set()
    (took, failed, cold), became = out[0].get(timeout=30), out[1].get(timeout=30)
    for load in loads:
        load.join()

    print(f"p99 of reads before: {p99(took, 0, ordered)}")
    print(f"p99 of reads in the growth: {p99(took, ordered, ready)}")
    print(f"p99 of reads after: {p99(took, ready, time.monotonic())}")
    print(f"reads that failed: {failed}, that found nothing: {cold}")
    lost = {kind: missing(pods, numbers) for kind, numbers in became.items()}
    print(
        f"writes: {dict(Counter({kind: len(numbers) for kind, numbers in became.items()}))}; of them not there: {lost}"
    )
    return 1 if lost["confirmed"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=400_000)
    keys = parser.parse_args().keys
    pace = {"ROUND_SECONDS": "5", "ANSWER_SECONDS": "3", "CORE": "1", "TURN_SECONDS": "30", "FORGET_SECONDS": "600"}
    with tempfile.TemporaryDirectory() as folder, site_module.site(Path(folder), pace=pace, node_timeout=5000) as site:
        return grow(site, keys)


if __name__ == "__main__":
    sys.exit(main())
