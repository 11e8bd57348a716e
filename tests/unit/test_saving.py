"""Checkpoints while the stream goes on: nothing waits for them, nothing that came after them is in them."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from detector import stages
from detector.checkpoints import CheckpointError, CheckpointFenced, CheckpointStore, Piece, store
from detector.outputs import Barrier, Outputs
from detector.score_stage import ScoreStage
from detector.sinks.runner import SinkRunner
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.kafka import CommitLost, CommitRetry
from tests.support.events import sending
from tests.support.score_stage import FakeSource, record, stage_of
from tests.support.sinks import ScriptedSink

P0 = ("events", 0)

# So long a test waits for a thread that is at work.
PATIENCE = 20.0


class Later(Executor):
    """Does what it is given when it is told to."""

    def __init__(self) -> None:
        self.work: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Note it."""
        future: Future[Any] = Future()
        self.work.append(lambda: future.set_result(fn(*args, **kwargs)))
        return future

    def run(self) -> None:
        """Do it now."""
        for work in self.work:
            work()
        self.work.clear()


class Events(ScriptedSink):
    """Takes events, once its gate is open."""

    accepts = frozenset({"events"})


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """What waits, and writes."""
    with ThreadPoolExecutor(1) as background:
        yield background


@pytest.fixture
def slow(thread: ThreadPoolExecutor) -> Iterator[SinkRunner]:  # noqa: ARG001 - ends after it
    """A sink that takes nothing yet; its gate is opened before the thread is waited for."""
    sink = Events()
    sink.gate.clear()
    runner = SinkRunner(sink)
    runner.start()
    yield runner
    sink.gate.set()
    assert runner.close(PATIENCE)


def turns(count: int, agents: int = 3) -> list[Mapping[Partition, list[Record]]]:
    """One event a turn, of one agent after the other."""
    return [{P0: [record(sending(60.0 * i, f"agent-{i % agents}"), P0, i)]} for i in range(count)]


def stage(folder: Path, script: list[Any], **shell: Any) -> tuple[ScoreStage, FakeSource]:
    """A stage and its source."""
    source = FakeSource(script, threading.Event(), [P0])
    made = stage_of(folder, source=source, every=shell.pop("every", 0.0))
    made.shell = msgspec.structs.replace(made.shell, **shell)
    return made, source


def saved(folder: Path) -> tuple[int, set[str]]:
    """Offset of what a process that begins now would restore, and the principals in it."""
    found = CheckpointStore(str(folder), "score").load([P0])[P0]
    assert found is not None
    return found.offset, {msgspec.msgpack.decode(row)[0] for part in found.parts for row in part.rows}


def test_the_stream_goes_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    later = Later()
    running, source = stage(tmp_path, turns(6), background=later)
    running.run()
    assert running.positions == {P0: 6}
    assert source.commits == [], "nothing is committed that is not written"
    later.run()
    assert saved(tmp_path) == (1, {"agent-0"})


def test_the_stream_goes_on_while_a_sink_is_slow_and_until_then_nothing_is_saved(
    tmp_path: Path, slow: SinkRunner, thread: ThreadPoolExecutor
) -> None:
    running, source = stage(tmp_path, turns(6), background=thread, outputs=Outputs([slow]))
    running.run()
    assert running.positions == {P0: 6}
    assert running._saving is not None
    assert not running._saving.wait(0.2)
    assert CheckpointStore(str(tmp_path), "score").load([P0]) == {P0: None}
    slow.sink.gate.set()  # type: ignore[attr-defined]
    running._finish_saving(PATIENCE)
    assert saved(tmp_path) == (1, {"agent-0"})
    assert source.commits == [{P0: 1}]


class Sometimes(Outputs):
    """Becomes durable in time, or does not, as it is told."""

    def __init__(self, durable: list[bool]) -> None:
        super().__init__([])
        self.durable = durable

    def barrier(self) -> Barrier:
        """That of the next moment."""
        return cast("Barrier", SimpleNamespace(wait=lambda _: self.durable.pop(0)))


