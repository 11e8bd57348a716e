"""Stage 1, pure: an event in, its verdict and findings out. State is kept by partition, and within by principal.

No clock: time is the event's own, and the reader's time of arrival that the envelope carries.
"""

from collections.abc import Iterable, Mapping, Sequence
from sys import intern
from typing import Any, Final

import msgspec

from detector.approvals import ControlSettings, stopped_after
from detector.budget import BudgetSettings
from detector.capture import Capture
from detector.charter import Charters
from detector.counting import Ended, count_tests
from detector.crossing import Crossing
from detector.detectors.base import Context, Detector, flags
from detector.events import Envelope, Event, Kind
from detector.exchange import Exchange
from detector.findings import Finding
from detector.in_force import ByKind, InForce, Overrides, by_kind
from detector.knowledge import Knowledge
from detector.overrides import Override
from detector.partitions import PartitionState, ScoringSettings
from detector.principal_rows import PrincipalRows, made_by
from detector.principals import UNTOUCHED, PrincipalState, UnreadablePrincipal
from detector.ready import Ready
from detector.rebaseline import ORDER, Rebaseline
from detector.scored import UNREMARKABLE, Scored
from detector.suppressions import Suppressions, is_accepted

# What an hour must hold to count as one of work.
WORK: Final[frozenset[Kind]] = frozenset({"access", "transfer", "call", "publish"})


