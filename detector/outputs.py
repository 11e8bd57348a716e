"""Where a stage's results go: to every sink's runner, waiting for those that are full."""

import time
from collections import deque
from collections.abc import Sequence

from detector.sinks.base import Batch
from detector.sinks.runner import SinkRunner


class Outputs:
    """Fans batches out to runners. While one of them is full, batches wait here and the stage reads no more.

    Args:
        runners: The runners that this stage feeds; another stage may feed the same ones.
    """

    def __init__(self, runners: Sequence[SinkRunner]) -> None:
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
        """Whether anything waits for room."""
        return any(self._waiting.values())

    def flush(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until all that was put is durable in every sink; whether it is."""
        deadline = time.monotonic() + timeout
        while self.blocked and time.monotonic() < deadline:
            self.retry()
            time.sleep(0.01)
        if self.blocked:
            return False
        return all(runner.flush(max(0.0, deadline - time.monotonic())) for runner in self._waiting)
