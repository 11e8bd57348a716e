"""`detector topics` and `detector produce`, as functions, against a real broker."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType

from deploy.kafka.probe import free_port
from detector.produce import Pace, ProduceError, produce
from detector.topics import TopicError, TopicPlan, TopicReport, create_topics
from tests.support.kafka import drain, new_topic, unique

pytestmark = pytest.mark.kafka

DAY_MS = 86_400_000
NOUNS = ("events", "findings", "alerts", "rejects", "adjustments", "peers")


def plan_of(name: str, **changes: Any) -> TopicPlan:
    events, *others = (f"{name}-{noun}" for noun in NOUNS)
    written: dict[str, Any] = dict(zip(NOUNS[1:], others, strict=True))
    plan = TopicPlan(events=(events,), **written)
    return msgspec.structs.replace(plan, **changes)


def described(bootstrap: str, topic: str) -> tuple[int, dict[str, str]]:
    """Number of partitions, and the configuration in force."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    (found,) = admin.describe_topics([topic])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    configs = admin.describe_configs([resource], config_filter=ConfigFilterType.ALL)["topic"][topic]
    admin.close()
    return len(found["partitions"]), {key: config["value"] for key, config in configs.items()}


def test_topics_are_created_once_and_then_found(kafka_bootstrap: str) -> None:
    name, client = unique("plan"), {"bootstrap_servers": kafka_bootstrap}
    plan = plan_of(name)
    names = [f"{name}-{noun}" for noun in NOUNS]

    assert create_topics(client, plan) == [TopicReport(topic, "created") for topic in names]
    assert create_topics(client, plan) == [TopicReport(topic, "exists") for topic in names]

    sizes, configs = zip(*(described(kafka_bootstrap, topic) for topic in names), strict=True)
    assert sizes == (6, 1, 1, 1, 1, 1)
    assert [int(config["retention.ms"]) // DAY_MS for config in configs] == [7, 30, 90, 30, 400, 7]
    assert [config["cleanup.policy"] for config in configs] == ["delete"] * 4 + ["compact,delete"] * 2
    assert [int(config["max.message.bytes"]) >> 20 for config in configs] == [1, 1, 1, 4, 1, 4]
    assert configs[0]["message.timestamp.type"] == "LogAppendTime"


def test_a_topic_that_differs_is_told_and_left_alone(kafka_bootstrap: str) -> None:
    name, client = unique("plan"), {"bootstrap_servers": kafka_bootstrap}
    create_topics(client, plan_of(name, partitions=2, events_days=1))

    reports = create_topics(client, plan_of(name))

    assert [report.state for report in reports] == ["differs", *["exists"] * 5]
    assert reports[0].differences == (
        "2 partitions, not 6",
        f"retention.ms={DAY_MS}, not {7 * DAY_MS}",
    )
    partitions, configs = described(kafka_bootstrap, f"{name}-events")
    assert (partitions, configs["retention.ms"]) == (2, str(DAY_MS))


def test_only_what_is_missing_is_created(kafka_bootstrap: str) -> None:
    name, client = unique("plan"), {"bootstrap_servers": kafka_bootstrap}
    create_topics(client, plan_of(name))

    reports = create_topics(client, plan_of(name, alerts=f"{name}-other"))

    assert [report.state for report in reports] == ["exists", "exists", "created", "exists", "exists", "exists"]


def test_more_copies_than_brokers_are_refused_with_the_remedy(kafka_bootstrap: str) -> None:
    with pytest.raises(TopicError, match=r"as many brokers as copies \(3\)"):
        create_topics({"bootstrap_servers": kafka_bootstrap}, plan_of(unique("plan"), replication_factor=3))


@pytest.mark.usefixtures("forgotten_sockets")
def test_without_a_broker_both_commands_say_where_they_looked() -> None:
    client = {"bootstrap_servers": f"127.0.0.1:{free_port()}", "bootstrap_timeout_ms": 300}
    with pytest.raises(TopicError, match=r"no Kafka broker could be used at 127\.0\.0\.1"):
        create_topics(client, TopicPlan())
    with pytest.raises(ProduceError, match=r"no Kafka broker could be used at 127\.0\.0\.1"):
        produce(client, "topic", [b"{}"], key_of=lambda _: None)


def key_of(message: bytes) -> bytes | None:
    return message.split(b":")[0] or None


def test_messages_arrive_in_the_order_of_their_key_and_all_are_counted(kafka_bootstrap: str) -> None:
    topic = new_topic(kafka_bootstrap, partitions=4)
    messages = [b"agent-%d:%d" % (n % 7, n) for n in range(2000)] + [b":no key"]
    told: list[int] = []

    done = produce(
        {"bootstrap_servers": kafka_bootstrap}, topic, iter(messages), key_of=key_of, on_progress=told.append
    )

    assert (done.sent, done.failed, dict(done.errors)) == (2001, 0, {})
    assert done.seconds > 0
    assert told[-1] == 2001
    records = drain(kafka_bootstrap, topic, 2001)
    assert sorted(record.value for record in records) == sorted(messages)
    for agent in range(7):
        own = [record for record in records if record.key == b"agent-%d" % agent]
        assert len({record.partition for record in own}) == 1
        assert [int(record.value.split(b":")[1]) for record in own] == list(range(agent, 2000, 7))
    assert len({record.partition for record in records if record.key}) > 1


def test_the_pace_is_kept_for_each_message(kafka_bootstrap: str) -> None:
    topic, now, slept = new_topic(kafka_bootstrap), [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(rate=50, clock=lambda: now[0], sleep=sleep)
    done = produce({"bootstrap_servers": kafka_bootstrap}, topic, [b"x"] * 101, key_of=lambda _: None, pace=pace)

    assert done.sent == 101
    assert done.seconds == pytest.approx(2.0)
    assert len(slept) == 100


def test_a_message_that_is_too_large_fails_alone(kafka_bootstrap: str) -> None:
    topic = new_topic(kafka_bootstrap)
    messages = [b"small", b"huge" * (1 << 18), b"small too"]

    done = produce({"bootstrap_servers": kafka_bootstrap}, topic, messages, key_of=lambda _: None)

    assert (done.sent, done.failed, dict(done.errors)) == (2, 1, {"MessageSizeTooLargeError": 1})
    assert [record.value for record in drain(kafka_bootstrap, topic, 2)] == [b"small", b"small too"]


def test_what_the_broker_refuses_is_counted_by_error_with_all_that_follows(kafka_bootstrap: str) -> None:
    topic = new_topic(kafka_bootstrap, configs={"max.message.bytes": "100000"})
    messages = [b"small", bytes(range(256)) * 800, *[b"small too"] * 5]
    client = {"bootstrap_servers": kafka_bootstrap, "compression_type": None}

    done = produce(client, topic, messages, key_of=lambda _: None)

    assert done.sent + done.failed == 7
    assert done.failed == sum(done.errors.values()) >= 1
    assert "MessageSizeTooLargeError" in done.errors
    assert len(drain(kafka_bootstrap, topic, done.sent)) == done.sent


def test_an_interrupt_flushes_what_was_handed_over(kafka_bootstrap: str) -> None:
    topic = new_topic(kafka_bootstrap)

    def messages() -> Iterator[bytes]:
        yield from (b"%d" % n for n in range(300))
        raise KeyboardInterrupt

    done = produce({"bootstrap_servers": kafka_bootstrap}, topic, messages(), key_of=lambda _: None)

    assert (done.sent, done.failed) == (300, 0)
    assert len(drain(kafka_bootstrap, topic, 300)) == 300


def test_a_missing_topic_is_told_before_anything_is_read(kafka_bootstrap: str) -> None:
    client = {"bootstrap_servers": kafka_bootstrap, "max_block_ms": 300}

    messages = iter([b"{}"])

    with pytest.raises(ProduceError, match=r"no-such-topic can't be written .*detector topics"):
        produce(client, "no-such-topic", messages, key_of=lambda _: None)
    assert list(messages) == [b"{}"]
