"""Alerts to Prometheus Alertmanager, by its API v2."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from detector.alerts import Alert
from detector.severity import rank
from detector.sinks.base import Batch, Noun, Refused, Sink, SinkUnavailable
from detector.sinks.http import HttpClient, HttpOptions
from detector.wording import inert

log = structlog.get_logger(__name__)

_CHUNK = 64  # alerts a request, as Prometheus itself sends them
_NOT_ACCEPTABLE = frozenset({400, 413, 422})
_NAMES_SHOWN = 10
_IDS_SHOWN = 20
_DEADMAN = 4  # heartbeats: an open alert outlives three that are lost


class Posted(msgspec.Struct, rename="camel"):
    """One element of the list that Alertmanager takes."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime


class Held(msgspec.Struct):
    """An open alert as Alertmanager knows it."""

    alert: Alert
    labels: dict[str, str]
    starts_at: float


class AlertmanagerSink(Sink):
    """Keeps Alertmanager's picture of the open alerts the same as ours.

    **Identity.** To Alertmanager an alert *is* its label set. With nothing but detector, severity and role in
    it, two incidents of the same kind would be one alert, and the first would hide the second. So there is
    one label more: `incident`, the alert's id. It never reaches Prometheus' storage, where cardinality
    costs; Alertmanager holds only what is open. Group by `alertname` to get one notification for many. No
    principal is ever a label.

    `severity`, the lead detector and the role are part of the identity too. When one of them changes, the old
    label set is resolved in the same request that brings the new one.

    **Time.** Alertmanager forgets everything on a restart, so open alerts are posted again every `heartbeat`,
    and each post ends four heartbeats from now: if this process dies, its alerts end by themselves (a rule on
    the detector's own metrics has to say that nobody is watching). `startsAt` is `detected_at`, in event time,
    but never after now. `endsAt` is by our clock: Alertmanager reads it against its own, and the event time of
    a replay may be last year's. An alert that was over before Alertmanager could ever see it burning (it was
    out of reach, or everything happened in one batch) is shown for one heartbeat: a late notification is
    better than none. After a restart of this process, write the alerts that were open at the checkpoint
    once more: that takes up their heartbeat.

    Args:
        url: base URL, a path prefix included. A cluster takes one sink for each of its members.
        name: the sink's name.
        service: value of the `service` label.
        heartbeat: seconds between two posts of an open alert.
        max_open: open alerts kept for the heartbeat; beyond it the least severe, longest unchanged are let
            go: they end in Alertmanager after four heartbeats. Counted in `let_go`.
        http: headers (credentials), timeout in seconds and TLS context of the requests.
        clock: unix seconds.

    Raises:
        ValueError: the URL is not http(s) or holds credentials.
    """

    accepts: frozenset[Noun] = frozenset({"alerts"})

    def __init__(
        self,
        url: str,
        *,
        name: str = "alertmanager",
        service: str = "rogue-agent-detector",
        heartbeat: float = 60.0,
        max_open: int = 1_000,
        http: HttpOptions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.tick_seconds = heartbeat
        self._service = service
        self._heartbeat = heartbeat
        self._max_open = max_open
        self._clock = clock
        self._http = HttpClient(f"{url.rstrip('/')}/api/v2/alerts", http, clock=clock)
        self._open: dict[str, Held] = {}
        self._resolved: dict[str, int] = {}
        self._forgets = threading.Event()
        self.let_go = 0
        """Open alerts that got no more heartbeats because there were too many."""

    def write(self, batch: Batch) -> list[Refused]:
        """Post the latest version of each alert. See `Sink.write`."""
        self._forget_if_told()
        now = self._clock()
        latest = {alert.id: alert for alert in batch.alerts}
        news = [alert for alert in latest.values() if not self._outdated(alert)]
        posts = [(alert, post) for alert in news for post in self._posts(alert, now)]
        refused = {item.id: reason for item, reason in self._send(posts)}
        for alert in news:
            if alert.id in refused:
                self._open.pop(alert.id, None)
            elif alert.status == "resolved":
                self._settle(alert)
            else:
                self._hold(Held(alert, self._labels(alert), self._began(alert, now)))
        return [Refused(latest[alert_id], reason) for alert_id, reason in refused.items()]

    def tick(self) -> None:
        """Post every open alert again."""
        self._forget_if_told()
        now = self._clock()
        posts = [(held.alert, post) for held in self._open.values() for post in self._posts(held.alert, now)]
        for alert, reason in self._send(posts):
            log.error("heartbeat_refused", sink=self.name, alert=alert.id, why=reason)
            del self._open[alert.id]

    def close(self) -> None:
        """Close the connections. Open alerts stay open until their four heartbeats are over."""
        self._http.close()

    def forget(self) -> None:
        """Post nothing again of what was written before: another process does. For any thread.

        Else an alert that the other one resolves would be opened anew by each heartbeat of this one.
        """
        self._forgets.set()

    def _forget_if_told(self) -> None:
        if self._forgets.is_set():
            self._forgets.clear()
            self._open.clear()
            self._resolved.clear()

    def _outdated(self, alert: Alert) -> bool:
        held = self._open.get(alert.id)
        newest = held.alert.version - 1 if held is not None else self._resolved.get(alert.id, 0)
        return alert.version <= newest

    def _settle(self, alert: Alert) -> None:
        """Remember that this version is resolved: posted again, it would look like one never seen burning."""
        self._open.pop(alert.id, None)
        self._resolved[alert.id] = alert.version
        if len(self._resolved) > self._max_open:
            del self._resolved[next(iter(self._resolved))]

    def _began(self, alert: Alert, now: float) -> float:
        held = self._open.get(alert.id)
        return held.starts_at if held is not None else _starts_at(alert, now)

    def _posts(self, alert: Alert, now: float) -> list[Posted]:
        """What brings Alertmanager from what it knows of this alert to this version."""
        new = Held(alert, self._labels(alert), self._began(alert, now))
        old = self._open.get(alert.id)
        known = old is not None and old.labels == new.labels
        posts = []
        if old is not None and not known:
            posts.append(self._post(Held(alert, old.labels, old.starts_at), ends_at=now))
        posts.append(self._post(new, ends_at=self._ends_at(alert, known, now)))
        return posts

    def _ends_at(self, alert: Alert, known: bool, now: float) -> float:
        if alert.status != "resolved":
            return now + _DEADMAN * self._heartbeat
        return now if known else now + self._heartbeat

    def _post(self, held: Held, *, ends_at: float) -> Posted:
        return Posted(
            labels=held.labels,
            annotations=annotations(held.alert),
            starts_at=_utc(held.starts_at),
            ends_at=_utc(max(ends_at, held.starts_at + 0.001)),
        )

    def _send(self, posts: Sequence[tuple[Alert, Posted]]) -> list[tuple[Alert, str]]:
        """Post in chunks; returns the alerts that were refused, with the reason.

        Alertmanager answers 400 when one alert of a list is bad, and has taken the others: posting each
        alone finds the bad one and does the others no harm.
        """
        refused: list[tuple[Alert, str]] = []
        for start in range(0, len(posts), _CHUNK):
            chunk = posts[start : start + _CHUNK]
            reason = self._refusal([post for _, post in chunk])
            if reason is None:
                continue
            if len(chunk) == 1:
                refused.append((chunk[0][0], reason))
                continue
            for alert, post in chunk:
                reason = self._refusal([post])
                if reason is not None:
                    refused.append((alert, reason))
        return refused

    def _refusal(self, posts: Sequence[Posted]) -> str | None:
        answer = self._http.post(msgspec.json.encode(posts))
        if answer.success:
            return None
        if answer.status in _NOT_ACCEPTABLE:
            return answer.why
        # 401, 403, 404 …: the configuration is wrong, not the alert. Losing it would be no remedy.
        raise SinkUnavailable(answer.why)

    def _hold(self, held: Held) -> None:
        self._open[held.alert.id] = held
        if len(self._open) > self._max_open:
            least = max(self._open.values(), key=lambda h: (rank(h.alert.severity), -h.alert.updated_at.timestamp()))
            del self._open[least.alert.id]
            self.let_go += 1
            log.warning("heartbeat_let_go", sink=self.name, alert=least.alert.id, max_open=self._max_open)

    def _labels(self, alert: Alert) -> dict[str, str]:
        lead = alert.detectors[0] if alert.detectors else "unknown"
        labels = {
            "alertname": "RogueAgent" + "".join(word.capitalize() for word in lead.split("_")),
            "detector": lead,
            "severity": alert.severity,
            "role": alert.roles[0] if alert.roles else "",
            "service": self._service,
            "incident": alert.id,
        }
        return {name: inert(value) for name, value in labels.items() if value}


def annotations(alert: Alert) -> dict[str, str]:
    """What a person reads: text and ids, lists cut to a readable length, markup from outside made inert.

    Templates put these into chat, mail and tickets.
    """
    texts = {
        "summary": alert.title,
        "description": alert.reason,
        "principals": _some(alert.principals, _NAMES_SHOWN),
        "roles": _some(alert.roles, _NAMES_SHOWN),
        "detectors": _some(alert.detectors, _NAMES_SHOWN),
        "tags": _some(alert.tags, _IDS_SHOWN),
        "runbook": alert.runbook,
        "findings": _some(alert.finding_ids, _IDS_SHOWN),
        "finding_count": str(alert.finding_count),
        "opened_at": alert.opened_at.isoformat(),
        "detected_at": alert.detected_at.isoformat(),
        "version": str(alert.version),
        "resolution": alert.resolution or "",
    }
    return {name: inert(text) for name, text in texts.items() if text}


def _some(names: Sequence[str], most: int) -> str:
    """The names in a line, at most so many.

    >>> _some(("a", "b", "c"), 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _starts_at(alert: Alert, now: float) -> float:
    return min(alert.detected_at.timestamp(), now)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
