"""The runner: a thread and a bounded queue around one sink. What every sink needs is written here, once."""

import random
import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from detector.sinks.base import Batch, Refused, Sink
from detector.sinks.delivery import Backoff, Delivery, Meter, NullMeter, OnRefused
from detector.sinks.pending import Pending

log = structlog.get_logger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """Sizes and times of a runner.

    Attributes:
        max_queue: items that may be pending (put, not yet durable).
        max_bytes: bytes of messages that may be.
        max_batch: small batches are joined up to so many items, unless the sink has a number of its own.
        linger: seconds to wait for more items before a write, unless the sink has a time of its own.
        backoff: pauses between tries.
    """

    max_queue: int = 30_000
    max_bytes: int = 256 << 20
    max_batch: int = 1_000
    linger: float = 0.05
    backoff: Backoff = Backoff()


DEFAULT_LIMITS = Limits()


def ignore_refused(sink: str, refused: list[Refused]) -> None:
    """Leave refused items at being logged and counted."""


class SinkRunner:
    """Writes what is put to one sink, in order, from a thread of its own.

    Nothing is dropped but what the sink refuses for good. A far side that is down fills the queue; then `put`
    says no, and the caller stops reading until it says yes. A sink's bug is logged, counted and tried again.

    Args:
        sink: the sink; the runner owns it from now on, and closes it from its thread.
        limits: sizes and times.
        rng: source of the jitter; seeded by the sink's name by default.
        clock: monotonic seconds.
        pause: replaces the wait between tries, for tests: waits so many seconds, returns True to stop.
        meter: is told what happens.
        on_refused: is given the sink's name and items refused for good, on the runner's thread: it must
            not wait for this runner.
    """

    def __init__(
        self,
        sink: Sink,
        limits: Limits = DEFAULT_LIMITS,
        *,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], bool] | None = None,
        meter: Meter | None = None,
        on_refused: OnRefused = ignore_refused,
    ) -> None:
        self.sink = sink
        self._clock = clock
        self._meter: Meter = meter or NullMeter()
        self._changed = threading.Condition()
        self._pending = Pending(
            max_items=limits.max_queue,
            max_batch=limits.max_batch if sink.batch is None else sink.batch,
            linger=limits.linger if sink.linger is None else sink.linger,
            max_bytes=limits.max_bytes,
        )
        self._stop = threading.Event()
        self._closing = False
        self._next_tick = None if sink.tick_seconds is None else clock()
        self._delivery = Delivery(
            sink,
            backoff=limits.backoff,
            rng=rng or random.Random(sink.name),  # noqa: S311 - jitter is no secret
            clock=clock,
            pause=pause or self._stop.wait,
            meter=self._meter,
            on_refused=on_refused,
        )
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)

    def start(self) -> None:
        """Start the thread. What was put before is written now.

        Raises:
            RuntimeError: it was started before.
        """
        self._thread.start()

    def put(self, batch: Batch) -> bool:
        """Take charge of a batch, of which only the kinds that the sink accepts count.

        The batch must not be changed afterwards.

        Returns:
            False when the queue is full: nothing was taken; stop reading and try again later.

        Raises:
            ValueError: the runner is closed.
        """
        batch = batch.only(self.sink.accepts)
        with self._changed:
            if self._closing:
                raise ValueError(f"put to the closed sink {self.sink.name}")
            if batch.empty:
                return True
            taken = self._pending.put(batch, self._clock())
            if taken:
                self._meter.queued(len(self._pending))
                self._changed.notify_all()
            return taken

    def mark(self) -> int:
        """A name for everything put before now, for `flush`."""
        with self._changed:
            return self._pending.put_count

    def flush(self, timeout: float, mark: int | None = None) -> bool:
        """Wait until everything put before now, or before a `mark`, is durable (or refused for good).

        Returns:
            False when `timeout` seconds passed, or the thread ended, before that.
        """
        with self._changed:
            goal = self._pending.put_count if mark is None else mark
            self._pending.hurry(goal)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._settled(goal) or self._stop.is_set(), timeout)
            return self._settled(goal)

    def close(self, timeout: float) -> bool:
        """Flush, end the thread and close the sink. May be called twice.

        Returns:
            False when after `timeout` seconds something put is not durable, or the thread has not ended: it
            then closes the sink as soon as the far side lets go of it.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closing = True
        started = self._thread.ident is not None
        durable = self.flush(timeout if started else 0.0)
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if started:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        else:
            self.sink.close()
        return durable and not self._thread.is_alive()

    @property
    def pending(self) -> int:
        """Items put and not yet durable."""
        with self._changed:
            return len(self._pending)

    @property
    def healthy(self) -> bool:
        """False from a failed try to the next that succeeds, and when the thread has ended."""
        return self._thread.is_alive() and self._delivery.last_error is None

    @property
    def ended(self) -> bool:
        """Whether nothing more is written: it was closed, or its thread died."""
        return self._stop.is_set()

    @property
    def last_error(self) -> str | None:
        """Why the last try failed; None when it succeeded or nothing was tried yet."""
        return self._delivery.last_error

    def _settled(self, goal: int) -> bool:
        return self._pending.settled_count >= goal

    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                if not batch.empty and not self._delivery.deliver(batch):
                    break
                self._settle(len(batch))
                self._tick_when_due()
        except Exception:
            log.exception("sink_thread_died", sink=self.sink.name)
        finally:
            self._stop.set()
            with self._changed:
                self._changed.notify_all()
            self.sink.close()

    def _next(self) -> Batch | None:
        """The next batch to write, an empty one when only a tick is due, None when it is time to end."""
        with self._changed:
            while not self._stop.is_set():
                now = self._clock()
                batch_in = self._pending.due_in(now)
                if batch_in == 0.0:
                    return self._pending.take()
                tick_in = None if self._next_tick is None else self._next_tick - now
                if tick_in is not None and tick_in <= 0:
                    return Batch()
                self._changed.wait(min((t for t in (batch_in, tick_in) if t is not None), default=None))
        return None

    def _settle(self, items: int) -> None:
        with self._changed:
            self._pending.settle(items)
            self._meter.queued(len(self._pending))
            self._changed.notify_all()

    def _tick_when_due(self) -> None:
        if self._next_tick is None or self._clock() < self._next_tick:
            return
        delay = self._delivery.tick()
        self._next_tick = self._clock() + (self.sink.tick_seconds or 0.0 if delay is None else delay)
