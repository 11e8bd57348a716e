"""Joins that take longer than a poll, which kafka-python by itself forgets."""

import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient

from detector.sources.kafka import KafkaSource
from tests.support.kafka import new_topic, publish, unique
from tests.support.kafka_source import QUICK, By, Listener, poll_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


def test_partitions_that_are_added_to_a_topic_are_read_by_who_polls_in_short_bursts(
    kafka_bootstrap: str, by: By
) -> None:
    topic, listener = new_topic(kafka_bootstrap, partitions=1), Listener()
    # Metadata is refreshed five times a second, not every five minutes, so that the new partitions are soon seen.
    client = by(kafka_bootstrap, metadata_ms=200)
    with closing(KafkaSource(client, [topic], unique("group"), listener, time.time, settings=QUICK)) as source:
        poll_until(lambda: listener.owned == {(topic, 0)}, source)
        with closing(KafkaAdminClient(bootstrap_servers=kafka_bootstrap)) as admin:
            admin.create_partitions({topic: 3})
        publish(kafka_bootstrap, topic, [(None, b"new")], partition=2)

        values: list[bytes] = []
        deadline = time.monotonic() + 30
        while b"new" not in values and time.monotonic() < deadline:
            values += [record.value for records in source.poll(0.0).values() for record in records]
            time.sleep(0.02)

        assert values == [b"new"]
        assert listener.owned == {(topic, number) for number in range(3)}
        source.commit({(topic, 2): 1})
