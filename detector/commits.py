"""Offsets for Kafka's eyes: what it is told of how far a stage has come, now or as soon as it listens."""

from collections.abc import Mapping

import structlog

from detector.sources.alignment import Partition
from detector.sources.kafka import CommitLost, CommitRetry, KafkaSource

log = structlog.get_logger(__name__)


class Commits:
    """Commits for a stage, and remembers what could not be: a partition may rest from then on, and seem to lag.

    Args:
        stage: Its name, for the log.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._waiting: dict[Partition, int] = {}

    def tell(self, source: KafkaSource, offsets: Mapping[Partition, int]) -> None:
        """Commit these, and what could not be before."""
        self._waiting.update(offsets)
        if self._waiting and self.ask(source, dict(self._waiting)):
            self._waiting.clear()

    def ask(self, source: KafkaSource, offsets: Mapping[Partition, int]) -> bool:
        """Commit; whether the group took it."""
        try:
            source.commit(offsets)
        except CommitRetry as why:
            log.info("commit_put_off", stage=self._stage, why=str(why))
            return False
        except CommitLost as why:
            log.warning("commit_lost", stage=self._stage, why=str(why))
            return False
        return True

    def forget(self, partition: Partition) -> None:
        """It is another member's."""
        self._waiting.pop(partition, None)
