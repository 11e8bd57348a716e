"""Stage 1 around its core: one order whatever the order of fetching, nothing written twice, all saved."""

import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from detector.checkpoints import Checkpoint, CheckpointStore
from detector.decoding import Decoder
from detector.peers_topic import PeersTopic
from detector.score_stage import AHEAD_MOST, WAITING_MOST, ScoreStage
from detector.signals import Sent
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.stages import POLL_SECONDS
from detector.ticks import Tick
from tests.support.events import event, sending
from tests.support.score_stage import FakeSource, Polled, record, save, stage_of

HOUR = 3600.0
P0, P1, P2 = PARTITIONS = [("events", number) for number in range(3)]


@pytest.fixture(scope="module")
def logs() -> dict[Partition, list[Record]]:
    """Two days of six agents over three partitions, at the end of which one of them sends a lot to a stranger."""
    rng = random.Random(1)
    logs: dict[Partition, list[Record]] = {partition: [] for partition in PARTITIONS}
    for step in range(6 * 48):
        agent = step % 6
        sent = sending(step * HOUR / 6, f"agent-{agent}", rng.randrange(10_000, 40_000))
        log = logs[PARTITIONS[agent % 3]]
        log.append(record(sent, PARTITIONS[agent % 3], len(log)))
    harm = sending(47.9 * HOUR, "agent-1", 900_000_000, "drop.example")
    logs[P1].append(record(harm, P1, len(logs[P1])))
    return logs


def fetches(logs: Mapping[Partition, list[Record]], seed: int | None) -> Iterator[tuple[Polled, set[Partition]]]:
    """Everything, in pieces of any size and in any order of partitions; at once without a seed."""
    if seed is None:
        yield logs, set(logs)
        return
    rng = random.Random(seed)
    left = {partition: list(log) for partition, log in logs.items()}
    while any(left.values()):
        partition = rng.choice([p for p, log in left.items() if log])
        count = rng.randrange(1, 60)
        piece, left[partition] = left[partition][:count], left[partition][count:]
        yield {partition: piece}, {p for p, log in left.items() if not log}


def take_all(stage: ScoreStage, logs: Mapping[Partition, list[Record]], seed: int | None = None) -> Batch:
    batch = Batch()
    for polled, caught_up in fetches(logs, seed):
        batch.extend(stage.take(polled, caught_up))
    return batch


def test_a_backlog_is_taken_in_turns_that_end_soon(tmp_path: Path) -> None:
    log = [record(sending(i, "a"), P0, i) for i in range(7)]
    stage = stage_of(tmp_path, [P0], turn_most=3)
    done = []
    for polled in ({P0: log}, {}, {}):
        batch = stage.take(polled, {P0})
        done.append((len(batch.events), stage.positions[P0], stage.poll_seconds))
    assert done == [(3, 3, 0.0), (3, 6, 0.0), (1, 7, POLL_SECONDS)]


def test_turns_of_any_length_find_the_same(tmp_path: Path, logs: dict[Partition, list[Record]]) -> None:
    whole, by_turns = stage_of(tmp_path / "whole", PARTITIONS), stage_of(tmp_path / "turns", PARTITIONS, turn_most=50)
    found, batch = whole.take(logs, set(PARTITIONS)).findings, by_turns.take(logs, set(PARTITIONS))
    while by_turns.poll_seconds == 0.0:
        batch.extend(by_turns.take({}, set(PARTITIONS)))
    assert found
    assert batch.findings == found


def test_the_order_of_fetching_changes_nothing(logs: dict[Partition, list[Record]], tmp_path: Path) -> None:
    at_once = take_all(stage_of(tmp_path, PARTITIONS), logs)
    assert {finding.detector for finding in at_once.findings} >= {"transfer_rate", "new_endpoint"}
    assert len(at_once.events) == sum(map(len, logs.values()))
    for seed in range(6):
        batch = take_all(stage_of(tmp_path, PARTITIONS), logs, seed)
        assert batch.signals == at_once.signals
        assert batch.events == at_once.events


def test_without_alignment_the_order_would_change_things(logs: dict[Partition, list[Record]], tmp_path: Path) -> None:
    """The control of the test above: partition after partition, peers would know other things."""
    one_by_one = stage_of(tmp_path, PARTITIONS)
    batch = Batch()
    for partition, log in logs.items():
        batch.extend(one_by_one.take({partition: log}, set(PARTITIONS)))
    assert batch.events != take_all(stage_of(tmp_path, PARTITIONS), logs).events


def test_findings_come_with_the_ticks_of_time_between_them(logs: dict[Partition, list[Record]], tmp_path: Path) -> None:
    more = {p: list(log) for p, log in logs.items()}
    for minute in (0.5, 1.0, 2.5):
        calm = sending(48 * HOUR + 60 * minute, "agent-0")
        more[P0].append(record(calm, P0, len(more[P0])))
    told = [sent for sent in take_all(stage_of(tmp_path, PARTITIONS), more).signals if isinstance(sent, Sent)]
    assert [sent.place for sent in told] == sorted(sent.place for sent in told)
    assert not any(sent.beside for sent in told), "it has all the partitions"
    signals = [sent.signal for sent in told]
    last_finding = max(i for i, signal in enumerate(signals) if not isinstance(signal, Tick))
    after = [signal for signal in signals[last_finding + 1 :] if isinstance(signal, Tick)]
    start = event(48 * HOUR).time.timestamp()
    assert [tick.time - start for tick in after] == [0.0, 60.0, 120.0]
    assert all(tick.partitions == tuple(PARTITIONS) for tick in after)
    times = [signal.time if isinstance(signal, Tick) else signal.time.timestamp() for signal in signals]
    assert times == sorted(times)


