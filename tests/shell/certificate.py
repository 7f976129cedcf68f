"""A certificate that signs itself, for 127.0.0.1: what a webhook's server shows, and what its callers trust."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, *, name: str = "tidegate") -> ssl.SSLContext:
    """Write ``tls.crt`` and ``tls.key`` as a Secret would be mounted; the context of a client that trusts them."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl on PATH")
    folder.mkdir(exist_ok=True)
    key, certificate = folder / "new.key", folder / "new.crt"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=True)
    key.rename(folder / "tls.key")
    certificate.rename(folder / "tls.crt")
    return ssl.create_default_context(cafile=str(folder / "tls.crt"))
