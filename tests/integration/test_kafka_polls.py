"""How kafka-python is polled: what comes between two of its looks is not slept over, and fetching does not pause."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from kafka import KafkaConsumer, TopicPartition

from detector.sources.kafka_hooks import IDLE_MS, NAP_MS, poll
from tests.support.kafka import new_topic, publish

pytestmark = pytest.mark.kafka

COUNT: Final = 200
BATCH: Final = 40
PARTITIONS: Final = 3
WHOLE: Final = {number: [b"%050d" % n for n in range(COUNT)] for number in range(PARTITIONS)}

Poll = Callable[[KafkaConsumer], dict[TopicPartition, list[Any]]]


class Time:
    """`time`, of which the client's naps are noted."""

    def __init__(self) -> None:
        self.naps: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Sleep, and note it."""
        self.naps.append(seconds)
        time.sleep(seconds)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client slept, each time (seconds)."""
    watched = Time()
    monkeypatch.setattr("kafka.consumer.group.time", watched)
    return watched.naps


@pytest.fixture(scope="module")
def topic(kafka_bootstrap: str) -> str:
    name = new_topic(kafka_bootstrap, partitions=PARTITIONS)
    for number in range(PARTITIONS):
        for begin in range(0, COUNT, BATCH):  # a batch comes whole, however small the answer may be
            publish(
                kafka_bootstrap, name, [(None, b"%050d" % n) for n in range(begin, begin + BATCH)], partition=number
            )
    return name


@contextmanager
def consumer_of(bootstrap: str, topic: str) -> Iterator[KafkaConsumer]:
    """Of all partitions, from their beginnings; its answers are small."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest", max_partition_fetch_bytes=4_000,
        max_poll_records=50,
    )  # fmt: skip
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        yield consumer
    finally:
        consumer.close()


def answered_at_once(consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each fetch be answered before the client looks whether any is on its way."""
    fetcher = consumer._fetcher
    send = fetcher.send_fetches

    def send_and_wait() -> Any:
        sent = send()
        until = time.monotonic() + 10
        while fetcher.in_flight_fetches() and time.monotonic() < until:
            time.sleep(0.001)
        fetcher._manager.run(fetcher._clean_done_fetch_futures)
        return sent

    monkeypatch.setattr(fetcher, "send_fetches", send_and_wait)


def read(consumer: KafkaConsumer, look: Poll) -> dict[int, list[bytes]]:
    """All there is, by partition."""
    came: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
    until = time.monotonic() + 60
    while sum(map(len, came.values())) < COUNT * PARTITIONS and time.monotonic() < until:
        for partition, records in look(consumer).items():
            came[partition.partition] += [record.value for record in records]
    return came


@pytest.mark.parametrize(
    ("look", "longest"),
    [(lambda consumer: consumer.poll(timeout_ms=500), IDLE_MS), (lambda consumer: poll(consumer, 0.5), NAP_MS)],
    ids=["left alone", "hooked"],
)
def test_an_answer_between_two_looks_is_hardly_slept_over(
    kafka_bootstrap: str, topic: str, naps: list[float], monkeypatch: pytest.MonkeyPatch, look: Poll, longest: int
) -> None:
    with consumer_of(kafka_bootstrap, topic) as consumer:
        answered_at_once(consumer, monkeypatch)
        came = read(consumer, look)
    assert came == WHOLE
    assert max(naps) == longest / 1000


def test_who_has_nothing_to_read_sleeps_as_long_as_ever(kafka_bootstrap: str, topic: str, naps: list[float]) -> None:
    with consumer_of(kafka_bootstrap, topic) as consumer:
        consumer.pause(*consumer.assignment())
        assert poll(consumer, 0.25) == {}
    assert naps[0] == IDLE_MS / 1000


def test_what_was_handed_over_is_fetched_on_while_others_wait(
    kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with consumer_of(kafka_bootstrap, topic) as consumer:
        fetcher, others_wait = consumer._fetcher, []
        send = fetcher.send_fetches

        def noted() -> Any:
            others_wait.append(bool(fetcher._completed_fetches))
            return send()

        monkeypatch.setattr(fetcher, "send_fetches", noted)
        came = read(consumer, lambda consumer: poll(consumer, 0.5))
    assert came == WHOLE
    assert any(others_wait)
