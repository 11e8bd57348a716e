"""The rate model on transfers: the night's backup, the boiled frog, newcomers, restores."""

import math
import random
from collections.abc import Iterable

import msgspec
import pytest

from models.anchor import SlowAnchor
from models.base import Model
from models.levels import LevelSeries
from models.ranks import Ranks
from models.rate import DecayedRate, Prior, RateParams
from models.season import HourOfWeek, Profiles

HOUR = 3600.0
DAY = 86400.0
MONDAY = 20_094 * DAY


def learn_days(rate: DecayedRate, days: Iterable[int], size: float, growth: float, rng: random.Random) -> list[float]:
    """Twenty transfers a day, growing e-fold by `growth` a day; the lowest p-value of each day."""
    lowest = []
    for n, day in enumerate(days):
        worst, time = 1.0, MONDAY + day * DAY + 8 * HOUR
        for _ in range(20):
            time += rng.expovariate(1 / 1200)
            amount = size * math.exp(growth * n) * rng.lognormvariate(0, 0.5)
            worst = min(worst, rate.judge(amount, time).p_value)
            rate.learn_one(amount, time)
        lowest.append(worst)
    return lowest


def with_backups(rate: DecayedRate, days: int) -> None:
    """Small transfers at any time, and 5 GB each night at two."""
    rng = random.Random(1)
    for day in range(days):
        amounts = [(rng.uniform(0, DAY), 2e4 * rng.lognormvariate(0, 0.5)) for _ in range(60)]
        amounts.append((2 * HOUR + rng.uniform(0, 300), 5e9 * rng.lognormvariate(0, 0.1)))
        for second, amount in sorted(amounts):
            rate.learn_one(amount, MONDAY + day * DAY + second)


@pytest.mark.parametrize("rate", [DecayedRate(), DecayedRate(RateParams())], ids=["any", "transfers"])
def test_the_nightly_backup_is_strange_at_noon_only(rate: DecayedRate) -> None:
    with_backups(rate, 28)
    after = MONDAY + 28 * DAY
    assert rate.score_one(5e9, after + 2 * HOUR + 400) < 1
    assert rate.score_one(5e9, after + 12 * HOUR) > 6


def test_without_a_season_the_backup_is_as_strange_at_night() -> None:
    rate = DecayedRate(RateParams(season=False))
    with_backups(rate, 28)
    after = MONDAY + 28 * DAY
    assert rate.score_one(5e9, after + 2 * HOUR + 400) > 6


def test_a_season_says_little_while_it_is_young() -> None:
    """After one night of backups the next is not yet usual; noon is hardly affected."""
    young, old = HourOfWeek(), HourOfWeek()
    young.learn_one(10.0, MONDAY + 2 * HOUR)
    for day in range(21):
        old.learn_one(10.0, MONDAY + day * DAY + 2 * HOUR)
    assert 0 < young.offset(MONDAY + DAY + 2 * HOUR) < 5
    assert old.offset(MONDAY + 21 * DAY + 2 * HOUR) > 9
    assert young.offset(MONDAY + DAY + 12 * HOUR) == old.offset(MONDAY + 12 * HOUR) == 0


def test_weekends_differ_once_they_did() -> None:
    season = HourOfWeek()
    for day in range(28):
        season.learn_one(0.0 if day % 7 >= 5 else 10.0, MONDAY + day * DAY + 12 * HOUR)
    assert season.offset(MONDAY + 29 * DAY + 12 * HOUR) > 8
    assert season.offset(MONDAY + 33 * DAY + 12 * HOUR) < 4


def test_profiles_side_by_side_are_as_those_apart() -> None:
    """Three in one array, which holds weekends only once there was one: the same numbers, and the same snapshot."""
    rng, together, slots = random.Random(4), Profiles((24, 4, 1)), (24, 4, 1)
    cells, apart = together.new(), [HourOfWeek(count) for count in slots]
    for hour in range(14 * 24):
        time, difference = MONDAY + hour * HOUR, rng.gauss(1.0, 2.0)
        if hour % 24 < 17:
            together.learn_one(cells, hour % 3, difference, time)
            apart[hour % 3].learn_one(difference, time)
        assert [together.offset(cells, i, time) for i in range(3)] == [own.offset(time) for own in apart]
        assert together.snapshot(cells) == [own.snapshot() for own in apart]
        assert together.restore(together.snapshot(cells)) == cells
        assert len(cells) == (58 if hour < 5 * 24 else 116)


@pytest.mark.parametrize("growth", [0.06, 0.12])
def test_a_boiled_frog_is_told(growth: float) -> None:
    """Ten weeks of calm, then a little more each day: the anchor tells it, the other baselines never do."""
    for anchor in (True, False):
        rate, rng = DecayedRate(RateParams(anchor=anchor)), random.Random(1)
        calm = learn_days(rate, range(70), 20_000, 0.0, rng)
        assert min(calm[7:]) > 1e-3
        frog = learn_days(rate, range(70, 112), 20_000, growth, rng)
        assert (min(frog) < 3e-5) is anchor


