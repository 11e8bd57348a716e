"""Evaluation: what counts as caught, as in time, as a false alarm, and how runs are summed up."""

import gzip
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from detector import assembly
from detector.cli import app
from detector.config import Config
from detector.detectors.base import START, control, sample
from detector.evaluate import in_memory, run
from detector.evaluation import LIBRARIES, Evaluation, Origin, Outcome, Spread, summarise
from detector.evaluation_screen import evaluation_table
from detector.events import Approval, Destination, Event, Target
from detector.scenario import Expectation

ASKED = Approval(required=True)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def deletions(*minutes: float) -> list[Event]:
    target = Target(uri="mail://inbox/alice", type="mailbox")
    return [sample(m, kind="delete", action="mail.delete", target=target, records=5, approval=ASKED) for m in minutes]


def label(first: float = 0.0, last: float = 30.0, **alert: Any) -> dict[str, Any]:
    wanted = {"names": ["agent-1"], "severity": "SEV2", "within_seconds": 60, "detectors": ["unapproved_action"]}
    return {
        "scenario": "deletion",
        "seed": 3,
        "first_harm": {"event_id": f"e-{first:g}", "time": at(first).isoformat()},
        "incident": {
            "from": at(first).isoformat(),
            "to": at(last).isoformat(),
            "principals": ["agent-1", "alice"],
            "event_ids_of_story": {"first_transfer": "e-out-0"},
        },
        "alerts": [wanted | alert],
    }


def play(events: list[Event], labelled: dict[str, Any] | None) -> Outcome:
    expected = None if labelled is None else Expectation.model_validate(labelled)
    return run(in_memory("deletion", "plain", events, expected), Config())


def test_a_caught_incident_is_in_time_and_as_grave_as_it_should_be() -> None:
    detection = play(deletions(0), label()).detection
    assert detection is not None
    assert (detection.detected, detection.in_time, detection.right_severity) == (True, True, True)
    assert (detection.seconds, detection.seconds_to_severity, detection.alerts) == (0.0, 0.0, 1)
    assert (detection.missing_detectors, detection.missing_names, detection.share_out) == ((), (), None)


def test_an_alert_after_the_bound_is_late() -> None:
    detection = play(deletions(2), label(first=0)).detection
    assert detection is not None
    assert (detection.detected, detection.in_time, detection.seconds) == (True, False, 120.0)


def test_what_is_missing_is_named() -> None:
    wanted = label(names=["agent-1", "bob"], severity="SEV1", detectors=["unapproved_action", "stop_violation"])
    detection = play(deletions(0), wanted).detection
    assert detection is not None
    assert detection.missing_names == ("bob",)
    assert detection.missing_detectors == ("stop_violation",)
    assert not detection.right_severity
    assert detection.seconds_to_severity is None


def test_an_incident_without_an_alert_is_missed() -> None:
    events = [event for event in deletions(0) if event.kind != "delete"] + [sample(0)]
    detection = play(events, label()).detection
    assert detection is not None
    assert (detection.detected, detection.in_time, detection.severity, detection.seconds) == (False, False, None, None)


def test_an_alert_about_a_bystander_catches_nothing() -> None:
    detection = play(deletions(0), label(names=["someone-else"])).detection
    assert detection is not None
    assert not detection.detected


def test_an_alert_outside_the_incident_is_a_false_alarm() -> None:
    outcome = play(deletions(0, 400), label(first=400, last=430))
    assert [alarm.severity for alarm in outcome.loud] == ["SEV2"]
    assert outcome.detection is not None
    assert outcome.detection.in_time


def test_all_alerts_of_a_look_alike_and_of_clean_days_are_false() -> None:
    look_alike = label() | {"alerts": []}
    for labelled in (look_alike, None):
        outcome = play(deletions(0), labelled)
        assert outcome.detection is None
        assert [alarm.detectors for alarm in outcome.loud] == [("unapproved_action",)]


