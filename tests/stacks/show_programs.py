"""Programs of a show: an origin that takes RTMP and writes HLS, an encoder, a DNS server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from lab import PATIENCE, free_ports, kill_with_workers, wait_until

ORIGIN_NAME = "origin.show.test"
SEGMENT_SECONDS = 2
"""As ``live.LiveOrigin`` cuts them."""
INTRO = 20
"""Objects of a recording that is shown before the show."""
RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def missing() -> str:
    """What this machine lacks for a show; empty when it has all."""
    programs = [name for name in ("nginx", "ffmpeg", "dnsmasq", "curl") if not shutil.which(name)]
    if not RTMP_MODULE.exists():
        programs.append("nginx's RTMP module (Debian: libnginx-mod-rtmp)")
    return ", ".join(programs)


class LiveOrigin:
    """nginx that takes RTMP and serves HLS at one address."""

    def __init__(self, address: str, rtmp: int, http: int) -> None:
        self.address, self.rtmp, self.http = address, rtmp, http
        self.folder = Path(tempfile.mkdtemp(prefix="tg-"))
        self.process: subprocess.Popen[bytes] | None = None
        intro = self.folder / "vod/intro"
        intro.mkdir(parents=True)
        for number in range(INTRO):
            (intro / f"{number}.ts").write_bytes(b"x" * 20_000)
        (intro / "index.m3u8").write_text("#EXTM3U\n" + "".join(f"#EXTINF:2,\n{n}.ts\n" for n in range(INTRO)))
        (self.folder / "nginx.conf").write_text(self._conf())

    def _conf(self) -> str:
        user = "" if os.getuid() else "user root;"
        return f"""\
load_module {RTMP_MODULE};
{user} worker_processes 1; daemon off; pid {self.folder}/pid; error_log {self.folder}/errors warn;
events {{ worker_connections 2048; }}
rtmp {{ server {{ listen {self.address}:{self.rtmp}; application live {{
  live on; hls on; hls_path {self.folder}/live; hls_fragment {SEGMENT_SECONDS}s; hls_playlist_length 12s;
  hls_fragment_naming system;
}} }} }}
http {{
  log_format asked '$msec $status $request_uri'; access_log {self.folder}/asked asked;
  client_body_temp_path {self.folder}/t1; proxy_temp_path {self.folder}/t2; fastcgi_temp_path {self.folder}/t3;
  uwsgi_temp_path {self.folder}/t4; scgi_temp_path {self.folder}/t5;
  server {{ listen {self.address}:{self.http}; root {self.folder}; add_header Cache-Control no-cache; }}
}}
"""

    def start(self) -> None:
        """Start it and wait for its answer."""
        self.process = subprocess.Popen(["nginx", "-c", str(self.folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        wait_until(lambda: (self.folder / "pid").exists(), "the origin")

    def kill(self) -> None:
        """Gone at once, its worker with it."""
        if self.process:
            kill_with_workers(self.process)
            self.process = None

    def close(self) -> None:
        """Stop it and remove what it left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def asked(self, since: float = 0.0, until: float = float("inf")) -> list[tuple[int, str]]:
        """Status and path of each request between two instants."""
        place = self.folder / "asked"
        lines = [line.split() for line in place.read_text().splitlines()] if place.exists() else []
        return [(int(status), path) for at, status, path in lines if since <= float(at) < until]


class Dns:
    """dnsmasq that knows one name."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.folder = Path(tempfile.mkdtemp(prefix="tg-"))
        self._hosts = self.folder / "hosts"
        self.process: subprocess.Popen[bytes] | None = None

    def point(self, address: str) -> None:
        """Let the name stand for an address from now on."""
        self._hosts.write_text(f"{address} {ORIGIN_NAME}\n")
        if self.process:
            self.process.send_signal(signal.SIGHUP)
            return
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user="]
        command += [f"--addn-hosts={self._hosts}", "--listen-address=127.0.0.1", "--bind-interfaces", "--local=/test/"]
        command += [f"--port={self.port}", f"--pid-file={self.folder}/pid"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: (self.folder / "pid").exists(), "dnsmasq")

    def close(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)


def publish(origin: LiveOrigin) -> subprocess.Popen[bytes]:
    """ffmpeg sends a small picture and a tone, with a key frame at the beginning of each segment."""
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-re"]
    command += ["-f", "lavfi", "-i", "testsrc=size=160x90:rate=10", "-f", "lavfi", "-i", "sine=sample_rate=44100"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(10 * SEGMENT_SECONDS)]
    command += ["-keyint_min", str(10 * SEGMENT_SECONDS), "-sc_threshold", "0", "-b:v", "60k", "-c:a", "aac"]
    command += ["-b:a", "32k", "-f", "flv", f"rtmp://{origin.address}:{origin.rtmp}/live/room"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
