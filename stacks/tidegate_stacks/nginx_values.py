"""What an nginx in front of origins is told beside its origins: rules, certificates, times, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PLAYLISTS = r"\.(m3u8|mpd)$"
SEGMENTS = r"\.(ts|m4s|m4v|m4a|mp4|cmfv|cmfa|aac|mp3|vtt|webvtt)$"

PLAYLIST_ARGUMENTS = ("_HLS_msn", "_HLS_part", "_HLS_skip", "hls_ctx")
"""Arguments of a playlist that its text depends on: Low-Latency HLS (Apple's draft, section 6.2.5), and SRS's session,
which chooses between the master and the media playlist."""
OBJECT_ARGUMENTS = ("w", "h", "width", "height", "fit", "dpr", "format", "q", "quality", "bitrate", "lang", "v")
"""Arguments that the answer depends on, whatever it is: sizes and qualities of pictures and streams, versions."""

DRAIN_SECONDS = 20
"""A player fetches a segment every few seconds: pods that leave finish what they send and get nothing new."""
BACKLOG = 65_535
"""Connections that may wait to be taken; the kernel takes the smaller one of this and net.core.somaxconn, 4096."""
MAX_PATH = 256
"""Longest path of a rule. nginx takes no word of more than 4,096 characters."""
MAX_ORIGINS = 8
"""nginx follows at most ten redirections within one request, and each origin after the first takes one."""
CONNECT_SECONDS = 1
"""An origin is in the same network: who does not take a connection within this time is gone (judgement)."""
RESOLVE_SECONDS = 2
LEARN_SECONDS = 5
"""How long an origin's address is believed, whatever its DNS record says."""
STALE_SECONDS = 30
"""How long the last playlist is played while every origin fails: its segments are used up by then (judgement)."""
NEGATIVE_SECONDS = 1
"""How long anything but a success is kept: a crowd that comes a minute early costs an origin one request a second."""

RESOLVER = "127.0.0.1"
"""DNS server that the text names where none is given. ``nginx-start.sh`` writes the pod's own in its place: which they
are is known in the pod only, and a server's name would have to be resolved by the server that it names."""
PID = "/tmp/nginx.pid"  # noqa: S108 - a path in the container, a volume of its own
"""File that is there while nginx runs."""
RUNS = "/tmp/nginx.conf"  # noqa: S108 - a path in the container, a volume of its own
"""What nginx runs with in a pod: the text with the pod's DNS servers in it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the objects beneath a path are kept, in place of what their kind says."""

    path: str
    """Prefix of the path, e.g. ``/img/``. The longest that fits counts. Playlists beneath it stay playlists."""
    seconds: int
    """How long an answer is kept, here and by who stands in front. 0: it is shared by those who ask at the same time,
    and kept no longer than a second."""
    arguments: tuple[str, ...] | None = None
    """Arguments that the answer depends on. None: ``arguments`` of the whole."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate that players are answered with."""

    certificate: str
    """Path of the chain, in the container."""
    key: str
    port: int = 8443


@dataclass(frozen=True, slots=True)
class OriginTls:
    """Origins that are asked over TLS, as a shield in another cluster is."""

    name: str
    """Name that their certificates bear, and that is sent to them."""
    authorities: str
    """Path of the certificates that theirs are checked against, in the container."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long answers are kept, and how long an origin may take."""

    segment_seconds: int = 600
    other_seconds: int = 60
    """Pictures and pages."""
    read_seconds: int = 10
    """Longest silence of an origin; who is silent for longer has failed. A playlist of Low-Latency HLS is held back for
    up to three segments."""

    def longest(self, rules: Sequence[Rule]) -> int:
        """Longest that any answer is kept, and never less than ten minutes: objects may stand in for an origin that
        fails when their time is over.
        """
        return max(600, self.segment_seconds, self.other_seconds, *(rule.seconds for rule in rules))

    def chain(self, origins: int) -> int:
        """Longest that the choice may take: every origin fails as slowly as it can, at two addresses."""
        return origins * (RESOLVE_SECONDS + 2 * CONNECT_SECONDS + self.read_seconds)
