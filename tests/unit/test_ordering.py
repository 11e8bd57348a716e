"""What several scoring processes send comes out in the order of one, however fast each of them is."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import ordering
from detector.ordering import LONGEST, WAIT, Ordering, Released
from detector.places import ByTopic, Partition, Place, Progress
from detector.signals import Sent
from detector.ticks import Tick
from tests.support.fleet import Event, Log, Process, alone, finding, names

PARTITIONS = [("events", number) for number in range(4)]
A, B, C, _ = PARTITIONS

NOW = 1_000_000.0
"""The log's time in these tests; event times around it are those of today."""


@st.composite
def many_logs(draw: st.DrawFn) -> dict[Partition, list[Event]]:
    """Of each partition some events: mostly later and later, often at the same time as another's, some of them late."""
    logs = {}
    for partition in PARTITIONS:
        time, events = draw(st.integers(0, 5)), []
        for number in range(draw(st.integers(0, 12))):
            time += draw(st.integers(0, 4))
            late = draw(st.sampled_from([0, 0, 0, 1, 7]))
            name = f"{partition[1]}/{number}" if draw(st.booleans()) else ""
            events.append((NOW + time - late, name))
        logs[partition] = events
    return logs


owners = st.lists(st.integers(0, 2), min_size=len(PARTITIONS), max_size=len(PARTITIONS))
seeds = st.integers(0, 2**32)


def released_by(order: Ordering, log: Log, begin: int = 0) -> list[Released]:
    """What comes of reading the log from an offset on."""
    found = []
    for offset, (at, signal) in enumerate(log[begin:], begin):
        if not order.is_known(offset):
            found += order.take(offset, at, signal)
    return found


def order_of(released: Sequence[Released]) -> list[str]:
    return names(one.signal for one in released)


class Fleet:
    """Three processes with the partitions shared among them, each of which has a turn when chance will."""

    def __init__(self, logs: dict[Partition, list[Event]], who: Sequence[int], seed: int) -> None:
        self.log: Log = []
        self.logs, self.rng = logs, random.Random(seed)
        self.processes = [Process(logs, self.log, lambda: NOW) for _ in range(3)]
        for partition, owner in zip(PARTITIONS, who, strict=True):
            self.processes[owner].open(partition)

    def turn(self) -> None:
        process = self.rng.choice(self.processes)
        process.turn({partition: self.rng.randrange(4) for partition in process.partitions})

    def run(self, between: Callable[[], None] = lambda: None) -> Log:
        while not all(process.idle for process in self.processes):
            self.turn()
            between()
        return self.log


@settings(max_examples=150, deadline=None)
@given(many_logs(), owners, seeds)
def test_several_processes_are_as_one(logs: dict[Partition, list[Event]], who: list[int], seed: int) -> None:
    order = Ordering()
    released = released_by(order, Fleet(logs, who, seed).run())
    assert order_of(released) == alone(logs)
    assert not len(order)
    assert not any(one.unsure for one in released)


def test_the_log_itself_is_in_another_order() -> None:
    """The control of the test above: without an order, what one is faster with would come first."""
    rng = random.Random(3)
    times = {p: sorted(rng.sample(range(1000), 12)) for p in PARTITIONS}
    logs = {p: [(NOW + t, f"{p[1]}/{i}") for i, t in enumerate(times[p])] for p in PARTITIONS}
    log = Fleet(logs, [0, 1, 2, 0], 1).run()
    assert names(signal for _, signal in log) != alone(logs)


@settings(max_examples=100, deadline=None)
@given(many_logs(), owners, seeds)
def test_partitions_move_and_processes_begin_anew(
    logs: dict[Partition, list[Event]], who: list[int], seed: int
) -> None:
    """Now and then a partition goes to another process; now and then one dies, and what it sent is sent again."""
    fleet = Fleet(logs, who, seed)
    saved = {p: process.save(p) for process in fleet.processes for p in process.partitions}

    def between() -> None:
        if fleet.rng.random() > 0.1 or len(fleet.log) > 300:
            return
        one = fleet.rng.randrange(3)
        had = fleet.processes[one].partitions
        if fleet.rng.random() < 0.5:
            for partition in had:
                saved[partition] = fleet.processes[one].close(partition)
        else:
            fleet.processes[one] = Process(logs, fleet.log, lambda: NOW)
        for partition in had:
            fleet.rng.choice(fleet.processes).open(partition, saved[partition])

    order = Ordering()
    assert order_of(released_by(order, fleet.run(between))) == alone(logs)
    assert not len(order)


