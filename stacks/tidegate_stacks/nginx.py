"""The text of an nginx.conf for a cache of live video: an edge site, or a shield between edge sites and origins.

Pure: values in, text out. ``edge.EdgeCache`` and the CDN render their pods from it; the tests run it in a real nginx.

Every request passes up to three servers of one nginx, joined by sockets in the cache's folder:

* **front** takes players. It caches each answer and sends one request per missing object further, however many ask.
* **kept** (playlists only) remembers the last good playlist, for the seconds in which every origin fails.
* **choice** asks the origins in order: a 404 or a failure leads to the next one.

Why three: a cache in front of the choice has one entry and one lock per object. A cache in each step of the choice
would have one per object and origin, and would ask every earlier origin again for each hot segment.

Five things that nginx 1.22 does, and what follows from them:

* An ``upstream`` resolves its names once, and nginx does not start while one of them is unknown (``resolve`` in
  ``server`` came with 1.27.3). A variable in ``proxy_pass`` is resolved when it is used. So each origin is a variable
  and a named location of its own; the price is a connection for each request that reaches an origin.
* ``proxy_cache_lock`` holds a crowd back only from objects that are *not* in the cache. When an object has expired, all
  who ask go to the origin unless stale answers are allowed. Playlists must not be stale, so the key of a playlist holds
  the current second: each second is a new object, and the lock holds.
* ``proxy_cache_use_stale`` knows no age. ``stale-if-error`` in the answer's ``Cache-Control`` does, so that the choice
  adds one. nginx 1.22 heeds it when a connection fails, not when a status says so: the choice closes the connection
  where an origin fails. A version that heeds statuses heeds a 404 too: the choice says 410 where no origin has an
  object.
* A listener keeps 511 connections that wait to be taken, and a socket in a folder refuses the next one at once. A crowd
  that asks for many objects at the same time is more: ``BACKLOG``, and a worker takes all that wait at a time.
* The lock's waiters look again every 500 ms (a constant of nginx): a player that waits for another's request gets its
  answer up to half a second late.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from tidegate_stacks import sizing
from tidegate_stacks.checks import HOST_PORT, quoted
from tidegate_stacks.nginx_servers import (
    Front,
    certificate,
    choice,
    kept,
    maps,
    negative,
    origin_variables,
    refusals,
)
from tidegate_stacks.nginx_values import (
    BACKLOG,
    DRAIN_SECONDS,
    LEARN_SECONDS,
    MAX_ORIGINS,
    MAX_PATH,
    OBJECT_ARGUMENTS,
    PID,
    RESOLVE_SECONDS,
    RESOLVER,
    RUNS,
    STALE_SECONDS,
    OriginTls,
    Rule,
    Times,
    Tls,
)

__all__ = ["DRAIN_SECONDS", "OBJECT_ARGUMENTS", "OriginTls", "Rule", "Times", "Tls", "nginx_conf", "start_script"]


def nginx_conf(
    origins: Sequence[str],
    *,
    disk: str,
    resolver: str | None = None,
    listen: Sequence[str] = (f"8080 reuseport backlog={BACKLOG}",),
    tls: Tls | None = None,
    origin_tls: OriginTls | None = None,
    hosts: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    arguments: Sequence[str] = OBJECT_ARGUMENTS,
    times: Times | None = None,
    spread: bool = False,
    refresh_port: int | None = None,
    allow_origin: str = "*",
) -> str:
    """An nginx in front of origins, or of shields that stand in front of them.

    ``origins``: ``host:port`` each, asked in this order. ``disk``: size of the cache. ``resolver``: DNS servers, as
    nginx's ``resolver`` takes them; None: those that ``start.sh`` finds in the pod's /etc/resolv.conf. nginx knows no
    search list, so that a host must be a whole name or an IP address; an IP address needs no resolver.
    ``hosts``: names that are served; others get 421. None: all, each with objects of its own. ``arguments``: those that
    answers depend on; all others are neither sent to an origin nor part of a key, session tokens above all.
    ``spread``: objects are spread over the origins by their path, for shields that shall hold each object once; else
    the first is asked first. ``refresh_port``: a port on which each request fetches anew and replaces what is kept, for
    purges: what an origin no longer has is gone then, and where every origin fails all stays as it is.
    ``allow_origin``: pages of which site may play in a browser.

    ValueError when there are no origins, or more than ``MAX_ORIGINS``, or one is not ``host:port``.
    """
    _check(origins, arguments, rules)
    times = times or Times()
    fresh = Front(times, len(origins), allow_origin, refreshes=True)
    listens = [*listen, *([f"{tls.port} ssl http2 backlog={BACKLOG}"] if tls else [])]
    return "".join(
        [
            _head(disk, resolver or RESOLVER, longest=times.longest(rules)),
            maps(times, arguments, rules, hosts, tls),
            origin_variables(origins, spread=spread),
            "  server {\n",
            *(f"    listen {one};\n" for one in listens),
            certificate(tls),
            refusals(hosts, allow_origin),
            Front(times, len(origins), allow_origin).locations(rules),
            negative(allow_origin),
            "  }\n",
            *([_refresh(refresh_port, refusals(hosts, allow_origin), fresh.locations(rules))] if refresh_port else []),
            kept(times.chain(len(origins)) + 1),
            choice(len(origins), times, origin_tls),
            _STATUS,
            "}\n",
        ]
    )


_ARGUMENT = re.compile(r"[A-Za-z0-9_.~-]+")
_PATH = re.compile(rf"/[A-Za-z0-9_.~/-]{{0,{MAX_PATH - 1}}}")


def _check(origins: Sequence[str], arguments: Sequence[str], rules: Sequence[Rule]) -> None:
    if not 0 < len(origins) <= MAX_ORIGINS:
        raise ValueError(f"origins: {len(origins)} given; give 1 to {MAX_ORIGINS}, or one name that stands for many")
    for number, one in enumerate(origins):
        if not HOST_PORT.fullmatch(one):
            raise ValueError(
                f"origins[{number}]: give host:port, e.g. live-origin-0.live-origin:8080, not {quoted(one)}"
            )
    named = [*arguments, *(name for rule in rules for name in rule.arguments or ())]
    for name in named:
        if not _ARGUMENT.fullmatch(name):
            raise ValueError(f"arguments: give names of letters, digits and -_.~ as they stand in a URL, not {name!r}")
    for number, rule in enumerate(rules):
        if not _PATH.fullmatch(rule.path):
            raise ValueError(
                f"rules[{number}].path: give a path that begins with /, e.g. /img/, of {MAX_PATH} characters at most,"
                f" not {rule.path!r}"
            )
        if not 0 <= rule.seconds <= 31_536_000:
            raise ValueError(f"rules[{number}].seconds: give 0 to 31536000, one year, not {rule.seconds}")


def _head(disk: str, resolver: str, *, longest: int) -> str:
    """Processes, caches, and what holds for all servers. ``longest``: seconds after which nginx drops an object that
    nobody asked for, however fresh it is. The disk's size bounds what is kept, the oldest goes first.
    """
    size = sizing.memory_bytes(disk) * 9 // 10 // sizing.MIB
    return f"""\
