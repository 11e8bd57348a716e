"""The Kafka source against a real broker: assignment, seek, commit, rebalances, and the ends of logs."""

from collections.abc import Mapping
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import MemberToRemove
from structlog.testing import capture_logs

from detector.sources.alignment import Partition
from detector.sources.base import Record, SourceError
from detector.sources.kafka import UNSEEN, CommitLost, CommitRetry, ConsumerSettings, KafkaSource
from tests.support.kafka import new_topic, publish, unique
from tests.support.kafka_source import QUICK, By, Clock, Listener, poll_until, read, read_each, source_of

pytestmark = pytest.mark.kafka


def values(records: list[Record]) -> list[bytes]:
    return [record.value for record in records]


def messages(count: int, prefix: str = "v") -> list[tuple[bytes | None, bytes]]:
    return [(b"key-%d" % n, b"%s-%d" % (prefix.encode(), n)) for n in range(count)]


def test_records_come_raw_and_in_offset_order(kafka_bootstrap: str, by: By) -> None:
    topic = new_topic(kafka_bootstrap, partitions=3, configs={"message.timestamp.type": "LogAppendTime"})
    for number in range(3):
        publish(kafka_bootstrap, topic, messages(50, f"p{number}"), partition=number)
    publish(kafka_bootstrap, topic, [(None, b"\xff not even text")], partition=0)
    listener, clock = Listener(), Clock()
    clock.now = 4e9

    with source_of(by(kafka_bootstrap), topic, unique("group"), listener, clock=clock) as source:
        got = read(source, 151)

    assert listener.calls[0] == ("assigned", [(topic, 0), (topic, 1), (topic, 2)])
    for number in range(3):
        records = got[topic, number]
        assert [record.offset for record in records] == list(range(len(records)))
        assert values(records)[:50] == [b"p%d-%d" % (number, n) for n in range(50)]
        assert {(record.topic, record.partition) for record in records} == {(topic, number)}
        assert records[7].key == b"key-7"
    last = got[topic, 0][-1]
    assert (last.key, last.value) == (None, b"\xff not even text")
    times = [record.received_at for record in got[topic, 1]]
    assert times == sorted(times)
    assert 1_700_000_000 < times[0] < clock.now, "the broker's time of arrival, not the injected clock"


def test_reading_starts_at_the_offset_that_the_listener_answers(kafka_bootstrap: str, by: By) -> None:
    topic = new_topic(kafka_bootstrap, partitions=2)
    for number in range(2):
        publish(kafka_bootstrap, topic, messages(10), partition=number)

    with source_of(by(kafka_bootstrap), topic, unique("group"), Listener({(topic, 0): 7})) as source:
        got = read(source, 13)

    assert [record.offset for record in got[topic, 0]] == [7, 8, 9]
    assert len(got[topic, 1]) == 10, "no answer: from the beginning"


def test_a_new_member_goes_on_at_the_committed_offset(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap), unique("group")
    publish(kafka_bootstrap, topic, messages(10))
    with source_of(by(kafka_bootstrap), topic, group) as source:
        read(source, 10)
        source.commit({(topic, 0): 4})
        source.commit({})

    with source_of(by(kafka_bootstrap), topic, group) as source:
        got = read(source, 6)

    assert [record.offset for record in got[topic, 0]] == [4, 5, 6, 7, 8, 9]
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    stored = admin.list_group_offsets([group])[group][TopicPartition(topic, 0)]
    admin.close()
    assert stored.offset == 4


def test_a_second_member_takes_half_and_goes_on_where_the_first_committed_on_revocation(
    kafka_bootstrap: str,
    by: By,
) -> None:
    topic, group = new_topic(kafka_bootstrap, partitions=4), unique("group")
    for number in range(4):
        publish(kafka_bootstrap, topic, messages(20), partition=number)
    first, second = Listener(), Listener()

    with source_of(by(kafka_bootstrap), topic, group, first) as one:
        first.commit = one.commit
        first.note(read(one, 80))
        with source_of(by(kafka_bootstrap), topic, group, second) as two:
            poll_until(lambda: len(first.owned) == len(second.owned) == 2, one, two)
            for number in range(4):
                publish(kafka_bootstrap, topic, [(None, b"after")], partition=number)
            ours, theirs = read_each([one, two], 4)
        poll_until(lambda: len(first.owned) == 4, one)

    assert [kind for kind, _ in first.calls] == ["assigned", "revoked", "assigned", "revoked"], "the last is the close"
    assert first.calls[1] == ("revoked", sorted(theirs)), "only what moves is given up"
    assert sorted([*ours, *theirs]) == [(topic, number) for number in range(4)]
    for batches in (ours, theirs):
        assert [values(records) for records in batches.values()] == [[b"after"], [b"after"]]


