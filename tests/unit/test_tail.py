"""Tail probabilities: calibrated, mergeable, on the safe side of ties, not blinded by what it was fed."""

import itertools
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pareto import ExcessTail
from models.tail import FittedTail, Tail, TailParams

Draw = Callable[[np.random.Generator, int], Any]

CONTINUOUS: dict[str, Draw] = {
    "exponential": lambda rng, n: rng.exponential(1.0, n),
    "surprise": lambda rng, n: -np.log10(rng.random(n)),
    "normal": lambda rng, n: rng.normal(0.0, 1.0, n),
    "far_from_0": lambda rng, n: rng.normal(1000.0, 1.0, n),
    "lognormal": lambda rng, n: rng.lognormal(0.0, 1.0, n),
    "student_3": lambda rng, n: rng.standard_t(3, n),
    "gamma": lambda rng, n: rng.gamma(0.5, 1.0, n),
    "uniform": lambda rng, n: rng.random(n),
    "below_0": lambda rng, n: -rng.random(n),
    "beta": lambda rng, n: rng.beta(2.0, 5.0, n),
    "mixture": lambda rng, n: np.where(rng.random(n) < 0.95, rng.exponential(1.0, n), rng.normal(8.0, 2.0, n)),
    "mostly_0": lambda rng, n: np.where(rng.random(n) < 0.99, 0.0, rng.exponential(1.0, n)),
}
LATTICE: dict[str, Draw] = {
    "poisson": lambda rng, n: rng.poisson(3.0, n).astype(float),
    "geometric": lambda rng, n: rng.geometric(0.5, n).astype(float),
    "steep_geometric": lambda rng, n: rng.geometric(0.9, n).astype(float),
    "tenths": lambda rng, n: np.round(rng.exponential(1.0, n), 1),
}
ALPHAS = (1e-2, 1e-3, 1e-4)
DRAWN = 1_000_000


def learnt(scores: Iterable[float], params: TailParams | None = None) -> Tail:
    tail = Tail(params or TailParams())
    for score in scores:
        tail.learn_one(score)
    return tail


def frozen_rates(draw: Draw, alphas: Iterable[float], count: int = 100_000, streams: int = 4) -> dict[float, float]:
    """Rate of p <= alpha among fresh draws, over alpha; the mean over several streams learnt."""
    fresh = draw(np.random.default_rng(1), DRAWN)
    rates = dict.fromkeys(alphas, 0.0)
    for seed in range(2, 2 + streams):
        fitted = learnt(draw(np.random.default_rng(seed), count).tolist()).fit()
        for alpha in rates:
            rates[alpha] += float(np.mean(fresh >= fitted.threshold(alpha))) / alpha / streams
    return rates


@pytest.mark.parametrize("name", CONTINUOUS)
def test_frozen_rates_are_as_asked(name: str) -> None:
    for alpha, rate in frozen_rates(CONTINUOUS[name], ALPHAS).items():
        assert 0.5 <= rate <= 2.0, alpha


@pytest.mark.parametrize("name", LATTICE)
def test_ties_err_on_the_safe_side(name: str) -> None:
    rates = frozen_rates(LATTICE[name], [*ALPHAS, 1e-5])
    assert all(rate <= 1.5 for rate in rates.values())
    assert rates[1e-2] > 0.0


@pytest.mark.parametrize("name", CONTINUOUS)
def test_streaming_rates_are_as_asked(name: str) -> None:
    """Every draw is judged before it is learnt, by the last fit."""
    scores = CONTINUOUS[name](np.random.default_rng(11), 600_000)
    tail, warm, step = Tail(TailParams()), 50_000, 5_000
    flagged = dict.fromkeys(ALPHAS, 0)
    for start in range(0, len(scores), step):
        chunk = scores[start : start + step]
        if start >= warm:
            for alpha in ALPHAS:
                flagged[alpha] += int(np.sum(chunk >= tail.threshold(alpha)))
        for score in chunk.tolist():
            tail.learn_one(score)
    for alpha, count in flagged.items():
        assert 0.5 <= count / (len(scores) - warm) / alpha <= 2.0, alpha


@pytest.mark.parametrize("name", ["surprise", "normal", "student_3", "mixture"])
def test_ten_draws_for_one_over_alpha_are_enough(name: str) -> None:
    for count in (1_000, 10_000):
        ((_, rate),) = frozen_rates(CONTINUOUS[name], [10.0 / count], count, streams=20).items()
        assert 0.5 <= rate <= 2.0


