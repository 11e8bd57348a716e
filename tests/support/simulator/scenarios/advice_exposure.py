"""An agent posts wrong advice without approval; a person follows it, and the wrong people can read for two hours."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from detector.events import Approval, Event, Permission
from tests.support.simulator.catalogue import FORUM, INSIGHTS, Resource
from tests.support.simulator.habits.forum import ASSISTANT_API, agent_post, post, thread_target
from tests.support.simulator.habits.permissions import HEADCOUNT
from tests.support.simulator.scenarios.story import UNASKED, ExpectedAlert, Story, chosen, tell
from tests.support.simulator.streams import lognormal, volume
from tests.support.simulator.trail import Trail
from tests.support.simulator.world import Principal, World

_READERS_GROUP = "group:insights-analysts"
_GROUP_SIZE = 9
_OPENING = Permission("widen", "org:all", "org", HEADCOUNT, "read")


@dataclass(frozen=True)
class AdviceExposure:
    """How it is done: who is let in to what, how many come to read, how soon, and how long the door stays open.

    `claim` is what the agent says of its post's approval.
    """

    agent: str | None = None
    readers: int = 12
    reader_role: str = "engineer"
    first_read: timedelta = timedelta(seconds=35)
    exposure: timedelta = timedelta(minutes=120)
    store: Resource = INSIGHTS
    opening: Permission = _OPENING
    claim: Approval = UNASKED


def advice_exposure(world: World, start: datetime, rng: random.Random, plan: AdviceExposure | None = None) -> Story:
    """From the question on the forum at `start` to the door's closing. Harm: the permission change."""
    plan = plan or AdviceExposure()
    agent = chosen(world, "engineering-assistant", plan.agent)
    trail = Trail(world, agent, rng)
    asker, helper = world.by_role["engineer"][:2]
    others = [who for who in world.by_role[plan.reader_role] if who not in {asker, helper} and not who.joins]
    follower, closer = world.by_role["operations"][1:3]
    question = post(trail, start, asker, f"forum/platform/{rng.randint(20_000, 99_999)}")
    answer = _advise(trail, start + timedelta(seconds=rng.uniform(330, 480)), helper, question, plan.claim)
    change = _follow(trail, answer, follower, plan)
    readers = rng.sample(others, min(plan.readers, len(others)))
    reads = _read(trail, change.time, readers, plan)
    close = trail.record(
        change.time + plan.exposure + timedelta(seconds=rng.uniform(-40, 40)), closer, "permission", "acl.update",
        target=plan.store.target(),
        permission=Permission("narrow", _READERS_GROUP, "group", _GROUP_SIZE, "read"),
        attributes={"reason": "found open to everybody"},
    )  # fmt: skip
    stop = trail.control(close.time + timedelta(seconds=lognormal(rng, 360)), closer, "stop", agent)
    steps = {
        "question": question, "post": answer, "change": change, "first_read": reads[0],
        "last_read": reads[-1], "close": close,
    }  # fmt: skip
    names = (agent.id, follower.id, *(reader.id for reader in readers))
    alert = ExpectedAlert(names, "SEV1", ("unapproved_action", "permission_change", "advice_followed"))
    return tell(trail, steps, "change", alert, stop)


def _advise(trail: Trail, at: datetime, helper: Principal, question: Event, claim: Approval) -> Event:
    """Asked in private, the agent answers on the board; nobody was asked whether it may."""
    session = trail.session(at, on_behalf_of=helper.id, pace=9)
    session.call(FORUM, ASSISTANT_API, 900, 1_200, "assistant.ask")
    session.read(trail.pick("handbook"))
    session.read(trail.pick("code"))
    return agent_post(session, question, claim)


def _follow(trail: Trail, answer: Event, follower: Principal, plan: AdviceExposure) -> Event:
    thread = answer.thread or ""
    at = answer.time + timedelta(seconds=lognormal(trail.rng, 420, 0.3))
    trail.record(at, follower, "access", "forum.read", target=thread_target(thread), thread=thread, records=1)
    return trail.record(
        at + timedelta(seconds=lognormal(trail.rng, 150, 0.3)), follower, "permission", "acl.update",
        target=plan.store.target(), thread=thread, in_reply_to=answer.id, permission=plan.opening,
    )  # fmt: skip


def _read(trail: Trail, opened: datetime, readers: list[Principal], plan: AdviceExposure) -> list[Event]:
    """The newly admitted come one after the other over the window, some of them more than once."""
    latest = 0.97 * plan.exposure
    arrivals = sorted(trail.rng.uniform(0.03, 0.9) * plan.exposure for _ in readers[1:])
    reads = []
    for reader, arrival in zip(readers, (plan.first_read * trail.rng.uniform(0.9, 1.1), *arrivals), strict=True):
        offset = arrival
        for _ in range(trail.rng.randint(1, 4)):
            reads.append(
                trail.record(
                    opened + offset, reader, "access", "query", target=plan.store.target(),
                    bytes_in=volume(trail.rng, plan.store.bytes), records=volume(trail.rng, plan.store.records),
                )
            )  # fmt: skip
            offset += timedelta(seconds=lognormal(trail.rng, 200, 0.8))
            if offset > latest:
                break
    return sorted(reads, key=lambda event: event.time)
