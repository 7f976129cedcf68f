"""The text of SRS's configuration: origins that take streams, and relays that hand them on.

Pure. What SRS does with each option is written down, with its version and source, in the tests' table of facts.
"""

from __future__ import annotations

from collections.abc import Sequence

PORTS = {"rtmp": 1935, "api": 1985, "http": 8080, "metrics": 9972}
MAX_CONNECTIONS = 10_000
NEEDS_FILES = MAX_CONNECTIONS + 200
"""Open files that SRS wants before it starts: one for each connection, and 128 in version 6 for what it opens itself.
The rest is room for a version that wants more (judgement)."""
START_WAIT_MS = 5000
"""Between the signal and the closing of the listeners: endpoints have forgotten the pod by then."""
FINAL_WAIT_MS = 3000
FRAGMENT_SECONDS = 2
WINDOW_SECONDS = 12
DISPOSE_SECONDS = 30
"""How long the playlist and the segments of a stream that has ended stay. After that the playlist is a 404."""


def srs_conf(cluster: str, *, api: str, rest: str = "") -> str:
    """SRS, with a graceful end. ``cluster``: its place in the chain; ``api``: where its HTTP API listens."""
    return f"""\
listen {PORTS["rtmp"]};
max_connections {MAX_CONNECTIONS};
daemon off;
pid /tmp/srs.pid;
srs_log_tank console;
srs_log_level_v2 warn;
ff_log_dir /tmp;
force_grace_quit on;
grace_start_wait {START_WAIT_MS};
grace_final_wait {FINAL_WAIT_MS};
http_api {{ enabled on; listen {api}; }}
http_server {{ enabled on; listen {PORTS["http"]}; dir /tmp/html; }}
exporter {{ enabled on; listen {PORTS["metrics"]}; }}
vhost __defaultVhost__ {{
  tcp_nodelay on;
  min_latency on;
  cluster {{ {cluster} }}
  http_remux {{ enabled on; mount [vhost]/[app]/[stream].flv; }}
{rest}}}
"""


HLS = f"""\
  hls {{
    enabled on;
    hls_ctx off;
    hls_ts_ctx off;
    hls_path /tmp/html;
    hls_ts_file [app]/[stream]-[seq]-[timestamp].ts;
    hls_fragment {FRAGMENT_SECONDS};
    hls_window {WINDOW_SECONDS};
    hls_dispose {DISPOSE_SECONDS};
  }}
"""
"""HLS for an edge cache. ``hls_ctx`` and ``hls_ts_ctx`` would give each player a session of its own in every URL: SRS's
example for nginx edges turns both off. The time in a segment's name keeps it from meaning something else after SRS has
started again and counts from 0."""


def origin_conf(hosts: Sequence[str], *, on_publish: str | None = None, forward: Sequence[str] = ()) -> str:
    """An origin that knows the others.

    ``on_publish``: URLs, by spaces, that are asked before somebody may publish; None: everybody may. ``forward``: hosts
    and ports that get a copy of each stream.
    """
    rest = HLS
    if on_publish:
        rest += f"  http_hooks {{ enabled on; on_publish {on_publish}; }}\n"
    if forward:
        rest += f"  forward {{ enabled on; destination {' '.join(forward)}; }}\n"
    # Origins ask each other over the API where a stream lies. One alone needs nobody: its API stays on loopback.
    if len(hosts) == 1:
        return srs_conf("mode local;", api=_LOOPBACK, rest=rest)
    coworkers = " ".join(f"{host}:{PORTS['api']}" for host in hosts)
    return srs_conf(f"mode local; origin_cluster on; coworkers {coworkers};", api=str(PORTS["api"]), rest=rest)


def relay_conf(hosts: Sequence[str]) -> str:
    """A relay: takes a stream from the origin that has it, once for all of its viewers. Nobody publishes there."""
    origins = " ".join(f"{host}:{PORTS['rtmp']}" for host in hosts)
    rest = "  security { enabled on; allow play all; deny publish all; }\n"
    return srs_conf(f"mode remote; origin {origins};", api=_LOOPBACK, rest=rest)


_LOOPBACK = f"127.0.0.1:{PORTS['api']}"
