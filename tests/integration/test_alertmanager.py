"""The sink against the real Alertmanager, through to a notification."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.alerts import Alert
from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Batch
from detector.sinks.delivery import Backoff
from detector.sinks.runner import Limits, SinkRunner
from tests.support.alertmanager import Alertmanager, running_alertmanager
from tests.support.nouns import an_alert
from tests.support.receiver import Received, Receiver, running_receiver

pytestmark = pytest.mark.alertmanager


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def alertmanager(tmp_path: Path, hook: Receiver) -> Iterator[Alertmanager]:
    with running_alertmanager(tmp_path, hook.url) as alertmanager:
        yield alertmanager


@pytest.fixture
def sink(alertmanager: Alertmanager) -> Iterator[AlertmanagerSink]:
    sink = AlertmanagerSink(alertmanager.url)
    yield sink
    sink.close()


Told = tuple[str, str, str]


def told_by(requests: list[Received]) -> list[Told]:
    """(status, incident, severity) of every alert in the notifications, each once, in order."""
    notifications = [msgspec.json.decode(request.body) for request in requests]
    told = [
        (alert["status"], alert["labels"]["incident"], alert["labels"]["severity"])
        for notification in notifications
        for alert in notification["alerts"]
    ]
    return list(dict.fromkeys(told))


def notified(hook: Receiver, count: int) -> list[Told]:
    """What was told, once it is `count` different things."""
    return told_by(hook.wait_until(lambda requests: len(told_by(requests)) >= count))


def test_an_alert_arrives_and_somebody_is_told(
    alertmanager: Alertmanager, sink: AlertmanagerSink, hook: Receiver
) -> None:
    assert sink.write(Batch(alerts=[an_alert(1)])) == []
    (held,) = alertmanager.wait_for_alerts(1)
    assert held["labels"] == {
        "alertname": "RogueAgentTransferRate",
        "detector": "transfer_rate",
        "severity": "SEV2",
        "role": "moderator",
        "service": "rogue-agent-detector",
        "incident": "a-1",
    }
    assert held["annotations"]["description"] == "51 MB to files.example within 2 min; 0.3 MB expected"
    assert datetime.fromisoformat(held["startsAt"]) == an_alert(1).detected_at
    assert notified(hook, 1) == [("firing", "a-1", "SEV2")]


def test_two_incidents_of_the_same_kind_are_two_alerts(alertmanager: Alertmanager, sink: AlertmanagerSink) -> None:
    sink.write(Batch(alerts=[an_alert(1), an_alert(2)]))
    incidents = {held["labels"]["incident"] for held in alertmanager.wait_for_alerts(2)}
    assert incidents == {"a-1", "a-2"}


def test_an_open_alert_survives_a_restart_of_alertmanager(alertmanager: Alertmanager) -> None:
    limits = Limits(linger=0.0, backoff=Backoff(0.05, 0.2))
    runner = SinkRunner(AlertmanagerSink(alertmanager.url, heartbeat=2.0), limits)
    runner.start()
    try:
        runner.put(Batch(alerts=[an_alert(1)]))
        assert runner.flush(20.0)
        before = alertmanager.wait_for_alerts(1)
        alertmanager.stop()
        alertmanager.start()
        after = alertmanager.wait_for_alerts(1)
        assert after[0]["labels"] == before[0]["labels"]
        assert after[0]["startsAt"] == before[0]["startsAt"]
    finally:
        runner.close(20.0)


def test_without_the_heartbeat_a_restart_forgets_the_alert(alertmanager: Alertmanager, sink: AlertmanagerSink) -> None:
    sink.write(Batch(alerts=[an_alert(1)]))
    alertmanager.wait_for_alerts(1)
    alertmanager.stop()
    alertmanager.start()
    assert alertmanager.alerts() == []
    sink.tick()
    alertmanager.wait_for_alerts(1)


def test_a_risen_severity_replaces_the_old_label_set(
    alertmanager: Alertmanager, sink: AlertmanagerSink, hook: Receiver
) -> None:
    sink.write(Batch(alerts=[an_alert(1, severity="SEV3")]))
    assert notified(hook, 1) == [("firing", "a-1", "SEV3")]
    sink.write(Batch(alerts=[an_alert(1, 2, "updated", "SEV1")]))
    (held,) = alertmanager.wait_for_alerts(1)
    assert held["labels"]["severity"] == "SEV1"
    assert set(notified(hook, 3)[1:]) == {("resolved", "a-1", "SEV3"), ("firing", "a-1", "SEV1")}


def test_a_resolved_alert_is_gone_and_somebody_is_told(
    alertmanager: Alertmanager, sink: AlertmanagerSink, hook: Receiver
) -> None:
    sink.write(Batch(alerts=[an_alert(1)]))
    assert notified(hook, 1) == [("firing", "a-1", "SEV2")]
    sink.write(Batch(alerts=[an_alert(1, 2, "resolved", resolution="quiet for 1 h")]))
    alertmanager.wait_for_alerts(0)
    assert notified(hook, 2)[-1] == ("resolved", "a-1", "SEV2")


def test_an_incident_that_was_over_before_it_could_be_posted_is_still_told(
    alertmanager: Alertmanager, hook: Receiver
) -> None:
    sink = AlertmanagerSink(alertmanager.url, heartbeat=2.0)
    sink.write(Batch(alerts=[an_alert(1), an_alert(1, 2, "resolved")]))
    assert notified(hook, 2) == [("firing", "a-1", "SEV2"), ("resolved", "a-1", "SEV2")]
    sink.close()


def test_when_this_process_dies_its_alerts_end_by_themselves(alertmanager: Alertmanager, hook: Receiver) -> None:
    sink = AlertmanagerSink(alertmanager.url, heartbeat=0.5)
    sink.write(Batch(alerts=[an_alert(1)]))
    sink.close()
    assert [status for status, _, _ in notified(hook, 2)] == ["firing", "resolved"]


class _BadLabel(AlertmanagerSink):
    """Gives one alert a label name that Alertmanager doesn't take."""

    def _labels(self, alert: Alert) -> dict[str, str]:
        labels: dict[str, Any] = super()._labels(alert)
        return {**labels, "no-such-name": "x"} if alert.id == "a-2" else labels


def test_one_bad_alert_does_not_keep_back_the_others(alertmanager: Alertmanager) -> None:
    sink = _BadLabel(alertmanager.url)
    (refused,) = sink.write(Batch(alerts=[an_alert(1), an_alert(2), an_alert(3)]))
    assert refused.item == an_alert(2)
    assert "no-such-name" in refused.reason
    held = {alert["labels"]["incident"] for alert in alertmanager.wait_for_alerts(2)}
    assert held == {"a-1", "a-3"}
    sink.close()


def test_names_from_outside_are_taken_and_do_nothing(sink: AlertmanagerSink, hook: Receiver) -> None:
    """A role is a label, and an id is in every sentence: both come through to the notification as plain words."""
    wicked = "bot\x1b[2J\n<!channel> [x](https://evil.example)`\u202e\x00"
    alert = an_alert(1, title=f"{wicked} went on", reason=wicked, roles=(wicked,), principals=(wicked,))
    assert sink.write(Batch(alerts=[alert])) == []
    notified(hook, 1)
    said = msgspec.json.decode(hook.requests[0].body)["alerts"][0]
    for text in (said["labels"]["role"], *said["annotations"].values()):
        assert text.isprintable()
        assert not set(text) & set("<>`[]")
