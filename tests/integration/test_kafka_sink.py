"""The sink against a real broker: what arrives, what is refused, and what happens when the broker goes away."""

import threading
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from deploy.kafka.broker import Broker
from detector import signals
from detector.alerts import Alert
from detector.kafka_open import close_producer, open_producer
from detector.signals import Signal
from detector.sinks.base import Batch, Refused, SinkUnavailable
from detector.sinks.kafka import KafkaSink
from detector.sinks.runner import Limits, SinkRunner
from detector.ticks import Tick
from tests.support.kafka import drain, new_topic, unique
from tests.support.nouns import a_finding, a_rejected, an_alert
from tests.support.sink_harness import count_of

pytestmark = pytest.mark.kafka


class Topics(NamedTuple):
    """Names of the topics of one test."""

    signals: str
    alerts: str
    rejects: str


@pytest.fixture
def topics(kafka_bootstrap: str) -> Topics:
    return Topics(
        new_topic(kafka_bootstrap, "signals", partitions=4),
        new_topic(kafka_bootstrap, "alerts", configs={"max.message.bytes": "4096"}),
        new_topic(kafka_bootstrap, "rejects"),
    )


@pytest.fixture
def sink(kafka_bootstrap: str, topics: Topics) -> Iterator[KafkaSink]:
    sink = KafkaSink(
        {"bootstrap_servers": kafka_bootstrap, "max_request_size": 100_000},
        {"signals": topics.signals, "alerts": topics.alerts, "rejects": topics.rejects},
    )
    yield sink
    sink.close()


def test_alerts_arrive_in_order_keyed_by_their_id(kafka_bootstrap: str, topics: Topics, sink: KafkaSink) -> None:
    alerts = [an_alert(1), an_alert(1, 2, "updated", "SEV1"), an_alert(1, 3, "resolved", "SEV1")]
    assert sink.write(Batch(alerts=alerts)) == []
    records = drain(kafka_bootstrap, topics.alerts, 3)
    assert [record.key for record in records] == [b"a-1"] * 3
    assert [msgspec.json.decode(record.value, type=Alert) for record in records] == alerts


def test_findings_are_keyed_by_principal_and_ticks_go_between_them(
    kafka_bootstrap: str, topics: Topics, sink: KafkaSink
) -> None:
    sent: list[Signal] = [
        a_finding(1),
        a_finding(2, principal="agent-2"),
        Tick(60.0, (("agent-events", 0),)),
        a_finding(3),
    ]
    assert sink.write(Batch(signals=sent)) == []
    records = drain(kafka_bootstrap, topics.signals, 4)
    arrived = [(record.key, signals.decode(record.value)) for record in records]
    assert sorted(key for key, _ in arrived) == [b"agent-1", b"agent-1", b"agent-2", b"tick"]
    assert [signal for key, signal in arrived if key == b"agent-1"] == [a_finding(1), a_finding(3)]


def test_a_reject_is_its_original_bytes_with_the_reason_in_headers(
    kafka_bootstrap: str, topics: Topics, sink: KafkaSink
) -> None:
    assert sink.write(Batch(rejects=[a_rejected(42, raw=b"\xff\x00{")])) == []
    (record,) = drain(kafka_bootstrap, topics.rejects, 1)
    assert record.value == b"\xff\x00{"
    assert dict(record.headers) == {
        "reason": b"not_json",
        "detail": b"expected a key at byte 1",
        "topic": b"agent-events",
        "partition": b"0",
        "offset": b"42",
        "index": b"0",
    }


def test_an_empty_message_that_was_rejected_stays_a_message(
    kafka_bootstrap: str, topics: Topics, sink: KafkaSink
) -> None:
    assert sink.write(Batch(rejects=[a_rejected(1, raw=b"")])) == []
    (record,) = drain(kafka_bootstrap, topics.rejects, 1)
    assert record.value == b""


@pytest.mark.parametrize("size", [50_000, 200_000], ids=["for the topic", "for the producer"])
def test_a_message_that_is_too_large_is_refused_and_the_others_are_not(
    kafka_bootstrap: str, topics: Topics, sink: KafkaSink, size: int
) -> None:
    noise = "".join(chr(33 + number * number % 7919 % 94) for number in range(size))  # hard to compress
    batch = Batch(alerts=[an_alert(number, reason=noise if number == 3 else "short") for number in range(8)])
    refused: list[Refused] = []
    runner = SinkRunner(sink, Limits(linger=0.0), on_refused=lambda _, items: refused.extend(items))
    runner.start()
    runner.put(batch)
    assert runner.flush(30.0)
    assert [one.item for one in refused] == [batch.alerts[3]]
    assert "size" in refused[0].reason
    runner.put(Batch(alerts=[an_alert(9)]))
    assert runner.close(30.0)
    keys = {record.key for record in drain(kafka_bootstrap, topics.alerts, count_of(kafka_bootstrap, topics.alerts))}
    assert keys == {b"a-%d" % number for number in (0, 1, 2, 4, 5, 6, 7, 9)}


def test_a_topic_that_is_not_there_is_not_made(kafka_bootstrap: str) -> None:
    sink = KafkaSink(
        {"bootstrap_servers": kafka_bootstrap, "max_block_ms": 500},
        {"alerts": unique("nowhere")},
    )
    for _ in range(2):
        with pytest.raises(SinkUnavailable):
            sink.write(Batch(alerts=[an_alert(1)]))
    sink.close()


@pytest.mark.usefixtures("forgotten_sockets")
def test_nobody_there_is_unavailable_and_found_out_by_the_first_write() -> None:
    client = {"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 300}
    sink = KafkaSink(client, {"alerts": "alerts"})
    with pytest.raises(SinkUnavailable, match="bootstrap"):
        sink.write(Batch(alerts=[an_alert(1)]))
    sink.close()


def test_a_broker_that_dies_is_unavailable_and_nothing_is_lost_when_it_is_back(stoppable_broker: Broker) -> None:
    bootstrap = stoppable_broker.bootstrap
    topic = new_topic(bootstrap, "alerts")
    client = {"bootstrap_servers": bootstrap, "max_block_ms": 1_000, "bootstrap_timeout_ms": 1_000}
    threads = set(threading.enumerate())
    sink = KafkaSink(client, {"alerts": topic}, timeout=2.0)
    assert sink.write(Batch(alerts=[an_alert(1)])) == []
    stoppable_broker.kill()
    batch = Batch(alerts=[an_alert(2), an_alert(3)])
    for _ in range(2):
        with pytest.raises(SinkUnavailable):
            sink.write(batch)
    assert set(threading.enumerate()) <= threads, "the producer was not discarded"
    stoppable_broker.start()
    for _ in range(20):
        try:
            assert sink.write(batch) == []
        except SinkUnavailable:
            continue
        break
    sink.close()
    keys = [record.key for record in drain(bootstrap, topic, count_of(bootstrap, topic))]
    assert keys[0] == b"a-1"
    assert set(keys) == {b"a-1", b"a-2", b"a-3"}


def test_no_producer_is_waited_for_once_more_when_the_process_ends(kafka_bootstrap: str) -> None:
    producer = open_producer({"bootstrap_servers": kafka_bootstrap})
    try:
        assert producer._cleanup is None
    finally:
        close_producer(producer, 10.0)
