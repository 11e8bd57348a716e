"""The ledger of open exposure windows: sensitive resources that a change opened wide, until it is undone."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detector.events import ActorKind, Sensitivity
from detector.findings import Finding

READERS_MOST: Final = 1000
WINDOWS_MOST: Final = 10_000

_WIDTH: Final[Mapping[str, int]] = {"user": 0, "group": 1, "org": 2, "public": 3}


class Window(msgspec.Struct):
    """One resource standing open. Times are unix seconds of event time.

    `readers` are those who touched the resource for the first time while it stood open, with when; at most
    `READERS_MOST` by name, `reader_count` is exact. `records` and `bytes_in` are of their first touches.
    """

    resource: str
    sensitivity: Sensitivity
    audience: str
    audience_count: int | None
    opened_at: float
    opened_by: str
    event_id: str
    incident: str
    opener_kind: ActorKind = "human"
    opener_role: str = ""
    grantee: str | None = None
    readers: dict[str, float] = {}
    reader_count: int = 0
    records: int = 0
    bytes_in: int = 0
    overdue: bool = False


class ExposureLedger:
    """Open windows by resource."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def concerned(self, finding: Finding) -> Window | None:
        """The open window that a first touch or a closing change belongs to; None if it came before it."""
        resource = finding.evidence.get("resource")
        if resource is None or not (finding.detector == "sensitive_read" or finding.evidence.get("closes")):
            return None
        window = self._windows.get(resource)
        early = window is not None and finding.time.timestamp() < window.opened_at
        return None if early else window

    def of(self, incident: str) -> list[Window]:
        """The open windows of an incident."""
        return [window for window in self._windows.values() if window.incident == incident]

    def open(self, finding: Finding, incident: str) -> Window | None:
        """Open a window by the finding of a change; None if the resource stands open already.

        Past `WINDOWS_MOST` the one opened first is watched no longer, of those told as overdue if there are any.
        """
        evidence = finding.evidence
        resource = evidence["resource"]
        if resource in self._windows:
            return None
        if len(self._windows) >= WINDOWS_MOST:
            told = (name for name, kept in self._windows.items() if kept.overdue)
            del self._windows[next(told, next(iter(self._windows)))]
        window = self._windows[resource] = Window(
            resource=resource,
            sensitivity=evidence["sensitivity"],
            audience=evidence["audience"],
            audience_count=evidence["audience_count"],
            opened_at=finding.time.timestamp(),
            opened_by=finding.principal,
            event_id=finding.event_id,
            incident=incident,
            opener_kind=finding.principal_kind,
            opener_role=finding.role,
            grantee=evidence.get("grantee"),
        )
        return window

    def read(self, finding: Finding) -> Window | None:
        """Count a first touch in an open window; returns the window if the reader is newly admitted."""
        window = self._windows.get(finding.evidence["resource"])
        time = finding.time.timestamp()
        if window is None or time < window.opened_at or finding.principal == window.opened_by:
            return None
        if finding.principal not in window.readers:
            window.reader_count += 1
            if len(window.readers) < READERS_MOST:
                window.readers[finding.principal] = time
        window.records += finding.evidence["records"]
        window.bytes_in += finding.evidence["bytes_in"]
        return window

    def close(self, finding: Finding) -> Window | None:
        """End a window by the finding of a change that takes access back; None if it leaves it open.

        Taking one person's access back closes nothing that stands open to everybody: what is revoked must be
        the same grantee's, or an audience's at least as wide; what is narrowed must be left with less.
        """
        evidence = finding.evidence
        window = self._windows.get(evidence["resource"])
        if window is None:
            return None
        same = window.grantee is not None and evidence.get("grantee") == window.grantee
        named, wide = _WIDTH.get(evidence["audience"], 0), _WIDTH.get(window.audience, 0)
        closes = named < wide if evidence.get("change") == "narrow" else same or named >= wide
        if not closes:
            return None
        return self._windows.pop(window.resource)

    def move(self, old: str, new: str) -> None:
        """Give the windows of one incident to another."""
        for window in self.of(old):
            window.incident = new

    def discard(self, incident: str) -> None:
        """Forget the windows of an incident that is kept no longer."""
        for window in self.of(incident):
            del self._windows[window.resource]

    def overdue(self, now: float, limit: float) -> list[Window]:
        """Windows open for longer than `limit` seconds at `now`, each returned once."""
        late = [w for w in self._windows.values() if not w.overdue and now - w.opened_at >= limit]
        for window in late:
            window.overdue = True
        return late

    def oldest(self) -> float | None:
        """When the oldest open window was opened; None if none is open."""
        return min((window.opened_at for window in self._windows.values()), default=None)

    def snapshot(self) -> list[Any]:
        """The open windows as plain data."""
        return [msgspec.to_builtins(window) for window in self._windows.values()]

    def restore(self, data: list[Any]) -> None:
        """Take over a snapshot."""
        windows = msgspec.convert(data, list[Window])
        self._windows = {window.resource: window for window in windows}
