"""What scoring remembers of one partition, the bounds of that memory, and how it is saved piece by piece."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detector.capture import Capture
from detector.duplicates import SeenEvents, mark_of
from detector.events import Envelope, Event
from detector.exchange import Notice
from detector.knowledge import Knowledge
from detector.peers import PeerSummary
from detector.principal_rows import PrincipalRows
from detector.principal_store import PrincipalStore
from detector.ready import Ready

# To be raised with every change in the shape of the state, a detector's state of a principal included.
STATE_VERSION: Final = 2

CHECKED: Final = 100


class ScoringSettings(BaseModel):
    """Bounds and event-time rules of scoring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_lateness: float = Field(
        3600.0, ge=0, description="Seconds behind the partition's watermark up to which events are scored."
    )
    allowed_skew: float = Field(
        300.0, ge=0, description="Seconds ahead of its arrival from which an event is from the future."
    )
    max_principals: int = Field(100_000, ge=1, description="Principals remembered by each partition.")
    max_ready: int = Field(
        20_000,
        ge=1,
        description="Principals that a process holds ready, of all its partitions; those unused for longest wait "
        "packed, in a quarter of the memory, until they are used again.",
    )
    idle_days: float = Field(45.0, gt=0, description="Days after which an unused principal is forgotten.")
    dedup_window: int = Field(50_000, ge=1, description="Event ids remembered by each partition.")
    peers_every: float = Field(
        3600.0, gt=0, description="Seconds of event time after which peers' knowledge is exchanged."
    )
    peers_wait: float = Field(
        10.0, ge=0, description="Seconds for which a worker waits for what the other workers' peers add to it."
    )


class PartitionState:
    """All that scoring remembers of one partition.

    `watermark` is the highest accepted event time (unix seconds), `seen` tells duplicates. `published` are the peers'
    sums as of the last boundary, `accumulating` those since the start. `notice` is what was told the other workers
    last, with the sums that it holds in `promise`. `restored_version` is the boundary that a restored partition's
    knowledge was of, until that knowledge is in force again.

    Args:
        settings: Bounds of the memory.
        rows: How principals are saved.
        knowledge: What of the peers its events are judged by.
        ready: Which of them are held ready.
    """

    __slots__ = (
        "_published_saved",
        "_rows",
        "_settings",
        "accumulating",
        "knowledge",
        "notice",
        "principals",
        "promise",
        "published",
        "restored_version",
        "seen",
        "watermark",
    )

    def __init__(self, settings: ScoringSettings, rows: PrincipalRows, knowledge: Knowledge, ready: Ready) -> None:
        self.watermark = float("-inf")
        self.knowledge = knowledge
        self.restored_version: float | None = None
        self.notice: Notice | None = None
        self.promise: PeerSummary | None = None
        self.seen = SeenEvents(settings.dedup_window)
        self._rows = rows
        self._settings = settings
        self.principals = PrincipalStore(settings.max_principals, settings.idle_days * 86400.0, rows, ready)
        self.accumulating = PeerSummary()
        self.published = PeerSummary()
        self._published_saved: PeerSummary | None = None
        """What the last capture held."""

    def settle_by(self, settings: ScoringSettings) -> None:
        """Go on with other event-time rules; the bounds of the memory stay as they are."""
        self._settings = settings

    def admit(self, envelope: Envelope) -> tuple[Event, Literal["scored", "late", "future", "duplicate"]]:
        """The event, under the id that it goes by, and what the event-time rules say of it; moves the watermark."""
        event, settings = envelope.event, self._settings
        now, mark = event.time.timestamp(), mark_of(event)
        name = self.seen.name(event.id, mark)
        if name is None:
            return event, "duplicate"
        if name != event.id:
            event = msgspec.structs.replace(event, id=name)
        if now > envelope.received_at + settings.allowed_skew:
            return event, "future"
        self.seen.add(name, mark)
        if now < self.watermark - settings.allowed_lateness:
            return event, "late"
        self.watermark = max(self.watermark, now)
        return event, "scored"

    @property
    def promised(self) -> float:
        """The boundary (unix seconds) before which the other workers were told that nothing more is to come."""
        return self.notice.until if self.notice is not None else 0.0

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain data, with the boundary of the peers' knowledge that was in force."""
        return {
            "version": STATE_VERSION,
            "watermark": None if self.watermark == float("-inf") else self.watermark,
            "ids": self.seen.snapshot(),
            "priors_version": self.knowledge.version,
            "published": self.published.snapshot(),
            "accumulating": self.accumulating.snapshot(),
            "principals": [self._rows.dump(principal) for principal in self.principals],
        }

    def capture(self, *, whole: bool) -> tuple[dict[str, Any], Capture]:
        """Begin to save the state: all of it, or what changed since the last capture.

        Returns:
            What is small, as plain data of this moment, and the principals, to be taken bit by bit.
        """
        head: dict[str, Any] = {
            "version": STATE_VERSION,
            "watermark": None if self.watermark == float("-inf") else self.watermark,
            "priors_version": self.knowledge.version,
            "accumulating": self.accumulating.snapshot(),
        }
        if whole:
            head["ids"] = self.seen.snapshot()
        else:
            head["more_ids"] = self.seen.more()
        if whole or self.published is not self._published_saved:
            head["published"] = self.published.snapshot()
        self.seen.captured()
        self._published_saved = self.published
        principals = self.principals.capture(whole=whole)
        head["gone"] = principals.gone
        return head, principals

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over a snapshot, or a capture of the whole state; principals are rows, packed or as plain data.

        Raises:
            ValueError: The snapshot is of another version or shape.
        """
        _check_version(data)
        self.seen.restore(data["ids"])
        self._put_in(data)

    def add(self, data: Mapping[str, Any]) -> None:
        """Take over a capture of what changed since the one before it.

        Raises:
            ValueError: It is of another version or shape.
        """
        _check_version(data)
        self.seen.add_more(data["more_ids"])
        self._put_in(data)

    def _put_in(self, data: Mapping[str, Any]) -> None:
        self.watermark = float("-inf") if data["watermark"] is None else data["watermark"]
        self.restored_version = data["priors_version"]
        self.accumulating.restore(data["accumulating"])
        if "published" in data:
            self.published = PeerSummary().restore(data["published"])
        self.principals.restore(data.get("gone", ()), map(self._rows.packed, data["principals"]))

    def check(self, *, few: bool) -> None:
        """Read every principal out once, or the `CHECKED` used last, and leave them packed.

        Raises:
            ValueError, TypeError, KeyError: The detectors, as they are set now, can't read their states.
        """
        for principal in islice(reversed(self.principals), CHECKED if few else None):
            self._rows.check(principal)


def _check_version(data: Mapping[str, Any]) -> None:
    if data.get("version") != STATE_VERSION:
        raise ValueError(f"the saved state has version {data.get('version')}, this program reads {STATE_VERSION}")
