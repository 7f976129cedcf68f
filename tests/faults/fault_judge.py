"""The judge of a run. It knows from the scene what each workload needs and its owner wants, never from the planner.

Its yardstick, stated once: a level may be short only while something stood between the operator and that very field,
and for ``REACTION`` seconds after; a change of leader may take ``FAIL_OVER``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fault_concerns import HOLDERS, STARTS_WITHIN, closed_lately, concerns, failing_since, held_up
from fault_field import Field
from fault_lending import LOOP, Lending
from fault_list import Fault, Finding, RequestFaults
from fault_scene import CORES, MACHINES, Scene, Show, Workload
from wire import Ask, Hit

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.store import Change
from tidegate.targets.ownership import leaf_of_pointer, owner

REACTION = 30.0
"""Seconds that the operator may take after what stood in its way is gone: two beats."""
FAIL_OVER = 45.0
"""Seconds from a new holder of the Lease to its first writes: it lists, looks and plans."""
LEADERLESS = 75.0
"""Seconds without any holder that lives, when at least one replica was up all the time."""
REASSERTED = 10.0
"""Seconds within which a level of ours that somebody set back is set again."""
LENDING = 300.0
"""Seconds for which a failed request, a change of leader or somebody else's write may hold up what a pool lends."""
CONFLICT = (5, 600.0)
"""So often within so many seconds a field may be set back until it is left to whoever does."""
OBEYED = 15.0
"""Seconds until a durable stop is obeyed."""
WRITTEN = 15.0
"""Seconds that a borrowed field may be without a Loan: the time of one beat, to notice that somebody took it away."""
PATIENCE = 3.0
"""Seconds that a level may be short without any excuse: the judge looks once a second."""
UNHEARD = 90.0
"""Seconds for which levels may wait for whether all is stopped: a minute, and a reaction."""


