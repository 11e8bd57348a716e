"""How far a scoring process is, and when it says so: seldom, but never too late for those who wait."""

from collections.abc import Sequence

from detector.places import Partition, Place, Progress
from detector.standing import MOVING, SOON, STILL, Standing

A, B, C = PARTITIONS = [("events", number) for number in range(3)]


class Saying:
    """A standing with a clock; what it says of its progress."""

    def __init__(self, *own: Partition, among: Sequence[Partition] = PARTITIONS) -> None:
        self.standing = Standing()
        self.standing.among(set(among))
        for partition in own:
            self.standing.open(partition)
        self.now = 0.0

    def __call__(self, *ahead: tuple[Partition, float | None], after: float = 100.0) -> Progress | None:
        self.now += after
        return self.standing.word(ahead, self.now)

    def settled(self) -> "Saying":
        """It has said, after getting its partitions, that they were read."""
        said = self()
        assert said is not None
        assert said.place is None
        return self


def test_who_gets_partitions_says_how_far_they_are_until_they_are_read() -> None:
    say = Saying(A, B)
    assert say((A, 5.0), (B, 7.0)) == Progress({"events": (0, 1)}, Place(5.0, *A))
    assert say((A, 6.0)) == Progress({"events": (0, 1)}, Place(6.0, *A))
    assert say() == Progress({"events": (0, 1)}, None)
    assert say() is None


def test_while_nobody_waits_it_says_nothing() -> None:
    say = Saying(A).settled()
    say.standing.bring(A, 50.0)
    assert say((A, 60.0)) is None
    assert say() is None


def test_who_is_past_answers_at_once_and_once() -> None:
    say = Saying(A).settled()
    say.standing.ask(Place(50.0, *B))
    assert say((A, 60.0), after=SOON + 0.01) == Progress({"events": (0,)}, Place(60.0, *A))
    assert say((A, 70.0)) is None


def test_who_is_not_past_says_that_it_gets_on() -> None:
    say = Saying(A).settled()
    say.standing.ask(Place(50.0, *B))
    assert say((A, 10.0)) is not None
    assert say((A, 10.0), after=STILL - 0.1) is None
    assert say((A, 10.0), after=0.11) == Progress({"events": (0,)}, Place(10.0, *A))
    assert say((A, 20.0), after=MOVING - 0.05) is None
    assert say((A, 20.0), after=0.06) is not None
    assert say((A, 51.0), after=SOON + 0.01) is not None, "an answer has not to wait for its time"
    assert say((A, 52.0)) is None


def test_it_does_not_say_anything_more_often_than_is_of_use() -> None:
    say = Saying(A).settled()
    say.standing.ask(Place(50.0, *B))
    assert say(after=SOON - 0.01) is None
    assert say(after=0.02) is not None


def test_the_place_of_the_last_who_asked_counts() -> None:
    say = Saying(A).settled()
    say.standing.ask(Place(50.0, *B))
    say.standing.ask(Place(40.0, *B))
    assert say((A, 45.0)) is not None
    assert say((A, 50.0)) is not None, "at the same time it stands before that place still: its number is lower"
    assert say((A, 50.5)) is not None
    assert say((A, 51.0)) is None


def test_a_partition_of_which_nothing_is_queued_is_where_it_was() -> None:
    say = Saying(A, B)
    say.standing.bring(B, 8.0)
    assert say((A, 9.0), (B, None)) == Progress({"events": (0, 1)}, Place(8.0, *B))


def test_who_has_all_partitions_has_nothing_to_say_but_that_it_has_read_all() -> None:
    """Somebody may have left signals behind that still wait."""
    say = Saying(*PARTITIONS)
    assert say.standing.alone
    assert say((A, 5.0)) is None
    assert say() == Progress({"events": (0, 1, 2)}, None)
    assert say() is None


def test_who_has_no_partitions_is_not_asked() -> None:
    say = Saying()
    say.standing.ask()
    assert say() is None
    assert not say.standing.concerns({"events": (0, 1, 2)})


def test_beside_it_are_the_partitions_that_it_does_not_have() -> None:
    standing = Standing()
    assert standing.alone
    standing.open(A)
    standing.among({A, B, ("more", 0)})
    assert standing.beside == {"events": (1,), "more": (0,)}
    assert standing.concerns({"events": (0, 1)})
    assert not standing.concerns(standing.beside)
    standing.open(B)
    standing.close(A)
    standing.among(set())
    assert standing.beside == {"events": (0,), "more": (0,)}, "what is not known for a moment is there nevertheless"


def test_the_place_of_a_partition_never_goes_back() -> None:
    standing = Standing()
    standing.open(A)
    for time in (3.0, 9.0, 4.0):
        standing.bring(A, time)
    assert standing.at(A) == Place(9.0, *A)
    assert [standing.score(A, time) for time in (3.0, 8.0, 4.0)] == [3.0, 8.0, 8.0]
    again = Standing()
    assert again.open(A, standing.save(A)) == Place(9.0, *A)
    assert again.score(A, 1.0) == 8.0


def test_the_furthest_of_all_is_its_place() -> None:
    standing = Standing()
    for partition, time in ((A, 9.0), (C, 9.0), (B, 7.0)):
        standing.open(partition)
        standing.bring(partition, time)
    assert standing.place == Place(9.0, *C)
