"""The aligner: one order of event time, whatever the order of fetching."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.sources.alignment import Aligner, Partition

A: Partition = ("events", 0)
B: Partition = ("events", 1)
C: Partition = ("other", 0)


def aligner_of(*partitions: Partition) -> Aligner[str]:
    aligner = Aligner[str]()
    for partition in partitions:
        aligner.assign(partition)
    return aligner


def test_nothing_comes_out_while_an_assigned_partition_may_bring_something_earlier() -> None:
    aligner = aligner_of(A, B)
    aligner.push(A, 1.0, "a1")

    assert aligner.pop() is None

    aligner.push(B, 2.0, "b2")
    assert aligner.pop() == "a1"
    assert aligner.pop() is None, "A is empty again and not caught up"


def test_a_caught_up_partition_is_not_waited_for_until_it_falls_behind() -> None:
    aligner = aligner_of(A, B)
    aligner.set_caught_up(B, True)
    aligner.push(A, 1.0, "a1")
    assert aligner.pop() == "a1"

    aligner.set_caught_up(B, False)
    aligner.push(A, 2.0, "a2")
    assert aligner.pop() is None

    aligner.push(B, 1.5, "b1.5")
    assert [aligner.pop(), aligner.pop()] == ["b1.5", None]
    aligner.set_caught_up(B, True)
    assert aligner.pop() == "a2"


def test_items_of_a_caught_up_partition_keep_their_place_in_time() -> None:
    aligner = aligner_of(A, B)
    aligner.push(B, 1.0, "b1")
    aligner.push(B, 3.0, "b3")
    aligner.set_caught_up(B, True)
    aligner.push(A, 2.0, "a2")
    aligner.set_caught_up(A, True)

    assert list(aligner.ready()) == ["b1", "a2", "b3"]


def test_equal_times_come_in_the_order_of_topic_and_partition() -> None:
    aligner = aligner_of(C, B, A)
    for partition, item in ((C, "c"), (B, "b"), (A, "a")):
        aligner.push(partition, 5.0, item)
        aligner.set_caught_up(partition, True)

    assert list(aligner.ready()) == ["a", "b", "c"]


def test_within_a_partition_a_late_item_keeps_its_offset_order() -> None:
    aligner = aligner_of(A, B)
    for time, item in ((10.0, "a10"), (1.0, "a1-late"), (11.0, "a11")):
        aligner.push(A, time, item)
    aligner.push(B, 10.5, "b10.5")
    aligner.set_caught_up(A, True)
    aligner.set_caught_up(B, True)

    assert list(aligner.ready()) == ["a10", "a1-late", "b10.5", "a11"]


def test_revoking_drops_the_queue_tells_how_much_and_frees_those_who_waited() -> None:
    aligner = aligner_of(A, B, C)
    for time in (1.0, 2.0):
        aligner.push(B, time, f"b{time}")
    aligner.push(A, 3.0, "a3")
    assert aligner.pop() is None, "C is awaited"

    assert aligner.revoke(C) == 0
    assert aligner.revoke(B) == 2
    assert list(aligner.ready()) == ["a3"]
    assert aligner.revoke(B) == 0, "revoking twice is harmless"
    assert len(aligner) == 0


def test_a_partition_assigned_again_starts_empty_and_is_awaited() -> None:
    aligner = aligner_of(A, B)
    aligner.set_caught_up(B, True)
    aligner.push(B, 1.0, "before")
    aligner.revoke(B)
    aligner.assign(B)
    aligner.push(A, 2.0, "a2")
    assert aligner.pop() is None

    aligner.push(B, 1.0, "after")
    assert aligner.pop() == "after"


def test_assigning_what_is_assigned_keeps_its_queue() -> None:
    aligner = aligner_of(A)
    aligner.push(A, 1.0, "a1")
    aligner.assign(A)

    assert aligner.depth(A) == 1
    assert aligner.pop() == "a1"


def test_depth_and_full_tell_whom_to_pause() -> None:
    aligner = aligner_of(A, B)
    for time in range(3):
        aligner.push(A, float(time), f"a{time}")
    aligner.push(B, 0.0, "b0")

    assert (aligner.depth(A), aligner.depth(B), aligner.depth(C), len(aligner)) == (3, 1, 0, 4)
    assert aligner.full(3) == [A]
    assert aligner.full(4) == []


@pytest.mark.parametrize("act", [lambda a: a.push(A, 1.0, "x"), lambda a: a.set_caught_up(A, True)])
def test_a_partition_that_is_not_assigned_is_refused(act: object) -> None:
    with pytest.raises(KeyError):
        act(Aligner[str]())  # type: ignore[operator]


logs = st.lists(st.lists(st.integers(0, 50), max_size=12), min_size=1, max_size=4)


def merged(partitions: Sequence[Sequence[int]], fetches: Sequence[int]) -> list[tuple[int, int, int]]:
    """Feed the logs in the order that `fetches` says (partition numbers), popping at every step."""
    aligner = Aligner[tuple[int, int, int]]()
    for number in range(len(partitions)):
        aligner.assign(("t", number))
    out: list[tuple[int, int, int]] = []
    heads = [0] * len(partitions)

    def fetch(number: int) -> None:
        if heads[number] < len(partitions[number]):
            time = partitions[number][heads[number]]
            aligner.push(("t", number), float(time), (time, number, heads[number]))
            heads[number] += 1
        if heads[number] == len(partitions[number]):
            aligner.set_caught_up(("t", number), True)
        out.extend(aligner.ready())

    for number in fetches:
        fetch(number % len(partitions))
    for number, log in enumerate(partitions):
        for _ in range(len(log) + 1):
            fetch(number)
    return out


@given(logs, st.lists(st.integers(0, 3), max_size=60), st.lists(st.integers(0, 3), max_size=60))
def test_the_order_does_not_depend_on_the_order_of_fetching(
    partitions: list[list[int]], one: list[int], other: list[int]
) -> None:
    assert merged(partitions, one) == merged(partitions, other)


@given(logs, st.lists(st.integers(0, 3), max_size=60))
def test_logs_in_order_of_time_are_merged_into_order_of_time(partitions: list[list[int]], fetches: list[int]) -> None:
    ordered = [sorted(log) for log in partitions]

    out = merged(ordered, fetches)

    assert out == sorted(out)
    assert len(out) == sum(map(len, partitions))
