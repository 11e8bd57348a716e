"""Every metric of the detector, in one place. Who measures something asks here for the means.

A principal's id is never a label, nor is an alert's: every label has a small, known set of values. Children
that alert rules look at exist from the start at 0, because a counter first scraped at 1 has no increase.
"""

from collections.abc import Iterable, Mapping, Sized
from platform import python_version
from typing import Final, get_args, get_type_hints

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from detector.alerts import Alert, Status
from detector.events import KINDS, Reject
from detector.feedback import Verdict
from detector.findings import Finding
from detector.ordering import UNSURE
from detector.records import OperatorAction
from detector.scored import VERDICTS
from detector.severity import SEVERITIES, Severity
from detector.sink_meter import SinkMeter
from detector.suppressions import KINDS as SUPPRESSION_KINDS
from detector.suppressions import kind_of

STAGES: Final = ("decode", "score", "correlate", "write", "checkpoint")
REJECT_REASONS: Final[tuple[str, ...]] = get_args(get_type_hints(Reject)["reason"])
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
RELOAD_OUTCOMES: Final = ("changed", "unchanged", "pending", "failed")

_MINUTE, _HOUR = 60.0, 3600.0
_LATENCY = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR)
_SHORT = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_WAITS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_SIZES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)


class Metrics:
    """The metrics of one process, in a registry of their own.

    What is set, and not counted by a method here, is set on the attribute: `metrics.principals.set(9)`,
    `metrics.checkpoint_age.set_function(seconds_since_checkpoint)`.

    Args:
        registry: where they are registered; a new one by default.
        version: the detector's version, for `detector_build_info`.
        formats: names of the wire formats that can come.
        detectors: names of the detectors that can fire, correlation's included.
        channels: names of what statistical detectors test.
        sinks: names of the sinks.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        version: str = "",
        formats: Iterable[str] = (),
        detectors: Iterable[str] = (),
        channels: Iterable[str] = (),
        sinks: Iterable[str] = (),
    ) -> None:
        # Creation times would double the series of every counter, and Prometheus 2 has no use for them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()
        self._define_stream()
        self._define_statistics()
        self._define_sinks()
        self._define_state()
        ProcessCollector(registry=self.registry)
        Info("detector_build", "Version of the detector and of Python.", registry=self.registry).info(
            {"version": version, "python": python_version()}
        )
        self._create_children(formats, detectors)
        for channel in channels:
            self.tests.labels(channel)
            self.tests_improbable.labels(channel)
        self._sinks = {sink: SinkMeter(self, sink) for sink in sinks}
        self._lagging: dict[str, set[tuple[str, str]]] = {}

    def _create_children(self, formats: Iterable[str], detectors: Iterable[str]) -> None:
        self._event_children: dict[tuple[str, str], Counter] = {
            (format_, kind): self.events.labels(format_, kind) for format_ in formats for kind in KINDS
        }
        self._verdict_children: dict[str, Counter] = {name: self.verdicts.labels(name) for name in VERDICTS}
        for detector in detectors:
            for severity in SEVERITIES:
                self.findings.labels(detector, severity)
            for verdict in get_args(Verdict):
                self.alert_verdicts.labels(detector, verdict)
        for kind in SUPPRESSION_KINDS:
            self.findings_suppressed.labels(kind)
        for reason in REJECT_REASONS:
            self.rejects.labels(reason)
        for severity in SEVERITIES:
            self.open_incidents.labels(severity)
            for status in STATUSES:
                self.alerts.labels(severity, status)
        for outcome in RELOAD_OUTCOMES:
            self.config_reloads.labels(outcome)
        for stage in STAGES:
            self.batch_seconds.labels(stage)

    def _define_stream(self) -> None:
        self.messages = self._counter("messages", "Messages read, repeats after a restore among them.", "topic")
        self.events = self._counter("events", "Events decoded.", "format", "kind")
        self.verdicts = self._counter("events_verdict", "Events by how scoring took them.", "verdict")
        self.event_ids_reused = self._counter("event_ids_reused", "Events under the id of another event.")
        self.rejects = self._counter("rejects", "Messages that could not be decoded.", "reason")
        self.passed_over = self._counter(
            "messages_passed_over", "Messages that were understood and hold nothing that anybody did.", "topic"
        )
        self.findings = self._counter("findings", "Findings made.", "detector", "severity")
        self.findings_suppressed = self._counter(
            "findings_suppressed", "Findings that a mute or an approved endpoint silenced.", "reason"
        )
        self.alerts = self._counter("alerts", "Versions of alerts made.", "severity", "status")
        self.alert_latency = self._histogram(
            "alert_latency_seconds", "From the event time of what raised an alert to its making.", _LATENCY
        )
        self.alert_verdicts = self._counter(
            "alert_verdicts", "Verdicts of people on alerts, by the detectors they rest on.", "detector", "verdict"
        )
        self.verdicts_refused = self._counter("alert_verdicts_refused", "Verdicts on alerts that did not count.")
        self.adjustments = self._gauge(
            "adjustments", "What verdicts on alerts say is to be told no more: how many known."
        )
        self.order_waiting = self._gauge(
            "order_waiting", "Signals that wait for what another worker may find before them."
        )
        self.order_wait_seconds = self._histogram(
            "order_wait_seconds", "From a signal's arrival until its turn in the order of event time.", _SHORT
        )
        self.order_unsure = self._counter(
            "order_unsure", "Signals that came before it was sure that nothing precedes them.", "reason"
        )
        for reason in UNSURE:
            self.order_unsure.labels(reason)
        self.batch_seconds = self._histogram("batch_seconds", "Work on one batch.", _SHORT, "stage")
        self.batch_events = self._histogram("batch_events", "Events in one batch.", _SIZES)
        self.consumer_lag = self._gauge(
            "consumer_lag", "Messages in the partition that are not read yet.", "topic", "partition"
        )
        self.watermark = self._gauge(
            "watermark_timestamp_seconds", "Event time up to which events are expected to be complete."
        )

    def _define_statistics(self) -> None:
        self.tests = self._counter(
            "tests", "Tests of statistical detectors: hours of principals that are over.", "channel"
        )
        self.tests_improbable = self._counter(
            "tests_improbable", "Those of these tests with a p-value of 1 % or less.", "channel"
        )
        self.alerts_statistical = self._counter(
            "alerts_statistical", "Alerts that nothing but statistics raised: the budget is for the false ones."
        )
        self.budget = self._gauge(
            "budget_alerts_per_day", "False alerts a day that all statistical detectors together may raise."
        )

    def _define_sinks(self) -> None:
        self.sink_write_seconds = self._histogram(
            "sink_write_seconds", "A write to a sink that succeeded.", _SHORT, "sink"
        )
        self.sink_items = self._counter("sink_items", "Items by what became of a try to write them.", "sink", "outcome")
        self.sink_failures = self._counter("sink_failures", "Tries that failed.", "sink", "reason")
        self.sink_queue_items = self._gauge("sink_queue_items", "Items that wait to be durable.", "sink")
        self.sink_up = self._gauge("sink_up", "1 when the last try to write succeeded.", "sink")

    def _define_state(self) -> None:
        self.open_incidents = self._gauge("open_incidents", "Incidents that are open.", "severity")
        self.open_exposures = self._gauge("open_exposures", "Exposure windows that are open.")
        self.exposure_oldest = self._gauge(
            "exposure_oldest_timestamp_seconds",
            "Event time at which the oldest open window opened; 0 with none open.",
        )
        self.ready = self._gauge("ready", "1 while /readyz says that it is at work.")
        self.healthy = self._gauge("healthy", "1 while /healthz says that every loop comes round.")
        self.peers_version = self._gauge(
            "peers_version_timestamp_seconds", "Event time of the newest peers' knowledge that events are judged by."
        )
        self.peers_wait_seconds = self._histogram(
            "peers_wait_seconds", "A wait at a boundary for what other workers' partitions add to it.", _WAITS
        )
        self.peers_incomplete = self._counter(
            "peers_incomplete", "Boundaries gone past without what some partitions add to them."
        )
        self.peers_cut = self._counter("peers_cut", "Sums of peers that were too large to be exchanged in full.")
        self.principals = self._gauge("principals", "Principals held in memory.")
        self.principals_unreadable = self._counter(
            "principals_unreadable", "Principals forgotten because what was saved of them could not be read."
        )
        self.config_reloads = self._counter(
            "config_reloads", "Reloads of the configuration that were tried.", "outcome"
        )
        self.config_reload_success = self._gauge("config_reload_success", "1 when the last reload worked.")
        self.config_reload_timestamp = self._gauge(
            "config_reload_timestamp_seconds", "When a reload last worked, in unix seconds."
        )
        self.restore_seconds = self._gauge(
            "restore_seconds", "What taking over partitions with their saved state took the last time.", "stage"
        )
        self.checkpoint_seconds = self._histogram(
            "checkpoint_seconds",
            "From the moment of a checkpoint until it is saved, the waiting for its sinks included.",
            _SHORT,
        )
        self.checkpoint_bytes = self._counter("checkpoint_bytes", "Written by checkpoints.")
        self.checkpoint_failures = self._counter("checkpoint_failures", "Checkpoints that could not be written.")
        self.checkpoint_damage = self._counter(
            "checkpoint_damage", "Files of checkpoints that were missing or damaged when they were needed."
        )
        self.checkpoint_age = self._gauge("checkpoint_age_seconds", "Since the last checkpoint that worked.")

    def count_messages(self, polled: Mapping[tuple[str, int], Sized]) -> None:
        """Messages read in one go, by (topic, partition)."""
        for (topic, _), messages in polled.items():
            self.messages.labels(topic).inc(len(messages))

    def count_events(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Events decoded in a batch, by (format, kind)."""
        for key, count in counts.items():
            child = self._event_children.get(key)
            if child is None:
                child = self._event_children[key] = self.events.labels(*key)
            child.inc(count)

    def count_verdicts(self, counts: Mapping[str, int]) -> None:
        """Events scored in a batch, by verdict."""
        for verdict, count in counts.items():
            self._verdict_children[verdict].inc(count)

    def count_tests(self, ended: Mapping[tuple[str, bool], int]) -> None:
        """Tests that are over, by channel and whether they were improbable."""
        for (channel, improbable), count in ended.items():
            self.tests.labels(channel).inc(count)
            if improbable:
                self.tests_improbable.labels(channel).inc(count)

    def count_findings(self, findings: Iterable[Finding]) -> None:
        """Findings of a batch, those that are suppressed among them."""
        for finding in findings:
            self.findings.labels(finding.detector, finding.severity).inc()
            if finding.suppressed is not None:
                self.findings_suppressed.labels(kind_of(finding.suppressed)).inc()

    def count_alerts(self, alerts: Iterable[Alert], now: float) -> None:
        """Alerts of a batch, made at `now` (unix seconds); the latency is that of first versions only."""
        for alert in alerts:
            self.alerts.labels(alert.severity, alert.status).inc()
            if alert.version == 1:
                self.alert_latency.observe(max(0.0, now - alert.detected_at.timestamp()))

    def count_alert_verdicts(self, actions: Iterable[OperatorAction]) -> None:
        """Verdicts that count, by the detectors that their alerts rest on; those taken back stay counted."""
        for action in actions:
            if action.action in {"verdict", "verdict_withdrawn"} and action.details["refused"]:
                self.verdicts_refused.inc()
            elif action.action == "verdict":
                for detector in action.details["detectors"]:
                    self.alert_verdicts.labels(detector, action.details["verdict"]).inc()

    def count_released(self, waited: float, unsure: str | None) -> None:
        """A signal had its turn after so many seconds; `unsure` is why it was not waited longer for others."""
        self.order_wait_seconds.observe(waited)
        if unsure is not None:
            self.order_unsure.labels(unsure).inc()

    def set_open_incidents(self, counts: Mapping[Severity, int]) -> None:
        """How many incidents are open; a severity that is not named has none."""
        for severity in SEVERITIES:
            self.open_incidents.labels(severity).set(counts.get(severity, 0))

    def set_lag(self, reader: str, lag: Mapping[tuple[str, int], int]) -> None:
        """Messages not read yet by one reader, by (topic, partition): those it has now, and no others."""
        current = {(topic, str(partition)): messages for (topic, partition), messages in lag.items()}
        for gone in self._lagging.get(reader, set()) - current.keys():
            self.consumer_lag.remove(*gone)
        for labels, messages in current.items():
            self.consumer_lag.labels(*labels).set(messages)
            self.messages.labels(labels[0])  # a topic that has said nothing since the start is seen to be silent
        self._lagging[reader] = set(current)

    def set_reload(self, worked: bool, now: float) -> None:
        """A config was loaded at `now` (unix seconds), or could not be."""
        self.config_reload_success.set(worked)
        if worked:
            self.config_reload_timestamp.set(now)

    def count_reload(self, outcome: str, now: float) -> None:
        """A reload was tried at `now` (unix seconds); one that found nothing new worked, too."""
        self.config_reloads.labels(outcome).inc()
        self.set_reload(outcome != "failed", now)

    def sink(self, name: str) -> SinkMeter:
        """What the runner of this sink measures with.

        Raises:
            KeyError: the sink was not named at the start.
        """
        return self._sinks[name]

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"detector_{name}_total", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"detector_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"detector_{name}", text, labels, registry=self.registry, buckets=buckets)
