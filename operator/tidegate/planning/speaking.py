"""Which overrides a plan looks at: those that count, and name something that there is.

A namespace may hold thousands that are over, or that name a policy or a target that is gone. They are looked through
when one of them changes or ends, and not with each plan.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tidegate.planning.model import Key, Policy
from tidegate.planning.override import Override, counted, counts_for_another


@dataclass(slots=True)
class Speaking:
    """The last answer, and how long it is the answer."""

    _given: tuple[Override, ...] = ()
    _policies: Mapping[Key, Policy] | None = None
    _since: float = math.inf
    _until: float = -math.inf
    _found: tuple[Override, ...] = ()

    def of(self, overrides: tuple[Override, ...], policies: Mapping[Key, Policy], now: float) -> tuple[Override, ...]:
        """Those of ``overrides`` that count at an instant and name one of ``policies``, or a target of it. The same
        objects, and none that ends in between, give the same answer at once.
        """
        stands = overrides is self._given and policies is self._policies and self._since <= now < self._until
        if not stands:
            names = {key: {target.name for target in policy.targets} for key, policy in policies.items()}
            named = [one for one in overrides if is_there(one, names)]
            self._given, self._policies, self._found = overrides, policies, counted(named, now)
            self._since, self._until = now, min((counts_for_another(one, now) for one in named), default=math.inf)
        return self._found


def is_there(override: Override, names: Mapping[Key, Collection[str]]) -> bool:
    """Whether what an override names is among these: names of targets by policy."""
    targets = names.get(Key(override.key.namespace, override.policy))
    return targets is not None and (override.target is None or override.target in targets)
