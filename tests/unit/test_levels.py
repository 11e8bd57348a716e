"""The rate model on metric series: both sides, shapes, slow drift, and bad input."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from models.levels import LevelParams, LevelSeries
from models.ranks import Ranks
from models.rate import DecayedRate
from tests.support.nab import samples, scores

HOUR = 3600.0
MONDAY = 20_094 * 86400.0
ALERT = 3.0


def metric(n: int, rng: random.Random) -> float:
    """A load with a daily rhythm, every five minutes."""
    return 50.0 + 20.0 * math.sin(2 * math.pi * n / 288) + rng.gauss(0, 2)


def learnt(count: int) -> tuple[DecayedRate, random.Random]:
    rate, rng = DecayedRate(), random.Random(3)
    for n in range(count):
        rate.learn_one(metric(n, rng), MONDAY + 300.0 * n)
    return rate, rng


@pytest.mark.parametrize("away", [60.0, -60.0])
def test_both_sides_of_a_metric_are_told(away: float) -> None:
    rate, _ = learnt(4032)
    assert rate.score_one(50.0, MONDAY + 300.0 * 4032) < 1
    assert rate.score_one(50.0 + away, MONDAY + 300.0 * 4032) > ALERT


@pytest.mark.parametrize("unit", [1.0, -1.0, 1e-6, 1e9])
def test_unit_and_sign_do_not_matter(unit: float) -> None:
    one, other = LevelSeries(), LevelSeries()
    rng = random.Random(3)
    for n in range(2000):
        value = metric(n, rng)
        one.learn_one(value, 300.0 * n)
        other.learn_one(unit * value, 300.0 * n)
    for value in (40.0, 70.0, 120.0):
        assert other.score_one(unit * value, 6e5) == pytest.approx(one.score_one(value, 6e5), rel=0.02, abs=0.02)


def highest(value: Callable[[int, float], float], count: int = 288) -> float:
    """The highest score of a day after two weeks; `value` makes its samples from their number and what is usual."""
    rate, rng = learnt(4032)
    best = 0.0
    for n in range(4032, 4032 + count):
        amount, time = value(n, metric(n, rng)), MONDAY + 300.0 * n
        best = max(best, rate.score_one(amount, time))
        rate.learn_one(amount, time)
    return best


@pytest.mark.parametrize(
    "value",
    [
        lambda n, usual: 70.0,  # noqa: ARG005 - it stands still
        lambda n, usual: 30.0 + 0.1 * (usual - 50.0),  # noqa: ARG005 - the day's rise is missing
        lambda n, usual: usual + (25.0 if n > 4100 else 0.0),
        lambda n, usual: usual + (12.0 if n % 2 else -12.0),
    ],
    ids=["flat", "missing_cycle", "level_shift", "variance"],
)
def test_shapes_are_told(value: Callable[[int, float], float]) -> None:
    assert highest(value) > ALERT


def test_a_usual_day_is_not_told() -> None:
    assert highest(lambda n, usual: usual) < ALERT  # noqa: ARG005


def test_a_long_incident_is_told_once() -> None:
    """The same again is halved while the first is fresh; something stranger is told in full."""
    rate, _ = learnt(4032)
    time = MONDAY + 300.0 * 4032
    first = rate.score_one(150.0, time)
    rate.learn_one(150.0, time)
    rate.learn_one(50.0, time + 300)
    again = rate.score_one(150.0, time + 600)
    assert first > ALERT
    assert again < 0.6 * first
    assert rate.score_one(5000.0, time + 600) > first


def test_slow_drift_of_a_metric_is_told() -> None:
    rate, rng, told = DecayedRate(), random.Random(4), []
    for hour in range(24 * 100):
        rise = max(0.0, hour / 24 - 60) * 0.8
        time, value = MONDAY + HOUR * hour, 50.0 + rise + 5.0 * math.sin(2 * math.pi * hour / 24) + rng.gauss(0, 2)
        if hour > 24 * 45 and rate.score_one(value, time) > 2 * ALERT:
            told.append(hour // 24)
        rate.learn_one(value, time)
    assert told
    assert 60 < told[0] < 95


def test_bad_input_moves_nothing() -> None:
    """No numbers are passed over; repeated and backward times neither stop nor poison the model."""
    rate, _ = learnt(2000)
    before = rate.snapshot()
    for amount, time in ((math.nan, 6e5), (math.inf, 6e5), (1.0, math.nan), (1.0, math.inf)):
        assert rate.score_one(amount, time) == 0
    rate.learn_one(1.0, math.nan)
    rate.learn_one(1.0, math.inf)
    assert rate.snapshot() == before
    for time in (MONDAY, MONDAY, MONDAY - 1e9, MONDAY + 300.0 * 2000, MONDAY + 300.0 * 2000):
        rate.learn_one(50.0, time)
        rate.learn_one(math.nan, time)
    assert rate.score_one(45.0, MONDAY + 300.0 * 2001) < ALERT < rate.score_one(150.0, MONDAY + 300.0 * 2001)


def test_flagged_samples_move_no_baseline() -> None:
    rate, _ = learnt(2000)
    for n in range(2000, 3000):
        rate.learn_one(500.0, MONDAY + 300.0 * n, flagged=True)
    calm, _ = learnt(2000)
    for state, other in zip(rate.snapshot()[4][1:], calm.snapshot()[4][1:], strict=True):
        assert state == other


def test_the_memory_of_a_series_is_bounded() -> None:
    series = LevelSeries(LevelParams(window=300))
    sizes = []
    for n in range(20_000):
        series.learn_one(float(n % 17), 3600.0 * n)
        if n in {2_000, 19_999}:
            sizes.append(len(msgspec.msgpack.encode(series.snapshot())))
    assert sizes[1] <= sizes[0] + 100


def test_spiky_streams_need_greater_spikes() -> None:
    """The tail is drawn from the stream's own peaks."""
    calm, spiky, rng = Ranks(), Ranks(), random.Random(7)
    for _ in range(2000):
        calm.learn_one(abs(rng.gauss(0, 1)))
        spiky.learn_one(rng.paretovariate(1.2))
    assert calm.score_one(20.0) > 5
    assert spiky.score_one(20.0) < 2.5


@pytest.mark.parametrize("magnitude", [0.1, 1.0, 3.7, 99.0, 1e9])
def test_the_same_again_is_never_rare(magnitude: float) -> None:
    ranks = Ranks()
    for _ in range(1000):
        ranks.learn_one(magnitude)
    assert ranks.score_one(magnitude) == 0
    assert ranks.score_one(2 * magnitude) > 3


def test_a_quiet_stream_has_no_tail_but_ranks() -> None:
    ranks = Ranks()
    for _ in range(1000):
        ranks.learn_one(0.0)
    assert 3 < ranks.score_one(5.0) < 5
    assert ranks.score_one(0.0) == 0


def test_series_are_read_and_scored_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    rows = [f"2014-04-{1 + n // 288:02d} {n % 288 // 12:02d}:{n % 12 * 5:02d}:00,{n % 7}" for n in range(1000)]
    path.write_text("\n".join(["timestamp,value", *rows, "2014-04-05 00:00:00,500"]) + "\n")
    series = samples(path)
    assert series[1] == (1396310700.0, 1.0)
    made = scores(series)
    assert len(made) == 1001
    assert made[-1] == max(made) > ALERT
    assert scores(series[:500]) == made[:500]
