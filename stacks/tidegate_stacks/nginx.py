"""The text of an nginx.conf for a cache of live video: an edge site, or a shield between edge sites and origins.

Pure: values in, text out. ``edge.EdgeCache`` and the CDN render their pods from it; the tests run it in a real nginx.

Every request passes up to three servers of one nginx, joined by sockets in the cache's folder:

* **front** takes players. It caches each answer and sends one request per missing object further, however many ask.
* **kept** (playlists only) remembers the last good playlist, for the seconds in which every origin fails.
* **choice** asks the origins in order: a 404 or a failure leads to the next one.

Why three: a cache in front of the choice has one entry and one lock per object. A cache in each step of the choice
would have one per object and origin, and would ask every earlier origin again for each hot segment.

Four things that nginx 1.22 does, and what follows from them:

* An ``upstream`` resolves its names once, and nginx does not start while one of them is unknown (``resolve`` in
  ``server`` came with 1.27.3). A variable in ``proxy_pass`` is resolved when it is used. So each origin is a variable
  and a named location of its own; the price is a connection for each request that reaches an origin.
* ``proxy_cache_lock`` holds a crowd back only from objects that are *not* in the cache. When an object has expired, all
  who ask go to the origin unless stale answers are allowed. Playlists must not be stale, so the key of a playlist holds
  the current second: each second is a new object, and the lock holds.
* ``proxy_cache_use_stale`` knows no age. ``stale-if-error`` in the answer's ``Cache-Control`` does, so that the choice
  adds one. nginx would use it after a 404 too: the choice says 410 where no origin has an object.
* The lock's waiters look again every 500 ms (a constant of nginx): a player that waits for another's request gets its
  answer up to half a second late.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate_stacks import sizing

PLAYLISTS = r"\.(m3u8|mpd)$"
SEGMENTS = r"\.(ts|m4s|m4v|m4a|mp4|cmfv|cmfa|aac|mp3|vtt|webvtt)$"

PLAYLIST_ARGUMENTS = ("_HLS_msn", "_HLS_part", "_HLS_skip", "hls_ctx")
"""Arguments of a playlist that its text depends on: Low-Latency HLS (Apple's draft, section 6.2.5), and SRS's session,
which chooses between the master and the media playlist."""
OBJECT_ARGUMENTS = ("w", "h", "width", "height", "fit", "dpr", "format", "q", "quality", "bitrate", "lang", "v")
"""Arguments that the answer depends on, whatever it is: sizes and qualities of pictures and streams, versions."""

DRAIN_SECONDS = 20
"""A player fetches a segment every few seconds: pods that leave finish what they send and get nothing new."""
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

RESOLVER_FILE = "/tmp/resolver.conf"  # noqa: S108 - a path in the container, a volume of its own
"""Where ``start.sh`` writes the pod's own DNS servers."""


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

    def chain(self, origins: int) -> int:
        """Longest that the choice may take: every origin fails as slowly as it can."""
        return origins * (RESOLVE_SECONDS + CONNECT_SECONDS + self.read_seconds)


def nginx_conf(
    origins: Sequence[str],
    *,
    disk: str,
    resolver: str | None = None,
    listen: Sequence[str] = ("8080 reuseport",),
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
    purges. ``allow_origin``: pages of which site may play in a browser.

    ValueError when there are no origins, or more than ``MAX_ORIGINS``, or one is not ``host:port``.
    """
    _check(origins, arguments, rules)
    times = times or Times()
    front = _Front(times, len(origins), allow_origin, bool(refresh_port))
    listens = [*listen, *([f"{tls.port} ssl http2"] if tls else []), *([str(refresh_port)] if refresh_port else [])]
    return "".join(
        [
            _head(disk, resolver),
            _maps(times, arguments, rules, refresh_port),
            _origins(origins, spread=spread),
            "  server {\n",
            *(f"    listen {one};\n" for one in listens),
            _certificate(tls),
            _refusals(hosts, allow_origin),
            front.playlists(),
            # nginx takes the first expression that fits: a path's rule never makes a playlist old.
            *(front.ruled(number, rules[number]) for number in _longest_first(rules)),
            front.objects(f"~ {SEGMENTS}", "segment", times.segment_seconds),
            front.objects("/", "other", times.other_seconds),
            "    location @negative { return 200; }\n  }\n",
            _kept(times.chain(len(origins)) + 1),
            _choice(len(origins), times, origin_tls),
            _STATUS,
            "}\n",
        ]
    )


_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_ARGUMENT = re.compile(r"[A-Za-z0-9_.~-]+")
_PATH = re.compile(r"/[A-Za-z0-9_.~/-]*")


def _check(origins: Sequence[str], arguments: Sequence[str], rules: Sequence[Rule]) -> None:
    if not 0 < len(origins) <= MAX_ORIGINS:
        raise ValueError(f"origins: {len(origins)} given; give 1 to {MAX_ORIGINS}, or one name that stands for many")
    for number, one in enumerate(origins):
        if not _HOST_PORT.fullmatch(one):
            raise ValueError(f"origins[{number}]: give host:port, e.g. live-origin-0.live-origin:8080, not {one!r}")
    named = [*arguments, *(name for rule in rules for name in rule.arguments or ())]
    for name in named:
        if not _ARGUMENT.fullmatch(name):
            raise ValueError(f"arguments: give names of letters, digits and -_.~ as they stand in a URL, not {name!r}")
    for number, rule in enumerate(rules):
        if not _PATH.fullmatch(rule.path):
            raise ValueError(f"rules[{number}].path: give a path that begins with /, e.g. /img/, not {rule.path!r}")
        if not 0 <= rule.seconds <= 31_536_000:
            raise ValueError(f"rules[{number}].seconds: give 0 to 31536000, one year, not {rule.seconds}")


def _head(disk: str, resolver: str | None) -> str:
    """Processes, caches, and what holds for all servers."""
    size = sizing.memory_bytes(disk) * 9 // 10 // sizing.MIB
    # Names the file by a pattern: nginx starts without it, as it must where every origin is an IP address.
    found = f"include {RESOLVER_FILE[:-1]}[{RESOLVER_FILE[-1]}];" if resolver is None else f"{resolver_line(resolver)}"
    return f"""\
pid /tmp/nginx.pid;
worker_processes auto;
worker_shutdown_timeout {DRAIN_SECONDS}s;
error_log /dev/stderr warn;
events {{ worker_connections 16384; }}
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
                   max_size={size}m inactive=10m use_temp_path=on;
  {found}
  resolver_timeout {RESOLVE_SECONDS}s;
  recursive_error_pages on;
  proxy_http_version 1.1;
  proxy_buffers 16 16k;
  proxy_buffer_size 16k;
  # An origin sees the host, the path and the arguments of the key, and nothing else that an answer could depend on.
  proxy_pass_request_headers off;
  proxy_set_header Host $host;
  proxy_set_header Connection "";
  upstream kept {{ server unix:/var/cache/edge/kept.sock; keepalive 64; }}
  upstream choice {{ server unix:/var/cache/edge/choice.sock; keepalive 64; }}
"""


def resolver_line(servers: str) -> str:
    """The line that names DNS servers to nginx: addresses are learnt again after ``LEARN_SECONDS``."""
    return f"resolver {servers} valid={LEARN_SECONDS}s;"


def _maps(times: Times, arguments: Sequence[str], rules: Sequence[Rule], refresh_port: int | None) -> str:
    """Variables of the front: the second, the path as it was sent, the arguments in one order, own headers."""
    sets = {"playlist": [*PLAYLIST_ARGUMENTS, *arguments], "object": list(arguments)}
    sets |= {f"rule{number}": list(one.arguments) for number, one in enumerate(rules) if one.arguments is not None}
    ages = {"playlist": 1, "segment": times.segment_seconds, "other": times.other_seconds}
    ages |= {f"rule{number}": one.seconds for number, one in enumerate(rules)}
    lines = [
        "map $msec $edge_second { ~^(?<edge_whole>[0-9]+) $edge_whole; }",
        'map $request_uri $edge_path { ~^(?<edge_bare>[^?]*) "$edge_bare"; }',
        "map $upstream_cache_status:$upstream_http_x_kept $edge_cache {"
        + ' ~:STALE$ STALE; ~^HIT HIT; ~:(?<edge_kept>.+)$ "$edge_kept"; default "$upstream_cache_status"; }',
        *_argument_maps(sets),
        *(_age_map(kind, seconds) for kind, seconds in ages.items()),
    ]
    if refresh_port:
        lines.append(f'map $server_port $edge_refresh {{ {refresh_port} 1; default ""; }}')
    return "".join(f"  {line}\n" for line in lines)


def _argument_maps(sets: dict[str, list[str]]) -> list[str]:
    """For each set of names a variable ``$edge_query_SET``: those that were sent, in the set's order.

    So the order in which a player sends them does not matter, and what is in no set is gone.
    """
    names = list(dict.fromkeys(name for one in sets.values() for name in one))
    number = {name: index for index, name in enumerate(names)}
    lines = [
        f"map $args $edge_arg{index} {{"
        f' "~(?:^|&){re.escape(name)}=(?<edge_value{index}>[^&]+)" "&{name}=$edge_value{index}"; default ""; }}'
        for name, index in number.items()
    ]
    for kind, each in sets.items():
        joined = "".join(f"$edge_arg{number[name]}" for name in dict.fromkeys(each))
        lines.append(f'map "{joined}" $edge_query_{kind} {{ "~^&(?<edge_rest_{kind}>.+)$" "?$edge_rest_{kind}"; }}')
    return lines


def _age_map(kind: str, seconds: int) -> str:
    """``Cache-Control`` for what stands in front, by the answer's status."""
    return (
        f'map $status $edge_age_{kind} {{ ~^(20|304) "public, max-age={seconds}";'
        f' ~^[34] "public, max-age={NEGATIVE_SECONDS}"; default "no-store"; }}'
    )


def _origins(origins: Sequence[str], *, spread: bool) -> str:
    """A variable for each place in the order: ``$edge_origin0`` is asked first."""
    many = len(origins)
    if not spread:
        return "".join(f'  map "" $edge_origin{place} {{ default {one}; }}\n' for place, one in enumerate(origins))
    share = "".join(f"{100 / many:.2f}% {turn}; " for turn in range(many - 1))
    lines = [f"split_clients $edge_path $edge_turn {{ {share}* {many - 1}; }}"]
    for place in range(many):
        each = " ".join(f"{turn} {origins[(turn + place) % many]};" for turn in range(many))
        lines.append(f"map $edge_turn $edge_origin{place} {{ {each} }}")
    return "".join(f"  {line}\n" for line in lines)


def _longest_first(rules: Sequence[Rule]) -> list[int]:
    return sorted(range(len(rules)), key=lambda number: -len(rules[number].path))


def _certificate(tls: Tls | None) -> str:
    if tls is None:
        return ""
    return (
        f"    ssl_certificate {tls.certificate};\n    ssl_certificate_key {tls.key};\n"
        "    ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_session_cache shared:tls:10m;\n    ssl_session_timeout 1h;\n"
    )


def _refusals(hosts: Sequence[str], allow_origin: str) -> str:
    """What never reaches a cache: unknown hosts, and methods that a cache would pass on each time."""
    names = " ".join(re.escape(one) for one in hosts)
    known = f'    if ($host !~* "^({names.replace(" ", "|")})$") {{ return 421; }}\n' if hosts else ""
    return (
        f'    add_header Access-Control-Allow-Origin "{allow_origin}" always;\n'
        f"{known}"
        "    if ($request_method = OPTIONS) { return 204; }\n"
        "    if ($request_method !~ ^(GET|HEAD)$) { return 405; }\n"
    )


@dataclass(frozen=True, slots=True)
class _Front:
    """Locations that players reach."""

    times: Times
    origins: int
    allow_origin: str
    refreshes: bool

    def playlists(self) -> str:
        """A new object each second, so that the lock holds the crowd back and nobody gets an old one."""
        return self._location(f"~ {PLAYLISTS}", "playlist", "playlist", "kept", cache="playlists") + (
            '      proxy_cache_key "$host$edge_path$edge_query_playlist $edge_second";\n'
            # Those who wait for the lock look up to half a second after the answer came, and at the same key.
            "      proxy_cache_valid any 10s;\n"
            "    }\n"
        )

    def objects(self, where: str, kind: str, seconds: int, query: str = "object") -> str:
        """What does not change under its name. While it is fetched again after its time the old one is served."""
        valid = f"      proxy_cache_valid 200 {seconds}s;\n" if seconds else ""
        fetch = "      proxy_cache_bypass $edge_refresh;\n" if self.refreshes else ""
        return self._location(where, kind, query, "choice", cache="objects") + (
            f'      proxy_cache_key "$host$edge_path$edge_query_{query}";\n'
            f"{valid}      proxy_cache_valid any {NEGATIVE_SECONDS}s;\n{fetch}"
            "      proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;\n"
            "      proxy_cache_background_update on;\n"
            "    }\n"
        )

    def ruled(self, number: int, rule: Rule) -> str:
        """Objects beneath a path."""
        query = "object" if rule.arguments is None else f"rule{number}"
        return self.objects(f"~ ^{re.escape(rule.path)}", f"rule{number}", rule.seconds, query)

    def _location(self, where: str, kind: str, query: str, then: str, *, cache: str) -> str:
        """The lock outlasts every origin's failure: who waits is never let through beside the request that is under
        way. One more is sent when that has taken longer than all of them may.
        """
        chain = self.times.chain(self.origins)
        return f"""\
    location {where} {{
      proxy_pass http://{then}$edge_path$edge_query_{query};
      proxy_read_timeout {chain + 2}s;
      proxy_cache {cache};
      proxy_cache_lock on;
      proxy_cache_lock_age {chain + 5}s;
      proxy_cache_lock_timeout {4 * (chain + 5)}s;
      proxy_intercept_errors on;
      error_page 400 401 403 404 405 429 500 502 503 504 @negative;
      error_page 410 =404 @negative;
      proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires;
      proxy_hide_header Cache-Control;
      proxy_hide_header X-Kept;
      add_header Cache-Control $edge_age_{kind} always;
      add_header Access-Control-Allow-Origin "{self.allow_origin}" always;
      add_header X-Cache $edge_cache always;
"""


def _kept(seconds: int) -> str:
    """The last good playlist. It is asked for once a second, so that it needs no lock."""
    return f"""\
  server {{
    listen unix:/var/cache/edge/kept.sock;
    location / {{
      proxy_pass http://choice$request_uri;
      proxy_read_timeout {seconds}s;
      proxy_cache kept;
      proxy_cache_key "$host$request_uri";
      add_header X-Kept $upstream_cache_status always;
    }}
  }}
"""


def _choice(origins: int, times: Times, tls: OriginTls | None) -> str:
    """Asks the origins in order, and says 410 where none has an object, 503 where one that may have it failed."""
    return f"""\
  server {{
    listen unix:/var/cache/edge/choice.sock;
    set $edge_failed "";
    proxy_connect_timeout {CONNECT_SECONDS}s;
    proxy_read_timeout {times.read_seconds}s;
    proxy_max_temp_file_size 0;
    proxy_set_header Host $host;
    proxy_set_header Connection close;
    proxy_intercept_errors on;
    proxy_ignore_headers X-Accel-Expires X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
{"".join(f"    proxy_hide_header {one};{chr(10)}" for one in _HIDDEN)}\
    # Read by the servers above: until the end of this second it is fresh, and then it may stand in for an error.
    add_header Cache-Control "max-age=1, stale-if-error={STALE_SECONDS}";
    add_header X-Accel-Expires @$edge_second;
{_origin_tls(tls)}\
{_ask("/", 0, origins)}\
{"".join(_ask(f"@origin{place}", place, origins) for place in range(1, origins))}\
{"".join(_ask(f"@failed{place}", place, origins, failed=True) for place in range(1, origins))}\
    location @nowhere {{ if ($edge_failed) {{ return 503; }} return 410; }}
    location @broken {{ return 503; }}
  }}
"""


_HIDDEN = (
    "Cache-Control",
    "Expires",
    "Pragma",
    "Set-Cookie",
    "Vary",
    "X-Cache",
    "X-Kept",
    "X-Accel-Expires",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
)
"""What an origin says of caching, and what is said here in its place."""


def _ask(where: str, place: int, origins: int, *, failed: bool = False) -> str:
    """One origin, and where to go from there. That one failed is remembered on the way: then a 404 of the others does
    not mean that the object is nowhere.
    """
    last = place == origins - 1
    missing = "@nowhere" if last else f"@{'failed' if failed else 'origin'}{place + 1}"
    broken = "@broken" if last else f"@failed{place + 1}"
    remember = "set $edge_failed 1; " if failed else ""
    return (
        f"    location {where} {{ {remember}proxy_pass $edge_scheme://$edge_origin{place}$request_uri;"
        f" error_page 404 = {missing}; error_page 500 502 503 504 = {broken}; }}\n"
    )


def _origin_tls(tls: OriginTls | None) -> str:
    if tls is None:
        return "    set $edge_scheme http;\n"
    return (
        "    set $edge_scheme https;\n    proxy_ssl_server_name on;\n"
        f"    proxy_ssl_name {tls.name};\n    proxy_ssl_verify on;\n    proxy_ssl_verify_depth 3;\n"
        f"    proxy_ssl_trusted_certificate {tls.authorities};\n"
    )


_STATUS = """\
  server {
    listen 8081;
    location = /ready { return 200 "ready\\n"; }
    location = /status { stub_status; }
  }
"""
