"""What audit logs have in common: reading a message whole, its time, its text, and what an operation means."""

from collections.abc import Callable, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from detector.events import Audience, Change, Destination, Kind, Permission, Reason, Reject, Sensitivity
from detector.formats.parts import Decoded, Part, each_alone
from detector.formats.repair import is_repairable, repaired

MAX_BYTES: Final = 4 << 20
MAX_RECORDS: Final = 10_000
"""Of one message: a small one can hold a million, each of which would be refused with a sentence of its own."""
UNDATED: Final = "undated"
"""Attribute of an event whose source says no time: it stands at 1970, for its reader to date by its arrival."""
STATEMENT: Final = "statement"
"""Attribute that names the act of which the action is only the carrier: a query's, a job's."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_NAME_MOST: Final = 512
_URI_MOST: Final = 4096
_MILLISECONDS: Final = 100_000_000_000

ReadT = TypeVar("ReadT")
RecordT = TypeVar("RecordT")


class BadRecordError(ValueError):
    """A record lacks what an event needs."""


class TooManyRecordsError(ValueError):
    """A message holds more records than are taken from one."""


_REASONS: Final[Mapping[type[Exception], Reason]] = {
    TooManyRecordsError: "too_large",
    BadRecordError: "wrong_shape",
    msgspec.ValidationError: "wrong_shape",
    UnicodeDecodeError: "not_utf8",
    msgspec.DecodeError: "not_json",
    RecursionError: "not_json",
}


class Act(NamedTuple):
    """What an operation does, as a row of a format's table says it."""

    kind: Kind
    change: Change | None = None
    privilege: str = ""
    audience: Audience = "unknown"
    sensitivity: Sensitivity = "unknown"


class Meaning(NamedTuple):
    """What one call did, read from its arguments.

    `uri` where it is not the call's own target; `statement` names the act that a general call carried:
    "DROP_TABLE".
    """

    kind: Kind
    permission: Permission | None = None
    uri: str = ""
    sensitivity: Sensitivity = "unknown"
    destination: Destination | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    records: int = 0
    statement: str = ""


def read(raw: bytes, events: Callable[[bytes], ReadT]) -> ReadT | Reject:
    """What `events` makes of a message, or the reject that its exception stands for.

    Args:
        raw: The message, at most `MAX_BYTES`.
        events: Decodes it; may raise `BadRecordError`, `TooManyRecordsError` and whatever msgspec raises. What is
            no JSON comes to it once more, as `repaired`.
    """
    if not raw.strip():
        return Reject("empty", "the message has no content", raw)
    if len(raw) > MAX_BYTES:
        return Reject("too_large", f"{len(raw)} bytes; at most {MAX_BYTES} are read", raw)
    try:
        return events(raw)
    except tuple(_REASONS) as error:
        found = _again(raw, events) if is_repairable(error) else None
        return Reject(_reason(error), str(error) or "nested too deeply", raw) if found is None else found


def _again(raw: bytes, events: Callable[[bytes], ReadT]) -> ReadT | Reject | None:
    """What is made of a message that was repaired; None if there was nothing to repair, or if it did not help."""
    better = repaired(raw)
    if better == raw:
        return None
    try:
        found = events(better)
    except tuple(_REASONS) as error:
        return None if is_repairable(error) else Reject(_reason(error), str(error), raw)
    return Reject(found.reason, found.detail, raw) if isinstance(found, Reject) else found


def _reason(error: Exception) -> Reason:
    return next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))


def each(records: Sequence[bytes | msgspec.Raw], events: Callable[[int, bytes], Decoded]) -> tuple[Part, ...]:
    """The parts of a message of several records.

    Args:
        records: The bytes of each.
        events: Reads one, as in `read`, given its place as well; what it refuses is refused alone.

    Raises:
        TooManyRecordsError: There are more than `MAX_RECORDS`.
    """
    numbered = enumerate(map(bytes, few(records)))
    return tuple(part for place, raw in numbered for part in parts_of(raw, partial(events, place)))


def few(records: Sequence[RecordT]) -> Sequence[RecordT]:
    """The records of a message.

    Raises:
        TooManyRecordsError: There are more than `MAX_RECORDS`.
    """
    if len(records) > MAX_RECORDS:
        raise TooManyRecordsError(f"{len(records)} records; at most {MAX_RECORDS} are read of one message")
    return records


def parts_of(raw: bytes, events: Callable[[bytes], Decoded]) -> tuple[Part, ...]:
    """The parts that one record of several makes: its events, or the reject of it."""
    return each_alone(read(raw, events), raw)


def when(value: str | float | None) -> datetime:
    """A time as audit logs write it: RFC 3339, the same without a zone (UTC), or seconds or milliseconds since 1970.

    No time at all is `EPOCH`; see `UNDATED`.

    Raises:
        BadRecordError: It is no time.

    >>> when("2026-03-02T09:00:00.123456789Z") == when(1772442000123.456)
    True
    """
    if value is None or value == "":
        return EPOCH
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        else:
            found = EPOCH + timedelta(**{"milliseconds" if abs(value) >= _MILLISECONDS else "seconds": value})
    except (ValueError, OverflowError):
        raise BadRecordError(f"no time: {str(value)[:80]!r}") from None
    if not MINYEAR < found.year < MAXYEAR:  # at the edges a time may not exist in another zone
        raise BadRecordError(f"no event happened in the year {found.year}")
    return found


def text(value: Any, most: int = _NAME_MOST) -> str:
    """A word or a number as text of bounded length; "" for anything else."""
    if type(value) is str:
        return value[:most]
    return str(value)[:most] if type(value) is int else ""


def uri(value: str) -> str:
    """A target's URI within its bound."""
    return value[:_URI_MOST]


def first(*values: Any) -> str:
    """The first of these that is text and not empty; "" without one."""
    for value in values:
        if value and (found := text(value)):
            return found
    return ""


def dig(tree: Any, *keys: str) -> Any:
    """What lies under these keys, None where the way ends.

    >>> dig({"a": {"b": 1}}, "a", "b"), dig({"a": []}, "a", "b")
    (1, None)
    """
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def words_of(value: Any) -> list[str]:
    """The texts of a list; none if it is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def joined(names: Sequence[str], most: int = 8) -> str:
    """Some names in one line, bounded."""
    return text(", ".join(names[:most]))


def whole(value: Any) -> int:
    """A count that logs write as a number or as text; 0 for what is none."""
    try:
        found = int(value) if isinstance(value, (int, str)) else 0
    except ValueError:
        return 0
    return found if 0 <= found < 2**63 else 0


def digest(raw: bytes) -> str:
    """An id for a record that has none: the same bytes, the same id."""
    return blake2b(raw, digest_size=16).hexdigest()


def kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes worth keeping: the plain ones of these that say something."""
    return {name: value for name, value in values.items() if isinstance(value, (str, int, float)) and value != ""}
