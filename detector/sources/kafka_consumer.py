"""A consumer as the Kafka source wants it: its settings, its connection, and what its commit errors mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from detector.kafka_open import ClientT, open_client
from detector.sources.alignment import Partition
from detector.sources.base import SourceError

# What no retry mends: the message goes to a person, and the process ends.
FATAL: Final = (
    errors.AuthorizationError,
    errors.FencedInstanceIdError,
    errors.GroupMaxSizeReachedError,
    errors.InconsistentGroupProtocolError,
    errors.InvalidGroupIdError,
    errors.InvalidSessionTimeoutError,
    errors.KafkaConfigurationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.UnsupportedVersionError,
)


class CommitRetry(Exception):  # noqa: N818 - what to do, not what failed
    """Nothing was committed: the group rebalances or the broker is silent. Poll, then commit again."""


class CommitLost(Exception):  # noqa: N818 - what happened to the partitions
    """The partitions belong to another member: drop their state; the next poll says what is assigned."""


class ConsumerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the consumer behaves; times are in seconds.

    `group_instance_id` makes the member a static one: it may be away for `session_timeout` (a restart)
    before its partitions are moved. `idle_after` is how long a position must have been at the log's end for
    the partition to be caught up. After `probe_after` without records the broker is asked for a sign of life. One
    that is closed waits `closing_timeout` for its last commit, and as long to leave the group.
    """

    group_instance_id: str | None = None
    max_poll_records: int = 1000
    idle_after: float = 0.2
    session_timeout: float = 45.0
    heartbeat_interval: float = 3.0
    max_poll_interval: float = 300.0
    commit_timeout: float = 4.0
    closing_timeout: float = 3.0
    probe_after: float = 5.0
    probe_timeout: float = 2.0


def reach(factory: Callable[..., ClientT], config: Mapping[str, Any]) -> ClientT:
    """Make one of kafka-python's clients, or say what a person can do about it.

    Raises:
        SourceError: no broker answered within `bootstrap_timeout_ms`, or it refused us.
    """
    try:
        return open_client(factory, config)
    except errors.KafkaError as error:
        raise SourceError(
            f"no Kafka broker could be used at {config.get('bootstrap_servers')} ({error}): "
            "check the bootstrap servers, and the CA, SASL mechanism and credentials if it asks for them"
        ) from error


def connect(
    client: Mapping[str, Any], topics: Sequence[str], group_id: str, settings: ConsumerSettings
) -> KafkaConsumer:
    """A consumer that has reached a broker and found the topics, but has not subscribed to them yet.

    `client` (kafka-python's names: bootstrap and security, or any tuning) goes over the defaults here, but
    not over what correctness rests on: no automatic commit, no automatic topic, no deserialiser.

    Raises:
        SourceError: no broker answered, it refused us, or a topic does not exist.
    """
    config: dict[str, Any] = {
        "check_crcs": True,
        "fetch_max_wait_ms": 100,
        "fetch_min_bytes": 1,
        # Half a minute by default, which after an outage would be added to every alert.
        "reconnect_backoff_max_ms": 1000,
        "metrics_enabled": False,
        "auto_offset_reset": "earliest",
        **client,
        "group_id": group_id,
        "group_instance_id": settings.group_instance_id,
        "partition_assignment_strategy": [CooperativeStickyAssignor()],
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
        "key_deserializer": None,
        "value_deserializer": None,
        "max_poll_records": settings.max_poll_records,
        "session_timeout_ms": int(settings.session_timeout * 1000),
        "heartbeat_interval_ms": int(settings.heartbeat_interval * 1000),
        "max_poll_interval_ms": int(settings.max_poll_interval * 1000),
    }
    consumer = reach(KafkaConsumer, config)
    try:
        missing = [topic for topic in topics if not consumer.partitions_for_topic(topic)]
    except errors.KafkaError as error:
        consumer.close(autocommit=False)
        raise SourceError(f"the broker went away while the topics were looked up ({error}): start again") from error
    if missing:
        consumer.close(autocommit=False)
        raise SourceError(
            f"Kafka has no topic {', '.join(missing)} that this client may see: create it with "
            "`detector topics`, or allow the client to describe it"
        )
    return consumer


def commit(
    consumer: KafkaConsumer, offsets: Mapping[Partition, int], metadata: str, settings: ConsumerSettings
) -> None:
    """Commit the offsets of the next records to read, and wait for it up to `commit_timeout` seconds.

    Raises:
        CommitRetry: the group rebalances, or the broker did not answer.
        CommitLost: the consumer is no longer a member.
    """
    payload = {TopicPartition(*p): OffsetAndMetadata(offset, metadata, -1) for p, offset in offsets.items()}
    try:
        consumer.commit(payload, timeout_ms=int(settings.commit_timeout * 1000))
    except (errors.RebalanceInProgressError, errors.RetriableError) as error:
        raise CommitRetry(str(error)) from error
    except errors.CommitFailedError as error:
        # The broker said "rebalance in progress": we are a member still.
        if any(isinstance(cause, errors.RebalanceInProgressError) for cause in error.args):
            raise CommitRetry(str(error)) from error
        raise CommitLost(str(error)) from error
    except (errors.UnknownMemberIdError, errors.IllegalGenerationError, errors.FencedInstanceIdError) as error:
        raise CommitLost(str(error)) from error


def generation_of(consumer: KafkaConsumer) -> int:
    """The group's generation that a consumer is a member of, amid a rebalance too; below 0 if it is none."""
    generation: int = consumer._coordinator.group_metadata().generation_id
    return generation
