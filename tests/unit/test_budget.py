"""The budget: thresholds follow from what tests have shown, and only as far as they have shown it."""

import math
import random

import pytest

from detector.budget import LEAST_SCORE, MOST_RAISED, TRUSTED, BudgetSettings, PastScores, Thresholds, shares

CHANNELS = {"a": ("a out", "a in"), "b": ("b",)}
START = 1e-5


def counted(scores: dict[str, list[float]], channel: str = "b", days: float = 10.0) -> PastScores:
    tests = PastScores()
    for role, of_role in scores.items():
        for score in of_role:
            tests.learn(role, channel, score)
    tests.days = days
    return tests


def exponential(count: int, scale: float = 1.0, seed: int = 1) -> list[float]:
    """Scores of honest p-values have the distribution of -log10 of a uniform number."""
    rng = random.Random(seed)
    return [-scale * math.log10(1.0 - rng.random()) for _ in range(count)]


def limit_of(*tests: PastScores, role: str = "r", per_day: float = 0.2) -> float:
    budget = BudgetSettings(alerts_per_day=per_day)
    return Thresholds(budget, {"b": ("b",)}, tests).limit(role, "b", START).score


def test_before_enough_tests_the_starting_threshold_holds() -> None:
    few = counted({"r": exponential(int(TRUSTED) - 1)})
    assert limit_of(few) == limit_of() == pytest.approx(5.0)


def test_a_quiet_fleet_is_judged_more_strictly_but_never_below_the_least() -> None:
    calm = counted({"r": exponential(20_000, scale=0.5)})
    assert limit_of(calm, per_day=2.0) == LEAST_SCORE
    # 2,000 tests a day and 0.2 alerts: one in 10,000, which half-scaled scores reach at 2; the least is 3.
    assert limit_of(calm, per_day=0.2) == LEAST_SCORE


def test_what_reaches_the_limit_is_the_budget() -> None:
    honest = counted({"r": exponential(50_000)})
    budget = BudgetSettings(alerts_per_day=2.0)
    limit = Thresholds(budget, {"b": ("b",)}, [honest]).limit("r", "b", START)
    assert limit.tests_per_day == pytest.approx(5_000, rel=0.01)
    assert limit.alpha == pytest.approx(4e-4, rel=0.01)
    beyond = sum(score > limit.score for score in exponential(500_000, seed=2)) / 500_000
    assert 2e-4 < beyond < 8e-4  # the budget within a factor of two


def test_more_principals_mean_a_higher_threshold() -> None:
    one = limit_of(counted({"r": exponential(20_000)}), per_day=2.0)
    ten = limit_of(counted({"r": exponential(20_000)}, days=1.0), per_day=2.0)
    assert ten > one


def test_where_the_budget_is_broken_the_role_that_breaks_it_is_told_less() -> None:
    wild = [score + 5.0 * (i % 20 == 0) for i, score in enumerate(exponential(4_000))]
    tests = counted({"wild": wild, "calm": exponential(4_000, scale=0.5)})
    assert limit_of(tests, role="wild") > 5.5
    assert limit_of(tests, role="calm") == pytest.approx(5.0)


def test_a_tail_drawn_further_than_the_tests_reach_raises_nothing() -> None:
    """A body that bends before its end looks heavy beyond it, where there is nothing."""
    rng = random.Random(1)
    bent = [score for _ in range(9_100) if (score := rng.lognormvariate(-1.6, 0.9)) < 3.2]
    tests = counted({"r": bent})
    tail, budget = tests.tails["r"]["b"].fit(), 0.02
    assert tail.p_value(5.0) > budget / (len(bent) / tests.days)
    assert tail.seen(5.0) == 0.0
    assert limit_of(tests, per_day=budget) == pytest.approx(5.0)
    assert limit_of(counted({"r": [*bent, *[6.0] * 9]}), per_day=budget) > 5.5


def test_partitions_add_up_to_one() -> None:
    scores = exponential(6_000)
    whole = counted({"r": scores})
    parts = [counted({"r": scores[i::3]}) for i in range(3)]
    assert limit_of(*parts) == limit_of(whole)
    assert limit_of(*reversed(parts)) == limit_of(whole)


def test_old_tests_count_less_and_the_rate_stays() -> None:
    tests = counted({"r": exponential(4_000)})
    tests.age(14.0)
    assert tests.days == pytest.approx(5.0 + 14.0)
    assert tests.tails["r"]["b"].fit().draws == pytest.approx(2_000, rel=0.01)


def test_a_snapshot_is_the_whole_state() -> None:
    tests = counted({"r": exponential(3_000), "s": exponential(10)})
    again = PastScores().restore(tests.snapshot())
    assert again.snapshot() == tests.snapshot()
    assert limit_of(again) == limit_of(tests)


def test_roles_are_bounded() -> None:
    tests = counted({f"role-{i}": [1.0] for i in range(1_000)})
    assert len(tests.tails) <= 201


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (BudgetSettings(alerts_per_day=1.0), {"a out": 0.25, "a in": 0.25, "b": 0.5}),
        (BudgetSettings(alerts_per_day=1.0, detectors={"a": 0.6}), {"a out": 0.3, "a in": 0.3, "b": 0.4}),
        (BudgetSettings(alerts_per_day=1.0, detectors={"a": 2.0}), {"a out": 1.0, "a in": 1.0, "b": 0.0}),
        (BudgetSettings(alerts_per_day=1.0, detectors={"unknown": 0.9}), {"a out": 0.25, "a in": 0.25, "b": 0.5}),
    ],
)
def test_the_budget_is_shared(budget: BudgetSettings, expected: dict[str, float]) -> None:
    assert shares(budget, CHANNELS) == pytest.approx(expected)


def test_nobody_talks_a_threshold_into_silence() -> None:
    scores = exponential(20_000)
    for attacker in (50, 500, 5_000):
        loud = counted({"r": [*scores, *[7.0 + i % 3 for i in range(attacker)]]})
        assert limit_of(loud) <= 5.0 + MOST_RAISED


def test_without_a_tail_of_its_own_a_role_has_the_fleets_threshold() -> None:
    wild = [score + 3.0 for score in exponential(300)]
    tests = counted({f"role-{i}": wild for i in range(10)})
    assert limit_of(tests, role="role-3") > 5.0


def test_what_fades_away_is_forgotten() -> None:
    tests = counted({"gone": [1.0], "r": exponential(4_000)})
    tests.age(60.0)
    assert list(tests.tails) == ["r"]
