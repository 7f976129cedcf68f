"""A double of SRS, which cannot be installed where tests run: it reads the generated configuration and does what the
table of facts says. A real program replaces it where there is one; until then each fact has a source and a test.
"""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from web import Origin, Reply


@dataclass(frozen=True)
class Fact:
    """What SRS does with one option."""

    option: str
    """Path in the configuration."""
    default: str
    """What holds where the option is not given. Empty: nothing."""
    meaning: str
    since: str
    """First version of SRS that has it, as its documentation says."""
    source: str


CONF = "ossrs/srs, trunk/conf/full.conf (6.0)"
FACTS = {
    one.option: one
    for one in (
        Fact(
            "vhost.hls.hls_ctx",
            "on",
            "a playlist without a session is a master playlist, which names the media playlist with ?hls_ctx=SESSION",
            "5.0",
            f"{CONF}; trunk/conf/hls.origin.conf turns it off for nginx edges",
        ),
        Fact(
            "vhost.hls.hls_ts_ctx",
            "on",
            "each segment in a media playlist bears ?hls_ctx=SESSION",
            "5.0",
            f"{CONF}; trunk/conf/hls.origin.conf turns it off for nginx edges",
        ),
        Fact(
            "vhost.hls.hls_ts_file",
            "[app]/[stream]-[seq].ts",
            "name of a segment; [timestamp] is the Unix time in ms, [seq] counts from 0 after a start",
            "1.0",
            CONF,
        ),
        Fact("vhost.hls.enabled", "off", "whether playlists and segments are written", "1.0", CONF),
        Fact("vhost.hls.hls_fragment", "10", "seconds of a segment", "1.0", CONF),
        Fact("vhost.hls.hls_window", "60", "seconds of a playlist", "1.0", CONF),
        Fact("vhost.hls.hls_dispose", "120", "seconds after a stream's end until its files are removed", "2.0", CONF),
        Fact("vhost.http_hooks.enabled", "off", "whether hooks are asked", "1.0", CONF),
        Fact(
            "vhost.http_hooks.on_publish",
            "",
            "URLs that get a POST with action, app, stream and param; only status 200 with code 0 is a yes",
            "1.0",
            "ossrs/srs wiki, HTTP Callback (v4); param with its leading question mark since 3.0",
        ),
        Fact("vhost.forward.enabled", "off", "whether streams are sent on", "1.0", CONF),
        Fact(
            "vhost.forward.destination",
            "",
            "hosts and ports that get each stream that is published, with name and parameters; tried again every 3 s",
            "1.0",
            "ossrs/srs, trunk/conf/forward.master.conf; SrsForwarder in srs_app_forward.cpp",
        ),
        Fact(
            "vhost.security.enabled",
            "off",
            "whether the lists are heeded; then what no list allows is denied",
            "2.0",
            CONF,
        ),
        Fact("http_api.enabled", "off", "whether the HTTP API listens", "1.0", CONF),
        Fact("http_api.listen", "1985", "[address:]port; without an address, all of them", "3.0", CONF),
        Fact(
            "exporter.enabled",
            "off",
            "whether metrics are served, at /metrics",
            "5.0.86",
            "ossrs.io, Exporter (v5, v6)",
        ),
        Fact("exporter.listen", "9972", "port of the metrics", "5.0.86", "ossrs.io, Exporter (v5, v6)"),
        Fact(
            "force_grace_quit",
            "off",
            "whether SIGTERM waits for the clients, as SIGQUIT does",
            "3.0",
            "ossrs/srs, srs_app_config.cpp (SRS_FORCE_GRACE_QUIT)",
        ),
        Fact(
            "srs_log_level_v2",
            "info",
            "info writes the parameters of each who publishes or plays, keys among them; warn does not",
            "5.0",
            f"{CONF}; srs_trace('client identified, ... param=%s') in srs_app_rtmp_conn.cpp",
        ),
        Fact("grace_start_wait", "2300", "ms from the signal to the closing of the listeners", "3.0", CONF),
        Fact("grace_final_wait", "3200", "ms from the last client's end to the exit", "3.0", CONF),
        Fact("vhost.cluster.mode", "local", "local: takes streams; remote: fetches them from origin", "1.0", CONF),
        Fact("vhost.cluster.origin", "", "hosts and RTMP ports that a remote vhost fetches streams from", "1.0", CONF),
        Fact("vhost.cluster.origin_cluster", "off", "whether origins ask coworkers where a stream lies", "3.0", CONF),
        Fact("vhost.cluster.coworkers", "", "hosts and ports of the other origins' HTTP APIs", "3.0", CONF),
    )
}


def parse(text: str) -> dict[str, Any]:
    """The options of a configuration, by path. A vhost's name is left out. ValueError where it is not well-formed."""
    found: dict[str, Any] = {}
    path: list[str] = []
    words: list[str] = []
    for word in re.findall(r"[{};]|[^\s{};]+", re.sub(r"#.*", "", text)):
        if word == "{":
            path.append(words[0])
        elif word == "}":
            if words or not path:
                raise ValueError(f"unexpected }} after {words}")
            path.pop()
        elif word == ";":
            found.setdefault(".".join([*path, words[0]]), []).append(" ".join(words[1:]))
        else:
            words.append(word)
            continue
        words = []
    if path or words:
        raise ValueError(f"ends within {path} {words}")
    return found


