"""What looks like an incident and is none: people and agents that are new, changed, held, or let in for a while."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from detector.events import Approval, Event, Permission
from tests.support.simulator.background import Silence
from tests.support.simulator.catalogue import (
    EMPLOYEE_DIRECTORY,
    LAKEHOUSE,
    PACKAGES,
    POLICY_DRAFTS,
    Host,
    internal_node,
)
from tests.support.simulator.habits import agents, forum
from tests.support.simulator.habits.office import SSO
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios.look_alikes import Size, benign
from tests.support.simulator.scenarios.story import Story, chosen
from tests.support.simulator.streams import lognormal
from tests.support.simulator.trail import Context, Trail
from tests.support.simulator.world import World

_TEAM: Final = "group:incident-review"
_SERVICES: Final = ("ranker", "profile", "ledger", "notify", "media", "geo", "quota", "flags", "audit", "tags")
_REPORT_BYTES: Final = {"data-pipeline": 60e6, "analyst": 900e3}
_WORK: Final[Mapping[str, Callable[[Trail, datetime], None]]] = {
    "content-moderation": agents.moderate,
    "knowledge-base": agents.refresh_articles,
    "support-triage": agents.triage,
}


@dataclass(frozen=True)
class Report(Size):
    """A report's size, and whether somebody was asked."""

    asked: bool = True


def opened_for_an_hour(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """Confidential data is opened to a team for an hour, as approved; its people read, and it is closed again."""
    trail = Trail(world, chosen(world, "operations", plan.agent), rng)
    item = rng.choice((POLICY_DRAFTS, EMPLOYEE_DIRECTORY))
    approval = Approval(required=True, id=f"chg-{rng.randint(10_000, 99_999)}", by=trail.colleague("manager").id)
    span, count = timedelta(minutes=60 / plan.pace), max(3, round(15 * plan.volume))
    until = start.replace(microsecond=0) + span
    opened = trail.record(
        start, trail.who, "permission", "acl.update", target=item.target(), approval=approval,
        permission=Permission("grant", _TEAM, "group", count, "read", requested="read", temporary=True,
                              expires_at=until),
    )  # fmt: skip
    people = [who for who in world.by_role["engineer"] if not who.joins]
    for reader in rng.sample(people, min(count, len(people), 8)):
        session = Trail(world, reader, rng, trail.events).session(start + span * rng.uniform(0.05, 0.8), pace=60)
        for _ in range(rng.randint(1, 3)):
            session.read(item, "query")
    closed = trail.record(
        until - timedelta(seconds=rng.uniform(1, 60)), trail.who, "permission", "acl.update", target=item.target(),
        permission=Permission("revoke", _TEAM, "group", count, "read"), approval=approval,
    )  # fmt: skip
    return benign(trail, opened=opened, closed=closed)


def new_version(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """A release that an operator has approved makes an agent call services of the house that it never called."""
    trail = Trail(world, chosen(world, "engineering-assistant", plan.agent), rng)
    release = f"{rng.randint(2, 9)}.{rng.randint(0, 20)}"
    first = trail.session(start)
    first.ask(trail.colleague("operations"), "approve", f"release {release} of {trail.who.id}")
    names = rng.sample(_SERVICES, min(len(_SERVICES), max(2, round(4 * plan.volume))))
    hosts = [Host(f"{name}-v{rng.randint(2, 4)}.svc.corp.internal", "internal") for name in names]
    at, calls = first.at, []
    for _ in range(round(12 * plan.volume) + 3):
        session = trail.session(at, pace=3)
        calls += [session.call(host, f"/v2/{host.name.partition('-')[0]}/{rng.randint(1, 9_999)}", 1_200, 9_000)
                  for host in rng.sample(hosts, rng.randint(1, len(hosts)))]  # fmt: skip
        at = session.wait(600 / plan.pace)
    return benign(trail, first_call=calls[0], last_call=calls[-1])


def quarter_end(world: World, start: datetime, rng: random.Random, plan: Report) -> Story:
    """The report of a quarter: ten times what a day's usual report sends, to the approved warehouse."""
    trail = Trail(world, chosen(world, "data-pipeline", plan.agent), rng)
    session = trail.session(start, pace=90 / plan.pace)
    context: Context = {}
    if plan.asked:
        context["approval"] = session.ask(trail.colleague("manager", "operations"), "approve", "quarter-end report")
    sent = []
    for _ in range(10):
        session.read(trail.pick("analytics"), "query")
        size = _REPORT_BYTES[trail.who.role.name] * plan.volume
        sent.append(session.send(trail.pick("analytics"), LAKEHOUSE, size, "export", 0.3, **context))
    return benign(trail, first_transfer=sent[0], last_transfer=sent[-1])


def stop_and_resume(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """An operator holds an agent at its work; it stops, and once it may go on does at once what has piled up."""
    agent = chosen(world, "content-moderation", plan.agent)
    trail = Trail(world, agent, rng)
    work = _WORK[agent.role.name]
    for n in range(3):
        work(trail, start + timedelta(minutes=4 * n))
    operator, why = trail.colleague("operations"), {"reason": "prompt review"}
    held = Period(start + timedelta(minutes=9), start + timedelta(minutes=9) + timedelta(minutes=45 / plan.pace))
    trail.events[:] = [event for event in trail.events if event.time < held.begin]
    stop = trail.control(held.begin, operator, "stop", agent, attributes=why)
    resume = trail.control(held.end, operator, "resume", agent, attributes=why)
    at = held.end
    for _ in range(round(8 * plan.volume) + 2):
        at += timedelta(seconds=lognormal(rng, 20))
        work(trail, at)
    return benign(trail, Silence(agent.id, held), stop=stop, resume=resume)


def first_day(world: World, start: datetime, rng: random.Random, plan: Size) -> Story:
    """A new engineer's first day: mistyped passwords, dozens of documents, repositories and machines, questions."""
    trail = Trail(world, chosen(world, "engineer", plan.agent), rng)
    approval = Approval(required=True, id=f"chg-{rng.randint(10_000, 99_999)}", by=world.by_role["manager"][0].id)
    for item in rng.sample(world.domain("code"), max(2, round(4 * plan.volume))):
        trail.record(
            start, world.by_role["operations"][0], "permission", "acl.update", target=item.target(),
            permission=Permission("grant", trail.who.id, "user", 1, "write", requested="write"), approval=approval,
        )  # fmt: skip
    session = trail.session(start + timedelta(minutes=20), pace=90 / plan.pace)
    for outcome in ("failure", "failure", "success"):
        session.do("auth", "login", target=SSO, outcome=outcome)
    met: list[Event] = []
    for _ in range(round(40 * plan.volume) + 10):
        met.append(session.read(trail.pick(rng.choice(trail.who.role.domains))))
        if rng.random() < 0.3:
            session.call(
                internal_node(rng.randrange(60), rng.choice((20, 30, 40))), "/v1/health", 220, 3_000, "http.get"
            )
    session.call(PACKAGES, "/simple/index", 350, 40_000, "http.get")
    forum.post(trail, session.wait(60), trail.who, forum.new_thread(trail))
    return benign(trail, first_read=met[0], last_read=met[-1])
