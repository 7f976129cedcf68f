"""The servers of one nginx, as text: what players reach, what remembers playlists, what chooses an origin.

``nginx`` puts them together and says why they are three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate_stacks.nginx_values import (
    BACKLOG,
    CONNECT_SECONDS,
    NEGATIVE_SECONDS,
    PLAYLIST_ARGUMENTS,
    PLAYLISTS,
    SEGMENTS,
    STALE_SECONDS,
    OriginTls,
    Rule,
    Times,
    Tls,
)

_CACHE_STATUS = (
    "map $upstream_cache_status:$upstream_http_x_kept $edge_cache {"
    ' ~:STALE$ STALE; ~^HIT HIT; ~:(?<edge_kept>.+)$ "$edge_kept"; default "$upstream_cache_status"; }'
)
"""``X-Cache``: a playlist that is fetched each second says what the server behind knew of it, STALE above all."""


def maps(times: Times, arguments: Sequence[str], rules: Sequence[Rule], hosts: Sequence[str], tls: Tls | None) -> str:
    """Variables of the front: the second, the path as it was sent, the arguments in one order, own headers."""
    sets = {"playlist": [*PLAYLIST_ARGUMENTS, *arguments], "object": list(arguments)}
    sets |= {f"rule{number}": list(one.arguments) for number, one in enumerate(rules) if one.arguments is not None}
    ages = {"negative": NEGATIVE_SECONDS, "playlist": 1, "segment": times.segment_seconds, "other": times.other_seconds}
    ages |= {f"rule{number}": one.seconds for number, one in enumerate(rules)}
    lines = [
        "map $msec $edge_second { ~^(?<edge_whole>[0-9]+) $edge_whole; }",
        'map $request_uri $edge_path { ~^(?<edge_bare>[^?]*) "$edge_bare"; }',
        _CACHE_STATUS,
        *_argument_maps(sets),
        *(_age_map(kind, seconds) for kind, seconds in ages.items()),
    ]
    if hosts:
        # One line each: nginx takes no word of more than 4,096 characters.
        known = "".join(f'    "~*^{re.escape(one)}$" 1;\n' for one in hosts)
        lines.append(f"map $host $edge_served {{\n    default 0;\n{known}  }}")
    if tls:
        lines += [
            f'map "" $edge_certificate {{ default {tls.certificate}; }}',
            f'map "" $edge_key {{ default {tls.key}; }}',
        ]
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
        f' ~^[34] "public, max-age={min(seconds, NEGATIVE_SECONDS)}"; default "no-store"; }}'
    )


def origin_variables(origins: Sequence[str], *, spread: bool) -> str:
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


def longest_first(rules: Sequence[Rule]) -> list[int]:
    """The order in which rules are tried, as their numbers."""
    return sorted(range(len(rules)), key=lambda number: -len(rules[number].path))


def certificate(tls: Tls | None) -> str:
    """A path in a variable is read at each handshake (nginx 1.15.9 and later): a renewed Secret needs no reload."""
    if tls is None:
        return ""
    return (
        "    ssl_certificate $edge_certificate;\n    ssl_certificate_key $edge_key;\n"
        "    ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_session_cache shared:tls:10m;\n    ssl_session_timeout 1h;\n"
    )


def refusals(hosts: Sequence[str], allow_origin: str) -> str:
    """What never reaches a cache: unknown hosts, and methods that a cache would pass on each time."""
    known = "    if ($edge_served = 0) { return 421; }\n" if hosts else ""
    return (
        f'    add_header Access-Control-Allow-Origin "{allow_origin}" always;\n'
        f"{known}"
        "    if ($request_method = OPTIONS) { return 204; }\n"
        "    if ($request_method !~ ^(GET|HEAD)$) { return 405; }\n"
    )


def negative(allow_origin: str) -> str:
    """What players get in place of an error's page. nginx keeps the error's status: the answer has it, and no body."""
    return f"""\
    location @negative {{
      add_header Cache-Control $edge_age_negative always;
      add_header Access-Control-Allow-Origin "{allow_origin}" always;
      add_header X-Cache $edge_cache always;
      return 200;
    }}
