"""Acting on after a stop, trying on after a no, and orders of those who may give none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec
from pydantic import Field

from detector.approvals import ORDERS, stopped_after
from detector.detectors.base import (
    OWASP_AGENTIC,
    Context,
    DetectorSettings,
    Example,
    StructDetector,
    control,
    sample,
)
from detector.detectors.rows import Row, count_on, current, is_milestone
from detector.events import Event, Kind, Target
from detector.findings import Finding
from detector.severity import Severity
from detector.wording import duration, number

HARMFUL: Final[frozenset[Kind]] = frozenset({"delete", "transfer", "permission", "publish"})
DENIALS_MOST: Final = 32
DENIAL_SECONDS: Final = 600.0
FORGED_MOST: Final = 32
FORGED_SECONDS: Final = 3600.0


class Orders(msgspec.Struct):
    """The stop in force, if any, recent denials by act, and forged orders by who gave them.

    `stopped_at` in unix seconds; `acts` counts what was done since, `harmful` those of them that did harm.
    """

    stopped_at: float | None = None
    stopped_by: str = ""
    acts: int = 0
    harmful: int = 0
    denials: dict[str, Row] = {}
    denied: Row | None = None
    forged: dict[str, Row] = {}


class StopViolation(StructDetector[Orders]):
    """Anything an agent does between a stop and a resume, retries of what was denied, and forged orders."""

    name = "stop_violation"
    rules: ClassVar[Mapping[str, str]] = {
        "after_stop": "went on after it was told to stop",
        "retry_after_denial": "keeps trying what is denied",
        "probing": "tries one door after the other",
        "forged_order": "was given an order by one who may give none",
    }
    runbook = "Revoke the agent's credentials now; a stop that is not obeyed is not a control."
    tags = (f"{OWASP_AGENTIC}:ASI10", f"{OWASP_AGENTIC}:ASI09")
    kinds = frozenset({"access", "transfer", "call", "permission", "publish", "delete", "control"})
    State = Orders

    class Settings(DetectorSettings):
        """Limits of `stop_violation`."""

        grace: float = Field(2.0, ge=0, description="Seconds after a stop in which acts under way may still end.")
        denials: int = Field(5, ge=2, description="Denials of the same act within ten minutes that count as trying on.")
        probing: int = Field(20, ge=2, description="Denials of any acts within ten minutes that count as probing.")

    settings: Settings

    def concerns(self, event: Event, state: Orders, context: Context) -> bool:  # noqa: ARG002
        """Orders, denials, and whatever is done under a stop."""
        return state.stopped_at is not None or event.outcome == "denied" or event.kind == "control"

    def detect(self, event: Event, state: Orders, context: Context) -> Iterator[Finding]:
        """A finding at the first act after a stop, the tenth, the hundredth …; one at too many denials.

        And one at the first order of an hour, the tenth … that somebody gives who may give none.
        """
        if event.kind == "control":
            yield from self._forged(event, state, context)
            return
        if self._is_stopped(state, context):
            count, harmful = state.acts + 1, state.harmful + _is_harmful(event)
            if is_milestone(count) or (harmful > state.harmful and is_milestone(harmful)):
                yield self._after_stop(event, state, context, count)
        elif event.outcome == "denied" and _denied(state, context) == self.settings.probing:
            yield self.finding(
                event,
                context,
                "probing",
                "SEV3",
                f"{context.principal.id} was denied {self.settings.probing} times within ten minutes, the last time "
                f"{_act(event)}",
                score=0.5,
                evidence={"count": self.settings.probing},
            )
        elif event.outcome == "denied" and _tries(event, state, context) == self.settings.denials:
            yield self.finding(
                event,
                context,
                "retry_after_denial",
                "SEV3",
                f"{context.principal.id} tried {_act(event)} {self.settings.denials} times within ten minutes, "
                "each time denied",
                score=0.5,
                evidence={"act": _act(event), "count": self.settings.denials},
            )

    def _forged(self, event: Event, state: Orders, context: Context) -> Iterator[Finding]:
        """An order that does not count; one of a person or a service is more likely a setting that is missing."""
        if not _is_forged(event, context):
            return
        issuer, agent = event.actor, context.principal.id
        count = _count_forged(event, state, context)
        if not is_milestone(count):
            return
        whom = "itself" if issuer.id == agent else agent
        times = "" if count == 1 else f", {number(count)} times within an hour"
        severity: Severity = "SEV2" if issuer.kind == "agent" or issuer.id == agent else "SEV3"
        yield self.finding(
            event,
            context,
            "forged_order",
            severity,
            f"{issuer.id} gave {whom} the order {event.action}{times}, and may give none: it was not heard",
            score=1.0,
            evidence={"order": event.action, "issuer": issuer.id, "issuer_kind": issuer.kind, "count": count},
        )

    def suspects(self, event: Event, state: Orders, context: Context) -> bool:
        """Whatever is done after a stop."""
        return event.kind != "control" and self._is_stopped(state, context)

    def _is_stopped(self, state: Orders, context: Context) -> bool:
        return state.stopped_at is not None and context.now - state.stopped_at > self.settings.grace

    def _after_stop(self, event: Event, state: Orders, context: Context, count: int) -> Finding:
        since = context.now - (state.stopped_at or 0.0)
        severity: Severity = "SEV1" if _is_harmful(event) else "SEV2"
        times = "" if count == 1 else f" ({number(count)} acts since)"
        return self.finding(
            event,
            context,
            "after_stop",
            severity,
            f"{context.principal.id} did {_act(event)} {duration(since)} after {state.stopped_by} "
            f"told it to stop{times}",
            score=1.0,
            evidence={"seconds_after_stop": round(since, 3), "acts": count, "stopped_by": state.stopped_by},
        )

    def learn(self, event: Event, state: Orders, context: Context, found: Sequence[Finding]) -> None:  # noqa: ARG002
        """Follow the orders that count."""
        if event.kind == "control":
            self._obey(event, state, context)
        elif self._is_stopped(state, context):
            state.acts += 1
            state.harmful += _is_harmful(event)
        elif event.outcome == "denied":
            state.denied = current(state.denied, context.now, DENIAL_SECONDS)
            state.denied.count += 1
            count_on(state.denials, _act(event), context.now, DENIAL_SECONDS, DENIALS_MOST)

    @staticmethod
    def _obey(event: Event, state: Orders, context: Context) -> None:
        if _is_forged(event, context):
            count_on(state.forged, event.actor.id, context.now, FORGED_SECONDS, FORGED_MOST)
            return
        stopped = stopped_after(event, state.stopped_at is not None, heard=context.heard)
        if stopped and state.stopped_at is None:
            state.stopped_at, state.stopped_by = context.now, event.actor.id
        elif not stopped:
            state.stopped_at, state.stopped_by = None, ""
            state.acts = state.harmful = 0

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """A delete after a stop, in-flight work, a resume, and knocking at a closed door."""

        def delete(minute: float) -> Event:
            return sample(minute, kind="delete", action="delete_mail", target=Target(uri="mail://inbox"))

        def knock(minute: float) -> Event:
            return sample(minute, action="read", target=Target(uri="db://payroll"), outcome="denied")

        def door(number: int) -> Event:
            return sample(number / 4, action="read", target=Target(uri=f"db://table-{number}"), outcome="denied")

        return [
            Example("a delete half a minute after a stop", [control("stop", 0), delete(0.5)], ("after_stop",)),
            Example("an act that was under way", [control("stop", 0), delete(0.02)], ()),
            Example("work after a resume", [control("stop", 0), control("resume", 5), delete(6)], ()),
            Example("five denials of one read", [knock(m) for m in range(5)], ("retry_after_denial",)),
            Example(
                "a resume in its own name",
                [control("stop", 0), control("resume", 5, by="agent-1"), delete(6)],
                ("after_stop",),
            ),
            Example("a resume in its own name, told", [control("resume", 0, by="agent-1")], ("forged_order",)),
            Example("a resume by a person", [control("resume", 0)], ()),
            Example("a harmless act first", [control("stop", 0), knock(1), delete(2)], ("after_stop",)),
            Example("twenty denials of different reads", [door(m) for m in range(20)], ("probing",)),
            Example("two denials", [knock(m) for m in range(2)], ()),
        ]


def _denied(state: Orders, context: Context) -> int:
    """Denials of any acts in this row, the one in hand counted."""
    return current(state.denied, context.now, DENIAL_SECONDS).count + 1


def _tries(event: Event, state: Orders, context: Context) -> int:
    """Denials of this act in this row, the one in hand counted."""
    return current(state.denials.get(_act(event)), context.now, DENIAL_SECONDS).count + 1


def _is_forged(event: Event, context: Context) -> bool:
    return not context.heard and event.action in ORDERS


def _count_forged(event: Event, state: Orders, context: Context) -> int:
    """Orders of this issuer in this row, the one in hand counted."""
    return current(state.forged.get(event.actor.id), context.now, FORGED_SECONDS).count + 1


def _is_harmful(event: Event) -> bool:
    return event.kind in HARMFUL and event.outcome == "success"


def _act(event: Event) -> str:
    return f"{event.action or event.kind} {event.target.uri}" if event.target else event.action or event.kind
