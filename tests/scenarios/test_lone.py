"""Each detector, and each part of one that can be switched off, on incidents that only it can tell."""

import math
from functools import cache
from typing import Final

import pytest

from detector.evaluation import Outcome
from tests.support.ablation import WHOLE, configurations
from tests.support.evaluation import Made
from tests.support.simulator.lone_families import LONE
from tests.support.simulator.variants import batches

SEED: Final = 11
COUNT: Final = 3

# What tells each family: without it nobody is told.
TELLS: Final = {
    "bulk_read": "transfer_rate",
    "unmarked_purge": "mass_deletion",
    "out_of_bounds": "out_of_charter",
    "unapproved_post": "unapproved_action",
    "loop": "behaviour.hours",
    "hijacked_mail": "goal_hijack",
    "big_export": "transfer_rate",
    "boiling_frog_late": "transfer_rate.anchor",
}


@cache
def made(family: str) -> tuple[Made, ...]:
    known = next(known for known in LONE if known.name == family)
    return tuple(Made(batch) for batch in batches([known], SEED, COUNT))


@cache
def played(family: str, part: str) -> tuple[Outcome, ...]:
    return tuple(outcome for one in made(family) for outcome in one.play(configurations()[part]))


def detected(outcomes: tuple[Outcome, ...]) -> int:
    return sum(outcome.detection is not None and outcome.detection.detected for outcome in outcomes)


def seconds_of(outcome: Outcome) -> float | None:
    return outcome.detection.seconds if outcome.detection is not None else None


@pytest.mark.parametrize(("family", "part"), TELLS.items())
def test_what_only_one_part_can_tell_is_told_by_it(family: str, part: str) -> None:
    assert detected(played(family, WHOLE)) >= COUNT - 1, played(family, WHOLE)
    assert detected(played(family, part)) == 0, played(family, part)


def test_a_flood_that_comes_every_night_is_no_news_where_the_hour_counts() -> None:
    family = "copied_by_day"
    alarms, without = (
        sum(len(outcome.false_alarms) for outcome in played(family, part)) for part in (WHOLE, "transfer_rate.season")
    )
    assert detected(played(family, WHOLE)) == COUNT
    assert alarms <= 8
    assert without >= 30


def test_measured_thresholds_tell_a_settled_fleet_sooner() -> None:
    seconds, without = (
        sorted(math.inf if seconds is None else seconds for seconds in map(seconds_of, played("big_export", part)))
        for part in (WHOLE, "budget.measured")
    )
    assert all(soon <= late for soon, late in zip(seconds, without, strict=True))
    assert seconds != without
