"""Hours that are unusual as a whole: the sample that partitions share, and the judgement it makes."""

import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.anomaly import LODA, HalfSpaceTrees

from models.behaviour import Behaviour, BehaviourParams, SampleParams, VectorSample

FEATURES = ["access", "bytes", "deletes", "denied", "records", "targets"]
ALL = SampleParams(span=10**6, strata=1, size=2000)
HOURS = st.tuples(st.sampled_from("pqrs"), st.integers(0, 40), st.floats(0, 1), st.floats(0, 1))
SMALL = SampleParams(span=10, strata=2, size=4)


def usual(rng: random.Random) -> dict[str, float]:
    """An hour of one of two kinds of work, its volumes bound to its accesses; deletes and denials are rare."""
    kind = rng.random() < 0.7
    access = min(max(rng.gauss(0.3 if kind else 0.6, 0.08), 0.0), 1.0)
    return {
        "access": access,
        "bytes": min(max(0.9 * access + rng.gauss(0, 0.02), 0.0), 1.0) if kind else 0.1,
        "records": min(max(0.8 * access + rng.gauss(0, 0.03), 0.0), 1.0),
        "targets": min(max(0.5 * access + rng.gauss(0, 0.03), 0.0), 1.0),
        "deletes": rng.uniform(0.1, 0.3) if rng.random() < 0.05 else 0.0,
        "denied": rng.uniform(0.02, 0.1) if rng.random() < 0.1 else 0.0,
    }


def odd(rng: random.Random) -> dict[str, float]:
    """The records of another hour: each number is usual, together they are not."""
    hour = usual(rng)
    while abs((other := usual(rng))["records"] - hour["records"]) < 0.15:
        pass
    return {**hour, "records": other["records"]}


def sampled(hours: Iterable[Mapping[str, float]], params: SampleParams = ALL) -> VectorSample:
    sample = VectorSample(FEATURES, params)
    for hour, vector in enumerate(hours):
        sample.add(f"agent-{hour % 7}", hour, vector)
    return sample


def judge(count: int, seed: int = 1, neighbours: int = 3) -> Behaviour:
    rng = random.Random(seed)
    return Behaviour(sampled(usual(rng) for _ in range(count)), BehaviourParams(neighbours=neighbours))


@given(st.lists(HOURS, max_size=60), st.integers(1, 5), st.randoms(use_true_random=False))
def test_partitions_share_one_sample(
    hours: list[tuple[str, int, float, float]], count: int, rng: random.Random
) -> None:
    whole, parts = VectorSample("ab", SMALL), [VectorSample("ba", SMALL) for _ in range(count)]
    for principal, hour, a, b in hours:
        whole.add(principal, hour, {"a": a, "b": b})
    rng.shuffle(hours)
    for principal, hour, a, b in hours:
        parts[rng.randrange(count)].add(principal, hour, {"b": b, "a": a})
    rng.shuffle(parts)
    for part in parts[1:]:
        parts[0].merge(VectorSample("ab", SMALL).restore(msgspec.json.decode(msgspec.json.encode(part.snapshot()))))
    assert parts[0].snapshot() == whole.snapshot()


def test_the_newest_strata_stay_and_each_is_a_fair_sample() -> None:
    sample = VectorSample(["x"], SampleParams(span=100, strata=3, size=50))
    for hour in range(1000):
        for agent in range(4):
            sample.add(f"agent-{agent}", hour, {"x": hour / 1000})
    strata = sample.snapshot()[1]
    assert [(stratum, len(rows)) for stratum, rows in strata] == [(7, 50), (8, 50), (9, 50)]
    middle = sum(values[0] for _, values in strata[2][1]) / 50
    assert middle == pytest.approx(950, abs=20)
    before = sample.snapshot()
    sample.add("agent-1", 10, {"x": 1.0})
    assert sample.snapshot() == before


def test_samples_of_other_features() -> None:
    old = VectorSample(["bytes", "errors"])
    old.add("agent", 5, {"bytes": 0.5, "errors": 0.1})
    new = VectorSample(["bytes", "denied"]).restore(old.snapshot())
    assert new.snapshot()[1][0][1][0][1] == [500, -1]
    with pytest.raises(ValueError, match="does not merge"):
        new.merge(old)
    with pytest.raises(ValueError, match="2 values"):
        new.restore([["a", "b"], [[0, [[1, [1, 2, 3]]]]]])


