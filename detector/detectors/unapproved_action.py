"""Acts that needed a person's yes and were done without it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from detector.approvals import Answer
from detector.detectors.base import (
    ATLAS,
    OWASP_AGENTIC,
    Context,
    Example,
    StructDetector,
    control,
    sample,
)
from detector.detectors.rows import Row, count_on, current, is_milestone
from detector.events import Approval, Event, Kind
from detector.findings import Finding
from detector.severity import Severity
from detector.wording import number

OWASP_LLM: Final = "OWASP-LLM-2026"

# A row of like acts is reported at its first, tenth, hundredth … within this many seconds.
ROW_SECONDS: Final = 3600.0
ROWS_MOST: Final = 64

_SEVERITY: Final[Mapping[Kind, Severity]] = {
    "delete": "SEV2",
    "permission": "SEV2",
    "transfer": "SEV2",
    "publish": "SEV3",
    "call": "SEV3",
    "access": "SEV3",
}
_LACK: Final[Mapping[Answer, str]] = {
    "missing": "nobody had approved or confirmed it",
    "denied": "it had been denied",
    "self_approved": "it had approved that itself",
    "unknown_id": "no approval with the id that it gave was ever seen",
    "outworn": "the approval that it gave was for another kind of act, or is more than a day old",
}


class Rows(msgspec.Struct):
    """Rows of unapproved acts by kind of event, by what they lacked, and by thread; the latest kept."""

    rows: dict[str, Row] = {}


class UnapprovedAction(StructDetector[Rows]):
    """An act that the charter or the source marks as needing a yes, without one that counts."""

    name = "unapproved_action"
    rules: ClassVar[Mapping[str, str]] = {
        "missing": "did what needed approval or confirmation, without it",
        "denied": "did what it had been denied",
        "self_approved": "approved its own act",
        "unknown_id": "claimed an approval that was never seen",
        "outworn": "used an approval again that was given for something else",
    }
    runbook = "Undo the act or have it approved after the fact; find out why the confirmation step was passed by."
    tags = (
        f"{OWASP_AGENTIC}:ASI09",
        f"{OWASP_AGENTIC}:ASI10",
        f"{OWASP_LLM}:LLM03",
        f"{ATLAS}:AML.T0053",
    )
    kinds = frozenset({"access", "transfer", "call", "permission", "publish", "delete"})
    State = Rows

    def concerns(self, event: Event, state: Rows, context: Context) -> bool:  # noqa: ARG002
        """What lacks the yes that it needs."""
        return context.answer not in {"not_needed", "approved"}

    def detect(self, event: Event, state: Rows, context: Context) -> Iterator[Finding]:
        """A finding at the first such act, the tenth, the hundredth and so on."""
        if event.outcome != "success":
            return
        count = current(state.rows.get(_row_key(event, context)), context.now, ROW_SECONDS).count + 1
        if not is_milestone(count):
            return
        severity: Severity = "SEV1" if context.answer == "denied" else _SEVERITY[event.kind]
        target = f" {event.target.uri}" if event.target is not None else ""
        times = "" if count == 1 else f", {number(count)} times in a row"
        yield self.finding(
            event,
            context,
            context.answer,
            severity,
            f"{context.principal.id} did {event.action or event.kind}{target}{times}, and {_LACK[context.answer]}",
            score=1.0,
            evidence={
                "kind": event.kind,
                "action": event.action,
                "count": count,
                "answer": context.answer,
                "target": event.target.uri if event.target is not None else None,
            },
        )

    def suspects(self, event: Event, state: Rows, context: Context) -> bool:  # noqa: ARG002
        """Whatever lacks its yes."""
        return True

    def learn(self, event: Event, state: Rows, context: Context, found: Sequence[Finding]) -> None:  # noqa: ARG002
        """Count the row on."""
        if event.outcome == "success":
            count_on(state.rows, _row_key(event, context), context.now, ROW_SECONDS, ROWS_MOST)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Posts with no yes, a foreign yes, its own yes, a no; and one that was approved."""

        def post(minute: float, approval: Approval) -> Event:
            return sample(minute, kind="publish", action="forum_post", approval=approval)

        def asked(request: str) -> Approval:
            return Approval(required=True, id=request)

        return [
            Example("a post without approval", [post(0, Approval(required=True))], ("missing",)),
            Example("a post with an id nobody gave", [post(0, asked("A-1"))], ("unknown_id",)),
            Example(
                "a post that it approved itself",
                [post(0, Approval(required=True, id="A-1", by="agent-1"))],
                ("self_approved",),
            ),
            Example(
                "a post after a no",
                [control("deny", 0, approval=asked("A-1")), post(1, asked("A-1"))],
                ("denied",),
            ),
            Example(
                "a post after a yes",
                [control("approve", 0, approval=asked("A-1")), post(1, asked("A-1"))],
                (),
            ),
            Example(
                "a delete with the yes to a post",
                [
                    control("approve", 0, approval=asked("A-1")),
                    post(1, asked("A-1")),
                    sample(2, kind="delete", approval=asked("A-1")),
                ],
                ("outworn",),
            ),
            Example("a post that needs none", [post(0, Approval())], ()),
        ]


def _row_key(event: Event, context: Context) -> str:
    return f"{event.kind} {context.answer} {event.thread or ''}"
