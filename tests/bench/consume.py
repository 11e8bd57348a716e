"""A consumer with nothing behind it, in a process of its own: `python -m tests.bench.consume BOOTSTRAP TOPIC ...`.

Prints one line of JSON: messages a second for each time that it read the topic from its beginning, with nothing behind
it and with `msgspec` in turn, so that what else the machine does falls on both alike.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec
from kafka import KafkaConsumer, TopicPartition

from detector.events import Event
from detector.sources.kafka_consumer import connect
from detector.sources.member import ConsumerSettings

_QUIET: Final = 30.0


def read(
    consumer: KafkaConsumer, partitions: list[TopicPartition], count: int, use: Callable[[bytes], object]
) -> float:
    """Messages a second, from the first batch that comes (it was fetched before) to the `count`th.

    Raises:
        RuntimeError: No message came for half a minute.
    """
    for partition in partitions:
        consumer.seek(partition, 0)
    gc.collect()
    seen, first, began, heard = 0, 0, 0.0, time.perf_counter()
    while seen < count:
        polled = consumer.poll(timeout_ms=1000)
        now = time.perf_counter()
        if not polled:
            if now - heard > _QUIET:
                raise RuntimeError(f"only {seen} of {count} messages came")
            continue
        heard = now
        for records in polled.values():
            seen += len(records)
            for record in records:
                use(record.value)
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
    client = {"bootstrap_servers": [given.bootstrap]}
    consumer = connect(client, [given.topic], "bench-bare", ConsumerSettings())
    partitions = [TopicPartition(given.topic, number) for number in consumer.partitions_for_topic(given.topic)]
    consumer.assign(partitions)
    behind: dict[str, Callable[[bytes], object]] = {"poll": nothing, "decode": msgspec.json.Decoder(Event).decode}
    found: dict[str, list[float]] = {name: [] for name in behind}
    for _ in range(given.times):
        for name, use in behind.items():
            found[name].append(read(consumer, partitions, given.count, use))
    consumer.close(autocommit=False)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()
