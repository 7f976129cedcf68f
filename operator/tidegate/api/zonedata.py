"""Which time zone database is used: the newest of the operating system's and the one that is installed with us.

Countries change their clocks at short notice. A database that is a release older puts an announced start an hour away
from where people will see it, so the older one is never used, and the one that is used is named.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import tzdata

_RELEASE = re.compile(r"\d{4}[a-z]{1,2}")


@dataclass(frozen=True, slots=True)
class ZoneData:
    """A release of the IANA time zone database."""

    version: str
    """As IANA names it: ``2026f``; ``unknown`` where the system does not say."""
    source: str
    """``system`` or ``package``."""

    def __str__(self) -> str:
        return f"{self.version} ({self.source})"


@lru_cache(maxsize=1)
def zone_data() -> ZoneData:
    """The database that is used from now on. To be called before the first zone is looked up."""
    used = newest(system_version(zoneinfo.TZPATH), tzdata.IANA_VERSION)
    if used.source == "package":
        zoneinfo.reset_tzpath(to=())
        zoneinfo.ZoneInfo.clear_cache()
    return used


def newest(system: str | None, package: str) -> ZoneData:
    """The newer of two releases; the package's when the system has none, or does not say which."""
    if system is None or _order(system) < _order(package):
        return ZoneData(package, "package")
    return ZoneData(system, "system")


def system_version(folders: tuple[str, ...]) -> str | None:
    """The release in the folders that are looked in for zones, in their order; None: there is none, or it is not said.

    The first folder that has zones counts: each zone is read from there.
    """
    for folder in map(Path, folders):
        if not (folder / "UTC").exists() and not (folder / "Etc" / "UTC").exists():
            continue
        found = [_first_line(folder / name) for name in ("tzdata.zi", "+VERSION")]
        return max((release for line in found for release in _RELEASE.findall(line)), key=_order, default=None)
    return None


def _order(release: str) -> tuple[str, int, str]:
    """2025b is after 2025a, 2025aa after 2025z."""
    return release[:4], len(release), release


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(200)
    except OSError:
        return ""
