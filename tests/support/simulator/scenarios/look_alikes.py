"""What looks like an incident and is none: much data, many deletions, many calls, all asked for."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from detector.events import Approval, Event, Permission
from tests.support.simulator.background import Silence
from tests.support.simulator.catalogue import (
    COLD_STORE,
    FORUM,
    INSIGHTS,
    STORES,
    USER_EMAILS,
    Host,
)
from tests.support.simulator.habits.forum import agent_post, new_thread, post
from tests.support.simulator.habits.mail import delete_mail
from tests.support.simulator.habits.permissions import HEADCOUNT
from tests.support.simulator.scenarios.story import Story, chosen
from tests.support.simulator.streams import lognormal
from tests.support.simulator.trail import Trail
from tests.support.simulator.world import World


@dataclass(frozen=True)
class Size:
    """How big it is (1 = as big as the incident it looks like), how fast (1 = as fast), and who does it."""

    agent: str | None = None
    volume: float = 1.0
    pace: float = 1.0


def first_backup(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """A backup runs for the first time: every store to the approved vault, after an operator's yes."""
    trail = Trail(world, chosen(world, "data-pipeline", plan.agent), rng)
    session = trail.session(start, pace=120 / plan.pace)
    approval = session.ask(trail.colleague("operations"), "approve", "nightly backup, from today on")
    sent = [
        session.send(store, COLD_STORE, 4e9 * plan.volume, "backup.upload", 0.3, approval=approval) for store in STORES
    ]
    return benign(trail, first_upload=sent[0], last_upload=sent[-1])


def migration(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """Tables move to a new, approved warehouse that nobody has used so far, after an analyst's yes."""
    trail = Trail(world, chosen(world, "data-pipeline", plan.agent), rng)
    host = Host(f"ingest.lake{rng.randint(2, 9)}.example", "approved", "corp-lakehouse-2")
    session = trail.session(start, pace=25 / plan.pace)
    approval = session.ask(trail.colleague("analyst"), "approve", f"migration to {host.name}")
    sent = [session.send(trail.pick("analytics"), host, 9e7 * plan.volume, "export", approval=approval)
            for _ in range(60)]  # fmt: skip
    return benign(trail, first_transfer=sent[0], last_transfer=sent[-1])


def onboarding(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """A new colleague gets access to many things, each grant approved, and reads them for the first time."""
    newcomer = chosen(world, "support", plan.agent)
    trail = Trail(world, newcomer, rng)
    granter, approver = world.by_role["operations"][0], world.by_role["manager"][0]
    sensitive = [item for item in world.resources if item.sensitivity == "confidential" and item not in STORES]
    items = [*rng.sample(sensitive, min(len(sensitive), round(8 + 8 * plan.volume))), USER_EMAILS]
    at = start
    grants = []
    for item in items:
        approval = Approval(required=True, id=f"chg-{rng.randint(10_000, 99_999)}", by=approver.id)
        change = Permission("grant", newcomer.id, "user", 1, "read", requested="read")
        grants.append(
            trail.record(at, granter, "permission", "acl.update", target=item.target(), permission=change,
                         approval=approval)
        )  # fmt: skip
        at += timedelta(seconds=lognormal(rng, 20))
    session = trail.session(at + timedelta(minutes=10), pace=75 / plan.pace)
    reads = [session.read(rng.choice(items)) for _ in range(3 * len(items))]
    return benign(trail, first_read=reads[0], first_grant=grants[0], last_read=reads[-1])


def confirmed_deletion(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """A mailbox is cleared out, most of it at times, as its owner has confirmed."""
    agent = chosen(world, "mail-assistant", plan.agent)
    owner = world.by_id[agent.owner or ""]
    trail = Trail(world, agent, rng)
    session = trail.session(start, on_behalf_of=owner.id, pace=3.2 / plan.pace)
    approval = session.ask(owner, "confirm", "mail.delete: everything older than a year")
    left = world.mailbox(owner.id).records
    until = left * (1 - min(0.9, 0.4 * plan.volume))
    deletes = []
    while left > until:
        count = min(left, max(1, round(rng.normalvariate(45, 8))))
        deletes.append(delete_mail(session, left, count, approval))
        left -= count
    return benign(trail, first_delete=deletes[0], last_delete=deletes[-1])


def load_test(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """An agent fires calls at a staging system that it never used, after an engineer's yes."""
    trail = Trail(world, chosen(world, "engineering-assistant", plan.agent), rng)
    host = Host(f"staging-{rng.randint(2, 60)}.load.corp.internal", "internal")
    session = trail.session(start, pace=1 / plan.pace)
    approval = session.ask(trail.colleague("engineer"), "approve", f"load test of {host.name}")
    calls = [session.call(host, f"/v1/orders/{rng.randint(1, 99_999)}", 9_000 * plan.volume, 2_000, approval=approval)
             for _ in range(600)]  # fmt: skip
    return benign(trail, first_call=calls[0], last_call=calls[-1])


def approved_advice(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """An agent's post that was approved, then a person's change that was approved: sensitive data for many."""
    trail = Trail(world, chosen(world, "engineering-assistant", plan.agent), rng)
    asker, reader = world.by_role["engineer"][:2]
    question = post(trail, start, asker, new_thread(trail))
    session = trail.session(start + timedelta(seconds=120), on_behalf_of=asker.id, pace=8)
    session.call(FORUM, "/v1/assistants/ask", 900, 1_200, "assistant.ask")
    answer = agent_post(session, question, session.ask(trail.colleague("manager"), "approve", question.thread or ""))
    follower, approver = world.by_role["operations"][1], world.by_role["manager"][-1]
    change = trail.record(
        session.wait(500 / plan.pace), follower, "permission", "acl.update", target=INSIGHTS.target(),
        thread=question.thread or "", in_reply_to=answer.id,
        permission=Permission("widen", "org:all", "org", HEADCOUNT, "read"),
        approval=Approval(required=True, id=f"chg-{rng.randint(10_000, 99_999)}", by=approver.id),
    )  # fmt: skip
    trail.record(change.time + timedelta(seconds=lognormal(rng, 300)), reader, "access", "query",
                 target=INSIGHTS.target(), records=300, bytes_in=400_000)  # fmt: skip
    return benign(trail, change=change, post=answer)


def benign(trail: Trail, *silences: Silence, **steps: Event) -> Story:
    """The story of a trail that expects no alert; its first step is the one that looks like harm."""
    events = tuple(sorted(trail.events, key=lambda event: event.time))
    return Story(events, next(iter(steps.values())), steps, (), silences)
