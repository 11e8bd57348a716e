"""Peers' sums to their compacted topic, by a thread of its own: nothing else waits for it, or fails with it."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import structlog
from kafka import KafkaProducer, errors

from detector.kafka_open import close_producer, open_producer

log = structlog.get_logger(__name__)

AGAIN: Final = 1.0
"""Seconds after which what the brokers did not take is sent again."""

WAITING_MOST: Final = 64 << 20
"""Bytes that may wait to be sent; past it the oldest are given up."""

_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
_SETTINGS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    "key_serializer": None,
    "value_serializer": None,
    "compression_type": None,  # they are packed
    "max_request_size": 8 << 20,
    "linger_ms": 0,
    "max_block_ms": 5_000,
    "bootstrap_timeout_ms": 5_000,
    "delivery_timeout_ms": 10_000,
    "request_timeout_ms": 5_000,
    "reconnect_backoff_max_ms": 1_000,
    "metrics_enabled": False,
}


class PeersPublisher(threading.Thread):
    """Sends messages until they are acknowledged, the later of a key in place of the earlier.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: The topic's name.
    """

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        super().__init__(name="peers-publisher", daemon=True)
        self._settings = {**client, **_SETTINGS}
        self._topic = topic
        self._lock = threading.Lock()
        self._waiting: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._one_by_one = False
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._producer: KafkaProducer | None = None
        self.trouble: str | None = None
        """Why what waits can't be sent; None while it can."""

    def send(self, key: bytes, value: bytes) -> None:
        """Have a message sent, soon."""
        with self._lock:
            self._bytes += len(value) - len(self._waiting.pop(key, b""))
            self._waiting[key] = value
            while self._bytes > WAITING_MOST:
                self._bytes -= len(self._waiting.popitem(last=False)[1])
        self._woken.set()

    def run(self) -> None:
        """Send until closed."""
        while not self._ending.is_set():
            self._woken.wait()
            self._woken.clear()
            while self._waiting:
                if not self._flush() and self._ending.wait(AGAIN):
                    break
        self._discard()

    def close(self, seconds: float) -> None:
        """Send what waits, if that takes no longer than so many seconds."""
        self._ending.set()
        self._woken.set()
        if self.is_alive():
            self.join(seconds)

    def _flush(self) -> bool:
        """Try to send what waits; whether the brokers took it, or refused a message for good."""
        with self._lock:
            batch = dict(list(self._waiting.items())[: 1 if self._one_by_one else None])
        try:
            producer = self._producer = self._producer or open_producer(self._settings)
            sent = [producer.send(self._topic, key=key, value=value) for key, value in batch.items()]
            for future in sent:
                future.get(15.0)
        except _TOO_LARGE as error:
            # It fails what is around it, too.
            self._discard()
            self._one_by_one = True
            if len(batch) == 1:
                (key,) = batch
                log.error("peers_refused", topic=self._topic, key=key.decode(), why=str(error))  # noqa: TRY400
                self._settle(batch)
            return True
        except errors.KafkaError as error:
            self._discard()
            self._complain(f"{type(error).__name__}: {error}")
            return False
        self._settle(batch)
        self.trouble = None
        return True

    def _settle(self, batch: Mapping[bytes, bytes]) -> None:
        with self._lock:
            for key, value in batch.items():
                if self._waiting.get(key) is value:
                    del self._waiting[key]
                    self._bytes -= len(value)
            self._one_by_one = self._one_by_one and bool(self._waiting)

    def _complain(self, why: str) -> None:
        if self.trouble is None:
            log.warning("peers_not_sent", topic=self._topic, why=why)
        self.trouble = why

    def _discard(self) -> None:
        """After a failure an idempotent producer may be unable to go on (its sequence numbers have a hole)."""
        producer, self._producer = self._producer, None
        if producer is not None:
            close_producer(producer, 1.0)
