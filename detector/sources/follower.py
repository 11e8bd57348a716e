"""A thread that follows a topic for one process alone: without a group, and again whenever it fails."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, TopicPartition

from detector.kafka_open import open_client

log = structlog.get_logger(__name__)

AGAIN: Final = 5.0
"""Seconds after which a broker that does not answer, or that has no such topic, is asked again."""


class Follower(threading.Thread, ABC):
    """Opens a consumer and follows by it until told to stop; what fails is told once and tried again.

    Args:
        what: What is followed, in a word: the thread's name, and in the log `<what>_not_read`.
        client: kafka-python's settings for bootstrap and security, and what else the consumer is to have.
        topic: The topic's name.
        stop: Ends it, when set.
    """

    def __init__(self, what: str, client: Mapping[str, Any], topic: str, stop: threading.Event) -> None:
        super().__init__(name=what, daemon=True)
        self._what, self._topic, self._stop_wanted = what, topic, stop
        self._client = {"fetch_max_wait_ms": 500, "metrics_enabled": False, "bootstrap_timeout_ms": 5000, **client}
        self._client |= {"group_id": None, "enable_auto_commit": False, "allow_auto_create_topics": False}
        self.trouble: str | None = None
        """Why what stands on the topic may not be known; None once it is."""

    @abstractmethod
    def follow(self, consumer: KafkaConsumer) -> None:
        """Read until told to stop; what this raises is told and tried again, and so it is when it comes back."""

    @abstractmethod
    def failed(self) -> None:
        """Note that what was read may not be all."""

    def run(self) -> None:
        """Follow until told to stop."""
        while not self._stop_wanted.is_set():
            try:
                consumer = open_client(KafkaConsumer, self._client)
                try:
                    self.follow(consumer)
                finally:
                    consumer.close(autocommit=False)
            except Exception as error:  # noqa: BLE001 - nobody else would say that it is read no more
                self._complain(f"{type(error).__name__}: {error}")
                self.failed()
            self._stop_wanted.wait(AGAIN)

    def assigned(self, consumer: KafkaConsumer) -> list[TopicPartition]:
        """Give the consumer all partitions of the topic; none if there is no such topic, which is told."""
        numbers = consumer.partitions_for_topic(self._topic)
        if not numbers:
            self._complain("there is no such topic: create it with `detector topics`")
            return []
        partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        return partitions

    def _complain(self, why: str) -> None:
        if self.trouble != why:
            log.warning(f"{self._what}_not_read", topic=self._topic, why=why)
        self.trouble = why
