"""A producer at a rate, in a process of its own, and a listener that notes when probes come out again.

`python -m tests.bench.load produce BOOTSTRAP TOPIC FILE RATE SECONDS MARK` publishes events of a file as if they
happened now; `... load listen BOOTSTRAP EVENTS ALERTS` prints `ready`, then a line of JSON for each probe that it sees:
`["bare", name, time]` when a bare consumer has it, `["alert", name, time]` when its alert is there (unix seconds).
"""

import itertools
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from kafka import KafkaConsumer, TopicPartition

from detector.alerts import Alert
from detector.produce import Pace, produce
from detector.publishing import key_of
from detector.sources.kafka_consumer import connect
from detector.sources.member import ConsumerSettings

PROBE: Final = "probe-"
_TIME: Final = re.compile(rb'"id":"([^"]*)","time":"[^"]*"')


def now_again(messages: list[bytes], mark: str) -> Iterator[bytes]:
    """The messages over and over, under ids that no round has twice, as if each happened when it is asked for.

    >>> (first,) = itertools.islice(now_again([b'{"id":"a","time":"2026-03-02T09:00:00Z","kind":"call"}'], "x"), 1)
    >>> first.startswith(b'{"id":"x-0-a","time":"2'), first.endswith(b'Z","kind":"call"}')
    (True, True)
    """
    for turn in itertools.count():
        head = b'"id":"%s-%d-' % (mark.encode(), turn)
        for message in messages:
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
            found = _TIME.search(message)
            if found is None:
                raise ValueError("a message does not begin with its id and time")
            stamp = head + found[1] + b'","time":"' + moment + b'"'
            yield message[: found.start()] + stamp + message[found.end() :]


def send(bootstrap: str, topic: str, file: str, rate: str, seconds: str, mark: str) -> None:
    """Publish at a rate for so many seconds."""
    messages = Path(file).read_bytes().splitlines()
    count = int(float(rate) * float(seconds))
    stream = itertools.islice(_due(now_again(messages, mark), Pace(rate=float(rate))), count)
    done = produce({"bootstrap_servers": [bootstrap]}, topic, stream, key_of=key_of)
    sys.stdout.write(msgspec.json.encode({"sent": done.sent, "seconds": done.seconds}).decode() + "\n")
    if done.failed:
        raise RuntimeError(f"{done.failed} messages could not be published: {dict(done.errors)}")


def _due(messages: Iterator[bytes], pace: Pace) -> Iterator[bytes]:
    """Waits before a message is made, so that its time is that of its sending."""
    while True:
        pace.wait(b"")
        yield next(messages)


def listen(bootstrap: str, events: str, alerts: str) -> None:
    """Print what is seen of probes, until the process is ended."""
    consumer = connect({"bootstrap_servers": [bootstrap]}, [events, alerts], "bench-listen", ConsumerSettings())
    partitions = [
        TopicPartition(topic, number) for topic in (events, alerts) for number in consumer.partitions_for_topic(topic)
    ]
    consumer.assign(partitions)
    for partition, end in consumer.end_offsets(partitions).items():
        consumer.seek(partition, end)
    _say("ready")
    told: set[str] = set()
    while True:
        _note(consumer, alerts, told)


def _note(consumer: KafkaConsumer, alerts: str, told: set[str]) -> None:
    start = PROBE.encode()
    for partition, records in consumer.poll(timeout_ms=100).items():
        now = time.time()
        if partition.topic != alerts:
            for record in records:
                if record.key is not None and record.key.startswith(start):
                    _say(("bare", record.key.decode(), now))
            continue
        for record in records:
            for name in msgspec.json.decode(record.value, type=Alert).principals:
                if name.startswith(PROBE) and name not in told:
                    told.add(name)
                    _say(("alert", name, now))


def _say(what: object) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(*sys.argv[2:])
    else:
        send(*sys.argv[2:])
