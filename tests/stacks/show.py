"""One live show end to end on loopback, with real programs.

ffmpeg publishes to nginx's RTMP module, which stands for the live origin and writes HLS. Two caches of a shield and two
sites are nginx with the configuration that ``cdn.Cdn`` registers; dnsmasq knows the origin's address.

``run`` takes the show through its phases. A phase ends when every player has played so many new segments: a slow
machine takes longer and shows the same. ``bench/show.py`` prints the figures, ``test_stacks_show.py`` judges them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from lab import PATIENCE, CachePod, free_ports
from show_players import HOST, STREAM, Played, Player
from show_programs import INTRO, ORIGIN_NAME, SEGMENT_SECONDS, Dns, LiveOrigin, publish

from tidegate_stacks import cdn_cache, cdn_content, cdn_shield, cdn_site
from tidegate_stacks.cdn import BudgetArgs, Caches, CdnArgs, ContentArgs, SiteArgs

PHASE_SECONDS = 120.0
"""A phase that takes longer has failed: somebody plays nothing any more."""

SITES = tuple(SiteArgs(name=name, normal_mbps=10, peak_mbps=10) for name in ("east", "south"))
ARGS = CdnArgs(namespace="shop", host=HOST, sites=SITES, disk="1Gi")


# ---- figures


@dataclass(frozen=True)
class Phase:
    """What was seen between two instants."""

    name: str
    seconds: float
    stall_ratio: float
    """Of all players' time, the share without a picture."""
    push_to_play: float
    """Median of the seconds from the origin having a frame to a player showing it."""
    push_to_play_p95: float
    segments: int
    """New segments that every single player has played, at least."""
    origin_requests: int
    player_requests: int
    hit_ratio: float
    """Of the segments that players asked for, the share that their site had."""


@dataclass
class Figures:
    """The whole show."""

    players: int
    prefetch_requests: int = 0
    """What the prefetch cost the origin."""
    intro_hit_ratio: float = 0.0
    """Of the players' requests for the recording after its prefetch."""
    intro_origin_requests: int = 0
    waiting_origin_requests_per_second: float = 0.0
    """While everybody asks for a stream that has not begun."""
    waiting_player_requests_per_second: float = 0.0
    push_to_first_play: float = 0.0
    """From the encoder's start to the first picture at a player; the last player's is ``push_to_last_play``."""
    push_to_last_play: float = 0.0
    phases: dict[str, Phase] = field(default_factory=dict)
    asked_twice: int = 0
    """Segments that the origin was asked for more than once while the CDN stood in front."""
    without_cdn: float = 0.0
    """Requests of one player and second at the origin, when players ask it themselves."""
    late_p95: float = 0.0
    """Seconds that this program itself was late: what a machine without time to spare adds to a player's stalls."""
    with_cdn: float = 0.0
    """The same through the CDN, before anything was disturbed."""


# ---- the show


