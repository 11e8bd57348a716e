"""Ticks: due by time alone, under load too, and never in the way of what is to be written."""

import threading

from detector.sinks.base import Batch, SinkRefused, SinkUnavailable
from detector.sinks.delivery import Backoff
from detector.sinks.runner import Limits, SinkRunner
from tests.support.nouns import a_finding
from tests.support.sinks import RecordingMeter, ScriptedSink

LONG = 10.0  # seconds, for what takes milliseconds: reached only by a failing test


class TickingSink(ScriptedSink):
    """Counts its ticks; raises the given errors first."""

    tick_seconds = 60.0

    def __init__(self, errors: list[Exception] | None = None) -> None:
        super().__init__()
        self.errors = errors or []
        self.ticks = 0
        self.ticked = threading.Event()

    def tick(self) -> None:
        """Count, raise, or tell that it succeeded."""
        self.ticks += 1
        if self.errors:
            raise self.errors.pop(0)
        self.ticked.set()


def test_ticks_come_at_the_start_and_when_due_also_under_load() -> None:
    now = 0.0
    sink = TickingSink()
    runner = SinkRunner(sink, Limits(linger=0.0), clock=lambda: now)
    runner.start()
    assert sink.ticked.wait(LONG)
    for step in range(10):
        now = 30.0 * step
        for _ in range(2):  # a tick comes after the write that flush waits for: before the next write
            runner.put(Batch(findings=[a_finding(step)]))
            assert runner.flush(LONG)
    assert runner.close(LONG)
    assert sink.ticks == 1 + 4, "at 0, 60, 120, 180 and 240 s"


def test_a_failing_tick_is_tried_again_and_does_not_keep_items_back() -> None:
    sink = TickingSink([SinkUnavailable("away"), SinkRefused("a bug: ticks carry no items")])
    meter = RecordingMeter()
    limits = Limits(linger=0.0, backoff=Backoff(0.0, 0.0))
    runner = SinkRunner(sink, limits, meter=meter)
    runner.start()
    runner.put(Batch(findings=[a_finding(1)]))
    assert runner.flush(LONG)
    assert sink.ticked.wait(LONG)
    assert runner.close(LONG)
    assert meter.failures == [(0, "unavailable"), (0, "bug")]
    assert sink.ticks == 3
