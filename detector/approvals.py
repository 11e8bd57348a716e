"""Who may give orders to agents, and who said yes to what: the control events that concern one principal."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, Self, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from detector.events import ActorKind, Event

Answer = Literal["not_needed", "approved", "missing", "denied", "self_approved", "unknown_id", "outworn"]

Order = Literal["approve", "confirm", "deny", "stop", "resume", "rebaseline"]

CAPACITY: Final = 128
VALID_SECONDS: Final = 86400.0
ORDERS: Final[frozenset[str]] = frozenset(get_args(Order))


class Issuer(BaseModel):
    """Somebody whose orders count. Patterns are those of file names; one must fit each list that is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: tuple[str, ...] = Field((), description="Who (`*@oncall.corp.example`); empty: anybody of the other lists.")
    roles: tuple[str, ...] = Field((), description="Roles of these; empty: all.")
    kinds: tuple[ActorKind, ...] = Field(("human", "service"), description="What they are.")
    orders: tuple[Order, ...] = Field(
        ("approve", "confirm", "deny", "stop", "resume"),
        description="What they may order; `rebaseline` only if it is named.",
    )
    agents: tuple[str, ...] = Field((), description="Whom they may order about (`mail-*`); empty: every agent.")

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if not (self.ids or self.roles):
            raise ValueError("would let everybody give orders: name `ids` or `roles`")
        return self

    def gives(self, control: Event) -> bool:
        """Whether the control event is an order of this issuer's."""
        actor = control.actor
        return (
            control.action in self.orders
            and actor.kind in self.kinds
            and fits(self.ids, actor.id)
            and fits(self.roles, actor.role)
            and fits(self.agents, control.principal)
        )


class ControlSettings(BaseModel):
    """Whose control events count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuers: tuple[Issuer, ...] = Field(
        (),
        description="Who may approve, confirm, deny, stop, resume and rebaseline (`ids`, `roles`, `kinds`, `orders`, "
        "`agents`), but nobody himself; none: any person or service, a stop may come from anybody, and a rebaseline "
        "from nobody.",
    )

    def hears(self, control: Event) -> bool:
        """Whether the order of a control event counts. Nobody is heard in its own name, but to stop itself.

        With no issuers named, people and services may give orders; a stop may come from anybody, another agent
        that watches it included, and the order to forget what is usual (`rebaseline`) from nobody.
        """
        actor = control.actor
        if not self.issuers and control.action == "stop":
            return True
        if actor.id == control.principal:
            return False
        if self.issuers:
            return any(issuer.gives(control) for issuer in self.issuers)
        return actor.kind != "agent" and control.action != "rebaseline"

    def vouches(self, act: Event) -> bool:
        """Whether the approver that an act names inline may approve it; by the id alone, for no more is said of it."""
        by = act.approval.by if act.approval is not None else None
        if by is None or not self.issuers:
            return True
        return any(
            issuer.ids and "approve" in issuer.orders and fits(issuer.ids, by) and fits(issuer.agents, act.principal)
            for issuer in self.issuers
        )


def fits(patterns: Sequence[str], name: str) -> bool:
    """Whether a name fits one of the patterns (those of file names), or there are none."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


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

    A later answer to the same request replaces the earlier one. A yes holds for one kind of act and for a day.
    """

    rulings: dict[str, Ruling] = {}

    def record(self, control: Event, time: float) -> bool:
        """Take in an approve, confirm or deny of somebody who may give it; returns whether it was one."""
        approval = control.approval
        if approval is None or not approval.id or control.action not in {"approve", "confirm", "deny"}:
            return False
        self.rulings.pop(approval.id, None)
        if len(self.rulings) >= CAPACITY:
            del self.rulings[next(iter(self.rulings))]
        self.rulings[approval.id] = Ruling(control.action != "deny", control.actor.id, time)
        return True

    def answer(self, event: Event, time: float, *, required: bool, vouched: bool = True) -> Answer:
        """Whether `event` at `time` (unix seconds) has the yes that it needs, and if not, what it lacks.

        A person's or service's act may name its approver inline (`approval.by`), who must be one that may
        (`vouched`); an agent's claim of who approved counts only when the approver's own control event was seen.
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
        return "approved" if approval.by and vouched and event.actor.kind != "agent" else "unknown_id"

    def use(self, event: Event) -> None:
        """Bind a yes to the kind of act that it was first used for."""
        ruling = self.rulings.get(event.approval.id or "") if event.approval is not None else None
        if ruling is not None and ruling.granted and not ruling.kind:
            ruling.kind = event.kind


def stopped_after(control: Event, stopped: bool, *, heard: bool) -> bool:
    """Whether the agent is under a stop after a control event, given whether it was before and is heard now."""
    if heard and control.action in {"stop", "resume"}:
        return control.action == "stop"
    return stopped
