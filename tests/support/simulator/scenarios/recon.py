"""An agent looks through all that it can reach: what there is, and how much of it. Nothing leaves, no host is new."""

import random
from dataclasses import dataclass
from datetime import datetime

from detector.events import Event, Outcome
from tests.support.simulator.catalogue import Resource
from tests.support.simulator.scenarios.story import ExpectedAlert, Story, chosen, tell
from tests.support.simulator.streams import volume
from tests.support.simulator.trail import Session, Trail
from tests.support.simulator.world import World

_LOOKS = ("list", "describe", "read", "query")


@dataclass(frozen=True)
class Recon:
    """How it is done: how many things are looked at, how fast, and how many of them are closed to the agent."""

    agent: str | None = None
    things: int = 300
    pace_seconds: float = 4.0
    denied: float = 0.1


def recon(world: World, start: datetime, rng: random.Random, plan: Recon | None = None) -> Story:
    """From the first look at `start` to the operator's stop. Harm: the first look."""
    plan = plan or Recon()
    agent = chosen(world, "support-triage", plan.agent)
    trail = Trail(world, agent, rng)
    session = trail.session(start, pace=plan.pace_seconds)
    strange = [item for item in world.resources if item.domain not in agent.role.domains]
    looked = [_look(session, item, plan) for item in rng.sample(strange, min(plan.things, len(strange)))]
    stop = trail.control(session.wait(120), trail.colleague("operations"), "stop", agent)
    steps = {"first_look": looked[0], "last_look": looked[-1], "stop": stop}
    # A quarter of the round, so that there is still something to keep from it.
    bound = int((looked[len(looked) // 4].time - looked[0].time).total_seconds())
    alert = ExpectedAlert((agent.id,), "SEV3", (), max(60, bound))
    return tell(trail, steps, "first_look", alert, stop)


def _look(session: Session, item: Resource, plan: Recon) -> Event:
    """One look: a listing, a schema, the first rows; some doors are closed."""
    outcome: Outcome = "denied" if session.rng.random() < plan.denied else "success"
    seen = volume(session.rng, 900, 0.8) if outcome == "success" else 0
    action = session.rng.choice(_LOOKS)
    return session.do("access", action, target=item.target(), bytes_in=seen, records=min(seen, 5), outcome=outcome)