@settings(max_examples=100, deadline=None)
@given(many_logs(), owners, seeds, st.data())
def test_who_reads_the_log_again_gets_the_same(
    logs: dict[Partition, list[Event]], who: list[int], seed: int, data: st.DataObject
) -> None:
    log = Fleet(logs, who, seed).run()
    one = Ordering()
    cut = data.draw(st.integers(0, len(log)))
    before = released_by(one, log[:cut])
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(one.snapshot()))
    again = Ordering()
    again.restore(state)
    assert again.position == one.position <= cut
    assert again.snapshot() == one.snapshot()
    rest = released_by(again, log, again.position)
    assert rest == released_by(one, log, cut)
    assert order_of([*before, *rest]) == alone(logs)


def sent(name: str, time: float, partition: Partition = A, *beside: Partition) -> Sent:
    numbers: ByTopic = {"events": tuple(number for _, number in beside)} if beside else {}
    return Sent(finding(name), Place(time, *partition), numbers)


def word(*partitions: Partition, past: float | None = None) -> Progress:
    place = None if past is None else Place(past, *partitions[0])
    return Progress({"events": tuple(number for _, number in partitions)}, place)


class Reader:
    """Takes signals in, one offset after the other."""

    def __init__(self) -> None:
        self.order = Ordering()
        self.offset = 0
        self.released: list[Released] = []

    def __call__(self, signal: Sent | Progress | None, at: float = NOW) -> list[str]:
        """The names of what came out."""
        came = self.order.take(self.offset, at, signal)
        self.offset += 1
        self.released += came
        return order_of(came)

    @property
    def unsure(self) -> list[Any]:
        return [one.unsure for one in self.released]


def test_who_has_all_partitions_waits_for_nobody() -> None:
    read = Reader()
    assert read(sent("one", NOW)) == ["one"]
    assert read(sent("late", NOW - 50)) == ["late"]
    assert [one.waited for one in read.released] == [0.0, 0.0]


def test_what_stands_before_it_comes_before_it() -> None:
    read = Reader()
    assert read(sent("late", NOW + 5, A, B)) == []
    assert read(sent("early", NOW, B, A)) == []
    assert read(word(B, past=NOW + 6)) == []
    assert read(word(A, past=NOW + 6)) == ["early", "late"]


def test_a_word_of_before_does_not_say_that_all_is_read() -> None:
    """After it something may have come; but the place that is passed stays passed."""
    read = Reader()
    read(word(B))
    assert read(sent("one", NOW, A, B)) == []
    assert read(word(B)) == ["one"]
    read(word(B, past=NOW + 10))
    assert read(sent("two", NOW + 9, A, B)) == ["two"]


def test_a_word_that_comes_late_speaks_only_of_what_its_sender_had_seen() -> None:
    """It lay in a queue while something came to the partition, and was found elsewhere, too."""
    read = Reader()
    read(None)
    assert read(sent("one", NOW, A, B)) == []
    assert read(Progress({"events": (1,)}, None, 0)) == []
    assert read(Progress({"events": (1,)}, None, 1)) == ["one"]


def test_at_the_same_time_the_lower_partition_comes_first() -> None:
    read = Reader()
    read(sent("second", NOW, B, A))
    assert read(word(A, past=NOW)) == [], "A may bring more of that time"
    assert read(sent("first", NOW, A, B)) == []
    assert read(word(B, past=NOW)) == ["first"]
    assert read(word(A, past=NOW + 1)) == ["second"]


def test_the_word_of_a_process_that_went_back_takes_nothing_back() -> None:
    read = Reader()
    read(word(B, past=NOW + 10))
    read(word(B, past=NOW - 10))
    assert read(sent("one", NOW, A, B)) == ["one"]


