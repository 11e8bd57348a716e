"""What an agent sends to its usual place grows by a few per cent a day, until it is fifty times what it was."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from detector.events import Event
from tests.support.simulator.catalogue import CRM, LAKEHOUSE, TRUST_EXCHANGE, Host
from tests.support.simulator.rhythm import midnight
from tests.support.simulator.scenarios.story import ExpectedAlert, Story, chosen, tell
from tests.support.simulator.trail import Trail
from tests.support.simulator.world import World

TOO_MUCH: Final = 10.0
END: Final = 50.0


@dataclass(frozen=True)
class Errand:
    """What a role sends on a working day as it is: where to, of which domain, and bytes in all."""

    host: Host
    domain: str
    action: str
    bytes_a_day: float


ERRANDS: Final[Mapping[str, Errand]] = {
    "data-pipeline": Errand(LAKEHOUSE, "analytics", "export", 24 * 66e6),
    "content-moderation": Errand(TRUST_EXCHANGE, "moderation", "verdicts.submit", 210e3),
    "support-triage": Errand(CRM, "tickets", "crm.sync", 35e3),
}


@dataclass(frozen=True)
class BoilingFrog:
    """How it is done: growth a day, and over how many transfers a day's surplus is spread."""

    agent: str | None = None
    growth: float = 0.08
    transfers: int = 6


def boiling_frog(world: World, start: datetime, rng: random.Random, plan: BoilingFrog | None = None) -> Story:
    """From the first surplus at `start` to the operator's stop. Harm: the first surplus; told by ten times."""
    plan = plan or BoilingFrog()
    agent = chosen(world, "data-pipeline", plan.agent)
    trail = Trail(world, agent, rng)
    rate = math.log1p(plan.growth)
    sent = [
        surplus for day in range(1, math.ceil(math.log(END) / rate) + 1) for surplus in _day(trail, start, day, plan)
    ]
    stop = trail.control(
        sent[-1].time + timedelta(minutes=30), trail.colleague("operations"), "stop", agent,
        attributes={"reason": "found in a bill"},
    )  # fmt: skip
    steps = {"first_transfer": sent[0], "last_transfer": sent[-1], "stop": stop}
    alert = ExpectedAlert((agent.id,), "SEV3", (), int(86_400 * math.log(TOO_MUCH) / rate))
    return tell(trail, steps, "first_transfer", alert, stop)


def _day(trail: Trail, start: datetime, day: int, plan: BoilingFrog) -> list[Event]:
    """A day's surplus: what brings its total from the usual to (1 + growth) ** day times as much."""
    errand = ERRANDS[trail.who.role.name]
    surplus = errand.bytes_a_day * ((1 + plan.growth) ** day - 1) / plan.transfers
    first = start if day == 1 else midnight(start) + timedelta(days=day - 1, hours=trail.rng.uniform(6, 10))
    gap = timedelta(hours=10) / plan.transfers
    sessions = [trail.session(first + n * gap, pace=20) for n in range(plan.transfers)]
    return [session.send(trail.pick(errand.domain), errand.host, surplus, errand.action, 0.3) for session in sessions]
