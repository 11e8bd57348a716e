"""The runner around a sink: nothing lost, nothing out of order, and a far side that is down never hurried."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from detector.sinks.base import Batch, Item, Refused, SinkRefused, SinkUnavailable
from detector.sinks.delivery import Backoff
from detector.sinks.runner import Limits, SinkRunner
from tests.support.nouns import a_finding, a_rejected, an_alert, an_envelope
from tests.support.sinks import RecordingMeter, ScriptedSink

LONG = 10.0  # seconds, for what takes milliseconds: reached only by a failing test
AT_ONCE = Limits(linger=0.0)

Start = Callable[..., SinkRunner]


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes started runners, whose pauses take no time, and ends them."""
    runners: list[SinkRunner] = []

    def make(sink: ScriptedSink, limits: Limits = AT_ONCE, **options: Any) -> SinkRunner:
        runner = SinkRunner(sink, limits, **{"pause": lambda _: False, **options})
        runners.append(runner)
        runner.start()
        return runner

    yield make
    for runner in runners:
        runner.sink.gate.set()  # type: ignore[attr-defined]
        runner.close(LONG)


def findings(*numbers: int) -> Batch:
    return Batch(findings=[a_finding(number) for number in numbers])


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


def numbers(items: list[Item]) -> list[int]:
    return [int(item.id.removeprefix("f-")) for item in items if not isinstance(item, tuple) and hasattr(item, "id")]


def test_small_batches_are_joined_in_order_up_to_the_limit() -> None:
    sink = ScriptedSink()
    runner = SinkRunner(sink, Limits(max_batch=3, linger=0.0))
    for number in range(7):
        assert runner.put(findings(number))
    runner.start()
    assert runner.close(LONG)
    assert [numbers(items) for items in sink.tries] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_sink_may_have_a_size_of_its_own() -> None:
    sink = ScriptedSink()
    sink.batch = 5
    runner = SinkRunner(sink, Limits(max_batch=3, linger=0.0))
    for number in range(7):
        assert runner.put(findings(number))
    runner.start()
    assert runner.close(LONG)
    assert [numbers(items) for items in sink.tries] == [[0, 1, 2, 3, 4], [5, 6]]


def test_a_sink_may_linger_for_a_time_of_its_own() -> None:
    sink = ScriptedSink()
    sink.batch, sink.linger = 3, 3600.0
    runner = SinkRunner(sink, AT_ONCE)
    runner.start()
    runner.put(findings(1))
    runner.put(findings(2))
    assert not sink.tries
    runner.put(findings(3))
    assert runner.close(LONG)
    assert [numbers(items) for items in sink.tries] == [[1, 2, 3]]


def test_a_flush_up_to_a_mark_hurries_and_waits_for_nothing_that_came_after_it() -> None:
    sink = ScriptedSink()
    sink.linger = 3600.0
    runner = SinkRunner(sink, Limits(max_batch=2))
    runner.put(findings(1))
    mark = runner.mark()
    runner.start()
    assert runner.flush(LONG, mark)
    runner.put(findings(2))
    assert runner.flush(0.0, mark)
    assert not runner.flush(0.0, mark + 1), "but it is asked for by now"
    assert runner.flush(LONG, mark + 1)
    runner.put(findings(3))
    assert runner.flush(0.0, mark)
    assert [numbers(items) for items in sink.tries] == [[1], [2]]
    assert runner.close(LONG)


def test_joining_leaves_the_batches_of_the_caller_alone() -> None:
    first, second = findings(1), findings(2)
    runner = SinkRunner(ScriptedSink(), AT_ONCE)
    runner.put(first)
    runner.put(second)
    runner.start()
    assert runner.close(LONG)
    assert (len(first), len(second)) == (1, 1)


