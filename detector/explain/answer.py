"""An alert, a finding or an event explained: its numbers, its limit, the hours before it, and what would change it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detector.audit import why, why_not
from detector.audit.answer import Answer, AuditError, Table, records, table
from detector.config import Config
from detector.explain.hours import before
from detector.explain.remedies import remedies
from detector.severity import rank
from detector.store.client import Store
from detector.wording import number, probability

_EVENT: Final = "SELECT principal, time FROM events WHERE id = {id:String} ORDER BY time LIMIT 1"
_OF_EVENT: Final = "SELECT * FROM findings WHERE event_id = {id:String} ORDER BY time, id"
_OF_ALERT: Final = """
SELECT *
FROM findings
WHERE id IN (SELECT arrayJoin(finding_ids) FROM alerts_data WHERE id = {id:String})
ORDER BY time, id
"""
_OF_ID: Final = "SELECT * FROM findings WHERE id = {id:String}"

# What is evidence, and says nothing that the reason does not.
_INNER: Final = frozenset({"overrides"})


def answer(store: Store, identity: str, config: Config | None = None, most: int = why_not.MOST) -> Answer:
    """Explain what has an id: `a-…` an alert, by its gravest finding, `f-…` a finding, else an event.

    Args:
        store: The event store.
        identity: The id.
        config: What to judge by; that which was in force if not given.
        most: Events to play again at most.

    Raises:
        AuditError: There is none of that id.
    """
    findings = _findings(store, identity)
    if not findings:
        return _of_event(store, identity, config, most, {})
    lead = min(findings, key=lambda one: (bool(one["suppressed"]), rank(one["severity"]), -one["score"], one["time"]))
    facts = _of_alert(store, identity, lead, findings) if identity.startswith("a-") else {}
    facts["finding"] = f"{lead['id']} {lead['severity']} {lead['detector']}/{lead['rule']}"
    facts["why"] = lead["reason"]
    facts["score"] = _score(lead)
    told = _of_event(store, lead["event_id"], config, most, facts)
    told.tables = [_numbers(lead), *told.tables, _ways(lead)]
    return told


def _findings(store: Store, identity: str) -> list[dict[str, Any]]:
    statement = _OF_ALERT if identity.startswith("a-") else _OF_ID if identity.startswith("f-") else _OF_EVENT
    found = records(store.client.query(statement, parameters={"id": identity}))
    if not found and identity.startswith(("a-", "f-")):
        raise AuditError(f"no alert or finding {identity!r} in the store: alerts are a-…, findings f-…, else an event")
    for row in found:
        evidence = row["evidence"]
        row["evidence"] = msgspec.json.decode(evidence) if isinstance(evidence, str | bytes) else evidence
    return found


def _of_alert(store: Store, identity: str, lead: Mapping[str, Any], findings: list[dict[str, Any]]) -> dict[str, Any]:
    """What an alert adds to its gravest finding."""
    facts = why.answer(store, identity).facts
    kept = {name: facts[name] for name in ("alert", "raised", "risk", "findings", "do")}
    others = [row for row in findings if row["id"] != lead["id"] and not row["suppressed"]]
    grave = sorted({row["detector"] for row in others if rank(row["severity"]) <= rank("SEV3")} - {lead["detector"]})
    if grave:
        kept["besides"] = f"findings of {', '.join(grave)}: without the one below, they may be an alert by themselves"
    return kept


def _score(finding: Mapping[str, Any]) -> str:
    p_value = finding["p_value"]
    if p_value is None and finding["score"] <= 1.0:
        return f"{finding['score']:g}, of a fixed rule: no threshold"
    return f"{finding['score']:g}" + (f" ({probability(p_value)})" if p_value is not None else "")


def _of_event(store: Store, event_id: str, config: Config | None, most: int, facts: dict[str, Any]) -> Answer:
    """What the detectors made of an event against their limits, and the hours before it."""
    judged = why_not.answer(store, event_id, config, most)
    detectors = _asked(judged.tables[0])
    rows = records(store.client.query(_EVENT, parameters={"id": event_id}))
    told = Answer([detectors, before(store, rows[0]["principal"], rows[0]["time"])], {**facts, **judged.facts})
    told.notes = list(judged.notes)
    idle = [row["detector"] for row in judged.tables[0].dicts() if row["asked"] != "yes"]
    told.notes.append(f"Not asked, as it is not their kind of act or nothing for them to look at: {', '.join(idle)}.")
    if not facts:
        told.facts["nearest"] = _nearest(detectors)
    return told


def _asked(detectors: Table) -> Table:
    """The detectors that looked at the event."""
    columns = tuple(name for name in detectors.columns if name != "asked")
    rows = [row for row in detectors.dicts() if row["asked"] == "yes"]
    asked = table(detectors.name, detectors.title, rows, columns, [n for n in detectors.shown if n != "asked"])
    asked.note = detectors.note
    return asked


def _nearest(detectors: Table) -> str:
    """Of an event without findings, the score that came nearest to its limit."""
    scored = [row for row in detectors.dicts() if row["near"] is not None]
    if not scored:
        return "no detector weighs anything in it: fixed rules find it in order"
    best = max(scored, key=lambda row: (row["near"], row["detector"]))
    return (
        f"{best['detector']} ({best['channel']}): {best['score']:.3g} of {best['limit']:.3g}; a `threshold` below "
        f"{best['score']:.3g} in an override would make it a finding"
    )


def _numbers(finding: Mapping[str, Any]) -> Table:
    """What was seen against what was expected, and the rest of the evidence."""
    rows = [
        (name.replace("_", " "), _plain(value)) for name, value in finding["evidence"].items() if name not in _INNER
    ]
    return Table("numbers", "The numbers behind it", ("name", "value"), list(rows))


def _plain(value: Any) -> str:
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else f"{value}"


def _ways(finding: Mapping[str, Any]) -> Table:
    rows = [(each.way, each.effect, each.setting) for each in remedies(finding)]
    ways = Table("otherwise", "What it would take for it not to be told", ("way", "effect", "setting"), list(rows))
    ways.note = "Fill in the reason and the owner, review, and try it on history: detector backtest --config NEW."
    return ways