class Show:
    """Everything that runs, and the clock of its phases."""

    def __init__(self, players: int) -> None:
        self.figures = Figures(players)
        rtmp, http = free_ports(2)
        self.origins = [LiveOrigin(address, rtmp, http) for address in ("127.0.0.2", "127.0.0.3")]
        self.dns = Dns()
        args = ARGS.model_copy(update={"resolver": f"127.0.0.1:{self.dns.port}"})
        shield = cdn_shield.pods_of("cdn", args)
        behind = [f"{ORIGIN_NAME}:{http}"]
        self.shields = [CachePod(cdn_cache.configuration(args, behind, shield, spread=False)) for _ in range(2)]
        before = [one.address for one in self.shields]
        pods = [cdn_site.pods_of("cdn", args, one) for one in SITES]
        self.sites = [CachePod(cdn_cache.configuration(args, before, one, spread=True)) for one in pods]
        self.encoder: subprocess.Popen[bytes] | None = None
        self.players: list[Player] = []
        self.watching: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.dns.point(self.origins[0].address)
        self.origins[0].start()
        for one in (*self.shields, *self.sites):
            one.start()

    def close(self) -> None:
        """Stop all of it, whatever one of them says."""
        with contextlib.ExitStack() as ends:
            for one in (self.dns, *self.origins, *self.shields, *self.sites):
                ends.callback(one.close)
            if self.encoder:
                ends.callback(self.encoder.wait, PATIENCE)
                ends.callback(self.encoder.kill)

    def asked(self, since: float, until: float) -> list[tuple[int, str]]:
        """Requests at whichever origin there was."""
        return [one for origin in self.origins for one in origin.asked(since, until)]

    def prefetch(self) -> None:
        """The recording, by the script of the Job."""
        caches = Caches("cdn", HOST, (), (), 8080, 8082)
        args = ContentArgs(action="prefetch", paths=("/vod/intro/index.m3u8",), budget=BudgetArgs(seconds=60))
        plain = {key: value for key, value in cdn_content.environment(args, caches).items() if isinstance(value, str)}
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "paths").write_text(cdn_content.content_files(args)["paths"])
            told = {**plain, "THEN": " ".join(one.address for one in self.sites), "WORK": folder}
            told |= {"URLS": f"{folder}/paths", "PATH": os.environ["PATH"]}
            subprocess.run(["sh", "-c", cdn_content.script()], env=told, check=True, capture_output=True)

    def watch(self, session: aiohttp.ClientSession, many: int, addresses: Sequence[str]) -> None:
        """Let so many players begin; they spread over the addresses."""
        turns = [[*addresses[turn:], *addresses[:turn]] for turn in range(len(addresses))]
        made = [Player(session, list(turns[number % len(turns)])) for number in range(many)]
        self.players = made
        self.watching = [asyncio.create_task(one.watch()) for one in made]

    async def leave(self) -> None:
        """All players go."""
        for one in self.watching:
            one.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)

    async def until(self, done: Callable[[Player], bool], what: str) -> None:
        """Wait until it holds for every player."""
        deadline = time.monotonic() + PHASE_SECONDS
        while not all(done(one) for one in self.players):
            late = sum(not done(one) for one in self.players)
            assert time.monotonic() < deadline, f"{what}: {late} of {len(self.players)} players wait for it"
            await asyncio.sleep(0.1)

    async def phase(self, name: str, *, segments: int, since: float | None = None) -> None:
        """Watch until every player has played so many segments whose first frame the origin had after its begin."""
        begin = time.time() if since is None else since
        await self.until(lambda one: len(_later(one, begin)) >= segments, name)
        self.figures.phases[name] = self._seen(name, begin, time.time())

    def _seen(self, name: str, begin: float, end: float) -> Phase:
        behind = [each.behind for one in self.players for each in one.played if begin <= each.at < end]
        answers = [each for one in self.players for each in one.answers if begin <= each[0] < end]
        segments = [cache for _, path, cache in answers if path.endswith(".ts")]
        total = (end - begin) * len(self.players)
        return Phase(
            name=name,
            seconds=end - begin,
            stall_ratio=sum(one.stalled(begin, end) for one in self.players) / total,
            push_to_play=statistics.median(behind) if behind else 0.0,
            push_to_play_p95=statistics.quantiles(behind, n=20)[-1] if len(behind) > 1 else 0.0,
            segments=min(len(_later(one, begin)) for one in self.players),
            origin_requests=len(self.asked(begin, end)),
            player_requests=len(answers),
            hit_ratio=_share(segments, "HIT"),
        )


def _later(player: Player, begin: float) -> list[Played]:
    return [one for one in player.played if one.at - one.behind >= begin]


def _share(found: Sequence[str], of: str) -> float:
    return sum(one == of for one in found) / len(found) if found else 0.0


async def run(players: int) -> Figures:
    """The whole show."""
    show = Show(players)
    try:
        show.start()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            late: list[float] = []
            clock = asyncio.create_task(_note_lateness(late))
            await _before(show, session)
            await _live(show)
            await _disturbed(show)
            clock.cancel()
            show.figures.late_p95 = statistics.quantiles(late, n=20)[-1]
            await show.leave()
            await _without(show, session)
        return show.figures
    finally:
        await show.leave()
        show.close()


async def _note_lateness(late: list[float]) -> None:
    while True:
        due = time.monotonic() + 0.1
        await asyncio.sleep(0.1)
        late.append(time.monotonic() - due)


