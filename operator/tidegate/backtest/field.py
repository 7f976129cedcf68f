"""Who plays: every contestant by name and setting, and how it is made for a case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tidegate.backtest import rivals
from tidegate.backtest.case import Case
from tidegate.backtest.contest import Contestant, Score, Track, play, score
from tidegate.backtest.lessons import Lesson
from tidegate.backtest.operator import Operator
from tidegate.backtest.variants import VARIANTS, Variant

Make = Callable[[Case, float], Contestant]

RIVALS: dict[str, tuple[Make, tuple[float, ...]]] = {
    "hpa": (rivals.hpa, (70.0, 80.0, 90.0)),
    "hpa-static": (rivals.hpa_static, (0.5, 0.25, 0.75)),
    "always-on": (lambda case, headroom: rivals.AlwaysOn(case, headroom=headroom), (0.0, 0.2)),
    "keda-cron": (rivals.keda_cron, (0.0, 0.1, 0.2)),
    "scaling-schedule": (rivals.zalando, (0.0, 0.1, 0.2)),
    "human": (rivals.human, (0.0, 0.1, 0.2)),
    "periodic": (rivals.forecaster, (0.95, 0.5, 0.8)),
}
"""By name: how it is made, and the settings that are swept. The first is what its documentation advises; of the HPA,
whose documentation advises no target, all three are played in every table."""
UNANNOUNCED = frozenset({"hpa", "periodic"})
"""Those that nobody tells of events: a wrong announcement changes nothing for them."""


@dataclass(frozen=True)
class Entry:
    """One contestant with one setting. Small, so that it can be sent to another process."""

    policy: str
    setting: float
    variant: Variant | None = None
    """Tidegate's set-up; None: a rival."""

    @property
    def announced(self) -> bool:
        """Whether announcements matter to it."""
        return self.policy not in UNANNOUNCED

    @property
    def played_as(self) -> str:
        """Its name in the table of results. With the setting in it where each setting plays in every table."""
        if self.variant is not None:
            return self.variant.played_as
        return f"hpa-{self.setting:g}" if self.policy == "hpa" else self.policy

    @property
    def learns(self) -> bool:
        """Whether what was before the play makes a difference to it that outlives a restart."""
        return self.variant is not None and self.variant.follows


def entries(names: Iterable[str] | None = None, *, sweep: bool, variants: Iterable[Variant] = VARIANTS) -> list[Entry]:
    """Contestants to play; ``names`` None: all. With ``sweep`` every setting, else what each is advised to have."""
    wanted = None if names is None else set(names)
    known = {one.name for one in variants} | RIVALS.keys()
    if wanted is not None and wanted - known:
        raise ValueError(
            f"no contestant is called {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}"
        )
    found = []
    for variant in variants:
        if wanted is None or variant.name in wanted:
            settings = variant.headrooms if sweep else variant.headrooms[:1]
            found += [Entry(variant.name, headroom, variant) for headroom in settings]
    for name, (_, settings) in RIVALS.items():
        if wanted is None or name in wanted:
            found += [Entry(name, setting) for setting in (settings if sweep or name == "hpa" else settings[:1])]
    return found


def made(case: Case, entry: Entry, lesson: Lesson | None = None) -> Contestant:
    """The contestant of an entry, with what it has learned from earlier editions."""
    if entry.variant is not None:
        return Operator(case, entry.variant, entry.setting, lesson=lesson)
    make, _ = RIVALS[entry.policy]
    return make(case, entry.setting)


def played(case: Case, entry: Entry, lesson: Lesson | None = None) -> tuple[Score, Track]:
    """Play an entry and score it."""
    contestant = made(case, entry, lesson)
    try:
        track = play(case, contestant)
    finally:
        if isinstance(contestant, Operator):
            contestant.close()
    learned_from = contestant.learned_from if isinstance(contestant, Operator) else ()
    return replace(score(case, track), learned_from=learned_from), track