def test_few_draws_promise_nothing() -> None:
    tail = Tail(TailParams())
    assert tail.p_value(5.0) == 1.0
    assert tail.threshold(0.5) == math.inf
    for score in range(99):
        tail.learn_one(float(score))
    assert tail.p_value(1e9) == pytest.approx(0.01)
    assert tail.threshold(0.001) == math.inf
    assert 89 <= tail.threshold(0.1) <= 91


def test_a_constant_is_never_strange() -> None:
    tail = learnt([3.0] * 10_000)
    assert tail.p_value(3.0) == 1.0
    assert 3.0 < tail.threshold(1e-3) < 3.001


@pytest.mark.parametrize("name", [*CONTINUOUS, *LATTICE])
def test_a_threshold_is_where_the_p_value_reaches_alpha(name: str) -> None:
    scores = (CONTINUOUS | LATTICE)[name](np.random.default_rng(5), 20_000).tolist()
    fitted, before = learnt(scores).fit(), -math.inf
    for power in range(1, 60):
        alpha = 10.0 ** (-power / 6.0)
        threshold = fitted.threshold(alpha)
        assert threshold >= before
        assert fitted.p_value(threshold) <= alpha < fitted.p_value(math.nextafter(threshold, -math.inf))
        before = threshold


def judged(fitted: FittedTail) -> list[float]:
    return [fitted.p_value(x / 4.0) for x in range(-40, 400)] + [fitted.threshold(10.0**-n) for n in range(1, 9)]


def test_sixty_four_partitions_judge_as_one() -> None:
    rng = np.random.default_rng(3)
    scores = np.concatenate([CONTINUOUS["mixture"](rng, 30_000), rng.normal(0.0, 300.0, 3_000)])
    rng.shuffle(scores)
    parts = [learnt(part.tolist()) for part in np.array_split(scores, 64)]
    one = learnt(scores.tolist())
    for order in (1, -1):
        merged = Tail(TailParams())
        for part in parts[::order]:
            merged.merge(part)
        assert merged.snapshot() == one.snapshot()
        assert judged(merged.fit()) == judged(one.fit())


REALS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(REALS, max_size=40), st.lists(REALS, max_size=40), st.integers(1, 40))
def test_any_numbers_merge_in_any_order(left: list[float], right: list[float], times: int) -> None:
    """Whatever the scores, sums commute, p-values fall from 1 towards 0 and stay above it."""
    params = TailParams(capacity=256)
    one, other = learnt(left * times, params), learnt(right * times, params)
    one.merge(learnt(right * times, params))
    other.merge(learnt(left * times, params))
    both = learnt((left + right) * times, params)
    assert one.snapshot() == other.snapshot() == both.snapshot()
    asked = sorted([-math.inf, *(x for x in left + right if not math.isnan(x)), 0.0, 1e30, 1e300, math.inf])
    p_values = [one.p_value(score) for score in asked]
    assert p_values == sorted(p_values, reverse=True)
    assert all(0.0 < p <= 1.0 for p in p_values)
    assert not any(math.isnan(one.threshold(alpha)) for alpha in (1.0, 0.1, 1e-3, 1e-9, 0.0))


def test_tails_by_other_rules_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different rules"):
        Tail(TailParams()).merge(Tail(TailParams(doubted=0.01)))


@pytest.mark.parametrize("params", [{"capacity": 100}, {"half_life": 10.0}, {"doubted": 0.5}])
def test_rules_that_cannot_work_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        Tail(TailParams(**params))


def poisoned(share: float, params: TailParams) -> Tail:
    rng = np.random.default_rng(8)
    scores = [*(-np.log10(rng.random(50_000))).tolist(), *[300.0] * int(50_000 * share)]
    random.Random(8).shuffle(scores)
    return learnt(scores, params)


def test_outliers_left_in_are_taken_at_their_word() -> None:
    """By default 1 % of gross outliers are honest draws: rarer than that is only what passes them."""
    clean, poison = poisoned(0.0, TailParams()), poisoned(0.01, TailParams())
    assert poison.threshold(0.05) == pytest.approx(clean.threshold(0.05), rel=0.1)
    assert poison.p_value(300.0) == pytest.approx(0.01, rel=0.05)
    assert 300.0 < poison.threshold(1e-3) < math.inf