async def _before(show: Show, session: aiohttp.ClientSession) -> None:
    """A recording is warmed and looked at; then everybody waits for a stream that has not begun."""
    figures = show.figures
    begin = time.time()
    await asyncio.to_thread(show.prefetch)
    warmed = time.time()
    figures.prefetch_requests = len(show.asked(begin, warmed))
    show.watch(session, figures.players, [one.address for one in show.sites])
    await asyncio.gather(*(one.fetch(f"/vod/intro/{n % INTRO}.ts") for n, one in enumerate(show.players)))
    looked = [each for one in show.players for each in one.answers if each[1].startswith("/vod/")]
    figures.intro_hit_ratio = _share([cache for _, _, cache in looked], "HIT")
    figures.intro_origin_requests = sum(path.startswith("/vod/") for _, path in show.asked(warmed, time.time()))
    await show.until(lambda one: len(one.answers) >= 5, "players that wait for the show")
    seconds = time.time() - warmed
    waited = [each for one in show.players for each in one.answers if each[1] == STREAM]
    early = [path for _, path in show.asked(warmed, time.time()) if path.startswith(STREAM)]
    figures.waiting_origin_requests_per_second = len(early) / seconds
    figures.waiting_player_requests_per_second = len(waited) / seconds


async def _live(show: Show) -> None:
    """The show begins, and nothing happens."""
    figures = show.figures
    pushed = time.time()
    show.encoder = publish(show.origins[0])
    await show.until(lambda one: bool(one.played), "the first picture")
    first = [one.played[0].at - pushed for one in show.players]
    figures.push_to_first_play, figures.push_to_last_play = min(first), max(first)
    await show.phase("opening", segments=2)
    await show.phase("before", segments=3)
    undisturbed = figures.phases["before"]
    figures.with_cdn = undisturbed.origin_requests / undisturbed.seconds / figures.players


async def _disturbed(show: Show) -> None:
    """A site is killed; then the origin is, and comes back elsewhere."""
    show.sites[1].kill()
    await show.phase("site killed", segments=3)
    gone = time.time()
    show.origins[0].kill()
    await asyncio.sleep(SEGMENT_SECONDS)
    show.origins[1].start()
    show.dns.point(show.origins[1].address)
    if show.encoder:
        show.encoder.kill()
        show.encoder.wait(PATIENCE)
    show.encoder = publish(show.origins[1])
    await show.phase("origin moves", segments=1, since=gone)
    await show.phase("after", segments=3)
    segments = Counter(path for status, path in show.asked(0.0, time.time()) if status == 200 and _is_segment(path))
    show.figures.asked_twice = sum(many > 1 for many in segments.values())


def _is_segment(path: str) -> bool:
    return path.startswith("/live/") and path.endswith(".ts")


async def _without(show: Show, session: aiohttp.ClientSession) -> None:
    """The same players ask the origin themselves."""
    origin = show.origins[1]
    begin = time.time()
    show.watch(session, show.figures.players, [f"{origin.address}:{origin.http}"])
    await show.until(lambda one: len(_later(one, begin)) >= 2, "players at the origin")
    seconds = time.time() - begin
    show.figures.without_cdn = len(show.asked(begin, time.time())) / seconds / show.figures.players


def lines(figures: Figures) -> Iterable[str]:
    """The figures in words."""
    yield f"{figures.players} players, two sites, a shield of two, one origin"
    yield (
        f"prefetch of {INTRO + 1} objects: {figures.prefetch_requests} origin requests; then hit ratio"
        f" {figures.intro_hit_ratio:.1%}, {figures.intro_origin_requests} origin requests"
    )
    yield (
        f"a crowd before the show: {figures.waiting_player_requests_per_second:.0f} requests/s,"
        f" {figures.waiting_origin_requests_per_second:.2f}/s at the origin"
    )
    yield f"encoder's start to a picture: {figures.push_to_first_play:.1f} to {figures.push_to_last_play:.1f} s"
    yield "phase          seconds  stall   push-to-play p50/p95   origin/s  players/s  hit ratio"
    for one in figures.phases.values():
        origin, all_players = one.origin_requests / one.seconds, one.player_requests / one.seconds
        yield (
            f"{one.name:14} {one.seconds:7.1f}  {one.stall_ratio:5.1%}"
            f"  {one.push_to_play:8.1f} / {one.push_to_play_p95:4.1f} s"
            f"     {origin:8.2f}  {all_players:9.0f}  {one.hit_ratio:9.1%}"
        )
    yield f"the players' program itself was late by {figures.late_p95 * 1000:.0f} ms (95 of 100 times less)"
    yield f"segments that the origin was asked for more than once: {figures.asked_twice}"
    yield f"origin requests of a player: {figures.with_cdn:.4f}/s with the CDN, {figures.without_cdn:.2f}/s without"
