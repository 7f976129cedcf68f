"""Decisions that still stand: what one policy's targets were told is not worked out again because another one changed.

A policy is decided anew when anything that its decision rests on has changed, when time alone makes one of its steps
due, and after ``STANDS`` seconds. The queues that all share are part of that, later: a change of them counts after
``QUEUES`` seconds. So a namespace costs what it changes itself, and whoever changes much makes nobody else wait.

Of what changed, one plan decides a share of each namespace; the rest keeps its last decision until its namespace has
its next turn, a second later. A step that time makes due, and a target that is new, never waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.planning.decision import Step, TargetPlan, Verdict
from tidegate.planning.model import Key

STANDS = 15.0
"""Seconds for which a decision may stand: a beat."""
QUEUES = 3.0
"""Seconds after which a change of the shared queues counts: the reaction time that each lead holds."""
SHARE = 128
"""Targets of one namespace that a plan decides anew because they changed: some 20 ms, and twice as many as a policy may
have. One policy is decided in any case."""
PARTS = 8
"""In so many plans all decisions are renewed whose time is over, so that no plan renews all of them."""
SOON = 1.0
"""Seconds after which those are decided that had to wait, and before which no more of their namespace's are: a plan
that is made for a neighbour takes none of them along. The thousand targets that a namespace may have take 8 s."""
PACE = 1.0
"""Seconds at least until a plan is made only because the time of a decision is over."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that the decisions on a policy rest on, beside the instant."""

    targets: tuple[str, ...]
    """Their names."""
    of: tuple[object, ...]
    """Compared by value."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was decided for one policy."""

    inputs: Inputs
    queues: object
    """Which state of the shared queues it was decided with."""
    at: float
    plans: Mapping[str, TargetPlan]
    """By the target's name."""
    steps: Sequence[tuple[int, Step]]
    """With their stages."""
    verdicts: Mapping[Key, Verdict]

    @property
    def next_at(self) -> float:
        """When time alone makes a step due; infinite when nothing is known to come."""
        times = [one.next_at for one in self.plans.values() if one.next_at is not None]
        return min(times, default=math.inf)


@dataclass(slots=True)
class Decisions:
    """The decisions of the last plans, by policy."""

    again_at: float = math.inf
    """When a plan is to be made though nothing changes: some decisions had to wait, or their time will be over."""
    outdated: frozenset[Key] = frozenset()
    """Of the policies whose last decision counts those of which something has changed: no step of theirs is taken."""
    _of: dict[Key, Standing] = field(default_factory=dict)
    _moved: dict[Key, float] = field(default_factory=dict)
    """Since when the queues are others than a policy was decided with."""
    _turns: dict[str, float] = field(default_factory=dict)
    """When those of each namespace are decided that had to wait."""

    def __getitem__(self, key: Key) -> Standing:
        return self._of[key]

    def put(self, key: Key, standing: Standing) -> None:
        """A policy was decided."""
        self._of[key] = standing
        self._moved.pop(key, None)

    def standing(
        self,
        inputs: Mapping[Key, Inputs],
        queues: object,
        now: float,
        *,
        stands: float,
        only: frozenset[str] | None = None,
    ) -> frozenset[Key]:
        """The policies whose last decision counts, of all that there are; others are to be decided.

        ``stands`` seconds bound how old it may be; 0: none counts. ``only``: the plan is made for these namespaces
        alone; what changed elsewhere waits, and whatever is renewed only because its time is over.
        """
        self._of = {key: one for key, one in self._of.items() if key in inputs}
        self._moved = {key: at for key, at in self._moved.items() if key in inputs}
        self.again_at, self.outdated = math.inf, frozenset()
        moved, over, kept = list[tuple[float, Key]](), list[tuple[float, Key]](), set[Key]()
        for key, mine in inputs.items():
            known = self._of.get(key)
            if known is None or known.next_at <= now or known.at > now or known.inputs.targets != mine.targets:
                continue
            ends = known.at + stands
            if known.queues != queues:
                ends = min(ends, self._moved.setdefault(key, now) + QUEUES)
            if known.inputs.of != mine.of:
                moved.append((known.at, key))
            elif ends <= now:
                over.append((known.at, key))
            else:
                kept.add(key)
                self.again_at = min(self.again_at, max(ends, now + PACE))
        if stands > 0:
            sizes = {key: len(mine.targets) for key, mine in inputs.items()}
            self.outdated = frozenset(self._left_of_each(moved, sizes, now, only))
            kept |= self.outdated
            share = max(SHARE, sum(sizes.values()) // PARTS)
            put_off = [key for _, key in over] if only is not None else list(self._left(over, sizes, share=share))
            kept.update(put_off)
            self.again_at = min(self.again_at, now + SOON) if put_off else self.again_at
        return frozenset(kept)

    def _left_of_each(
        self, moved: list[tuple[float, Key]], sizes: Mapping[Key, int], now: float, only: frozenset[str] | None
    ) -> Iterator[Key]:
        """Those of policies that changed which are left for a later plan: of each namespace all but a share."""
        by_namespace: dict[str, list[tuple[float, Key]]] = {}
        for one in moved:
            by_namespace.setdefault(one[1].namespace, []).append(one)
        turns, self._turns = self._turns, {}
        for namespace, found in by_namespace.items():
            turn = turns.get(namespace, now)
            if turn > now or (only is not None and namespace not in only):
                left, self._turns[namespace] = [key for _, key in found], turn
            elif left := list(self._left(found, sizes, share=SHARE)):
                self._turns[namespace] = now + SOON
            yield from left
        self.again_at = min([self.again_at, *(turn for turn in self._turns.values() if turn > now)])

    def _left(self, found: list[tuple[float, Key]], sizes: Mapping[Key, int], *, share: int) -> Iterator[Key]:
        """Those of policies to decide that are left for the next plan: the oldest decisions go first."""
        taken = 0
        for _, key in sorted(found):
            if taken and taken + sizes[key] > share:
                yield key
            else:
                taken += sizes[key]
