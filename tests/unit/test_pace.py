"""The pace of `detector produce`: as fast as possible, at a rate, or in event time sped up."""

from collections.abc import Sequence

import pytest

from detector.produce import Pace


class Time:
    """A clock that only sleeping (and a cost for each look at it) moves."""

    def __init__(self, cost: float = 0.0) -> None:
        self.now, self.slept, self._cost = 100.0, 0.0, cost

    def clock(self) -> float:
        """The time now."""
        self.now += self._cost
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        self.slept += seconds


def departures(pace: Pace, time: Time, messages: Sequence[bytes]) -> list[float]:
    """Seconds after the start at which each message may go."""
    out = []
    for message in messages:
        pace.wait(message)
        out.append(round(time.now - 100.0, 6))
    return out


def time_of(message: bytes) -> float | None:
    return float(message) if message.strip(b"-0123456789") == b"" else None


def test_as_fast_as_possible_never_sleeps() -> None:
    time = Time()
    assert departures(Pace(clock=time.clock, sleep=time.sleep), time, [b"1", b"2000"]) == [0.0, 0.0]


def test_a_rate_spaces_messages_evenly() -> None:
    time = Time()
    pace = Pace(rate=4, clock=time.clock, sleep=time.sleep)
    assert departures(pace, time, [b"x"] * 5) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_rate_makes_up_for_slow_sends_and_for_sleeps_too_short_to_keep() -> None:
    time = Time(cost=0.0001)
    pace = Pace(rate=1000, clock=time.clock, sleep=time.sleep)
    last = departures(pace, time, [b"x"] * 2001)[-1]
    assert last == pytest.approx(2.0, abs=0.003)

    slow = Time(cost=0.5)
    assert departures(Pace(rate=10, clock=slow.clock, sleep=slow.sleep), slow, [b"x"] * 9)[-1] > 4
    assert slow.slept == 0


def test_event_time_is_kept_and_sped_up() -> None:
    time = Time()
    pace = Pace(speedup=60, time_of=time_of, clock=time.clock, sleep=time.sleep)
    assert departures(pace, time, [b"6000", b"6060", b"6060", b"6240"]) == [0.0, 1.0, 1.0, 4.0]


def test_messages_without_a_time_or_late_ones_go_at_once() -> None:
    time = Time()
    pace = Pace(speedup=10, time_of=time_of, clock=time.clock, sleep=time.sleep)
    assert departures(pace, time, [b"no time", b"50", b"70", b"junk", b"10", b"80"]) == [0, 0, 2, 2, 2, 3]


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": -1}, {"speedup": 0}, {"rate": 1, "speedup": 1}])
def test_a_pace_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"above 0|not both"):
        Pace(rate=wrong.get("rate"), speedup=wrong.get("speedup"))
