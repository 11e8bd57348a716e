"""A real Kafka broker for the tests, and few-line helpers to put bytes into it and read them back."""

import gc
import logging
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from deploy.kafka.broker import Broker
from deploy.kafka.install import MissingTool


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Broker]:
    """A broker started here; without Java or Maven the test is skipped, and in CI fails."""
    broker = Broker()
    try:
        broker.start()
    except MissingTool as missing:
        broker.remove()
        if os.environ.get("CI") == "true":
            pytest.fail(f"the Kafka tests must run in CI: {missing}", pytrace=False)
        pytest.skip(f"{missing}; or set KAFKA_BOOTSTRAP_SERVERS")
    try:
        yield broker
    finally:
        broker.kill()
        broker.remove()


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """For a test in which connections are refused: kafka-python forgets their sockets; they go unmentioned.

    Its log is silenced, because pytest would keep the records, with them the errors, and so the sockets.
    """
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"unclosed <(ssl\.SSLS|s)ocket", ResourceWarning)
        yield
        gc.collect()
    logger.setLevel(level)


@pytest.fixture
def stoppable_broker(kafka_broker: Broker, forgotten_sockets: None) -> Iterator[Broker]:  # noqa: ARG001
    """The same broker, for a test that stops it; it runs again, with the same data, when the test is over."""
    yield kafka_broker
    kafka_broker.start()


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of the tests' broker: KAFKA_BOOTSTRAP_SERVERS when set, else one started here."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        return given
    broker: Broker = request.getfixturevalue("kafka_broker")
    return broker.bootstrap


def unique(prefix: str) -> str:
    """A name for a topic or group that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def new_topic(
    bootstrap: str, prefix: str = "test", *, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> str:
    """Create a topic with a unique name, wait until it can be used, and return its name."""
    name = unique(prefix)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        plan = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
        admin.create_topics({name: plan}, wait_for_metadata=True)
    finally:
        admin.close()
    return name


def publish(
    bootstrap: str,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes]],
    *,
    partition: int | None = None,
) -> list[tuple[int, int]]:
    """Publish (key, value) pairs in order; the (partition, offset) that each one got."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, acks="all")
    try:
        futures = [producer.send(topic, key=key, value=value, partition=partition) for key, value in records]
        producer.flush(30)
        return [(sent.partition, sent.offset) for sent in (future.get(10) for future in futures)]
    finally:
        producer.close(10)


def drain(bootstrap: str, topic: str, count: int, *, polls: int = 100) -> list[ConsumerRecord]:
    """Read a topic from its beginning until `count` records came, or after `polls` tries of 100 ms.

    The records of one partition are in order; those of several are not in any order between them.
    """
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    records: list[ConsumerRecord] = []
    try:
        consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)])
        for _ in range(polls):
            if len(records) >= count:
                break
            for batch in consumer.poll(timeout_ms=100).values():
                records.extend(batch)
    finally:
        consumer.close()
    return records
