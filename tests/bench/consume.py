"""A consumer with nothing behind it, in a process of its own: `python -m tests.bench.consume BOOTSTRAP TOPIC ...`.

Prints one line of JSON: messages a second for each time that it read the topic from its beginning, with nothing behind
it and with `msgspec`, by each client in turn, so that what else the machine does falls on all alike.
"""

import argparse
import gc
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from confluent_kafka import TopicPartition as ConfluentPartition
from kafka import TopicPartition

from detector.events import Event
from detector.sources import confluent_client
from detector.sources.kafka_consumer import connect
from detector.sources.member import ConsumerSettings

_QUIET: Final = 30.0
_MOST: Final = ConsumerSettings().max_poll_records
_GROUP: Final = "bench-bare"


class Reader(ABC):
    """A consumer of a whole topic."""

    @abstractmethod
    def rewind(self) -> None:
        """Begin anew."""

    @abstractmethod
    def batch(self) -> Sequence[bytes]:
        """What comes within a second, in batches of `poll`'s size; nothing else is done with it."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""


class KafkaPython(Reader):
    """With the settings of the detector's own."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = connect({"bootstrap_servers": [bootstrap]}, [topic], _GROUP, ConsumerSettings())
        self._partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(self._partitions)

    def rewind(self) -> None:
        """See `Reader`."""
        for partition in self._partitions:
            self._consumer.seek(partition, 0)

    def batch(self) -> Sequence[bytes]:
        """See `Reader`."""
        return [record.value for records in self._consumer.poll(timeout_ms=1000).values() for record in records]

    def close(self) -> None:
        """See `Reader`."""
        self._consumer.close(autocommit=False)


class Confluent(Reader):
    """The same by confluent-kafka."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        client, trouble = {"bootstrap.servers": bootstrap}, confluent_client.Trouble()
        self._consumer = confluent_client.connect(client, [topic], _GROUP, ConsumerSettings(), trouble)
        numbers = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._partitions = [ConfluentPartition(topic, number, 0) for number in numbers]

    def rewind(self) -> None:
        """See `Reader`."""
        self._consumer.assign(self._partitions)

    def batch(self) -> Sequence[bytes]:
        """See `Reader`."""
        messages = self._consumer.consume(_MOST, 0.1)
        return [message.value() or b"" for message in messages if message.error() is None]

    def close(self) -> None:
        """See `Reader`."""
        self._consumer.close()


CLIENTS: Final[dict[str, Callable[[str, str], Reader]]] = {"kafka-python": KafkaPython, "confluent-kafka": Confluent}


def read(reader: Reader, count: int, use: Callable[[bytes], object]) -> float:
    """Messages a second, from the first batch that comes (it was fetched before) to the `count`th.

    Raises:
        RuntimeError: No message came for half a minute.
    """
    reader.rewind()
    gc.collect()
    seen, first, began, heard = 0, 0, 0.0, time.perf_counter()
    while seen < count:
        values = reader.batch()
        now = time.perf_counter()
        if not values:
            if now - heard > _QUIET:
                raise RuntimeError(f"only {seen} of {count} messages came")
            continue
        heard = now
        seen += len(values)
        for value in values:
            use(value)
        if not first:
            first, began = seen, time.perf_counter()
    return (seen - first) / max(time.perf_counter() - began, 1e-9)


def nothing(_: bytes) -> None:
    """What is behind a bare poll."""


def main() -> None:
    """Read, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("count", type=int)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    behind: dict[str, Callable[[bytes], object]] = {"poll": nothing, "decode": msgspec.json.Decoder(Event).decode}
    found: dict[str, dict[str, list[float]]] = {client: {name: [] for name in behind} for client in CLIENTS}
    for _ in range(given.times):
        for client, reader_of in CLIENTS.items():
            reader = reader_of(given.bootstrap, given.topic)
            for name, use in behind.items():
                found[client][name].append(read(reader, given.count, use))
            reader.close()
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()