pid {PID};
worker_processes auto;
worker_shutdown_timeout {DRAIN_SECONDS}s;
error_log /dev/stderr warn;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 30s;
  client_max_body_size 1k;
  default_type application/octet-stream;
  client_body_temp_path /tmp/client_temp;
  proxy_temp_path /var/cache/edge/temp;
  fastcgi_temp_path /tmp/fastcgi_temp;
  uwsgi_temp_path /tmp/uwsgi_temp;
  scgi_temp_path /tmp/scgi_temp;
  # Playlists are small and live for a second: few of them are held at a time.
  proxy_cache_path /var/cache/edge/playlists levels=1:2 keys_zone=playlists:16m inactive=10s use_temp_path=on;
  proxy_cache_path /var/cache/edge/kept levels=1:2 keys_zone=kept:8m inactive={STALE_SECONDS}s use_temp_path=on;
  proxy_cache_path /var/cache/edge/objects levels=1:2 keys_zone=objects:{sizing.cache_zone_mib(disk)}m
                   max_size={size}m inactive={longest}s use_temp_path=on;
  {resolver_line(resolver)}
  resolver_timeout {RESOLVE_SECONDS}s;
  recursive_error_pages on;
  proxy_http_version 1.1;
  proxy_buffers 16 16k;
  proxy_buffer_size 16k;
  # An origin sees the host, the path and the arguments of the key, and nothing else that an answer could depend on.
  proxy_pass_request_headers off;
  proxy_pass_request_body off;
  proxy_set_header Content-Length "";
  proxy_set_header Host $host;
  proxy_set_header Connection close;
  # No connection to the next step is kept: nginx would ask once more where it finds a kept one closed.
  upstream kept {{ server unix:/var/cache/edge/kept.sock; }}
  upstream choice {{ server unix:/var/cache/edge/choice.sock; }}
"""


def resolver_line(servers: str) -> str:
    """The line that names DNS servers to nginx: addresses are learnt again after ``LEARN_SECONDS``."""
    return f"resolver {servers} valid={LEARN_SECONDS}s;"


_STATUS = """\
  server {
    listen 8081;
    location = /ready { return 200 "ready\\n"; }
    location = /status { stub_status; }
  }
"""


def _refresh(port: int, refused: str, locations: str) -> str:
    return f"  server {{\n    listen {port};\n{refused}{locations}  }}\n"


def start_script() -> str:
    """The shell script that a pod starts nginx with: it tells nginx of the pod's DNS servers."""
    text = (files("tidegate_stacks") / "scripts" / "nginx-start.sh").read_text(encoding="utf-8")
    return text.replace("RESOLVER_LINE", resolver_line(RESOLVER)).replace("RUNS", RUNS)