def test_the_share_that_left_counts_transfers_of_the_story_up_to_the_alert() -> None:
    def sent(minute: float, host: str, count: int, name: str) -> Event:
        to = Destination(host=host, zone="approved")
        return sample(minute, id=name, kind="transfer", action="upload", destination=to, bytes_out=count)

    events = [
        sent(1, "drop.example", 300, "e-out-0"),
        sent(2, "usual.example", 9_000, "e-other"),
        *deletions(3),
        sent(4, "drop.example", 700, "e-out-1"),
    ]
    detection = play(events, label(first=0)).detection
    assert detection is not None
    assert detection.share_out == pytest.approx(0.3)


def test_families_are_summed_up() -> None:
    outcomes = [
        play(deletions(0), label()),
        play(deletions(2), label(first=0)),
        play([control("approve", 0), sample(1440)], label()),
    ]
    evaluation = summarise(outcomes)
    (result,) = evaluation.families
    assert (result.runs, result.incidents, result.detected, result.in_time, result.right_severity) == (3, 3, 2, 1, 2)
    assert result.seconds == Spread(0.0, 120.0, 120.0)
    assert result.days == pytest.approx(1.0)
    assert result.loud == 0


def test_false_alarms_are_counted_by_severity_and_cause_and_a_day() -> None:
    evaluation = summarise([play([*deletions(0), sample(2880)], None)])
    assert evaluation.false_alarms == {"SEV2": {"unapproved_action": 1}}
    assert evaluation.families[0].alerts_a_day == {"SEV2": 0.5}


def test_no_values_have_no_spread() -> None:
    assert Spread.of([]) is None


def test_the_command_reads_folders_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "one"
    folder.mkdir(parents=True)
    lines = msgspec.json.Encoder().encode_lines(deletions(0)) + b"not an event\n"
    (folder / "events.ndjson.gz").write_bytes(gzip.compress(lines))
    (folder / "expected.yaml").write_text(yaml.safe_dump(label()), encoding="utf-8")
    target = tmp_path / "numbers.json"
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "logs"), "--json", str(target)])
    assert result.exit_code == 0, result.output
    assert "deletion" in result.output
    numbers = json.loads(target.read_bytes())
    assert numbers["families"][0]["detected"] == 1
    assert numbers["outcomes"][0]["detection"]["seconds"] == 0.0


def test_a_run_goes_on_from_what_came_before_and_leaves_it_as_it_was() -> None:
    before, config = assembly.pipeline(Config()), Config()
    run(in_memory("history", "", [control("stop", 0)]), config, after=before, onward=True)
    later = [sample(1, action="read")]
    outcomes = [run(in_memory("later", "", later), config, after=before) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert [alarm.detectors for alarm in outcomes[0].false_alarms] == [("stop_violation",)]
    assert run(in_memory("later", "", later), config).false_alarms == ()


def test_events_that_were_not_scored_are_counted_and_shown() -> None:
    evaluation = summarise([play([sample(0), sample(0), sample(1)], None)])
    assert evaluation.families[0].unscored == 1
    text = io.StringIO()
    Console(file=text, width=200).print(evaluation_table(evaluation))
    assert "1 EVENTS WERE NOT SCORED" in text.getvalue()


def test_what_was_missed_has_no_evidence() -> None:
    missed = summarise([play([control("approve", 0), sample(1440)], label(detectors=[], names=[]))])
    assert (missed.families[0].detected, missed.families[0].right_detectors, missed.families[0].all_named) == (0, 0, 0)


def test_an_evaluation_says_where_it_comes_from_and_is_read_back() -> None:
    origin = Origin.of("2026-03-02", [1, 3])
    assert origin.versions.keys() == {"detector", "python", *LIBRARIES}
    evaluation = summarise([play(deletions(0), label())], origin=origin)
    assert msgspec.json.decode(msgspec.json.encode(evaluation), type=Evaluation) == evaluation
