"""Acts outside what the charter gives an agent to do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from detector.charter import NOTHING, Charter
from detector.detectors.base import ATLAS, OWASP_AGENTIC, START, Context, Example, StructDetector, sample
from detector.detectors.rows import Row, count_on, current, is_milestone
from detector.events import SENSITIVE, Destination, Event, Kind, Permission, Sensitivity, Target
from detector.findings import Finding
from detector.severity import Severity
from detector.wording import number

# A breach of one rule by one name is told once within this many seconds, then at its tenth, hundredth …
AGAIN_SECONDS: Final = 86400.0
BREACHES_MOST: Final = 64

# Active hours of a role before its habits stand in for a charter.
KNOWN_HOURS: Final = 200

# Namespace of the peers' knowledge: who touches which class of data.
CLASSES: Final = "sensitivity"

# The same for those in whose case that was told: the next of the role is a note, not another alert.
TOLD: Final = "sensitivity_told"

_WHAT: Final[Mapping[str, str]] = {
    "action": "an action that its charter does not name",
    "sensitivity": "data more sensitive than its charter allows",
    "resource": "a resource outside its charter",
    "destination": "a destination outside its charter",
    "grant": "access that ends later than its charter allows, or never",
}


_READS: Final[frozenset[Kind]] = frozenset({"access", "transfer", "call"})


class Breaches(msgspec.Struct):
    """Breaches by rule and name, the latest `BREACHES_MOST` kept; sensitivities that were ever touched."""

    seen: dict[str, Row] = {}
    classes: dict[Sensitivity, None] = {}


class OutOfCharter(StructDetector[Breaches]):
    """An act that the charter does not cover, or the habits that stand in for one that was never written.

    By habit only the class of data is judged: an agent that touches confidential or restricted data, which
    neither it nor anybody in its role ever did, is told once.
    """

    name = "out_of_charter"
    rules: ClassVar[Mapping[str, str]] = {
        "action": "did what its charter does not name",
        "sensitivity": "touched data more sensitive than its charter allows",
        "resource": "touched a resource outside its charter",
        "destination": "sent data to a destination outside its charter",
        "grant": "gave access for longer than its charter allows",
        "first_of_class": "touched data of a sensitivity that is new to its role",
    }
    runbook = "Ask who widened the agent's task; extend the charter, or stop the agent and see what it took."
    tags = (f"{OWASP_AGENTIC}:ASI02", f"{OWASP_AGENTIC}:ASI10", f"{ATLAS}:AML.T0053")
    kinds = frozenset({"access", "transfer", "call", "permission", "publish", "delete"})
    State = Breaches

    def concerns(self, event: Event, state: Breaches, context: Context) -> bool:
        """All of an agent with a charter, else the first touch of a class of data."""
        if context.charter is not NOTHING:
            return True
        touched = _class_touched(event)
        return touched is not None and touched not in state.classes

    def detect(self, event: Event, state: Breaches, context: Context) -> Iterator[Finding]:
        """A finding at the first breach of a rule by a name, the tenth, the hundredth and so on."""
        broken = context.charter.breach(event)
        if broken is None:
            yield from self._first_of_class(event, state, context)
        if broken is None or event.outcome == "denied":
            return
        rule, name = broken
        count = current(state.seen.get(f"{rule} {name}"), context.now, AGAIN_SECONDS).count + 1
        if not is_milestone(count):
            return
        times = "" if count == 1 else f", {number(count)} times within a day"
        yield self.finding(
            event,
            context,
            rule,
            self._severity(rule, event),
            f"{context.principal.id} did {event.action or event.kind} with {_WHAT[rule]}: {name}{times}",
            score=1.0,
            evidence={"name": name, "count": count, "sensitivity": event.target.sensitivity if event.target else None},
        )

    def _first_of_class(self, event: Event, state: Breaches, context: Context) -> Iterator[Finding]:
        touched, role, priors = _class_touched(event), context.principal.role, context.priors
        if touched is None or touched in state.classes or context.principal.kind != "agent":
            return
        hours = priors.hours(role)
        if hours < KNOWN_HOURS or context.answer == "approved" or priors.users(role, CLASSES, touched)[0]:
            return
        assert event.target is not None  # noqa: S101 - a class is that of a target
        told = bool(priors.users(role, TOLD, touched)[0])
        yield self.finding(
            event,
            context,
            "first_of_class",
            "SEV4" if told else "SEV3",
            f"{context.principal.id} touched {touched} data, {event.target.uri}; neither it nor anybody of its role "
            f"ever did{' unremarked' if told else ''}, in {number(hours)} hours of work",
            score=0.5,
            entities=(f"resource:{event.target.uri}",),
            evidence={"name": touched, "sensitivity": touched, "role_hours": hours},
        )

    @staticmethod
    def _severity(rule: str, event: Event) -> Severity:
        sensitive = event.target is not None and event.target.sensitivity in SENSITIVE
        outside = event.destination is not None and event.destination.zone in {"external", "public"}
        return "SEV2" if sensitive or (rule == "destination" and outside) else "SEV3"

    def suspects(self, event: Event, state: Breaches, context: Context) -> bool:  # noqa: ARG002
        """Whatever is outside the charter."""
        return context.charter.breach(event) is not None

    def learn(self, event: Event, state: Breaches, context: Context, found: Sequence[Finding]) -> None:
        """Count the breach on, and the class of data among the habits."""
        touched = _class_touched(event)
        if touched is not None and touched not in state.classes:
            state.classes[touched] = None
            # What was told or noted is no habit yet; only touches that nobody remarked make the class known.
            remarked = context.suspect or any(f.detector == self.name for f in found)
            context.group.add_use(TOLD if remarked else CLASSES, touched)
        broken = context.charter.breach(event)
        if broken is None or event.outcome == "denied":
            return
        count_on(state.seen, " ".join(broken), context.now, AGAIN_SECONDS, BREACHES_MOST)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Reads, acts and sends inside and outside the charter of a support agent."""
        charter = Charter(
            actions=frozenset({"access", "reply", "permission"}),
            resources=("db://crm/*",),
            sensitivities=frozenset({"public", "internal"}),
            destinations=(".corp.example", "10.2.0.0/16"),
            grants_end_within=3600.0,
        )
        tickets = Target(uri="db://crm/tickets", sensitivity="internal")
        salaries = Target(uri="db://hr/salaries", sensitivity="internal")
        secret = Target(uri="db://crm/cards", sensitivity="restricted")

        def reply(host: str) -> Event:
            return sample(kind="transfer", action="reply", destination=Destination(host=host, zone="external"))

        def granted(minutes: float | None) -> Event:
            ends = None if minutes is None else START + timedelta(minutes=minutes)
            return sample(kind="permission", target=tickets,
                          permission=Permission("grant", "agent-2", "user", 1, "read", expires_at=ends))  # fmt: skip

        stories: Sequence[tuple[str, Event, tuple[str, ...]]] = (
            ("a table of its own", sample(target=tickets), ()),
            ("another department's table", sample(target=salaries), ("resource",)),
            ("cards", sample(target=secret), ("sensitivity",)),
            ("a delete", sample(kind="delete", action="drop", target=tickets), ("action",)),
            ("a reply inside", reply("mail.corp.example"), ()),
            ("a reply within its network", reply("10.2.7.9"), ()),
            ("access for half an hour", granted(30), ()),
            ("access for a day", granted(1440), ("grant",)),
            ("access without an end", granted(None), ("grant",)),
            ("a reply to a stranger", reply("drop.example"), ("destination",)),
        )
        return [Example(story, [event], fires, charter) for story, event, fires in stories] + [
            Example("the same without a charter", [sample(target=salaries)], ()),
            Example(
                "restricted data, in a role that never touched any",
                [*(sample(60.0 * hour, target=tickets) for hour in range(210)), sample(12_700, target=secret)],
                ("first_of_class",),
            ),
        ]


def _class_touched(event: Event) -> Sensitivity | None:
    """The sensitive class of data that the event really reached, if it did."""
    target = event.target
    if target is None or target.sensitivity not in SENSITIVE:
        return None
    return target.sensitivity if event.outcome == "success" and event.kind in _READS else None
