"""What each peer does with an event: a rate baseline and first-seen endpoints by principal, and half-space trees.

The models are river's. Nothing of the detector is used here: it is what somebody would write who has a stream
processor, river and a day. The trees are one model of all principals: one each would not fit into memory.
"""

import math
import sys
import time
from typing import Any, Final

import msgspec
from river import anomaly, stats

FADING: Final = 0.05
TOO_MUCH: Final = 6.0  # standard deviations
KNOWN_FOR: Final = 20  # events, before a new endpoint is news
STRANGE: Final = 0.995


class _Actor(msgspec.Struct):
    id: str


class _Target(msgspec.Struct):
    uri: str = ""


class _Destination(msgspec.Struct):
    host: str | None = None


class Event(msgspec.Struct):
    """As much of an event as the work needs."""

    id: str
    time: str
    kind: str
    actor: _Actor
    action: str = ""
    target: _Target | None = None
    destination: _Destination | None = None
    bytes_out: int | None = None
    records: int | None = None


decode: Final = msgspec.json.Decoder(Event).decode


class Principal:
    """What is known of one: how much it sends, where to, and how many events it had."""

    __slots__ = ("events", "mean", "seen", "variance")

    def __init__(self) -> None:
        self.events = 0
        self.mean: Any = stats.EWMean(FADING)
        self.variance: Any = stats.EWVar(FADING)
        self.seen: set[str] = set()

    def take(self, event: Event) -> tuple[float, bool]:
        """How unusual its amount is, in standard deviations, and whether the endpoint is a new one; then learn both."""
        amount = math.log1p(event.bytes_out or 0)
        spread = math.sqrt(max(0.0, self.variance.get() or 0.0))
        score = abs(amount - self.mean.get()) / spread if spread and self.events >= KNOWN_FOR else 0.0
        self.mean.update(amount)
        self.variance.update(amount)
        return score, self.meets(endpoint(event))

    def meets(self, name: str) -> bool:
        """Whether an endpoint is new to one that is known; it is not, from now on."""
        new = name not in self.seen and self.events >= KNOWN_FOR
        self.seen.add(name)
        self.events += 1
        return new


class Plain:
    """The same in numbers and lists, for engines that save state as JSON."""

    @staticmethod
    def take(state: dict[str, Any], event: Event) -> tuple[float, bool]:
        """As `Principal.take`; river's formulas for fading means and variances."""
        amount = math.log1p(event.bytes_out or 0)
        mean, square, events = state.get("mean", amount), state.get("square", amount * amount), state.get("events", 0)
        spread = math.sqrt(max(0.0, square - mean * mean))
        score = abs(amount - mean) / spread if spread and events >= KNOWN_FOR else 0.0
        seen = state.setdefault("seen", [])
        new = endpoint(event) not in seen
        if new:
            seen.append(endpoint(event))
        state["mean"] = mean + FADING * (amount - mean)
        state["square"] = square + FADING * (amount * amount - square)
        state["events"] = events + 1
        return score, new and events >= KNOWN_FOR


def endpoint(event: Event) -> str:
    """Where it goes to, or what it is about."""
    if event.destination is not None and event.destination.host:
        return event.destination.host
    return event.target.uri.partition("://")[0] if event.target is not None else ""


def features(event: Event) -> dict[str, float]:
    """Five numbers between 0 and 1."""
    return {
        "bytes": min(1.0, math.log1p(event.bytes_out or 0) / 30),
        "records": min(1.0, math.log1p(event.records or 0) / 20),
        "hour": int(event.time[11:13]) / 24,
        "kind": len(event.kind) / 16,
        "action": min(1.0, len(event.action) / 40),
    }


class Trees:
    """Half-space trees over five features of an event."""

    def __init__(self) -> None:
        self._model: Any = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=1)

    def take(self, event: Event) -> float:
        """The score, before it is learnt."""
        row = features(event)
        score: float = self._model.score_one(row)
        self._model.learn_one(row)
        return score


def alert(event: Event, rate: float, new: bool, strange: float) -> bytes | None:
    """What goes to the topic of alerts; mostly nothing."""
    if rate < TOO_MUCH and not new and strange < STRANGE:
        return None
    told = {"id": event.id, "principal": event.actor.id, "rate": rate, "new": new, "strange": strange}
    return msgspec.json.encode(told)


class Meter:
    """From the first event to the `count`th, in seconds of the wall."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._began = 0.0
        self.events = self.alerts = 0

    def tick(self) -> bool:
        """An event was taken in; whether it was the last."""
        if not self.events:
            self._began = time.perf_counter()
        self.events += 1
        return self.events == self._count

    def tell(self) -> None:
        """Print the rate as a line of JSON."""
        seconds = time.perf_counter() - self._began
        told = {"rate": (self.events - 1) / seconds, "events": self.events, "alerts": self.alerts}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()
