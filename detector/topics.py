"""The topics that the detector reads and writes, and their creation: `detector topics`."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType

from detector.sources.base import SourceError
from detector.sources.kafka_consumer import reach

DAY_MS: Final = 24 * 60 * 60 * 1000

_COMPACTED: Final = {"cleanup.policy": "compact,delete"}


class Topic(msgspec.Struct, frozen=True):
    """One topic as it should be: `configs` in the broker's words."""

    name: str
    partitions: int
    configs: Mapping[str, str]


class TopicPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Names, sizes and retention (days) of the topics: those of events, and those that the detector writes.

    Events are spread over `partitions`, which is the number of workers that can share them; the others are
    few and keep one order. Events carry the broker's time of arrival, so that a producer's wrong clock can be
    told; rejects hold the original bytes in base64, and so may be larger than what they came from. Adjustments are
    kept by their ids, for longer than they hold; what peers are used to, by partition and boundary, for as long as
    events that may be judged by it. Anchors of the store's integrity, if they go to a topic, are kept for ever.
    """

    events: tuple[str, ...] = ("agent-events",)
    findings: str = "agent-findings"
    alerts: str = "agent-alerts"
    rejects: str = "agent-rejects"
    adjustments: str = "agent-adjustments"
    peers: str = "agent-peers"
    anchors: str | None = None
    partitions: int = 6
    events_days: int = 7
    findings_days: int = 30
    alerts_days: int = 90
    rejects_days: int = 30
    adjustments_days: int = 400  # none holds for longer than a year
    peers_days: int = 7  # as long as events, which nobody could be judged by without
    replication_factor: int = 1

    def topics(self) -> tuple[Topic, ...]:
        """The topics, in the order of the pipeline."""
        arrival = {"message.timestamp.type": "LogAppendTime"}
        return (
            *(Topic(name, self.partitions, _retention(self.events_days) | arrival) for name in self.events),
            Topic(self.findings, 1, _retention(self.findings_days)),
            Topic(self.alerts, 1, _retention(self.alerts_days)),
            Topic(self.rejects, 1, _retention(self.rejects_days) | {"max.message.bytes": str(4 << 20)}),
            Topic(self.adjustments, 1, _COMPACTED | _retention(self.adjustments_days)),
            Topic(self.peers, 1, _COMPACTED | _retention(self.peers_days) | {"max.message.bytes": str(4 << 20)}),
            *([Topic(self.anchors, 1, {"retention.ms": "-1"})] if self.anchors is not None else []),
        )


class TopicReport(msgspec.Struct, frozen=True):
    """What became of one topic; `differences` says, for a person, how it differs from the plan."""

    name: str
    state: Literal["created", "exists", "differs"]
    differences: tuple[str, ...] = ()


class TopicError(RuntimeError):
    """The topics could not be looked at or created: the message says why and what to do."""


def create_topics(client: Mapping[str, Any], plan: TopicPlan) -> list[TopicReport]:
    """Create those topics of the plan that do not exist; one that exists is compared and never changed.

    Args:
        client: kafka-python's settings for bootstrap and security.
        plan: What there should be.

    Returns:
        One report a topic, in the order of the pipeline.

    Raises:
        TopicError: no broker answered, or it refused.
    """
    try:
        admin = reach(KafkaAdminClient, client)
    except SourceError as error:
        raise TopicError(str(error)) from error
    try:
        return _create(admin, plan)
    except errors.KafkaError as error:
        raise TopicError(
            f"the topics could not be created at {client.get('bootstrap_servers')} ({error}): check that the "
            f"credentials allow it, and that there are as many brokers as copies ({plan.replication_factor})"
        ) from error
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, plan: TopicPlan) -> list[TopicReport]:
    wanted = plan.topics()
    there = set(admin.list_topics())
    missing = [topic for topic in wanted if topic.name not in there]
    created = set()
    for topic in missing:
        options = {
            "num_partitions": topic.partitions,
            "replication_factor": plan.replication_factor,
            "configs": dict(topic.configs),
        }
        try:
            admin.create_topics({topic.name: options})
            created.add(topic.name)
        except errors.TopicAlreadyExistsError:
            pass  # somebody else was faster: it is compared like any other
    admin.wait_for_topics([topic.name for topic in missing])
    return [TopicReport(topic.name, "created") if topic.name in created else _compare(admin, topic) for topic in wanted]


def _compare(admin: KafkaAdminClient, topic: Topic) -> TopicReport:
    (described,) = admin.describe_topics([topic.name])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name)
    configs = admin.describe_configs([resource], config_filter=ConfigFilterType.ALL)["topic"][topic.name]
    differences = []
    if (partitions := len(described["partitions"])) != topic.partitions:
        differences.append(f"{partitions} partitions, not {topic.partitions}")
    for key, value in topic.configs.items():
        if (found := configs[key]["value"]) != value:
            differences.append(f"{key}={found}, not {value}")
    return TopicReport(topic.name, "differs" if differences else "exists", tuple(differences))


def _retention(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * DAY_MS)}