def test_what_no_sink_took_in_time_is_put_off_and_then_saved_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SHARE_MOST", 9.0)
    running, source = stage(tmp_path, turns(6), outputs=Sometimes([True, True, False, False, True, True]))
    tries, save = [], running.shell.checkpoints.save

    def saving(checkpoints: Mapping[Partition, tuple[int, Piece]], generation: int) -> int:
        tries.append([piece.whole for _, piece in checkpoints.values()])
        return save(checkpoints, generation)

    monkeypatch.setattr(running.shell.checkpoints, "save", saving)
    running.run()
    assert [commit[P0] for commit in source.commits] == [1, 2, 5, 6]
    assert tries == [[True], [False], [True], [False]], "changes that were given away are in no piece"
    assert running.shell.metrics.registry.get_sample_value("detector_checkpoint_failures_total") == 0.0
    assert saved(tmp_path) == (6, {"agent-0", "agent-1", "agent-2"})


def test_what_is_lost_while_a_sink_is_waited_for_is_not_saved(
    tmp_path: Path, slow: SinkRunner, thread: ThreadPoolExecutor
) -> None:
    running, source = stage(tmp_path, turns(3), background=thread, outputs=Outputs([slow]))
    running.run()
    running.on_lost([P0])
    slow.sink.gate.set()  # type: ignore[attr-defined]
    running._finish_saving(PATIENCE)
    assert CheckpointStore(str(tmp_path), "score").load([P0]) == {P0: None}
    assert source.commits == []


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_who_gives_a_partition_up_waits_for_a_sink_no_longer_than_its_grace(
    tmp_path: Path, slow: SinkRunner, thread: ThreadPoolExecutor, late: float
) -> None:
    """And for one that comes late, but in time, it saves all."""
    running, source = stage(
        tmp_path, turns(3), background=thread, outputs=Outputs([slow]), grace=PATIENCE if late else 0.1
    )
    running.run()
    timer = threading.Timer(late, slow.sink.gate.set)  # type: ignore[attr-defined]
    if late:
        timer.start()
    running.on_revoked([P0])
    assert source.commits == ([{P0: 1}, {P0: 3}] if late else [])


def test_what_came_after_the_moment_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are encoded long after it, when their principals have changed."""
    monkeypatch.setattr(stages, "SLICE_SECONDS", -1.0)
    calm = {P0: [record(sending(i, f"agent-{i}"), P0, i) for i in range(3)]}
    busy = [{P0: [record(sending(60.0 + i, f"agent-{2 - i % 4}"), P0, 3 + i)]} for i in range(9)]
    running, source = stage(tmp_path, [calm, *busy])
    running.run()
    assert running.positions == {P0: 12}
    running._finish_saving(0.0)
    assert source.commits == [{P0: 3}]
    found = CheckpointStore(str(tmp_path), "score").load([P0])[P0]
    assert found is not None
    assert found.offset == 3
    events = {row[0]: row[5] for row in map(msgspec.msgpack.decode, found.parts[0].rows)}
    assert events == {"agent-0": 1, "agent-1": 1, "agent-2": 1}


def test_changes_follow_the_whole_state(tmp_path: Path) -> None:
    running, source = stage(tmp_path, turns(5))
    running.run()
    found = CheckpointStore(str(tmp_path), "score").load([P0])[P0]
    assert found is not None
    whole, *changes = (len(part.rows) for part in found.parts)
    assert whole == 3
    assert changes == [1] * len(changes) != []
    assert source.commits[-1] == {P0: found.offset} == {P0: 5}


def test_with_a_thread_it_comes_to_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as background:
        running, _ = stage(tmp_path, turns(40), background=background)
        running.run()
        running.on_revoked([P0])
    assert saved(tmp_path) == (40, {"agent-0", "agent-1", "agent-2"})


def test_what_is_given_up_is_saved_as_of_now(tmp_path: Path) -> None:
    running, source = stage(tmp_path, turns(6), every=1e9)
    running.run()
    assert source.commits == []
    running.on_revoked([P0])
    assert saved(tmp_path)[0] == 6
    assert source.commits == [{P0: 6}]


def test_what_is_lost_amid_a_checkpoint_is_neither_saved_nor_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SLICE_SECONDS", -1.0)
    running, source = stage(tmp_path, turns(3))
    running.run()
    running.on_lost([P0])
    running._finish_saving(0.0)
    assert source.commits == []
    assert CheckpointStore(str(tmp_path), "score").load([P0])[P0] is None


def test_what_is_lost_while_it_is_written_is_not_committed(tmp_path: Path) -> None:
    later = Later()
    running, source = stage(tmp_path, turns(3), background=later)
    running.run()
    running.on_lost([P0])
    later.run()
    running._finish_saving(0.0)
    assert source.commits == []


def test_a_checkpoint_that_fails_is_made_up_for_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away for a while delays checkpoints; it does not end the detection."""
    monkeypatch.setattr(store, "SHARE_MOST", 9.0)
    running, source = stage(tmp_path, turns(8))
    checkpoints, tries = running.shell.checkpoints, []
    real = checkpoints._write_piece

    def failing(partition: Partition, tenure: Any, offset: int, piece: Piece, *more: Any) -> Any:
        tries.append(piece.whole)
        if len(tries) in {3, 4}:
            raise OSError("the store is away")
        return real(partition, tenure, offset, piece, *more)

    monkeypatch.setattr(checkpoints, "_write_piece", failing)
    running.run()
    assert tries[:6] == [True, False, False, True, True, False], "after a failure nothing less than all of it"
    assert [commit[P0] for commit in source.commits] == [1, 2, 5, 6, 7, 8]
    assert running.shell.metrics.registry.get_sample_value("detector_checkpoint_failures_total") == 2.0
    assert saved(tmp_path) == (8, {"agent-0", "agent-1", "agent-2"})


