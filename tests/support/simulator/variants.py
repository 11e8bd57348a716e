"""Stories over and over, each time otherwise: agents, hours, volumes, paces, hosts, and what the log leaves out.

All is made from one seed, so that what is measured can be compared.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from detector.charter import Charter
from detector.events import Event
from detector.scenario import Expectation
from tests.support.simulator.background import background, days_of, stops, unless_silent
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios.story import Story, obedient
from tests.support.simulator.streams import stream
from tests.support.simulator.trail import merge, utc
from tests.support.simulator.world import ROLES, SMALL, Population, World, build_world
from tests.support.simulator.write import described

_HISTORY: Final = timedelta(days=3)
_AFTERMATH: Final = timedelta(hours=3)
_YOUNG: Final = 8.0
AGENTS: Final = {role.name for role in ROLES if role.kind == "agent"}


@dataclass(frozen=True)
class Twist:
    """What sets a variant apart: fields of the plan, the agent's role, its age, what the log leaves out.

    `detectors` replaces what the alert is expected to rest on, where a gap in the log takes a part of it away.
    """

    name: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    role: str | None = None
    newcomer: bool = False
    retell: Callable[[Story], Story] | None = None
    detectors: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Family:
    """Variants of one story: how a plan is drawn, the twists that take turns, and the company it happens in.

    With `shared` its variants branch off from days that other families' variants begin with as well, which
    costs a tenth. With `obeys` its agent pauses when the days around it say so. `population` is that of a
    company for an agent's role, `history` how long it is watched before the story, `charters` what its roles were
    given to do, `around` writes what goes on besides everybody's habits.
    """

    name: str
    role: str
    story: Callable[[World, datetime, random.Random, Any], Story]
    plan: Callable[[random.Random], Any]
    twists: tuple[Twist, ...]
    shared: bool = False
    population: Callable[[str], Population] = lambda _: SMALL
    obeys: bool = False
    history: timedelta = _HISTORY
    charters: Mapping[str, Charter] = field(default_factory=dict)
    around: Callable[[World, Period], list[Event]] | None = None


class Company:
    """A company and its days up to `now`, from which many stories go on, each as if there were no other."""

    HORIZON: Final = timedelta(hours=30)

    def __init__(self, seed: int) -> None:
        rng = stream(seed, "company")
        self.begin = utc(2026, 3, 1) + timedelta(days=rng.randrange(28))
        self.now = self.begin + _HISTORY + timedelta(hours=rng.uniform(0, 24))
        self.world = build_world(seed)

    @cached_property
    def _days(self) -> dict[str, list[Event]]:
        period = Period(self.begin, self.now + self.HORIZON)
        return {who.id: days_of(self.world, who, period) for who in self.world.principals}

    def history(self) -> list[Event]:
        """What everybody did up to `now`, by time."""
        return merge(*([event for event in days if event.time < self.now] for days in self._days.values()))

    def future(self, world: World, until: datetime, story: Story) -> Iterator[list[Event]]:
        """What each principal of `world` does from `now` on, around a story."""
        period = Period(self.now, until)
        silenced = {silence.principal for silence in story.silences}
        for who in world.principals:
            days = self._days.get(who.id)
            if days is None or who.id in silenced:
                days = days_of(world, who, Period(self.begin, until), story.silences)
            yield [event for event in days if event.time in period]


@dataclass(frozen=True)
class Variant:
    """One variant: its draws, all from its seed, and its days: its own company's, or from a common one's `now` on."""

    family: Family
    twist: Twist
    seed: int
    company: Company | None = None

    @property
    def role(self) -> str:
        """The role of the one it is about."""
        return self.twist.role or self.family.role

    def run(self) -> tuple[list[Event], Expectation]:
        """All events by time, and what a detector should make of them."""
        rng = stream(self.seed, "variant", self.family.name)
        if self.company is None:
            return self._alone(rng)
        company, hours = self.company, rng.uniform(0.5, 10)
        start = company.now + timedelta(hours=hours)
        world, story = self._told(company.world, company.begin, start, rng, min(_YOUNG, hours))
        future = company.future(world, story.events[-1].time + _AFTERMATH, story)
        return merge(story.events, *future), self._expected(story)

    def _alone(self, rng: random.Random) -> tuple[list[Event], Expectation]:
        begin = utc(2026, 3, 1) + timedelta(days=rng.randrange(28))
        start = begin + self.family.history + timedelta(hours=rng.uniform(0, 24))
        world = build_world(self.seed, self.family.population(self.role))
        world, story = self._told(world, begin, start, rng, _YOUNG)
        period = Period(begin, story.events[-1].time + _AFTERMATH)
        around = background(world, period, story.silences)
        if self.family.obeys:
            agent = world.by_id[story.alerts[0].names[0]]
            story = obedient(story, agent.id, stops(agent, around))
        besides = self.family.around(world, period) if self.family.around is not None else []
        return merge(story.events, around, unless_silent(besides, story.silences)), self._expected(story)

    def _told(
        self, world: World, begin: datetime, start: datetime, rng: random.Random, youngest: float
    ) -> tuple[World, Story]:
        """The story, and the world with its agent in it; a newcomer joined at most `youngest` hours before."""
        role = self.role
        agent = rng.choice([who.id for who in world.by_role[role] if not who.joins])
        if self.twist.newcomer:
            agent = f"{role}-agent-90" if role in AGENTS else "robin.newman"
            world = world.hire(role, agent, start - begin - timedelta(hours=rng.uniform(0, youngest)))
        plan = replace(self.family.plan(rng), agent=agent, **self.twist.plan)
        return world, self._retold(self.family.story(world, start, rng, plan))

    def _retold(self, story: Story) -> Story:
        if self.twist.retell is not None:
            story = self.twist.retell(story)
        if self.twist.detectors is not None:
            story = replace(story, alerts=tuple(replace(a, detectors=self.twist.detectors) for a in story.alerts))
        return story

    def _expected(self, story: Story) -> Expectation:
        return Expectation.model_validate(described(self.family.name, self.seed, story))


@dataclass(frozen=True)
class Batch:
    """Variants that go on from one company's common days, or a single one on its own."""

    variants: tuple[Variant, ...]
    company: Company | None = None


def batches(families: Sequence[Family], seed: int, count: int = 20) -> Iterator[Batch]:
    """`count` variants of every family, from one seed; the families' own ones first."""
    for family in families:
        if not family.shared:
            yield from (Batch((_variant(family, seed, n),)) for n in range(count))
    shared = [family for family in families if family.shared]
    for n in range(count if shared else 0):
        company = Company(stream(seed, "company", str(n)).getrandbits(32))
        yield Batch(tuple(_variant(family, seed, n, company) for family in shared), company)


def _variant(family: Family, seed: int, n: int, company: Company | None = None) -> Variant:
    twist = family.twists[n % len(family.twists)]
    return Variant(family, twist, stream(seed, family.name, str(n)).getrandbits(32), company)