def test_one_outlier_left_in_does_little() -> None:
    poison = poisoned(1 / 50_000, TailParams())
    assert poison.p_value(300.0) < 1e-10
    assert poison.threshold(1e-4) < 6.0


def test_doubted_outliers_do_not_blind() -> None:
    params = TailParams(doubted=0.02)
    clean, poison = poisoned(0.0, params), poisoned(0.01, params)
    assert clean.threshold(1e-4) == pytest.approx(4.0, abs=0.5)
    assert poison.p_value(300.0) < 1e-7
    assert poison.threshold(1e-3) < 2.0 * clean.threshold(1e-3)
    assert poison.threshold(1e-6) < 100.0


@pytest.mark.parametrize("outliers", [0.0, 0.01])
def test_a_stream_that_leaves_out_what_is_gross_keeps_its_rate(outliers: float) -> None:
    """Out is what a hundredth of alpha would flag; all that alpha flags would be too much to leave out."""
    rng, alpha, step = np.random.default_rng(4), 1e-3, 5_000
    scores, gross = -np.log10(rng.random(400_000)), rng.random(400_000) < outliers
    gross[:50_000] = False
    scores[gross] = 300.0
    tail, flagged = Tail(TailParams()), 0
    for start in range(0, len(scores), step):
        chunk, threshold, most = scores[start : start + step], math.inf, math.inf
        if start >= 50_000:
            threshold, most = tail.threshold(alpha), tail.threshold(alpha / 100.0)
        flagged += int(np.sum((chunk >= threshold) & (chunk < 100.0)))
        for score in chunk[chunk < most].tolist():
            tail.learn_one(score)
    assert 0.5 <= flagged / 350_000 / alpha <= 1.5
    assert tail.p_value(300.0) < 1e-10


def test_a_forgotten_outlier_leaves_no_trace() -> None:
    scores = np.random.default_rng(13).exponential(1.0, 10_000).tolist()
    tail = learnt([300.0])
    tail.fade(0.001)
    for score in scores:
        tail.learn_one(score)
    assert tail.snapshot() == learnt(scores).snapshot()


def test_the_last_weeks_count_most() -> None:
    rng = np.random.default_rng(9)
    old, new = rng.exponential(10.0, 30_000), rng.exponential(1.0, 60_000)
    forgetful, never = TailParams(half_life=5_000), TailParams()
    assert learnt([*old, *new], forgetful).threshold(1e-3) == pytest.approx(math.log(1e3), rel=0.15)
    assert learnt([*old, *new], never).threshold(1e-3) > 40.0


def test_fading_at_common_times_keeps_partitions_alike() -> None:
    rng = np.random.default_rng(10)
    one, parts = Tail(TailParams()), [Tail(TailParams()) for _ in range(4)]
    for _ in range(5):
        for tail in (one, *parts):
            tail.fade(0.5)
        for i, score in enumerate(rng.exponential(1.0, 5_000).tolist()):
            one.learn_one(score)
            parts[i % 4].learn_one(score)
    for part in parts[1:]:
        parts[0].merge(part)
    for alpha in ALPHAS:
        assert parts[0].threshold(alpha) == pytest.approx(one.threshold(alpha), rel=1e-3)


def test_a_million_draws_fit_in_two_kilobytes() -> None:
    tail = learnt((-np.log10(np.random.default_rng(12).random(DRAWN))).tolist())
    assert len(msgspec.msgpack.encode(tail.snapshot())) < 2048
    assert len(tail.snapshot()[3]) <= 512


def test_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="5 parts"):
        Tail(TailParams()).restore([12, 0, 1.0, [1, 2], [3]])


@pytest.mark.parametrize("shape", [-0.5, 0.0, 0.4])
def test_a_pareto_tail_is_found_again(shape: float) -> None:
    """From its binned excesses, a tail is drawn a decade past the last of them."""

    def survival(x: float) -> float:
        return math.exp(-x) if shape == 0.0 else max(1.0 + shape * x, 0.0) ** (-1.0 / shape)

    def excess(p: float) -> float:
        return -math.log(p) if shape == 0.0 else (p**-shape - 1.0) / shape

    edges = [excess(0.9**n) for n in range(90)]
    bins = [(a, b, 1e4 * (survival(a) - survival(b))) for a, b in itertools.pairwise(edges)]
    tail = ExcessTail(bins)
    for p in (0.5, 1e-2, 1e-4, 1e-5):
        assert tail.survival(excess(p)) == pytest.approx(p, rel=0.5)
