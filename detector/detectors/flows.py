"""What flows from and to a principal: channels of amounts, and the hours in which each is used."""

from typing import Any, Final, Self

import msgspec

from detector.detectors.base import Context
from detector.detectors.places import effective_zone
from detector.events import OUTSIDE, Event
from models.rate import RateParams
from models.sums import DecayedSums

HOUR: Final = 3600.0
HOURS_MOST: Final = 1000


NEVER: Final = float("-inf")


class Channel:
    """One stream of amounts ("bytes outside"), the hours in which it flowed, and what was last said of it.

    A `rate` that was saved as msgpack is made when it is first asked for: of a principal's channels most rest.
    """

    __slots__ = ("_saved", "hour", "hours", "params", "rate", "reported_at", "reported_score")

    rate: DecayedSums

    def __init__(self, params: RateParams) -> None:
        self.params = params
        self._saved: msgspec.Raw | None = None
        self.hour = -1.0
        self.hours = 0
        self.reported_at = NEVER
        self.reported_score = 0.0

    def __getattr__(self, name: str) -> Any:
        """Called while there is no `rate` yet: afterwards it is found at once."""
        if name != "rate":
            raise AttributeError(name)
        rate = DecayedSums(self.params)
        if self._saved is not None:
            rate.restore(msgspec.msgpack.decode(self._saved))
        self.rate, self._saved = rate, None
        return rate

    def saved(self) -> list[Any]:
        """[rate, hour, hours, time and score of the last report]; the rate as it was saved, if nobody asked for it."""
        rate = self._saved if self._saved is not None else self.rate.snapshot()
        reported_at = None if self.reported_at < 0 else self.reported_at
        return [rate, self.hour, self.hours, reported_at, self.reported_score]

    def load(self, state: Any) -> Self:
        """Take over what was saved; the rate may be plain data, or msgpack still."""
        rate, self.hour, self.hours, reported_at, self.reported_score = state
        self.reported_at = NEVER if reported_at is None else reported_at
        self._saved = rate.copy() if isinstance(rate, msgspec.Raw) else None
        if self._saved is None:
            self.rate.restore(rate)
        return self


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
