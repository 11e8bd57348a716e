"""The ablation's table: each part is off once, and what changes is told by family."""

import msgspec

from detector.detectors import REGISTRY
from detector.evaluation import Detection, FalseAlarm, Outcome
from detector.severity import Severity
from tests.support.ablation import BY_CHOICE, WHOLE, Ablation, configurations, markdown, summarise


def outcome(family: str, seconds: float | None, *alarms: Severity) -> Outcome:
    detection = Detection("SEV2", 60.0, int(seconds is not None), "SEV2" if seconds is not None else None,
                          seconds, seconds, None, (), ())  # fmt: skip
    false = tuple(FalseAlarm(severity, (), (), "") for severity in alarms)
    return Outcome(family, "plain", 1, 10, 1.0, detection, false)


def test_every_detector_that_runs_is_off_in_one_configuration() -> None:
    found = configurations()
    running = {name for name, detector in REGISTRY.items() if detector.Settings().enabled} - BY_CHOICE
    assert {WHOLE, *running} <= set(found)
    for name in running:
        assert not getattr(found[name].detectors, name).enabled
        assert getattr(found[WHOLE].detectors, name).enabled


def test_what_a_part_adds_is_told() -> None:
    ablation = summarise(
        {
            WHOLE: [outcome("leak", 0.0), outcome("leak", 30.0), outcome("wipe", 90.0, "SEV3")],
            "one": [outcome("leak", None), outcome("leak", 70.0), outcome("wipe", 20.0)],
            "two": [outcome("leak", 0.0), outcome("leak", 30.0), outcome("wipe", 90.0, "SEV3", "SEV2")],
        }
    )
    assert ablation.without[0].missed_in == {"leak": 2, "wipe": -1}
    assert markdown(ablation).splitlines()[2:] == [
        "| nothing | 3 of 3 | 2 | 3 | 30 | 0 | 1 | |",
        "| `one` | -1 | -1 | -1 | 45 | 0 | -1 | leak -2, wipe +1 |",
        "| `two` | 0 | 0 | 0 | 30 | +1 | +1 |  |",
    ]
    assert msgspec.json.decode(msgspec.json.encode(ablation), type=Ablation) == ablation
