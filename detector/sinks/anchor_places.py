"""Places where anchors are kept: a file, a Kafka topic, a webhook; and a copy in the store itself."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kafka import KafkaProducer, errors

from detector.integrity.anchor import Signed
from detector.kafka_open import close_producer, open_producer
from detector.sinks.base import SinkRefused, SinkUnavailable
from detector.sinks.clickhouse_columns import Columns
from detector.sinks.clickhouse_insert import Client, Inserter
from detector.sinks.http import HttpClient, HttpOptions
from detector.sinks.webhook import DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

_KAFKA: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    "max_block_ms": 10_000,
    "bootstrap_timeout_ms": 10_000,
    "delivery_timeout_ms": 10_000,
    "request_timeout_ms": 5_000,
    "metrics_enabled": False,
    "key_serializer": None,
    "value_serializer": None,
}
_KAFKA_SECONDS: Final = 20.0


class AnchorFile:
    """A file that anchors are appended to, one line of JSON each; made for its owner only. Several may share it.

    Args:
        path: the file; its folder must exist. What keeps it out of reach of those who administer the store is the
            operator's to choose (another machine's mount, a disk that can only be appended to).
    """

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, signed: Signed) -> None:
        """Append, and wait for the disk. See `Place.put`."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, self._torn(descriptor) + signed.line() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SinkUnavailable(f"{self._path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _torn(descriptor: int) -> bytes:
        """What ends a line that a crash left without its end."""
        size = os.fstat(descriptor).st_size
        return b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""


class AnchorTopic:
    """A Kafka topic; the key is the chain's name.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: name of the topic, which must exist.
    """

    name = "topic"

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        self._settings = {**client, **_KAFKA}
        self._topic = topic
        self._producer: KafkaProducer | None = None

    def put(self, signed: Signed) -> None:
        """Produce, and wait for the brokers' acknowledgement. See `Place.put`."""
        try:
            if self._producer is None:
                self._producer = open_producer(self._settings)
            sent = self._producer.send(self._topic, key=signed.anchor.chain.encode(), value=signed.line())
            sent.get(_KAFKA_SECONDS)
        except errors.KafkaError as error:
            self.close()
            raise SinkUnavailable(f"{self._topic}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Leave the brokers."""
        producer, self._producer = self._producer, None
        if producer is not None:
            close_producer(producer, 1.0)


class AnchorWebhook:
    """Posts each anchor as one JSON object, signed as the webhook's alerts are.

    Args:
        url: http(s) URL of the receiver.
        secret: the key of the HMAC signature, shared with the receiver.
        http: headers, timeout in seconds and TLS context of the requests.
        clock: unix seconds, for the timestamp.

    Raises:
        ValueError: the URL is not http(s) or holds credentials.
    """

    name = "webhook"

    def __init__(
        self, url: str, secret: bytes, http: HttpOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._http = HttpClient(url, http, clock=clock)

    def put(self, signed: Signed) -> None:
        """Post, and wait for a success. See `Place.put`. A receiver that refuses an anchor is asked again too."""
        body, timestamp = signed.line(), str(int(self._clock()))
        headers = {
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: sign(self._secret, timestamp, body),
            DELIVERY_HEADER: signed.anchor.hash(),
        }
        answer = self._http.post(body, headers)
        if not answer.success:
            raise SinkUnavailable(answer.why)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class StoreCopy:
    """A copy in the store, where it is at hand for reports. It proves nothing: who can alter rows can alter it.

    Args:
        client: a clickhouse-connect client; it stays the caller's to close.
        database: where the tables are.
    """

    name = "store"

    def __init__(self, client: Client, database: str) -> None:
        self._inserter = Inserter(client, database)

    def put(self, signed: Signed) -> None:
        """Insert. See `Place.put`."""
        anchor = signed.anchor
        columns: Columns = {
            "chain": [anchor.chain],
            "sequence": [anchor.sequence],
            "link": [anchor.link],
            "anchored_at": [anchor.time],
            "previous": [anchor.previous],
            "public_key": [signed.public_key],
            "signature": [signed.signature],
            "body": [anchor.body()],
        }
        try:
            self._inserter.insert("anchors_data", columns, anchor.hash())
        except SinkRefused as error:
            raise SinkUnavailable(str(error)) from error

    def close(self) -> None:
        """The client stays open."""
