"""Legal holds: what is to be kept beyond its retention, until the hold is released.

A hold is an operator's action, and so is its release: the store's view `holds` is made of them. What they keep is told
by a flag on the rows, which `held_rows.apply` sets.
"""

from datetime import datetime

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from detector.findings import stable_id
from detector.records import OperatorAction
from detector.store.client import Store
from detector.store.errors import StoreError, failure

_HOLDS = """
SELECT id, details, held_at, held_by, reason, released_at, released_by, release_reason FROM holds ORDER BY held_at, id
"""
_ALERT = "SELECT count() FROM alerts_data WHERE id = {incident:String}"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold covers: an incident; or else what `principal` did, from `since` to before `until`.

    An incident comes with all that its principals did around it, and with what it was merged with. Without `since`,
    `until` or `principal` there is no such bound.
    """

    incident: str = ""
    principal: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def subject(self) -> str:
        """As an operator's action names it."""
        if self.incident:
            return f"incident:{self.incident}"
        return f"principal:{self.principal}" if self.principal else "span"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, as the store tells it; `released_at` is None while it is in force."""

    id: str
    scope: Scope
    held_at: datetime
    held_by: str
    reason: str
    released_at: datetime | None = None
    released_by: str = ""
    release_reason: str = ""


def hold(scope: Scope, *, operator: str, reason: str, now: datetime, config: str = "") -> OperatorAction:
    """The action that places a hold, whose id is the action's: record it, then apply the holds.

    Raises:
        ValueError: the scope holds everything, nothing, or an incident with bounds of its own.
    """
    bounds = scope.principal or scope.since or scope.until
    if scope.incident and bounds:
        raise ValueError("an incident brings its own principals and times: give it alone")
    if not scope.incident and not bounds:
        raise ValueError("say what to hold: an incident, a principal, or a span of time")
    if scope.since is not None and scope.until is not None and scope.since >= scope.until:
        raise ValueError("the span is empty: its begin is not before its end")
    return OperatorAction(
        id=stable_id("h", scope.subject, operator, reason, now.isoformat()),
        time=now,
        operator=operator,
        action="hold",
        subject=scope.subject,
        reason=reason,
        details=msgspec.to_builtins(scope),
        config=config,
    )


def release(id_: str, *, operator: str, reason: str, now: datetime, config: str = "") -> OperatorAction:
    """The action that releases the hold of this id: record it, then apply the holds."""
    return OperatorAction(
        id=stable_id("r", id_, operator, reason, now.isoformat()),
        time=now,
        operator=operator,
        action="release",
        subject=f"hold:{id_}",
        reason=reason,
        config=config,
    )


def check_incident(store: Store, incident: str) -> None:
    """Make sure that there is such an incident.

    Raises:
        StoreError: no alert has this id, or the store can't tell.
    """
    try:
        found = store.client.query(_ALERT, parameters={"incident": incident}).result_rows[0][0]
    except ClickHouseError as error:
        raise failure(f"can't look for the alert in {store.url}: {error}", error) from error
    if not found:
        raise StoreError(f"the store has no alert {incident!r}: name one by its id, as in the view `alerts`")


def every(store: Store) -> list[Hold]:
    """All holds, in the order in which they were placed; those that were released too.

    Raises:
        StoreError: the store can't tell.
    """
    try:
        rows = store.client.query(_HOLDS).result_rows
    except ClickHouseError as error:
        raise failure(f"can't read the holds of {store.url}: {error}", error) from error
    return [
        Hold(
            id=str(id_),
            scope=msgspec.json.decode(details, type=Scope),
            held_at=held_at,
            held_by=str(held_by),
            reason=str(reason),
            released_at=released_at,
            released_by=str(released_by),
            release_reason=str(release_reason),
        )
        for id_, details, held_at, held_by, reason, released_at, released_by, release_reason in rows
    ]