def test_only_what_the_sink_accepts_is_written_and_counted(start: Start) -> None:
    sink = ScriptedSink()
    sink.gate.clear()
    runner = start(sink)
    runner.put(Batch([(an_envelope(), "scored")], [a_finding(1)], [an_alert(2)], [a_rejected()]))
    runner.put(Batch(rejects=[a_rejected()]))
    assert runner.pending == 2
    sink.gate.set()
    assert runner.flush(LONG)
    assert sink.written == [a_finding(1), an_alert(2)]


def test_an_unavailable_sink_is_tried_again_until_it_takes_the_batch(start: Start) -> None:
    sink = ScriptedSink([SinkUnavailable("away"), SinkUnavailable("still away"), None])
    meter = RecordingMeter()
    runner = start(sink, meter=meter)
    runner.put(findings(1, 2))
    assert runner.flush(LONG)
    assert [numbers(items) for items in sink.tries] == [[1, 2]] * 3
    assert numbers(sink.written) == [1, 2]
    assert meter.failures == [(2, "unavailable")] * 2
    assert (meter.written_items, meter.ups[-3:]) == (2, [False, False, True])
    assert runner.healthy


def test_pauses_are_jittered_below_a_doubling_ceiling_and_repeat_with_the_seed(start: Start) -> None:
    def pauses() -> list[float]:
        seen: list[float] = []

        def pause(seconds: float) -> bool:
            seen.append(seconds)
            return False

        sink = ScriptedSink([SinkUnavailable("away")] * 12)
        backoff = Backoff(initial=1.0, ceiling=8.0)
        runner = start(sink, Limits(linger=0.0, backoff=backoff), pause=pause, rng=seeded(7))
        runner.put(findings(1))
        assert runner.flush(LONG)
        return seen

    seen = pauses()
    assert all(0 <= pause <= min(8.0, 2.0**tries) for tries, pause in enumerate(seen))
    assert max(seen) > 4.0, "the ceiling is never near"
    assert len(set(seen)) == 12, "no jitter"
    assert seen == pauses()


def test_the_far_sides_wish_for_a_pause_is_respected(start: Start) -> None:
    seen: list[float] = []

    def pause(seconds: float) -> bool:
        seen.append(seconds)
        return False

    runner = start(ScriptedSink([SinkUnavailable("busy", retry_after=120.0)]), pause=pause)
    runner.put(findings(1))
    assert runner.flush(LONG)
    assert seen == [120.0]


def test_a_backoff_after_very_many_tries_stays_at_its_ceiling() -> None:
    assert Backoff(0.5, 30.0).pause(100_000, seeded(1)) <= 30.0


def test_a_bug_in_a_sink_loses_nothing_and_does_not_end_the_thread(start: Start) -> None:
    sink = ScriptedSink([KeyError("oops"), None])
    meter = RecordingMeter()
    runner = start(sink, meter=meter)
    runner.put(findings(1))
    assert runner.flush(LONG)
    assert numbers(sink.written) == [1]
    assert meter.failures == [(1, "bug")]


def test_unhealthy_and_the_last_error_while_it_fails() -> None:
    paused, go_on = threading.Event(), threading.Event()

    def pause(_: float) -> bool:
        paused.set()
        return not go_on.wait(LONG)

    runner = SinkRunner(ScriptedSink([SinkUnavailable("no route to host")]), AT_ONCE, pause=pause)

    def state() -> tuple[bool, str | None]:
        return runner.healthy, runner.last_error

    assert state() == (False, None), "not started"
    runner.start()
    assert state() == (True, None)
    runner.put(findings(1))
    assert paused.wait(LONG)
    assert state() == (False, "no route to host")
    go_on.set()
    assert runner.flush(LONG)
    assert state() == (True, None)
    assert runner.close(LONG)
    assert state() == (False, None), "ended"


def test_an_item_returned_as_refused_is_handed_over_and_counted(start: Start) -> None:
    refused = Refused(a_finding(1), "too large")
    told: list[tuple[str, list[Refused]]] = []
    meter = RecordingMeter()
    runner = start(ScriptedSink([[refused]]), meter=meter, on_refused=lambda sink, items: told.append((sink, items)))
    runner.put(findings(1, 2))
    assert runner.flush(LONG)
    assert told == [("scripted", [refused])]
    assert (meter.refused_items, meter.written_items) == (1, 1)


