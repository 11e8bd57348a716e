"""Who said yes to what: the approvals and confirmations that concern one principal."""

from typing import Final, Literal

import msgspec

from detector.events import Event

Answer = Literal["not_needed", "approved", "missing", "denied", "self_approved", "unknown_id", "outworn"]

CAPACITY: Final = 128
VALID_SECONDS: Final = 86400.0


class Ruling(msgspec.Struct, array_like=True):
    """One answer to one request: yes or no, by whom, when (unix seconds), and for which kind of act.

    `kind` is that of the first act it was used for: a yes to a post is none to a delete.
    """

    granted: bool
    by: str
    time: float
    kind: str = ""


class ApprovalLedger(msgspec.Struct):
    """Answers by approval id, the latest `CAPACITY` kept.

    Only somebody else may answer: a principal that approves its own request, and an agent that approves
    another's, are not heard. A later answer to the same request replaces the earlier one. A yes holds for one
    kind of act and for a day.
    """

    rulings: dict[str, Ruling] = {}

    def record(self, control: Event, time: float) -> bool:
        """Take in an approve, confirm or deny; returns whether it was heard."""
        approval = control.approval
        if approval is None or not approval.id or control.action not in {"approve", "confirm", "deny"}:
            return False
        if not may_order(control):
            return False
        self.rulings.pop(approval.id, None)
        if len(self.rulings) >= CAPACITY:
            del self.rulings[next(iter(self.rulings))]
        self.rulings[approval.id] = Ruling(control.action != "deny", control.actor.id, time)
        return True

    def answer(self, event: Event, time: float, *, required: bool) -> Answer:
        """Whether `event` at `time` (unix seconds) has the yes that it needs, and if not, what it lacks.

        A person's or service's act may name its approver inline (`approval.by`); an agent's claim of who
        approved counts only when the approver's own control event was seen.
        """
        approval = event.approval
        if approval is None or not (approval.id or approval.by):
            return "missing" if required else "not_needed"
        if approval.by == event.actor.id:
            return "self_approved"
        ruling = self.rulings.get(approval.id) if approval.id else None
        if ruling is not None:
            if not ruling.granted:
                return "denied"
            fits = ruling.kind in {"", event.kind} and time - ruling.time <= VALID_SECONDS
            return "approved" if fits else "outworn"
        return "approved" if approval.by and event.actor.kind != "agent" else "unknown_id"

    def use(self, event: Event) -> None:
        """Bind a yes to the kind of act that it was first used for."""
        ruling = self.rulings.get(event.approval.id or "") if event.approval is not None else None
        if ruling is not None and ruling.granted and not ruling.kind:
            ruling.kind = event.kind


def may_order(control: Event) -> bool:
    """Whether the issuer of a control event may stop, resume, approve or deny the agent that it concerns.

    People and services may, agents may not, and nobody may order itself about.
    """
    return control.actor.kind != "agent" and control.actor.id != control.principal


def stopped_after(control: Event, stopped: bool) -> bool:
    """Whether the agent is under a stop after a control event, given whether it was before.

    Anybody may stop an agent, another agent that watches it included; only who may order it may resume it.
    """
    if control.action == "stop":
        return True
    return stopped and not (control.action == "resume" and may_order(control))
