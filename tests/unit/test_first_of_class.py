"""Data of a class that is new to a role: told once for the role, then noted."""

from detector import assembly
from detector.config import Config
from detector.detectors.base import sample
from detector.events import Actor, Envelope, Event, Sensitivity, Target
from detector.findings import Finding


def touch(who: int, hour: float, sensitivity: Sensitivity) -> Event:
    return sample(
        60.0 * hour, id=f"e-{who}-{hour:g}-{sensitivity}", actor=Actor(id=f"agent-{who}", role="assistant"),
        target=Target(uri=f"db://crm/{sensitivity}", sensitivity=sensitivity),
    )  # fmt: skip


def found(events: list[Event]) -> list[Finding]:
    scoring = assembly.scoring(Config())
    scoring.open(("events", 0))
    envelopes = (Envelope(event, "events", 0, n, 4e12, b"") for n, event in enumerate(events))
    return [
        finding
        for envelope in envelopes
        for finding in scoring.step(envelope).findings
        if finding.rule == "first_of_class"
    ]


def test_a_class_that_is_new_to_a_role_is_told_once_and_then_noted() -> None:
    usual = [touch(who, hour, "internal") for hour in range(120) for who in range(3)]
    first, second, third = (touch(who, 121.0 + 2 * who, "restricted") for who in range(3))
    assert [f.severity for f in found([*usual, first])] == ["SEV3"]
    told = found([*usual, first, second, third])
    assert [(f.principal, f.severity) for f in told] == [
        ("agent-0", "SEV3"), ("agent-1", "SEV4"), ("agent-2", "SEV4"),
    ]  # fmt: skip