def test_missing_and_impossible_values_are_safe() -> None:
    rng = random.Random(3)
    hours = [usual(rng) for _ in range(300)]
    for hour in hours[::4]:
        hour["records"] = math.nan
        del hour["targets"]
    behaviour = Behaviour(sampled(hours))
    whole = usual(rng)
    assert behaviour.p_value({**whole, "records": math.nan}) == behaviour.p_value(
        {name: value for name, value in whole.items() if name != "records"}
    )
    assert behaviour.p_value({**whole, "bytes": math.inf}) == behaviour.p_value({**whole, "bytes": 1.0})
    assert behaviour.p_value({**whole, "unheard": 1.0}) == behaviour.p_value(whole)
    assert 0 < behaviour.p_value({"bytes": -math.inf}) <= 1
    assert behaviour.p_value(dict(reversed(whole.items()))) == behaviour.p_value(whole)


@pytest.mark.parametrize(("count", "neighbours"), [(120, 3), (500, 3), (500, 1)])
def test_p_values_mean_what_they_say(count: int, neighbours: int) -> None:
    rng = random.Random(9)
    shares = dict.fromkeys((0.1, 0.01), 0.0)
    for seed in range(5):
        behaviour = judge(count, seed, neighbours)
        p_values = [behaviour.p_value(usual(rng)) for _ in range(600)]
        for alpha in shares:
            shares[alpha] += sum(p <= alpha for p in p_values) / 3000
    assert 0.05 < shares[0.1] < 0.15
    assert shares[0.01] < 0.02


def test_usual_numbers_in_an_unusual_mix_are_found_and_named() -> None:
    behaviour, rng = judge(400), random.Random(11)
    found = named = 0
    for _ in range(100):
        vector = odd(rng)
        if behaviour.p_value(vector) < 0.01:
            found += 1
            named += behaviour.explain(vector, most=1)[0].feature == "records"
    assert found > 80
    assert named > 0.9 * found
    worst = behaviour.explain({**usual(rng), "deletes": 0.9})[0]
    assert (worst.feature, worst.value, worst.usual) == ("deletes", 0.9, 0.0)
    assert worst.expected < 0.2
    assert worst.z > 5


def test_more_is_found_than_by_half_space_trees_or_loda() -> None:
    """Why it is neither of these: detection at one false alarm in a hundred."""
    rng = random.Random(12)
    history = [usual(rng) for _ in range(256)]
    clean, bad = [usual(rng) for _ in range(500)], [odd(rng) for _ in range(100)]
    trees: Any
    loda: Any
    trees, loda = HalfSpaceTrees(n_trees=25, height=6, window_size=len(history), seed=1), LODA(seed=1)
    for hour in history:
        for model in (trees, loda):
            model.learn_one(hour)
    shares = []
    for score in (Behaviour(sampled(history)).score_one, trees.score_one, loda.score_one):
        limit = sorted(map(score, clean))[-6]
        shares.append(sum(score(hour) > limit for hour in bad) / 100)
    assert shares[0] > 0.7
    assert shares[0] > 2 * max(shares[1:])


def test_two_learnt_hours_of_an_attack_do_not_hide_the_third() -> None:
    rng = random.Random(13)
    attack = {**usual(rng), "deletes": 0.8, "denied": 0.5}
    hours = [usual(rng) for _ in range(400)]
    assert Behaviour(sampled([*hours, attack, attack])).p_value(attack) < 0.01
    assert Behaviour(sampled([*hours, *[attack] * 60])).p_value(attack) > 0.05


def test_nothing_is_judged_by_too_few() -> None:
    behaviour = judge(60)
    assert not behaviour.ready
    assert behaviour.p_value({"deletes": 1.0}) == 1
    assert behaviour.score_one({"deletes": 1.0}) == 0
    assert behaviour.explain({"deletes": 1.0}) == []
    assert Behaviour(sampled([{}] * 60), BehaviourParams(least=60)).p_value({"deletes": 1.0}) < 0.01


def test_where_nothing_ever_changed_a_small_change_is_no_alarm() -> None:
    behaviour = Behaviour(sampled([dict.fromkeys(FEATURES, 0.5)] * 300))
    assert behaviour.p_value({"bytes": 0.52}) > 0.001
    assert behaviour.p_value({"bytes": 0.9}) < 1e-6