@dataclass
class Stream:
    """One that is published."""

    born: float
    ended: float | None = None


@dataclass
class Srs:
    """One server. ``reach``: other doubles by host and port, for forwards."""

    conf: str
    reach: dict[str, Srs] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=lambda: dict(FACTS))

    def __post_init__(self) -> None:
        self.options = parse(self.conf)
        self.streams: dict[str, Stream] = {}
        self.sessions = itertools.count(1)
        self.started = time.time()
        self.http = Origin(self._answer)

    def close(self) -> None:
        self.http.close()

    def option(self, name: str) -> str:
        """What is set, else SRS's default."""
        return str(self.options.get(name, [self.facts[name].default])[-1])

    def on(self, name: str) -> bool:
        return self.option(name) == "on"

    # ---- publishing

    def publish(self, app: str, stream: str, param: str = "") -> bool:
        """Whether a publisher may send; then its stream is there, and at all forwards."""
        if not (self._listed("publish") and self._asked(app, stream, param)):
            return False
        self.streams[f"{app}/{stream}"] = Stream(time.time())
        if self.on("vhost.forward.enabled"):
            for destination in self.option("vhost.forward.destination").split():
                self.reach[destination].publish(app, stream, param)
        return True

    def unpublish(self, app: str, stream: str) -> None:
        self.streams[f"{app}/{stream}"].ended = time.time()

    def _listed(self, deed: str) -> bool:
        if not self.on("vhost.security.enabled"):
            return True
        return f"{deed} all" in self.options.get("vhost.security.allow", [])

    def _asked(self, app: str, stream: str, param: str) -> bool:
        if not self.on("vhost.http_hooks.enabled"):
            return True
        question = {"action": "on_publish", "app": app, "stream": stream, "param": param}
        return all(_says_yes(url, question) for url in self.option("vhost.http_hooks.on_publish").split())

    # ---- what listens, and how it ends

    def listens(self, part: str) -> str | None:
        """Address and port of the API or the exporter; None where it is off."""
        if not self.on(f"{part}.enabled"):
            return None
        address, _, port = self.option(f"{part}.listen").rpartition(":")
        return f"{address or '0.0.0.0'}:{port}"

    def seconds_to_end(self, *, grace: float) -> float:
        """How long publishers go on after SIGTERM in a pod with a grace period, when none of them leaves."""
        return grace if self.on("force_grace_quit") else 0.0

    # ---- HLS

    def _answer(self, path: str) -> Reply:
        bare, _, query = path.lstrip("/").partition("?")
        if not self.on("vhost.hls.enabled"):
            return Reply(status=404)
        if bare.endswith(".m3u8"):
            name = bare.removesuffix(".m3u8")
            return self._playlist(name, query) if self._is_there(name) else Reply(status=404)
        for name, stream in self.streams.items():
            if self._is_there(name) and bare in self._segments(name, stream).values():
                return Reply(f"{name} of {self.started}: {bare}".encode())
        return Reply(status=404)

    def _is_there(self, name: str) -> bool:
        stream = self.streams.get(name)
        dispose = float(self.option("vhost.hls.hls_dispose"))
        return stream is not None and (stream.ended is None or time.time() - stream.ended < dispose)

    def _playlist(self, name: str, query: str) -> Reply:
        session = re.search(r"hls_ctx=(\w+)", query)
        if self.on("vhost.hls.hls_ctx") and not session:
            master = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/{name}.m3u8?hls_ctx=s{next(self.sessions)}\n"
            return Reply(master.encode())
        suffix = f"?hls_ctx={session[1]}" if session and self.on("vhost.hls.hls_ts_ctx") else ""
        lines = [f"#EXTM3U\n#EXT-X-TARGETDURATION:{self.option('vhost.hls.hls_fragment')}"]
        for segment in self._segments(name, self.streams[name]).values():
            lines.append(f"#EXTINF:{self.option('vhost.hls.hls_fragment')}\n/{segment}{suffix}")
        return Reply("\n".join(lines).encode())

    def _segments(self, name: str, stream: Stream) -> dict[int, str]:
        """Path by sequence number; the first is there at once."""
        fragment = float(self.option("vhost.hls.hls_fragment"))
        most = int(float(self.option("vhost.hls.hls_window")) // fragment)
        last = int(((stream.ended or time.time()) - stream.born) // fragment)
        app, _, alone = name.partition("/")
        made = {}
        for number in range(max(0, last - most + 1), last + 1):
            written = str(int(1000 * (stream.born + number * fragment)))
            values = {"[app]": app, "[stream]": alone, "[seq]": str(number), "[timestamp]": written}
            path = self.option("vhost.hls.hls_ts_file")
            for variable, value in values.items():
                path = path.replace(variable, value)
            made[number] = path
        return made


def _says_yes(url: str, question: dict[str, str]) -> bool:
    body = json.dumps(question).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            said = json.loads(answer.read())
            return answer.status == 200 and (said == 0 or (isinstance(said, dict) and said.get("code") == 0))
    except (urllib.error.URLError, ValueError, OSError):
        return False
