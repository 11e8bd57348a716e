"""What should have come of the logs as they stand in Kafka, and how what did come differs from it.

Both stages are played anew, in one piece and without any fault: scoring over each partition of the events topic, then
correlation over the findings topic as it lies there, repeats and all, which puts what several workers found into one
order. The second is fed by what the first wrote in fact, because workers that die leave gaps in that order that nobody
can foresee; that the topic holds what scoring should have written is compared on its own.
"""

import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from kafka.consumer.fetcher import ConsumerRecord

from detector import assembly, signals
from detector.alerts import Alert
from detector.checkpoints import CheckpointStore
from detector.config import Config
from detector.config_file import load
from detector.correlate_stage import CorrelateStage
from detector.events import Rejected
from detector.findings import Finding
from detector.metrics import Metrics
from detector.outputs import Outputs
from detector.sources.base import Record
from detector.stages import StageShell
from detector.store.client import connect
from tests.support.kafka import drain
from tests.support.service import Deployment
from tests.support.workers import IMPATIENT

Place = tuple[str, int, int, int]


class Expected(msgspec.Struct):
    """What there should be: verdict and id of each event by its place, findings and versions of alerts by their ids."""

    events: dict[Place, tuple[str, str]] = {}
    rejects: set[Place] = set()
    scored: dict[str, Finding] = {}
    findings: dict[str, Finding] = {}
    alerts: dict[tuple[str, int], Alert] = {}
    open: set[str] = set()


