"""Stage 1, pure: an event in, its verdict and findings out. State is kept by partition, and within by principal.

No clock: time is the event's own, and the reader's time of arrival that the envelope carries.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detector.approvals import stopped_after
from detector.charter import Charters
from detector.detectors.base import Context, Detector, flags
from detector.events import KINDS, Envelope, Event, Kind
from detector.findings import Finding
from detector.peers import PeerSummary, Priors
from detector.principals import PrincipalState, PrincipalStore, dump_ledger, load_ledger

STATE_VERSION: Final = 1

Verdict = Literal["scored", "late", "future", "duplicate", "error"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


class ScoringSettings(BaseModel):
    """Bounds and event-time rules of scoring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_lateness: float = Field(
        3600.0, ge=0, description="Seconds behind the partition's watermark up to which events are scored."
    )
    allowed_skew: float = Field(
        300.0, ge=0, description="Seconds ahead of its arrival from which an event is from the future."
    )
    max_principals: int = Field(100_000, ge=1, description="Principals remembered by each partition.")
    idle_days: float = Field(45.0, gt=0, description="Days after which an unused principal is forgotten.")
    dedup_window: int = Field(50_000, ge=1, description="Event ids remembered by each partition.")
    peers_every: float = Field(
        3600.0, gt=0, description="Seconds of event time after which peers' knowledge is exchanged."
    )


