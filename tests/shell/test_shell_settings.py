"""Settings come from the environment, and wrong ones are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.shell.settings import SettingsError, load_settings


def test_an_empty_environment_gives_working_defaults() -> None:
    settings = load_settings({})
    assert (settings.namespaces, settings.beat_seconds, settings.prometheus_url) == (None, 15.0, None)
    assert settings.unknown == ()


def test_every_variable_arrives(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text("{}")
    (tmp_path / "token").write_text("t\n")
    settings = load_settings(
        {
            "TIDEGATE_NAMESPACES": "shop, chat,shop",
            "TIDEGATE_OPERATOR_NAMESPACE": "ops",
            "TIDEGATE_IDENTITY": "pod-1",
            "TIDEGATE_LEASE_NAME": "tidegate-shop",
            "TIDEGATE_API_URL": "http://127.0.0.1:1/",
            "TIDEGATE_PROMETHEUS_URL": "http://p:9090/prefix/",
            "TIDEGATE_PROMETHEUS_CREDENTIALS": str(tmp_path),
            "TIDEGATE_PROMETHEUS_HISTORY_DAYS": "2.5",
            "TIDEGATE_BEAT_SECONDS": "0.5",
            "TIDEGATE_PLAN_CELL_SECONDS": "5",
            "TIDEGATE_PLAN_HORIZON_SECONDS": "3600",
            "TIDEGATE_PLAN_CREATION_RATE": "100",
            "TIDEGATE_PLAN_FAIL_OVER_SECONDS": "0",
            "TIDEGATE_CLOCK_SCHEDULE": str(file),
            "TIDEGATE_STATUS_WRITES_PER_SECOND": "50",
            "TIDEGATE_LISTEN_PROBES": "0",
            "TIDEGATE_LISTEN_METRICS": "9000",
            "TIDEGATE_LISTEN_ADMISSION": "9443",
            "TIDEGATE_ADMISSION_CERTIFICATES": str(tmp_path / "later"),
            "TIDEGATE_LOG_LEVEL": "debug",
        }
    )
    assert settings.namespaces == ("chat", "shop")
    assert settings.identity.startswith("pod-1_")
    assert (settings.operator_namespace, settings.lease_name) == ("ops", "tidegate-shop")
    assert (settings.api_url, settings.prometheus_url) == ("http://127.0.0.1:1", "http://p:9090/prefix")
    assert (settings.prometheus_credentials, settings.prometheus_history_days) == (tmp_path, 2.5)
    plan = settings.plan
    assert (plan.cell, plan.horizon, plan.creation_rate, plan.fail_over) == (5, 3600, 100, 0)
    assert (settings.clock_schedule, settings.status_writes_per_second) == (file, 50)
    assert (settings.listen_probes, settings.listen_metrics) == (0, 9000)
    assert (settings.listen_admission, settings.admission_certificates) == (9443, tmp_path / "later")
    assert settings.log_level == "debug"


def test_two_lives_of_one_pod_are_never_taken_for_one() -> None:
    environment = {"TIDEGATE_IDENTITY": "pod-1"}
    assert load_settings(environment).identity != load_settings(environment).identity


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("TIDEGATE_BEAT_SECONDS", "soon", "seconds above 0"),
        ("TIDEGATE_BEAT_SECONDS", "0", "seconds above 0"),
        ("TIDEGATE_BEAT_SECONDS", "nan", "seconds above 0"),
        ("TIDEGATE_BEAT_SECONDS", "31", "at most 30"),
        ("TIDEGATE_PLAN_HORIZON_SECONDS", "inf", "seconds above 0"),
        ("TIDEGATE_NAMESPACES", "Shop", "names of namespaces"),
        ("TIDEGATE_PROMETHEUS_HISTORY_DAYS", "-1", "days from 0 to 90"),
        ("TIDEGATE_PROMETHEUS_HISTORY_DAYS", "91", "days from 0 to 90"),
        ("TIDEGATE_PROMETHEUS_HISTORY_DAYS", "nan", "days from 0 to 90"),
        ("TIDEGATE_PROMETHEUS_URL", "prometheus:9090", "a URL"),
        ("TIDEGATE_PROMETHEUS_URL", "http://[::1", "a URL"),
        ("TIDEGATE_PROMETHEUS_URL", "http://prometheus:90900", "a URL"),
        ("TIDEGATE_PROMETHEUS_URL", "http://prometheus/?user=x", "a URL"),
        ("TIDEGATE_API_URL", "http://", "a URL"),
        ("TIDEGATE_PROMETHEUS_CREDENTIALS", "/nowhere", "a folder with a file token, tenant or ca.crt"),
        ("TIDEGATE_RECORDED_METRICS", "/nowhere", "a file"),
        ("TIDEGATE_LISTEN_PROBES", "70000", "a port"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(name: str, value: str, want: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_settings({name: value})
    assert name in str(wrong.value)
    assert repr(value) in str(wrong.value)
    assert want in str(wrong.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    recording = tmp_path / "r.csv"
    recording.write_text("time,query,value\n")
    both = {"TIDEGATE_PROMETHEUS_URL": "http://p", "TIDEGATE_RECORDED_METRICS": str(recording)}
    with pytest.raises(SettingsError, match=r"LOG_LEVEL.*exclude each other"):
        load_settings({"TIDEGATE_LOG_LEVEL": "loud", **both})


def test_a_misspelt_variable_is_noticed_and_a_services_is_not() -> None:
    service = {"TIDEGATE_PORT": "tcp://10.0.0.1:80", "TIDEGATE_METRICS_SERVICE_HOST": "10.0.0.1"}
    settings = load_settings({"TIDEGATE_BEATSECONDS": "1", **service})
    assert settings.unknown == ("TIDEGATE_BEATSECONDS",)
