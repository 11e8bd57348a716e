"""What every detector keeps, found by the registry: examples, purity, saved state, bounded memory."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from detector.charter import Charters
from detector.detectors import REGISTRY, build
from detector.detectors.base import Detector, Example
from detector.detectors.sensitive_read import SensitiveRead
from detector.events import Envelope, Event
from detector.findings import Finding
from detector.scoring import Scoring
from tests.support.checks import must_fail

PARTITION = ("events", 0)
ALL = sorted(REGISTRY)


def made(name: str) -> Detector[Any]:
    return REGISTRY[name].for_examples()


def run(scoring: Scoring, events: Sequence[Event], start: int = 0) -> list[tuple[Finding, ...]]:
    """Findings of each event, none of which may make a detector raise."""
    findings = []
    for i, event in enumerate(events):
        scored = scoring.step(Envelope(event, *PARTITION, start + i, event.time.timestamp(), b""))
        assert not scored.error, scored.error
        findings.append(scored.findings)
    return findings


def opened(detector: Detector[Any], example: Example | None = None) -> Scoring:
    """A first stage with one detector, in which the example's charter is that of its agents' role."""
    charters = Charters({"assistant": example.charter}) if example is not None else None
    scoring = Scoring([detector], charters=charters)
    scoring.open(PARTITION)
    return scoring


def examples() -> list[Any]:
    return [
        pytest.param(name, example, id=f"{name}: {example.story}")
        for name in ALL
        for example in REGISTRY[name].examples()
    ]


@pytest.mark.parametrize(("name", "example"), examples())
def test_example_fires_what_it_says(name: str, example: Example) -> None:
    last = run(opened(made(name), example), example.events)[-1]
    assert tuple(finding.rule for finding in last) == example.fires


@pytest.mark.parametrize("name", ALL)
def test_has_both_kinds_of_example(name: str) -> None:
    fires = [bool(example.fires) for example in REGISTRY[name].examples()]
    assert any(fires)
    assert not all(fires)


@pytest.mark.parametrize("name", ALL)
def test_says_what_it_is(name: str) -> None:
    detector = REGISTRY[name]
    assert detector.name == name
    assert detector.tags
    assert detector.kinds
    assert detector.runbook.endswith(".")
    fired = {rule for example in detector.examples() for rule in example.fires}
    assert fired <= set(detector.rules)
    assert detector.__module__ == f"detector.detectors.{name}"


@pytest.mark.parametrize(("name", "example"), examples())
def test_a_restored_state_goes_on_the_same(name: str, example: Example) -> None:
    whole = run(opened(made(name), example), example.events)
    cut = len(example.events) // 2
    first, second = opened(made(name), example), opened(made(name), example)
    run(first, example.events[:cut])
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot(PARTITION)))
    second.open(PARTITION, saved)
    second.settle()
    assert run(second, example.events[cut:], cut) == whole[cut:]


@pytest.mark.parametrize(("name", "example"), examples())
def test_detecting_changes_nothing(name: str, example: Example) -> None:
    check_detecting_changes_nothing(made(name), example)


def check_detecting_changes_nothing(detector: Detector[Any], example: Example) -> None:
    scoring = opened(detector, example)
    run(scoring, example.events[:-1])
    seen: list[bytes] = []
    concerned: list[bool] = []

    def ask(event: Event, state: Any, context: Any) -> bool:
        before = msgspec.msgpack.encode(detector.dump(state))
        concerned.append(type(detector).concerns(detector, event, state, context))
        assert msgspec.msgpack.encode(detector.dump(state)) == before, "concerns changed the state"
        return concerned[-1]

    def watch(event: Event, state: Any, context: Any) -> Any:
        before = msgspec.msgpack.encode(detector.dump(state))
        found = list(type(detector).detect(detector, event, state, context))
        seen.append(before)
        assert msgspec.msgpack.encode(detector.dump(state)) == before, "detect changed the state"
        return found

    detector.detect, detector.concerns = watch, ask  # type: ignore[method-assign]
    run(scoring, example.events[-1:], len(example.events))
    assert bool(seen) == any(concerned)
    assert concerned or example.events[-1].kind not in detector.kinds


def test_a_detector_that_learns_while_it_detects_is_caught() -> None:
    class Hasty(SensitiveRead):
        def detect(self, event: Event, state: Any, context: Any) -> Any:
            state.total += 1
            return super().detect(event, state, context)

    hasty = Hasty(Hasty.Settings())
    must_fail(lambda: check_detecting_changes_nothing(hasty, hasty.examples()[0]))


def test_a_disabled_detector_does_not_run() -> None:
    settings = {"sensitive_read": REGISTRY["sensitive_read"].Settings(enabled=False)}
    assert "sensitive_read" not in {detector.name for detector in build(settings)}
    assert len(build()) == len(REGISTRY)


@pytest.mark.parametrize("name", ALL)
def test_state_stays_small_under_a_flood_of_names(name: str) -> None:
    """Ten thousand hosts, resources, approvals and acts of one principal: the state must not follow."""
    detector = made(name)
    example = next(example for example in REGISTRY[name].examples() if example.fires)
    scoring = opened(detector, example)
    template = example.events[-1]
    for i in range(10_000):
        scoring.step(Envelope(flooded(template, i), *PARTITION, i, 1e12, b""))
    size = len(msgspec.msgpack.encode(scoring.snapshot(PARTITION)["principals"]))
    assert size < 64 * 1024


def flooded(template: Event, i: int) -> Event:
    """The template with every name in it made unique."""
    fields: dict[str, Any] = {"id": f"flood-{i}", "action": f"act-{i}"}
    if template.target is not None and template.kind != "control":
        fields["target"] = msgspec.structs.replace(template.target, uri=f"https://host-{i}.example/p")
    if template.destination is not None:
        fields["destination"] = msgspec.structs.replace(template.destination, host=f"host-{i}.example")
    if template.permission is not None:
        fields["permission"] = msgspec.structs.replace(
            template.permission, grantee=f"user-{i}", expires_at=template.time
        )
    return msgspec.structs.replace(template, **fields)
