"""The newest time zone database is used, and named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tzdata

from tidegate.api.zonedata import ZoneData, newest, system_version, zone_data


@pytest.mark.parametrize(
    ("system", "package", "used"),
    [
        ("2025b", "2026f", ZoneData("2026f", "package")),
        ("2026g", "2026f", ZoneData("2026g", "system")),
        ("2026f", "2026f", ZoneData("2026f", "system")),
        ("2026z", "2026aa", ZoneData("2026aa", "package")),
        ("2027a", "2026z", ZoneData("2027a", "system")),
        (None, "2026f", ZoneData("2026f", "package")),
    ],
)
def test_the_newest_release_is_used_and_of_an_unknown_one_the_pinned(
    system: str | None, package: str, used: ZoneData
) -> None:
    assert newest(system, package) == used


def zones(folder: Path, **files: str) -> str:
    folder.mkdir()
    (folder / "UTC").write_bytes(b"TZif")
    for name, text in files.items():
        (folder / {"zi": "tzdata.zi", "version": "+VERSION"}[name]).write_text(text)
    return str(folder)


def test_the_systems_release_is_read_where_zones_are_read_from(tmp_path: Path) -> None:
    first = zones(tmp_path / "a", zi="# version 2025b\n# This zic input file\n")
    second = zones(tmp_path / "b", version="2026a\n")
    assert system_version((str(tmp_path / "none"), first, second)) == "2025b"
    assert system_version((second, first)) == "2026a"
    assert system_version((zones(tmp_path / "silent"), first)) is None
    assert system_version((str(tmp_path / "none"),)) is None


SHOW = """
from datetime import datetime
from tidegate.api.walltime import find_zone, to_instant
from tidegate.api.zonedata import zone_data
zone = find_zone("America/Vancouver")
print(zone_data(), zone.utcoffset(datetime(2026, 12, 4, 20)).total_seconds() / 3600)
"""


def test_a_systems_older_database_moves_no_show(tmp_path: Path) -> None:
    """Whoever announces a show in Vancouver in December 2026 means the clocks that people will have there."""
    old = Path(zones(tmp_path / "old", zi="# version 2020a\n"))
    (old / "America").mkdir()
    utc = Path(tzdata.__file__).parent / "zoneinfo" / "UTC"
    (old / "America" / "Vancouver").write_bytes(utc.read_bytes())
    answer = subprocess.run(
        [sys.executable, "-c", SHOW], env={"PYTHONTZPATH": str(old), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert answer == f"{tzdata.IANA_VERSION} (package) -7.0\n"


def test_what_is_used_is_named() -> None:
    assert str(zone_data()) in (f"{tzdata.IANA_VERSION} (package)", f"{zone_data().version} (system)")
