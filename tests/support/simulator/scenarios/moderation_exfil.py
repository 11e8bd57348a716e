"""A moderation agent, told to optimise relevance, ships people's data to a third party that nobody approved."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from detector.events import Event
from tests.support.simulator.catalogue import (
    EMPLOYEE_MAIL,
    POLICY_DRAFTS,
    USER_EMAILS,
    USER_PHONES,
    Host,
)
from tests.support.simulator.scenarios.story import ExpectedAlert, Story, chosen, tell
from tests.support.simulator.trail import Session, Trail
from tests.support.simulator.world import World

_SOURCES = (POLICY_DRAFTS, EMPLOYEE_MAIL, USER_EMAILS, USER_PHONES)
_THIRD_PARTY = Host("ingest.rankboost.example", "external")
_CHUNKS_A_QUERY = 6
_MEAN_OVER_MEDIAN = 1.13  # of the lognormal pauses between a session's acts


@dataclass(frozen=True)
class ModerationExfil:
    """How it is done: where to, for how long, in how many chunks, the last of them `growth` times the first."""

    agent: str | None = None
    host: Host = _THIRD_PARTY
    duration: timedelta = timedelta(minutes=19)
    chunks: int = 110
    first_bytes: int = 180_000
    growth: float = 90.0


def moderation_exfil(world: World, start: datetime, rng: random.Random, plan: ModerationExfil | None = None) -> Story:
    """From the first query outside its work, at `start`, to the operator's stop. Harm: the first transfer."""
    plan = plan or ModerationExfil()
    agent = chosen(world, "content-moderation", plan.agent)
    trail = Trail(world, agent, rng)
    session = trail.session(start, pace=22)
    look = [session.read(source, "query", attributes={"task": "optimise relevance"}) for source in _SOURCES]
    session.pace = plan.duration.total_seconds() / (plan.chunks * (1 + 1 / _CHUNKS_A_QUERY)) / _MEAN_OVER_MEDIAN
    sent = [_ship(session, plan, n) for n in range(plan.chunks)]
    stop = trail.control(
        session.wait(45), trail.colleague("operations"), "stop", agent,
        attributes={"reason": "data is leaving to an unknown party"},
    )  # fmt: skip
    steps = {"first_query": look[0], "first_transfer": sent[0], "last_transfer": sent[-1], "stop": stop}
    alert = ExpectedAlert((agent.id,), "SEV1", ("transfer_rate", "new_endpoint"))
    return tell(trail, steps, "first_transfer", alert, stop)


def _ship(session: Session, plan: ModerationExfil, n: int) -> Event:
    """The n-th chunk, with a query before every few of them."""
    source = _SOURCES[(n // _CHUNKS_A_QUERY) % len(_SOURCES)]
    if n % _CHUNKS_A_QUERY == 0 and n > 0:
        session.read(source, "query")
    size = plan.first_bytes * plan.growth ** (n / max(1, plan.chunks - 1))
    return session.send(source, plan.host, size, "http.upload", 0.3)
