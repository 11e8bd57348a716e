"""Four workers that share twelve partitions on the real broker find what one does, even if one of them dies amid it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from detector import assembly
from detector.config_file import load
from detector.events import Event
from detector.findings import Finding
from detector.signals import Sent, decode
from detector.sources.alignment import Partition
from detector.sources.base import Record
from tests.support.clean_replay import record_of
from tests.support.kafka import drain, publish
from tests.support.score_stage import stage_of
from tests.support.service import Deployment, until
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import SMALL, build_world
from tests.support.workers import Worker, kill_all

PARTITIONS: Final = 12
WORKERS: Final = ("one", "two", "three", "four")
EVERY: Final = 6 * 3600.0

# Who is killed may take long to begin again, and is waited for.
PATIENT: Final[dict[str, Any]] = {"store": {"url": None}, "scoring": {"peers_every": EVERY, "peers_wait": 100.0}}

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def company() -> list[list[Event]]:
    """A day and a half of a small company, from boundary to boundary."""
    spans: dict[float, list[Event]] = {}
    for item in background(build_world(7, SMALL), Period(utc(2026, 3, 2), utc(2026, 3, 3, 13))):
        spans.setdefault(item.time.timestamp() // EVERY, []).append(item)
    return [spans[number] for number in sorted(spans)]


def told(deployment: Deployment) -> dict[str, Finding]:
    """The findings on the topic, by id; a repeat must say the same."""
    total = sum(deployment.end_offsets("findings").values())
    findings: dict[str, Finding] = {}
    for record in drain(deployment.bootstrap, deployment.topics["findings"], total):
        sent = decode(record.value)
        signal = sent.signal if isinstance(sent, Sent) else sent
        if isinstance(signal, Finding):
            assert findings.setdefault(signal.id, signal) == signal
    return findings


def by_one(deployment: Deployment, folder: Path) -> dict[str, Finding]:
    """What one process without an exchange finds in the events as they stand on the topic."""
    logs: dict[Partition, list[Record]] = {}
    total = sum(deployment.end_offsets("events").values())
    for message in drain(deployment.bootstrap, deployment.topics["events"], total):
        logs.setdefault((message.topic, message.partition), []).append(record_of(message))
    config = load(deployment.config)
    stage = stage_of(folder, sorted(logs), decoder=assembly.decoder_by_topic(config), config=config)
    return {finding.id: finding for finding in stage.take(logs, set(logs)).findings}


@contextmanager
def running(deployment: Deployment) -> Iterator[dict[str, Worker]]:
    """The workers by name; those that still run are killed at the end."""
    workers = {name: Worker(deployment, name) for name in WORKERS}
    try:
        yield workers
    finally:
        kill_all(workers.values())


def test_four_workers_find_what_one_does(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path, **PATIENT)
    deployment.command("topics", "--partitions", str(PARTITIONS))
    events, spans = deployment.topics["events"], company()
    with running(deployment) as workers:
        until(lambda: {len(each.partitions(events)) for each in workers.values()} == {PARTITIONS // len(WORKERS)})
        for number, span in enumerate(spans):
            seen = workers["two"].metric("detector_events_total")
            publish(kafka_bootstrap, events, ((e.principal.encode(), msgspec.json.encode(e)) for e in span))
            if number == len(spans) // 2:
                until(lambda: workers["two"].metric("detector_events_total") > seen, workers["two"])  # noqa: B023
                workers["two"].kill()
                workers["two"] = Worker(deployment, "two")
            until(deployment.is_done, workers["one"])
        assert all(each.metric("detector_peers_wait_seconds_count") > 0 for each in workers.values())
        assert not any(each.metric("detector_peers_incomplete_total") for each in workers.values())
        assert [each.stop() for each in workers.values()] == [0] * len(WORKERS)
    expected = by_one(deployment, tmp_path / "one")
    assert len(expected) > 20
    assert told(deployment) == expected
