"""Who reached a resource, and by which permission."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from detector.audit.answer import EVER, Answer, Span, records, table
from detector.store.client import Store
from detector.wording import plural

COLUMNS: Final = (
    *("principal", "kind", "role", "permission", "granted_by", "granted_at", "grant_event", "acts", "reads", "changes"),
    *("denied", "records", "bytes_in", "bytes_out", "first", "last", "known_since"),
)
SHOWN: Final = ("principal", "permission", "reads", "changes", "denied", "records", "bytes_in", "bytes_out", "first")
CHANGE: Final = (
    *("time", "actor_id", "actor_kind", "permission_change", "permission_privilege", "permission_grantee"),
    *("permission_audience", "permission_audience_count", "permission_temporary", "permission_expires_at"),
    *("permission_inherited_from", "approval_id", "approval_by", "thread", "outcome", "id"),
)
_CHANGE_SHOWN: Final = (
    "time",
    "actor_id",
    "permission_change",
    "permission_grantee",
    "permission_audience_count",
    "id",
)

# Both are asked of the table first, which takes half the time of the view, and of the view if the answer shows that a
# row is there twice. From the beginning of the store: what was granted before the span still holds in it.
_CHANGES: Final = """
SELECT time, actor_id, actor_kind, permission_change, permission_privilege, permission_grantee, permission_audience,
    permission_audience_count, permission_temporary, permission_expires_at, permission_inherited_from,
    approval_id, approval_by, thread, outcome, id, principal, topic, partition, offset, index
FROM {source:Identifier}
WHERE target_uri = {resource:String} AND permission_change != '' AND verdict != 'duplicate'
    AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, topic, partition, offset, index
"""
# Sums between one change of permissions and the next, within the span and before it, for who had access before.
# Rows that are there twice have one principal, one time and one offset: then there are fewer places than acts.
_ACCESS: Final = """
SELECT principal, any(actor_kind) AS kind, any(actor_role) AS role,
    arrayCount(changed -> changed <= time, {changes:Array(DateTime64(6, 'UTC'))}) AS after,
    time >= {since:DateTime64(6, 'UTC')} AS asked,
    minIf(time, outcome = 'success') AS succeeded,
    count() AS acts,
    groupBitmap(toUInt64(offset)) AS places,
    countIf(e.kind IN ('access', 'call', 'transfer') AND outcome = 'success') AS reads,
    countIf(e.kind IN ('permission', 'publish', 'delete') AND outcome = 'success') AS changes,
    countIf(outcome = 'denied') AS denied,
    sum(e.records) AS records, sum(e.bytes_in) AS bytes_in, sum(e.bytes_out) AS bytes_out,
    min(time) AS first, max(time) AS last
FROM {source:Identifier} AS e
WHERE target_uri = {resource:String} AND e.kind NOT IN ('control', 'auth') AND verdict != 'duplicate'
    AND time < {until:DateTime64(6, 'UTC')}
