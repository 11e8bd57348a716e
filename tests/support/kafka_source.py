"""A Kafka source under test: a clock moved by hand, a listener that notes what it is told, and reading."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final, Protocol

import pytest

from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.confluent import ConfluentMember
from detector.sources.kafka import Client, ConsumerSettings, KafkaSource, PartitionListener, SkippedRecord
from detector.sources.kafka_python import KafkaPythonMember

QUICK: Final = ConsumerSettings(session_timeout=6.0, heartbeat_interval=0.3)


EACH_CLIENT: Final = pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
"""For a test of the whole service that is to pass with either."""


class By(Protocol):
    """A client of the broker, one way or the other; it asks each `metadata_ms` which partitions there are."""

    def __call__(self, bootstrap: str, *, metadata_ms: int = 300_000) -> Client: ...


def by_kafka_python(bootstrap: str, *, metadata_ms: int = 300_000) -> Client:
    """The default client."""
    return Client(KafkaPythonMember, {"bootstrap_servers": bootstrap, "metadata_max_age_ms": metadata_ms})


def by_confluent(bootstrap: str, *, metadata_ms: int = 300_000) -> Client:
    """The client of the extra `fast`."""
    settings: dict[str, Any] = {"bootstrap.servers": bootstrap, "topic.metadata.refresh.interval.ms": metadata_ms}
    return Client(ConfluentMember, settings)


@pytest.fixture(params=[by_kafka_python, by_confluent], ids=["kafka-python", "confluent-kafka"])
def by(request: pytest.FixtureRequest) -> By:
    """Each client in turn: they are to behave alike."""
    chosen: By = request.param
    return chosen


class Clock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The time it was set to."""
        return self.now


class Listener:
    """Notes what it is told, answers the offsets given, and commits what was read when partitions go."""

    def __init__(self, seek: Mapping[Partition, int] | None = None) -> None:
        self.seek = dict(seek or {})
        self.calls: list[tuple[str, list[Partition]]] = []
        self.owned: set[Partition] = set()
        self.next: dict[Partition, int] = {}
        self.commit: Callable[[Mapping[Partition, int]], None] | None = None

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """Answer the offsets given."""
        self.calls.append(("assigned", partitions))
        self.owned |= set(partitions)
        return {partition: self.seek.get(partition) for partition in partitions}

    def on_revoked(self, partitions: list[Partition]) -> None:
        """Commit what was read, if there is a way to."""
        self.calls.append(("revoked", partitions))
        self.owned -= set(partitions)
        if self.commit:
            self.commit({p: self.next[p] for p in partitions if p in self.next})

    def on_lost(self, partitions: list[Partition]) -> None:
        """Give up without a commit."""
        self.calls.append(("lost", partitions))
        self.owned -= set(partitions)

    def note(self, batches: Mapping[Partition, list[Record]]) -> None:
        """Take these records for processed."""
        for partition, records in batches.items():
            self.next[partition] = records[-1].offset + 1


@contextmanager
def source_of(
    client: Client,
    topic: str,
    group: str,
    listener: PartitionListener | None = None,
    *,
    clock: Callable[[], float] | None = None,
    settings: ConsumerSettings = QUICK,
    on_skip: Callable[[SkippedRecord], None] | None = None,
) -> Iterator[KafkaSource]:
    """A source of one topic, closed at the end."""
    hooks = {"on_skip": on_skip} if on_skip else {}
    with closing(
        KafkaSource(
            client,
            [topic],
            group,
            listener or Listener(),
            clock or Clock(),
            settings=settings,
            **hooks,
        )
    ) as source:
        yield source


Batches = dict[Partition, list[Record]]


def read(source: KafkaSource, count: int, *, polls: int = 60) -> Batches:
    """Poll until `count` records came; fails when they have not after `polls` polls of 200 ms."""
    (got,) = read_each([source], count, polls=polls)
    return got


def read_each(sources: Sequence[KafkaSource], count: int, *, polls: int = 60) -> list[Batches]:
    """Poll the members of a group in turn until they got `count` records together; what each one got.

    All of them must be polled: while a group rebalances, a member that isn't polled holds up the others.
    """
    got: list[Batches] = [{} for _ in sources]
    came = 0
    for _ in range(polls):
        for source, batches in zip(sources, got, strict=True):
            for partition, records in source.poll(0.2).items():
                batches.setdefault(partition, []).extend(records)
                came += len(records)
        if came >= count:
            return got
    raise AssertionError(f"{came} of {count} records came: {got}")


def poll_until(done: Callable[[], bool], *sources: KafkaSource, polls: int = 100) -> None:
    """Poll the sources in turn until it came about; fails when it has not after `polls` turns."""
    for _ in range(polls):
        if done():
            return
        for source in sources:
            source.poll(0.1)
    raise AssertionError("it did not come about")