def test_nothing_is_scored_that_another_partition_may_precede(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0, P1])
    first = stage.take({P0: [record(sending(60, "a"), P0, 0)]}, set())
    assert first.empty
    assert stage.positions == {}
    second = stage.take({P1: [record(sending(30, "b"), P1, 0), record(sending(90, "b"), P1, 1)]}, set())
    assert [envelope.event.id for envelope, _ in second.events] == ["b-30", "a-60"]
    assert stage.positions == {P0: 1, P1: 1}


def test_an_event_from_the_future_holds_nobody_back(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0, P1])
    now = event(0).time.timestamp()
    far = record(sending(10**8, "a"), P0, 0, received_at=now)
    batch = stage.take({P0: [far], P1: [record(sending(1, "b"), P1, 0)]}, set())
    assert [(envelope.event.id, verdict) for envelope, verdict in batch.events] == [("a-1e+08", "future")]


def test_a_reject_moves_the_position(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0])
    batch = stage.take({P0: [record(b"not json", P0, 0), record(b"{}", P0, 1)]}, {P0})
    assert [rejected.reject.reason for rejected in batch.rejects] == ["not_json", "wrong_shape"]
    assert batch.events == []
    assert stage.positions == {P0: 2}


def test_what_is_understood_and_tells_of_no_act_is_counted(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0], decoder=Decoder("auto"))
    finding = b'{"detail-type": "GuardDuty Finding", "source": "aws.guardduty", "detail": {}}'
    read = [finding, b'{"resourceSpans": []}', msgspec.json.encode(sending(1, "a")), b"no"]
    stage.take({P0: [record(raw, P0, place) for place, raw in enumerate(read)]}, {P0})
    registry = stage.shell.metrics.registry
    assert registry.get_sample_value("detector_messages_passed_over_total", {"topic": "events"}) == 2
    assert stage.positions == {P0: 4}


def test_tests_of_hours_that_are_over_are_counted_once(logs: dict[Partition, list[Record]], tmp_path: Path) -> None:
    """Six agents, two days, one test an hour: the last hour is not over, and what one principal sent is improbable."""
    stage = stage_of(tmp_path, PARTITIONS)
    later = sending(49 * HOUR, "agent-1", 20_000)
    take_all(stage, logs)
    stage.take({P1: [record(later, P1, len(logs[P1]))]}, set(PARTITIONS))
    registry, outside = stage.shell.metrics.registry, {"channel": "transfer_rate outside"}
    tests = registry.get_sample_value("detector_tests_total", outside)
    assert tests is not None
    assert 5 * 40 < tests <= 6 * 48
    assert registry.get_sample_value("detector_tests_improbable_total", outside) == 1
    stage.take({}, set(PARTITIONS))
    assert registry.get_sample_value("detector_tests_total", outside) == tests


def test_a_reject_keeps_its_place_among_events(tmp_path: Path) -> None:
    """It waits with the event before it, so that no position is saved that skips what was not scored."""
    stage = stage_of(tmp_path, [P0, P1])
    stage.take({P0: [record(sending(60, "a"), P0, 0), record(b"no", P0, 1)]}, set())
    assert stage.positions == {}
    stage.take({}, {P1})
    assert stage.positions == {P0: 2}


def test_what_the_store_holds_is_scored_and_not_written_again(tmp_path: Path) -> None:
    asked = []

    def stored(topic: str, partition: int, offset: int) -> Mapping[tuple[int, int], str]:
        asked.append((topic, partition, offset))
        return {(0, 0): "a-0", (1, 0): "", (2, 0): "another event with this offset"}

    save(stage_of(tmp_path, [P0]), P0, 0)
    stage = stage_of(tmp_path, [P0], stored=stored)
    log = [
        record(sending(0, "a"), P0, 0),
        record(b"no", P0, 1),
        record(sending(2, "a"), P0, 2),
        record(sending(3, "a"), P0, 3),
        record(b"no", P0, 4),
    ]
    batch = stage.take({P0: log}, {P0})
    assert asked == [("events", 0, 0)]
    assert [envelope.offset for envelope, _ in batch.events] == [2, 3]
    assert [rejected.offset for rejected in batch.rejects] == [4]
    assert stage.scoring.principals == 1
    assert stage.positions == {P0: 5}


