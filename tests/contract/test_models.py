"""What every model keeps: scoring changes nothing, a snapshot is the whole state, memory is bounded."""

import math
import random
from collections.abc import Callable
from typing import Any, Self

import msgspec
import numpy as np
import pytest

from models.base import log10_surprise
from models.behaviour import Behaviour, BehaviourParams, SampleParams, VectorSample
from models.forest import Forest, ForestParams
from models.novelty import Novelty, NoveltyParams
from models.rate import DecayedRate, LevelParams, Prior, RateParams
from models.sequence import ActionCounts, ActionPrior, Sequence, SequenceParams
from models.tail import Tail, TailParams
from tests.support.alike import differences
from tests.support.checks import must_fail

PRIOR = (Prior(9.0, 1.0, 50.0),) * 3


class RateStream:
    """A rate fed with lognormal amounts a few minutes apart."""

    def __init__(self) -> None:
        self.model = DecayedRate(RateParams())

    def learn(self, rng: random.Random, time: float) -> None:
        self.model.learn_one(rng.lognormvariate(9, 1), time, PRIOR, flagged=rng.random() < 0.05)

    def scores(self, time: float) -> list[float]:
        return [self.model.score_one(amount, time, PRIOR) for amount in (0.0, 1e4, 1e7, 1e300)]

    def fresh(self) -> "RateStream":
        return RateStream()


class AnyStream:
    """A rate that is told nothing, fed with levels on both sides of 0; some are no numbers."""

    def __init__(self) -> None:
        self.model = DecayedRate(levels=LevelParams(window=500))

    def learn(self, rng: random.Random, time: float) -> None:
        value = math.nan if rng.random() < 0.01 else rng.gauss(0.0, 3.0) + 10.0 * math.sin(time / 13_750.0)
        self.model.learn_one(value, time, flagged=rng.random() < 0.05)

    def scores(self, time: float) -> list[float]:
        return [self.model.score_one(value, time) for value in (0.0, -10.0, 1e7, -1e300, math.nan)]

    def fresh(self) -> "AnyStream":
        return AnyStream()


class NoveltyStream:
    """A stream of names, some of them new."""

    def __init__(self) -> None:
        self.model = Novelty(NoveltyParams(capacity=50))

    def learn(self, rng: random.Random, time: float) -> None:
        self.model.learn_one(f"name-{int(rng.paretovariate(0.5))}", time)

    def scores(self, time: float) -> list[float]:
        return [self.model.score_one(f"name-{n}", base=0.5) for n in (1, 2, int(time), 10**12)]

    def fresh(self) -> "NoveltyStream":
        return NoveltyStream()


class TailStream:
    """A tail fed with scores, one in five of them 0."""

    def __init__(self) -> None:
        self.model = Tail(TailParams(capacity=256, half_life=5_000))

    def learn(self, rng: random.Random, time: float) -> None:  # noqa: ARG002 - a tail knows no time
        self.model.learn_one(max(rng.expovariate(1.0) - 0.22, 0.0))

    def scores(self, time: float) -> list[float]:
        return [self.model.score_one(score) for score in (0.0, 2.5, 40.0, time, math.inf, math.nan)]

    def fresh(self) -> "TailStream":
        return TailStream()


class ForestStream:
    """A forest, which learns nothing once it is grown; one that is fresh was grown on other rows."""

    def __init__(self, seed: int = 1) -> None:
        rows = np.random.default_rng(seed).random((400, 3))
        self.model = Forest.fit(rows[:300], ("a", "b", "c"), ForestParams(trees=5)).calibrate(rows[300:])

    def learn(self, rng: random.Random, time: float) -> None:
        pass

    def scores(self, time: float) -> list[float]:
        vectors = ([0.5, 0.5, time % 1.0], [9.0, 0.5, 0.5], [-1e9, 1e9, 0.0])
        scores = [self.model.score_one(vector) for vector in vectors]
        return [*scores, *map(self.model.p_value, scores)]

    def fresh(self) -> "ForestStream":
        return ForestStream(seed=2)


