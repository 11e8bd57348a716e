"""What other workers tell correlation, overheard: who sends a signal waits for the word of all that may precede it."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from kafka import KafkaConsumer

from detector import signals
from detector.signals import Sent
from detector.sources.follower import Follower
from detector.sources.kafka_hooks import poll

MOST: Final = 10_000


class Overheard(Follower):
    """Follows the end of the findings topic, from `begin` on.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: The topic's name.
        stop: Ends it, when set.
    """

    def __init__(self, client: Mapping[str, Any], topic: str, stop: threading.Event) -> None:
        super().__init__("findings", client, topic, stop)
        self._heard: deque[tuple[int, Sent | None]] = deque(maxlen=MOST)

    def begin(self) -> None:
        """Start, if it has not."""
        if self.ident is None:
            self.start()

    def take(self) -> list[tuple[int, Sent | None]]:
        """What was heard since the last call, with its offset, in order; None stands for what may have been missed."""
        return [self._heard.popleft() for _ in range(len(self._heard))]

    def failed(self) -> None:
        """It is told by `follow`, as of the offset from which it hears again."""

    def follow(self, consumer: KafkaConsumer) -> None:
        """Read the topic from its end on."""
        partitions = self.assigned(consumer)
        if not partitions:
            return
        consumer.seek_to_end(*partitions)
        self._heard.append((max(map(consumer.position, partitions)) - 1, None))
        while not self._stop_wanted.is_set():
            self._take(consumer)

    def _take(self, consumer: KafkaConsumer) -> None:
        for records in poll(consumer, 0.5).values():
            self.trouble = None
            for record in records:
                try:
                    signal = signals.decode(record.value or b"")
                except msgspec.DecodeError:
                    continue  # correlation says so
                if isinstance(signal, Sent):
                    self._heard.append((record.offset, signal))
