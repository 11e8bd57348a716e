"""What a training or a comparison tells a person: what the forest stands on, and what it would say beside the rest."""

from pathlib import Path
from typing import Any

from detector.audit.answer import Answer, Table, iso
from detector.train.card import YARDSTICK, Card, Comparison
from detector.wording import duration, number, plural


def told(card: Card, found: Comparison, model: Path) -> Answer:
    """The answer.

    Args:
        card: What the forest was trained on.
        found: How it compares.
        model: Where it is.
    """
    facts: dict[str, Any] = {
        "model": f"{model} (SHA-256 {card.sha256[:16]}…), with its card beside it",
        "trained on": f"{plural(card.training_vectors, 'vector')} of {plural(card.principals, 'principal')}, from "
        f"{iso(card.first)} to {iso(card.held_out_from)}; {number(card.held_out_vectors)} later ones held out",
        "compared on": f"{plural(found.events, 'event')} from {iso(found.first)} to {iso(found.last)}, after "
        f"{number(found.warm_up_events)} to warm up",
        "beside": f"{plural(len(found.detectors), 'detector')} of configuration {found.config}",
        "notes a day": f"{found.notes_a_day:g} ({number(found.notes)} in all), with p at {found.p:g} and each "
        f"principal noted at most once in {duration(found.repeat_after)}",
        "of the hours that the running detectors flag": "there are none"
        if found.noted_share is None
        else f"{found.noted_share:.0%} are strange to the forest too",
    }
    tables = [_hours(found), _levels(found), _overlaps(found), _alone(found)]
    return Answer(tables, facts, notes=_notes(card, found, model))


def _hours(found: Comparison) -> Table:
    rows: list[tuple[Any, ...]] = [(who, hours, f"{share:.2%}") for who, hours, share in found.shares()]
    table = Table("hours", "Hours of principals, by who flags them", ("flagged_by", "hours", "share"), rows)
    table.note = "The running detectors flag by a finding of SEV3 or worse; the forest by a p-value below p."
    return table


def _levels(found: Comparison) -> Table:
    rows: list[tuple[Any, ...]] = [
        (f"{each.p:g}", each.notes, each.notes_a_day, each.both, each.forest_only) for each in found.levels
    ]
    columns = ("p", "notes", "notes_a_day", "hours_of_both", "of_the_forest_only")
    return Table("levels", "What the challenger would note, by the value of p", columns, rows)


def _overlaps(found: Comparison) -> Table:
    rows: list[tuple[Any, ...]] = [(each.detector, each.hours, each.noted) for each in found.overlaps]
    columns = ("running_detector", "hours_flagged", "strange_to_the_forest")
    return Table("overlaps", "What the running detectors flag", columns, rows)


def _alone(found: Comparison) -> Table:
    rows: list[tuple[Any, ...]] = [
        (row.principal, row.role, row.hour, row.acts, row.score, row.p_value, "; ".join(row.reasons) or "nothing alone")
        for row in found.alone
    ]
    columns = ("principal", "role", "hour", "acts", "score", "p", "why")
    shown = ("principal", "hour", "acts", "p", "why")
    return Table("alone", "The strangest hours that only the forest notes", columns, rows, shown)


def _notes(card: Card, found: Comparison, model: Path) -> list[str]:
    notes = [YARDSTICK] if found.first < card.last else []
    if card.least_p_value < found.p:
        return [*notes, f"To switch it on, set detectors.forest_challenger.model to {model}."]
    mute = f"With its `p` of {found.p:g} the challenger would never speak"
    remedy = "Train on a longer history, or set detectors.forest_challenger.p above that."
    return [*notes, f"{mute}: no p-value below {card.least_p_value:.2g} can be told. {remedy}"]
