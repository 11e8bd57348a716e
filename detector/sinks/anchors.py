"""Anchors: the head of the integrity chain, signed, to places outside of the store, at intervals and at the end."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from detector.integrity.anchor import Signed, Signer
from detector.integrity.chain import Head
from detector.sinks.base import Batch, Noun, Refused, Sink, SinkUnavailable

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 10_000
"""Anchors that wait for a place: a week, at one a minute. Past that the oldest are given up; any later one covers
what they covered, but verification then tells of a gap between the anchors."""


class Place(Protocol):
    """Where anchors are kept."""

    name: str

    def put(self, signed: Signed) -> None:
        """Keep an anchor; returns when it is durable. The same may come again.

        Raises:
            SinkUnavailable: it can't be kept now.
        """

    def close(self) -> None:
        """Release what is held."""


class AnchorSink(Sink):
    """Anchors a chain by time alone: it takes no items. To be closed after the sink that writes the chain.

    Args:
        head: how far the chain has come, None while it has not begun; called from this sink's thread.
        signer: signs with the operator's key.
        places: where to; each gets every anchor, in order.
        every: seconds between anchors. The first one of a chain is made at once.
        clock: unix seconds.
        copy: makes a further place once there is something to anchor: the store's own, which opens late.
        name: the sink's name.
    """

    accepts: frozenset[Noun] = frozenset()
    tick_seconds = 1.0

    def __init__(
        self,
        head: Callable[[], Head | None],
        signer: Signer,
        places: Sequence[Place],
        *,
        every: float,
        clock: Callable[[], float],
        copy: Callable[[], Place] | None = None,
        name: str = "anchors",
    ) -> None:
        self.name = name
        self._head = head
        self._signer = signer
        self._waiting: dict[Place, deque[Signed]] = {place: deque(maxlen=MOST_WAITING) for place in places}
        self._every = every
        self._clock = clock
        self._copy = copy
        self._anchored: Head | None = None
        self._due = 0.0
        self._closed = False

    def write(self, batch: Batch) -> list[Refused]:
        """Nothing is written here but by `tick`."""
        if self._closed:
            raise ValueError("write to a closed sink")
        assert batch.empty  # noqa: S101 - it accepts nothing
        return []

    def tick(self) -> None:
        """Anchor, if it is time and the chain has moved; try again what a place would not take.

        Raises:
            SinkUnavailable: a place can't take it now.
        """
        if self._clock() >= self._due:
            self._sign()
        self._deliver()

    def close(self) -> None:
        """Anchor once more, as far as that can be done now."""
        if self._closed:
            return
        self._closed = True
        self._sign()
        try:
            self._deliver()
        except SinkUnavailable as why:
            log.warning("last_anchor_not_placed", why=str(why))
        for place in self._waiting:
            place.close()

    def _sign(self) -> None:
        head = self._head()
        if head is None or head == self._anchored:
            return
        if self._copy is not None:
            self._waiting[self._copy()] = deque(maxlen=MOST_WAITING)
            self._copy = None
        now = self._clock()
        signed = self._signer.sign(head, int(now * 1e6))
        for waiting in self._waiting.values():
            waiting.append(signed)
        self._anchored, self._due = head, now + self._every

    def _deliver(self) -> None:
        failed = []
        for place, waiting in self._waiting.items():
            try:
                while waiting:
                    place.put(waiting[0])
                    waiting.popleft()
            except SinkUnavailable as why:
                failed.append(f"{place.name}: {why}")
        if failed:
            raise SinkUnavailable("; ".join(failed))
