"""Data leaving faster, or in larger sum, than this principal ever sends."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
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
from detector.detectors.places import effective_zone
from detector.events import OUTSIDE, Actor, Destination, Event
from detector.findings import Finding
from detector.wording import duration, number, plural, probability, size
from models.base import log10_surprise
from models.rate import DecayedRate, Judgement, RateParams

HOUR: Final = 3600.0
OWN_HOURS_WEIGHT: Final = 2.0
HOURS_MOST: Final = 1000


class Channel:
    """One stream of amounts ("bytes outside"), the hours in which it flowed, and what was last said of it."""

    __slots__ = ("hour", "hours", "rate", "reported_at", "reported_score")

    def __init__(self, params: RateParams) -> None:
        self.rate = DecayedRate(params)
        self.hour = -1.0
        self.hours = 0
        self.reported_at = float("-inf")
        self.reported_score = 0.0


class Flows:
    """The channels of one principal, and the hours in which it did anything at all."""

    __slots__ = ("channels", "hour", "hours")

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.hour = -1.0
        self.hours = 0

    def fade(self) -> None:
        """Halve the counts once they are many, so that the last weeks count most."""
        if self.hours > HOURS_MOST:
            self.hours //= 2
            for channel in self.channels.values():
                channel.hours //= 2


def _closed_hours(channel: Channel | None, flows: Flows, now: float) -> tuple[int, int]:
    """Hours in which the channel flowed, and active ones; without that in progress, which is what is judged."""
    hour = now // HOUR
    used = 0 if channel is None else channel.hours - (channel.hour == hour)
    active = flows.hours - (flows.hour == hour)
    return min(used, active), active  # a late event may count an hour for its channel alone


def amounts(event: Event, context: Context) -> list[tuple[str, float]]:
    """What left, by channel: bytes and records, to the inside or the outside; nothing unless it succeeded."""
    if event.outcome != "success" or not (event.bytes_out or event.records) or event.kind == "delete":
        return []
    to = event.destination
    if to is None and event.kind not in {"publish", "transfer"}:
        return []
    # A transfer to nobody knows where is taken for one to the outside.
    zone = to.zone if to is not None else "unknown" if event.kind == "transfer" else "internal"
    doubtful = zone == "approved" and context.vouched is None
    stray = doubtful and any(effective_zone(e, context) in OUTSIDE for e in context.endpoints(event))
    side = "outside" if zone in OUTSIDE or stray else "inside"
    units = (("bytes", event.bytes_out), ("records", event.records))
    return [(f"{unit} {side}", float(amount)) for unit, amount in units if amount]


class TransferRate(Detector[Flows]):
    """Decayed sums of what a principal sends, per side of the fence, against its own peaks and its peers'.

    A hurdle model: the probability that the channel is used in an hour at all, times that of a sum as large
    when it is. So one that never sends outside is strange when it starts to, even before its first sum is.
    """

    name = "transfer_rate"
    rules: ClassVar[Mapping[str, str]] = {
        "burst": "sends far more at once than it and its peers ever do",
        "sustained": "sends far more over time than it and its peers ever do",
    }
    runbook = "Ask the agent's owner whether a bulk export was planned; if not, stop the agent and block the host."
    tags = (
        f"{OWASP_AGENTIC}:ASI02",
        f"{OWASP_AGENTIC}:ASI10",
        f"{ATLAS}:AML.T0086",
        f"{ATTACK}:T1567",
        f"{ATTACK}:T1537",
    )
    kinds = frozenset({"access", "transfer", "call", "publish"})
    channels = ("transfer_rate outside", "transfer_rate inside")

    class Settings(DetectorSettings):
        """Thresholds of `transfer_rate`, and what its baseline knows."""

        season: bool = Field(True, description="Whether the hour of the week counts.")
        anchor: bool = Field(
            True, description="Whether a baseline of many weeks is kept too, against growth in small steps."
        )
        outside_p: float = Field(
            3e-5, gt=0, lt=1, description="Fires below this tail probability for data that leaves the house."
        )
        inside_p: float = Field(
            1e-7, gt=0, lt=1, description="The same for data that stays inside or goes to approved places."
        )
        min_bytes: int = Field(1_000_000, ge=0, description="Sums below this many bytes never fire.")
        min_records: int = Field(500, ge=0, description="Sums below this many records never fire.")
        repeat_after: float = Field(
            3600.0,
            gt=0,
            description="Seconds before the same channel is reported again (or 1000 times rarer).",
        )

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.params = RateParams(season=settings.season, anchor=settings.anchor)

    def new_state(self) -> Flows:
        """No channels yet."""
        return Flows()

    def detect(self, event: Event, state: Flows, context: Context) -> Iterator[Finding]:
        """One finding for the channel that is least probable, if it is improbable enough."""
        best: tuple[str, Judgement] | None = None
        for name, amount in amounts(event, context):
            channel = state.channels.get(name) or Channel(self.params)
            judged = self._judge(name, amount, channel, state, context)
            if (
                self._is_beyond(name, judged, context)
                and self._is_news(channel, judged, context.now)
                and (best is None or judged.p_value < best[1].p_value)
            ):
                best = name, judged
        if best is not None:
            yield self._finding(event, state, context, *best)

    def _judge(self, name: str, amount: float, channel: Channel, state: Flows, context: Context) -> Judgement:
        role = context.principal.role
        prior = context.priors.rate(role, name, len(self.params.half_lives))
        judged = channel.rate.judge(amount, context.now, prior)
        used, active = _closed_hours(channel, state, context.now)
        expected = OWN_HOURS_WEIGHT * context.priors.share_of_hours(role, name)
        share = (used + expected) / (active + OWN_HOURS_WEIGHT)
        # Much to a stranger is less probable than either: the tails are taken as independent.
        strange = context.novelty if name.endswith("outside") else 1.0
        return msgspec.structs.replace(judged, p_value=judged.p_value * min(1.0, share) * strange)

    def _is_beyond(self, name: str, judged: Judgement, context: Context) -> bool:
        unit, side = name.split()
        least = self.settings.min_bytes if unit == "bytes" else self.settings.min_records
        score = log10_surprise(judged.p_value) if judged.total >= least else 0.0
        starting_p = self.settings.outside_p if side == "outside" else self.settings.inside_p
        return context.test(f"{self.name} {side}", score, starting_p)

    def _is_news(self, channel: Channel, judged: Judgement, now: float) -> bool:
        return (
            now - channel.reported_at >= self.settings.repeat_after
            or log10_surprise(judged.p_value) >= channel.reported_score + 3.0
        )

    def _finding(self, event: Event, state: Flows, context: Context, name: str, judged: Judgement) -> Finding:
        unit, side = name.split()
        seen = size(judged.total) if unit == "bytes" else plural(judged.total, "record")
        usual = size(judged.expected) if unit == "bytes" else number(judged.expected)
        to = event.destination
        where = (to.host or to.account or to.recipient if to else None) or side
        hours, active = _closed_hours(state.channels.get(name), state, context.now)
        stranger = f", to a place as new as {context.novelty:.2g}" if side == "outside" and context.novelty < 1 else ""
        whose = "its own usual peak" if judged.blocks >= 1 else "its peers' usual peak"
        reason = (
            f"{context.principal.id} sent {seen} {side} within about {duration(judged.half_life)}, latest to {where}; "
            f"it sends {side} in {number(hours)} of {number(active)} active hours, and {whose} is {usual} "
            f"(give or take a factor of {number(judged.spread)}){stranger}; {probability(judged.p_value)}"
        )
        return self.finding(
            event,
            context,
            "burst" if judged.half_life <= 60.0 else "sustained",
            "SEV2" if side == "outside" else "SEV3",
            reason,
            score=log10_surprise(judged.p_value),
            p_value=judged.p_value,
            evidence={
                "channel": name,
                "novelty": float(f"{context.novelty:.3g}"),
                "seen": round(judged.total, 1),
                "expected": round(judged.expected, 1),
                "half_life_seconds": judged.half_life,
                "baseline_blocks": round(judged.blocks, 1),
                "channel_hours": hours,
                "active_hours": active,
                "destination": where,
            },
        )

    def learn(self, event: Event, state: Flows, context: Context, found: Sequence[Finding]) -> None:
        """Add the amounts; flagged ones count in the sums but not in the baselines."""
        hour = context.now // HOUR
        if hour > state.hour:
            state.hour = hour
            state.hours += 1
            state.fade()
        for name, amount in amounts(event, context):
            channel = state.channels.get(name)
            if channel is None:
                channel = state.channels[name] = Channel(self.params)
            if not context.suspect and hour > channel.hour:
                channel.hour = hour
                channel.hours += 1
                context.group.add_channel_hour(name)
            prior = context.priors.rate(context.principal.role, name, len(self.params.half_lives))
            for i, peak in channel.rate.close_blocks(context.now, prior):
                context.group.add_peak(name, i, peak)
            channel.rate.learn_one(amount, context.now, prior, flagged=context.suspect)
            for finding in found:
                if finding.detector == self.name and finding.evidence["channel"] == name:
                    channel.reported_at, channel.reported_score = context.now, finding.score

    def dump(self, state: Flows) -> Any:
        """[hour, hours, {channel: [rate, hour, hours, time and score of the last report]}]."""
        channels = {
            name: [c.rate.snapshot(), c.hour, c.hours, None if c.reported_at < 0 else c.reported_at, c.reported_score]
            for name, c in state.channels.items()
        }
        return [state.hour, state.hours, channels]

    def load(self, data: Any) -> Flows:
        """Flows from their plain data."""
        state = Flows()
        state.hour, state.hours, channels = data
        for name, (rate, hour, hours, reported_at, reported_score) in channels.items():
            channel = state.channels[name] = Channel(self.params)
            channel.rate.restore(rate)
            channel.hour, channel.hours = hour, hours
            channel.reported_at = float("-inf") if reported_at is None else reported_at
            channel.reported_score = reported_score
        return state

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """A leak after two quiet days, and two quiet days."""

        def sent(minute: float, count: int, zone: str = "external") -> Event:
            return sample(
                minute,
                kind="transfer",
                action="http_post",
                bytes_out=count,
                destination=Destination(host="api.partner.example", zone=zone),  # type: ignore[arg-type]
                actor=Actor(id="agent-1", role="assistant"),
            )

        usual = [sent(60.0 * hour, 40_000 + 500 * (hour % 7)) for hour in range(48)]
        return [
            Example(
                "a burst of 900 MB after two days of 40 kB an hour",
                [*usual, sent(2890, 900_000_000)],
                ("burst",),
            ),
            Example("the same every hour", [*usual, sent(2890, 41_000)], ()),
            Example("a large transfer that was denied", [*usual, _denied(sent(2890, 900_000_000))], ()),
        ]


def _denied(event: Event) -> Event:
    return Event(**{**{f: getattr(event, f) for f in event.__struct_fields__}, "outcome": "denied"})