GROUP BY principal, after, asked
ORDER BY first, principal
"""
_KEY: Final = ("principal", "time", "topic", "partition", "offset", "index")
_FAST: Final = "events_data"
_EXACT: Final = "events"
_ALIKE: Final = """
SELECT DISTINCT target_uri
FROM events_data
WHERE positionCaseInsensitive(target_uri, {part:String}) > 0
LIMIT 5
"""
_WIDTH: Final[Mapping[str, int]] = {"user": 0, "group": 1, "org": 2, "public": 3}
_GIVING: Final = frozenset({"grant", "widen", "inherit"})


class Permission(msgspec.Struct, frozen=True):
    """How somebody came to have access: in words, and the change of permissions that gave it if one did."""

    words: str
    change: Mapping[str, Any] | None = None


def answer(store: Store, resource: str, span: Span = EVER) -> Answer:
    """Who read or changed a resource in a span, and by which permission.

    Args:
        store: The event store.
        resource: Its URI, exactly.
        span: When.
    """
    bound = {"resource": resource, **span.bound}
    changes = _changes(store, bound)
    done = [change for change in changes if change["outcome"] == "success"]
    sums = _sums(store, {**bound, "changes": [change["time"] for change in done]})
    since = _known_since(sums)
    rows = _joined(_row({**row, "known_since": since[row["principal"]]}, done) for row in sums if row["asked"])
    told = table("access", f"Who reached {resource}{span.words}", rows, COLUMNS, SHOWN)
    if rows:
        people = plural(len({row["principal"] for row in rows}), "principal")
        told.note = f"{people}. Standing: it had access before any change of permissions that the store holds."
    within = [change for change in changes if change["time"] >= span.since]
    changed = table("changes", "Changes of its permissions", within, CHANGE, _CHANGE_SHOWN)
    return Answer([told, changed], advice="" if rows else _advice(store, resource, span))


def _changes(store: Store, bound: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = records(store.client.query(_CHANGES, parameters={**bound, "source": _FAST}))
    if len({tuple(row[name] for name in _KEY) for row in rows}) == len(rows):
        return rows
    return records(store.client.query(_CHANGES, parameters={**bound, "source": _EXACT}))


def _sums(store: Store, bound: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = records(store.client.query(_ACCESS, parameters={**bound, "source": _FAST}))
    if all(row["acts"] == row["places"] for row in rows):
        return rows
    return records(store.client.query(_ACCESS, parameters={**bound, "source": _EXACT}))


def _known_since(sums: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """When each principal first reached it; the epoch for who never did."""
    times: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in sums:
        times[row["principal"]].append(row["succeeded"])
    return {who: min((at for at in each if at.year >= EPOCH_ENDS), default=each[0]) for who, each in times.items()}


def _row(row: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    held = permission(row["principal"], row["known_since"], row["first"], changes[: row["after"]])
    change = held.change or {"actor_id": "", "time": None, "id": ""}
    known = None if row["known_since"].year < EPOCH_ENDS else row["known_since"]
    named = {"granted_by": change["actor_id"], "granted_at": change["time"], "grant_event": change["id"]}
    return {**row, "known_since": known, "permission": held.words, **named}


def _joined(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each principal and permission: a change in between that gave it nothing else divides nothing."""
    joined: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        known = joined.setdefault((row["principal"], row["permission"], row["grant_event"]), row)
        if known is not row:
            for column in ("acts", "reads", "changes", "denied", "records", "bytes_in", "bytes_out"):
                known[column] += row[column]
            known["last"] = max(known["last"], row["last"])
    return list(joined.values())


EPOCH_ENDS: Final = 1971
"""minIf over nothing is the epoch: nobody's access ever succeeded before that year ends."""


def permission(
    principal: str, known_since: datetime, first: datetime, changes: Sequence[Mapping[str, Any]]
) -> Permission:
    """By which permission a principal reached a resource.

    A grant to itself comes first; then the one that opened the resource to the most people, for who never reached it
    before; else its access was there before anything that the log tells. Who belongs to a group the log does not tell.

    Args:
        principal: Who.
        known_since: When it first reached the resource.
        first: When it reached it in question.
        changes: Of the resource's permissions until then, in order.
    """
    held = in_force(changes, first)
    own = [change for change in held if change["permission_grantee"] == principal]
    if own:
        return Permission(f"{_what(own[-1])} to itself", own[-1])
    wide = [change for change in held if _WIDTH.get(change["permission_audience"], 0) and known_since >= change["time"]]
    if wide:
        widest = max(wide, key=lambda change: _WIDTH[change["permission_audience"]])
        count = widest["permission_audience_count"]
        people = f" ({plural(count, 'person', 'people')})" if count is not None else ""
        return Permission(f"{_what(widest)} to {widest['permission_audience']}{people}", widest)
    return Permission("standing")


def _what(change: Mapping[str, Any]) -> str:
    return f"{change['permission_change']} of {change['permission_privilege'] or 'access'}"


def in_force(changes: Sequence[Mapping[str, Any]], at: datetime) -> list[Mapping[str, Any]]:
    """Those changes that gave access which was not taken back, and had not run out, at a time."""
    held: list[Mapping[str, Any]] = []
    for change in changes:
        if change["permission_change"] in _GIVING:
            held.append(change)
        else:
            held = [given for given in held if not _ends(change, given)]
    return [given for given in held if given["permission_expires_at"] is None or at < given["permission_expires_at"]]


def _ends(change: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """As the exposure ledger closes a window: what is taken back must be the same, or as wide; what stays, less."""
    named, wide = (_WIDTH.get(each["permission_audience"], 0) for each in (change, given))
    if change["permission_change"] == "narrow":
        return named < wide
    if change["permission_change"] not in {"revoke", "expire"}:
        return False
    grantee = given["permission_grantee"]
    return bool(grantee and change["permission_grantee"] == grantee) or named >= wide


def _advice(store: Store, resource: str, span: Span) -> str:
    alike = [row[0] for row in store.client.query(_ALIKE, parameters={"part": resource.rstrip("/*")}).result_rows]
    near = [uri for uri in alike if uri != resource]
    if resource in alike:
        return f"{resource!r} was reached, but not{span.words}: widen --between."
    return f"No event on {resource!r}{span.words}." + (
        f" There is {', '.join(near)}." if near else " Is the URI exact?"
    )
