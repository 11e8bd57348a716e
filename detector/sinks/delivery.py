"""Delivery: write a batch until every item of it is durable or refused for good. Retry, written once."""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from detector.sinks.base import Batch, Refused, Sink, SinkRefused, SinkUnavailable

log = structlog.get_logger(__name__)


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with full jitter: a pause is uniform over 0 .. min(ceiling, initial * 2^tries).

    Full jitter spreads the return of many workers over the whole pause, so that a far side which has just
    come back isn't met by all of them at once. Times in seconds.
    """

    initial: float = 0.5
    ceiling: float = 30.0

    def pause(self, tries: int, rng: random.Random) -> float:
        """The pause after the try numbered `tries`, counted from 0."""
        return rng.uniform(0.0, min(self.ceiling, self.initial * 2.0 ** min(tries, 64)))


class Meter(Protocol):
    """What is measured of a sink. Called from the runner's threads: must be quick, and thread-safe."""

    def written(self, items: int, seconds: float) -> None:
        """A write of `items` succeeded and took `seconds`."""

    def refused(self, items: int) -> None:
        """`items` were refused for good."""

    def failed(self, items: int, reason: str) -> None:
        """A try failed; `reason` is "unavailable" or, for an exception no sink should raise, "bug"."""

    def queued(self, items: int) -> None:
        """So many items were put and are not yet durable."""

    def up(self, up: bool) -> None:
        """Did the last try succeed?"""


class NullMeter:
    """Measures nothing."""

    def written(self, items: int, seconds: float) -> None:
        """Ignored."""

    def refused(self, items: int) -> None:
        """Ignored."""

    def failed(self, items: int, reason: str) -> None:
        """Ignored."""

    def queued(self, items: int) -> None:
        """Ignored."""

    def up(self, up: bool) -> None:
        """Ignored."""


OnRefused = Callable[[str, list[Refused]], None]


class Delivery:
    """The retry loop around one sink; belongs to one thread.

    Args:
        sink: the sink to write to.
        backoff: how long to pause between tries.
        rng: the jitter's source, seeded by the caller.
        clock: monotonic seconds, to time a write.
        pause: waits so many seconds and returns False, or returns True at once when delivery is to stop.
        meter: is told of every try.
        on_refused: is given the sink's name and the items it refused for good. When it raises, the batch is
            tried again and it may see the same items twice.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        backoff: Backoff,
        rng: random.Random,
        clock: Callable[[], float],
        pause: Callable[[float], bool],
        meter: Meter,
        on_refused: OnRefused,
    ) -> None:
        self._sink = sink
        self._backoff = backoff
        self._rng = rng
        self._clock = clock
        self._pause = pause
        self._meter = meter
        self._on_refused = on_refused
        self._tries = 0
        self.last_error: str | None = None
        """Why the last try failed; None when it succeeded, or when there was none yet."""

    def deliver(self, batch: Batch) -> bool:
        """Write the batch for as long as it takes.

        Returns:
            True when every item is durable or was refused for good; False when told to stop before that.
        """
        todo = [batch]
        while todo:
            part = todo.pop()
            if part.empty:
                continue
            rest, delay = self._attempt(part)
            todo.extend(reversed(rest))
            if delay is not None and self._pause(delay):
                return False
        return True

    def tick(self) -> float | None:
        """Let the sink do what is due by time; returns the pause before the next try when it failed."""
        return self._guard(0, self._sink.tick)

    def _attempt(self, part: Batch) -> tuple[Sequence[Batch], float | None]:
        """Try once: what is still to be written, in order, and the pause before that when the try failed."""
        rest: Sequence[Batch] = (part,)

        def write() -> None:
            nonlocal rest
            rest = self._write(part)

        delay = self._guard(len(part), write)
        return rest, delay

    def _write(self, part: Batch) -> Sequence[Batch]:
        started = self._clock()
        try:
            refused = self._sink.write(part)
        except SinkRefused as why:
            if len(part) > 1:
                return part.halves()
            refused = [Refused(part.items()[0], str(why))]
        seconds = self._clock() - started
        if refused:
            self._on_refused(self._sink.name, refused)
            self._meter.refused(len(refused))
            log.error("sink_refused", sink=self._sink.name, items=len(refused), why=refused[0].reason)
        self._meter.written(len(part) - len(refused), seconds)
        return ()

    def _guard(self, items: int, action: Callable[[], None]) -> float | None:
        """Run `action`; the pause before the next try when it failed, None when it succeeded."""
        try:
            action()
        except SinkUnavailable as why:
            delay = self._failed(items, "unavailable", str(why))
            log.warning("sink_unavailable", sink=self._sink.name, why=str(why), tries=self._tries)
            return max(delay, why.retry_after or 0.0)
        except Exception as bug:  # a sink's bug must neither lose items nor end the thread
            delay = self._failed(items, "bug", f"{type(bug).__name__}: {bug}")
            log.exception("sink_bug", sink=self._sink.name, tries=self._tries)
            return delay
        if self._tries:
            log.info("sink_recovered", sink=self._sink.name, tries=self._tries)
        self._tries = 0
        self.last_error = None
        self._meter.up(True)
        return None

    def _failed(self, items: int, reason: str, why: str) -> float:
        self.last_error = why
        self._meter.failed(items, reason)
        self._meter.up(False)
        delay = self._backoff.pause(self._tries, self._rng)
        self._tries += 1
        return delay
