"""Signals (findings, ticks, verdicts), alerts, adjustments and rejects to Kafka topics."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from kafka import KafkaProducer, errors
from kafka.future import Future

from detector import signals
from detector.alerts import Alert
from detector.events import Rejected
from detector.feedback import Adjustment
from detector.kafka_open import close_producer, open_producer
from detector.signals import Signal
from detector.sinks.base import Batch, Item, Noun, Refused, Sink, SinkRefused, SinkUnavailable

# After the time in which the producer should have given a message up, and did not.
LATE_SECONDS: Final = 5.0

_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)

# What can be tuned by the client's settings …
_DEFAULTS: Final[Mapping[str, Any]] = {
    "compression_type": "lz4",
    "linger_ms": 5,
    "max_block_ms": 10_000,
    "bootstrap_timeout_ms": 10_000,
    # The default of 30 s would be added to every alert after an outage.
    "reconnect_backoff_max_ms": 1_000,
    "metrics_enabled": False,
}
# … and what the guarantees of a sink rest on.
_FIXED: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    "key_serializer": None,
    "value_serializer": None,
}


class Message(NamedTuple):
    """One message to produce."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class KafkaSink(Sink):
    """Produces signals, alerts, adjustments and rejects, each to its topic.

    A finding's key is its principal, an alert's or an adjustment's its id. Values are JSON, but for a reject:
    its value is the original bytes, and its headers say `reason`, `detail` and where it was read (`topic`,
    `partition`, `offset`). A retry may repeat messages that got through; their ids (for a reject, the place it
    was read) tell repeats apart.

    Args:
        client: kafka-python's settings for bootstrap and security; others tune the defaults here, but not
            acks, idempotence or what `timeout` governs.
        topics: the topic of each kind of item that is to be written, by its noun: signals, alerts, rejects,
            adjustments (a compacted one).
        name: the sink's name.
        timeout: seconds from send to acknowledgement, after which the producer gives a message up.
        encode_alert: an alert's value; signals, which correlation reads, have their own.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Mapping[Noun, str],
        *,
        name: str = "kafka",
        timeout: float = 20.0,
        encode_alert: Callable[[Alert], bytes] = msgspec.json.encode,
    ) -> None:
        self.name = name
        self._topics = dict(topics)
        self.accepts = frozenset(self._topics)
        self._timeout = timeout
        self._encode_alert = encode_alert
        times = {"delivery_timeout_ms": int(timeout * 1000), "request_timeout_ms": int(timeout * 500)}
        self._settings = {**_DEFAULTS, **client, **_FIXED, **times}
        self._producer: KafkaProducer | None = None
        self._closed = False

    def write(self, batch: Batch) -> list[Refused]:
        """Produce the batch and wait for the brokers' acknowledgements. See `Sink.write`.

        A message that is larger than the producer or the topic allows is refused.

        Raises:
            SinkUnavailable: the brokers don't answer, or don't take it now.
            SinkRefused: one of several messages is larger than its topic allows.
            ValueError: the sink is closed.
        """
        if self._closed:
            raise ValueError("write to a closed sink")
        if batch.empty:
            return []
        try:
            return self._produce(self._connect(), batch)
        except errors.KafkaError as error:
            # After a failure an idempotent producer may be unable to go on (its sequence numbers have a hole).
            self._discard()
            raise SinkUnavailable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Leave the brokers."""
        self._closed = True
        self._discard()

    def _connect(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = open_producer(self._settings)
        return self._producer

    def _produce(self, producer: KafkaProducer, batch: Batch) -> list[Refused]:
        refused: list[Refused] = []
        sent: list[tuple[Item, Future]] = []
        for item, message in self._messages(batch):
            try:
                sent.append((item, producer.send(**message._asdict())))
            except _TOO_LARGE as why:
                refused.append(Refused(item, str(why)))
        # One time for all of them: kafka-python can lose a whole batch when a broker goes away, and never tells.
        until = time.monotonic() + self._timeout + LATE_SECONDS
        failures = [failure for _, future in sent if (failure := _failure(future, until)) is not None]
        if any(isinstance(failure, _TOO_LARGE) for failure in failures):
            return refused + self._too_large_for_topic(sent[0][0], len(sent))
        if failures:
            raise failures[0]
        return refused

    def _too_large_for_topic(self, first: Item, sent: int) -> list[Refused]:
        """What is said of a message that the broker finds too large: it fails everything around it too."""
        self._discard()
        why = "larger in size than the topic's max.message.bytes allows"
        if sent > 1:
            raise SinkRefused(why)
        return [Refused(first, why)]

    def _messages(self, batch: Batch) -> Iterator[tuple[Item, Message]]:
        for noun, topic in self._topics.items():
            for item in getattr(batch, noun):
                yield item, self._message(topic, item)

    def _message(self, topic: str, item: Signal | Alert | Rejected | Adjustment) -> Message:
        if isinstance(item, Adjustment):
            return Message(topic, item.id.encode(), msgspec.json.encode(item), [])
        if isinstance(item, Alert):
            return Message(topic, item.id.encode(), self._encode_alert(item), [])
        if isinstance(item, Rejected):
            return _reject(topic, item)
        return Message(topic, signals.key_of(item), signals.encode(item), [])

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            close_producer(producer, 1.0)


def _failure(future: Future, until: float) -> errors.KafkaError | None:
    try:
        future.get(max(0.0, until - time.monotonic()))
    except errors.KafkaError as error:
        return error
    return None


def _reject(topic: str, item: Rejected) -> Message:
    place = f"{item.topic}/{item.partition}/{item.offset}/{item.index}"
    headers = {
        "reason": item.reject.reason,
        "detail": item.reject.detail,
        "topic": item.topic,
        "partition": str(item.partition),
        "offset": str(item.offset),
        "index": str(item.index),
    }
    return Message(topic, place.encode(), item.reject.raw, [(name, text.encode()) for name, text in headers.items()])
