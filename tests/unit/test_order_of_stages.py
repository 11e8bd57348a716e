"""Several first stages, each at its own speed, in front of one second stage: the alerts of one first stage."""

import random
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from detector import assembly, signals
from detector.checkpoints import CheckpointStore, Piece
from detector.config import Config
from detector.correlate_stage import NUDGE, CorrelateStage
from detector.findings import Finding
from detector.metrics import Metrics
from detector.ordering import WAIT
from detector.outputs import Outputs
from detector.places import Place, Progress
from detector.score_stage import ScoreStage
from detector.signals import Sent, Signal
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.overheard import Overheard
from detector.stages import StageShell
from detector.ticks import Tick
from tests.support.correlating import at, finding
from tests.support.events import sending
from tests.support.score_stage import FakeSource, record, stage_of
from tests.support.soak_stream import episode
from tests.support.workers import ALONE

FINDINGS = ("findings", 0)
A, B = PAIR = [("events", number) for number in range(2)]
PARTITIONS = [("events", number) for number in range(6)]
SHARES = [PARTITIONS[0:1], PARTITIONS[1:3], PARTITIONS[3:6]]
MINUTE, HOUR = 60.0, 3600.0
NOW = 1_772_000_000.0

# Without an exchange between processes, which is not what is tested here.
CONFIG = Config.model_validate(ALONE)


@pytest.fixture(scope="module")
def logs() -> dict[Partition, list[Record]]:
    """Days of a company with two incidents, spread over the partitions by principal."""
    logs: dict[Partition, list[Record]] = {partition: [] for partition in PARTITIONS}
    for key, value in (message for number in (0, 2) for message in episode(number, 7)):
        partition = PARTITIONS[zlib.crc32(key or b"") % len(PARTITIONS)]
        logs[partition].append(Record(*partition, len(logs[partition]), key, value, NOW))
    return logs


class Ear:
    """Overhears what a list gets, from the moment on at which it is begun."""

    def __init__(self, log: list[Signal]) -> None:
        self.log = log
        self.known: int | None = None

    def begin(self) -> None:
        """From here on; what was before may have been missed."""

    def take(self) -> list[tuple[int, Sent | None]]:
        """What is new."""
        if self.known is None:
            self.known = len(self.log)
            return [(self.known - 1, None)]
        begin, self.known = self.known, len(self.log)
        return [(at, one) for at, one in enumerate(self.log[begin:], begin) if isinstance(one, Sent)]


class Worker:
    """A first stage with some of the partitions, whose turns are given to it."""

    def __init__(self, folder: Path, own: list[Partition], beside: Iterable[Partition], log: list[Signal]) -> None:
        self.log, self.now = log, 0.0
        self.source = FakeSource([], threading.Event(), own, list(beside))
        overheard = cast("Overheard", Ear(log))
        self.stage: ScoreStage = stage_of(
            folder, own, source=self.source, overheard=overheard, clock=lambda: self.now, config=CONFIG
        )
        self.stage._source = self.source.connect(self.stage)

    def turn(self, polled: Mapping[Partition, Sequence[Record]], caught_up: set[Partition]) -> Batch:
        self.now += 1.0
        batch = self.stage.take(polled, caught_up)
        self.log += batch.signals
        return batch


def several(folder: Path, logs: Mapping[Partition, list[Record]], seed: int) -> list[Signal]:
    """What three stages send, whose turns come as chance will, until nobody has anything more to say."""
    log: list[Signal] = []
    rng = random.Random(seed)
    workers = [Worker(folder / str(i), own, set(PARTITIONS) - set(own), log) for i, own in enumerate(SHARES)]
    left = {partition: list(records) for partition, records in logs.items()}
    quiet = 0
    while quiet < 20:
        worker = rng.choices(workers, [1, 4, 9])[0]
        polled = {}
        for partition in worker.source.assigned:
            count = rng.randrange(200)
            polled[partition], left[partition] = left[partition][:count], left[partition][count:]
        batch = worker.turn(polled, {p for p in worker.source.assigned if not left[p]})
        quiet = 0 if batch.signals or any(left.values()) else quiet + 1
    return log