class Scored(msgspec.Struct, frozen=True):
    """What scoring says of one event; `error` is what went wrong with the verdict "error"."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    error: str = ""


class PartitionState:
    """All that scoring remembers of one partition.

    `watermark` is the highest accepted event time (unix seconds). `recent` and `older` are two generations
    of event ids: a full generation replaces the older one, so between one and two windows are remembered.
    `published` are the peers' sums as of the last boundary, `accumulating` those since the start.
    """

    __slots__ = ("accumulating", "older", "principals", "published", "recent", "watermark")

    def __init__(self, settings: ScoringSettings) -> None:
        self.watermark = float("-inf")
        self.recent: dict[str, None] = {}
        self.older: dict[str, None] = {}
        self.principals = PrincipalStore(settings.max_principals, settings.idle_days * 86400.0)
        self.accumulating = PeerSummary()
        self.published = PeerSummary()


class Scoring:
    """The first stage: owns the state of the partitions that were opened, and the priors they share.

    Args:
        detectors: The detectors that run, in the order in which their findings are told.
        settings: Bounds and event-time rules.
        charters: What agents were given to do.
    """

    def __init__(
        self,
        detectors: Sequence[Detector[Any]],
        settings: ScoringSettings | None = None,
        charters: Charters | None = None,
    ) -> None:
        self._settings = settings or ScoringSettings()
        self._charters = charters or Charters()
        self._detectors = {detector.name: detector for detector in detectors}
        self._by_kind: Mapping[Kind, tuple[Detector[Any], ...]] = {
            kind: tuple(d for d in detectors if kind in d.kinds) for kind in KINDS
        }
        self._partitions: dict[tuple[str, int], PartitionState] = {}
        self._priors = Priors()
        self._restored_version = 0.0

    @property
    def principals(self) -> int:
        """Principals remembered in all partitions."""
        return sum(len(state.principals) for state in self._partitions.values())

    @property
    def peers_version(self) -> float:
        """Event time (unix seconds) of the boundary that the peers' knowledge in force was taken at."""
        return self._priors.version

    @property
    def watermark(self) -> float:
        """Event time (unix seconds) that all partitions have reached; 0 before the first event."""
        reached = [state.watermark for state in self._partitions.values() if state.watermark > float("-inf")]
        return min(reached, default=0.0)

    def open(self, partition: tuple[str, int], snapshot: Mapping[str, Any] | None = None) -> None:
        """Take over a partition, with the state it was left in.

        Raises:
            ValueError: The snapshot is of another version or shape.
        """
        state = PartitionState(self._settings)
        if snapshot is not None:
            self._restore(state, snapshot)
        self._partitions[partition] = state

    def close(self, partition: tuple[str, int]) -> None:
        """Forget a partition; what it published goes on to count until the next boundary."""
        self._partitions.pop(partition, None)

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
        event = envelope.event
        now = event.time.timestamp()
        verdict = self._admit(state, event, now, envelope.received_at)
        if verdict != "scored":
            return Scored(verdict)
        if now // self._settings.peers_every > self._priors.version // self._settings.peers_every:
            self._exchange(now)
        principal = self._principal(state, event, now)
        context = Context(principal, self._priors, state.accumulating.role(principal.role), now)
        context.charter = self._charters.of(principal.id, principal.role)
        self._hear(event, principal, context)
        findings = self._judge(event, principal, context)
        principal.events += 1
        return Scored("scored", findings)

    def _admit(self, state: PartitionState, event: Event, now: float, received_at: float) -> Verdict:
        """Event-time rules; moves the watermark."""
        if event.id in state.recent or event.id in state.older:
            return "duplicate"
        if now > received_at + self._settings.allowed_skew:
            return "future"
        state.recent[event.id] = None
        if len(state.recent) >= self._settings.dedup_window:
            state.older, state.recent = state.recent, {}
        if now < state.watermark - self._settings.allowed_lateness:
            return "late"
        state.watermark = max(state.watermark, now)
        return "scored"

    def _exchange(self, now: float) -> None:
        """Publish every partition's sums and take their merger into force until the next boundary."""
        for state in self._partitions.values():
            state.published = PeerSummary().restore(state.accumulating.snapshot())
        boundary = now // self._settings.peers_every * self._settings.peers_every
        self._merge_published(boundary)

    def _merge_published(self, version: float) -> None:
        in_order = sorted(self._partitions.items())
        self._priors = Priors(version, (state.published for _, state in in_order))

    def _principal(self, state: PartitionState, event: Event, now: float) -> PrincipalState:
        """The principal's state; an actor's own events tell its kind and role, orders to it do not."""
        own = event.kind != "control"
        principal = state.principals.use(event.principal, now)
        if principal is None:
            kind, role = (event.actor.kind, event.actor.role) if own else ("agent", "")
            principal = PrincipalState(event.principal, kind, role, now)
            for gone in state.principals.add(principal):
                state.accumulating.role(gone.role).members -= 1
            state.accumulating.role(role).members += 1
        elif own and principal.role != event.actor.role:
            state.accumulating.role(principal.role).members -= 1
            principal.kind, principal.role = event.actor.kind, event.actor.role
            state.accumulating.role(principal.role).members += 1
        return principal

    @staticmethod
    def _hear(event: Event, principal: PrincipalState, context: Context) -> None:
        """Take in a yes or a no, or look up whether the act has the one it needs."""
        if event.kind == "control":
            principal.ledger.record(event, context.now)
            principal.pinned = stopped_after(event, principal.pinned)
            return
        required = (event.approval is not None and event.approval.required) or context.charter.asks(event)
        if required or event.approval is not None:
            context.answer = principal.ledger.answer(event, context.now, required=required)
            if context.answer == "approved":
                principal.ledger.use(event)

    def _judge(self, event: Event, principal: PrincipalState, context: Context) -> tuple[Finding, ...]:
        detectors = self._by_kind[event.kind]
        states = [self._state_of(detector, principal) for detector in detectors]
        found: list[Finding] = []
        for detector, state in zip(detectors, states, strict=True):
            found.extend(detector.detect(event, state, context))
        context.suspect = flags(found) or any(
            detector.suspects(event, state, context) for detector, state in zip(detectors, states, strict=True)
        )
        for detector, state in zip(detectors, states, strict=True):
            detector.learn(event, state, context, found)
        return tuple(found)

    @staticmethod
    def _state_of(detector: Detector[Any], principal: PrincipalState) -> Any:
        state = principal.states.get(detector.name)
        if state is None:
            state = principal.states[detector.name] = detector.new_state()
        return state

    def snapshot(self, partition: tuple[str, int]) -> dict[str, Any]:
        """The partition's whole state as plain data."""
        state = self._partitions[partition]
        return {
            "version": STATE_VERSION,
            "watermark": None if state.watermark == float("-inf") else state.watermark,
            "ids": [list(state.older), list(state.recent)],
            "priors_version": self._priors.version,
            "published": state.published.snapshot(),
            "accumulating": state.accumulating.snapshot(),
            "principals": [self._dump(principal) for principal in state.principals],
        }

    def _dump(self, principal: PrincipalState) -> list[Any]:
        return [
            principal.id,
            principal.kind,
            principal.role,
            principal.first_seen,
            principal.last_seen,
            principal.events,
            principal.pinned,
            dump_ledger(principal.ledger),
            {name: self._detectors[name].dump(state) for name, state in principal.states.items()},
        ]

    def _restore(self, state: PartitionState, data: Mapping[str, Any]) -> None:
        if data.get("version") != STATE_VERSION:
            raise ValueError(f"the saved state has version {data.get('version')}, this program reads {STATE_VERSION}")
        state.watermark = float("-inf") if data["watermark"] is None else data["watermark"]
        state.older, state.recent = (dict.fromkeys(ids) for ids in data["ids"])
        state.published.restore(data["published"])
        state.accumulating.restore(data["accumulating"])
        for row in data["principals"]:
            state.principals.restore(self._load(row))
        self._restored_version = max(self._restored_version, data["priors_version"])

    def settle(self) -> None:
        """Take the restored partitions' published sums into force; call once after a round of `open`."""
        self._merge_published(max(self._priors.version, self._restored_version))

    def _load(self, row: Sequence[Any]) -> PrincipalState:
        principal_id, kind, role, first_seen, last_seen, events, pinned, ledger, states = row
        principal = PrincipalState(principal_id, kind, role, first_seen)
        principal.last_seen, principal.events, principal.pinned = last_seen, events, pinned
        principal.ledger = load_ledger(ledger)
        principal.states = {
            name: self._detectors[name].load(state) for name, state in states.items() if name in self._detectors
        }
        return principal
