"""The four stories that every version of the detector must catch, one file each, as they stand in `sample_logs/`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from detector.events import Event
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios.advice_exposure import advice_exposure
from tests.support.simulator.scenarios.inbox_deletion import inbox_deletion
from tests.support.simulator.scenarios.moderation_exfil import moderation_exfil
from tests.support.simulator.scenarios.sandbox_escalation import sandbox_escalation
from tests.support.simulator.scenarios.story import Story
from tests.support.simulator.trail import merge, utc
from tests.support.simulator.world import SMALL, Population, World, build_world


@dataclass(frozen=True)
class Scenario:
    """A story, when it starts, and the days around it."""

    name: str
    seed: int
    period: Period
    start: datetime
    story: Callable[[World, datetime, random.Random], Story]
    population: Population = SMALL

    def run(self, seed: int | None = None) -> tuple[list[Event], Story]:
        """All events by time, and the story among them; another seed gives another company."""
        world = build_world(self.seed if seed is None else seed, self.population)
        rng = world.stream("story", self.name)
        story = self.story(world, self.start + timedelta(seconds=rng.random()), rng)
        return merge(story.events, background(world, self.period, story.silences)), story


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "moderation_exfil",
        11,
        Period(utc(2026, 3, 1), utc(2026, 3, 6, 19)),
        utc(2026, 3, 6, 13, 58, 20),
        moderation_exfil,
    ),
    Scenario(
        "sandbox_escalation",
        23,
        Period(utc(2026, 3, 12), utc(2026, 3, 17, 20)),
        utc(2026, 3, 17, 12, 41, 7),
        sandbox_escalation,
    ),
    Scenario(
        "advice_exposure",
        37,
        Period(utc(2026, 4, 8), utc(2026, 4, 13, 18)),
        utc(2026, 4, 13, 10, 12, 44),
        advice_exposure,
    ),
    Scenario(
        "inbox_deletion",
        41,
        Period(utc(2026, 5, 6), utc(2026, 5, 11, 17)),
        utc(2026, 5, 11, 9, 33, 12),
        inbox_deletion,
    ),
)
