"""Hosts, routes, buckets, recipients and networks that a principal has never reached before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from pydantic import Field

from detector.detectors.base import (
    ATLAS,
    ATTACK,
    OWASP_AGENTIC,
    Context,
    Detector,
    DetectorSettings,
    Example,
    sample,
)
from detector.detectors.places import PLACES, effective_zone
from detector.detectors.seen import REPORTED_FOR, Seen, Trial, endpoint_key
from detector.endpoints import Endpoint
from detector.events import OUTSIDE, Destination, Event, Target, Zone
from detector.findings import Finding
from detector.severity import Severity
from detector.wording import number, plural, probability, size
from models.base import log10_surprise
from models.novelty import Novelty, NoveltyParams

# Active hours of a role before a place that nobody uses can be called a stray: at first all places are new.
ROLE_HOURS: Final = 20

_NOUNS: Final[Mapping[str, str]] = {
    "host": "host",
    "route": "API route",
    "bucket": "storage bucket",
    "recipient": "recipient",
    "account": "account",
    "segment": "network segment",
}


class NewEndpoint(Detector[Seen]):
    """First-seen endpoints, weighed by how often this principal meets new ones and by what its peers use.

    A new outside endpoint that was only looked at is on trial for a day: it counts as a payload once the sum
    of what was sent to it does, so that a drip is seen like a flood.
    """

    name = "new_endpoint"
    rules: ClassVar[Mapping[str, str]] = {
        "first_host": "reached a host that is new to it and rare among its peers",
        "first_route": "called an API route that is new to it and rare among its peers",
        "first_bucket": "reached a storage bucket that is new to it and rare among its peers",
        "first_recipient": "wrote to a recipient who is new to it and rare among its peers",
        "first_account": "reached an account that is new to it and rare among its peers",
        "first_segment": "reached a network that is new to it and rare among its peers",
    }
    runbook = "Look up who runs the endpoint; approve it for the role, or block it and see what was sent."
    tags = (f"{OWASP_AGENTIC}:ASI02", f"{ATLAS}:AML.T0086", f"{ATTACK}:T1567", f"{ATTACK}:T1530")
    kinds = frozenset({"access", "transfer", "call", "publish"})

    levels = ("public_p", "external_p", "inside_p")

    class Settings(DetectorSettings):
        """Thresholds of `new_endpoint`: how improbable a new endpoint must be, by the zone it lies in."""

        public_p: float = Field(0.05, gt=0, le=1, description="For public storage and sites.")
        external_p: float = Field(0.02, gt=0, le=1, description="For third parties and unknown zones.")
        inside_p: float = Field(1e-4, gt=0, le=1, description="For internal and approved places.")
        payload_bytes: int = Field(
            32_768,
            ge=0,
            description="Bytes sent to a new outside endpoint from which it is more than a look.",
        )

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.params = NoveltyParams()

    def new_state(self) -> Seen:
        """Nothing seen."""
        return Seen()

    def concerns(self, event: Event, state: Seen, context: Context) -> bool:  # noqa: ARG002
        """Acts that reached anything."""
        return event.outcome != "denied" and bool(context.endpoints(event))

    def detect(self, event: Event, state: Seen, context: Context) -> Iterable[Finding]:
        """One finding for the most surprising endpoint of the event, if it is surprising for its zone."""
        strange = [endpoint for endpoint in context.endpoints(event) if not state.is_familiar(endpoint)]
        return self._strangest(event, strange, state, context) if strange else ()

    def _strangest(self, event: Event, reached: Sequence[Endpoint], state: Seen, context: Context) -> Iterator[Finding]:
        best: tuple[float, Endpoint] | None = None
        stray: tuple[float, Endpoint] | None = None
        for endpoint in reached:
            p, told = self._surprise(event, endpoint, state, context)
            zone = effective_zone(endpoint, context)
            if zone in OUTSIDE:
                context.novelty = min(context.novelty, p)
            if not told and p < self._limit(zone) and (best is None or p < best[0]):
                best = p, endpoint
            elif not told and self._is_stray(event, endpoint, p, state, context):
                stray = p, endpoint
        found = best or stray
        if found is not None:
            yield self._finding(event, state, context, *found, note=best is None)

    def _is_stray(self, event: Event, endpoint: Endpoint, p: float, state: Seen, context: Context) -> bool:
        """Whether a payload goes to an outside place that nobody in the fleet uses, surprising or not.

        Worth a note: after a first touch of sensitive data it is no accident (`exfiltration`).
        """
        payload = self._sent(event, state.trials.get(endpoint_key(endpoint))) >= self.settings.payload_bytes
        if (
            p >= 1.0
            or not payload
            or endpoint.namespace not in PLACES
            or effective_zone(endpoint, context) not in OUTSIDE
        ):
            return False
        known = context.priors.hours(context.principal.role) >= ROLE_HOURS
        return known and not context.priors.knows(endpoint.namespace, endpoint.name)

    def _surprise(self, event: Event, endpoint: Endpoint, state: Seen, context: Context) -> tuple[float, bool]:
        """Probability of an endpoint as new as this (1 for one that is known), and whether it was told."""
        key = endpoint_key(endpoint)
        told = state.told(key, context.now)
        if told is not None:
            return told, True
        trial = state.trials.get(key)
        if trial is not None and context.now - trial.since < REPORTED_FOR:
            return trial.p_value, self._sent(event, trial) < self.settings.payload_bytes
        seen = state.names.get(endpoint.namespace)
        if seen is not None and endpoint.name in seen:
            return 1.0, False
        # How often its role goes outside at all is what is known of a newcomer that does.
        outside = effective_zone(endpoint, context) in OUTSIDE
        prior = context.priors.habit(context.principal.role, "bytes outside") if outside else 1.0
        own = prior if seen is None else seen.probability_new(prior)
        return own * context.priors.base(context.principal.role, endpoint.namespace, endpoint.name), False

    @staticmethod
    def _sent(event: Event, trial: Trial | None) -> float:
        return event.bytes_out + (trial.sent if trial is not None else 0.0)

    def _limit(self, zone: Zone) -> float:
        if zone == "public":
            return self.settings.public_p
        return self.settings.external_p if zone in {"external", "unknown"} else self.settings.inside_p

    def _severity(self, sent: float, endpoint: Endpoint, zone: Zone) -> Severity:
        payload = sent >= self.settings.payload_bytes
        if zone == "public":
            return "SEV2" if payload else "SEV3"
        if zone in OUTSIDE:
            return "SEV3" if payload else "SEV4"
        return "SEV3" if endpoint.namespace == "segment" else "SEV4"

    def _finding(
        self, event: Event, state: Seen, context: Context, p: float, endpoint: Endpoint, *, note: bool
    ) -> Finding:
        seen = state.names.get(endpoint.namespace)
        distinct, draws = (seen.distinct, seen.draws) if seen is not None else (0.0, 0.0)
        role = context.principal.role
        in_role, in_fleet = context.priors.users(role, endpoint.namespace, endpoint.name)
        noun = _NOUNS[endpoint.namespace]
        sent = self._sent(event, state.trials.get(endpoint_key(endpoint)))
        first = "for the first time" if sent == event.bytes_out else "as a new one, in several goes"
        used = (
            "nobody in the fleet has used it"
            if not in_fleet
            else f"{plural(in_role, 'peer')} in its role and {number(in_fleet)} in the fleet use it"
        )
        reason = (
            f"{context.principal.id} reached the {endpoint.zone} {noun} {endpoint.name} {first} "
            f"({size(sent)} sent); it used {plural(round(distinct), 'other ' + noun)} "
            f"in {number(round(draws))} hourly uses, and {used}; {probability(p)}"
        )
        return self.finding(
            event,
            context,
            f"first_{endpoint.namespace}",
            "SEV4" if note else self._severity(sent, endpoint, effective_zone(endpoint, context)),
            reason,
            score=log10_surprise(p),
            p_value=p,
            evidence={
                "namespace": endpoint.namespace,
                "endpoint": endpoint.name,
                "zone": endpoint.zone,
                "bytes_out": sent,
                "payload": sent >= self.settings.payload_bytes,
                "distinct_before": round(distinct, 1),
                "peers": in_role,
                "fleet": in_fleet,
            },
        )

    def suspects(self, event: Event, state: Seen, context: Context) -> bool:
        """An endpoint that was reported stays suspect for a day."""
        return bool(state.reported) and any(
            state.told(endpoint_key(endpoint), context.now) is not None for endpoint in context.endpoints(event)
        )

    def learn(self, event: Event, state: Seen, context: Context, found: Sequence[Finding]) -> None:
        """Count the endpoints; new ones of a suspect event are remembered as reported, not as normal."""
        looks = (f for f in found if f.detector == self.name and f.severity == "SEV4" and not f.evidence["payload"])
        noted = {finding.evidence["endpoint"]: finding.p_value for finding in looks}
        for endpoint in context.endpoints(event):
            seen = state.names.get(endpoint.namespace)
            if noted or state.trials:
                self._try(event, endpoint, state, context, noted.get(endpoint.name))
            if context.suspect and (seen is None or endpoint.name not in seen):
                p, _ = self._surprise(event, endpoint, state, context)
                state.remember(endpoint_key(endpoint), context.now, p)
                continue
            if seen is None:
                seen = state.names[endpoint.namespace] = Novelty(self.params)
            if seen.learn_one(endpoint.name, context.now):
                context.group.add_use(endpoint.namespace, endpoint.name)

    def _try(self, event: Event, endpoint: Endpoint, state: Seen, context: Context, p: float | None) -> None:
        """Put a new outside endpoint on trial, or add to what was sent to one that is."""
        key = endpoint_key(endpoint)
        trial = state.trials.get(key)
        if trial is not None and context.now - trial.since < REPORTED_FOR:
            trial.sent += event.bytes_out
            if trial.sent >= self.settings.payload_bytes:
                state.remember(key, context.now, trial.p_value)
                del state.trials[key]
        elif p is not None and effective_zone(endpoint, context) in OUTSIDE:
            state.try_out(key, Trial(context.now, p, float(event.bytes_out)))

    def dump(self, state: Seen) -> Any:
        """As `Seen` has it."""
        return state.dump()

    def load(self, data: Any) -> Seen:
        """Endpoints from their plain data."""
        return Seen().load(data, self.params)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """A drop box after a week at two hosts; a browser's next page; a look at a known host."""

        def called(minute: float, host: str, zone: Zone = "internal", count: int = 900) -> Event:
            return sample(
                minute,
                kind="call",
                action="http_request",
                target=Target(uri=f"https://{host}/v1/items/{int(minute)}"),
                destination=Destination(host=host, zone=zone),
                bytes_out=count,
            )

        week = [called(60.0 * h, f"api-{h % 2}.corp.example") for h in range(120)]
        pages = [called(20.0 * h, f"site-{h}.example", "external") for h in range(120)]
        return [
            Example(
                "50 kB to a drop box nobody uses, after a week at two hosts",
                [*week, called(7300, "drop.example", "external", 50_000)],
                ("first_host",),
            ),
            Example(
                "the same 50 kB in drops",
                [*week, *(called(7300 + m, "drop.example", "external", 5_000) for m in range(10))][:-3],
                ("first_host",),
            ),
            Example("a browser agent's next site", [*pages, called(7300, "site-999.example", "external")], ()),
            Example("a host it knows", [*week, called(7300, "api-1.corp.example")], ()),
        ]
