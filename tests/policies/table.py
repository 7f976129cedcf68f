"""All cases."""

from __future__ import annotations

from cases_allowed import SUPPRESSED
from cases_data import DATABASES
from cases_owned import OWNED_PATHS
from cases_scaled import AUTOSCALED, BROKEN
from cases_updates import UPDATES
from cases_workloads import WORKLOADS

CASES = [*OWNED_PATHS, *DATABASES, *WORKLOADS, *AUTOSCALED, *UPDATES, *BROKEN, *SUPPRESSED]
