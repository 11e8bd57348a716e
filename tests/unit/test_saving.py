"""Checkpoints while the stream goes on: nothing waits for them, nothing that came after them is in them."""

from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector import stages
from detector.checkpoints import CheckpointError, CheckpointFenced, CheckpointStore, Piece, store
from detector.sources.alignment import Partition
from detector.sources.kafka import CommitLost, CommitRetry
from tests.support.events import sending
from tests.support.saving import P0, saved, stage, turns
from tests.support.score_stage import FakeSource, record, stage_of


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


def test_the_stream_goes_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    later = Later()
    running, source = stage(tmp_path, turns(6), background=later)
    running.run()
    assert running.positions == {P0: 6}
    assert source.commits == [], "nothing is committed that is not written"
    later.run()
    assert saved(tmp_path) == (1, {"agent-0"})


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
