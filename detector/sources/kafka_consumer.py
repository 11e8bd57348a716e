"""kafka-python's consumer as the Kafka source wants it: its connection, and what its commit errors mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from detector.kafka_open import ClientT, open_client
from detector.sources.alignment import Partition
from detector.sources.base import SourceError
from detector.sources.member import CommitLost, CommitRetry, ConsumerSettings, no_broker, no_topic

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


def reach(factory: Callable[..., ClientT], config: Mapping[str, Any]) -> ClientT:
    """Make one of kafka-python's clients, or say what a person can do about it.

    Raises:
        SourceError: no broker answered within `bootstrap_timeout_ms`, or it refused us.
    """
    try:
        return open_client(factory, config)
    except errors.KafkaError as error:
        raise no_broker(config.get("bootstrap_servers"), error) from error


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
        "bootstrap_timeout_ms": int(settings.start_timeout * 1000),
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
        raise no_topic(missing)
    return consumer


def commit(consumer: KafkaConsumer, offsets: Mapping[Partition, int], settings: ConsumerSettings) -> None:
    """Commit the offsets of the next records to read, and wait for it up to `commit_timeout` seconds.

    Raises:
        CommitRetry: the group rebalances, or the broker did not answer.
        CommitLost: the consumer is no longer a member.
    """
    payload = {TopicPartition(*p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
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
