"""The four stories over and over, each time otherwise, and the look-alikes that must stay quiet.

Agents, hours, volumes, paces, hosts, readers and what the log leaves out differ; all is made from one seed, so
that what is measured can be compared.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from detector.events import Approval, Event, Permission
from detector.scenario import Expectation
from tests.support.simulator import masks
from tests.support.simulator.background import background
from tests.support.simulator.catalogue import EMPLOYEE_MAIL, USER_EMAILS, Host
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios import look_alikes
from tests.support.simulator.scenarios.advice_exposure import AdviceExposure, advice_exposure
from tests.support.simulator.scenarios.inbox_deletion import InboxDeletion, inbox_deletion
from tests.support.simulator.scenarios.moderation_exfil import ModerationExfil, moderation_exfil
from tests.support.simulator.scenarios.sandbox_escalation import SandboxEscalation, sandbox_escalation
from tests.support.simulator.scenarios.story import Story
from tests.support.simulator.streams import stream
from tests.support.simulator.trail import merge, utc
from tests.support.simulator.world import World, build_world
from tests.support.simulator.write import described

_HISTORY: Final = timedelta(days=3)
_AFTERMATH: Final = timedelta(hours=3)


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
    """Variants of one story: how a plan is drawn, and the twists that take turns."""

    name: str
    role: str
    story: Callable[[World, datetime, random.Random, Any], Story]
    plan: Callable[[random.Random], Any]
    twists: tuple[Twist, ...]


@dataclass(frozen=True)
class Variant:
    """One variant: its own company, days and draws, all from its seed."""

    family: Family
    twist: Twist
    seed: int

    def run(self) -> tuple[list[Event], Expectation]:
        """All events by time, and what a detector should make of them."""
        rng = stream(self.seed, "variant", self.family.name)
        begin = utc(2026, 3, 1) + timedelta(days=rng.randrange(28))
        start = begin + _HISTORY + timedelta(hours=rng.uniform(0, 24))
        role = self.twist.role or self.family.role
        world = build_world(self.seed)
        agent = rng.choice([who.id for who in world.by_role[role] if not who.joins])
        if self.twist.newcomer:
            agent = f"{role}-agent-90"
            world = world.hire(role, agent, start - begin - timedelta(hours=rng.uniform(0, 8)))
        plan = replace(self.family.plan(rng), agent=agent, **self.twist.plan)
        story = self._retold(self.family.story(world, start, rng, plan))
        period = Period(begin, story.events[-1].time + _AFTERMATH)
        events = merge(story.events, background(world, period, story.silences))
        return events, Expectation.model_validate(described(self.family.name, self.seed, story))

    def _retold(self, story: Story) -> Story:
        if self.twist.retell is not None:
            story = self.twist.retell(story)
        if self.twist.detectors is not None:
            story = replace(story, alerts=tuple(replace(a, detectors=self.twist.detectors) for a in story.alerts))
        return story


def variants(seed: int, count: int = 20) -> list[Variant]:
    """`count` variants of every family of incidents, a third as many of every look-alike, from one seed."""
    return [
        Variant(family, family.twists[n % len(family.twists)], stream(seed, family.name, str(n)).getrandbits(32))
        for family in FAMILIES
        for n in range(count if family not in LOOK_ALIKES else math.ceil(count / 3))
    ]


def before_a_quarter_has_left(story: Story) -> Story:
    """The alert's bound is the last moment at which less than a quarter of the data was out."""
    sent = [event for event in story.events if event.kind == "transfer"]
    quarter, gone, last = sum(event.bytes_out for event in sent) / 4, 0, sent[0]
    for event in sent:
        gone += event.bytes_out
        if gone >= quarter:
            break
        last = event
    bound = max(60, int((last.time - story.first_harm.time).total_seconds()))
    return replace(story, alerts=tuple(replace(alert, within_seconds=bound) for alert in story.alerts))


def _leaving_out(mask: masks.Mask) -> Callable[[Story], Story]:
    return lambda story: masks.masked(story, mask)


def _between(rng: random.Random, low: float, high: float) -> float:
    """Log-uniform: as likely between 1 and 2 as between 2 and 4."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _exfil(rng: random.Random) -> ModerationExfil:
    return ModerationExfil(
        host=Host(f"in.rank{rng.randint(100, 999)}.example", "external"),
        duration=timedelta(minutes=_between(rng, 6, 60)),
        chunks=rng.randint(40, 200),
        first_bytes=round(180_000 * _between(rng, 0.1, 5)),
        growth=_between(rng, 1, 90),
    )


def _slow(rng: random.Random) -> ModerationExfil:
    """The sample's data in a fiftieth to a hundred-and-fiftieth of its speed: one to two days."""
    return replace(
        _exfil(rng), duration=timedelta(minutes=19) * rng.uniform(50, 150), chunks=rng.randint(110, 300),
        growth=_between(rng, 1, 4), first_bytes=round(1_500_000 * _between(rng, 0.3, 2)),
    )  # fmt: skip


def _escalation(rng: random.Random) -> SandboxEscalation:
    region = rng.choice(("", "-eu", "-us"))
    return SandboxEscalation(
        bucket=Host(f"objects.cloudstore{region}.example", "public", f"drop-{rng.randint(1, 99)}"),
        lead=timedelta(minutes=_between(rng, 20, 600)),
        copies=rng.randint(20, 120),
        pace_seconds=_between(rng, 4, 60),
        first_bytes=round(4_000_000 * _between(rng, 0.1, 5)),
        growth=_between(rng, 1, 8),
    )  # fmt: skip