class Difference(msgspec.Struct):
    """How one place differs: of `expected` items so many are not there, twice there, other than they should be.

    `doubled` are items that a reader would take for two. `repeats` are told apart from their first by their id (a
    topic or a webhook gets at least one of each), so that they are no doubles; they must say the same, else they are
    `different`, as is what should not be there at all. `examples` are some of what is wrong.
    """

    expected: int
    lost: int = 0
    doubled: int = 0
    different: int = 0
    repeats: int = 0
    examples: list[str] = []

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled or different."""
        return not (self.lost or self.doubled or self.different)


def record_of(record: ConsumerRecord) -> Record:
    """A record as the Kafka source would hand it over."""
    return Record(
        record.topic, record.partition, record.offset, record.key, record.value or b"", record.timestamp / 1000
    )


def replay(config: Config, events: Iterable[ConsumerRecord], told: Iterable[ConsumerRecord]) -> Expected:
    """Play both stages over the records of their topics."""
    expected = Expected()
    _score(config, events, expected)
    _correlate(config, told, expected)
    return expected


def _score(config: Config, records: Iterable[ConsumerRecord], expected: Expected) -> None:
    scoring, decoder = assembly.scoring(config), assembly.decoder_by_topic(config)
    partitions: defaultdict[tuple[str, int], list[ConsumerRecord]] = defaultdict(list)
    for record in records:
        partitions[record.topic, record.partition].append(record)
    for partition, log in partitions.items():
        scoring.open(partition)
        for record in sorted(log, key=lambda r: r.offset):
            for item in decoder.decode(record_of(record)):
                place = (item.topic, item.partition, item.offset, item.index)
                if isinstance(item, Rejected):
                    expected.rejects.add(place)
                    continue
                scored = scoring.step(item)
                expected.events[place] = (scored.event_id or item.event.id, scored.verdict)
                expected.scored.update((finding.id, finding) for finding in scored.findings)
    expected.findings.update(expected.scored)


def _correlate(config: Config, records: Iterable[ConsumerRecord], expected: Expected) -> None:
    log = [record_of(record) for record in sorted(records, key=lambda r: r.offset)]
    if not log:
        return
    partition, correlator = (log[0].topic, log[0].partition), assembly.correlator(config)
    with tempfile.TemporaryDirectory() as nowhere:
        shell = StageShell(
            connect=lambda _: NotImplemented,
            outputs=Outputs([]),
            checkpoints=CheckpointStore(nowhere, "correlate"),
            metrics=Metrics(),
            stop=threading.Event(),
        )
        stage = CorrelateStage(shell, lambda: correlator, lambda _: None, wait=IMPATIENT.order)
        stage.open(partition, ())
        batch = stage.take({partition: log}, set())
    expected.findings.update((finding.id, finding) for finding in batch.findings)
    expected.alerts.update(((alert.id, alert.version), alert) for alert in batch.alerts)
    expected.open = {alert.id for alert in correlator.open()}


def in_one_process(config: Config, events: Iterable[ConsumerRecord]) -> Expected:
    """The alerts of one process that reads the events in the order of their time, whatever their partition."""
    expected, pipeline, decoder = Expected(), assembly.pipeline(config), assembly.decoder_by_topic(config)
    decoded = (item for record in sorted(events, key=lambda r: r.offset) for item in decoder.decode(record_of(record)))
    envelopes = [item for item in decoded if not isinstance(item, Rejected)]
    for envelope in sorted(envelopes, key=lambda e: (e.event.time, e.partition, e.offset, e.index)):
        alerts = pipeline.step(envelope).alerts
        expected.alerts.update(((alert.id, alert.version), alert) for alert in alerts)
    return expected


def read_log(deployment: Deployment, noun: str) -> list[ConsumerRecord]:
    """All that a topic of the deployment holds."""
    total = sum(deployment.end_offsets(noun).values())
    return drain(deployment.bootstrap, deployment.topics[noun], total, polls=100 + total // 100)


def reckon(deployment: Deployment, url: str, posted: Iterable[bytes]) -> dict[str, Difference]:
    """Compare everything that a deployment left behind, once it is done, with a clean replay of its logs."""
    events, told = read_log(deployment, "events"), read_log(deployment, "findings")
    expected = replay(load(deployment.config), events, told)
    alerts = [record.value for record in read_log(deployment, "alerts")]
    return {**store(expected, url), **topics(expected, told, alerts), "webhook": delivered(expected, posted)}


def assert_clean(deployment: Deployment, url: str, posted: Iterable[bytes]) -> dict[str, Difference]:
    """Fail unless nothing was lost, doubled or told otherwise; the comparison."""
    found = reckon(deployment, url, posted)
    wrong = {place: difference for place, difference in found.items() if not difference.clean}
    assert not wrong, wrong
    assert found["events"].expected > 0, "nothing was read, so that nothing is shown"
    return found


def compare(expected: Mapping[Any, Any], found: Iterable[tuple[Any, Any]], *, once: bool = False) -> Difference:
    """Hold what was found, by key, against what should be there; with `once` a repeat is a double."""
    difference = Difference(len(expected))
    seen: Counter[Any] = Counter()
    for key, value in found:
        seen[key] += 1
        if key not in expected or expected[key] != value:
            difference.different += 1
            _note(difference, f"different {key}: {value} instead of {expected.get(key)}")
    lost = expected.keys() - seen.keys()
    again = sum(count - 1 for count in seen.values())
    difference.lost = len(lost)
    difference.doubled, difference.repeats = (again, 0) if once else (0, again)
    for key in sorted(lost, key=str)[:3]:
        _note(difference, f"lost {key}")
    return difference


def _note(difference: Difference, text: str) -> None:
    if len(difference.examples) < 6:
        difference.examples.append(text[:600])


def topics(expected: Expected, told: Sequence[ConsumerRecord], alerts: Iterable[bytes]) -> dict[str, Difference]:
    """The findings topic against clean scoring, the alerts topic against clean correlation of the former."""
    scored = {finding.id: signals.encode(finding) for finding in expected.scored.values()}
    found = [pair for record in told if (pair := _finding_in(record.value)) is not None]
    return {"findings topic": compare(scored, found), "alerts topic": delivered(expected, alerts)}


def _finding_in(payload: bytes) -> tuple[str, bytes] | None:
    """Id and bytes of the finding in a message, without its place; all of the message if it is written otherwise."""
    sent = signals.decode(payload)
    if not isinstance(sent, signals.Sent) or not isinstance(sent.signal, Finding):
        return None
    alike = signals.encode(sent) == payload
    return sent.signal.id, signals.encode(sent.signal) if alike else payload


def delivered(expected: Expected, bodies: Iterable[bytes]) -> Difference:
    """Alerts on their topic, or posted to a webhook, byte for byte; id and version tell repeats apart."""
    told = {key: msgspec.json.encode(alert) for key, alert in expected.alerts.items()}
    return compare(told, ((_key(body), body) for body in bodies))


def _key(body: bytes) -> tuple[str, int]:
    alert = msgspec.json.decode(body, type=Alert)
    return alert.id, alert.version


def store(expected: Expected, url: str) -> dict[str, Difference]:
    """The views of the event store."""
    findings = {f.id: (f.event_id, f.principal, f.detector, f.rule, f.severity) for f in expected.findings.values()}
    alerts = {key: (a.status, a.severity, a.title, a.finding_count) for key, a in expected.alerts.items()}
    with connect(url) as open_store:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in open_store.client.query(sql).result_rows]

        events = rows("SELECT topic, partition, offset, `index`, id, verdict FROM events")
        rejects = rows("SELECT topic, partition, offset, `index` FROM rejects")
        found = rows("SELECT id, event_id, principal, detector, rule, severity FROM findings")
        told = rows("SELECT id, version, status, severity, title, finding_count FROM alerts")
    return {
        "events": compare(expected.events, ((row[:4], row[4:]) for row in events), once=True),
        "rejects": compare(dict.fromkeys(expected.rejects), ((row, None) for row in rejects), once=True),
        "findings": compare(findings, ((row[0], row[1:]) for row in found), once=True),
        "alerts": compare(alerts, ((row[:2], row[2:]) for row in told), once=True),
    }
