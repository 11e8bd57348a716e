"""Something that holds much, copied or handed over whole by one act whose volume nobody tells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from detector.detectors.base import (
    ATLAS,
    ATTACK,
    OWASP_AGENTIC,
    Context,
    DetectorSettings,
    Example,
    StructDetector,
    sample,
)
from detector.detectors.familiar import Familiar, days_before, kin_of, others_flag
from detector.detectors.holdings import act_of, by_service, exported
from detector.detectors.rating import rated, told_of
from detector.events import Actor, Destination, Event, Kind, Target
from detector.findings import Finding

# Attribute of a read that asked for all there is of a kind, and of what.
WHOLE = "whole"


class Exports(msgspec.Struct):
    """What a principal exports by habit."""

    familiar: Familiar = msgspec.field(default_factory=Familiar)


class BulkExport(StructDetector[Exports]):
    """Exports, copies and hand-overs of whole stores, and reads of all secrets at once.

    The first steps of taking data out of a cloud move no bytes that its audit log counts: a snapshot is made, a
    table exported, a repository transferred. Where a source tells volumes, `transfer_rate` judges.
    """

    name = "bulk_export"
    rules: ClassVar[Mapping[str, str]] = {
        "copied": "copied or exported a whole store",
        "handed_over": "handed a whole store over to another owner",
        "all_secrets": "read all secrets at once",
    }
    runbook = "See who may reach the copy and who asked for it; delete the copy or call back the transfer."
    tags = (f"{OWASP_AGENTIC}:ASI02", f"{ATLAS}:AML.T0086", f"{ATTACK}:T1537", f"{ATTACK}:T1530", f"{ATTACK}:T1555.006")
    kinds = frozenset({"transfer", "access", "call"})
    State = Exports

    class Settings(DetectorSettings):
        """What counts as habit for `bulk_export`."""

        habit_days: int = Field(3, ge=1, description="Days with like exports after which these are a habit, not told.")

    settings: Settings

    def concerns(self, event: Event, state: Exports, context: Context) -> bool:  # noqa: ARG002
        """Acts that take a whole."""
        return bool(_meaning(event)[0])

    def detect(self, event: Event, state: Exports, context: Context) -> Iterator[Finding]:
        """One finding for an act that took a whole, unless it is habit."""
        rule, what = _meaning(event)
        if not state.familiar.is_news(act_of(event), context):
            return
        least = self.settings.habit_days
        standing = state.familiar.standing(act_of(event), context, least, kin_of(event.target))
        severity = rated(standing, event, context, guarded=rule != "copied")
        if severity is None:
            return
        approved = context.answer == "approved"
        before = state.familiar.known(act_of(event), context.now)
        uri = event.target.uri if event.target else "an unnamed one"
        to = event.destination
        place = (to.account or to.recipient or to.host) if to is not None and to.zone != "internal" else None
        where = f" to {place}" if place else ""
        yield self.finding(
            event,
            context,
            rule,
            severity,
            f"{context.principal.id} {self.rules[rule]}: {what}, {uri} ({act_of(event)}){where}; it had done so "
            f"{days_before(before)}, {least} make a habit{told_of(standing)}"
            f"{'; approved' if approved else ''}",
            score=1.0 / (1.0 + before),
            entities=(f"resource:{event.target.uri}",) if event.target else (),
            evidence={
                "what": what,
                "place": place,
                "days_before": before,
                "standing": standing,
                "answer": context.answer,
            },
        )

    def learn(self, event: Event, state: Exports, context: Context, found: Sequence[Finding]) -> None:
        """Count the export among the habits."""
        if not others_flag(self.name, found):
            state.familiar.learn(act_of(event), context, self.settings.habit_days, kin_of(event.target))

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """A snapshot made, a repository given away, all secrets read; and what is daily work or told in bytes."""

        def act(minute: float, action: str, kind: Kind = "transfer", **fields: Any) -> Event:
            return sample(minute, kind=kind, action=action, target=Target(uri="aws://orders"), **fields)

        backups = [act(1440.0 * day, "rds:CreateDBSnapshot") for day in range(6)]
        service = Actor(id="backup.amazonaws.com", kind="service")
        given = Destination(account="stranger", zone="external")
        every = {WHOLE: "secrets"}
        return [
            Example("a database's snapshot", [act(0, "rds:CreateDBSnapshot")], ("copied",)),
            Example("a table exported after days of backups", [*backups, act(9000, "ExportTable")], ("copied",)),
            Example("a repository given away", [act(0, "repo.transfer", destination=given)], ("handed_over",)),
            Example("all secrets read", [act(0, "list secrets", "access", attributes=every)], ("all_secrets",)),
            Example("a log downloaded", [act(0, "rds:DownloadDBLogFilePortion", "access")], ("copied",)),
            Example("a snapshot each night", backups, ()),
            Example("a snapshot by the backup service", [act(0, "rds:CreateDBSnapshot", actor=service)], ()),
            Example("an export that was refused", [act(0, "ExportTable", outcome="denied")], ()),
            Example("an object put up", [act(0, "s3:PutObject")], ()),
            Example("an export whose bytes are told", [act(0, "ExportTable", bytes_out=2000)], ()),
            Example("one secret read", [act(0, "get secrets", "access")], ()),
        ]


def _meaning(event: Event) -> tuple[str, str]:
    """The rule that an act falls under and what was taken; "" and "" for all others."""
    whole = event.attributes.get(WHOLE) if event.attributes else None
    every = isinstance(whole, str) and event.kind in {"access", "call"}
    what = "" if every else exported(event)
    if not (every or what):
        return "", ""
    if event.outcome != "success" or event.actor.kind == "service" or by_service(event):
        return "", ""
    if every:
        return "all_secrets", f"all {whole}"
    over = "transfer" in act_of(event) and event.kind == "transfer"
    return ("handed_over" if over else "copied"), what
