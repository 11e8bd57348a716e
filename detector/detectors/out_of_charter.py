"""Acts outside what the charter gives an agent to do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from detector.charter import Charter
from detector.detectors.base import ATLAS, OWASP_AGENTIC, Context, Example, StructDetector, sample
from detector.detectors.rows import Row, count_on, current, is_milestone
from detector.events import SENSITIVE, Destination, Event, Target
from detector.findings import Finding
from detector.severity import Severity
from detector.wording import number

# A breach of one rule by one name is told once within this many seconds, then at its tenth, hundredth …
AGAIN_SECONDS: Final = 86400.0
BREACHES_MOST: Final = 64

_WHAT: Final[Mapping[str, str]] = {
    "action": "an action that its charter does not name",
    "sensitivity": "data more sensitive than its charter allows",
    "resource": "a resource outside its charter",
    "destination": "a destination outside its charter",
}


class Breaches(msgspec.Struct):
    """Breaches by rule and name, the latest `BREACHES_MOST` kept."""

    seen: dict[str, Row] = {}


class OutOfCharter(StructDetector[Breaches]):
    """An act that the charter does not cover. Silent for those who have none."""

    name = "out_of_charter"
    rules: ClassVar[Mapping[str, str]] = {
        "action": "did what its charter does not name",
        "sensitivity": "touched data more sensitive than its charter allows",
        "resource": "touched a resource outside its charter",
        "destination": "sent data to a destination outside its charter",
    }
    runbook = "Ask who widened the agent's task; extend the charter, or stop the agent and see what it took."
    tags = (f"{OWASP_AGENTIC}:ASI02", f"{OWASP_AGENTIC}:ASI10", f"{ATLAS}:AML.T0053")
    kinds = frozenset({"access", "transfer", "call", "permission", "publish", "delete"})
    State = Breaches

    def detect(self, event: Event, state: Breaches, context: Context) -> Iterator[Finding]:
        """A finding at the first breach of a rule by a name, the tenth, the hundredth and so on."""
        broken = context.charter.breach(event)
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

    @staticmethod
    def _severity(rule: str, event: Event) -> Severity:
        sensitive = event.target is not None and event.target.sensitivity in SENSITIVE
        outside = event.destination is not None and event.destination.zone in {"external", "public"}
        return "SEV2" if sensitive or (rule == "destination" and outside) else "SEV3"

    def suspects(self, event: Event, state: Breaches, context: Context) -> bool:  # noqa: ARG002
        """Whatever is outside the charter."""
        return context.charter.breach(event) is not None

    def learn(self, event: Event, state: Breaches, context: Context, found: Sequence[Finding]) -> None:  # noqa: ARG002
        """Count the breach on."""
        broken = context.charter.breach(event)
        if broken is None or event.outcome == "denied":
            return
        count_on(state.seen, " ".join(broken), context.now, AGAIN_SECONDS, BREACHES_MOST)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Reads, acts and sends inside and outside the charter of a support agent."""
        charter = Charter(
            actions=frozenset({"access", "reply"}),
            resources=("db://crm/*",),
            sensitivities=frozenset({"public", "internal"}),
            destinations=(".corp.example", "10.2.0.0/16"),
        )
        tickets = Target(uri="db://crm/tickets", sensitivity="internal")
        salaries = Target(uri="db://hr/salaries", sensitivity="internal")
        secret = Target(uri="db://crm/cards", sensitivity="restricted")

        def reply(host: str) -> Event:
            return sample(kind="transfer", action="reply", destination=Destination(host=host, zone="external"))

        stories: Sequence[tuple[str, Event, tuple[str, ...]]] = (
            ("a table of its own", sample(target=tickets), ()),
            ("another department's table", sample(target=salaries), ("resource",)),
            ("cards", sample(target=secret), ("sensitivity",)),
            ("a delete", sample(kind="delete", action="drop", target=tickets), ("action",)),
            ("a reply inside", reply("mail.corp.example"), ()),
            ("a reply within its network", reply("10.2.7.9"), ()),
            ("a reply to a stranger", reply("drop.example"), ("destination",)),
        )
        return [Example(story, [event], fires, charter) for story, event, fires in stories] + [
            Example("the same without a charter", [sample(target=salaries)], ()),
        ]
