"""Identities that are not used as they should be: by nobody, by somebody else, from elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from pydantic import Field

from detector.detectors.base import ATTACK, OWASP_AGENTIC, Context, Detector, DetectorSettings, Example, sample
from detector.detectors.familiar import Familiar, others_flag
from detector.detectors.signs import Sign, client, network, signs
from detector.events import Actor, Event, Target
from detector.findings import Finding
from detector.severity import at_least, worst
from detector.wording import listing, number, plural, probability
from models.base import log10_surprise
from models.novelty import Novelty, NoveltyParams

# The name under which peers' networks are counted.
SOURCES: Final = "source networks"
_PARAMS: Final = NoveltyParams(capacity=32)


class Uses:
    """Where an identity is used from and with which clients, and what is known of it by habit."""

    __slots__ = ("clients", "familiar", "networks")

    def __init__(self) -> None:
        self.familiar = Familiar()
        self.networks = Novelty(_PARAMS)
        self.clients = Novelty(_PARAMS)


class IdentityMisuse(Detector[Uses]):
    """Anonymous access, break-glass accounts, sign-ons that the source doubts, and stolen credentials.

    What the source tells is taken at its word (see `signs`). A machine's credentials are also known by the networks
    they are used from: a new one is a sign of theft if the identity has long been used from few, and no peer is
    ever there.
    """

    name = "identity_misuse"
    rules: ClassVar[Mapping[str, str]] = {
        "anonymous": "let in somebody unknown",
        "alarm": "is called suspicious by the source",
        "root_used": "used the account that may do everything",
        "one_factor": "signed on by a password alone",
        "unusual_sign_on": "signed on in unusual ways",
        "entered": "entered a running machine or workload",
        "outside_code": "ran code of strangers with its own rights",
        "impersonated": "acted in the name of those who may do everything",
        "out_of_place": "used a machine's credentials from elsewhere",
        "new_network": "came from a network that its identity is never used from",
    }
    runbook = (
        "Ask its owner whether that was them; if not, end the sessions, take back the credentials, see what it did."
    )
    tags = (f"{OWASP_AGENTIC}:ASI03", f"{ATTACK}:T1078.004", f"{ATTACK}:T1550.001", f"{ATTACK}:T1552.005")
    kinds = frozenset({"access", "transfer", "call", "permission", "publish", "delete", "auth"})

    class Settings(DetectorSettings):
        """Thresholds of `identity_misuse`."""

        habit_days: int = Field(3, ge=1, description="Days with like uses after which these are a habit, not told.")
        p: float = Field(0.01, gt=0, lt=1, description="Fires below this probability of a network so new.")

    settings: Settings

    def new_state(self) -> Uses:
        """Never used."""
        return Uses()

    def detect(self, event: Event, state: Uses, context: Context) -> Iterator[Finding]:
        """One finding for all that is strange about who acted."""
        if not event.attributes:
            return
        p = self._p_network(event, state, context)
        found = [sign for sign in self._signs(event, state, p) if self._is_news(sign, state, context)]
        if not found:
            return
        address = event.attributes.get("source_ip")
        uri = event.target.uri if event.target else "nothing named"
        approved = context.answer == "approved"
        lead = min(found, key=lambda sign: sign.severity)
        yield self.finding(
            event,
            context,
            lead.rule,
            "SEV4" if approved else worst(*(sign.severity for sign in found)),
            f"{event.actor.id} {listing([sign.why for sign in found], most=4)}: {event.action or event.kind} on {uri}"
            f"{f' from {address}' if address else ''}; known from {number(context.principal.events)} events",
            score=1.0 if p >= self.settings.p else log10_surprise(p),
            p_value=p if p < self.settings.p and lead.rule == "new_network" else None,
            entities=(f"resource:{event.target.uri}",) if event.target else (),
            evidence={
                "rules": [sign.rule for sign in found],
                "source_ip": address,
                "client": client(event),
                "networks_before": round(state.networks.distinct, 1),
                "uses_before": round(state.networks.draws, 1),
            },
        )

    def _is_news(self, sign: Sign, state: Uses, context: Context) -> bool:
        return not self._is_habit(sign, state, context) and state.familiar.is_news(sign.habit or sign.rule, context.now)

    def _is_habit(self, sign: Sign, state: Uses, context: Context) -> bool:
        return bool(sign.habit) and state.familiar.is_habit(sign.habit, context, self.settings.habit_days)

    @staticmethod
    def _p_network(event: Event, state: Uses, context: Context) -> float:
        """How probable a network so new is, by the identity's own past; 1 if it or anybody else is used from there."""
        place = network(event)
        if place is None or event.outcome != "success" or place in state.networks or not state.networks.draws:
            return 1.0
        in_fleet = context.priors.users(context.principal.role, SOURCES, place)[1]
        return 1.0 if in_fleet else state.networks.probability_new()

    def _elsewhere(self, event: Event, state: Uses, p: float) -> Sign:
        name = client(event)
        strange = bool(name) and name not in state.clients
        told = f", with {name}, which it never used" if strange else ""
        why = (
            f"came from {network(event)}, new to it in {plural(round(state.networks.draws), 'hour')} of use from "
            f"{plural(round(state.networks.distinct), 'network')} ({probability(p)}){told}"
        )
        return Sign("new_network", "SEV2" if strange else "SEV3", why, f"network {network(event)}")

    def learn(self, event: Event, state: Uses, context: Context, found: Sequence[Finding]) -> None:
        """Count the signs of the day and, unless the event is suspect, the network and the client.

        A network that was told on several days and still is not known becomes so.
        """
        if not event.attributes or others_flag(self.name, found):
            return
        every = self._signs(event, state, self._p_network(event, state, context))
        settled = [sign.rule for sign in every if self._is_habit(sign, state, context)]
        for sign in every:
            state.familiar.learn(sign.habit or sign.rule, context, self.settings.habit_days)
        place = network(event)
        if place is None or event.outcome != "success" or (context.suspect and "new_network" not in settled):
            return
        if state.networks.learn_one(place, context.now):
            context.group.add_use(SOURCES, place)
        if name := client(event):
            state.clients.learn_one(name, context.now)

    def suspects(self, event: Event, state: Uses, context: Context) -> bool:
        """Whether the event goes on with what was reported and has not become a habit."""
        if not event.attributes:
            return False
        every = self._signs(event, state, self._p_network(event, state, context))
        return any(at_least(sign.severity, "SEV3") and not self._is_habit(sign, state, context) for sign in every)

    def _signs(self, event: Event, state: Uses, p: float) -> list[Sign]:
        return [*signs(event), *([self._elsewhere(event, state, p)] if p < self.settings.p else [])]

    def dump(self, state: Uses) -> Any:
        """[habits, networks, clients]."""
        return [msgspec.to_builtins(state.familiar), state.networks.snapshot(), state.clients.snapshot()]

    def load(self, data: Any) -> Uses:
        """Uses from their plain data."""
        familiar, networks, clients = data
        state = Uses()
        state.familiar = msgspec.convert(familiar, Familiar)
        state.networks.restore(networks)
        state.clients.restore(clients)
        return state

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Uses of identities that are strange, and their daily twins."""

        def use(minute: float, *, actor: Actor | None = None, action: str = "get", **attributes: Any) -> Event:
            kind = attributes.pop("kind", "access")
            outcome = attributes.pop("outcome", "success")
            target = Target(uri=attributes.pop("uri", "k8s://prod/web/pods"))
            return sample(
                minute, actor=actor, kind=kind, action=action, target=target, outcome=outcome, attributes=attributes
            )

        nobody = Actor(id="system:anonymous")
        machine = Actor(id="role/web", session="i-0317f6c6b66ae9c40")
        hours = [use(60.0 * hour, source_ip="52.1.2.3", user_agent="Boto3/1.3") for hour in range(200)]
        elsewhere = use(13000, source_ip="185.4.5.6", user_agent="curl/8")
        entering = [use(1440.0 * day, remote_command="exec") for day in range(6)]
        mac = "aws-cli/1.18 Python/3.8 Darwin/19.6"
        return [
            Example("nobody reads the pods", [use(0, actor=nobody, anonymous=True)], ("anonymous",)),
            Example("the source calls it suspicious", [use(0, kind="auth", alarm=True)], ("alarm",)),
            Example("root signs on", [use(0, kind="auth", root=True)], ("root_used",)),
            Example("a password alone", [use(0, kind="auth", second_factor=False)], ("one_factor",)),
            Example("two unusual things", [use(0, kind="auth", unusual="New IP, New Device")], ("unusual_sign_on",)),
            Example("a shell in a pod", [use(0, remote_command="exec")], ("entered",)),
            Example("a fork's code in the pipeline", [use(0, outside_code="stranger/app")], ("outside_code",)),
            Example("in the masters' name", [use(0, impersonated_groups=["system:masters"])], ("impersonated",)),
            Example("an instance's role on a desktop", [use(0, actor=machine, user_agent=mac)], ("out_of_place",)),
            Example("200 hours here, then elsewhere", [*hours, elsewhere], ("new_network",)),
            Example("nobody is turned away", [use(0, actor=nobody, anonymous=True, outcome="denied")], ()),
            Example("one unusual thing", [use(0, kind="auth", unusual="New IP")], ()),
            Example("a sign-on with both factors", [use(0, kind="auth", second_factor=True)], ()),
            Example("a shell each day", entering, ()),
            Example("an instance's role on its instance", [use(0, actor=machine, user_agent="aws-cli Linux/5")], ()),
            Example("a new network at the start", [use(0, source_ip="52.1.2.3"), use(9, source_ip="185.4.5.6")], ()),
            Example("an address nearby", [*hours, use(13000, source_ip="52.1.9.9", user_agent="curl/8")], ()),
        ]
