"""Both clients of the broker, beside each other and one after the other."""

import pytest

from detector.sources.base import SourceError
from detector.sources.kafka import ConsumerSettings
from tests.support.kafka import new_topic, publish, unique
from tests.support.kafka_source import (
    By,
    Listener,
    by_confluent,
    by_kafka_python,
    poll_until,
    read,
    read_each,
    source_of,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


def test_a_group_can_have_members_of_both_so_that_one_is_replaced_by_the_other_at_work(kafka_bootstrap: str) -> None:
    topic, group = new_topic(kafka_bootstrap, partitions=4), unique("group")
    old, new = Listener(), Listener()
    with source_of(by_kafka_python(kafka_bootstrap), topic, group, old) as one:
        poll_until(lambda: len(old.owned) == 4, one)
        with source_of(by_confluent(kafka_bootstrap), topic, group, new) as two:
            poll_until(lambda: len(old.owned) == len(new.owned) == 2, one, two)
            assert old.calls[1][0] == "revoked"
            assert len(old.calls[1][1]) == 2, "only what moves is given up"
            for number in range(4):
                publish(kafka_bootstrap, topic, [(None, b"%d" % number)], partition=number)
            ours, theirs = read_each([one, two], 4)
            assert (set(ours), set(theirs)) == (old.owned, new.owned)
            assert two.generation() == one.generation()
            two.commit(dict.fromkeys(new.owned, 1))
            one.close()
            poll_until(lambda: len(new.owned) == 4, two)


def test_a_pause_ends_when_the_partition_goes(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap, partitions=2), unique("group")
    first, second = Listener(), Listener()
    with source_of(by(kafka_bootstrap), topic, group, first) as one:
        poll_until(lambda: len(first.owned) == 2, one)
        one.pause(sorted(first.owned))
        with source_of(by(kafka_bootstrap), topic, group, second) as two:
            poll_until(lambda: len(second.owned) == 1, one, two)
            (moved,) = second.owned
        poll_until(lambda: len(first.owned) == 2, one)
        for number in range(2):
            publish(kafka_bootstrap, topic, [(None, b"after")], partition=number)
        assert set(read(one, 1)) == {moved}, "the other is paused still"
        one.resume([(topic, 0), (topic, 1)])
        assert read(one, 1)


def test_a_static_member_whose_name_another_takes_ends(kafka_bootstrap: str, by: By) -> None:
    topic, group, listener = new_topic(kafka_bootstrap), unique("group"), Listener()
    settings = ConsumerSettings(group_instance_id="worker", session_timeout=20.0, heartbeat_interval=0.3)
    first = Listener()
    with source_of(by(kafka_bootstrap), topic, group, first, settings=settings) as one:
        poll_until(lambda: bool(first.owned), one)
        with source_of(by(kafka_bootstrap), topic, group, listener, settings=settings) as two:
            poll_until(lambda: bool(listener.owned), two)
            with pytest.raises(SourceError, match="Kafka refuses this consumer"):
                poll_until(lambda: False, one)
            two.commit({(topic, 0): 0})
