"""What an administrator may set, by environment variables named ``TIDEGATE_*``: read once, at the start.

No variable ends in ``_PORT`` or ``_HOST``: Kubernetes puts such names into every pod, for Services called
``tidegate-…``.
"""

from __future__ import annotations

import math
import os
import re
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tidegate.metrics.credentials import Credentials
from tidegate.planning.model import PlanSettings

PREFIX = "TIDEGATE_"

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod is told its own namespace."""

_SERVICE_LINK = re.compile(r"TIDEGATE_(\w+_)?(SERVICE_\w+|PORT(_\w+)?)")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


MOST_BEAT = 30.0
"""Seconds between two looks that may be asked for: the alert of the chart takes a minute without one for a loop that is
stuck, and the liveness probe three minutes."""
MOST_DAYS = 90.0
"""Days of a signal's past that may be asked for: at 15 s that is half a million values."""


class SettingsError(ValueError):
    """What is wrong with the environment: one sentence a variable, each with what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it."""

    namespaces: tuple[str, ...] | None = None
    """Namespaces that are watched. Empty: the whole cluster, which needs a ClusterRole."""
    operator_namespace: str = "tidegate"
    """Where the Lease, the durable stop and the loans of cluster-scoped targets stand. Default: the pod's own."""
    identity: str = ""
    """Who we are in the Lease. A random part is always added, since a life must never be taken for the one before.
    Default: the host's name."""
    lease_name: str = "tidegate"
    """Two operators of the same scope in one namespace need the same name, of different scopes different ones."""
    api_url: str | None = None
    """A plain URL of the API server, without credentials (the embedded one). Default: KUBECONFIG, else the pod's
    account."""
    prometheus_url: str | None = None
    """Where signals are measured. Default: nowhere, so that every plan rests on announcements alone."""
    prometheus_credentials: Path | None = None
    """A folder with any of the files ``token`` (bearer token), ``tenant`` (sent as X-Scope-OrgID) and ``ca.crt`` (who
    signed the server's certificate): a mounted Secret. They are read anew for each query. Default: none is sent."""
    prometheus_history_days: float = 14.0
    """Days before a signal is followed (``live``) from which its growth is learned, by range queries in the background;
    0: none, and only what is read from now on teaches. More than 14 count for little."""
    recorded_metrics: Path | None = None
    """A recording to read signals from instead, for demonstrations."""
    queries: str | None = None
    """What the queries of policies may read: ``namespaced`` (the numbers of their own namespace) or ``free``. Default:
    namespaced for the whole cluster, free for some namespaces, where the administrator of them wrote both."""
    beat_seconds: float = 15.0
    """Seconds between two looks when nothing is due: one Prometheus scrape interval, and what one cell of the demand
    grid is long."""
    plan: PlanSettings = field(default_factory=PlanSettings)
    """Constants of the planner; cell, horizon, creation rate and fail-over may be set."""
    clock_schedule: Path | None = None
    """A schedule for a sped-up clock, for demonstrations; the Lease stays on the real one. Default: the real clock."""
    status_writes_per_second: float = 20.0
    """What a stock controller is allowed; the API server took 270 a second on two cores."""
    # Not by variables: nobody has needed others yet.
    look_slots: int = 32
    """Targets that are looked at at a time. At 10 ms a request that is 3,000 a second, far more than any cluster has;
    the number is for those that hang: a namespace holds an eighth, so that eight hang without anybody's notice."""
    signal_slots: int = 16
    """Signals that are read at a time: what Prometheus runs by default is 20 queries, and others ask it too."""
    write_slots: int = 32
    """Targets that are written at a time: 2,000 floors due at one instant take 6 s at 100 ms a write, and the API
    server's own limit for one client is usually higher."""
    pool_slots: int = 2
    """Pools that are looked at at a time: each look lists all pods of the pool's nodes, which costs the API server more
    than a thousand other requests."""
    listen_probes: int = 8080
    """Port of /healthz and /readyz; 0 takes any free one."""
    admission_certificates: Path | None = None
    """A folder with ``tls.crt`` and ``tls.key``: with it the operator answers an API server that asks whether an object
    is valid before it stores it. The files may come later, and are read again when they change. Default: nobody asks.
    """
    listen_admission: int = 9443
    """Port on which the API server asks about objects; 0 takes any free one."""
    listen_metrics: int = 8081
    """Port of /metrics; the same as the probes' puts all on one."""
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""
    unknown: tuple[str, ...] = field(default=(), compare=False)
    """Variables of our prefix that mean nothing: worth a warning, for they are probably misspelt."""

    @property
    def confine_queries(self) -> bool:
        """Whether a policy's queries may read its own namespace alone."""
        return self.queries == "namespaced" or (self.queries is None and self.namespaces is None)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read them, from the process's environment by default.

    SettingsError names every variable that is wrong, not only the first.
    """
    return _read(os.environ if environment is None else environment)


def _read(environment: Mapping[str, str]) -> Settings:
    found: dict[str, object] = {}
    plan: dict[str, float] = {}
    wrong: list[str] = []
    for name, (target, parse, wanted) in sorted(_VARIABLES.items()):
        text = environment.get(name, "").strip()
        if not text:
            continue
        try:
            value = parse(text)
        except ValueError:
            wrong.append(f"{name} is {text!r}; wanted: {wanted}")
            continue
        if target.startswith("plan."):
            plan[target.removeprefix("plan.")] = float(str(value))
        else:
            found[target] = value
    if "prometheus_url" in found and "recorded_metrics" in found:
        wrong.append("TIDEGATE_PROMETHEUS_URL and TIDEGATE_RECORDED_METRICS exclude each other; unset one")
    if "prometheus_credentials" in found and "prometheus_url" not in found:
        wrong.append("TIDEGATE_PROMETHEUS_CREDENTIALS is of no use without TIDEGATE_PROMETHEUS_URL; set both")
    if wrong:
        raise SettingsError("; ".join(wrong))
    found.setdefault("operator_namespace", _own_namespace())
    found["identity"] = f"{found.get('identity') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    found["unknown"] = _unknown(environment)
    return Settings(plan=PlanSettings(**plan), **found)  # type: ignore[arg-type]


def _unknown(environment: Mapping[str, str]) -> tuple[str, ...]:
    ours = (name for name in environment if name.startswith(PREFIX) and name not in _VARIABLES)
    return tuple(sorted(name for name in ours if not _SERVICE_LINK.fullmatch(name)))


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip() or "tidegate"
    except OSError:
        return "tidegate"


def watches_whole_cluster(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the operator is for the whole cluster: known before anything else is."""
    return not environ.get("TIDEGATE_NAMESPACES", "").strip()


