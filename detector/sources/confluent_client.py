"""confluent-kafka's consumer as the Kafka source wants it: its connection, and what its errors mean."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from detector.sources.member import CommitLost, CommitRetry, ConsumerSettings, no_broker, no_topic, refused

# What no retry mends: the message goes to a person, and the process ends.
FATAL: Final = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._FATAL,
    }
)
NO_MEMBER: Final = frozenset(
    {KafkaError.FENCED_INSTANCE_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID}
)
DAMAGED: Final = frozenset({KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError.INVALID_MSG})

# What was fetched ahead is thrown away when its partition is paused, and is fetched again after that.
AHEAD: Final = 10_000

_ASK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 0.05

log = structlog.get_logger(__name__)


class Trouble:
    """What the client says, of its own accord, about why it has no connection. `why` is the last that it said.

    Its log goes to the service's as `debug`: while a broker is away it says so each second.
    """

    why = ""

    def hear(self, error: KafkaError) -> None:
        """An error of the client as a whole."""
        if error.code() == KafkaError._AUTHENTICATION:
            self.why = f"{error.str()}: check the user and the password"
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:  # which says less than what led to it
            self.why = error.str()

    def log(self, level: int, form: str, *told: object) -> None:  # noqa: ARG002 - as a logger of the standard library
        """A line of the client's log."""
        log.debug("kafka_client", said=form % told)


def connect(
    client: Mapping[str, Any], topics: Sequence[str], group_id: str, settings: ConsumerSettings, trouble: Trouble
) -> Consumer:
    """A consumer that has reached a broker and found the topics, but has not subscribed to them yet.

    `client` (librdkafka's names: bootstrap and security, or any tuning) goes over the defaults here, but not over
    what correctness rests on.

    Raises:
        SourceError: No broker answered within `start_timeout`, it refused us, or a topic does not exist.
    """
    config: dict[str, Any] = {
        "check.crcs": True,
        "fetch.wait.max.ms": 100,
        "queued.min.messages": AHEAD,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 1000,
        "socket.timeout.ms": 30_000,
        "auto.offset.reset": "earliest",
        **client,
        "group.id": group_id,
        "partition.assignment.strategy": "cooperative-sticky",
        "isolation.level": "read_uncommitted",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "session.timeout.ms": int(settings.session_timeout * 1000),
        "heartbeat.interval.ms": int(settings.heartbeat_interval * 1000),
        "max.poll.interval.ms": int(settings.max_poll_interval * 1000),
        "error_cb": trouble.hear,
        "logger": trouble,
    }
    if settings.group_instance_id is not None:
        config["group.instance.id"] = settings.group_instance_id
    servers = client.get("bootstrap.servers")
    try:
        consumer = Consumer(config)
    except KafkaException as error:
        raise no_broker(servers, _said(error).str()) from error
    try:
        missing = _missing(consumer, topics, settings.start_timeout, trouble)
    except KafkaException as error:
        consumer.close()
        raise no_broker(servers, trouble.why or _said(error).str()) from error
    if missing:
        consumer.close()
        raise no_topic(missing)
    return consumer


def _missing(consumer: Consumer, topics: Sequence[str], seconds: float, trouble: Trouble) -> list[str]:
    """Those of the topics that are not there."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        try:
            found = {topic: consumer.list_topics(topic, timeout=max(0.01, min(left, _ASK_SECONDS))) for topic in topics}
        except KafkaException:
            consumer.poll(0)  # has the client say what is wrong
            if time.monotonic() >= deadline:
                raise
            continue
        trouble.why = ""
        return [topic for topic in topics if not found[topic].topics[topic].partitions]


def await_coordinator(consumer: Consumer, partitions: list[TopicPartition], seconds: float) -> None:
    """Ask the group's coordinator something, until it answers.

    A commit that is waited for has no time limit of its own: while the coordinator is away it would wait until the
    session is over.

    Raises:
        CommitRetry: It did not answer in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            consumer.committed(partitions, timeout=max(0.01, deadline - time.monotonic()))
        except KafkaException as exception:
            if time.monotonic() >= deadline:
                raise CommitRetry(_said(exception).str()) from exception
            time.sleep(_AGAIN_SECONDS)  # one that has just moved says so at once
        else:
            return


def commit(commit_now: Callable[[], Sequence[TopicPartition]], *, ours: bool) -> None:
    """Call what commits, and say what its errors mean; `ours` are the partitions, as far as this member knows.

    Raises:
        CommitRetry: The group rebalances, or the broker did not answer.
        CommitLost: The consumer is no longer a member.
        SourceError: The broker refuses us for good.
    """
    try:
        error = next((one.error for one in commit_now() if one.error is not None), None)
    except KafkaException as exception:
        error = _said(exception)
    if error is None:
        return
    if error.code() in NO_MEMBER and ours:
        raise CommitLost(error.str())
    if error.code() in FATAL - NO_MEMBER:
        raise refused(error.str())
    raise CommitRetry(error.str())


def _said(error: KafkaException) -> KafkaError:
    said: KafkaError = error.args[0]
    return said
