"""Several workers judge like one: the same findings and the same memory, to the last bit, however they take turns."""

import random
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector import assembly, exchange
from detector.config import Config
from detector.decoding import Decoder
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from tests.support.events import START, sending
from tests.support.peers import Fellow, Logs, SharedLog, work
from tests.support.score_stage import record, stage_of
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import SMALL, build_world

HOUR = 3600.0
PARTITIONS = [("events", number) for number in range(6)]

State = dict[str, Any]


@pytest.fixture(scope="module")
def logs() -> Logs:
    """A day and a half of a small company, by partition."""
    logs: dict[Partition, list[Record]] = {partition: [] for partition in PARTITIONS}
    for item in background(build_world(7, SMALL), Period(utc(2026, 3, 2), utc(2026, 3, 3, 13))):
        partition = PARTITIONS[zlib.crc32(item.principal.encode()) % len(PARTITIONS)]
        logs[partition].append(record(item, partition, len(logs[partition])))
    return logs


@pytest.fixture(scope="module")
def by_one(logs: Logs, tmp_path_factory: pytest.TempPathFactory) -> tuple[set[bytes], dict[Partition, State]]:
    """What a process without any exchange finds, and remembers in the end."""
    stage = stage_of(tmp_path_factory.mktemp("one"), PARTITIONS)
    batch = stage.take(logs, set(PARTITIONS))
    assert len(batch.findings) > 50
    return said([batch]), {partition: stage.scoring.snapshot(partition) for partition in PARTITIONS}


def said(batches: Iterable[Batch]) -> set[bytes]:
    return {msgspec.json.encode(finding) for batch in batches for finding in batch.findings}


def remembered(fellows: Sequence[Fellow]) -> dict[Partition, State]:
    return {partition: state for fellow in fellows for partition, state in fellow.snapshots().items()}


def fleet(folder: Path, log: SharedLog, logs: Logs, count: int, config: Config | None = None) -> list[Fellow]:
    fellows = [Fellow(folder, log, PARTITIONS[n::count], config) for n in range(count)]
    for fellow in fellows:
        fellow.give(logs)
    return fellows


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (2, 1), (4, 2)])
def test_several_workers_judge_like_one(
    logs: Logs, by_one: tuple[set[bytes], dict[Partition, State]], tmp_path: Path, count: int, seed: int
) -> None:
    fellows = fleet(tmp_path, SharedLog(PARTITIONS), logs, count)
    work(fellows, random.Random(seed))
    assert said(fellow.batch for fellow in fellows) == by_one[0]
    assert remembered(fellows) == by_one[1]
    assert all(fellow.measured("incomplete_total") == 0 for fellow in fellows)
    assert all((fellow.measured("wait_seconds_count") > 0) == (count > 1) for fellow in fellows)
    assert {f.measured("version_timestamp_seconds") for f in fellows} == {by_one[1][PARTITIONS[0]]["priors_version"]}


def test_without_the_exchange_they_would_not(
    logs: Logs, by_one: tuple[set[bytes], dict[Partition, State]], tmp_path: Path
) -> None:
    """The control of the test above: who does not hear the others knows other peers."""
    log = SharedLog(PARTITIONS)
    log.absent = True
    fellows = fleet(tmp_path, log, logs, 4)
    work(fellows, random.Random(0))
    assert said(fellow.batch for fellow in fellows) != by_one[0]
    assert all(fellow.measured("wait_seconds_count") == 0 for fellow in fellows)


@pytest.mark.parametrize("seed", range(2))
def test_whoever_takes_over_says_the_same(
    logs: Logs, by_one: tuple[set[bytes], dict[Partition, State]], tmp_path: Path, seed: int
) -> None:
    """At any moment and after any checkpoint: a new worker, or one that is far ahead of what was saved."""
    rng, log = random.Random(seed), SharedLog(PARTITIONS)
    first, second, third = fellows = fleet(tmp_path, log, logs, 3)
    turns(fellows, rng, rng.randrange(100, 300))
    first.save()
    turns(fellows, rng, rng.randrange(100, 300))
    second.save()
    turns(fellows, rng, rng.randrange(0, 100))
    dead = [first, second]
    heir = Fellow(tmp_path, log, PARTITIONS[1::3])
    third.take_over(PARTITIONS[0::3])
    alive = [heir, third]
    for fellow in alive:
        fellow.give(logs)
    turns(alive, rng, rng.randrange(0, 100))
    third.save()
    third.lose([PARTITIONS[2]])
    heir.take_over([PARTITIONS[2]])
    heir.give(logs)
    work(alive, rng)
    assert said(fellow.batch for fellow in (*dead, *alive)) == by_one[0]
    assert remembered(alive) == by_one[1]
    assert all(fellow.measured("incomplete_total") == 0 for fellow in (*dead, *alive))