def serves_admission(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether API servers may ask about objects: known before anything else is."""
    return bool(environ.get("TIDEGATE_ADMISSION_CERTIFICATES", "").strip())


def _namespaces(text: str) -> tuple[str, ...]:
    return tuple(sorted({_namespace(part.strip()) for part in text.split(",") if part.strip()}))


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError(text)
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)  # ValueError for a bracket that does not close, and below for a port that is none
    whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    if not whole or re.search(r"[\s?#]", text):
        raise ValueError(text)
    return text.rstrip("/")


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError(text)
    return path


def _credentials(text: str) -> Path:
    path = Path(text)
    Credentials(path).check()
    return path


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise ValueError(text)
    return port


def _above(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not (value > least and math.isfinite(value)):
            raise ValueError(text)
        return value

    return parse


def _at_least_zero(text: str) -> float:
    value = float(text)
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(text)
    return value


def _beat(text: str) -> float:
    value = _above(0)(text)
    if value > MOST_BEAT:
        raise ValueError(text)
    return value


def _days(text: str) -> float:
    value = _at_least_zero(text)
    if value > MOST_DAYS:
        raise ValueError(text)
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return parse


_VARIABLES: dict[str, tuple[str, Callable[[str], object], str]] = {
    "TIDEGATE_ADMISSION_CERTIFICATES": (
        "admission_certificates",
        Path,
        "a folder with tls.crt and tls.key",
    ),
    "TIDEGATE_API_URL": ("api_url", _url, "a URL such as http://127.0.0.1:8080"),
    "TIDEGATE_BEAT_SECONDS": ("beat_seconds", _beat, "seconds above 0 and at most 30, such as 15"),
    "TIDEGATE_CLOCK_SCHEDULE": ("clock_schedule", _file, "a file with a clock schedule"),
    "TIDEGATE_IDENTITY": ("identity", str, "a name"),
    "TIDEGATE_LEASE_NAME": ("lease_name", _namespace, "a name of lower-case letters, digits and dashes"),
    "TIDEGATE_LISTEN_ADMISSION": ("listen_admission", _port, "a port from 0 to 65535"),
    "TIDEGATE_LISTEN_METRICS": ("listen_metrics", _port, "a port from 0 to 65535"),
    "TIDEGATE_LISTEN_PROBES": ("listen_probes", _port, "a port from 0 to 65535"),
    "TIDEGATE_LOG_LEVEL": (
        "log_level",
        _one_of("debug", "info", "warning", "error"),
        "debug, info, warning or error",
    ),
    "TIDEGATE_NAMESPACES": ("namespaces", _namespaces, "names of namespaces, separated by commas; none for all"),
    "TIDEGATE_OPERATOR_NAMESPACE": ("operator_namespace", _namespace, "the name of a namespace"),
    "TIDEGATE_PLAN_CELL_SECONDS": ("plan.cell", _above(0), "seconds above 0, such as 15"),
    "TIDEGATE_PLAN_CREATION_RATE": ("plan.creation_rate", _above(0), "pods per second above 0, such as 20"),
    "TIDEGATE_PLAN_FAIL_OVER_SECONDS": ("plan.fail_over", _at_least_zero, "seconds of 0 or more, such as 15"),
    "TIDEGATE_PLAN_HORIZON_SECONDS": ("plan.horizon", _above(0), "seconds above 0, such as 86400"),
    "TIDEGATE_PROMETHEUS_CREDENTIALS": (
        "prometheus_credentials",
        _credentials,
        "a folder with a file token, tenant or ca.crt: one word of printable ASCII in each of the first two",
    ),
    "TIDEGATE_PROMETHEUS_HISTORY_DAYS": ("prometheus_history_days", _days, "days from 0 to 90, such as 14"),
    "TIDEGATE_PROMETHEUS_URL": ("prometheus_url", _url, "a URL such as http://prometheus.monitoring:9090"),
    "TIDEGATE_QUERIES": ("queries", _one_of("free", "namespaced"), "free or namespaced"),
    "TIDEGATE_RECORDED_METRICS": ("recorded_metrics", _file, "a file with a recording"),
    "TIDEGATE_STATUS_WRITES_PER_SECOND": ("status_writes_per_second", _above(0), "a number above 0, such as 20"),
}
"""Variable → (field, how it is read, what would be right), sorted by name."""
