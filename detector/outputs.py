"""Where a stage's results go: to every sink's runner, waiting for those that are full."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from detector.sinks.base import Batch
from detector.sinks.runner import SinkRunner

LOOK_SECONDS: Final = 0.25


class Barrier:
    """What was put to some runners up to a moment. May be waited for on any thread.

    Args:
        runners: All of which are to be durable.
    """

    def __init__(self, runners: Iterable[SinkRunner]) -> None:
        self._marks = [(runner, runner.mark()) for runner in runners]

    def wait(self, timeout: float, stop: threading.Event | None = None) -> bool:
        """Wait until all of it is durable, up to `timeout` seconds and not once `stop` is set; whether it is."""
        deadline = time.monotonic() + timeout
        for runner, mark in self._marks:
            while not runner.flush(min(_left(deadline, stop), LOOK_SECONDS), mark):
                if runner.ended or not _left(deadline, stop):
                    return False
        return True


def _left(deadline: float, stop: threading.Event | None) -> float:
    """Seconds; none once `stop` is set."""
    return 0.0 if stop is not None and stop.is_set() else max(0.0, deadline - time.monotonic())


class Outputs:
    """Fans batches out to runners. While one of them is full, batches wait here and the stage reads no more.

    Args:
        runners: The runners that this stage feeds; another stage may feed the same ones.
        room: Items that may wait for a runner before the stage is to stop. A stage of few results needs some where
            another stage fills the queues: its alerts leave by the sinks that live.
    """

    def __init__(self, runners: Sequence[SinkRunner], room: int = 0) -> None:
        self._room = room
        self._waiting: dict[SinkRunner, deque[Batch]] = {runner: deque() for runner in runners}

    def put(self, batch: Batch) -> None:
        """Hand a batch to every runner, behind what waits for it."""
        for runner, waiting in self._waiting.items():
            if waiting or not runner.put(batch):
                waiting.append(batch)

    def retry(self) -> None:
        """Offer again what waits, in order."""
        for runner, waiting in self._waiting.items():
            while waiting and runner.put(waiting[0]):
                waiting.popleft()

    @property
    def blocked(self) -> bool:
        """Whether more waits than there is room for."""
        return any(sum(map(len, waiting)) > self._room for waiting in self._waiting.values() if waiting)

    @property
    def troubled(self) -> bool:
        """Whether a sink failed when it was tried last: it is not worth the while to wait for it."""
        return any(runner.last_error is not None for runner in self._waiting)

    def hand_over(self, timeout: float, stop: threading.Event | None = None) -> bool:
        """Wait until nothing waits here, up to `timeout` seconds and not once `stop` is set; whether nothing does."""
        deadline = time.monotonic() + timeout
        while any(self._waiting.values()):
            if not _left(deadline, stop):
                return False
            self.retry()
            time.sleep(0.01)
        return True

    def barrier(self) -> Barrier:
        """All that was put to the runners so far; what waits here was not."""
        return Barrier(self._waiting)

    def flush(self, timeout: float, stop: threading.Event | None = None) -> bool:
        """Wait until all that was put is durable, up to `timeout` seconds and not once `stop` is set; whether it is."""
        deadline = time.monotonic() + timeout
        return self.hand_over(timeout, stop) and self.barrier().wait(max(0.0, deadline - time.monotonic()), stop)
