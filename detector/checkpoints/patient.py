"""Files that may never be answered for: what is read is waited for so long and no longer, and one can see it wait."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from detector.bounded import within
from detector.checkpoints.storage import Storage

T = TypeVar("T")

# From which a read is told as one that waits.
SLOW_SECONDS: Final = 5.0


class Patient:
    """Files below another storage; reading and listing give up after a while, with TimeoutError.

    What is read harms nobody when its answer comes too late. A write could, so that it is not given up here: those
    who write are not waited for.

    Args:
        files: Where the files are.
        seconds: What each file, and each list of names, may take.
        clock: Monotonic seconds.
    """

    def __init__(self, files: Storage, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._seconds = seconds
        self._clock = clock
        self._asked: dict[object, tuple[float, str]] = {}

    def trouble(self) -> str | None:
        """What has been waited for longer than it should; None if nothing has."""
        waiting = min(self._asked.copy().values(), default=None)
        if waiting is None or (age := self._clock() - waiting[0]) < SLOW_SECONDS:
            return None
        return f"{self.where(waiting[1])} has not been read for {age:.0f} s"

    def read(self, path: str) -> bytes | None:
        """As `Storage` has it."""
        return self._in_time(path, lambda: self._files.read(path))

    def names(self, folder: str) -> list[str]:
        """As `Storage` has it."""
        return self._in_time(folder, lambda: self._files.names(folder))

    def write(self, path: str, payload: bytes) -> None:
        """As `Storage` has it."""
        self._files.write(path, payload)

    def remove(self, path: str) -> None:
        """As `Storage` has it."""
        self._files.remove(path)

    def where(self, path: str) -> str:
        """As `Storage` has it."""
        return self._files.where(path)

    def _in_time(self, path: str, work: Callable[[], T]) -> T:
        asked = object()
        self._asked[asked] = self._clock(), path
        try:
            return within(self._seconds, work)
        finally:
            del self._asked[asked]
