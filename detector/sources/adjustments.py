"""The compacted topic of what verdicts change, read whole at the start and followed from then on."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from kafka import KafkaConsumer

from detector.feedback import Adjustment
from detector.signals import UNREADABLE
from detector.sources.follower import Follower
from detector.sources.kafka_hooks import poll

log = structlog.get_logger(__name__)


class AdjustmentsReader(Follower):
    """Tells of each adjustment on the topic, those that stand there first.

    Each process reads all of it. A topic that is not there is waited for: without it all is told.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: The topic's name.
        put: Takes an adjustment in; called on this thread.
        stop: Ends it, when set.
    """

    def __init__(
        self, client: Mapping[str, Any], topic: str, put: Callable[[Adjustment], None], stop: threading.Event
    ) -> None:
        super().__init__("adjustments", client, topic, stop)
        self._put = put
        self._caught_up = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait until all that stood on the topic at the start was told; whether it was."""
        return self._caught_up.wait(seconds)

    def failed(self) -> None:
        """All of it is told again, which changes nothing."""

    def follow(self, consumer: KafkaConsumer) -> None:
        """Read the topic from its beginning on."""
        partitions = self.assigned(consumer)
        if not partitions:
            self._caught_up.set()  # nothing to wait for
            return
        consumer.seek_to_beginning(*partitions)
        left = consumer.end_offsets(partitions)
        while not self._stop_wanted.is_set():
            self._take(consumer)
            left = {p: end for p, end in left.items() if consumer.position(p) < end}
            if not left:
                self.trouble = None
                self._caught_up.set()

    def _take(self, consumer: KafkaConsumer) -> None:
        for records in poll(consumer, 0.5).values():
            for record in records:
                try:
                    self._put(msgspec.json.decode(record.value or b"", type=Adjustment))
                except UNREADABLE as error:
                    log.warning("adjustment_not_understood", offset=record.offset, why=str(error))