"""


@dataclass(frozen=True, slots=True)
class Front:
    """Locations that are reached from outside."""

    times: Times
    origins: int
    allow_origin: str
    refreshes: bool = False
    """Whether each request fetches anew and replaces what is kept."""

    def locations(self, rules: Sequence[Rule]) -> str:
        """All of them. nginx takes the first expression that fits: a path's rule never makes a playlist old."""
        return "".join(
            [
                self._playlists(),
                *(self._ruled(number, rules[number]) for number in longest_first(rules)),
                self._objects(f"~ {SEGMENTS}", "segment", self.times.segment_seconds),
                self._objects("/", "other", self.times.other_seconds),
            ]
        )

    def _playlists(self) -> str:
        """A new object each second, so that the lock holds the crowd back and nobody gets an old one."""
        return self._location(f"~ {PLAYLISTS}", "playlist", "playlist", "kept", cache="playlists") + (
            '      proxy_cache_key "$host$edge_path$edge_query_playlist $edge_second";\n'
            # Those who wait for the lock look up to half a second after the answer came, and at the same key.
            "      proxy_cache_valid any 10s;\n"
            "    }\n"
        )

    def _objects(self, where: str, kind: str, seconds: int, query: str = "object") -> str:
        """All but playlists. A segment never changes under its name: nobody waits while it is fetched again."""
        valid = f"      proxy_cache_valid 200 {seconds}s;\n" if seconds else ""
        behind = "      proxy_cache_background_update on;\n" if kind == "segment" else ""
        return self._location(where, kind, query, "choice", cache="objects") + (
            f'      proxy_cache_key "$host$edge_path$edge_query_{query}";\n'
            f"{valid}      proxy_cache_valid any {NEGATIVE_SECONDS}s;\n"
            f"{_BYPASS if self.refreshes else _OLD_MEANWHILE + behind}"
            "      proxy_force_ranges on;\n"
            "    }\n"
        )

    def _ruled(self, number: int, rule: Rule) -> str:
        """Objects beneath a path."""
        query = "object" if rule.arguments is None else f"rule{number}"
        return self._objects(f"~ ^{re.escape(rule.path)}", f"rule{number}", rule.seconds, query)

    def _location(self, where: str, kind: str, query: str, then: str, *, cache: str) -> str:
        """What all locations have."""
        chain = self.times.chain(self.origins)
        return f"""\
    location {where} {{
      proxy_pass http://{then}$edge_path$edge_query_{query};
      proxy_read_timeout {chain + 2}s;
      proxy_cache {cache};
{"" if self.refreshes else _lock(chain + 5)}\
      proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires;
      proxy_hide_header Cache-Control;
      proxy_hide_header X-Kept;
      add_header Cache-Control $edge_age_{kind} always;
      add_header Access-Control-Allow-Origin "{self.allow_origin}" always;
      add_header X-Cache $edge_cache always;
"""


def _lock(seconds: int) -> str:
    """The lock outlasts every origin's failure: who waits is never let through beside the request that is under way.
    One more is sent when that has taken longer than all origins together may.
    """
    return f"""\
      proxy_cache_lock on;
      proxy_cache_lock_age {seconds}s;
      proxy_cache_lock_timeout {4 * seconds}s;
      # Errors that are intercepted are remembered without a body, and never served when they are old.
      proxy_intercept_errors on;
      error_page 400 401 403 404 405 429 500 502 503 504 @negative;
      error_page 410 =404 @negative;
"""


_OLD_MEANWHILE = """\
      # One fetches it again after its time; the others get the old one meanwhile, and all do where that fails.
      proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
"""
_BYPASS = """\
      # nginx forgets an intercepted error of a request that bypassed the cache: here an error is an answer like others.
      proxy_cache_bypass 1;
"""


def kept(seconds: int) -> str:
    """The last good playlist. It is asked for once a second, so that it needs no lock."""
    return f"""\
  server {{
    listen unix:/var/cache/edge/kept.sock backlog={BACKLOG};
    location / {{
      proxy_pass http://choice$request_uri;
      proxy_read_timeout {seconds}s;
      proxy_cache kept;
      proxy_cache_key "$host$request_uri";
      add_header X-Kept $upstream_cache_status always;
    }}
  }}
"""


def choice(origins: int, times: Times, tls: OriginTls | None) -> str:
    """Asks the origins in order. 410: none has the object. 444, which hangs up: one that may have it failed."""
    return f"""\
  server {{
    listen unix:/var/cache/edge/choice.sock backlog={BACKLOG};
    set $edge_failed "";
    proxy_connect_timeout {CONNECT_SECONDS}s;
    proxy_read_timeout {times.read_seconds}s;
    proxy_max_temp_file_size 0;
    # A name may have several addresses. One that takes no connection is passed over; a slow one is not asked twice.
    proxy_next_upstream error timeout;
    proxy_next_upstream_tries 2;
    proxy_next_upstream_timeout {2 * CONNECT_SECONDS}s;
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
    location @nowhere {{ if ($edge_failed) {{ return 444; }} return 410; }}
    location @broken {{ return 444; }}
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