class Scoring:
    """The first stage: owns the state of the partitions that were opened, and the priors they share.

    Args:
        detectors: The detectors that run, in the order in which their findings are told.
        settings: Bounds and event-time rules.
        charters: What agents were given to do.
        budget: How many false alerts a day are looked at.
        suppressions: The operator's lists of destinations, and what findings are marked by.
        control: Whose control events count.
        overrides: What holds for some principals or hours instead; in order, the first counts.
        config: The configuration that findings say they were made under; "" if they don't.
        dormant: Detectors that don't run, and whose states are kept as they are until they do.
        exchange: With the workers that have the other partitions; None: there are none, and boundaries are crossed by
            themselves.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one a section of the configuration
        self,
        detectors: Sequence[Detector[Any]],
        settings: ScoringSettings | None = None,
        charters: Charters | None = None,
        budget: BudgetSettings | None = None,
        suppressions: Suppressions | None = None,
        control: ControlSettings | None = None,
        overrides: Sequence[Override] = (),
        config: str = "",
        dormant: Sequence[Detector[Any]] = (),
        exchange: Exchange | None = None,
    ) -> None:
        self._settings = settings or ScoringSettings()
        self._charters = charters or Charters()
        self._suppressions = suppressions or Suppressions()
        self._control = control or ControlSettings()
        self._config = config
        self._rows = PrincipalRows({detector.name: detector for detector in (*detectors, *dormant)})
        self._made_by = made_by([*detectors, *dormant])
        self._by_kind = by_kind(detectors)
        self._names = {kind: frozenset(name for name, _ in running) for kind, running in self._by_kind.items()}
        # Shown to detectors that are asked whether they are concerned: nothing changes them.
        self._blank = {detector.name: detector.new_state() for detector in detectors}
        self._overrides = Overrides(overrides, detectors) if overrides else None
        self._suspicious = {d.name for d in detectors if type(d).suspects is not Detector.suspects}
        self._ready = Ready(self._settings.max_ready)
        self._rebaseline = Rebaseline(detectors, self._suppressions.zones)
        channels = {detector.name: detector.channels for detector in detectors if detector.channels}
        self.crossing = Crossing(self._settings.peers_every, budget or BudgetSettings(), channels, exchange)
        """How the partitions come to the boundaries at which peers' knowledge is exchanged."""
        self._partitions = self.crossing.partitions
        self.tests_ended = Ended()  # until whoever measures takes them away

    @property
    def principals(self) -> int:
        """Principals remembered in all partitions."""
        return sum(len(state.principals) for state in self._partitions.values())

    @property
    def ready(self) -> int:
        """How many of them are held ready; the others wait packed."""
        return len(self._ready)

    @property
    def peers_version(self) -> float:
        """Event time (unix seconds) of the boundary that the peers' knowledge in force was taken at."""
        return self.crossing.in_force.version

    @property
    def peers_versions(self) -> float:
        """The sum of the partitions' boundaries: another number whenever one of them crosses one."""
        return sum(state.knowledge.version for state in self._partitions.values())

    @property
    def allowed_skew(self) -> float:
        """Seconds ahead of its arrival from which an event is from the future."""
        return self._settings.allowed_skew

    @property
    def peers_wait(self) -> float:
        """Seconds for which the other workers' peers are waited for."""
        return self._settings.peers_wait

    @property
    def watermark(self) -> float:
        """Event time (unix seconds) that all partitions have reached; 0 before the first event."""
        reached = [state.watermark for state in self._partitions.values() if state.watermark > float("-inf")]
        return min(reached, default=0.0)

    def take_over(self, other: "Scoring") -> None:
        """Go on where another stage stands, by this one's detectors and rules; the other is not to be used again.

        The partitions stay as they are, and so does what a capture under way will give. The detectors' `shaping`
        settings and the bounds of the memory must be the same in both.
        """
        other._rows.adopt(self._rows)
        self._rows, self._ready = other._rows, other._ready
        self.crossing.take_over(other.crossing)
        self._partitions = self.crossing.partitions
        for state in self._partitions.values():
            state.settle_by(self._settings)

    @property
    def knowledge(self) -> Knowledge:
        """What of the peers is in force: read-only."""
        return self.crossing.in_force

    def remembered(self, principal: str) -> PrincipalState | None:
        """What is remembered of a principal, as it stands, to be looked at; None if it is not known.

        Raises:
            ValueError, TypeError, KeyError: It was restored, and can't be read.
        """
        found = (state.principals.look(principal) for _, state in sorted(self._partitions.items()))
        return next((known for known in found if known is not None), None)

    def open(
        self,
        partition: tuple[str, int],
        snapshot: Mapping[str, Any] | None = None,
        changes: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Take over a partition, with the state it was left in: a snapshot or whole capture, then later captures.

        Principals are read out when they are used. A few are at once, to be sure that they can be; all are if
        another program, other detectors or settings than today's wrote one of the parts.

        Raises:
            ValueError, KeyError, TypeError: A part is of another version or shape.
        """
        self._let_go(partition)
        state = PartitionState(self._settings, self._rows, self.crossing.in_force, self._ready)
        if snapshot is not None:
            state.restore(snapshot)
            makers = {snapshot.get("made_by")}
            for change in changes:
                state.add(change)
                makers.add(change.get("made_by"))
            state.check(few=makers == {self._made_by})
        self.crossing.open(partition, state)

    def close(self, partition: tuple[str, int]) -> None:
        """Forget a partition; what it published goes on to count until the next boundary."""
        self._let_go(partition)
        self.crossing.close(partition)

    def _let_go(self, partition: tuple[str, int]) -> None:
        state = self._partitions.get(partition)
        if state is not None:
            state.principals.close()

    def step(self, envelope: Envelope) -> Scored:
        """Score one event, then learn it. Its partition must be open.

        An event that makes a detector raise is passed over with the verdict "error": one event that nobody
        thought of must not end the service, or be met again after each restart.
        """
        state = self._partitions[envelope.topic, envelope.partition]
        try:
            return self._step(envelope, state)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next event must be scored
            return Scored("error", error=f"{type(error).__name__}: {error}")

    def _step(self, envelope: Envelope, state: PartitionState) -> Scored:
        event, verdict = state.admit(envelope)
        name = event.id if event is not envelope.event else ""
        if verdict != "scored":
            return Scored(verdict, event_id=name)
        now = event.time.timestamp()
        crossing = self.crossing
        if now >= crossing.due_at_once:
            crossing.at_once(now)
        event, vouched = self._suppressions.zones.resolve(event)
        principal, forgot = self._principal_or_anew(state, event, now)
        role, sums = principal.role, state.accumulating
        context = Context(principal, state.knowledge, sums.role(role), sums.habits.role(role), now)
        context.vouched = vouched
        context.charter = self._charters.of(principal.id, role)
        self._hear(event, state, context)
        in_force = None if self._overrides is None else self._overrides.at(principal.id, role, now)
        findings = self._judge(event, principal, context, in_force)
        if context.tests:
            count_tests(context, sums.tests, self.tests_ended)
        hour = now // 3600.0
        if hour > principal.active_hour and event.kind in WORK:
            principal.active_hour = hour
            context.group.hours += 1
        principal.events += 1
        if not (findings or forgot or name):
            return UNREMARKABLE
        return Scored("scored", findings, forgot=forgot, event_id=name)

    def _principal_or_anew(self, state: PartitionState, event: Event, now: float) -> tuple[PrincipalState, str]:
        """The principal's state; of one that can't be read a new one, which stays under a stop, and the reason."""
        try:
            return self._principal(state, event, now), ""
        except UnreadablePrincipal as error:
            state.accumulating.role(error.principal.role).members -= 1
            principal = self._principal(state, event, now)
            state.principals.pin(principal, error.principal.pinned)
            return principal, str(error)

    def _principal(self, state: PartitionState, event: Event, now: float) -> PrincipalState:
        """The principal's state; an actor's own events tell its kind and role, orders to it do not."""
        own = event.kind != "control"
        principal = state.principals.use(event.principal, now, self._names[event.kind])
        if principal is None:
            kind, role = (event.actor.kind, intern(event.actor.role)) if own else ("agent", "")
            principal = PrincipalState(event.principal, kind, role, now)
            for gone in state.principals.add(principal):
                state.accumulating.role(gone.role).members -= 1
            state.accumulating.role(role).members += 1
        elif own and principal.role != event.actor.role:
            state.accumulating.role(principal.role).members -= 1
            principal.kind, principal.role = event.actor.kind, intern(event.actor.role)
            state.accumulating.role(principal.role).members += 1
        return principal

    def _hear(self, event: Event, state: PartitionState, context: Context) -> None:
        """Take in a yes or a no, or look up whether the act has the one it needs."""
        principal = context.principal
        if event.kind == "control":
            context.heard = self._control.hears(event)
            if context.heard:
                principal.ledger.record(event, context.now)
                if event.action == ORDER:
                    self._rebaseline.obey(event, principal, state.knowledge)
            state.principals.pin(principal, stopped_after(event, principal.pinned, heard=context.heard))
            return
        required = (event.approval is not None and event.approval.required) or context.charter.asks(event)
        if required or event.approval is not None:
            vouched = self._control.vouches(event)
            context.answer = principal.ledger.answer(event, context.now, required=required, vouched=vouched)
            if context.answer == "approved":
                principal.ledger.use(event)

    def _judge(
        self, event: Event, principal: PrincipalState, context: Context, in_force: InForce | None
    ) -> tuple[Finding, ...]:
        suspicious, suspect, running = self._suspicious, False, self._by_kind
        if in_force is not None:
            running, context.limits = in_force.by_kind, in_force.limits
        concerned = self._concerned(event, principal.states, context, running)
        found: list[Finding] = []
        for name, detector, state in concerned:
            told = detector.detect(event, state, context)
            if told:
                found += [self._marked(finding, event, in_force) for finding in told]
            if name in suspicious and detector.suspects(event, state, context):
                suspect = True
        context.suspect = suspect or (bool(found) and flags(one for one in found if not is_accepted(one)))
        for _, detector, state in concerned:
            detector.learn(event, state, context, found)
        return tuple(found)

    def _concerned(
        self, event: Event, states: dict[str, Any], context: Context, running: ByKind
    ) -> list[tuple[str, Detector[Any], Any]]:
        """The detectors that have to do with the event, with their states; those of the others need not exist."""
        concerned, blank, untouched = [], self._blank, UNTOUCHED
        for name, detector in running[event.kind]:
            state = states.get(name)
            if state is None:
                state = states[name] = untouched
            if state is not untouched:
                if detector.concerns(event, state, context):
                    concerned.append((name, detector, state))
            elif detector.concerns(event, blank[name], context):
                state = states[name] = detector.new_state()
                concerned.append((name, detector, state))
        return concerned

    def _marked(self, finding: Finding, event: Event, in_force: InForce | None) -> Finding:
        marked = self._suppressions.mark(finding, event)
        if in_force is not None and (names := in_force.names.get(finding.detector)):
            marked = msgspec.structs.replace(marked, evidence={**finding.evidence, "overrides": names})
        return msgspec.structs.replace(marked, config=self._config) if self._config else marked

    def snapshot(self, partition: tuple[str, int]) -> dict[str, Any]:
        """The partition's whole state as plain data."""
        return self._partitions[partition].snapshot()

    def capture(self, partition: tuple[str, int], *, whole: bool) -> tuple[dict[str, Any], Capture]:
        """Begin to save a partition: all of it, or what changed since the last capture, which must be over.

        Returns:
            What is small, as plain data of this moment, and the principals, to be taken bit by bit while
            scoring goes on; for `open`, their rows go into the former as "principals".
        """
        head, principals = self._partitions[partition].capture(whole=whole)
        return {**head, "made_by": self._made_by}, principals

    def settle(self) -> None:
        """Take the restored partitions' published sums into force; call once after a round of `open`."""
        self.crossing.settle()
