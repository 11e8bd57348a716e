"""The challenger: it notes once, at the lowest severity, and is silent without a model."""

from collections.abc import Sequence

import msgspec
import pytest

from detector.detectors.base import Example
from detector.detectors.forest_challenger import ForestChallenger
from detector.events import Event
from detector.findings import Finding
from detector.scoring import Scoring
from models.forest import Forest
from tests.support.events import envelope

FIRES = next(example for example in ForestChallenger.examples() if example.fires)


def run(detector: ForestChallenger, events: Sequence[Event]) -> list[tuple[Finding, ...]]:
    scoring = Scoring([detector])
    scoring.open(("events", 0))
    steps = [scoring.step(envelope(event, offset)) for offset, event in enumerate(events)]
    assert not any(step.error for step in steps)
    return [step.findings for step in steps]


@pytest.mark.parametrize("example", ForestChallenger.examples(), ids=lambda example: example.story)
def test_example_fires_what_it_says(example: Example) -> None:
    last = run(ForestChallenger.for_examples(), example.events)[-1]
    assert tuple(finding.rule for finding in last) == example.fires


def test_it_says_what_stands_out_and_pages_nobody() -> None:
    (note,) = run(ForestChallenger.for_examples(), FIRES.events)[-1]
    assert note.severity == "SEV4"
    assert note.p_value == 1e-4
    assert note.evidence["acts"] == 8
    assert note.evidence["features"]["bytes_outside"] > 0.7
    assert "400 MB sent outside" in note.reason
    assert note.reason.endswith("p = 0.0001")


def test_an_hour_is_judged_at_doubling_counts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = ForestChallenger.for_examples()
    judged: list[float] = []
    score = Forest.score_one

    def watched(forest: Forest, vector: Sequence[float]) -> float:
        judged.append(vector[0])
        return score(forest, vector)

    monkeypatch.setattr(Forest, "score_one", watched)
    calm = next(example for example in ForestChallenger.examples() if not example.fires)
    run(detector, calm.events)
    assert len(calm.events) == 8
    assert len(judged) == 4


def test_a_late_act_is_not_judged_with_the_hour_that_is_open() -> None:
    early = msgspec.structs.replace(FIRES.events[0], id="late")
    later = [msgspec.structs.replace(e, time=e.time.replace(hour=10)) for e in FIRES.events]
    found = run(ForestChallenger.for_examples(), [*later[:7], early, later[7]])
    assert [len(findings) for findings in found] == [0] * 8 + [1]


def test_without_a_model_it_is_silent_and_remembers_nothing() -> None:
    detector = ForestChallenger(ForestChallenger.Settings())
    scoring = Scoring([detector])
    scoring.open(("events", 0))
    assert not any(scoring.step(envelope(event)).findings for event in FIRES.events)
    assert detector.dump(detector.new_state()) == [None, None]
    (principal,) = scoring.snapshot(("events", 0))["principals"]
    assert principal[-1] == {"forest_challenger": [None, None]}


def test_what_it_does_not_understand_of_a_saved_state_it_refuses() -> None:
    with pytest.raises(ValueError, match="unpack"):
        ForestChallenger.for_examples().load([None])
