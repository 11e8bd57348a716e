"""A sink that does as it is told, and a meter that writes down what it hears."""

import threading
from collections.abc import Callable, Iterable

from detector.sinks.base import Batch, Item, Noun, Refused, Sink

Outcome = Exception | list[Refused] | None


class ScriptedSink(Sink):
    """Each write takes the next outcome of the script: raise it, or return it. After its end all succeeds.

    Args:
        script: outcomes in order.
        rule: instead: called with every batch, may raise.
    """

    name = "scripted"
    accepts: frozenset[Noun] = frozenset({"findings", "alerts"})

    def __init__(self, script: Iterable[Outcome] = (), rule: Callable[[Batch], None] | None = None) -> None:
        self._script = list(script)
        self._rule = rule
        self.tries: list[list[Item]] = []
        self.written: list[Item] = []
        self.closed = threading.Event()
        self.gate = threading.Event()
        """Cleared, it holds up a write."""
        self.gate.set()
        self.inside = threading.Event()
        """Set while, and after, a write is under way."""

    def write(self, batch: Batch) -> list[Refused]:
        """Do what the script says."""
        if self.closed.is_set():
            raise ValueError("write to a closed sink")
        self.inside.set()
        assert self.gate.wait(30), "the test forgot to open the gate"
        self.tries.append(batch.items())
        if self._rule is not None:
            self._rule(batch)
        outcome = self._script.pop(0) if self._script else None
        if isinstance(outcome, Exception):
            raise outcome
        refused = outcome or []
        self.written += [item for item in batch.items() if item not in [one.item for one in refused]]
        return refused

    def close(self) -> None:
        """Remember it."""
        self.closed.set()


class RecordingMeter:
    """Adds up what it hears."""

    def __init__(self) -> None:
        self.written_items = 0
        self.write_seconds: list[float] = []
        self.refused_items = 0
        self.failures: list[tuple[int, str]] = []
        self.queue: list[int] = []
        self.ups: list[bool] = []

    def written(self, items: int, seconds: float) -> None:
        """Add up."""
        self.written_items += items
        self.write_seconds.append(seconds)

    def refused(self, items: int) -> None:
        """Add up."""
        self.refused_items += items

    def failed(self, items: int, reason: str) -> None:
        """Write down."""
        self.failures.append((items, reason))

    def queued(self, items: int) -> None:
        """Write down."""
        self.queue.append(items)

    def up(self, up: bool) -> None:
        """Write down."""
        self.ups.append(up)
