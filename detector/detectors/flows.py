"""What flows from and to a principal: channels of amounts, and the hours in which each is used."""

from typing import Final

from detector.detectors.base import Context
from detector.detectors.places import effective_zone
from detector.events import OUTSIDE, Event
from models.rate import RateParams
from models.sums import DecayedSums

HOUR: Final = 3600.0
HOURS_MOST: Final = 1000


class Channel:
    """One stream of amounts ("bytes outside"), the hours in which it flowed, and what was last said of it."""

    __slots__ = ("hour", "hours", "rate", "reported_at", "reported_score")

    def __init__(self, params: RateParams) -> None:
        self.rate = DecayedSums(params)
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


def closed_hours(channel: Channel | None, flows: Flows, now: float) -> tuple[int, int]:
    """Hours in which the channel flowed, and active ones; without that in progress, which is what is judged."""
    hour = now // HOUR
    used = 0 if channel is None else channel.hours - (channel.hour == hour)
    active = flows.hours - (flows.hour == hour)
    return min(used, active), active  # a late event may count an hour for its channel alone


def amounts(event: Event, context: Context) -> list[tuple[str, float]]:
    """What left or was read, by channel: bytes and records, by side; nothing unless it succeeded.

    Taken apart once for each event, however often it is asked for.
    """
    if context.amounts is None:
        context.amounts = _amounts(event, context)
    return context.amounts


def _amounts(event: Event, context: Context) -> list[tuple[str, float]]:
    if event.outcome != "success" or event.kind == "delete":
        return []
    to = event.destination
    if event.kind == "access" and to is None:
        # People read as they please; what an agent gathers is the load of what may leave another way.
        if event.actor.kind == "human":
            return []
        found = [("bytes read", float(event.bytes_in))] if event.bytes_in else []
        if event.records:
            found.append(("records read", float(event.records)))
        return found
    if not (event.bytes_out or event.records):
        return []
    if to is None and event.kind not in {"publish", "transfer"}:
        return []
    # A transfer to nobody knows where is taken for one to the outside.
    zone = to.zone if to is not None else "unknown" if event.kind == "transfer" else "internal"
    doubtful = zone == "approved" and context.vouched is None
    stray = doubtful and any(effective_zone(e, context) in OUTSIDE for e in context.endpoints(event))
    side = "outside" if zone in OUTSIDE or stray else "inside"
    found = [(f"bytes {side}", float(event.bytes_out))] if event.bytes_out else []
    if event.records:
        found.append((f"records {side}", float(event.records)))
    return found
