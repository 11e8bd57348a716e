"""Each sink with a far side to write to, and its effect there, for the contract that all of them keep."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Batch, Noun, Sink
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.clickhouse_links import LinkWriter
from detector.sinks.files import NdjsonSink
from detector.sinks.kafka import KafkaSink
from detector.sinks.webhook import WebhookSink
from detector.ticks import Tick
from tests.support.kafka import drain, new_topic
from tests.support.nouns import T0, a_finding, a_rejected, an_action, an_adjustment, an_alert, an_envelope
from tests.support.receiver import running_receiver

NOW = T0.timestamp() + 3600.0


class Harness(NamedTuple):
    """A sink, and what its far side holds: equal for equal effects, repeats left out where receivers can."""

    sink: Sink
    effect: Callable[[], Any]


Opener = Callable[[pytest.FixtureRequest], AbstractContextManager[Harness]]


def a_batch() -> Batch:
    """Some of everything; among the alerts one whose whole life is in the batch."""
    return Batch(
        events=[(an_envelope(1), "scored"), (an_envelope(2), "late")],
        findings=[a_finding(1), a_finding(2)],
        alerts=[
            an_alert(1),
            an_alert(2),
            an_alert(1, version=2, status="updated", severity="SEV1"),
            an_alert(1, version=3, status="resolved", severity="SEV1"),
        ],
        rejects=[a_rejected(3), a_rejected(4, raw=b"\xff\x00")],
        signals=[a_finding(1), Tick(T0.timestamp(), (("agent-events", 0),)), a_finding(2)],
        adjustments=[an_adjustment(1), an_adjustment(2)],
        actions=[an_action(1), an_action(2)],
    )


@contextmanager
def ndjson(request: pytest.FixtureRequest) -> Iterator[Harness]:
    folder: Path = request.getfixturevalue("tmp_path")
    sink = NdjsonSink(str(folder / "findings"), str(folder / "alerts"))

    def effect() -> list[bytes]:
        return [path.read_bytes() for path in sorted(folder.glob("*.partial"))]

    yield Harness(sink, effect)


@contextmanager
def webhook(_: pytest.FixtureRequest) -> Iterator[Harness]:
    with running_receiver() as receiver:

        def effect() -> dict[str, bytes]:
            return {request.headers["x-detector-delivery"]: request.body for request in receiver.requests}

        yield Harness(WebhookSink(receiver.url, b"secret", clock=lambda: NOW), effect)


@contextmanager
def alertmanager(_: pytest.FixtureRequest) -> Iterator[Harness]:
    with running_receiver() as receiver:

        def effect() -> dict[str, Any]:
            posts = [post for request in receiver.requests for post in msgspec.json.decode(request.body)]
            return {str(sorted(post["labels"].items())): post for post in posts}

        yield Harness(AlertmanagerSink(receiver.url, clock=lambda: NOW), effect)


@contextmanager
def kafka(request: pytest.FixtureRequest) -> Iterator[Harness]:
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    nouns: tuple[Noun, ...] = ("signals", "alerts", "rejects", "adjustments")
    topics = {noun: new_topic(bootstrap, noun, partitions=2) for noun in nouns}
    sink = KafkaSink({"bootstrap_servers": bootstrap}, topics)

    def effect() -> set[tuple[Any, ...]]:
        return {
            (topic, record.key, record.value, tuple(record.headers))
            for topic in topics.values()
            for record in drain(bootstrap, topic, count_of(bootstrap, topic))
        }

    yield Harness(sink, effect)


@contextmanager
def clickhouse(request: pytest.FixtureRequest) -> Iterator[Harness]:
    store = request.getfixturevalue("embedded_store")

    def effect() -> list[Any]:
        queries = (
            "SELECT topic, partition, offset, verdict FROM events ORDER BY ALL",
            "SELECT id FROM findings ORDER BY ALL",
            "SELECT id, version FROM alerts ORDER BY ALL",
            "SELECT topic, partition, offset FROM rejects ORDER BY ALL",
            "SELECT id, subject FROM operator_actions ORDER BY ALL",
        )
        return [store.client.query(query).result_rows for query in queries]

    links = LinkWriter(store.client, store.database, "harness", lambda: NOW)
    yield Harness(ClickHouseSink(store.client, database=store.database, links=links), effect)


def count_of(bootstrap: str, topic: str) -> int:
    """How many messages a topic holds."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        return sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()


HARNESSES: dict[type[Sink], Any] = {
    NdjsonSink: ndjson,
    WebhookSink: webhook,
    AlertmanagerSink: alertmanager,
    KafkaSink: pytest.param(kafka, marks=pytest.mark.kafka),
    ClickHouseSink: pytest.param(clickhouse, marks=pytest.mark.chdb),
}