def correlating(folder: Path, clock: list[float] | None = None) -> CorrelateStage:
    """The second stage, with its partition; what is saved below the folder goes on."""
    shell = StageShell(
        connect=lambda _: NotImplemented,
        outputs=Outputs([]),
        checkpoints=CheckpointStore(str(folder), "correlate"),
        metrics=Metrics(),
        stop=threading.Event(),
    )
    now = clock or [0.0]
    stage = CorrelateStage(shell, lambda: assembly.correlator(CONFIG), lambda _: None, clock=lambda: now[0])
    stage.on_assigned([FINDINGS])
    return stage


def written(log: Iterable[Signal], at: float = NOW) -> list[Record]:
    return [Record(*FINDINGS, offset, None, signals.encode(signal), at) for offset, signal in enumerate(log)]


def result(batch: Batch) -> dict[str, list[Any]]:
    return {"findings": batch.findings, "alerts": batch.alerts, "exposures": batch.exposures}


@pytest.fixture(scope="module")
def of_one(logs: dict[Partition, list[Record]], tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """What comes of one first stage that has all partitions."""
    folder, log = tmp_path_factory.mktemp("one"), list[Signal]()
    Worker(folder, PARTITIONS, [], log).turn(logs, set(PARTITIONS))
    batch = correlating(folder).take({FINDINGS: written(log)}, set())
    assert len({alert.id for alert in batch.alerts}) > 1
    assert batch.exposures or batch.findings
    assert any(alert.status == "resolved" for alert in batch.alerts)
    return batch


@pytest.mark.parametrize("seed", [1, 2])
def test_the_alerts_are_those_of_one(
    logs: dict[Partition, list[Record]], of_one: Batch, tmp_path: Path, seed: int
) -> None:
    log = several(tmp_path, logs, seed)
    found = [
        sent.signal.time.timestamp() for sent in log if isinstance(sent, Sent) and isinstance(sent.signal, Finding)
    ]
    assert found != sorted(found), "else there would be nothing to put in order"
    stage = correlating(tmp_path)
    assert result(stage.take({FINDINGS: written(log)}, set())) == result(of_one)
    assert stage.positions == {FINDINGS: len(log)}


def test_after_a_crash_it_goes_on_as_if_nothing_had_happened(
    logs: dict[Partition, list[Record]], of_one: Batch, tmp_path: Path
) -> None:
    log = written(several(tmp_path, logs, 3))
    batch, begin = Batch(), 0
    waiting = 0
    for cut in (*range(len(log) // 5, len(log), len(log) // 5), len(log)):
        stage = correlating(tmp_path / "state")
        batch.extend(stage.take({FINDINGS: log[begin:cut]}, set()))
        begin = stage.positions[FINDINGS]
        waiting += begin < cut
        stage.shell.checkpoints.save({FINDINGS: (begin, Piece(stage.capture(FINDINGS, whole=True).head, whole=True))})
    assert waiting, "a cut that leaves nothing waiting shows nothing"
    assert result(batch) == result(of_one)


def sent(seconds: float, partition: Partition, *beside: Partition, **more: Any) -> Sent:
    numbers = {"events": tuple(number for _, number in beside)} if beside else {}
    return Sent(finding(seconds, severity="SEV1", **more), Place(at(seconds), *partition), numbers)


def test_what_waits_counts_as_not_read(tmp_path: Path) -> None:
    stage = correlating(tmp_path)
    first, second = written([sent(0, A, B), sent(1, B, who="agent-2")], at(0))
    assert not stage.take({FINDINGS: [first]}, set()).alerts
    assert stage.positions == {FINDINGS: 0}
    gauge = stage.shell.metrics.registry.get_sample_value
    assert gauge("detector_order_waiting") == 1
    assert len(stage.take({FINDINGS: [second]}, set()).alerts) == 2
    assert stage.positions == {FINDINGS: 2}
    assert gauge("detector_order_waiting") == 0
    assert gauge("detector_order_wait_seconds_count") == 2


def test_while_something_waits_and_nobody_speaks_the_log_is_told_the_time(tmp_path: Path) -> None:
    clock = [0.0]
    stage = correlating(tmp_path, clock)
    log: list[Signal] = [sent(0, A, B)]
    stage.take({FINDINGS: written(log, at(0))}, set())
    alerts = 0
    for turn in range(1, 200):
        clock[0] = turn * NUDGE / 4
        batch = stage.take({}, set())
        log += batch.signals
        new = written(log, at(0) + clock[0])[-len(batch.signals) or len(log) :]
        alerts += len(stage.take({FINDINGS: new} if new else {}, set()).alerts)
        if alerts:
            break
    assert alerts == 1
    assert clock[0] == pytest.approx(WAIT, abs=2 * NUDGE)
    assert log[1:] == [Progress()] * len(log[1:])
    assert len(log) <= WAIT / NUDGE + 2
    silent = {"reason": "silent"}
    assert stage.shell.metrics.registry.get_sample_value("detector_order_unsure_total", silent) == 1
    clock[0] += 100
    assert stage.take({}, set()).empty, "nothing waits any more"


def test_a_tick_in_its_order_is_of_all_partitions(tmp_path: Path) -> None:
    """The other process has told the time once, and then had nothing to tell: it does not hold time back."""
    stage = correlating(tmp_path)
    log: list[Signal] = [
        Sent(Tick(at(0), (B,)), Place(at(0), *B), {"events": (0,)}),
        sent(1, A, B),
        Sent(Tick(at(7200 + 60), (A,)), Place(at(7200 + 60), *A), {"events": (1,)}),
        Progress({"events": (0, 1)}),
    ]
    statuses = [alert.status for alert in stage.take({FINDINGS: written(log, at(0))}, set()).alerts]
    assert statuses == ["open", "resolved"]


@pytest.mark.parametrize("beside", [[], [B]], ids=["alone", "beside others"])
def test_who_has_others_beside_it_tells_the_time_before_each_finding(tmp_path: Path, beside: list[Partition]) -> None:
    """Alone it need not: before the first finding there is nothing that could end."""
    worker = Worker(tmp_path, [A], beside, [])
    many = [sending(HOUR * hour, "agent-1") for hour in range(48)]
    harm = sending(HOUR * 48 + 90, "agent-1", 900_000_000, "drop.example")
    worker.turn({A: [record(one, A, offset) for offset, one in enumerate([*many, harm])]}, {A})
    told = [one for one in worker.log if isinstance(one, Sent)]
    assert all(one.beside == ({"events": (1,)} if beside else {}) for one in told)
    assert all(one.place == Place(at(HOUR * 48 + 90), *A) for one in told)
    ticks = [one.signal.time for one in told if isinstance(one.signal, Tick)]
    assert ticks == ([at(HOUR * 48 + MINUTE)] if beside else [])
    assert isinstance(told[-1].signal, Finding)
    assert isinstance(told[0].signal, Tick if beside else Finding)


def test_who_is_asked_answers_and_tells_the_minute_that_is_past(tmp_path: Path) -> None:
    log: list[Signal] = []
    worker = Worker(tmp_path, [A], [B], log)
    worker.turn({A: [record(sending(7 * MINUTE + 5, "agent-1"), A, 0)]}, {A})
    worker.turn({}, {A})
    assert log[-1] == Progress({"events": (0,)}, seen=-1)
    count = len(log)
    assert worker.turn({}, {A}).empty
    log.append(sent(3 * MINUTE, B, A))
    worker.turn({}, {A})
    tick, word = log[count + 1 :]
    place = Place(at(7 * MINUTE + 5), *A)
    assert tick == Sent(Tick(at(7 * MINUTE), (A,)), place, {"events": (1,)}), "its own events were past the finding"
    assert word == Progress({"events": (0,)}, seen=count)
    log.append(sent(4 * MINUTE, B, A))
    count = len(log)
    worker.turn({}, {A})
    assert log[count:] == [Progress({"events": (0,)}, seen=count - 1)], "that minute is told"
    log.append(sent(9 * MINUTE, B, ("events", 2)))
    assert worker.turn({}, {A}).empty, "another is asked"


def test_where_it_is_in_the_order_is_saved(tmp_path: Path) -> None:
    worker = Worker(tmp_path, [A], [B], [])
    worker.turn({A: [record(sending(600, "agent-1"), A, 0)]}, set())
    stage = worker.stage
    piece = Piece(stage.capture(A, whole=True).head, whole=True)
    stage.shell.checkpoints.save({A: (1, piece)})
    log: list[Signal] = []
    again = Worker(tmp_path, [A], [B], log)
    again.turn({}, set())
    assert log == [Progress({"events": (0,)}, Place(at(600), *A))]
    again.turn({A: [record(sending(300, "agent-1"), A, 1)]}, set())
    again.turn({}, set())
    assert log[1:] == log[:1], "what is late stands where it came"
