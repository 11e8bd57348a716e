"""Data leaving, or being gathered, faster or in larger sum than this principal ever sends or reads."""

from collections.abc import Iterable, Mapping, Sequence
from sys import intern
from typing import Any, ClassVar, Final, NamedTuple

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
from detector.detectors.flows import HOUR, Channel, Flows, amounts, closed_hours
from detector.events import Actor, Destination, Event
from detector.findings import Finding
from detector.suppressions import silent_from
from detector.wording import duration, number, plural, probability, size
from models.base import log10_surprise
from models.rate import Judgement, RateParams

OWN_HOURS_WEIGHT: Final = 2.0

# The side of what is read and sent nowhere; its least sums are so many times those of what is sent.
READ: Final = "read"
READ_LEAST: Final = 10
SIDES: Final = ("outside", "inside", READ)

_SAVED: Final = msgspec.msgpack.Decoder(
    tuple[float, int, dict[str, tuple[msgspec.Raw, float, int, float | None, float]]]
)


class Side(NamedTuple):
    """A unit on a side of the fence: the channel of its tests, the p-value and the sum from which it can fire."""

    unit: str
    name: str
    channel: str
    starting_p: float
    least: int


class TransferRate(Detector[Flows]):
    """Decayed sums of what a principal sends, per side of the fence, against its own peaks and its peers'.

    A hurdle model: the probability that the channel is used in an hour at all, times that of a sum as large
    when it is. So one that never sends outside is strange when it starts to, even before its first sum is.
    """

    name = "transfer_rate"
    rules: ClassVar[Mapping[str, str]] = {
        "burst": "sends far more at once than it and its peers ever do",
        "sustained": "sends far more over time than it and its peers ever do",
        "bulk_read": "reads far more than it and its peers ever do",
    }
    runbook = "Ask the agent's owner whether a bulk export was planned; if not, stop the agent and block the host."
    tags = (
        f"{OWASP_AGENTIC}:ASI02",
        f"{OWASP_AGENTIC}:ASI10",
        f"{ATLAS}:AML.T0086",
        f"{ATTACK}:T1567",
        f"{ATTACK}:T1537",
        f"{ATTACK}:T1530",
    )
    kinds = frozenset({"access", "transfer", "call", "publish"})
    channels = ("transfer_rate outside", "transfer_rate inside", "transfer_rate read")
    shaping = frozenset({"season", "anchor"})

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
        read_p: float = Field(
            1e-6,
            gt=0,
            lt=1,
            description="The same for what an agent reads and sends nowhere; ten times the least sums.",
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
        self._sides = {f"{unit} {side}": self._side(unit, side) for unit in ("bytes", "records") for side in SIDES}

    def _side(self, unit: str, side: str) -> Side:
        settings = self.settings
        least = settings.min_bytes if unit == "bytes" else settings.min_records
        starting_p = {"outside": settings.outside_p, "inside": settings.inside_p, READ: settings.read_p}[side]
        return Side(unit, side, f"{self.name} {side}", starting_p, least * READ_LEAST if side == READ else least)

    def new_state(self) -> Flows:
        """No channels yet."""
        return Flows()

    def detect(self, event: Event, state: Flows, context: Context) -> Iterable[Finding]:
        """One finding for the channel that is least probable, if it is improbable enough."""
        best: tuple[str, Judgement, float] | None = None
        for name, amount in amounts(event, context):
            known, side = state.channels.get(name), self._sides[name]
            if amount < side.least and (known is None or known.rate.stays_below(side.least, amount, context.now)):
                context.too_little(side.channel)
                continue
            channel = known or Channel(self.params)
            judged, p = self._judge(name, amount, channel, state, context)
            score = log10_surprise(p) if judged.total >= side.least else 0.0
            if (
                context.test(side.channel, score, side.starting_p)
                and self._is_news(channel, p, context.now)
                and (best is None or p < best[2])
            ):
                best = name, judged, p
        if best is None:
            return ()
        name, judged, p = best
        return (self._finding(event, state, context, name, msgspec.structs.replace(judged, p_value=p)),)

    def _judge(
        self, name: str, amount: float, channel: Channel, state: Flows, context: Context
    ) -> tuple[Judgement, float]:
        """The sums, and how improbable all of it is: that the channel is used at all, and to whom."""
        role = context.principal.role
        prior = context.priors.rate(role, name, len(self.params.half_lives))
        judged = channel.rate.judge(amount, context.now, prior)
        used, active = closed_hours(channel, state, context.now)
        expected = OWN_HOURS_WEIGHT * context.priors.share_of_hours(role, name)
        share = (used + expected) / (active + OWN_HOURS_WEIGHT)
        # Much to a stranger is less probable than either: the tails are taken as independent.
        strange = context.novelty if name.endswith("outside") else 1.0
        return judged, judged.p_value * min(1.0, share) * strange

    def _is_news(self, channel: Channel, p: float, now: float) -> bool:
        return (
            now - channel.reported_at >= self.settings.repeat_after or log10_surprise(p) >= channel.reported_score + 3.0
        )

    def _finding(self, event: Event, state: Flows, context: Context, name: str, judged: Judgement) -> Finding:
        unit, side = self._sides[name].unit, self._sides[name].name
        to, target = event.destination, event.target
        where = (
            to.host or to.account or to.recipient if to else target.uri if target and side == READ else None
        ) or side
        hours, active = closed_hours(state.channels.get(name), state, context.now)
        rule = "bulk_read" if side == READ else "burst" if judged.half_life <= 60.0 else "sustained"
        return self.finding(
            event,
            context,
            rule,
            "SEV2" if side == "outside" else "SEV3",
            f"{context.principal.id} {_told(unit, side, where, judged, context.novelty, hours, active)}",
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
            rate, prior = channel.rate, None
            if rate.ends_block(context.now):
                prior = context.priors.rate(context.principal.role, name, len(self.params.half_lives))
            for i, peak in rate.learn_one(amount, context.now, prior, flagged=context.suspect):
                context.group.add_peak(name, i, peak)
            for finding in found:
                if finding.detector == self.name and finding.evidence["channel"] == name:
                    channel.reported_at = silent_from(finding, context.now, self.settings.repeat_after)
                    channel.reported_score = finding.score

    def dump(self, state: Flows) -> Any:
        """[hour, hours, {channel: [rate, hour, hours, time and score of the last report]}]."""
        for channel in state.channels.values():
            _ = channel.rate  # what waits as it was saved is no plain data
        return self.saved(state)

    def saved(self, state: Flows) -> Any:
        """The same; channels that nobody asked for are as they were saved."""
        return [state.hour, state.hours, {name: channel.saved() for name, channel in state.channels.items()}]

    def read(self, saved: msgspec.Raw) -> Flows:
        """Flows out of msgpack: each channel's sums are read out when they are asked for."""
        return self.load(_SAVED.decode(saved))

    def load(self, data: Any) -> Flows:
        """Flows from their plain data."""
        state = Flows()
        state.hour, state.hours, channels = data
        state.channels = {intern(name): Channel(self.params).load(saved) for name, saved in channels.items()}
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

        def read(minute: float, count: int) -> Event:
            return sample(minute, action="query", bytes_in=count, records=count // 1000)

        reading = [read(60.0 * hour, 2_000_000 + 1_000 * (hour % 5)) for hour in range(48)]
        usual = [sent(60.0 * hour, 40_000 + 500 * (hour % 7)) for hour in range(48)]
        return [
            Example(
                "a burst of 900 MB after two days of 40 kB an hour",
                [*usual, sent(2890, 900_000_000)],
                ("burst",),
            ),
            Example("nine gigabytes read after days of 2 MB", [*reading, read(2890, 9_000_000_000)], ("bulk_read",)),
            Example("as much read as ever", [*reading, read(2890, 2_100_000)], ()),
            Example("the same every hour", [*usual, sent(2890, 41_000)], ()),
            Example("a large transfer that was denied", [*usual, _denied(sent(2890, 900_000_000))], ()),
        ]


def _told(unit: str, side: str, where: str, judged: Judgement, novelty: float, hours: int, active: int) -> str:
    """What was seen and what was expected, to be read behind the principal's name."""
    seen = size(judged.total) if unit == "bytes" else plural(judged.total, "record")
    usual = size(judged.expected) if unit == "bytes" else number(judged.expected)
    whose = "its own usual peak" if judged.blocks >= 1 else "its peers' usual peak"
    did, does = (f"read {seen}", "reads") if side == READ else (f"sent {seen} {side}", f"sends {side}")
    latest = "latest" if side == READ else "latest to"
    stranger = f", to a place as new as {novelty:.2g}" if side == "outside" and novelty < 1 else ""
    return (
        f"{did} within about {duration(judged.half_life)}, {latest} {where}; it {does} in {number(hours)} of "
        f"{number(active)} active hours, and {whose} is {usual} (give or take a factor of {number(judged.spread)})"
        f"{stranger}; {probability(judged.p_value)}"
    )


def _denied(event: Event) -> Event:
    return Event(**{**{f: getattr(event, f) for f in event.__struct_fields__}, "outcome": "denied"})
