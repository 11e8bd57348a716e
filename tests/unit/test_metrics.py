"""Metrics: there from the start at 0, small in number, and never with somebody's name in a label."""

import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from detector.metrics import Metrics
from detector.monitoring import MonitoringServer
from detector.sinks.delivery import Meter
from tests.support.nouns import T0, a_finding, an_alert

NO_IDS = {
    "format", "kind", "verdict", "reason", "detector", "severity", "status", "stage", "sink", "outcome",
    "topic", "partition", "le", "version", "python",
}  # fmt: skip


def some_metrics() -> Metrics:
    return Metrics(
        version="1.2.3", formats=["native"], detectors=["new_endpoint", "transfer_rate"], sinks=["kafka", "webhook"]
    )


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("detector_events_total", {"format": "native", "kind": "control"}),
        ("detector_events_verdict_total", {"verdict": "late"}),
        ("detector_rejects_total", {"reason": "not_json"}),
        ("detector_findings_total", {"detector": "transfer_rate", "severity": "SEV0"}),
        ("detector_findings_suppressed_total", {"reason": "approved"}),
        ("detector_alerts_total", {"severity": "SEV1", "status": "resolved"}),
        ("detector_alert_latency_seconds_count", {}),
        ("detector_batch_seconds_count", {"stage": "score"}),
        ("detector_sink_items_total", {"sink": "webhook", "outcome": "refused"}),
        ("detector_sink_failures_total", {"sink": "webhook", "reason": "bug"}),
        ("detector_sink_write_seconds_count", {"sink": "kafka"}),
        ("detector_sink_queue_items", {"sink": "kafka"}),
        ("detector_open_incidents", {"severity": "SEV1"}),
        ("detector_open_exposures", {}),
        ("detector_exposure_oldest_timestamp_seconds", {}),
    ],
)
def test_what_alert_rules_look_at_is_0_from_the_start(name: str, labels: dict[str, str]) -> None:
    assert value(some_metrics(), name, **labels) == 0


def test_counting_a_batch() -> None:
    metrics = some_metrics()
    metrics.count_events({("native", "access"): 3, ("native", "delete"): 1})
    metrics.count_events({("native", "access"): 2, ("late_format", "access"): 1})
    metrics.count_verdicts({"scored": 5, "late": 1})
    metrics.count_findings([a_finding(1), a_finding(2, suppressed="mute:m"), a_finding(3, severity="SEV1")])
    assert value(metrics, "detector_events_total", format="native", kind="access") == 5
    assert value(metrics, "detector_events_total", format="late_format", kind="access") == 1
    assert value(metrics, "detector_events_verdict_total", verdict="late") == 1
    assert value(metrics, "detector_findings_total", detector="new_endpoint", severity="SEV3") == 2
    assert value(metrics, "detector_findings_suppressed_total", reason="mute") == 1
    assert value(metrics, "detector_findings_suppressed_total", reason="approved") == 0


def test_the_latency_is_that_of_an_alerts_first_version() -> None:
    metrics = some_metrics()
    alert = an_alert(1)
    now = alert.detected_at.timestamp() + 4.0
    metrics.count_alerts([alert, an_alert(1, version=2, status="updated")], now)
    metrics.count_alerts([an_alert(2)], now - 60.0)
    assert value(metrics, "detector_alerts_total", severity="SEV2", status="open") == 2
    assert value(metrics, "detector_alert_latency_seconds_count") == 2
    assert value(metrics, "detector_alert_latency_seconds_sum") == 4.0, "event time ahead of ours counts as 0"
    assert value(metrics, "detector_alert_latency_seconds_bucket", le="2.0") == 1
    assert value(metrics, "detector_alert_latency_seconds_bucket", le="5.0") == 2


def test_lag_is_shown_for_the_partitions_we_have_now() -> None:
    metrics = some_metrics()
    metrics.set_lag("score", {("agent-events", 0): 7, ("agent-events", 1): 0})
    metrics.set_lag("correlate", {("agent-findings", 0): 3})
    metrics.set_lag("score", {("agent-events", 1): 4, ("agent-events", 2): 9})
    assert value(metrics, "detector_consumer_lag", topic="agent-events", partition="0") is None
    assert value(metrics, "detector_consumer_lag", topic="agent-events", partition="1") == 4
    assert value(metrics, "detector_consumer_lag", topic="agent-events", partition="2") == 9
    assert value(metrics, "detector_consumer_lag", topic="agent-findings", partition="0") == 3, "another reader's"


def test_messages_are_counted_by_topic_and_a_silent_topic_shows_0() -> None:
    metrics = some_metrics()
    metrics.count_messages({("agent-events", 0): [1, 2], ("agent-events", 1): [3]})
    metrics.set_lag("score", {("agent-events", 0): 0, ("audit", 0): 0})
    assert value(metrics, "detector_messages_total", topic="agent-events") == 3
    assert value(metrics, "detector_messages_total", topic="audit") == 0