def _advice(rng: random.Random) -> AdviceExposure:
    return AdviceExposure(
        readers=rng.randint(1, 12),
        first_read=timedelta(seconds=_between(rng, 10, 1_200)),
        exposure=timedelta(minutes=_between(rng, 30, 300)),
    )


def _deletion(rng: random.Random) -> InboxDeletion:
    """A tenth to five times the sample's 14 messages a second, at most 2,500 in all: no mailbox is that small."""
    pace = _between(rng, 1, 10)
    stop_after, overrun = _between(rng, 30, 300), _between(rng, 15, 200)
    batch = min(14 * pace * _between(rng, 0.1, 5), 2_500 * pace / (stop_after + overrun))
    return InboxDeletion(
        batch=max(1, round(batch)), pace_seconds=pace,
        stop_after=timedelta(seconds=stop_after), overrun=timedelta(seconds=overrun),
    )  # fmt: skip


def _size(rng: random.Random) -> look_alikes.Size:
    return look_alikes.Size(volume=_between(rng, 0.3, 3), pace=_between(rng, 0.3, 3))


_PLAIN: Final = Twist("plain")
_NEWCOMER: Final = Twist("newcomer", newcomer=True)
_FORGED: Final = Twist("forged_approval", {"claim": Approval(required=True, id="apr-5f0c21d7", by="hana.sato")})
_EXFIL_TWISTS: Final = (
    _PLAIN,
    Twist("approved_looking_host", {"host": Host("eu.ranksync.example", "approved")}),
    Twist("zone_unknown", {"host": Host("eu.ranksync.example", "unknown")}),
    Twist("public_bucket", {"host": Host("objects.cloudstore.example", "public", "drop-7")}),
    _NEWCOMER,
    Twist("browser_agent", role="research-browser"),
    Twist("triage_agent", role="support-triage"),
    Twist("pipeline_agent", role="data-pipeline"),
)

INCIDENTS: Final[tuple[Family, ...]] = (
    Family("moderation_exfil", "content-moderation", moderation_exfil, _exfil, _EXFIL_TWISTS),
    Family(
        "slow_exfil",
        "content-moderation",
        moderation_exfil,
        _slow,
        tuple(replace(twist, retell=before_a_quarter_has_left) for twist in _EXFIL_TWISTS),
    ),
    Family(
        "sandbox_escalation",
        "knowledge-base",
        sandbox_escalation,
        _escalation,
        (
            _PLAIN,
            Twist("approved_looking_host", {"bucket": Host("files.cloudstore.example", "approved", "corp-drop")}),
            Twist("zone_unknown", {"bucket": Host("files.cloudstore.example", "unknown", "drop-7")}),
            _NEWCOMER,
            Twist("request_not_told", retell=_leaving_out(masks.no_request)),
            Twist("pipeline_agent", role="data-pipeline"),
            Twist("moderation_agent", role="content-moderation"),
        ),
    ),
    Family(
        "advice_exposure",
        "engineering-assistant",
        advice_exposure,
        _advice,
        (
            _PLAIN,
            Twist("reply_without_thread", retell=_leaving_out(masks.no_thread)),
            Twist("trace_instead_of_thread", retell=masks.traced),
            Twist("public", {"opening": Permission("widen", None, "public", None, "read"), "store": USER_EMAILS}),
            Twist(
                "large_group",
                {"opening": Permission("widen", "group:engineering", "group", 900, "read"), "store": EMPLOYEE_MAIL},
            ),
            Twist("support_reads", {"reader_role": "support", "readers": 4}),
            Twist("audience_not_counted", retell=_leaving_out(masks.no_head_count)),
            _FORGED,
            _NEWCOMER,
        ),
    ),
    Family(
        "inbox_deletion",
        "mail-assistant",
        inbox_deletion,
        _deletion,
        (
            _PLAIN,
            Twist("no_container_size", retell=_leaving_out(masks.no_container_size)),
            Twist("yes_not_marked", retell=_leaving_out(masks.unmarked), detectors=("mass_deletion", "stop_violation")),
            _FORGED,
            Twist("one_by_one", {"batch": 1, "pace_seconds": 0.5}),
            _NEWCOMER,
        ),
    ),
)
LOOK_ALIKES: Final[tuple[Family, ...]] = (
    Family(
        "first_backup",
        "data-pipeline",
        look_alikes.first_backup,
        _size,
        (_PLAIN, Twist("service", role="backup"), _NEWCOMER),
    ),
    Family("migration", "data-pipeline", look_alikes.migration, _size, (_PLAIN, _NEWCOMER)),
    Family("onboarding", "support", look_alikes.onboarding, _size, (_NEWCOMER, Twist("analyst", role="analyst"))),
    Family("confirmed_deletion", "mail-assistant", look_alikes.confirmed_deletion, _size, (_PLAIN, _NEWCOMER)),
    Family("load_test", "engineering-assistant", look_alikes.load_test, _size, (_PLAIN, _NEWCOMER)),
    Family("approved_advice", "engineering-assistant", look_alikes.approved_advice, _size, (_PLAIN, _NEWCOMER)),
)
FAMILIES: Final = (*INCIDENTS, *LOOK_ALIKES)
