"""Checkpoints and the sinks that must be durable before: the stream goes on, and nothing is valid too early."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from detector.checkpoints import CheckpointStore, Piece, store
from detector.outputs import Barrier, Outputs
from detector.sinks.runner import SinkRunner
from detector.sources.alignment import Partition
from tests.support.saving import P0, PATIENCE, saved, stage, turns
from tests.support.sinks import ScriptedSink


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