@dataclass
class Judge:
    """Everything that is judged."""

    scene: Scene
    cluster: EmbeddedCluster
    now: Callable[[], float]
    """Seconds from the scene's beginning."""
    begin: float
    """The event loop's time at the scene's beginning: hits are dated by it."""
    lives: Callable[[], Iterable[Any]]
    """Processes that run."""
    faults: list[Fault]
    requests: RequestFaults
    hits: list[Hit]
    serving: Callable[[], tuple[Ask | None, str]]
    """Whose request is being carried out, and what was done to it."""
    findings: list[Finding] = field(default_factory=list)
    on_finding: Callable[[Finding], None] = lambda finding: None
    on_level: Callable[[Field, int, int, str], None] = lambda one, before, after, who: None
    fields: dict[tuple[str, str], Field] = field(default_factory=dict)
    shows: dict[tuple[str, str], Show] = field(default_factory=dict)
    """As last valid."""
    invalid: dict[tuple[str, str], float] = field(default_factory=dict)
    """Shows that were edited into something invalid, since when."""
    carried: dict[tuple[str, str], dict[str, tuple[int, int]]] = field(default_factory=dict)
    """By policy: capacity and maximum of each target; a policy that is gone is not there."""
    edited: dict[tuple[str, str], float] = field(default_factory=dict)
    """By policy: when it or an event of it was last changed."""
    stopped: tuple[float, float] | None = None
    """The durable stop: from, until."""
    holder: str = ""
    held_since: float = -math.inf
    led_at: float = 0.0
    lending: Lending = field(init=False)
    _said: set[tuple[str, str]] = field(default_factory=set)
    _seen_hits: int = 0
    _recent: list[Hit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lending = Lending(self.scene, lambda: ((f.workload, f.value) for f in self.fields.values()))

    # ---- what people do

    def field_of(self, one: Workload) -> Field:
        """Begin to watch a field."""
        made = self.fields[one.key] = Field(one, one.original, one.original)
        return made

    def announced(self, show: Show) -> None:
        """An event, as it is meant from now on."""
        self.shows[show.key] = show
        self.invalid.pop(show.key, None)
        self._edit(show)

    def withdrawn(self, show: Show) -> None:
        """An event is off."""
        self.shows.pop(show.key, None)
        self.invalid.pop(show.key, None)
        self._edit(show)

    def spoilt(self, show: Show) -> None:
        """An event was edited into something invalid: its last valid version counts."""
        self.invalid[show.key] = self.now()

    def spoilt_policy(self, namespace: str, name: str) -> None:
        """A policy was edited into something invalid: its last valid version counts."""
        self.invalid[namespace, f"policy {name}"] = self.now()

    def policy(self, namespace: str, name: str, targets: dict[str, tuple[int, int]] | None) -> None:
        """A policy, as it is meant from now on; None: it is gone."""
        self.invalid.pop((namespace, f"policy {name}"), None)
        if targets is None:
            self.carried.pop((namespace, name), None)
        else:
            self.carried[namespace, name] = targets
        self.edited[namespace, name] = self.now()

    def foreign(self, one: Field, value: int, how: str) -> None:
        """Somebody is about to write a field: ``reapply``, ``new``, or ``copy``."""
        now = self.now()
        one.foreign_at = now
        if how == "new":
            one.intent_before, one.intent, one.intent_at = one.intent, value, now
        else:
            hidden = self._stalled(one.workload.held_by[2]) or self._hit_lately(lambda ask: concerns(ask, one.workload))
            if one.read_at < one.intent_at and hidden:
                one.intent, one.intent_at = one.intent_before, -math.inf  # it is overwritten, and nobody could see it
            one.reapplied.append(now)
            one.copied = one.copied or how == "copy"

    def taken_back(self, workload: Workload, value: int, lasting: float, *, asleep: bool) -> None:
        """An autoscaler is gone from in front of a workload: where it left the level is its owner's. What is lent
        of it still was kept from the autoscaler, unless nobody could see that, or it stood at 0: there an autoscaler is
        switched off, and the work has to be given back.
        """
        now = self.now()
        self.lending.taken_back(workload.key, now)
        one = self.field_of(workload)
        lent = next((spec for spec in self._loans() if self._is_of(spec, one)), None)
        noticed = lasting > REACTION and not self._lending_was_disturbed(now)
        if noticed and lent is not None and not asleep:
            self.find("kept-from-its-scaler", str(one), f"lent from {lent['original']} while an autoscaler has it")
        if noticed and lent is None and asleep and not value:
            self.find("not-returned", str(one), "left at 0, where the autoscaler that came is switched off")
        one.value, one.intent = value, value if lent is None else int(lent["original"])
        one.foreign_at = one.intent_at = now

    def _edit(self, show: Show) -> None:
        self.edited[show.namespace, show.policy] = self.now()

    # ---- what happens

    def changed(self, kind: tuple[str, str], change: Change) -> None:
        """An object of the cluster came, changed or went."""
        plural, item = kind[1], change.item
        if plural == "leases":
            holder = (item.document().get("spec") or {}).get("holderIdentity") or ""
            if holder != self.holder:
                self.holder, self.held_since = holder, self.now()
            return
        if plural == "pods":
            self.lending.pod(change.type, item.document())
        if plural not in HOLDERS or change.type == "DELETED":
            return
        one = self.fields.get((item.namespace, item.name))
        said = self.lending.anothers(change, *self.serving(), self.now()) if one is None else ""
        if said and not self._lending_was_disturbed(self.now()):
            self.find("wrote-anothers", f"{item.namespace}/{item.name}", said)
        if one is None or one.workload.held_by[2] != plural:
            return
        value = one.workload.value_in(item.document()["spec"])
        if value == one.value:
            return
        before, one.value = one.value, value
        self.lending.moved(one.workload, before, value, self.now())
        ask, how = self.serving()
        self.on_level(one, before, value, str(ask) if ask is not None else "somebody")
        if ask is not None and ask.slot != "person":
            self._ours(one, before, value, late=how == "late")

    def served(self, ask: Ask, status: int) -> None:
        """The server has answered a request."""
        if ask.slot != "person" and ask.deed in ("get", "list") and status == 200:
            for one in self.fields.values():
                if ask.plural == one.workload.held_by[2] and concerns(ask, one.workload):
                    one.read_at = self.now()

    def sent(self, ask: Ask) -> None:
        """A replica sent a request: only who leads may write."""
        if not ask.writes or ask.slot == "person" or ask.deed.startswith(("lease-", "event-")):
            return
        if ask.identity != self.holder:
            kind = "status-without-lease" if ask.deed == "status" else "wrote-without-lease"
            self.find(kind, ask.deed, f"{ask} while {self.holder or 'nobody'} holds the Lease")
        if ask.deed == "loan-create" and self._stop_is_known():
            self.find("wrote-during-stop", ask.deed, f"{ask} in spite of the durable stop")

    def _stop_is_known(self) -> bool:
        """The durable stop is set, and nothing kept the operator from seeing that."""
        if self.stopped is None or not self.stopped[0] + OBEYED < self.now() < self.stopped[1]:
            return False
        return not self._stalled("configmaps") and not self._hit_lately(lambda ask: ask.plural == "configmaps")

    def _ours(self, one: Field, before: int, value: int, *, late: bool) -> None:
        """We wrote a level."""
        now = self.now()
        one.ours.add(value)
        one.ever.add(value)
        if self.lending.loops(one.workload, value, now):
            self.find("write-loop", str(one), f"written more than {LOOP} times in ten minutes")
        if self.scene.pool and value > before and one.workload.takes and not late:
            self._room(one, before, value)
        needed = self.needed(one, now)
        unsure = late or bool(self._unsure(one)) or self._waits_for_machines(one, now)
        if value < before and value < needed and not unsure:
            self.find(
                self._short_kind("lowered-below-need", one), str(one), f"{before} to {value}, {needed} are needed"
            )
        if (
            not one.workload.lender
            and value < min(before, one.intent)
            and now - one.intent_at > REACTION
            and not unsure
        ):
            self.find("lowered-below-owner", str(one), f"{before} to {value}, the owner's value is {one.intent}")
        if value != one.intent and not late and self._stop_is_known():
            self.find("wrote-during-stop", str(one), f"{before} to {value} during the durable stop")
        loans = [spec for spec in self._loans() if self._is_of(spec, one)]
        if not loans and not late:
            self.find("wrote-without-loan", str(one), f"{before} to {value}, and no Loan says so")
        settled = now - one.foreign_at > REACTION and one.spoilt is None
        if loans and loans[0]["original"] != one.intent and settled and not late:
            kind = "copy-taken-for-intent" if one.copied and loans[0]["original"] in one.ever else "wrong-original"
            self.find(kind, str(one), f"the Loan says {loans[0]['original']}, the owner's is {one.intent}")
        if value == one.intent:
            one.ours.clear()

    def _room(self, one: Field, before: int, value: int) -> None:
        """We let something in on a pool: what is asked for, and what is still on machines, has to fit."""
        mine, asked = [field for field in self.fields.values() if field.workload.takes], self.lending.asked()
        foreign = any(field.intent_at > -math.inf or field.copied for field in mine)
        # Work that is larger than it was comes back at its promise all the same, and waits where an autoscaler sees it.
        foreign = foreign or (self.lending.injected and one.workload.lender)
        foreign = foreign or self.now() - self.lending.changed_at <= REACTION
        if asked > MACHINES * CORES and not foreign:
            self.find("oversold", str(one), f"{before} to {value}: {asked} cores are asked for of {MACHINES * CORES}")

    # ---- each second

    def look(self) -> None:
        """Judge this instant."""
        now = self.now()
        fresh = self.hits[self._seen_hits :]
        self._recent = [hit for hit in (*self._recent, *fresh) if hit.end - self.begin > now - LENDING]
        self._seen_hits = len(self.hits)
        self.lending.look(now)
        for one in self.fields.values():
            needed = self.needed(one, now)
            if one.value >= needed or self.excuse(one) or self._waits_for_machines(one, now):
                one.low_since = None
                continue
            one.low_since = now if one.low_since is None else one.low_since
            if now - one.low_since > PATIENCE:
                self.find(self._short_kind("below-need", one), str(one), f"{one.value}, {needed} are needed")
        if round(now) % 5 == 0:
            self._look_for_loans(now)
        self._look_for_a_leader(now)

    def _look_for_loans(self, now: float) -> None:
        """What is borrowed has to stand in a Loan all the time: who leads next knows it from there alone."""
        loans = self._loans()
        for one in self.fields.values():
            borrowed = one.value in one.ours and one.value != one.intent and one.spoilt is None
            if not borrowed or any(self._is_of(spec, one) for spec in loans):
                one.unwritten_since = None
                continue
            one.unwritten_since = now if one.unwritten_since is None else one.unwritten_since
            if now - one.unwritten_since >= WRITTEN:
                kind = "copy-taken-for-intent" if one.copied else "borrowed-without-loan"
                self.find(kind, str(one), f"{one.value} is ours and in no Loan, {one.intent} is the owner's")

    def _look_for_a_leader(self, now: float) -> None:
        alive = [life for life in self.lives() if not life.dead]
        if any(life.identity == self.holder for life in alive):
            self.led_at = now
            return
        up = [
            life for life in alive if life.started_at is not None and now - (life.started_at - self.begin) > LEADERLESS
        ]
        cause = self._hit_lately(lambda ask: ask.plural == "leases", within=LEADERLESS)
        if up and not cause and now - self.led_at > LEADERLESS:
            self.find("no-leader", up[0].slot, f"nobody has led for {now - self.led_at:.0f} s")

    def started_late(self, slot: str, since: float, tries: int) -> None:
        """A process is up and its start-up is not over."""
        took, hits = self.now() - since, self._lately(STARTS_WITHIN)
        if took > STARTS_WITHIN and not held_up(hits, slot, self.faults, self.now()):
            self.find("never-started", slot, f"{tries} tries in {took:.0f} s")

    # ---- what is needed

    def needed(self, one: Field, now: float) -> int:
        """Units that have to be asked for: needed now, or by the time that units written now would be ready."""
        carried = self.carried.get((one.workload.namespace, one.workload.policy), {}).get(one.workload.name)
        if carried is None:
            return 0
        capacity, most = carried
        mine = [
            s for s in self.shows.values() if (s.namespace, s.policy) == (one.workload.namespace, one.workload.policy)
        ]
        until = now + one.workload.start_seconds
        instants = [now, *(s.start for s in mine if now < s.start <= until)]
        orders = max(sum(s.orders for s in mine if s.start <= at < s.end) for at in instants)
        if orders <= 0:
            return 0
        units = min(max(math.ceil(orders / capacity), one.workload.low), most)
        units = min(units, self.lending.carried) if one.workload.lane else units
        return min(units, 100) if one.workload.hpa else units

    def _short_kind(self, kind: str, one: Field) -> str:
        """Shortness of its own name: what a new life has to know and cannot know by reading the cluster."""
        since = [at for key, at in self.invalid.items() if key[0] == one.workload.namespace]
        born = [life.started_at - self.begin for life in self.lives() if life.started_at is not None]
        return "last-valid-forgotten" if since and born and max(born) > min(since) else kind

    # ---- what excuses

    def excuse(self, one: Field) -> str:
        """Why this field may be short now; empty: it may not."""
        now = self.now()
        if self.stopped is not None and self.stopped[0] <= now < self.stopped[1] + REACTION:
            return "durable stop"
        stall = self._stalled("configmaps")
        if self.stopped is not None and stall is not None and stall.at - REACTION < self.stopped[1] <= now:
            return "a durable stop that was lifted while its watch was stalled"
        alive = [life for life in self.lives() if life.identity == self.holder and not life.dead]
        if not alive or now - self.held_since < FAIL_OVER:
            return "change of leader"
        if unsure := self._unsure(one):
            return unsure
        if now - one.foreign_at < REASSERTED:
            return "set back a moment ago"
        often, within = CONFLICT
        if sum(now - at < within for at in one.reapplied) >= often:
            return "left to whoever sets it back"
        if closed_lately(self.faults, one.workload.namespace, now):
            return "its namespace refuses us"
        if self._hit_lately(lambda ask: concerns(ask, one.workload)):
            return "a request for it failed"
        at = self.begin + now
        since = failing_since((*self._recent, *self.hits[self._seen_hits :]), "configmaps", at, pause=REACTION)
        return "" if since is None or at - since > UNHEARD else "whether all is stopped cannot be told"

    def _waits_for_machines(self, one: Field, now: float) -> bool:
        """Whether what a level is short of has to be lent first; after a wrong clock, what was given back meanwhile;
        where new Jobs took machines, as much of other work.
        """
        if not one.workload.lane:
            return False
        asked = [self.lending.changed_at, *(at for key, at in self.edited.items() if key[0] == "shop")]
        asked += [fault.end for fault in self.faults if fault.kind == "clock" and fault.end <= now]
        short = self.needed(one, now) - one.value
        waits = self.lending.excuses(one.workload, max(asked, default=-math.inf), now)
        return waits or self.lending.was_taken(one.workload, short, now) or self._lending_was_disturbed(now)

    def _lending_was_disturbed(self, now: float) -> bool:
        """What a pool lends takes minutes: notice, drain, room. What went wrong meanwhile may have held it up."""
        foreign = [field.foreign_at for field in self.fields.values() if field.workload.takes]
        lifted = self.stopped[1] if self.stopped is not None else -math.inf
        lately = now - max([self.held_since, lifted, *foreign]) < LENDING
        return (
            lately
            or self.lending.was_short(now, LENDING)
            or self._hit_lately(lambda ask: ask.deed != "status", within=LENDING)
        )

    def _unsure(self, one: Field) -> str:
        """Why the operator may be mistaken about what is needed."""
        now, workload = self.now(), one.workload
        for fault in self.faults:
            if fault.kind == "clock" and fault.at <= now < fault.end + REACTION:
                return "a clock is wrong"
        if one.spoilt is not None and one.spoilt[0] <= now < one.spoilt[1] + REACTION:
            return "its Loan cannot be read"
        since = self.edited.get((workload.namespace, workload.policy), -math.inf)
        if now - since < REACTION:
            return "announced a moment ago"
        for plural in ("liveevents", "scalingpolicies"):
            stall = self._stalled(plural)
            if stall is not None and since > stall.at - REACTION:
                return "announced while the watch was stalled"
            if now - since < 4 * REACTION and self._hit_lately(lambda ask, plural=plural: ask.plural == plural):
                return "announced while it could not be read"
        return ""

    def _stalled(self, plural: str) -> Fault | None:
        return self.requests.stalled(plural, self.begin + self.now(), within=REACTION)

    def _hit_lately(self, concerns: Callable[[Ask], bool], *, within: float = REACTION) -> bool:
        return any(concerns(hit.ask) for hit in self._lately(within))

    def _lately(self, within: float) -> Iterator[Hit]:
        since = self.begin + self.now() - within
        return filter(lambda hit: hit.end > since, (*self._recent, *self.hits[self._seen_hits :]))

    # ---- the end

    def close(self) -> None:
        """All is over, and has been for a while: everything has to be back."""
        for one in self.fields.values():
            if one.value != one.intent:
                kind = "intent-lost" if one.intent_at > -math.inf else "not-returned"
                kind = "copy-taken-for-intent" if one.copied and one.value in one.ever else kind
                self.find(kind, str(one), f"{one.value} in the end, its owner's value is {one.intent}")
            api_version, kind, _ = one.workload.held_by
            found = self.cluster.get(api_version, kind, one.workload.name, one.workload.namespace)
            leaf = leaf_of_pointer(one.workload.pointer)
            who = owner((found or {}).get("metadata", {}).get("managedFields") or [], leaf)
            if who is not None and who.name == "tidegate":
                self.find("ownership-kept", str(one), "managedFields still names us")
        for loan in self.cluster.list("tidegate.dev/v1alpha1", "Loan"):
            meta = loan["metadata"]
            self.find("loan-left", f"{meta['namespace']}/{meta['name'].rpartition('-')[0]}", "a Loan is left")

    # ---- beneath

    def find(self, kind: str, about: str, message: str) -> None:
        """Note a finding, once a kind and object."""
        if (kind, about) in self._said:
            return
        self._said.add((kind, about))
        finding = Finding(kind, self.now(), about, message)
        self.findings.append(finding)
        self.on_finding(finding)

    def _loans(self) -> list[Mapping[str, Any]]:
        return [loan["spec"] for loan in self.cluster.list("tidegate.dev/v1alpha1", "Loan")]

    @staticmethod
    def _is_of(spec: Mapping[str, Any], one: Field) -> bool:
        target = spec["target"]
        held = one.workload.held_by[1], one.workload.namespace, one.workload.name
        return (target["kind"], target["namespace"], target["name"]) == held
