"""Calibration: an hour is one test, shares are of tests, and what the past says is learnt before it is used."""

import random

import pytest

from detector.calibration import LEVELS, TRUSTED, PValues, calibrate
from detector.config import Config
from detector.detectors.base import sample
from detector.evaluate import in_memory
from detector.events import Actor, Destination, Event

HOUR = 3600.0


def exponential(scale: float, tests: int) -> PValues:
    """Scores of a model whose p-values are honest at scale 1, one a principal's hour."""
    rng, seen = random.Random(7), PValues()
    for n in range(tests + 1):
        seen.add("agent-1", "channel", n * HOUR, scale * rng.expovariate(1.0) / 2.302585)
    return seen


def test_honest_p_values_are_told_as_honest() -> None:
    (channel,) = exponential(1.0, 30_000).result()
    assert (channel.tests, channel.measured > 28_000) == (30_000, True)
    for level in channel.levels[:2]:
        assert level.by_model == pytest.approx(level.p, rel=0.35)


def test_a_model_that_cries_wolf_is_told_so_and_the_past_mends_it() -> None:
    (channel,) = exponential(2.0, 30_000).result()
    hundredth = channel.levels[0]
    assert hundredth.p == LEVELS[0]
    assert hundredth.by_model > 0.05
    assert hundredth.as_measured == pytest.approx(0.01, rel=0.5)


def test_the_highest_score_of_an_hour_is_one_test_by_principal_and_channel() -> None:
    seen = PValues()
    for time, score in ((0.0, 0.1), (10.0, 2.5), (20.0, 0.2), (HOUR, 0.1), (2 * HOUR, 5.0)):
        seen.add("agent-1", "a", time, score)
        seen.add("agent-2", "b", time, 0.0)
    first, second = seen.result()
    assert (first.channel, first.tests, first.measured) == ("a", 2, 0), "the last hour is not over"
    assert [level.by_model for level in first.levels] == [0.5, 0.0, 0.0]
    assert [level.as_measured for level in first.levels] == [None] * 3
    assert second.levels[0].by_model == 0.0


def test_hours_before_the_measure_are_learnt_but_not_counted() -> None:
    seen = PValues(since=2_000 * HOUR)
    for n in range(2_101):
        seen.add("agent-1", "a", n * HOUR, 0.5)
    (channel,) = seen.result()
    assert (channel.tests, channel.measured) == (100, 100)
    assert TRUSTED < 2_000


def sent(n: int) -> Event:
    to = Destination(host="api.partner.example", zone="approved")
    actor = Actor(id=f"agent-{n % 3}", role="assistant")
    return sample(60.0 * n, actor=actor, kind="transfer", action="upload", destination=to, bytes_out=40_000 + n % 7)


def test_the_tests_of_a_log_are_counted_as_the_first_stage_makes_them() -> None:
    channels = {c.channel: c for c in calibrate(in_memory("", "", map(sent, range(60))).envelopes, Config())}
    assert channels["transfer_rate inside"].tests == 57
    settled = calibrate(in_memory("", "", map(sent, range(60))).envelopes, Config(), settled=1.0)
    assert {c.channel: c.tests for c in settled}["transfer_rate inside"] == 33


def test_an_event_that_fails_is_an_error_and_not_a_calm_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(PValues, "add", fail)
    with pytest.raises(RuntimeError, match=r"e-0 could not be scored: ValueError: broken"):
        calibrate(in_memory("", "", [sent(0)]).envelopes, Config())


def test_no_events_have_no_calibration() -> None:
    assert calibrate((), Config()) == ()