def test_who_gets_all_partitions_lets_out_what_it_is_past() -> None:
    read = Reader()
    assert read(sent("one", NOW, A, B)) == []
    assert read(sent("behind", NOW + 9, A, B)) == []
    assert read(sent("alone", NOW + 1)) == ["one", "alone"]
    assert read.unsure == [None, None]
    assert read(word(A, B)) == ["behind"]


def test_a_silent_process_is_waited_for_only_so_long() -> None:
    read = Reader()
    read(sent("one", NOW, A, B, C))
    read(word(C, past=NOW + 99))
    assert read(None, NOW + WAIT - 0.1) == []
    assert read(None, NOW + WAIT) == ["one"]
    assert read(sent("two", NOW + 1, A, B, C), NOW + WAIT + 1) == ["two"], "it is not waited for again …"
    assert read.unsure == ["silent", "silent"]
    read(word(B, past=NOW), NOW + WAIT + 2)
    assert read(sent("three", NOW + 2, A, B, C), NOW + WAIT + 3) == [], "… until it has spoken"
    assert read(word(B), NOW + WAIT + 3) == ["three"]
    assert read.unsure[-1] is None
    assert read.released[0].waited == WAIT


def test_of_two_that_wait_for_each_other_none_does_for_long() -> None:
    """What stands first came last: it is over for both when it is over for the one that came first."""
    read = Reader()
    read(sent("later", NOW + 5, A, B))
    for second in range(1, 10):
        read(word(B, past=NOW), NOW + second)
    read(sent("first", NOW, B, A), NOW + 9.5)
    assert read(word(B, past=NOW), NOW + WAIT) == ["first", "later"]
    assert read.unsure == ["overdue", "overdue"]


def test_a_process_that_lives_and_is_behind_is_waited_for_as_long_as_things_are_old() -> None:
    old = 600.0
    read = Reader()
    read(sent("old", NOW - old, A, B))
    for second in range(1, 60):
        assert read(word(B, past=NOW - 2 * old), NOW + second) == []
    assert read(word(B, past=NOW - 2 * old), NOW + 60) == ["old"]
    assert read.unsure == ["overdue"]


def test_nothing_waits_for_ever() -> None:
    read = Reader()
    read(sent("ancient", 0.0, A, B))
    waits = 0
    while not read(word(B, past=-1.0), NOW + waits):
        waits += 1
    assert waits == LONGEST


def test_a_clock_that_goes_back_does_not_lengthen_it() -> None:
    read = Reader()
    read(None, NOW)
    read(sent("one", NOW, A, B), NOW - 30)
    assert read(None, NOW + WAIT) == ["one"]


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MOST", 3)
    read = Reader()
    came = [read(sent(str(number), NOW - number, A, B)) for number in range(5)]
    assert came == [[], [], [], ["3"], ["4"]], "the first of all, whichever came last"
    assert len(read.order) == 3
    assert set(read.unsure) == {"full"}


def test_ticks_have_a_turn_like_findings() -> None:
    read = Reader()
    read(sent("one", NOW, A, B))
    read(Sent(Tick(NOW, (B,)), Place(NOW - 1, *B), {"events": (0,)}))
    read(word(A, B))
    assert [type(one.signal).__name__ for one in read.released] == ["Tick", "Finding"]
    assert read.released[0].beside == {"events": (0,)}


def test_a_log_that_is_made_anew_is_read_from_its_beginning() -> None:
    read = Reader()
    read(word(B, past=NOW + 99))
    read(sent("one", NOW, A, B))
    read(sent("two", NOW, A, C))
    assert read.order.position == 2
    read.offset = 0
    assert read(sent("three", NOW, A, B)) == ["two"]
    assert (read.order.position, len(read.order)) == (0, 1), "what was known of the old log is not known of this one"


def test_what_waits_can_only_be_what_has_a_place() -> None:
    order = Ordering()
    order.take(0, NOW, sent("one", NOW, A, B))
    state = order.snapshot()
    state["waiting"][0][2] = b'{"type": "tick", "time": 1.0, "partitions": []}'
    with pytest.raises(TypeError, match="offset 0"):
        Ordering().restore(state)
