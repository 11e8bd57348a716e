"""Who said yes to what: the approvals and confirmations that concern one principal."""

from typing import Final, Literal

import msgspec

from detector.events import Event

Answer = Literal["not_needed", "approved", "missing", "denied", "self_approved", "unknown_id"]

CAPACITY: Final = 128


class Ruling(msgspec.Struct, array_like=True):
    """One answer to one request: yes or no, by whom, when (unix seconds)."""

    granted: bool
    by: str
    time: float


class ApprovalLedger(msgspec.Struct):
    """Answers by approval id, the latest `CAPACITY` kept.

    Only somebody else may answer: a principal that approves its own request, and an agent that approves
    another's, are not heard. A later answer to the same request replaces the earlier one.
    """

    rulings: dict[str, Ruling] = {}

    def record(self, control: Event, time: float) -> bool:
        """Take in an approve, confirm or deny; returns whether it was heard."""
        approval = control.approval
        if approval is None or not approval.id or control.action not in {"approve", "confirm", "deny"}:
            return False
        if control.actor.kind == "agent" or control.actor.id == control.principal:
            return False
        self.rulings.pop(approval.id, None)
        if len(self.rulings) >= CAPACITY:
            del self.rulings[next(iter(self.rulings))]
        self.rulings[approval.id] = Ruling(control.action != "deny", control.actor.id, time)
        return True

    def answer(self, event: Event, *, required: bool) -> Answer:
        """Whether `event` has the yes that it needs, and if not, what it lacks.

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
            return "approved" if ruling.granted else "denied"
        return "approved" if approval.by and event.actor.kind != "agent" else "unknown_id"
