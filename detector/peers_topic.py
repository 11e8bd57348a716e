"""The workers' exchange over its topic: what others said is heard, what one says is sent, and waiting has a bound."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog

from detector.config import Config
from detector.exchange import Exchange, Notice, Partition, decode
from detector.metrics import Metrics
from detector.scoring import Scoring
from detector.signals import UNREADABLE
from detector.sinks.peers import PeersPublisher
from detector.sources.peers import PeersReader

log = structlog.get_logger(__name__)

RECALL_SECONDS: Final = 10.0
"""For so long a stage that takes partitions over waits for what stands on the topic."""


class Reader(Protocol):
    """What is read of the topic: `detector.sources.peers.PeersReader`."""

    trouble: str | None

    @property
    def partitions(self) -> frozenset[Partition] | None:
        """All partitions of the topics of events; None while nobody has said so."""

    @property
    def absent(self) -> bool:
        """Whether there is no such topic."""

    def start(self) -> None:
        """Begin."""

    def rewind(self) -> None:
        """Read from the beginning."""

    def caught_up(self, seconds: float) -> bool:
        """Wait until all that stood there can be taken; whether it can."""

    def take(self) -> list[bytes]:
        """What came since the last time."""


class Publisher(Protocol):
    """What is written to it: `detector.sinks.peers.PeersPublisher`."""

    trouble: str | None

    def start(self) -> None:
        """Begin."""

    def close(self, seconds: float) -> None:
        """Send what waits, if that takes no longer."""

    def send(self, key: bytes, value: bytes) -> None:
        """Have a message sent, soon."""


class PeersTopic:
    """One worker's end of the exchange. All but `trouble` is the score stage's thread's.

    Args:
        reader: Reads the topic.
        publisher: Writes it.
        metrics: Are told of waits.
        clock: Seconds of a monotonic clock.
        patience: Seconds to wait for what stands on the topic.
    """

    def __init__(
        self,
        reader: Reader,
        publisher: Publisher,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = RECALL_SECONDS,
    ) -> None:
        self._reader, self._publisher, self._metrics = reader, publisher, metrics
        self._clock, self._patience = clock, patience
        self.exchange = Exchange(self._send)
        self._floor: float | None = None
        self._waiting_since: float | None = None

    @classmethod
    def of(cls, config: Config, client: Mapping[str, Any], stop: threading.Event, metrics: Metrics) -> "PeersTopic":
        """The topic that is configured, to be read until `stop` is set."""
        name, events = config.kafka.topics.peers, [source.topic for source in config.read]
        return cls(PeersReader(client, name, events, stop), PeersPublisher(client, name), metrics)

    def start(self) -> None:
        """Begin to read and to write."""
        self._reader.start()
        self._publisher.start()

    def close(self, seconds: float) -> None:
        """Send what waits, if that takes no longer than so many seconds."""
        self._publisher.close(seconds)

    def _send(self, notice: Notice) -> None:
        self._publisher.send(notice.key, notice.encode())

    @property
    def trouble(self) -> str | None:
        """Why the exchange may be without what others say, or they without what this one does; None while alone."""
        return None if self.exchange.alone else self._reader.trouble or self._publisher.trouble

    @property
    def waiting(self) -> bool:
        """Whether somebody is waited for at a boundary."""
        return self._waiting_since is not None

    def hear(self) -> None:
        """Take in what was said since the last time. Who has no partitions remembers nothing."""
        exchange = self.exchange
        exchange.partitions, exchange.deaf = self._reader.partitions, self._reader.absent
        for value in self._reader.take():
            try:
                exchange.put(decode(value))
            except UNREADABLE as error:
                log.warning("peers_not_understood", why=str(error))
        if exchange.idle:
            exchange.clear()
            self._floor = None

    def recall(self, version: float) -> None:
        """Hear again what was said around a boundary and since, unless it is known; waits for it, in reason."""
        self._waiting_since = None
        floor = None if self._floor is None else max(self._floor, self.exchange.forgotten)
        if floor is not None and floor <= version:
            return
        self._floor = self.exchange.forgotten = version
        self._reader.rewind()
        until = self._clock() + self._patience
        while not (heard := self._reader.caught_up(0.05)) and not self._reader.absent and self._clock() < until:
            self.hear()
            self.exchange.forget(version)
        self.hear()
        self.exchange.forget(version)
        if not heard:
            log.warning("peers_unknown", why=self._reader.trouble or "they take long to read")

    def ahead(self, scoring: Scoring) -> float | None:
        """The boundary at which somebody waits for this worker; None: nobody does."""
        return self.exchange.ahead(scoring.crossing.oldest)

    def cross(self, scoring: Scoring, boundary: float) -> bool:
        """Bring the partitions to a boundary, as `Crossing.to`; who waited long enough goes on without the others."""
        crossing, now = scoring.crossing, self._clock()
        since, before = self._waiting_since, crossing.oldest
        overdue = since is not None and now - since >= scoring.peers_wait
        missing = self.exchange.missing(before) if overdue else []
        there = crossing.to(boundary, overdue=overdue)
        if there or crossing.oldest > before:
            self._waiting_since = None
            self._measure(scoring)
            if since is not None:
                self._metrics.peers_wait_seconds.observe(now - since)
                if overdue:
                    self._metrics.peers_incomplete.inc()
                    log.warning("peers_gone_on_without", partitions=missing, seconds=round(now - since, 1))
        if not there and self._waiting_since is None:
            self._waiting_since = now
        return there

    def _measure(self, scoring: Scoring) -> None:
        self._metrics.peers_version.set(scoring.peers_version)
        crossing, exchange = scoring.crossing, self.exchange
        if crossing.cut or exchange.dropped:
            log.warning("peers_too_large", cut=crossing.cut, dropped=exchange.dropped)
            self._metrics.peers_cut.inc(crossing.cut + exchange.dropped)
            crossing.cut = exchange.dropped = 0