def test_close_commits_through_the_listener_and_leaves_the_group_at_once(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap), unique("group")
    publish(kafka_bootstrap, topic, messages(5))
    patient = ConsumerSettings(session_timeout=45.0)
    listener = Listener()
    with source_of(by(kafka_bootstrap), topic, group, listener, settings=patient) as source:
        listener.commit = source.commit
        listener.note(read(source, 5))
        source.close()
        source.close()
    assert listener.calls[-1] == ("revoked", [(topic, 0)])
    publish(kafka_bootstrap, topic, [(None, b"next")])

    with source_of(by(kafka_bootstrap), topic, group, settings=patient) as source:
        got = read(source, 1, polls=25)

    assert values(got[topic, 0]) == [b"next"]


def test_two_static_members_share_and_one_comes_back_without_a_rebalance(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap, partitions=2), unique("group")
    publish(kafka_bootstrap, topic, messages(2), partition=0)
    publish(kafka_bootstrap, topic, messages(2), partition=1)
    settings = [
        ConsumerSettings(group_instance_id=name, session_timeout=20.0, heartbeat_interval=0.3)
        for name in ("worker-0", "worker-1")
    ]
    first, second, again = Listener(), Listener(), Listener()

    with source_of(by(kafka_bootstrap), topic, group, first, settings=settings[0]) as one:
        with source_of(by(kafka_bootstrap), topic, group, second, settings=settings[1]) as two:
            poll_until(lambda: len(first.owned) == len(second.owned) == 1, one, two)
            theirs = set(second.owned)
        calls = len(first.calls)
        with source_of(by(kafka_bootstrap), topic, group, again, settings=settings[1]) as two:
            poll_until(lambda: again.owned == theirs, one, two)
        assert first.calls[calls:] == []


def test_a_member_that_was_put_out_loses_its_commit_and_is_told(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap), unique("group")
    publish(kafka_bootstrap, topic, messages(5))
    listener = Listener()
    settings = ConsumerSettings(group_instance_id="worker", session_timeout=20.0, heartbeat_interval=10.0)
    with source_of(by(kafka_bootstrap), topic, group, listener, settings=settings) as source:
        read(source, 5)
        admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        admin.remove_group_members(group, [MemberToRemove(group_instance_id="worker")])
        admin.close()

        with pytest.raises(CommitLost):
            source.commit({(topic, 0): 5})
        poll_until(lambda: len(listener.calls) == 3, source)

        source.commit({(topic, 0): 5})
    assert [kind for kind, _ in listener.calls] == ["assigned", "lost", "assigned", "revoked"]


def test_a_commit_before_the_group_has_settled_is_to_be_tried_again(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap, partitions=2), unique("group")
    first, second = Listener(), Listener()
    slow = ConsumerSettings(heartbeat_interval=3.0, commit_timeout=2.0)
    with source_of(by(kafka_bootstrap), topic, group, first) as one:
        poll_until(lambda: len(first.owned) == 2, one)
        with source_of(by(kafka_bootstrap), topic, group, second, settings=slow) as two:
            two.poll(0.05)  # asks to join, and waits for the first member

            with pytest.raises(CommitRetry):
                two.commit({(topic, 0): 0})

            poll_until(lambda: len(second.owned) == 1, one, two)
            two.commit(dict.fromkeys(second.owned, 0))


def test_what_a_listener_raises_comes_out_of_poll(kafka_bootstrap: str, by: By) -> None:
    topic = new_topic(kafka_bootstrap)

    class Broken(Listener):
        def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
            raise LookupError(f"no state for {partitions}")

    with (
        source_of(by(kafka_bootstrap), topic, unique("group"), Broken()) as source,
        pytest.raises(LookupError, match="no state for"),
    ):
        poll_until(lambda: False, source, polls=20)


@pytest.mark.parametrize("wanted", [500, 2])
def test_an_offset_that_the_log_does_not_have_falls_back_to_the_earliest_and_is_logged(
    kafka_bootstrap: str, by: By, wanted: int
) -> None:
    topic = new_topic(kafka_bootstrap)
    publish(kafka_bootstrap, topic, messages(10))
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.delete_records({TopicPartition(topic, 0): 6})
    admin.close()

    with (
        capture_logs() as logs,
        source_of(by(kafka_bootstrap), topic, unique("group"), Listener({(topic, 0): wanted})) as source,
    ):
        got = read(source, 4)

    assert [record.offset for record in got[topic, 0]] == [6, 7, 8, 9]
    warned = [entry for entry in logs if entry["event"] == "offset_out_of_range"]
    assert [(entry["wanted"], entry["read_from"], entry["log_level"]) for entry in warned] == [(wanted, 6, "warning")]


def test_a_partition_is_caught_up_once_it_has_been_at_the_end_for_a_while(kafka_bootstrap: str, by: By) -> None:
    topic, clock = new_topic(kafka_bootstrap, partitions=2), Clock()
    full, empty = (topic, 0), (topic, 1)
    publish(kafka_bootstrap, topic, messages(40), partition=0)
    settings = ConsumerSettings(max_poll_records=30, idle_after=0.5)
    with source_of(by(kafka_bootstrap), topic, unique("group"), clock=clock, settings=settings) as source:
        read(source, 40)
        poll_until(lambda: source.lag() == {full: 0, empty: 0}, source)
        assert source.caught_up() == set(), "both are at the end, but not for long enough"

        clock.now += 0.5
        assert source.caught_up() == {full, empty}

        publish(kafka_bootstrap, topic, messages(100), partition=1)
        some = len(read(source, 30)[empty])
        assert 30 <= some < 60, "whole polls of 30 at most"
        assert source.caught_up() == {full}

        read(source, 100 - some)
        assert source.caught_up() == {full}, "the end was seen only now"
        clock.now += 0.5
        assert source.caught_up() == {full, empty}


