"""Hours that are unlike nearly all hours of the whole fleet, by a forest that was trained on history."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from pydantic import Field

from detector.activity import BY_NAME, HOUR, NAMES, Activity, milestone
from detector.detectors.base import (
    OWASP_AGENTIC,
    Context,
    Detector,
    DetectorSettings,
    Example,
    sample,
)
from detector.events import Destination, Event
from detector.findings import Finding
from detector.wording import number, plural, probability
from models.base import log10_surprise
from models.forest import Forest, Nodes

NEVER: Final = float("-inf")


class Watched:
    """One principal's hour so far, and when it was last reported; nothing while there is no forest."""

    __slots__ = ("activity", "reported_at")

    def __init__(self) -> None:
        self.activity: Activity | None = None
        self.reported_at = NEVER


class ForestChallenger(Detector[Watched]):
    """A second opinion on the hour as a whole, beside the detectors that watch one thing each.

    The hour is judged after its 1st, 2nd, 4th, 8th … act. The forest knows the fleet and not the principal, and
    what is rare is mostly harmless: so it only notes, and pages nobody. Without a model it stays silent.

    Args:
        settings: Its settings; `model` is where its forest was read from, by who made the detector.
        forest: The trained forest, over the features of `detector.activity`.
    """

    name = "forest_challenger"
    rules: ClassVar[Mapping[str, str]] = {"unlike_history": "had an hour unlike nearly all hours in the history"}
    runbook = "No action by itself; read it beside the other findings about the same principal."
    tags = (f"{OWASP_AGENTIC}:ASI10",)
    kinds = frozenset({"access", "transfer", "call", "permission", "publish", "delete", "auth"})

    levels = ("p",)
    house_wide = frozenset({"model"})

    class Settings(DetectorSettings):
        """The model of `forest_challenger`, and when it speaks."""

        model: str | None = Field(
            None, description="The trained forest (`forest.skops`), as `detector train` wrote it; none: off."
        )
        p: float = Field(1e-3, gt=0, lt=1, description="Notes hours with a smaller tail probability than this.")
        repeat_after: float = Field(
            86_400.0, gt=0, description="Seconds before a principal is noted again, however strange it goes on."
        )

    settings: Settings

    def __init__(self, settings: Settings, forest: Forest | None = None) -> None:
        super().__init__(settings)
        self.forest = forest

    @classmethod
    def for_examples(cls) -> Self:
        """The detector with a small forest made by hand, for its examples."""
        return cls(cls.Settings(), _example_forest())

    def adjusted(self, settings: Settings) -> Self:
        """The same forest with other settings."""
        return type(self)(settings, self.forest)

    def new_state(self) -> Watched:
        """Nothing done yet."""
        return Watched()

    def concerns(self, event: Event, state: Watched, context: Context) -> bool:  # noqa: ARG002
        """None without a forest."""
        return self.forest is not None

    def detect(self, event: Event, state: Watched, context: Context) -> Iterator[Finding]:
        """A note on the hour with this event in it, where it is the time to judge it and it is strange."""
        if self.forest is None or context.now - state.reported_at < self.settings.repeat_after:
            return
        before = state.activity or Activity()
        hour = context.now // HOUR
        if hour < before.hour or not milestone((before.events if hour == before.hour else 0) + 1):
            return
        activity = before.copy()
        activity.add(event, context.now)
        vector = activity.vector()
        score = self.forest.score_one(vector)
        p = self.forest.p_value(score)
        if p < self.settings.p:
            yield self._finding(event, context, self.forest, activity.events, vector, score, p)

    def _finding(
        self, event: Event, context: Context, forest: Forest, acts: int, vector: list[float], score: float, p: float
    ) -> Finding:
        why = reasons(forest, vector)
        return self.finding(
            event,
            context,
            "unlike_history",
            "SEV4",
            f"the hour of {context.principal.id} after {plural(acts, 'act')} is unlike nearly all of the "
            f"{number(forest.held_out)} of the fleet that the forest is measured on: "
            f"{'; '.join(why) or 'no feature stands out alone'}; {probability(p)}",
            score=log10_surprise(p),
            p_value=p,
            evidence={
                "forest_score": round(score, 6),
                "acts": acts,
                "held_out": forest.held_out,
                "features": {name: round(value, 6) for name, value in zip(NAMES, vector, strict=True) if value},
                "reasons": list(why),
            },
        )

    def learn(self, event: Event, state: Watched, context: Context, found: Sequence[Finding]) -> None:
        """Take the event into the hour; flagged or not, it is what the principal did."""
        if state.activity is None:
            state.activity = Activity()
        state.activity.add(event, context.now)
        if any(finding.detector == self.name for finding in found):
            state.reported_at = context.now

    def dump(self, state: Watched) -> Any:
        """[activity or None, time of the last report or None]."""
        return [
            None if state.activity is None else state.activity.dump(),
            None if state.reported_at == NEVER else state.reported_at,
        ]

    def load(self, data: Any) -> Watched:
        """The hour so far from its plain data."""
        activity, reported_at = data
        state = Watched()
        state.activity = None if activity is None else Activity().load(activity)
        state.reported_at = NEVER if reported_at is None else reported_at
        return state

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """An hour in which much went outside, the same within the house, and the second such hour of a day."""

        def sent(minute: float, host: str, zone: str) -> Event:
            to = Destination(host=host, zone=zone)  # type: ignore[arg-type]
            return sample(minute, kind="transfer", action="http_post", bytes_out=50_000_000, destination=to)

        outside = [sent(minute, f"host-{minute}.example", "external") for minute in range(8)]
        inside = [sent(minute, f"host-{minute}.example", "internal") for minute in range(8)]
        return [
            Example("400 MB to eight outside hosts in one hour", outside, ("unlike_history",)),
            Example("the same within the house", inside, ()),
            Example("an hour of the same day after it was noted", [*outside, *map(_later, outside)], ()),
        ]


def _later(event: Event) -> Event:
    minute = event.time.minute + 120.0
    return sample(minute, kind=event.kind, bytes_out=event.bytes_out, destination=event.destination)


def reasons(forest: Forest, vector: list[float]) -> tuple[str, ...]:
    """What the vector stands out by, in words with numbers, the weightiest first."""
    told = (BY_NAME[s.name].told(s.value, s.low, s.high) for s in forest.standing_out(vector))
    return tuple(dict.fromkeys(told))


def _example_forest() -> Forest:
    """One tree: strange is who sends more than 100 MB outside in an hour, to more than six places."""
    much, many = BY_NAME["bytes_outside"], BY_NAME["destinations"]
    nodes = Nodes(
        roots=[0],
        feature=[NAMES.index(much.name), -1, NAMES.index(many.name), -1, -1],
        threshold=[much.scaled(1e8), 0.0, many.scaled(6), 0.0, 0.0],
        left=[1, -1, 3, -1, -1],
        right=[2, -1, 4, -1, -1],
        length=[0.0, 8.0, 0.0, 8.0, 2.0],
    )
    ranges = [[0.0, 0.0, 0.5] for _ in NAMES]
    lists = [getattr(nodes, name) for name in Nodes.__struct_fields__]
    return Forest(NAMES).restore([list(NAMES), 0.5, 9_999, 8.0, ranges, [0.5] * 9_999, lists])
