"""Publish messages to Kafka, with keys and at a chosen pace: `detector produce`."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from kafka import KafkaProducer, errors

from detector.sources.base import SourceError
from detector.sources.kafka_consumer import reach

# Checked before sending, since a broker's refusal would end the producer. No decoder reads larger messages.
MAX_BYTES: Final = 1 << 20
IN_FLIGHT_BYTES: Final = 32 << 20
FLUSH_SECONDS: Final = 60.0
PROGRESS_SECONDS: Final = 0.1


class ProduceError(RuntimeError):
    """Nothing can be published: the message says why and what to do."""


class Produced(msgspec.Struct, frozen=True):
    """How it went: messages acknowledged, messages that failed (with counts by error), seconds taken."""

    sent: int
    failed: int
    seconds: float
    errors: Mapping[str, int] = {}


class Pace:
    """When each message may go: as fast as possible, at a rate, or in event time sped up.

    Args:
        rate: Messages a second.
        speedup: Seconds of event time that pass in one second; needs `time_of`. A message without a time, or
            with one earlier than its predecessor's, goes at once.
        time_of: Event time of a message, in seconds; None when it has none.
        clock: Seconds, steady.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        *,
        rate: float | None = None,
        speedup: float | None = None,
        time_of: Callable[[bytes], float | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate is not None and speedup is not None:
            raise ValueError("choose a rate or a speed-up, not both")
        if any(number is not None and number <= 0 for number in (rate, speedup)):
            raise ValueError("a rate or speed-up must be above 0")
        self.clock = clock
        self._rate, self._speedup, self._time_of, self._sleep = rate, speedup, time_of, sleep
        self._started = clock()
        self._count = 0
        self._first_time: float | None = None

    def wait(self, message: bytes) -> None:
        """Sleep until the message is due."""
        after = self._seconds_after_start(message)
        ahead = self._started + after - self.clock()
        # Shorter sleeps are not kept by the system; being due by the clock, the next message makes up for it.
        if ahead > 0.002:
            self._sleep(ahead)

    def _seconds_after_start(self, message: bytes) -> float:
        if self._rate is not None:
            self._count += 1
            return (self._count - 1) / self._rate
        moment = self._time_of(message) if self._speedup is not None else None
        if moment is None or self._speedup is None:
            return 0.0
        if self._first_time is None:
            self._first_time = moment
        return (moment - self._first_time) / self._speedup


class _Deliveries:
    """Counts what the producer's thread reports, and holds back the caller while too much is in flight.

    kafka-python 3 buffers without a limit of its own: `send` never blocks.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bytes = 0
        self.begun = 0
        self.sent = 0
        self.errors: Counter[str] = Counter()

    def begin(self, size: int) -> None:
        """Wait until there is room for `size` bytes; one message that is larger than all goes alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes or self._bytes + size <= IN_FLIGHT_BYTES)
            self._bytes += size
            self.begun += 1

    def end(self, size: int, error: BaseException | None = None) -> None:
        """A message was acknowledged, or failed with `error`."""
        with self._changed:
            self._bytes -= size
            if error is None:
                self.sent += 1
            else:
                self.errors[type(error).__name__] += 1
            self._changed.notify()

    def summary(self, seconds: float) -> Produced:
        """The counts; what was handed over and never heard of again has failed as `unacknowledged`."""
        with self._changed:
            failed = self.begun - self.sent
            unheard = failed - self.errors.total()
            told = dict(self.errors) | ({"unacknowledged": unheard} if unheard else {})
            return Produced(self.sent, failed, seconds, told)


def produce(
    client: Mapping[str, Any],
    topic: str,
    messages: Iterable[bytes],
    *,
    key_of: Callable[[bytes], bytes | None],
    pace: Pace | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Produced:
    """Publish messages in order, and wait until each is acknowledged by all replicas or has failed.

    A message above 1 MiB fails alone. After one that the broker refuses (a topic with a lower limit, a lack
    of rights) kafka-python's idempotent producer can't go on, and all that follow fail too. A
    KeyboardInterrupt ends the reading: what was handed over is flushed, and the counts are returned.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: Where to; it must exist.
        messages: Message values; read lazily, about 32 MiB ahead of the acknowledgements at most.
        key_of: Kafka key of a message: the principal's id, so that its events keep their order.
        pace: When each may go; as fast as possible when None.
        on_progress: Told the number of messages handed over, at most ten times a second and at the end.

    Raises:
        ProduceError: no broker answered, or the topic is missing.
    """
    pace = pace or Pace()
    started = pace.clock()
    deliveries = _Deliveries()
    told = started
    producer = _connect(client, topic)
    try:
        for message in messages:
            pace.wait(message)
            _send(producer, topic, key_of(message), message, deliveries)
            if (now := pace.clock()) - told >= PROGRESS_SECONDS:
                told = now
                on_progress(deliveries.begun)
    except KeyboardInterrupt:
        pass  # the caller wants to stop; what was handed over is flushed below
    finally:
        with suppress(errors.KafkaTimeoutError):  # what is not acknowledged by then is counted as such
            producer.close(FLUSH_SECONDS)
    on_progress(deliveries.begun)
    return deliveries.summary(pace.clock() - started)


def _connect(client: Mapping[str, Any], topic: str) -> KafkaProducer:
    config = {
        "linger_ms": 20,
        "batch_size": 64 << 10,
        "compression_type": "lz4",
        "max_request_size": MAX_BYTES,
        "max_block_ms": 10_000,  # how long a topic that is not there is waited for
        "metrics_enabled": False,
        **client,
        "acks": "all",
        "enable_idempotence": True,
    }
    try:
        producer = reach(KafkaProducer, config)
    except SourceError as error:
        raise ProduceError(str(error)) from error
    try:
        producer.partitions_for(topic)
    except errors.KafkaError as error:
        producer.close(0)
        raise ProduceError(f"the topic {topic} can't be written ({error}): create it with `detector topics`") from error
    return producer


def _send(producer: KafkaProducer, topic: str, key: bytes | None, value: bytes, deliveries: _Deliveries) -> None:
    size = len(value) + len(key or b"")
    deliveries.begin(size)
    try:
        future = producer.send(topic, key=key, value=value)
    except (errors.KafkaError, ValueError) as error:
        deliveries.end(size, error)
        return
    future.add_callback(lambda _: deliveries.end(size))
    future.add_errback(lambda error: deliveries.end(size, error))
