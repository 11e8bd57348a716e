"""What scoring remembers of one partition, and the bounds of that memory."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from detector.detectors.base import Detector
from detector.peers import PeerSummary
from detector.principals import HourlyTest, PrincipalState, PrincipalStore, dump_ledger, load_ledger

STATE_VERSION: Final = 2


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
    idle_days: float = Field(45.0, gt=0, description="Days after which an unused principal is forgotten.")
    dedup_window: int = Field(50_000, ge=1, description="Event ids remembered by each partition.")
    peers_every: float = Field(
        3600.0, gt=0, description="Seconds of event time after which peers' knowledge is exchanged."
    )


class PartitionState:
    """All that scoring remembers of one partition.

    `watermark` is the highest accepted event time (unix seconds). `recent` and `older` are two generations
    of event ids: a full generation replaces the older one, so between one and two windows are remembered.
    `published` are the peers' sums as of the last boundary, `accumulating` those since the start.
    """

    __slots__ = ("accumulating", "older", "principals", "published", "recent", "watermark")

    def __init__(self, settings: ScoringSettings) -> None:
        self.watermark = float("-inf")
        self.recent: dict[str, None] = {}
        self.older: dict[str, None] = {}
        self.principals = PrincipalStore(settings.max_principals, settings.idle_days * 86400.0)
        self.accumulating = PeerSummary()
        self.published = PeerSummary()

    def snapshot(self, detectors: Mapping[str, Detector[Any]], priors_version: float) -> dict[str, Any]:
        """The whole state as plain data, with the boundary of the peers' knowledge that was in force."""
        return {
            "version": STATE_VERSION,
            "watermark": None if self.watermark == float("-inf") else self.watermark,
            "ids": [list(self.older), list(self.recent)],
            "priors_version": priors_version,
            "published": self.published.snapshot(),
            "accumulating": self.accumulating.snapshot(),
            "principals": [_dump(principal, detectors) for principal in self.principals],
        }

    def restore(self, data: Mapping[str, Any], detectors: Mapping[str, Detector[Any]]) -> None:
        """Take over a snapshot; the states of detectors that don't run are forgotten.

        Raises:
            ValueError: The snapshot is of another version or shape.
        """
        if data.get("version") != STATE_VERSION:
            raise ValueError(f"the saved state has version {data.get('version')}, this program reads {STATE_VERSION}")
        self.watermark = float("-inf") if data["watermark"] is None else data["watermark"]
        self.older, self.recent = (dict.fromkeys(ids) for ids in data["ids"])
        self.published.restore(data["published"])
        self.accumulating.restore(data["accumulating"])
        for row in data["principals"]:
            self.principals.restore(_load(row, detectors))


def _dump(principal: PrincipalState, detectors: Mapping[str, Detector[Any]]) -> list[Any]:
    return [
        principal.id,
        principal.kind,
        principal.role,
        principal.first_seen,
        principal.last_seen,
        principal.events,
        principal.active_hour,
        principal.pinned,
        principal.tests,
        dump_ledger(principal.ledger),
        {name: detectors[name].dump(state) for name, state in principal.states.items()},
    ]


def _load(row: Sequence[Any], detectors: Mapping[str, Detector[Any]]) -> PrincipalState:
    principal_id, kind, role, first_seen, last_seen, events, active_hour, pinned, tests, ledger, states = row
    principal = PrincipalState(principal_id, kind, role, first_seen)
    principal.last_seen, principal.events, principal.pinned = last_seen, events, pinned
    principal.active_hour = active_hour
    principal.tests = {channel: HourlyTest(*test) for channel, test in tests.items()}
    principal.ledger = load_ledger(ledger)
    principal.states = {name: detectors[name].load(state) for name, state in states.items() if name in detectors}
    return principal