def test_a_batch_refused_as_a_whole_is_halved_until_the_items_to_blame_stand_alone(start: Start) -> None:
    def rule(batch: Batch) -> None:
        if {3, 6} & set(numbers(batch.items())):
            raise SinkRefused("bad value")

    sink = ScriptedSink(rule=rule)
    told: list[Refused] = []
    runner = start(sink, on_refused=lambda _, items: told.extend(items))
    runner.put(findings(*range(8)))
    assert runner.flush(LONG)
    assert numbers(sink.written) == [0, 1, 2, 4, 5, 7]
    assert [(numbers([one.item]), one.reason) for one in told] == [([3], "bad value"), ([6], "bad value")]


def test_refused_items_are_offered_again_when_the_callback_fails(start: Start) -> None:
    told: list[list[Refused]] = []

    def on_refused(_: str, items: list[Refused]) -> None:
        told.append(items)
        if len(told) == 1:
            raise OSError("disk full")

    refused = [Refused(a_finding(1), "too large")]
    runner = start(ScriptedSink([refused, refused]), on_refused=on_refused)
    runner.put(findings(1))
    assert runner.flush(LONG)
    assert told == [refused, refused]


def test_a_full_queue_says_no_until_something_is_durable(start: Start) -> None:
    sink = ScriptedSink()
    sink.gate.clear()
    runner = start(sink, Limits(max_queue=3, max_batch=1, linger=0.0))
    assert runner.put(findings(1))
    assert sink.inside.wait(LONG)
    assert runner.put(findings(2, 3)), "what is being written counts as pending, but 3 fit"
    assert not runner.put(findings(4))
    assert runner.pending == 3
    sink.gate.set()
    assert runner.flush(LONG)
    assert runner.put(findings(4))
    assert runner.flush(LONG)
    assert numbers(sink.written) == [1, 2, 3, 4]


def test_a_batch_larger_than_the_queue_waits_for_an_empty_one(start: Start) -> None:
    sink = ScriptedSink()
    sink.gate.clear()
    runner = start(sink, Limits(max_queue=2, linger=0.0))
    assert runner.put(findings(1))
    assert not runner.put(findings(2, 3, 4))
    sink.gate.set()
    assert runner.flush(LONG)
    assert runner.put(findings(2, 3, 4))


def test_flush_waits_for_what_was_put_before_and_only_so_long(start: Start) -> None:
    sink = ScriptedSink()
    sink.gate.clear()
    runner = start(sink)
    runner.put(findings(1))
    assert not runner.flush(0.01)
    sink.gate.set()
    assert runner.flush(LONG)
    assert numbers(sink.written) == [1]


def test_flush_does_not_wait_for_the_linger(start: Start) -> None:
    sink = ScriptedSink()
    runner = start(sink, Limits(linger=3600.0))
    runner.put(findings(1))
    runner.put(findings(2))
    assert runner.flush(LONG)
    assert [numbers(items) for items in sink.tries] == [[1, 2]]


def test_close_gives_up_promptly_on_a_sink_that_is_down() -> None:
    sink = ScriptedSink([SinkUnavailable("away", retry_after=3600.0)] * 5)
    runner = SinkRunner(sink, AT_ONCE)
    runner.start()
    runner.put(findings(1))
    assert sink.inside.wait(LONG)
    assert not runner.close(0.05), "it was not durable"
    assert sink.closed.wait(LONG)
    assert len(sink.tries) == 1
    assert runner.pending == 1
    with pytest.raises(ValueError, match="closed"):
        runner.put(findings(2))
    assert not runner.close(0.05), "the second time says the same"


def test_close_before_start_closes_the_sink() -> None:
    sink = ScriptedSink()
    assert SinkRunner(sink).close(LONG)
    assert sink.closed.is_set()
