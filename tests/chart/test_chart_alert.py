"""The chart's alerts, in a real Prometheus: nobody leads or the loop is stuck, or a namespace refuses the operator."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import yaml
from helm_chart import NAMESPACE, Json, of_kind, one, render
from prometheus_client import make_wsgi_app

from tidegate.shell.own_metrics import OwnMetrics

OURS = f'{{namespace="{NAMESPACE}", job="tidegate-metrics", instance="%s"}}'


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (Debian: prometheus)")
    return found


def rule(folder: Path) -> Json:
    """The rule groups as the chart renders them."""
    asked = {"enabled": True, "additionalLabels": {"release": "x"}}
    made = one(render(folder, prometheusRule=asked, serviceMonitor={"enabled": True}), "PrometheusRule")
    assert made["metadata"]["labels"]["release"] == "x"
    spec: Json = made["spec"]
    return spec


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    assert of_kind(render(tmp_path), "PrometheusRule") == []


SERIES = {
    "one leads": ({"a": ("1x20", "3x20"), "b": ("0x20", "900x20")}, False),
    "nobody leads": ({"a": ("1x4 0x16", "3x20"), "b": ("0x20", "3x20")}, True),
    "nobody is there": ({}, True),
    "the process is gone": ({"a": ("1x4 stale", "3x4 stale")}, True),
    "the leader's loop is stuck": ({"a": ("1x20", "3 3 30 90 150 210 270 330 390 450 510 570 630")}, True),
    "a loop was stuck for a moment": ({"a": ("1x20", "3 3 30 62 3x16")}, False),
    "another took over within a minute": ({"a": ("1x4 0x16", "3x20"), "b": ("0x5 1x15", "3x20")}, False),
    "another Tidegate leads elsewhere": ({"elsewhere": ("1x20", "3x20")}, True),
}


@pytest.mark.parametrize("what", SERIES)
def test_it_fires_when_nobody_acts_and_only_then(what: str, tmp_path: Path) -> None:
    pods, fires = SERIES[what]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule(tmp_path)), encoding="utf-8")
    series = []
    for name, (leader, age) in pods.items():
        labels = OURS % name if name != "elsewhere" else '{namespace="else", job="tidegate-metrics", instance="x"}'
        series.append({"series": f"tidegate_leader{labels}", "values": leader})
        series.append({"series": f"tidegate_decision_age_seconds{labels}", "values": age})
    labels = '{alertname="TidegateNobodyActs", alertstate="firing", severity="critical"}'
    told(tmp_path, series, "TidegateNobodyActs", "6m", [labels] if fires else [])


@pytest.mark.parametrize(("leads", "refuses", "fires"), [(1, 1, True), (1, 0, False), (0, 1, False)])
def test_it_tells_of_a_namespace_that_refuses_the_leader(leads: int, refuses: int, fires: bool, tmp_path: Path) -> None:
    """Who does not lead writes nowhere anyway."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule(tmp_path)), encoding="utf-8")
    labels = OURS % "a"
    series = [{"series": f"tidegate_leader{labels}", "values": f"{leads}x20"}]
    if refuses:
        unheard = labels.replace("{", '{exported_namespace="gone", ')
        series.append({"series": f"tidegate_unheard{unheard}", "values": "1x20"})
    name = "TidegateNamespaceRefuses"
    wanted = f'{{alertname="{name}", alertstate="firing", exported_namespace="gone", severity="warning"}}'
    told(tmp_path, series, name, "7m", [wanted] if fires else [])


def told(folder: Path, series: list[Json], name: str, at: str, wanted: list[str]) -> None:
    """Promtool says that exactly these alerts of a name fire at an instant."""
    expr, found = f'ALERTS{{alertname="{name}", alertstate="firing"}}', [f"ALERTS{one}" for one in wanted]
    samples = [{"labels": one, "value": 1} for one in found]
    asked = [{"expr": expr, "eval_time": at, "exp_samples": samples}]
    played = {"interval": "30s", "input_series": series, "alert_rule_test": [], "promql_expr_test": asked}
    test: dict[str, Any] = {"rule_files": ["rules.yaml"], "evaluation_interval": "15s", "tests": [played]}
    (folder / "test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def exposed(metrics: OwnMetrics) -> Iterator[int]:
    """Metrics on a port of their own."""
    server = make_server("127.0.0.1", 0, make_wsgi_app(metrics.registry), handler_class=Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def firing(port: int) -> list[str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
            return [one["state"] for one in json.load(answer)["data"]["alerts"]]
    except OSError:
        return []


def until(port: int, wanted: list[str]) -> None:
    end = time.monotonic() + 60.0
    while firing(port) != wanted:
        assert time.monotonic() < end, f"{firing(port)}, not {wanted}"
        time.sleep(0.2)


def test_a_real_prometheus_fires_it_when_the_operators_process_is_gone_and_rests_when_it_is_back(
    tmp_path: Path,
) -> None:
    """The operator's own registry is scraped; the rule is the chart's, with a shorter patience."""
    prometheus, groups = program("prometheus"), rule(tmp_path)
    groups["groups"][0]["rules"][0]["for"] = "2s"
    groups["groups"][0]["interval"] = "1s"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    metrics = OwnMetrics()
    metrics.leader(lambda: True)
    metrics.decision_age(lambda: 2.0)
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with exposed(metrics) as first:
        scraped = {"targets": [f"127.0.0.1:{first}"], "labels": {"namespace": NAMESPACE}}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "tidegate-metrics", "static_configs": [scraped]}],
        }
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        words = ["--config.file=prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [prometheus, *words, f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path, stdout=log, stderr=log
            )
        try:
            query = f"http://127.0.0.1:{port}/api/v1/query?query=tidegate_leader"
            end = time.monotonic() + 60.0
            while time.monotonic() < end:
                try:
                    with urllib.request.urlopen(query, timeout=5) as answer:
                        if json.load(answer)["data"]["result"]:
                            break
                except OSError:
                    pass
                time.sleep(0.2)
            until(port, [])
            metrics.leader(lambda: False)
            until(port, ["firing"])
            metrics.leader(lambda: True)
            until(port, [])
            metrics.decision_age(lambda: 61.0)
            until(port, ["firing"])
            metrics.decision_age(lambda: 1.0)
            until(port, [])
        except BaseException:
            process.kill()
            raise
    try:
        until(port, ["firing"])
    finally:
        process.kill()
        process.wait()
