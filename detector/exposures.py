"""The ledger of open exposure windows: sensitive resources that a change opened wide, until it is undone."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detector.events import ActorKind, Sensitivity
from detector.exposure_versions import ExposureVersion, Status
from detector.findings import Finding, stable_id
from detector.incidents import utc

READERS_MOST: Final = 1000
WINDOWS_MOST: Final = 10_000

_WIDTH: Final[Mapping[str, int]] = {"user": 0, "group": 1, "org": 2, "public": 3}


class Window(msgspec.Struct):
    """One resource standing open. Times are unix seconds of event time.

    `readers` are those who touched the resource for the first time while it stood open, with when; at most
    `READERS_MOST` by name, `reader_count` is exact. `version` is that of the last `ExposureVersion` made of it.
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
    overdue: bool = False
    change: str = ""
    privilege: str | None = None
    thread: str | None = None
    version: int = 0

    def as_version(self, status: Status, at: float, **ending: Any) -> ExposureVersion:
        """The next version of it, made at `at` (unix seconds)."""
        self.version += 1
        return ExposureVersion(
            id=stable_id("x", self.event_id, self.resource),
            version=self.version,
            status=status,
            updated_at=utc(at),
            resource=self.resource,
            sensitivity=self.sensitivity,
            opened_at=utc(self.opened_at),
            opened_by=self.opened_by,
            opened_by_kind=self.opener_kind,
            opened_by_role=self.opener_role,
            opening_event=self.event_id,
            opening_change=self.change,
            privilege=self.privilege,
            grantee=self.grantee,
            audience=self.audience,
            audience_count=self.audience_count,
            readers=self.reader_count,
            overdue=self.overdue,
            incident=self.incident,
            thread=self.thread,
            **ending,
        )


class ExposureLedger:
    """Open windows by resource, and the versions of them that nobody has taken yet."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._versions: list[ExposureVersion] = []

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

    def versions(self) -> list[ExposureVersion]:
        """What came to windows since this was asked last, in order."""
        made, self._versions = self._versions, []
        return made

    def of(self, incident: str) -> list[Window]:
        """The open windows of an incident."""
        return [window for window in self._windows.values() if window.incident == incident]

    def open(self, finding: Finding, incident: str) -> Window | None:
        """Open a window by the finding of a change; None if the resource stands open already.

        A change that opens it to more people than before widens the window, which must then be closed for them too.
        Past `WINDOWS_MOST` the one opened first is watched no longer, of those told as overdue if there are any.
        """
        evidence = finding.evidence
        resource = evidence["resource"]
        time = finding.time.timestamp()
        if resource in self._windows:
            self._widen(self._windows[resource], evidence, time)
            return None
        if len(self._windows) >= WINDOWS_MOST:
            told = (name for name, kept in self._windows.items() if kept.overdue)
            self._let_go(self._windows[next(told, next(iter(self._windows)))], time)
        window = self._windows[resource] = Window(
            resource=resource,
            sensitivity=evidence["sensitivity"],
            audience=evidence["audience"],
            audience_count=evidence["audience_count"],
            opened_at=time,
            opened_by=finding.principal,
            event_id=finding.event_id,
            incident=incident,
            opener_kind=finding.principal_kind,
            opener_role=finding.role,
            grantee=evidence.get("grantee"),
            change=evidence.get("change", ""),
            privilege=evidence.get("privilege"),
            thread=next((e.removeprefix("thread:") for e in finding.entities if e.startswith("thread:")), None),
        )
        self._versions.append(window.as_version("open", time))
        return window

    def _widen(self, window: Window, evidence: Mapping[str, Any], at: float) -> None:
        if _WIDTH.get(evidence["audience"], 0) > _WIDTH.get(window.audience, 0):
            window.audience, window.audience_count = evidence["audience"], evidence["audience_count"]
            window.grantee = evidence.get("grantee")
            self._versions.append(window.as_version("open", at))

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
        self._versions.append(
            window.as_version(
                "closed",
                time := finding.time.timestamp(),
                closed_at=utc(time),
                closed_by=finding.principal,
                closed_by_kind=finding.principal_kind,
                closing_event=finding.event_id,
                closing_change=evidence.get("change", ""),
                resolution="access was taken back",
            )
        )
        return self._windows.pop(window.resource)

    def move(self, old: str, new: str, at: float) -> None:
        """Give the windows of one incident to another, at `at` (unix seconds)."""
        for window in self.of(old):
            window.incident = new
            self._versions.append(window.as_version("open", at))

    def discard(self, incident: str, at: float) -> None:
        """Let the windows go of an incident that is kept no longer, at `at` (unix seconds)."""
        for window in self.of(incident):
            self._let_go(window, at)

    def _let_go(self, window: Window, at: float) -> None:
        del self._windows[window.resource]
        self._versions.append(window.as_version("unwatched", at, resolution="displaced by newer incidents"))

    def overdue(self, now: float, limit: float) -> list[Window]:
        """Windows open for longer than `limit` seconds at `now`, each returned once."""
        late = [w for w in self._windows.values() if not w.overdue and now - w.opened_at >= limit]
        for window in late:
            window.overdue = True
            self._versions.append(window.as_version("open", window.opened_at + limit))
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