def test_the_store_is_asked_from_where_the_saved_state_stands(tmp_path: Path) -> None:
    asked = []

    def stored(topic: str, partition: int, offset: int) -> Mapping[tuple[int, int], str]:
        asked.append((topic, partition, offset))
        return {}

    first = stage_of(tmp_path, [P0])
    first.take({P0: [record(sending(i, "a"), P0, i) for i in range(7)]}, {P0})
    save(first, P0, 7)
    second = stage_of(tmp_path, stored=stored)
    assert second.on_assigned([P0, P1]) == {P0: 7, P1: None}
    assert asked == [("events", 0, 7)], "of the other one, all that was ever stored would have to be asked for"


def test_a_partition_with_much_waiting_is_full(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0, P1])
    bad = [record(b"no", P0, offset) for offset in range(WAITING_MOST)]
    stage.take({P0: bad[:-1]}, set())
    assert stage.full() == []
    stage.take({P0: bad[-1:]}, set())
    assert stage.full() == [P0]


def test_while_other_workers_are_waited_for_it_reads_ahead(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0, P1])
    bad = [record(b"no", P0, offset) for offset in range(AHEAD_MOST)]
    stage.take({P0: bad[:-1]}, set())
    stage._peers = cast("PeersTopic", SimpleNamespace(waiting=True))
    assert stage.full() == []
    stage._peers = cast("PeersTopic", SimpleNamespace(waiting=False))
    assert stage.full() == [P0]


def test_what_is_lost_is_forgotten(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, [P0, P1])
    stage.take({P0: [record(sending(0, "a"), P0, 0)], P1: [record(sending(1, "b"), P1, 0)]}, {P0, P1})
    stage.take({P0: [record(sending(9, "a"), P0, 1)]}, set())
    stage.on_lost([P0])
    assert stage.positions == {P1: 1}
    assert stage.scoring.principals == 1
    assert stage.take({}, {P1}).empty, "what waited of it is gone too"
    assert stage.on_assigned([P0]) == {P0: None}
    assert stage.trouble() is not None, "it never reached Kafka"


def run(folder: Path, *turns: Polled, partitions: list[Partition]) -> FakeSource:
    """Let a stage take these turns, with a checkpoint after each, and end without a goodbye."""
    source = FakeSource(turns, threading.Event(), partitions)
    stage_of(folder, source=source).run()
    return source


def saved(folder: Path, partition: Partition) -> Checkpoint:
    checkpoint = CheckpointStore(str(folder), "score").load([partition])[partition]
    assert checkpoint is not None
    return checkpoint


def test_only_what_moved_is_saved_and_committed(tmp_path: Path) -> None:
    both = {P0: [record(sending(0, "a"), P0, 0)], P1: [record(sending(1, "b"), P1, 0)]}
    one = {P0: [record(sending(2, "a"), P0, 1)]}
    assert run(tmp_path, both, one, {}, partitions=[P0, P1]).commits == [{P0: 1, P1: 1}, {P0: 2}]


def test_an_unmoved_partition_is_saved_again_when_the_peers_exchanged(tmp_path: Path) -> None:
    """An exchange changes what every partition has published: saved in part, a restart would judge differently."""
    both = {P0: [record(sending(0, "a"), P0, 0)], P1: [record(sending(1, "b"), P1, 0)]}
    next_hour = {P0: [record(sending(HOUR + 2, "a"), P0, 1)]}
    run(tmp_path, both, next_hour, partitions=[P0, P1])
    first, second = (saved(tmp_path, partition) for partition in (P0, P1))
    assert (first.offset, second.offset) == (2, 1)
    assert first.parts[-1].head["scoring"]["priors_version"] == second.parts[-1].head["scoring"]["priors_version"]
    assert second.parts[-1].head["scoring"]["published"], (
        "what the exchange published of the partition that stood still"
    )


@pytest.mark.parametrize("length", [(30, 50, 70), (96, 96, 96)], ids=["in the middle", "just before the harm"])
def test_after_a_crash_it_goes_on_as_if_nothing_had_happened(
    logs: dict[Partition, list[Record]], tmp_path: Path, length: tuple[int, ...]
) -> None:
    whole = take_all(stage_of(tmp_path / "whole", PARTITIONS), logs)
    cut = {partition: log[:count] for (partition, log), count in zip(logs.items(), length, strict=True)}
    run(tmp_path / "crashed", cut, partitions=PARTITIONS)
    again = stage_of(tmp_path / "crashed")
    offsets = again.on_assigned(PARTITIONS)
    rest = {partition: log[offsets[partition] or 0 :] for partition, log in logs.items()}
    batch = take_all(again, rest)
    assert batch.findings == whole.findings != []
    assert again.positions == {partition: len(log) for partition, log in logs.items()}


def test_an_event_that_can_not_be_scored_is_passed_over_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = stage_of(tmp_path, [P0])

    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody thought of this one")

    with monkeypatch.context() as breaking:
        breaking.setattr(stage.scoring, "_judge", broken)
        batch = stage.take({P0: [record(sending(0, "a"), P0, 0)]}, {P0})
    assert [verdict for _, verdict in batch.events] == ["error"]
    assert "nobody thought of this one" in capsys.readouterr().out
    assert [verdict for _, verdict in stage.take({P0: [record(sending(1, "a"), P0, 1)]}, {P0}).events] == ["scored"]
    assert stage.positions == {P0: 2}
