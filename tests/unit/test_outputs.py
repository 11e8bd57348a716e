"""Outputs: what a full sink holds back, in order, while the others go on."""

import threading
from typing import cast

import pytest

from detector.outputs import Outputs
from detector.sinks.base import Batch
from detector.sinks.runner import SinkRunner
from tests.support.nouns import a_finding


class FakeRunner:
    """Takes batches while it has room; `durable` is what a flush says, `ended` that it will say nothing else."""

    ended = False

    def __init__(self, room: int = 1000, *, durable: bool = True) -> None:
        self.room = room
        self.durable = durable
        self.last_error: str | None = None
        self.taken: list[str] = []
        self.flushed: list[float] = []
        self.marks: list[int] = []

    def put(self, batch: Batch) -> bool:
        """Take it, or say no."""
        if self.room <= 0:
            return False
        self.room -= 1
        self.taken += [finding.id for finding in batch.findings]
        return True

    def mark(self) -> int:
        """So many batches, all that it took."""
        return len(self.taken)

    def flush(self, timeout: float, mark: int) -> bool:
        """What it was told to say."""
        self.flushed.append(timeout)
        self.marks.append(mark)
        return self.durable


def outputs_of(*runners: FakeRunner, room: int = 0) -> Outputs:
    return Outputs(cast("list[SinkRunner]", runners), room)  # they are as much of a runner as outputs use


def put(outputs: Outputs, *numbers: int) -> None:
    for number in numbers:
        outputs.put(Batch(findings=[a_finding(number)]))


def test_every_runner_gets_every_batch_in_order() -> None:
    first, second = FakeRunner(), FakeRunner()
    put(outputs_of(first, second), 1, 2, 3)
    assert first.taken == second.taken == ["f-1", "f-2", "f-3"]


def test_a_full_sink_holds_back_and_the_others_go_on() -> None:
    full, free = FakeRunner(1), FakeRunner()
    outputs = outputs_of(full, free)
    put(outputs, 1, 2)
    assert outputs.blocked
    assert (full.taken, free.taken) == (["f-1"], ["f-1", "f-2"])


def test_with_room_a_stage_goes_on_until_that_is_full_too() -> None:
    full, free = FakeRunner(0), FakeRunner()
    outputs = outputs_of(full, free, room=2)
    blocked = []
    for number in (1, 2, 3):
        put(outputs, number)
        blocked.append(outputs.blocked)
    assert blocked == [False, False, True]
    assert not outputs.flush(0.05), "what waits is not durable"
    assert free.taken == ["f-1", "f-2", "f-3"]
    full.room = 3
    outputs.retry()
    assert full.taken == ["f-1", "f-2", "f-3"]


def test_a_sink_that_failed_when_it_was_tried_last_is_trouble() -> None:
    well, ill = FakeRunner(), FakeRunner()
    outputs = outputs_of(well, ill)
    before = outputs.troubled
    ill.last_error = "away"
    assert (before, outputs.troubled) == (False, True)


def test_what_waits_is_offered_again_before_anything_new() -> None:
    runner = FakeRunner(0)
    outputs = outputs_of(runner)
    put(outputs, 1, 2)
    runner.room = 1000
    put(outputs, 3)
    assert runner.taken == [], "the third must not overtake the first"
    outputs.retry()
    assert runner.taken == ["f-1", "f-2", "f-3"]
    assert not outputs.blocked


def test_a_retry_stops_at_the_first_that_has_no_room() -> None:
    runner = FakeRunner(0)
    outputs = outputs_of(runner)
    put(outputs, 1, 2, 3)
    runner.room = 2
    outputs.retry()
    assert runner.taken == ["f-1", "f-2"]
    assert outputs.blocked


def test_a_flush_asks_every_runner() -> None:
    runners = FakeRunner(), FakeRunner()
    assert outputs_of(*runners).flush(5.0)
    assert all(0 < runner.flushed[0] <= 5.0 for runner in runners)


@pytest.mark.parametrize("durable", [(True, False), (False, True)])
def test_one_sink_that_is_not_durable_fails_the_flush(durable: tuple[bool, bool]) -> None:
    assert not outputs_of(*(FakeRunner(durable=each) for each in durable)).flush(0.05)


def test_a_flush_is_given_up_once_there_is_something_else_to_do() -> None:
    stop = threading.Event()

    class Stopping(FakeRunner):
        def flush(self, timeout: float, mark: int) -> bool:
            stop.set()
            return super().flush(timeout, mark)

    slow = Stopping(durable=False)
    assert not outputs_of(slow).flush(3600.0, stop)
    assert len(slow.flushed) == 1
    assert slow.flushed[0] < 1.0, "it looks up now and then"
    assert outputs_of(FakeRunner()).flush(3600.0, stop), "what is durable is"
    full = outputs_of(FakeRunner(0))
    put(full, 1)
    assert not full.flush(3600.0, stop), "what waits for room is not"


def test_a_flush_waits_for_no_runner_that_has_ended() -> None:
    dead = FakeRunner(durable=False)
    dead.ended = True
    assert not outputs_of(dead).flush(3600.0)
    assert len(dead.flushed) == 1


def test_a_flush_fails_while_something_waits_for_room() -> None:
    blocked, free = FakeRunner(0), FakeRunner()
    outputs = outputs_of(blocked, free)
    put(outputs, 1)
    assert not outputs.flush(0.05)
    assert blocked.flushed == free.flushed == [], "nothing is durable that was not even taken"
    blocked.room = 1
    assert outputs.flush(0.05)
    assert blocked.taken == ["f-1"]


def test_a_barrier_stands_where_it_was_made() -> None:
    runners = FakeRunner(), FakeRunner(durable=False)
    outputs = outputs_of(*runners)
    put(outputs, 1, 2)
    barrier = outputs.barrier()
    put(outputs, 3)
    assert not barrier.wait(0.05)
    runners[1].durable = True
    assert barrier.wait(0.05)
    assert {mark for runner in runners for mark in runner.marks} == {2}


def test_handing_over_waits_for_room_and_not_for_what_is_durable() -> None:
    full, slow = FakeRunner(0), FakeRunner(durable=False)
    outputs = outputs_of(full, slow)
    put(outputs, 1)
    assert not outputs.hand_over(0.05)
    full.room = 1
    assert outputs.hand_over(0.05)
    assert (full.taken, slow.flushed) == (["f-1"], [])
