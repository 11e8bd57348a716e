"""Peers' sums over the real broker: told to others at once, heard again from the beginning, in nobody's way."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from detector.exchange import Notice, decode, notice_of
from detector.peers import PeerSummary
from detector.sinks.peers import PeersPublisher
from detector.sources.peers import PeersReader
from detector.topics import TopicPlan, create_topics
from tests.support.kafka import drain, new_topic, unique
from tests.support.service import until

HOUR = 3600.0
Start = Callable[[str, str], PeersReader]

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@pytest.fixture
def started(kafka_bootstrap: str) -> Iterator[Start]:
    """Starts a reader of a topic, given that of the events; it has ended when the test has."""
    stop, readers = threading.Event(), []

    def start(topic: str, events: str) -> PeersReader:
        reader = PeersReader({"bootstrap_servers": kafka_bootstrap}, topic, [events], stop)
        readers.append(reader)
        reader.start()
        return reader

    yield start
    stop.set()
    for reader in readers:
        reader.join(30.0)


def said(hour: int) -> Notice:
    return notice_of(("events", 0), hour * HOUR, (hour + 1) * HOUR, PeerSummary())[0]


def heard(reader: PeersReader) -> list[float]:
    assert reader.caught_up(30.0)
    return [decode(value).since / HOUR for value in reader.take()]


def test_what_one_says_the_others_hear(kafka_bootstrap: str, started: Start) -> None:
    topic, events = new_topic(kafka_bootstrap, "peers"), new_topic(kafka_bootstrap, "events", partitions=3)
    publisher = PeersPublisher({"bootstrap_servers": kafka_bootstrap}, topic)
    publisher.start()
    for hour in range(3):
        publisher.send(said(hour).key, said(hour).encode())
    publisher.close(30.0)
    assert not publisher.is_alive()
    reader = started(topic, events)
    time.sleep(0.5)
    assert reader.take() == []  # nobody has asked yet
    reader.rewind()
    assert heard(reader) == [0, 1, 2]
    assert reader.partitions == frozenset((events, number) for number in range(3))
    again = PeersPublisher({"bootstrap_servers": kafka_bootstrap}, topic)
    again.start()
    again.send(said(3).key, said(3).encode())
    assert until(reader.take, seconds=30.0) == [said(3).encode()]
    reader.rewind()
    assert heard(reader) == [0, 1, 2, 3]
    assert reader.trouble is None
    assert again.trouble is None
    again.close(30.0)


def test_a_topic_that_is_not_there_is_waited_for_by_nobody_else(kafka_bootstrap: str, started: Start) -> None:
    topic, events = unique("peers"), new_topic(kafka_bootstrap, "events")
    publisher = PeersPublisher({"bootstrap_servers": kafka_bootstrap}, topic)
    publisher.start()
    reader = started(topic, events)
    publisher.send(b"k", said(1).encode())
    assert until(lambda: reader.absent and reader.trouble, seconds=30.0)
    assert "detector topics" in (reader.trouble or "")
    assert until(lambda: publisher.trouble, seconds=30.0)
    a, b, c, d = [unique(name) for name in ("findings", "alerts", "rejects", "adjustments")]
    create_topics(
        {"bootstrap_servers": kafka_bootstrap},
        TopicPlan(events=(events,), findings=a, alerts=b, rejects=c, adjustments=d, peers=topic),
    )
    reader.rewind()
    assert until(lambda: not reader.absent, seconds=30.0)
    assert until(reader.take, seconds=60.0) == [said(1).encode()]
    publisher.close(30.0)


def test_what_the_topic_refuses_is_given_up(kafka_bootstrap: str) -> None:
    topic = new_topic(kafka_bootstrap, "peers", configs={"max.message.bytes": "2000"})
    publisher = PeersPublisher({"bootstrap_servers": kafka_bootstrap}, topic)
    publisher.start()
    publisher.send(b"large", b"x" * 5_000)
    publisher.send(b"small", b"y")
    assert [record.key for record in drain(kafka_bootstrap, topic, 1, polls=300)] == [b"small"]
    publisher.close(30.0)