class SequenceStream:
    """A principal's actions, some of them new."""

    def __init__(self) -> None:
        self.model = Sequence(SequenceParams(memory=64, capacity=60))

    def learn(self, rng: random.Random, time: float) -> None:
        action = f"act-{int(rng.paretovariate(0.8))}"
        self.model.learn_one(action, self.model.score_one(action), flagged=time % 20 < 1)

    def scores(self, time: float) -> list[float]:
        singles = [self.model.score_one(f"act-{n}", base=0.5) for n in (1, 2, int(time))]
        return [*singles, *map(self.model.score_run, singles)]

    def fresh(self) -> "SequenceStream":
        return SequenceStream()


class ActionsStream:
    """What peers do after what."""

    def __init__(self) -> None:
        self.model = ActionCounts(capacity=100)

    def learn(self, rng: random.Random, time: float) -> None:  # noqa: ARG002 - counts know no time
        self.model.add(f"\n\nact-{int(rng.paretovariate(0.8))}", f"act-{int(rng.paretovariate(0.8))}")

    def scores(self, time: float) -> list[float]:
        prior, contexts = ActionPrior(self.model), ("", "\nact-1", "\n\nact-1")
        return [log10_surprise(prior.probability(contexts, f"act-{n}")) for n in (1, 2, int(time))]

    def fresh(self) -> "ActionsStream":
        return ActionsStream()


class BehaviourStream:
    """Hours of peers."""

    def __init__(self) -> None:
        self.model = VectorSample("abc", SampleParams(span=24, strata=2, size=40))

    def learn(self, rng: random.Random, time: float) -> None:
        vector = {name: rng.betavariate(2, 5) for name in "cab"}
        self.model.add(f"agent-{rng.randrange(9)}", int(time // 3600), vector)

    def scores(self, time: float) -> list[float]:
        behaviour = Behaviour(self.model, BehaviourParams(least=20))
        vectors = [{"a": 0.3, "b": 0.2, "c": 0.3}, {"a": time, "b": math.nan}, {}]
        return [log10_surprise(behaviour.p_value(v)) for v in vectors] + [behaviour.score_one(v) for v in vectors]

    def fresh(self) -> "BehaviourStream":
        return BehaviourStream()


STREAMS: list[Callable[[], Any]] = [
    RateStream,
    AnyStream,
    NoveltyStream,
    TailStream,
    ForestStream,
    SequenceStream,
    ActionsStream,
    BehaviourStream,
]


def fed(make: Callable[[], Any], count: int = 400) -> tuple[Any, float]:
    stream, rng, time = make(), random.Random(7), 1.7e9
    for _ in range(count):
        time += rng.expovariate(1 / 300)
        stream.learn(rng, time)
    return stream, time


def check_scoring_changes_nothing(make: Callable[[], Any]) -> None:
    stream, time = fed(make)
    before = stream.model.snapshot()
    first = stream.scores(time + 1)
    assert stream.scores(time + 1) == first
    assert stream.model.snapshot() == before


def check_restored_scores_the_same(make: Callable[[], Any]) -> None:
    stream, time = fed(make)
    twin = stream.fresh()
    twin.model.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(stream.model.snapshot())))
    assert not differences(stream.model, twin.model)
    rng, other = random.Random(8), random.Random(8)
    for step in range(50):
        assert twin.scores(time + step) == stream.scores(time + step)
        stream.learn(rng, time + 60 * step)
        twin.learn(other, time + 60 * step)


def check_memory_is_bounded(make: Callable[[], Any]) -> None:
    small, large = (len(msgspec.msgpack.encode(fed(make, n)[0].model.snapshot())) for n in (1_000, 20_000))
    assert large < 2 * small


def check_scores_are_numbers(make: Callable[[], Any]) -> None:
    for count in (0, 1, 400):
        stream, time = fed(make, count)
        for score in stream.scores(time) + stream.scores(time - 1e6) + stream.scores(time + 1e9):
            assert math.isfinite(score)
            assert score >= 0


CHECKS = [
    check_scoring_changes_nothing,
    check_restored_scores_the_same,
    check_memory_is_bounded,
    check_scores_are_numbers,
]


@pytest.mark.parametrize("make", STREAMS)
@pytest.mark.parametrize("check", CHECKS)
def test_model(check: Callable[[Callable[[], Any]], None], make: Callable[[], Any]) -> None:
    check(make)