@pytest.mark.parametrize("growth", [0.01, 0.02, 0.05])
def test_a_growing_business_pages_nobody(growth: float) -> None:
    rate = DecayedRate(RateParams())
    days = learn_days(rate, range(200), 20_000, growth, random.Random(2))
    assert sum(p < 3e-5 for p in days[7:]) == 0


def test_what_stepped_up_is_usual_after_a_while() -> None:
    """The anchor lets go of an old step: it is no alarm for ever."""
    anchor = SlowAnchor()
    for day in range(120):
        anchor.learn_one(10.0 + 0.1 * (day % 5) + 2.0 * (day >= 60), 0.35)
    assert anchor.p_above(12.2, 0.35) > 0.01


def test_a_young_stream_says_nothing() -> None:
    rate = DecayedRate()
    for n in range(15):
        assert rate.score_one(10.0**n, 300.0 * n) == 0
        rate.learn_one(1.0, 300.0 * n)


def test_without_peers_only_the_grossest_amount_of_a_newcomer_is_strange() -> None:
    rate = DecayedRate(RateParams())
    assert rate.score_one(1e6, 0.0) < 1.5
    assert rate.score_one(1e6, 0.0, (Prior(8.0, 0.5, 100.0),) * 3) > 6


def test_times_tell_samples_from_transfers() -> None:
    sampled, events, signed = DecayedRate(), DecayedRate(), DecayedRate()
    rng, time = random.Random(5), 0.0
    for n in range(300):
        time += rng.expovariate(1 / 300)
        events.learn_one(100.0, time)
        signed.learn_one(rng.gauss(0, 1), time)
        if rng.random() < 0.9:  # some samples are missing
            sampled.learn_one(100.0, 300.0 * n)
    assert (sampled.sampled, events.sampled, signed.sampled) == (True, False, True)
    assert not DecayedRate(RateParams()).sampled


def test_negative_and_empty_transfers_count_as_nothing() -> None:
    rate, same = DecayedRate(RateParams()), DecayedRate(RateParams())
    for n in range(100):
        for one in (rate, same):
            one.learn_one(1000.0, n * 700.0)
        for nothing in (-5.0, 0.0, math.nan):
            rate.learn_one(nothing, n * 700.0)
    assert rate.score_one(5e5, 7e4) == pytest.approx(same.score_one(5e5, 7e4))


def test_no_sum_is_above_the_largest() -> None:
    rng, rate, time = random.Random(3), DecayedRate(RateParams()), 0.0
    for _ in range(400):
        time += rng.choice((0.0, -30.0, 5.0, 900.0, 40_000.0))
        amount = rng.choice((0.0, -5.0, 1.0, 1e3, 1e6))
        largest = rate.largest(amount, time)
        assert rate.judge(amount, time).total <= largest <= 1e9
        rate.learn_one(amount, time)
    later = time + 1e6
    assert rate.largest(0.0, later + 86_400.0) == pytest.approx(rate.largest(0.0, later) / 4.0)


def test_huge_values_leave_it_working() -> None:
    for rate in (DecayedRate(), DecayedRate(RateParams())):
        for n in range(500):
            rate.learn_one(1e308 if n % 100 == 50 else 1.0, n * HOUR)
        assert math.isfinite(rate.score_one(1e308, 500 * HOUR))
        assert math.isfinite(rate.score_one(0.0, 500 * HOUR))


def test_a_restored_rate_goes_on_alike() -> None:
    """Transfers over weeks, with season and anchor in the state; and a series that fills its windows."""
    for rate, fresh in ((DecayedRate(RateParams()), DecayedRate(RateParams())), (DecayedRate(), DecayedRate())):
        rng = random.Random(6)
        learn_days(rate, range(60), 1000.0, 0.01, rng)
        for n in range(4500):
            rate.learn_one(50.0 + n % 7 + rng.gauss(0, 2), MONDAY + 60 * DAY + 300.0 * n)
        fresh.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(rate.snapshot())))
        assert fresh.snapshot() == rate.snapshot()
        for n in range(4500, 4600):
            time, value = MONDAY + 60 * DAY + 300.0 * n, 50.0 + n % 7 + rng.gauss(0, 2)
            assert fresh.score_one(value, time) == rate.score_one(value, time)
            fresh.learn_one(value, time)
            rate.learn_one(value, time)


@pytest.mark.parametrize(
    ("model", "state"),
    [
        (HourOfWeek(), [0.0] * 8),
        (SlowAnchor(), [1.0, 2.0]),
        (Ranks(10), [0, [1.0] * 11]),
        (LevelSeries(), [[0.0], [], [], []]),
        (DecayedRate(RateParams()), [None, [0.0] * 3, [], None]),
    ],
)
def test_a_state_of_another_shape_is_refused(model: Model, state: list[object]) -> None:
    with pytest.raises(ValueError, match=r"not the state|slots|window|half-lives"):
        model.restore(state)


def test_blocks_fit_the_half_lives() -> None:
    with pytest.raises(ValueError, match="one block length"):
        DecayedRate(RateParams(half_lives=(60.0,)))
    with pytest.raises(ValueError, match="multiple"):
        DecayedRate(RateParams(half_lives=(60.0, 600.0), blocks=(3600.0, 5400.0)))
