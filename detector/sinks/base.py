"""What a sink is: one method that writes, and says by its exception whether to try again, and why.

Threads, queues, retry, backoff and metrics are no business of a sink: `detector.sinks.runner` has them once,
around all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal, Self

import msgspec

from detector.alerts import Alert
from detector.events import Envelope, Rejected
from detector.exposure_versions import ExposureVersion
from detector.feedback import Adjustment
from detector.findings import Finding
from detector.records import ConfigVersion, OperatorAction
from detector.signals import Signal

Noun = Literal["events", "findings", "alerts", "exposures", "rejects", "signals", "adjustments", "actions", "versions"]
Item = (
    tuple[Envelope, str]
    | Finding
    | Alert
    | ExposureVersion
    | Rejected
    | Signal
    | Adjustment
    | ConfigVersion
    | OperatorAction
)


class SinkUnavailable(Exception):  # noqa: N818 - a state of the far side, not a mistake
    """The far side can't take it now: try again. The message says why.

    `retry_after` is the far side's own wish, in seconds; None leaves the pause to the runner's backoff.
    """

    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class SinkRefused(Exception):  # noqa: N818 - a verdict of the far side, not a mistake
    """The far side will never accept this. The message says why.

    Raised from `Sink.write` it speaks of the batch as a whole: at least one item can't be written, and the
    sink can't tell which. The runner then halves the batch until the items to blame stand alone.
    """


class Refused(msgspec.Struct, frozen=True):
    """One item that a sink will never accept, and why."""

    item: Item
    reason: str


class Batch(msgspec.Struct):
    """What flows to sinks, each kind in the order in which it was made.

    `events` are pairs of an envelope and its verdict: "scored", "late", "future" or "duplicate". `signals`
    are what scoring tells correlation: its findings once more, with the ticks of event time between them and how far
    it is.
    `adjustments` are what verdicts change in scoring, `actions` the records of what people did,
    `versions` the configurations that came into force.
    """

    events: list[tuple[Envelope, str]] = []
    findings: list[Finding] = []
    alerts: list[Alert] = []
    rejects: list[Rejected] = []
    signals: list[Signal] = []
    exposures: list[ExposureVersion] = []
    adjustments: list[Adjustment] = []
    actions: list[OperatorAction] = []
    versions: list[ConfigVersion] = []

    def __len__(self) -> int:
        return sum(len(getattr(self, noun)) for noun in self.__struct_fields__)

    @property
    def empty(self) -> bool:
        """True when there is nothing to write."""
        return not len(self)

    def only(self, nouns: Iterable[Noun]) -> "Batch":
        """A batch of the kinds named; the lists are shared with this one, not copied."""
        return Batch(**{noun: getattr(self, noun) for noun in nouns})

    def extend(self, other: "Batch") -> Self:
        """Append the items of `other`, in order."""
        for noun in self.__struct_fields__:
            getattr(self, noun).extend(getattr(other, noun))
        return self

    def items(self) -> list[Item]:
        """Every item, kind by kind in the order of the fields."""
        return [item for noun in self.__struct_fields__ for item in getattr(self, noun)]

    def halves(self) -> tuple["Batch", "Batch"]:
        """Two batches that hold the items of this one in the order of `items`, the first the smaller."""
        first, second = Batch(), Batch()
        left = len(self) // 2
        for noun in self.__struct_fields__:
            items = getattr(self, noun)
            getattr(first, noun).extend(items[:left])
            getattr(second, noun).extend(items[left:])
            left = max(0, left - len(items))
        return first, second


class Sink(ABC):
    """Writes batches to one place.

    What a sink may rely on: `write`, `tick` and `close` are called by one thread at a time, never after
    `close`, and a batch holds only the kinds named in `accepts`. The constructor does no I/O that can fail
    for a passing reason: a far side that is down at start is found out by the first `write`.

    What a sink must keep:

    - A `write` that returned has made everything durable on the far side, but for the items it returned.
    - A `write` is idempotent: the same items may come again after a failed try, or after a crash in a batch
      that is cut differently. The effect is that of writing them once.
    - An empty batch is a no-op. The batch and its items are never changed.
    - After `close`, `write` raises `ValueError`; `close` may be called twice.
    """

    name: str
    """For logs and metric labels: one word, unique among the sinks of a service."""
    accepts: frozenset[Noun]
    """The kinds of item this sink takes."""
    tick_seconds: float | None = None
    """How often `tick` wants to be called; None for never."""
    batch: int | None = None
    """How many items it would best be given at once, while so many wait; None for as many as any sink."""
    linger: float | None = None
    """For how many seconds it would rather wait for so many than write fewer; None for as long as any sink."""

    @abstractmethod
    def write(self, batch: Batch) -> list[Refused]:
        """Write a batch; returns the items that will never be accepted, each with the reason.

        Raises:
            SinkUnavailable: nothing can be said of any item; the same batch is to be written again.
            SinkRefused: at least one item will never be accepted, and the sink can't tell which.
            ValueError: the sink is closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held. Nothing is written that `write` had not made durable before."""

    def tick(self) -> None:  # noqa: B027 - optional: most sinks have nothing to do when nothing comes
        """Do what is due by time alone (a heartbeat). Called about every `tick_seconds`, between writes.

        Raises:
            SinkUnavailable: the far side can't take it now; the runner calls again after its backoff.
        """