def test_incidents_that_closed_are_no_longer_counted() -> None:
    metrics = some_metrics()
    metrics.set_open_incidents({"SEV1": 2, "SEV3": 1})
    metrics.set_open_incidents({"SEV3": 1})
    assert value(metrics, "detector_open_incidents", severity="SEV1") == 0
    assert value(metrics, "detector_open_incidents", severity="SEV3") == 1


def test_a_reload_that_failed_keeps_the_time_of_the_last_that_worked() -> None:
    metrics = some_metrics()
    metrics.set_reload(True, 100.0)
    metrics.set_reload(False, 200.0)
    assert value(metrics, "detector_config_reload_success") == 0
    assert value(metrics, "detector_config_reload_timestamp_seconds") == 100.0


def test_a_meter_tells_of_one_sink() -> None:
    metrics = some_metrics()
    meter: Meter = metrics.sink("kafka")
    assert value(metrics, "detector_sink_up", sink="kafka") == 1
    meter.failed(3, "unavailable")
    meter.up(False)
    meter.written(3, 0.02)
    meter.refused(1)
    meter.queued(5)
    assert value(metrics, "detector_sink_up", sink="kafka") == 0
    assert value(metrics, "detector_sink_items_total", sink="kafka", outcome="retried") == 3
    assert value(metrics, "detector_sink_items_total", sink="kafka", outcome="written") == 3
    assert value(metrics, "detector_sink_items_total", sink="kafka", outcome="refused") == 1
    assert value(metrics, "detector_sink_failures_total", sink="kafka", reason="unavailable") == 1
    assert value(metrics, "detector_sink_queue_items", sink="kafka") == 5
    assert value(metrics, "detector_sink_items_total", sink="webhook", outcome="written") == 0


def test_an_age_is_read_when_it_is_asked_for() -> None:
    metrics = some_metrics()
    age = 3.0
    metrics.checkpoint_age.set_function(lambda: age)
    age = 8.0
    assert value(metrics, "detector_checkpoint_age_seconds") == 8.0


def test_two_sets_of_metrics_share_nothing() -> None:
    one, other = some_metrics(), some_metrics()
    one.count_verdicts({"scored": 1})
    assert value(other, "detector_events_verdict_total", verdict="scored") == 0


def test_names_labels_and_number_of_series_keep_the_rules() -> None:
    metrics = some_metrics()
    metrics.set_lag("score", {("agent-events", 0): 7})
    families = [family for family in metrics.registry.collect() if not family.name.startswith("process_")]
    for family in families:
        assert re.fullmatch(r"detector_[a-z_]+", family.name)
        assert family.documentation
        for sample in family.samples:
            assert set(sample.labels) <= NO_IDS, sample
            assert not sample.name.endswith("_created"), "twice the series for nothing"
    assert sum(len(family.samples) for family in families) < 400


def get(server: MonitoringServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.address}:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with closing(answer):
            return answer.code, answer.read().decode()


def test_metrics_are_served_on_a_free_port_of_loopback() -> None:
    metrics = some_metrics()
    metrics.count_verdicts({"scored": 42})
    with MonitoringServer(metrics.registry, port=0) as server:
        assert server.address == "127.0.0.1"
        status, text = get(server, "/metrics")
    assert status == 200
    samples = {s.name: s for family in text_string_to_metric_families(text) for s in family.samples}
    assert samples["detector_build_info"].labels["version"] == "1.2.3"
    assert 'detector_events_verdict_total{verdict="scored"} 42.0' in text


def test_the_probes_say_yes_or_why_not() -> None:
    reasons: list[str] = ["no partition assigned", "sink webhook is down"]

    def ready() -> tuple[bool, Sequence[str]]:
        return not reasons, reasons

    with MonitoringServer(CollectorRegistry(), port=0, ready=ready) as server:
        assert get(server, "/healthz") == (200, "ok\n")
        assert get(server, "/readyz") == (503, "no partition assigned\nsink webhook is down\n")
        reasons.clear()
        assert get(server, "/readyz") == (200, "ok\n")
        assert get(server, "/")[0] == 404


def test_a_closed_server_listens_no_more_and_its_port_is_free() -> None:
    server = MonitoringServer(CollectorRegistry(), port=0)
    server.close()
    server.close()
    with pytest.raises(urllib.error.URLError):
        get(server, "/healthz")
    MonitoringServer(CollectorRegistry(), port=server.port).close()


def test_a_taken_port_is_an_error_at_the_start() -> None:
    with MonitoringServer(CollectorRegistry(), port=0) as server, pytest.raises(OSError, match=r"in use: '127"):
        MonitoringServer(CollectorRegistry(), port=server.port)


def test_event_times_are_in_unix_seconds() -> None:
    metrics = some_metrics()
    metrics.watermark.set(T0.timestamp())
    assert value(metrics, "detector_watermark_timestamp_seconds") == 1_772_442_000.0
