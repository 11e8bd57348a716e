"""The compacted topic of what verdicts change, read whole at the start and followed from then on."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition

from detector.feedback import Adjustment
from detector.kafka_open import open_client
from detector.signals import UNREADABLE

log = structlog.get_logger(__name__)

AGAIN: Final = 5.0
"""Seconds after which a broker that does not answer, or that has no such topic, is asked again."""


class AdjustmentsReader(threading.Thread):
    """Tells of each adjustment on the topic, those that stand there first.

    Each process reads all of it, without a group. A topic that is not there is waited for: without it all is told.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: The topic's name.
        put: Takes an adjustment in; called on this thread.
        stop: Ends it, when set.
    """

    def __init__(
        self, client: Mapping[str, Any], topic: str, put: Callable[[Adjustment], None], stop: threading.Event
    ) -> None:
        super().__init__(name="adjustments", daemon=True)
        self._client = {**client, "group_id": None, "enable_auto_commit": False, "allow_auto_create_topics": False}
        self._client |= {"fetch_max_wait_ms": 500, "metrics_enabled": False, "bootstrap_timeout_ms": 5000}
        self._topic = topic
        self._put = put
        self._stop_wanted = stop
        self._caught_up = threading.Event()
        self.trouble: str | None = None
        """Why what stands on the topic may not be known; None once it is."""

    def wait(self, seconds: float) -> bool:
        """Wait until all that stood on the topic at the start was told; whether it was."""
        return self._caught_up.wait(seconds)

    def run(self) -> None:
        """Read until told to stop; what fails is tried again."""
        while not self._stop_wanted.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - nobody else would say that it is read no more
                self._complain(f"{type(error).__name__}: {error}")
                self._stop_wanted.wait(AGAIN)

    def _complain(self, why: str) -> None:
        if self.trouble != why:
            log.warning("adjustments_not_read", topic=self._topic, why=why)
        self.trouble = why

    def _follow(self) -> None:
        consumer = open_client(KafkaConsumer, self._client)
        try:
            numbers = consumer.partitions_for_topic(self._topic)
            if not numbers:
                self._complain("there is no such topic: create it with `detector topics`")
                self._caught_up.set()  # nothing to wait for
                self._stop_wanted.wait(AGAIN)
                return
            partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            left = consumer.end_offsets(partitions)
            while not self._stop_wanted.is_set():
                self._take(consumer)
                left = {p: end for p, end in left.items() if consumer.position(p) < end}
                if not left:
                    self.trouble = None
                    self._caught_up.set()
        finally:
            consumer.close(autocommit=False)

    def _take(self, consumer: KafkaConsumer) -> None:
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                try:
                    self._put(msgspec.json.decode(record.value or b"", type=Adjustment))
                except UNREADABLE as error:
                    log.warning("adjustment_not_understood", offset=record.offset, why=str(error))
