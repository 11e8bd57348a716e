"""What is measured of one sink."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detector.metrics import Metrics


class SinkMeter:
    """What a runner measures of one sink: a `detector.sinks.delivery.Meter` with its children at hand."""

    def __init__(self, metrics: "Metrics", sink: str) -> None:
        self._seconds = metrics.sink_write_seconds.labels(sink)
        self._written = metrics.sink_items.labels(sink, "written")
        self._refused = metrics.sink_items.labels(sink, "refused")
        self._retried = metrics.sink_items.labels(sink, "retried")
        self._failures = {reason: metrics.sink_failures.labels(sink, reason) for reason in ("unavailable", "bug")}
        self._queue = metrics.sink_queue_items.labels(sink)
        self._up = metrics.sink_up.labels(sink)
        self._up.set(1)

    def written(self, items: int, seconds: float) -> None:
        """A write of `items` succeeded and took `seconds`."""
        self._written.inc(items)
        self._seconds.observe(seconds)

    def refused(self, items: int) -> None:
        """`items` were refused for good."""
        self._refused.inc(items)

    def failed(self, items: int, reason: str) -> None:
        """A try failed; its `items` will be tried again."""
        self._retried.inc(items)
        self._failures[reason].inc()

    def queued(self, items: int) -> None:
        """So many items were put and are not yet durable."""
        self._queue.set(items)

    def up(self, up: bool) -> None:
        """Did the last try succeed?"""
        self._up.set(up)
