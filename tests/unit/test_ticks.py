"""Passing time: a tick at each full minute while somebody waits, and the time that all partitions have passed."""

import pytest

from detector.ticks import LEFT_BEHIND, Ticker, Watermarks

A, B, C = ("events", 0), ("events", 1), ("events", 2)


def ticks(ticker: Ticker, *times: float) -> list[float | None]:
    return [ticker.cross(time) for time in times]


def test_without_a_finding_nobody_waits() -> None:
    assert ticks(Ticker(3600.0), 0.0, 61.0, 500.0) == [None, None, None]


def test_each_full_minute_ticks_once() -> None:
    ticker = Ticker(3600.0)
    ticker.found(10.0)
    assert ticks(ticker, 59.0, 60.0, 61.0, 119.9, 120.0) == [0.0, 60.0, None, None, 120.0]


def test_minutes_that_nothing_happened_in_are_one_tick() -> None:
    ticker = Ticker(3600.0)
    ticker.found(0.0)
    assert ticks(ticker, 5.0, 1805.0) == [0.0, 1800.0]


def test_an_event_out_of_order_does_not_tick() -> None:
    ticker = Ticker(3600.0)
    ticker.found(0.0)
    assert ticks(ticker, 600.0, 300.0, 599.0, 660.0) == [600.0, None, None, 660.0]


def test_the_last_tick_is_the_first_past_the_end_of_attention() -> None:
    ticker = Ticker(100.0)
    ticker.found(0.0)
    ticks(ticker, 0.0)
    assert ticks(ticker, 60.0, 120.0, 180.0, 240.0) == [60.0, 120.0, None, None]


def test_after_a_long_silence_the_first_event_ends_the_attention() -> None:
    """Else an alert raised in the evening would stay open until the next finding, days later."""
    ticker = Ticker(100.0)
    ticker.found(0.0)
    assert ticks(ticker, 5.0, 36_000.0, 36_060.0) == [0.0, 36_000.0, None]


def test_a_finding_wakes_it_again() -> None:
    ticker = Ticker(100.0)
    assert ticks(ticker, 0.0, 600.0) == [None, None]
    ticker.found(610.0)
    ticker.found(605.0)
    assert ticks(ticker, 660.0, 720.0, 780.0) == [660.0, 720.0, None]


def test_a_saved_ticker_goes_on() -> None:
    ticker, restored = Ticker(100.0), Ticker(100.0)
    ticker.found(30.0)
    ticks(ticker, 60.0)
    restored.restore(ticker.snapshot())
    times = (61.0, 119.0, 120.0, 180.0, 240.0)
    assert ticks(restored, *times) == ticks(ticker, *times) == [None, None, 120.0, 180.0, None]


def test_a_ticker_that_never_ticked_can_be_saved() -> None:
    assert Ticker(1.0).snapshot() == [None, None]
    restored = Ticker(100.0)
    restored.restore([None, None])
    restored.found(0.0)
    assert ticks(restored, 60.0) == [60.0]


def test_of_two_saved_tickers_the_later_counts() -> None:
    """Each partition's state has the ticker's as of its own save."""
    ticker = Ticker(100.0)
    for saved in ([600.0, 650.0], [540.0, 700.0]):
        ticker.restore(saved)
    assert ticker.snapshot() == [600.0, 700.0]


def test_the_slowest_partition_tells_the_time() -> None:
    watermarks = Watermarks()
    assert watermarks.tick(60.0, [A]) == 60.0
    assert watermarks.tick(30.0, [B]) == 30.0
    assert watermarks.tick(120.0, [A]) == 30.0
    assert watermarks.tick(90.0, [B, C]) == 90.0
    assert watermarks.tick(180.0, [A, B, C]) == 180.0


def test_a_repeated_tick_does_not_turn_time_back() -> None:
    watermarks = Watermarks()
    watermarks.tick(120.0, [A])
    assert watermarks.tick(60.0, [A]) == 120.0


@pytest.mark.parametrize(("behind", "time"), [(LEFT_BEHIND, 60.0), (LEFT_BEHIND + 60.0, 60.0 + LEFT_BEHIND + 60.0)])
def test_a_partition_that_went_quiet_no_longer_holds_time_back(behind: float, time: float) -> None:
    watermarks = Watermarks()
    watermarks.tick(60.0, [A, B])
    assert watermarks.tick(60.0 + behind, [A]) == time


def test_saved_watermarks_go_on() -> None:
    watermarks, restored = Watermarks(), Watermarks()
    watermarks.tick(60.0, [A, B])
    watermarks.tick(120.0, [A])
    restored.restore(watermarks.snapshot())
    assert restored.tick(180.0, [A]) == 60.0
    assert restored.tick(180.0, [B]) == 180.0
