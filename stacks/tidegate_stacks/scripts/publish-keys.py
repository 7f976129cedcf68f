"""Says to SRS whether somebody may publish: HTTP hook ``on_publish``, beside each origin, on loopback.

A stream may be published by who knows its key: rtmp://HOST/APP/STREAM?key=KEY. The folder holds a file for each stream,
named APP.STREAM or STREAM, or one named APP._ for all other streams of an app, with the key in it. It is a mounted
Secret, so that changes need no restart.
Usage: publish-keys.py FOLDER PORT
"""

import hmac
import json
import pathlib
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

MOST = 64 * 1024
"""Longest question, in bytes. SRS sends a few hundred."""


def sent_keys(param: str) -> "list[str]":
    """The key of a question as it was sent, and with its percent signs read. Encoders send what somebody typed, and a
    key made by base64 holds signs that a form would read as others: + is no space here.
    """
    for part in param.lstrip("?").split("&"):
        name, _, value = part.partition("=")
        if name == "key":
            return [value, unquote(value)]
    return []


def may_publish(folder: pathlib.Path, question: "dict[str, object]") -> bool:
    """Whether the key that was sent is the stream's. A stream without a key is published by nobody."""
    app, stream = str(question.get("app", "")), str(question.get("stream", ""))
    sent = sent_keys(str(question.get("param", "")))
    for name in (f"{app}.{stream}", stream, f"{app}._"):
        if stream and "/" not in stream + name and not name.startswith("."):
            file = folder / name
            if file.is_file():
                key = file.read_text(encoding="utf-8").strip()
                return bool(key) and any(hmac.compare_digest(key.encode(), one.encode()) for one in sent)
    return False


class Hook(BaseHTTPRequestHandler):
    """One question of SRS. It takes {"code": 0} with status 200 for yes, and everything else for no."""

    folder: pathlib.Path

    def do_POST(self) -> None:
        """Answer in both ways that SRS reads: the status and the code."""
        try:
            length = int(self.headers.get("Content-Length", "0"))
            question = json.loads(self.rfile.read(length)) if 0 < length <= MOST else {}
            allowed = isinstance(question, dict) and may_publish(self.folder, question)
        except (ValueError, OSError):
            allowed = False
        body = json.dumps({"code": 0 if allowed else 1}).encode()
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """It lives."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keys are not written to a log."""


class Server(ThreadingHTTPServer):
    """Listens on IPv4, and on IPv6 where the kernel has it: the kubelet asks at the pod's address."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """An IPv6 socket is opened for both."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


if __name__ == "__main__":
    Hook.folder = pathlib.Path(sys.argv[1])
    Server(("", int(sys.argv[2])), Hook).serve_forever()
