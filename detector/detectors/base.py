"""What a detector is: it says what to watch and in which words to tell it; a model says how surprising it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detector.approvals import Answer
from detector.budget import Limit
from detector.charter import NOTHING, Charter
from detector.endpoints import Endpoint, endpoints
from detector.events import Actor, Event, Kind, Target, Zone
from detector.findings import Finding, stable_id
from detector.habits import Habits
from detector.knowledge import Knowledge
from detector.peers import Group
from detector.principals import PrincipalState
from detector.severity import Severity, at_least

StateT = TypeVar("StateT")

# The lists that tags come from, by their version: OWASP Top 10 for Agentic Applications 2026, OWASP Top 10
# for LLM Applications 2026, MITRE ATLAS 5, MITRE ATT&CK v18.
OWASP_AGENTIC: Final = "OWASP-ASI-2026"
ATLAS: Final = "ATLAS-5"
ATTACK: Final = "ATTACK-18"

NO_LIMITS: Final[Mapping[str, Limit]] = {}


class DetectorSettings(BaseModel):
    """What every detector lets the operator set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether the detector runs.")


class Context:
    """What a detector may know besides the event and its own state.

    `now` is the event's time in unix seconds, `answer` whether the act has the yes it needs, `heard` whether the
    order of a control event counts. `group` and
    `own_habits` are the sums of the principal's role that this partition adds up (to learn into); `priors`,
    `habits` and `thresholds` are the peers' knowledge in force (to judge by). `suspect` is set before learning:
    the event was flagged, or belongs to something that was, and must not become normal. `novelty` is the
    probability of an endpoint as new as the one that the event sends to, for detectors that run after
    `new_endpoint`; 1 when it is known. `tests` are the scores that were held against a limit: channel, score,
    and whether it was beyond. `amounts` is what flowed, once somebody asked (`flows.amounts`); `step` the name of the
    action and its surprise where it was judged (`behaviour`).
    `vouched` is the zone that the source told of a destination that the operator's own list approves; None
    for any other. `limits` are those that an operator set by channel: the budget has no say in them, nor a use for
    their tests. `noted` takes down each channel's scores as they are, where somebody listens.
    """

    __slots__ = (
        "amounts", "answer", "charter", "group", "habits", "heard", "limits", "noted", "novelty", "now",
        "own_habits", "principal", "priors", "reached", "step", "suspect", "tests", "thresholds", "vouched",
    )  # fmt: skip

    def __init__(
        self, principal: PrincipalState, known: Knowledge, group: Group, own_habits: Habits, now: float
    ) -> None:
        self.principal = principal
        self.priors = known.priors
        self.thresholds = known.thresholds
        self.habits = known.habits
        self.group = group
        self.own_habits = own_habits
        self.now = now
        self.charter: Charter = NOTHING
        self.answer: Answer = "not_needed"
        self.heard = True
        self.suspect = False
        self.vouched: Zone | None = None
        self.limits: Mapping[str, Limit] = NO_LIMITS
        self.noted: list[tuple[str, float]] | None = None
        self.reached: list[Endpoint] | None = None
        self.amounts: list[tuple[str, float]] | None = None
        self.step: tuple[str, float] | None = None
        self.novelty = 1.0
        self.tests: list[tuple[str, float, bool]] = []

    def test(self, channel: str, score: float, starting_p: float) -> bool:
        """Whether a score (-log10 of a p-value) is beyond the limit that the budget, or an operator, gives.

        Counts as a test, unless the act was approved: that says nothing about false alarms.
        """
        if self.noted is not None:
            self.noted.append((channel, score))
        own = self.limits.get(channel) if self.limits else None
        limit = own or self.thresholds.limit(self.principal.role, channel, starting_p)
        beyond = score > limit.score
        if self.answer != "approved":
            # Gross outliers are cut: they must show that the limit is passed, not move it by their size. What
            # only just passes counts in full, or the budget would be drawn in by its own findings.
            self.tests.append((channel, min(score, limit.score + 2.0), beyond))
        return beyond

    def too_little(self, channel: str) -> None:
        """Count a test of what is too little to be judged: its score is 0, and beyond no limit."""
        if self.answer != "approved":
            self.tests.append((channel, 0.0, False))

    def endpoints(self, event: Event) -> list[Endpoint]:
        """The endpoints that the event reached, taken apart once however often they are asked for."""
        if self.reached is None:
            self.reached = endpoints(event)
        return self.reached


class Example(msgspec.Struct, frozen=True):
    """A short history and the rules that its last event must fire; () for a history that is fine.

    `charter` is what the agents in it were given to do.
    """

    story: str
    events: Sequence[Event]
    fires: tuple[str, ...]
    charter: Charter = NOTHING