def turns(fellows: Sequence[Fellow], rng: random.Random, count: int) -> None:
    for _ in range(count):
        rng.choice(fellows).turn(rng)


def test_all_begin_again_where_they_were_saved(
    logs: Logs, by_one: tuple[set[bytes], dict[Partition, State]], tmp_path: Path
) -> None:
    rng, log = random.Random(5), SharedLog(PARTITIONS)
    fellows = fleet(tmp_path, log, logs, 4)
    turns(fellows, rng, 500)
    for fellow in fellows:
        fellow.save()
    again = fleet(tmp_path, log, logs, 3)
    work(again, rng)
    assert said(fellow.batch for fellow in (*fellows, *again)) == by_one[0]
    assert remembered(again) == by_one[1]


def test_another_configuration_goes_on_with_the_exchange(
    logs: Logs, by_one: tuple[set[bytes], dict[Partition, State]], tmp_path: Path
) -> None:
    another = Config.model_validate({"content": {"keep": True}})
    rng, fellows = random.Random(1), fleet(tmp_path, SharedLog(PARTITIONS), logs, 2)
    for fellow in fellows:
        turns(fellows, rng, 40)
        fellow.stage.go_on_with(assembly.scoring(another), Decoder("native"), assembly.attention(another))
    work(fellows, rng)
    assert remembered(fellows) == by_one[1]


