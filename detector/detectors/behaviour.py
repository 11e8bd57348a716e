"""Mixes of actions, and orders of them, that no peer's hours show: nothing alone, but strange together."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import Field

from detector.activity import BY_NAME, HOUR, Activity
from detector.detectors.base import OWASP_AGENTIC, Context, Detector, DetectorSettings, Example, sample
from detector.events import KINDS, Actor, Event, Target
from detector.findings import Finding
from detector.suppressions import silent_from
from detector.wording import number, plural, probability
from models.base import log10_surprise
from models.sequence import Contexts, shared
from models.sequence import Sequence as ActionSequence

NEVER: Final = float("-inf")
_NOTHING: Final = (None, None)

# What a run's mean surprise counts for, in steps: they are not independent, so fewer than the run is long.
RUN_WEIGHT: Final = 2.0

SESSIONS_MOST: Final = 8

# Targets whose host says what is acted on. Web addresses don't: there are too many of them.
_WEB: Final = frozenset({"http", "https"})


class Watched:
    """One principal's habits and its hour so far; `suspect` once the hour holds something that was flagged.

    `places` is where each of its latest sessions stands: the contexts of its next action, the mean of its run.
    """

    __slots__ = ("actions", "activity", "places", "reported", "suspect")

    def __init__(self) -> None:
        self.actions = ActionSequence()
        self.activity = Activity()
        self.places: dict[str, tuple[Contexts, float]] = {}
        self.suspect = False
        self.reported: dict[str, float] = {}


def action_name(event: Event) -> str:
    """What was done, by kind, operation and the system it was done to; no identifiers.

    >>> action_name(sample(0, action="query", target=Target(uri="db://crm/customers")))
    'access query db://crm'
    """
    if event.target is None:
        return f"{event.kind} {event.action}".rstrip()
    system = _system(event.target.uri)
    return f"{event.kind} {event.action}" if system is None else f"{event.kind} {event.action} {system}".rstrip()


@lru_cache(maxsize=4096)
def _system(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    return parts.scheme if parts.scheme in _WEB or not parts.netloc else f"{parts.scheme}://{parts.netloc}"


class Behaviour(Detector[Watched]):
    """The hour as a whole against the hours of the role, and the order of actions against the habits of both.

    The hour is judged after its 8th, 16th, 32nd … act, so in its midst and not at its end, and no oftener than
    is needed. The order is judged by the mean surprise of the last few actions: one odd step is no finding.
    People are left out: they have no routine that could be broken, and it is not them who are watched.
    """

    name = "behaviour"
    rules: ClassVar[Mapping[str, str]] = {
        "unlike_peers": "does a mix of things that its peers' hours never show",
        "unlike_habit": "does one thing after another in an order that is not its own nor its peers'",
    }
    runbook = "Compare the session with the agent's task; ask its owner whether its prompt, tools or model changed."
    tags = (f"{OWASP_AGENTIC}:ASI10", f"{OWASP_AGENTIC}:ASI02")
    kinds = frozenset(KINDS) - {"control"}
    channels = ("behaviour hour", "behaviour order")

    class Settings(DetectorSettings):
        """What `behaviour` looks at, and its thresholds."""

        hours: bool = Field(True, description="Whether hours are held against those of the role.")
        order: bool = Field(True, description="Whether the order of actions is held against habits.")
        hour_p: float = Field(
            1e-4, gt=0, lt=1, description="Fires below this tail probability of an hour, until tests are measured."
        )
        order_p: float = Field(
            1e-4, gt=0, lt=1, description="The same for a run of actions, of which every two count as one test."
        )
        acts: int = Field(8, ge=1, description="Acts in an hour below which it is not judged.")
        repeat_after: float = Field(21_600.0, gt=0, description="Seconds before the same is said again.")

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # Asked for each event.
        self._hours, self._orders, self._acts, self._order_p = (
            settings.hours, settings.order, settings.acts, settings.order_p
        )  # fmt: skip

    def new_state(self) -> Watched:
        """Nothing done yet."""
        return Watched()

    def concerns(self, event: Event, state: Watched, context: Context) -> bool:  # noqa: ARG002
        """Not people: they have no routine that could be broken."""
        return context.principal.kind != "human"

    def detect(self, event: Event, state: Watched, context: Context) -> Sequence[Finding]:
        """At most one finding for the hour and one for the order."""
        found = (
            self._hour(event, state, context) if self._hours else None,
            self._order(event, state, context) if self._orders else None,
        )
        return () if found == _NOTHING else [finding for finding in found if finding is not None]

    def _hour(self, event: Event, state: Watched, context: Context) -> Finding | None:
        before, hour = state.activity, context.now // HOUR
        if hour < before.hour:
            return None
        acts = (before.events if hour == before.hour else 0) + 1
        if acts & (acts - 1) or acts < self._acts:  # not at a `milestone`
            return None
        usual = context.habits.hours(context.principal.role)
        if not usual.ready:
            return None
        activity = before.copy()
        activity.add(event, context.now)
        vector = activity.named()
        p = usual.p_value(vector)
        beyond = context.test("behaviour hour", log10_surprise(p), self.settings.hour_p)
        if not beyond or not self._is_news(state, "unlike_peers", context.now):
            return None
        odd = usual.explain(vector)
        why = dict.fromkeys(BY_NAME[d.feature].told(d.value, d.expected, d.expected) for d in odd)
        return self.finding(
            event,
            context,
            "unlike_peers",
            "SEV3",
            f"the hour of {context.principal.id} after {plural(acts, 'act')} is unlike {number(usual.size)} hours of "
            f"its peers: {'; '.join(why)}; {probability(p)}",
            score=log10_surprise(p),
            p_value=p,
            evidence={
                "acts": acts,
                "sample": usual.size,
                "features": {d.feature: [d.value, d.expected] for d in odd},
            },
        )

    def _order(self, event: Event, state: Watched, context: Context) -> Finding | None:
        place = state.places.get(event.actor.session or "")
        if place is None:
            return None  # the first act of a session follows no other
        contexts, recent = place
        action = action_name(event)
        surprise = self._surprise(action, state, context, contexts)
        context.step = action, surprise
        run = state.actions.score_run(surprise, recent)
        beyond = context.test("behaviour order", RUN_WEIGHT * run, self._order_p)
        if not beyond or not self._is_news(state, "unlike_habit", context.now):
            return None
        length = state.actions.params.run
        return self.finding(
            event,
            context,
            "unlike_habit",
            "SEV3",
            f"the last {number(length)} or so actions of {context.principal.id} follow each other as neither it nor "
            f"its peers do: a step is as improbable as {probability(10.0**-run)} in the mean, latest "
            f"{action}",
            score=RUN_WEIGHT * run,
            evidence={"run": round(run, 3), "step": round(surprise, 3), "action": action},
        )

    @staticmethod
    def _surprise(action: str, state: Watched, context: Context, contexts: Contexts) -> float:
        prior = context.habits.actions(context.principal.role)
        return state.actions.score_one(action, prior.probability(contexts, action), contexts)

    def _is_news(self, state: Watched, rule: str, now: float) -> bool:
        return now - state.reported.get(rule, NEVER) >= self.settings.repeat_after

    def learn(self, event: Event, state: Watched, context: Context, found: Sequence[Finding]) -> None:
        """Count the action, and add the hour that is over to the peers' if nothing in it was flagged."""
        if context.now // HOUR > state.activity.hour:
            if state.activity.events and not state.suspect:
                context.own_habits.hours.add(context.principal.id, state.activity.hour, state.activity.named)
            state.suspect = False
        state.suspect = state.suspect or context.suspect
        state.activity.add(event, context.now)
        session, actions = event.actor.session or "", state.actions
        place = state.places.pop(session, None)
        if place is None:
            actions.reset()
            actions.recent = 0.0
        else:
            actions.contexts, actions.recent = place
        if place is None or context.step is None:
            action = action_name(event)
            surprise = self._surprise(action, state, context, actions.contexts)
        else:
            action, surprise = context.step
        followed = actions.learn_one(action, surprise, flagged=context.suspect)
        if followed is not None:
            context.own_habits.actions.add(followed, action)
        state.places[session] = actions.contexts, actions.recent
        if len(state.places) > SESSIONS_MOST:
            del state.places[next(iter(state.places))]
        for finding in found:
            if finding.detector == self.name:
                state.reported[finding.rule] = silent_from(finding, context.now, self.settings.repeat_after)

    def dump(self, state: Watched) -> Any:
        """[actions, activity, {session: place}, suspect, {rule: time of the last report}]."""
        actions, activity = state.actions.snapshot(), state.activity.dump()
        return [actions, activity, dict(state.places), state.suspect, dict(state.reported)]

    def load(self, data: Any) -> Watched:
        """Habits from their plain data."""
        actions, activity, places, suspect, reported = data
        state = Watched()
        state.actions.restore(actions)
        state.activity.load(activity)
        state.places = {session: (shared(contexts), recent) for session, (contexts, recent) in places.items()}
        state.suspect, state.reported = suspect, dict(reported)
        return state

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """An hour of reading what nobody reads, after days of routine among peers; and one more hour of routine."""

        def act(hour: int, n: int, who: int, action: str, uri: str) -> Event:
            minute = 60.0 * hour + 5.0 * n + 0.1 * who
            actor = Actor(id=f"agent-{who}", role="assistant", session=f"s-{who}-{hour}")
            return sample(minute, id=f"e-{hour}-{n}-{who}", actor=actor, action=action, target=Target(uri=uri),
                          bytes_in=1_000 + 10 * (hour * 7 + n * 3 + who) % 500)  # fmt: skip

        routine = [("search", "kb://articles"), ("read", "kb://articles"), ("reply", "mail://inbox")]
        usual = [act(h, n, who, *routine[n % 3]) for h in range(64) for n in range(6 + h % 3) for who in range(6)]
        hour = [act(65, n, 0, *routine[n % 3]) for n in range(8)]
        strange = [act(65, n, 0, f"dump_{n}", f"db://hr-{n}/{n}") for n in range(12)]
        return [
            Example("eight systems in a row that nobody ever queried", [*usual, *strange[:8]], ("unlike_peers",)),
            Example("an hour as always", [*usual, *hour], ()),
            Example("a routine of which nothing is known", hour, ()),
        ]