class Detector(ABC, Generic[StateT]):
    """One behaviour that is watched. Found by its registry line, run for the kinds of event it names.

    `detect` never changes anything; `learn` is called after it with what was found, whether or not the
    event was flagged, and is the only place where state changes. Both are called only for events that
    `concerns` lets through.
    """

    name: ClassVar[str]
    rules: ClassVar[Mapping[str, str]]
    """Each rule that can fire -> an alert's headline, to be read behind the principal's name."""
    runbook: ClassVar[str]
    tags: ClassVar[tuple[str, ...]]
    kinds: ClassVar[frozenset[Kind]]
    channels: ClassVar[tuple[str, ...]] = ()
    """What a statistical detector tests, each with its part of the budget of false alerts."""
    levels: ClassVar[tuple[str, ...]] = ()
    """Settings that are the probabilities below which it fires, where no channel's budget has a say."""
    shaping: ClassVar[frozenset[str]] = frozenset()
    """Settings that the shape of saved states depends on: neither overridden, nor changed by a reload."""
    house_wide: ClassVar[frozenset[str]] = frozenset()
    """Settings that hold for all principals alike for another reason: bounds of memory, a model's place."""
    Settings: ClassVar[type[DetectorSettings]] = DetectorSettings

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @classmethod
    def for_examples(cls) -> Self:
        """The detector as its examples run it: with default settings, and a model of its own if it needs one."""
        return cls(cls.Settings())

    def adjusted(self, settings: Any) -> Self:
        """The same detector with other settings; it reads and learns the same states.

        `shaping` and `house_wide` settings are the same in both.
        """
        return type(self)(settings)

    @abstractmethod
    def new_state(self) -> StateT:
        """The state of a principal of which nothing is known."""

    def concerns(self, event: Event, state: StateT, context: Context) -> bool:  # noqa: ARG002
        """Whether the detector has anything to do with an event of its kinds: if not, it is asked no more about it.

        Asked for each event and before any detector has looked at it, so it must be quick and change nothing.
        """
        return True

    @abstractmethod
    def detect(self, event: Event, state: StateT, context: Context) -> Iterable[Finding]:
        """What is wrong with the event, given the principal's state before it."""

    def suspects(self, event: Event, state: StateT, context: Context) -> bool:  # noqa: ARG002
        """Whether the event belongs to something reported before: no news, but not to be learnt as normal."""
        return False

    @abstractmethod
    def learn(self, event: Event, state: StateT, context: Context, found: Sequence[Finding]) -> None:
        """Take the event in; `found` is what all detectors found in it."""

    @abstractmethod
    def dump(self, state: StateT) -> Any:
        """The state as plain data."""

    @abstractmethod
    def load(self, data: Any) -> StateT:
        """A state from its plain data.

        Raises:
            ValueError: The data has another shape.
        """

    def saved(self, state: StateT) -> Any:
        """What becomes the same msgpack as the plain data, where it can be had for less."""
        return self.dump(state)

    def read(self, saved: msgspec.Raw) -> StateT:
        """A state out of msgpack.

        Raises:
            ValueError, TypeError, KeyError: It has another shape.
        """
        return self.load(msgspec.msgpack.decode(saved))

    @classmethod
    @abstractmethod
    def examples(cls) -> Sequence[Example]:
        """Histories that fire and histories that must not."""

    def finding(  # noqa: PLR0913 - the parts of a sentence, all by name
        self,
        event: Event,
        context: Context,
        rule: str,
        severity: Severity,
        reason: str,
        *,
        score: float,
        p_value: float | None = None,
        entities: Iterable[str] = (),
        evidence: Mapping[str, Any] | None = None,
    ) -> Finding:
        """A finding of this detector about `event`, with the entities every finding has."""
        principal = context.principal
        return Finding(
            id=stable_id("f", event.id, principal.id, self.name, rule),
            time=event.time.astimezone(UTC),
            event_id=event.id,
            principal=principal.id,
            principal_kind=principal.kind,
            role=principal.role,
            session=event.actor.session,
            detector=self.name,
            rule=rule,
            score=round(score, 4),
            p_value=None if p_value is None else float(f"{p_value:.4g}"),
            severity=severity,
            reason=reason,
            entities=(*common_entities(event, principal), *entities),
            tags=self.tags,
            evidence=dict(evidence or {}),
        )


class StructDetector(Detector[StateT]):
    """A detector whose state is a msgspec Struct, saved field by field."""

    State: ClassVar[type[Any]]

    def new_state(self) -> StateT:
        """An empty state."""
        state: StateT = self.State()
        return state

    def dump(self, state: StateT) -> Any:
        """The state's fields."""
        return msgspec.to_builtins(state)

    def load(self, data: Any) -> StateT:
        """The state from its fields."""
        state: StateT = msgspec.convert(data, self.State)
        return state

    def saved(self, state: StateT) -> StateT:
        """The state, whose fields msgpack writes itself."""
        return state

    def read(self, saved: msgspec.Raw) -> StateT:
        """The state out of its fields."""
        state: StateT = msgspec.msgpack.decode(saved, type=self.State)
        return state


def common_entities(event: Event, principal: PrincipalState) -> tuple[str, ...]:
    """What any finding about the event can be joined by.

    A service is no link between what it does for different people: its acts join by what they concern.
    """
    names = (
        ("principal", None if principal.kind == "service" else principal.id),
        ("session", event.actor.session),
        ("thread", event.thread),
        ("trace", event.trace_id),
        ("event", event.id if event.kind == "publish" else event.in_reply_to),
    )
    return tuple(f"{kind}:{name}" for kind, name in names if name)


def flags(found: Iterable[Finding]) -> bool:
    """Whether findings are strong enough that their event must not be learnt as normal."""
    return any(at_least(finding.severity, "SEV3") for finding in found)


START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def sample(minute: float = 0.0, *, actor: Actor | None = None, kind: Kind = "access", **fields: Any) -> Event:
    """An event for examples: `minute` minutes after nine on a Monday, by an agent unless told otherwise."""
    return Event(
        id=fields.pop("id", f"e-{minute:g}"),
        time=START + timedelta(minutes=minute),
        actor=actor or Actor(id="agent-1", role="assistant", session="s-1"),
        kind=kind,
        **fields,
    )


def control(action: str, minute: float, *, by: str = "alice", **fields: Any) -> Event:
    """A control event for examples: a person's order to agent-1."""
    return sample(
        minute,
        id=f"c-{minute:g}",
        actor=Actor(id=by, kind="human", role="engineer"),
        kind="control",
        action=action,
        target=Target(uri="agent-1", type="agent"),
        **fields,
    )
