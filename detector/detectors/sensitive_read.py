"""The first touch of a sensitive resource: no alert, but what lets correlation join readers to an exposure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from detector.detectors.base import OWASP_AGENTIC, Context, Example, StructDetector, sample
from detector.events import SENSITIVE, Event, Target
from detector.findings import Finding
from detector.wording import number, plural

RESOURCES_MOST: Final = 256


class Touched(msgspec.Struct):
    """Sensitive resources that a principal has touched, in order, the latest `RESOURCES_MOST` kept."""

    resources: dict[str, None] = {}
    total: int = 0


class SensitiveRead(StructDetector[Touched]):
    """A principal's first successful access to a confidential or restricted resource; informational."""

    name = "sensitive_read"
    rules: ClassVar[Mapping[str, str]] = {"first_touch": "touched sensitive data for the first time"}
    runbook = "No action by itself; it tells who read what when an incident is joined."
    tags = (f"{OWASP_AGENTIC}:ASI03",)
    kinds = frozenset({"access", "transfer", "call"})
    State = Touched

    def concerns(self, event: Event, state: Touched, context: Context) -> bool:  # noqa: ARG002
        """Successful touches of what is sensitive."""
        target = event.target
        return target is not None and target.sensitivity in SENSITIVE and event.outcome == "success"

    def detect(self, event: Event, state: Touched, context: Context) -> Iterator[Finding]:
        """A note at the first touch of each resource."""
        target = event.target
        if target is None or target.uri in state.resources:
            return
        read = plural(event.records, "record") if event.records else "an unknown number of records"
        yield self.finding(
            event,
            context,
            "first_touch",
            "SEV4",
            f"{context.principal.id} touched {target.sensitivity} {target.uri} for the first time, reading {read}; "
            f"it had touched {number(state.total)} sensitive resources before in {number(context.principal.events)} "
            "events",
            score=1.0 / (1.0 + state.total),
            entities=(f"resource:{target.uri}",),
            evidence={
                "resource": target.uri,
                "sensitivity": target.sensitivity,
                "records": event.records,
                "bytes_in": event.bytes_in,
                "before": state.total,
            },
        )

    def learn(self, event: Event, state: Touched, context: Context, found: Sequence[Finding]) -> None:  # noqa: ARG002
        """Remember the resource."""
        target = event.target
        if target is None:
            return
        if target.uri not in state.resources:
            state.total += 1
            if len(state.resources) >= RESOURCES_MOST:
                del state.resources[next(iter(state.resources))]
        state.resources.pop(target.uri, None)  # put it last: the one not touched for longest goes first
        state.resources[target.uri] = None

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """The first read of a restricted table, the second, and a public page."""
        secret = Target(uri="db://users/emails", sensitivity="restricted")
        page = Target(uri="https://www.corp.example/", sensitivity="public")
        return [
            Example("a first read", [sample(0, target=secret, records=10)], ("first_touch",)),
            Example("a second read", [sample(0, target=secret), sample(1, target=secret)], ()),
            Example("a public page", [sample(0, target=page)], ()),
        ]