def test_what_is_too_large_to_be_told_in_full_is_told_alike(
    logs: Logs,
    by_one: tuple[set[bytes], dict[Partition, State]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who cuts its sums judges by what is left of them, as all others do."""
    monkeypatch.setattr(exchange, "PACKED_MOST", 2_000)
    states = []
    for count in (1, 3):
        fellows = fleet(tmp_path, SharedLog(PARTITIONS), logs, count)
        work(fellows, random.Random(4))
        assert all(fellow.measured("cut_total") for fellow in fellows)
        states.append(remembered(fellows))
    assert states[0] == states[1] != by_one[1]


def test_days_on_which_a_partition_rests_count_for_it_too(tmp_path: Path) -> None:
    """What was tested fades with each day on which anybody did anything, whoever did."""
    rng, partitions = random.Random(3), PARTITIONS[:2]
    logs: dict[Partition, list[Record]] = {partition: [] for partition in partitions}
    for day in range(9):
        for n in range(0 if day in {3, 6, 7} else 60):
            resting = 0 if day in {1, 2} else 1 if day in {4, 5} else None
            partition = partitions[1 - resting] if resting is not None else partitions[n % 2]
            sent = sending(86400.0 * day + 600.0 * n, f"a{rng.randrange(9)}-{partition[1]}", rng.randrange(10, 10**5))
            logs[partition].append(record(sent, partition, len(logs[partition])))
    alone = stage_of(tmp_path, partitions)
    alone.take(logs, set(partitions))
    log = SharedLog(partitions)
    fellows = [Fellow(tmp_path, log, [partition]) for partition in partitions]
    for fellow in fellows:
        fellow.give(logs)
    work(fellows, rng)
    assert remembered(fellows) == {partition: alone.scoring.snapshot(partition) for partition in partitions}
    assert all(state["accumulating"][1][1] for state in remembered(fellows).values())


# --- two workers, hand in hand

A, B = PARTITIONS[:2]


def two(folder: Path) -> tuple[Fellow, Fellow]:
    log = SharedLog([A, B])
    return Fellow(folder, log, [A]), Fellow(folder, log, [B])


def feed(fellow: Fellow, partition: Partition, *hours: float) -> list[float]:
    """Events at these hours, after those before; the hours that have been scored so far."""
    at, fellow.fed = fellow.fed, fellow.fed + len(hours)
    new = [record(sending(h * HOUR, "a", 100), partition, at + n) for n, h in enumerate(hours)]
    fellow.left[partition] = [*fellow.left.get(partition, []), *new]
    fellow.turn()
    return scored(fellow)


def scored(fellow: Fellow) -> list[float]:
    return [round((envelope.event.time - START).total_seconds() / HOUR, 3) for envelope, _ in fellow.batch.events]


def hour(fellow: Fellow) -> float:
    """Of the knowledge that the newest of its partitions are judged by."""
    return (fellow.stage.scoring.peers_version - START.timestamp()) / HOUR


def test_nobody_goes_past_a_boundary_before_all_have_come_to_it(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    assert feed(one, A, 30.1, 30.2) == []  # nobody knows yet where the first boundary is
    assert feed(other, B, 30.3, 32.1) == [30.3]
    one.turn()
    assert scored(one) == [30.1, 30.2]
    assert feed(one, A, 31.5, 32.5, 33.5) == [30.1, 30.2, 31.5, 32.5]  # the other said that it has nothing before 32
    other.turn()
    assert scored(other) == [30.3, 32.1]
    one.turn()
    assert scored(one) == [30.1, 30.2, 31.5, 32.5, 33.5]


def test_who_has_nothing_to_read_lets_the_others_pass(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    feed(one, A, 30.1)
    feed(other, B, 30.2)
    one.turn()
    assert feed(one, A, 31.1) == [30.1]
    other.turn()
    one.turn()
    assert scored(one) == [30.1, 31.1]
    assert hour(other) == 31
    # What comes late to a boundary that was passed meanwhile is scored all the same.
    assert feed(other, B, 30.9) == [30.2, 30.9]


def test_waiting_has_a_bound(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    other.publisher.mute = True
    feed(one, A, 30.1, 31.1)
    one.clock.now = 9.9
    one.turn()
    assert scored(one) == []
    one.clock.now = 10.1
    one.turn()
    assert scored(one) == [30.1, 31.1]  # who was waited for in vain is not waited for again …
    assert one.measured("incomplete_total") == 1
    assert one.measured("wait_seconds_sum") == pytest.approx(10.1)
    other.publisher.mute = False
    feed(other, B, 30.2)
    assert feed(one, A, 32.1) == [30.1, 31.1]  # … before it says something again
    feed(other, B, 32.2)
    one.turn()
    assert scored(one) == [30.1, 31.1, 32.1]


def test_a_worker_without_partitions_is_not_waited_for(tmp_path: Path) -> None:
    log = SharedLog([A])
    standby, one = Fellow(tmp_path, log, []), Fellow(tmp_path, log, [A])
    assert feed(one, A, 30.1, 31.1) == [30.1, 31.1]
    standby.turn()
    assert standby.peers.exchange.ahead(0.0) is None
    assert len(log.messages) == 2


def test_an_event_from_the_future_passes_no_boundary(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    feed(one, A, 30.1)
    feed(other, B, 30.2)
    one.turn()
    future = record(sending(40 * HOUR, "a", 100), A, 1, received_at=START.timestamp() + 31.5 * HOUR)
    one.left[A].append(future)
    one.turn()
    assert scored(one) == [30.1, 40.0]
    assert one.batch.events[-1][1] == "future"
    assert hour(one) == 30


def test_a_partition_that_is_new_begins_where_its_worker_stands(tmp_path: Path) -> None:
    log = SharedLog([A])
    one = Fellow(tmp_path, log, [A])
    feed(one, A, 30.1, 31.1)
    log.partitions = frozenset([A, B])
    one.take_over([B])
    one.fed = 0
    assert feed(one, B, 31.2) == [30.1, 31.1, 31.2]
    other = Fellow(tmp_path, log, [PARTITIONS[2]])  # and of a new worker, where the others do
    log.partitions = frozenset([A, B, PARTITIONS[2]])
    assert feed(other, PARTITIONS[2], 31.3) == [31.3]
    assert hour(other) == 31


def test_what_is_not_understood_is_passed_over(tmp_path: Path) -> None:
    one, _ = two(tmp_path)
    one.publisher.send(b"k", b"\xc1")
    one.publisher.send(b"k", msgspec.msgpack.encode([99, "events", 1, 0.0, 3600.0, b"", None]))
    assert feed(one, A, 30.1) == []