def test_a_commit_that_the_group_put_off_is_made_up_for_though_nothing_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a partition that rests from then on would seem to lag for ever."""
    running, source = stage(tmp_path, [*turns(1), {}, {}, {}])
    real, tries = source.commit, []

    def rebalancing(offsets: Mapping[Partition, int]) -> None:
        tries.append(dict(offsets))
        if len(tries) < 3:
            raise CommitRetry("the group rebalances")
        real(offsets)

    monkeypatch.setattr(source, "commit", rebalancing)
    running.run()
    assert tries == [{P0: 1}] * 3
    assert source.commits == [{P0: 1}]


def test_a_stage_that_was_replaced_stops(tmp_path: Path) -> None:
    running, source = stage(tmp_path, turns(3), every=1e9)
    running.run()
    other = CheckpointStore(str(tmp_path), "score")
    other.load([P0], 1)
    other.save({P0: (99, Piece({}, whole=True))}, 1)
    with pytest.raises(CheckpointFenced):
        running.on_revoked([P0])
    assert source.commits == []
    found = CheckpointStore(str(tmp_path), "score").load([P0], 1)[P0]
    assert found is not None
    assert found.offset == 99


@pytest.mark.parametrize("member", [True, False])
def test_after_a_higher_generation_only_a_member_of_the_group_may_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: bool
) -> None:
    first, _ = stage(tmp_path, turns(3), every=1e9)
    monkeypatch.setattr(FakeSource, "generation", lambda _: 57)
    first.run()
    first.on_revoked([P0])
    monkeypatch.setattr(FakeSource, "generation", lambda _: 1)
    running, source = stage(tmp_path, [{}, *turns(6)[3:]], every=1e9)
    running.run()
    assert running.positions == {P0: 6}

    def refused(_: object) -> None:
        raise CommitLost("no member")

    if not member:
        monkeypatch.setattr(source, "commit", refused)
    running.on_revoked([P0])
    assert saved(tmp_path)[0] == (6 if member else 3)


def test_checkpoints_that_take_long_are_made_less_often(tmp_path: Path) -> None:
    """What they may take of the time is bounded, whatever there is to be saved."""
    running, source = stage(tmp_path, turns(12), share=1e-9)
    running.run()
    assert len(source.commits) == 1


def test_a_state_that_can_not_be_taken_over_says_what_to_do(tmp_path: Path) -> None:
    CheckpointStore(str(tmp_path), "score").save({P0: (1, Piece({"scoring": {"version": 99}}, whole=True))})
    with pytest.raises(CheckpointError, match=r"version 99.*run the version that wrote it, or move its folder away"):
        stage_of(tmp_path, [P0])
