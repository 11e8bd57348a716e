"""A member of a Kafka consumer group, by whichever client: what the source needs of it, and what it is told."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from detector.sources.alignment import Partition
from detector.sources.base import Record, SourceError

CLOCKS_DIFFER: Final = 60.0  # seconds that the broker's clock may be ahead of ours


class CommitRetry(Exception):  # noqa: N818 - what to do, not what failed
    """Nothing was committed: the group rebalances or the broker is silent. Poll, then commit again."""


class CommitLost(Exception):  # noqa: N818 - what happened to the partitions
    """The partitions belong to another member: drop their state; the next poll says what is assigned."""


class BrokerSilent(Exception):  # noqa: N818 - what the broker is
    """No answer to a question, in the time that there was for it."""


class ConsumerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the consumer behaves; times are in seconds.

    `group_instance_id` makes the member a static one: it may be away for `session_timeout` (a restart)
    before its partitions are moved. `heartbeat_interval` is how late it may hear of a rebalance, for which all others
    wait, reading nothing. `idle_after` is how long a position must have been at the log's end for
    the partition to be caught up. After `probe_after` without records the broker is asked for a sign of life. One
    that is closed waits `closing_timeout` for its last commit, and as long to leave the group. At the start a broker
    has `start_timeout` to answer.
    """

    group_instance_id: str | None = None
    max_poll_records: int = 1000
    idle_after: float = 0.2
    session_timeout: float = 45.0
    heartbeat_interval: float = 1.0
    max_poll_interval: float = 300.0
    commit_timeout: float = 4.0
    closing_timeout: float = 3.0
    probe_after: float = 5.0
    probe_timeout: float = 2.0
    start_timeout: float = 30.0


class SkippedRecord(msgspec.Struct, frozen=True):
    """An offset that can't be read: its batch fails the checksum, or does not unpack."""

    topic: str
    partition: int
    offset: int
    reason: str


class PartitionListener(Protocol):
    """Told when partitions come and go, while `poll` or `close` waits for it.

    It never runs beside the owner's thread, and may take seconds and call `commit`; it must not call `poll`. What
    it raises, `poll` or `close` raises.
    """

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """These were added. Answer the offset to read each from; None for the committed one, or the earliest."""

    def on_revoked(self, partitions: list[Partition]) -> None:
        """These are given up in order: save their state and commit their offsets now, then drop the state.

        A `CommitRetry` here, of a consumer that is closed amid a rebalance, can't be tried again.
        """

    def on_lost(self, partitions: list[Partition]) -> None:
        """These were taken away and may be another member's already: drop their state, commit nothing."""


class Client(NamedTuple):
    """Which client reads, and its settings for bootstrap and security, in its own names."""

    member: type["GroupMember"]
    settings: Mapping[str, Any]


class GroupMember(ABC):
    """Has reached a broker, found the topics and subscribed to them. Not thread-safe: one thread owns it.

    Args:
        client: The client's own settings for bootstrap and security; others override the defaults.
        topics: Topics to read; they must exist.
        group_id: Consumer group.
        listener: Told when partitions come and go.
        clock: Unix seconds.
        settings: Sizes and times.
        on_skip: Called, within `poll`, with each record that can't be read.

    Raises:
        SourceError: No broker answered, it refused us, or a topic is missing.
    """

    @abstractmethod
    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Sequence[str],
        group_id: str,
        listener: PartitionListener,
        clock: Callable[[], float],
        settings: ConsumerSettings,
        on_skip: Callable[[SkippedRecord], None],
    ) -> None: ...

    @abstractmethod
    def poll(self, timeout: float) -> dict[Partition, list[Record]]:
        """Wait up to `timeout` seconds for records, `max_poll_records` at most; rebalances happen in here.

        Raises:
            SourceError: The broker refuses us for good.
        """

    @abstractmethod
    def assignment(self) -> set[Partition]:
        """The partitions that are this member's now."""

    @abstractmethod
    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hand over nothing of these assigned partitions until `resume`."""

    @abstractmethod
    def resume(self, partitions: Sequence[Partition]) -> None:
        """Undo `pause` for these assigned partitions."""

    @abstractmethod
    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the offsets of the next records to read, and wait for it up to `commit_timeout` seconds.

        Raises:
            CommitRetry: The group rebalances, or the broker did not answer.
            CommitLost: This consumer is no longer a member.
        """

    @abstractmethod
    def generation(self) -> int:
        """The group's generation that this is a member of, amid a rebalance too; below 1 if it is of none."""

    @abstractmethod
    def position(self, partition: Partition) -> int | None:
        """The offset that is read next of an assigned partition, where it is known without asking the broker."""

    @abstractmethod
    def known_end(self, partition: Partition) -> int | None:
        """The log's end of an assigned partition, as the last fetch knew it."""

    @abstractmethod
    def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The logs' ends, asked of the broker, for `probe_timeout` seconds at most.

        Raises:
            BrokerSilent: It did not answer.
        """

    @abstractmethod
    def begin(self, partition: Partition) -> int:
        """The earliest offset that the log has; asked, and raised, as `ends`."""

    @abstractmethod
    def partitions(self) -> set[Partition]:
        """All partitions of the topics that are read, whoever has them; may be asked, and raised, as `ends`."""

    @abstractmethod
    def close(self) -> None:
        """Give the partitions up (`on_revoked`) and leave the group. Commits nothing itself.

        Raises:
            SourceError: The broker refused us for good.
        """


def arrival(timestamp: float, now: float) -> float:
    """A record's time of arrival, in unix seconds: its timestamp, where that can be believed.

    Below zero it is unknown. Where producers set it (`CreateTime`), one that lies in the future would let an event
    from the future pass for one of today.
    """
    return timestamp if 0 <= timestamp <= now + CLOCKS_DIFFER else now


def no_broker(servers: object, why: object) -> SourceError:
    """What a person is told when no broker could be used."""
    return SourceError(
        f"no Kafka broker could be used at {servers} ({why}): "
        "check the bootstrap servers, and the CA, SASL mechanism and credentials if it asks for them"
    )


def no_topic(missing: Sequence[str]) -> SourceError:
    """What a person is told when topics are missing."""
    return SourceError(
        f"Kafka has no topic {', '.join(missing)} that this client may see: create it with "
        "`detector topics`, or allow the client to describe it"
    )


def refused(why: object) -> SourceError:
    """What a person is told when the broker refuses us for good."""
    return SourceError(f"Kafka refuses this consumer ({why}): check its ACLs and settings")