def test_a_resumed_partition_is_not_caught_up_before_it_has_been_looked_at_again(kafka_bootstrap: str, by: By) -> None:
    topic, clock = new_topic(kafka_bootstrap, partitions=2), Clock()
    paused, open_ = (topic, 0), (topic, 1)
    publish(kafka_bootstrap, topic, messages(1), partition=0)
    with source_of(by(kafka_bootstrap), topic, unique("group"), clock=clock) as source:
        read(source, 1)
        source.poll(0.3)
        clock.now += 1.0
        source.poll(0.1)
        clock.now += 1.0
        assert paused in source.caught_up()

        source.pause([paused, ("not-ours", 9)])
        for number in range(2):
            publish(kafka_bootstrap, topic, [(None, b"later")], partition=number)
        assert set(read(source, 1)) == {open_}
        assert source.poll(0.3) == {}

        source.resume([paused, ("not-ours", 9)])
        assert paused not in source.caught_up()
        assert values(read(source, 1)[paused]) == [b"later"]


def test_what_was_fetched_before_a_pause_comes_after_it(kafka_bootstrap: str, by: By) -> None:
    topic = new_topic(kafka_bootstrap, partitions=2)
    publish(kafka_bootstrap, topic, messages(30), partition=0)
    settings = ConsumerSettings(max_poll_records=10)
    with source_of(by(kafka_bootstrap), topic, unique("group"), settings=settings) as source:
        assert len(read(source, 10)[topic, 0]) == 10
        source.pause([(topic, 0)])
        publish(kafka_bootstrap, topic, messages(5), partition=1)
        assert set(read(source, 5)) == {(topic, 1)}
        source.resume([(topic, 0)])

        rest = read(source, 20)[topic, 0]

    assert [record.offset for record in rest] == list(range(10, 30))


def test_lag_counts_what_is_left_in_each_partition(kafka_bootstrap: str, by: By) -> None:
    topic = new_topic(kafka_bootstrap, partitions=2)
    publish(kafka_bootstrap, topic, messages(25), partition=0)
    settings, listener = ConsumerSettings(max_poll_records=10), Listener({(topic, 0): 0, (topic, 1): 0})
    with source_of(by(kafka_bootstrap), topic, unique("group"), listener, settings=settings) as source:
        read(source, 10)
        assert source.lag() == {(topic, 0): 15, (topic, 1): 0}

        publish(kafka_bootstrap, topic, messages(5), partition=1)
        source.pause([(topic, 0), (topic, 1)])
        assert source.lag() == {(topic, 0): 15, (topic, 1): 5}, "also of what is paused"
        assert source.outage_seconds() == 0.0


def test_all_partitions_are_known_whoever_has_them(kafka_bootstrap: str, by: By) -> None:
    topics, group = [new_topic(kafka_bootstrap, partitions=count) for count in (3, 2)], unique("group")
    all_of_them = {(topic, number) for topic, count in zip(topics, (3, 2), strict=True) for number in range(count)}
    source = KafkaSource(by(kafka_bootstrap, metadata_ms=300), topics, group, Listener(), Clock(), settings=QUICK)
    with closing(source):
        assert source.partitions() == all_of_them, "before any of them is assigned"
        admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        admin.create_partitions({topics[1]: 4})
        admin.close()
        more = all_of_them | {(topics[1], 2), (topics[1], 3)}

        def seen() -> bool:
            source.lag()
            return source.partitions() == more

        poll_until(seen, source)


def test_after_a_standstill_the_ends_have_to_be_seen_anew(kafka_bootstrap: str, by: By) -> None:
    """A process that was stopped wakes with what it knew before: much may have come meanwhile."""
    topic, clock = new_topic(kafka_bootstrap), Clock()
    with source_of(by(kafka_bootstrap), topic, unique("group"), clock=clock) as source:
        poll_until(lambda: source._at_end_since.keys() == {(topic, 0)}, source)
        clock.now += 1.0
        source.poll(0.1)
        assert source.caught_up() == {(topic, 0)}
        clock.now += UNSEEN + 0.1
        source.poll(0.1)
        assert source.caught_up() == set()
        clock.now += 1.0
        source.poll(0.1)
        assert source.caught_up() == {(topic, 0)}


def test_a_missing_topic_is_told_at_the_start(kafka_bootstrap: str, by: By) -> None:
    with pytest.raises(SourceError, match=r"no topic no-such-topic .*detector topics"):
        KafkaSource(by(kafka_bootstrap), ["no-such-topic"], "g", Listener(), Clock())