class LearnsWhenScored(NoveltyStream):
    """Scoring is learning."""

    def scores(self, time: float) -> list[float]:
        self.model.learn_one(f"scored-{time}", time)
        return super().scores(time)


class LosesNames(Novelty):
    """Restores everything but the names."""

    def restore(self, state: list[Any]) -> Self:
        return super().restore([*state[:3], {}])


class Forgetful(NoveltyStream):
    """Its model comes back without the names."""

    def __init__(self) -> None:
        self.model = LosesNames(NoveltyParams(capacity=50))

    def fresh(self) -> "Forgetful":
        return Forgetful()


class Hoarder(NoveltyStream):
    """Remembers every name."""

    def __init__(self) -> None:
        self.model = Novelty(NoveltyParams(capacity=10**9))


class Infinite(NoveltyStream):
    """Certain of what it never saw."""

    def scores(self, time: float) -> list[float]:
        return [math.inf, *super().scores(time)]


@pytest.mark.parametrize(
    ("check", "broken"), list(zip(CHECKS, [LearnsWhenScored, Forgetful, Hoarder, Infinite], strict=True))
)
def test_a_broken_model_is_caught(check: Callable[[Callable[[], Any]], None], broken: Callable[[], Any]) -> None:
    must_fail(lambda: check(broken))


def test_late_amounts_close_no_block_twice() -> None:
    """Two streams of one sum, one of them in order, one jumping to and fro over a full hour."""
    ordered, jumping = DecayedRate(RateParams()), DecayedRate(RateParams())
    for rate in (ordered, jumping):
        for hour in range(48):
            rate.learn_one(20_000, hour * 3600.0, PRIOR)
    times = [48 * 3600.0 + offset for _ in range(150) for offset in (-0.5, 0.5)]
    for rate, order in ((ordered, sorted(times)), (jumping, times)):
        for time in order:
            rate.learn_one(20_000, time, PRIOR)
    usual = ordered.judge(0, 49 * 3600.0, PRIOR).expected
    assert jumping.judge(0, 49 * 3600.0, PRIOR).expected == pytest.approx(usual, rel=0.2)


def test_flagged_amounts_never_become_normal() -> None:
    """A week of flagged floods leaves the baseline where it was."""
    rate = DecayedRate(RateParams())
    for hour in range(100):
        rate.learn_one(20_000, hour * 3600.0, PRIOR)
    calm = rate.judge(20_000, 101 * 3600.0, PRIOR).expected
    for hour in range(101, 270):
        rate.learn_one(1e9, hour * 3600.0, PRIOR, flagged=True)
    assert rate.judge(1e9, 270 * 3600.0, PRIOR).p_value < 1e-9
    assert rate.judge(20_000, 270 * 3600.0, PRIOR).expected == pytest.approx(calm, rel=0.5)


def test_a_slow_leak_shows_in_the_long_sum() -> None:
    """Small amounts, each of them usual, too many of them over a day."""
    rate, prior, time = DecayedRate(RateParams()), (Prior(11.0, 1.5, 50.0),) * 3, 0.0
    for hour in range(24 * 14):
        time = hour * 3600.0
        rate.learn_one(50_000, time, prior)
    fired = None
    for minute in range(12 * 60):
        leak = time + 60.0 * minute
        judged = rate.judge(50_000, leak, prior)
        if judged.p_value < 1e-6:
            fired = judged
            break
        rate.learn_one(50_000, leak, prior)
    assert fired is not None
    assert fired.half_life > 60.0


def test_a_newcomer_is_judged_by_its_peers() -> None:
    quiet, loud = (Prior(8.0, 0.5, 100.0),) * 3, (Prior(20.0, 1.0, 100.0),) * 3
    new = DecayedRate(RateParams())
    assert new.score_one(5e8, 0.0, quiet) > 8
    assert new.score_one(5e8, 0.0, loud) < 1


def test_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="half-lives"):
        DecayedRate(RateParams()).restore([None, [0.0] * 5])
    with pytest.raises(ValueError, match="4 parts"):
        Novelty(NoveltyParams()).restore([1, 2])
