"""Identities that are not used as they should be: by nobody, by somebody else, from elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from pydantic import Field

from detector.detectors.base import ATTACK, OWASP_AGENTIC, Context, Detector, DetectorSettings, Example
from detector.detectors.familiar import DAY, Days, Familiar, count_day, others_flag, users
from detector.detectors.identity_examples import EXAMPLES
from detector.detectors.own_accounts import ACCOUNT, learn_account
from detector.detectors.signs import ATTRIBUTES, Sign, client, container, network, signs
from detector.events import Event
from detector.findings import Finding
from detector.severity import Severity, at_least, worst
from detector.wording import listing, plural, probability
from models.base import log10_surprise
from models.novelty import Novelty, NoveltyParams

# The names under which peers' networks are counted: where they have been for days, and where they are new today.
SOURCES: Final = "source networks"
ARRIVALS: Final = "new networks of the day"
# So many of the house's own identities at home in a network make it the house's; so many of a role that come to
# a new one within two days have moved, rather than each been stolen.
AT_HOME_LEAST: Final = 2
MOVED_LEAST: Final = 3
# Half a year: what runs once a night is known by some hundred uses.
_PARAMS: Final = NoveltyParams(capacity=32, half_life=180 * DAY)
# What several of a kind and role do is how the house works, and noted.
_USUAL: Final = frozenset({"entered", "one_factor"})
_READ: Final = ATTRIBUTES | {ACCOUNT}


class Uses:
    """Where an identity is used from and with which clients, and what is known of it by habit.

    `homes` are the days on which it was used from a network, `accounts` those whose logs it is in.
    """

    __slots__ = ("accounts", "clients", "familiar", "homes", "networks")

    def __init__(self) -> None:
        self.familiar = Familiar()
        self.homes: dict[str, Days] = {}
        self.accounts: dict[str, None] = {}
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
        "anonymous": "got in without saying who it is",
        "alarm": "did or reported what its source calls suspicious",
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

    levels = ("p",)

    class Settings(DetectorSettings):
        """Thresholds of `identity_misuse`."""

        habit_days: int = Field(3, ge=1, description="Days with like uses after which these are a habit, not told.")
        p: float = Field(0.01, gt=0, lt=1, description="Fires below this probability of a network so new.")

    settings: Settings

    def new_state(self) -> Uses:
        """Never used."""
        return Uses()

    def concerns(self, event: Event, state: Uses, context: Context) -> bool:  # noqa: ARG002
        """Only what its source told something about tells who acted."""
        return not _READ.isdisjoint(event.attributes)

    def detect(self, event: Event, state: Uses, context: Context) -> Iterator[Finding]:
        """One finding for all that is strange about who acted."""
        p = self._p_network(event, state, context)
        found = [
            sign
            for sign in self._strange(event, state, context, p)
            if state.familiar.is_news(_key(sign, event), context)
        ]
        if found:
            yield self._told(event, state, context, found, p)

    def _told(self, event: Event, state: Uses, context: Context, found: Sequence[Sign], p: float) -> Finding:
        address = event.attributes.get("source_ip")
        uri = event.target.uri if event.target else "nothing named"
        approved = context.answer == "approved"
        lead = min(found, key=lambda sign: sign.severity)
        known = f"known from {plural(context.principal.events, 'event')}" if context.principal.events else "never seen"
        finding = self.finding(
            event,
            context,
            lead.rule,
            "SEV4" if approved else worst(*(sign.severity for sign in found)),
            f"{event.actor.id} {listing([sign.why for sign in found], most=4)}: {event.action or event.kind} on {uri}"
            f"{f' from {address}' if address else ''}; {known} before",
            score=1.0 if p >= self.settings.p else log10_surprise(p),
            p_value=p if p < self.settings.p and lead.rule == "new_network" else None,
            evidence={
                "rules": [sign.rule for sign in found],
                "source_ip": address,
                "client": client(event),
                "networks_before": round(state.networks.distinct, 1),
                "uses_before": round(state.networks.draws, 1),
            },
        )
        return msgspec.structs.replace(finding, entities=_entities(event, found, finding.entities))

    def _strange(self, event: Event, state: Uses, context: Context, p: float) -> list[Sign]:
        """What is strange and no habit; a note where several of its kind do it, or come from there."""
        found = []
        for sign in self._signs(event, state, context, p):
            least = self.settings.habit_days
            standing = state.familiar.standing(_key(sign, event), context, least) if sign.habit else "news"
            if standing not in {"habit", "peers"}:
                usual = standing == "common" and sign.rule in _USUAL
                found.append(sign._replace(severity="SEV4") if usual else sign)
        return found

    @staticmethod
    def _p_network(event: Event, state: Uses, context: Context) -> float:
        """How probable a network so new is, by the identity's own past; 1 if it is used from there, or others are."""
        place = network(event)
        if place is None or event.outcome != "success" or place in state.networks or not state.networks.draws:
            return 1.0
        return 1.0 if users(context, SOURCES, place)[1] >= AT_HOME_LEAST else state.networks.probability_new()

    def _elsewhere(self, event: Event, state: Uses, context: Context, p: float) -> Sign:
        name, place = client(event), network(event)
        strange = bool(name) and name not in state.clients
        told = f", with {name}, which it never used" if strange else ""
        role, day = context.principal.role, int(context.now // DAY)
        arrived = max(context.priors.users(role, ARRIVALS, f"{place} {on}")[0] for on in (day - 1, day))
        moved = arrived >= MOVED_LEAST
        why = (
            f"came from {place}, new to it in {plural(round(state.networks.draws), 'hour')} of use from "
            f"{plural(round(state.networks.distinct), 'network')} ({probability(p)}){told}"
            f"{f', as {arrived} others of its role do since today or yesterday' if moved else ''}"
        )
        severity: Severity = "SEV2" if strange else "SEV4" if moved else "SEV3"
        return Sign("new_network", severity, why, f"network {place}")

    def learn(self, event: Event, state: Uses, context: Context, found: Sequence[Finding]) -> None:
        """Count the signs of the day and, unless the event is suspect, the network and the client.

        A network that was told on several days and still is not known becomes so.
        """
        learn_account(event, state.accounts, context)
        if others_flag(self.name, found):
            return
        p = self._p_network(event, state, context)
        strange = [s.rule for s in self._strange(event, state, context, p) if at_least(s.severity, "SEV3")]
        every = self._signs(event, state, context, p)
        self._learn_signs(event, state, context, every)
        place = network(event)
        settled = any(sign.rule == "new_network" for sign in every) and "new_network" not in strange
        if place is None or event.outcome != "success" or (context.suspect and not settled):
            return
        state.networks.learn_one(place, context.now)
        home = state.homes.get(place)
        if not _is_stranger(event) and (home is None or home.last < context.now // DAY):
            count_day(state.homes, place, context, self.settings.habit_days, _PARAMS.capacity, SOURCES)
        if name := client(event):
            state.clients.learn_one(name, context.now)

    def _learn_signs(self, event: Event, state: Uses, context: Context, every: Sequence[Sign]) -> None:
        for sign in every:
            key = _key(sign, event)
            first = state.familiar.is_first(key, context)
            state.familiar.learn(key, context, self.settings.habit_days)
            if sign.rule == "new_network" and first and not _is_stranger(event):
                context.group.add_use(ARRIVALS, f"{network(event)} {int(context.now // DAY)}")

    def suspects(self, event: Event, state: Uses, context: Context) -> bool:
        """Whether the event goes on with what was reported and has not become a habit."""
        strange = self._strange(event, state, context, self._p_network(event, state, context))
        return any(at_least(sign.severity, "SEV3") for sign in strange)

    def _signs(self, event: Event, state: Uses, context: Context, p: float) -> list[Sign]:
        return [*signs(event), *([self._elsewhere(event, state, context, p)] if p < self.settings.p else [])]

    def dump(self, state: Uses) -> Any:
        """[habits, networks, clients, homes, accounts]."""
        homes = msgspec.to_builtins(state.homes)
        familiar = msgspec.to_builtins(state.familiar)
        return [familiar, state.networks.snapshot(), state.clients.snapshot(), homes, list(state.accounts)]

    def load(self, data: Any) -> Uses:
        """Uses from their plain data."""
        familiar, networks, clients, *later = data
        state = Uses()
        state.familiar = msgspec.convert(familiar, Familiar)
        state.networks.restore(networks)
        state.clients.restore(clients)
        if later:  # states saved before homes were told from visits hold none
            state.homes = msgspec.convert(later[0], dict[str, Days])
            state.accounts = dict.fromkeys(later[1])
        return state

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Uses of identities that are strange, and their daily twins."""
        return EXAMPLES


def _key(sign: Sign, event: Event) -> str:
    """What a sign is counted under: what fails is a habit by itself, and excuses nothing that succeeds."""
    key = sign.habit or sign.rule
    return key if event.outcome == "success" else f"{key} {event.outcome}"


def _is_stranger(event: Event) -> bool:
    """Whether it is an identity of another house, which can be taught whatever its owner likes."""
    return event.attributes.get("outside") is True or event.attributes.get("anonymous") is True


def _entities(event: Event, found: Sequence[Sign], common: Sequence[str]) -> tuple[str, ...]:
    """What a finding is joined by. Those without a name are not one and the same: what they reached joins them."""
    uri = event.target.uri if event.target else None
    if any(sign.rule == "anonymous" for sign in found):
        named = [name for name in common if not name.startswith("principal:")]
        return (*named, f"resource:{container(uri)}") if uri else tuple(named)
    moved = [f"network:{network(event)}"] if any(sign.rule == "new_network" for sign in found) else []
    return (*common, *([f"resource:{uri}"] if uri else []), *moved)
