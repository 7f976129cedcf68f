"""Who we are for Prometheus: files of a mounted Secret, read anew for each request, since Secrets are rotated.

No error of this module repeats what stands in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TOKEN, TENANT, CA = "token", "tenant", "ca.crt"
"""A bearer token; the tenant of Mimir, Cortex or Thanos; PEM certificates of who signed the server's own."""

TENANT_HEADER = "X-Scope-OrgID"

_WORD = re.compile(r"[\x21-\x7e]+")
MOST_BYTES = 65_536
"""Of one file."""


class CredentialsError(ValueError):
    """A file that cannot be used; the message names the file and says what would be right."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files in a folder; each of them may be absent."""

    folder: Path

    def headers(self) -> Mapping[str, str]:
        """Headers of a request. CredentialsError for a file that no header can hold."""
        found: dict[str, str] = {}
        token, tenant = self._word(TOKEN), self._word(TENANT)
        if token is not None:
            found["Authorization"] = f"Bearer {token}"
        if tenant is not None:
            found[TENANT_HEADER] = tenant
        return found

    def verify(self) -> str | bool:
        """Certificates that a server may be signed by: a file, or True for those that the system knows."""
        path = self.folder / CA
        return str(path) if path.is_file() else True

    def check(self) -> None:
        """CredentialsError when the folder has none of the files, or one that cannot be used."""
        if not any((self.folder / name).is_file() for name in (TOKEN, TENANT, CA)):
            raise CredentialsError(f"{self.folder} has none of the files {TOKEN}, {TENANT} and {CA}")
        self.headers()

    def _word(self, name: str) -> str | None:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                text = file.read(MOST_BYTES).decode("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"{path} cannot be read as a line of ASCII: {type(error).__name__}") from None
        if not _WORD.fullmatch(text):
            raise CredentialsError(f"{path} must hold one word of printable ASCII, without spaces")
        return text
