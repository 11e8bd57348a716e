"""The four stories: caught, in time, as grave as they are, by the right detectors, and nothing else."""

import time
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from detector import assembly
from detector.alerts import Alert
from detector.config import Config
from detector.decoding import Decoder
from detector.replay import Replay
from detector.scenario import Scenario, scenarios
from detector.severity import at_least
from detector.sinks.base import Batch, Noun, Refused, Sink
from detector.sinks.files import NdjsonSink
from detector.sources.files import FileSource

SAMPLES = Path(__file__).parents[2] / "sample_logs"
ALL = {scenario.expected.scenario: scenario for scenario in scenarios(SAMPLES)}


class Versions(Sink):
    """Keeps every version of every alert, in order."""

    name = "versions"
    accepts: frozenset[Noun] = frozenset({"alerts"})

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def write(self, batch: Batch) -> list[Refused]:
        self.alerts += batch.alerts
        return []

    def close(self) -> None:
        """Nothing is held."""


def play(scenario: Scenario, *sinks: Sink) -> Replay:
    replay = Replay(assembly.pipeline(Config()), Decoder("native"), sinks)
    replay.run(FileSource(scenario.events, time.time))
    return replay


@cache
def versions(name: str) -> list[Alert]:
    kept = Versions()
    play(ALL[name], kept)
    return kept.alerts


def caught(name: str) -> list[Alert]:
    """Versions of the alert that names whom the scenario's only expected alert must name, at its end."""
    expected = ALL[name].expected
    (wanted,) = expected.alerts
    last = {alert.id: alert for alert in versions(name)}
    ids = [alert.id for alert in last.values() if set(wanted.names) <= set(alert.principals)]
    assert len(ids) == 1, f"{len(ids)} alerts name {wanted.names}"
    return [alert for alert in versions(name) if alert.id == ids[0]]


def test_there_are_the_four_stories() -> None:
    assert set(ALL) == {"moderation_exfil", "sandbox_escalation", "advice_exposure", "inbox_deletion"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_one_alert_names_everybody_by_the_right_detectors(name: str) -> None:
    (wanted,) = ALL[name].expected.alerts
    final = caught(name)[-1]
    assert set(wanted.detectors) <= set(final.detectors)
    assert final.severity == wanted.severity


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_alert_is_raised_in_time(name: str) -> None:
    expected = ALL[name].expected
    (wanted,) = expected.alerts
    assert expected.seconds_to(caught(name)[0]) <= wanted.within_seconds


@pytest.mark.parametrize("name", sorted(ALL))
def test_it_is_as_grave_as_it_should_be_within_two_minutes(name: str) -> None:
    expected = ALL[name].expected
    (wanted,) = expected.alerts
    graver = [alert for alert in caught(name) if at_least(alert.severity, wanted.severity)]
    assert graver[0].updated_at - expected.first_harm.time <= timedelta(seconds=120)


@pytest.mark.parametrize("name", sorted(ALL))
def test_nothing_else_is_loud(name: str) -> None:
    loud = ALL[name].expected.false_alarms(versions(name))
    assert loud == [], [alert.reason for alert in loud]


@pytest.mark.parametrize("name", sorted(ALL))
def test_an_incident_is_one_alert(name: str) -> None:
    about_it = {alert.id for alert in versions(name) if ALL[name].expected.is_of_incident(alert)}
    assert len(about_it) == 1


def test_the_exposure_is_told_with_post_change_and_readers_in_order() -> None:
    expected = ALL["advice_exposure"].expected
    final = caught("advice_exposure")[-1]
    story = expected.incident.event_ids_of_story
    told = [link.event_id for link in final.story]
    assert told.index(story["post"]) < told.index(story["change"]) < told.index(story["first_read"])
    assert final.status == "resolved"
    assert final.resolution == "exposure closed"


def test_two_replays_are_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for run in ("one", "two"):
        findings, alerts = tmp_path / f"{run}-findings", tmp_path / f"{run}-alerts"
        with NdjsonSink(str(findings), str(alerts)) as sink:
            play(ALL["advice_exposure"], sink)
        outputs.append((findings.read_bytes(), alerts.read_bytes()))
    assert outputs[0] == outputs[1]
    assert all(outputs[0])
