"""OCSF, the Open Cybersecurity Schema Framework: one event a message, or a list of them.

| event | OCSF |
| --- | --- |
| id | "ocsf", the tenant, account or product, `metadata.uid`; a digest of the event without one |
| time | `time` (milliseconds), else `time_dt` |
| actor | `actor.user` by its address, uid or name, else the app, service or process; `user` for a login |
| actor.kind | `user.type_id`: User and Admin are people, System a service, Service an agent; then the type's words |
| session | `actor.session.uid` |
| action | `api.operation`, else `metadata.event_code`, the HTTP method, the class and its activity |
| target | what the class is about: `resources`, `databucket`, `database`, `table`, `file`, `entity`, `user`, `group` |
| sensitivity | the worst `confidentiality_id` of these; personal, financial and such data without one is confidential |
| kind, permission | the class and `activity_id` (`classes`); an operation's words (`words`), or AWS's own tables |
| destination, bytes | `dst_endpoint`; `traffic`, else the lengths of request, answer, query or file |
| outcome | `action_id`, `disposition_id`, `status_id`, then the codes of the response |
| trace_id | `trace.uid`, else `metadata.correlation_uid` |

Read are Account Change (3001), Authentication (3002), Authorize Session (3003), Entity Management (3004), User Access
(3005), Group, User and Role Management (3006, 3007, 3008), Network and HTTP Activity (4001, 4002; where they name an
actor), Web Resources (6001), Application Lifecycle (6002), API Activity (6003), Datastore (6005) and File Hosting
(6006). Events of other classes, findings among them, are passed over.
"""

import re
from typing import Any, Final

import msgspec

from detector.events import Event
from detector.formats.audit import each, joined, read
from detector.formats.ocsf.classes import CLASSES
from detector.formats.ocsf.events import to_event
from detector.formats.ocsf.record import Record
from detector.formats.parts import Decoded

MOST_ODD: Final = 8
"""Attributes of a wrong type that an event may have and still be read, without them."""
UNREAD: Final = "unread"
"""Attribute of an event that tells which of OCSF's could not be read."""


class _Head(msgspec.Struct):
    class_uid: int | None = None


_RECORD: Final = msgspec.json.Decoder(Record, strict=False)  # some write numbers as text
_HEAD: Final = msgspec.json.Decoder(_Head, strict=False)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


# What happened, when and by whom: an event in which these can't be read is refused.
_DECIDING: Final = re.compile(r"\$\.(?:class_uid|activity_id|type_uid|time|time_dt|actor|user|api)\b")
_PATH: Final = re.compile(r" - at `(\$[^`]*)`$")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")


def decode(raw: bytes) -> Decoded:
    """One event, or the parts of a list.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"class_uid": 2004}')
    ()
    """
    return read(raw, _message)


def _message(raw: bytes) -> Decoded:
    if raw.lstrip()[:1] == b"[":
        return each(_LIST.decode(raw), _one)
    return _one(0, raw)


def _one(place: int, raw: bytes) -> tuple[Event, ...]:
    try:
        return to_event(_RECORD.decode(raw), raw, place)
    except msgspec.ValidationError as error:
        uid = _HEAD.decode(raw).class_uid
        if uid is not None and uid not in CLASSES:
            return ()  # a class that is not read may use these names as it likes
        record, unread = _without_odd(raw, error)
    told = {UNREAD: joined(unread)}
    found = to_event(record, raw, place)
    return tuple(msgspec.structs.replace(event, attributes=event.attributes | told) for event in found)


def _without_odd(raw: bytes, error: msgspec.ValidationError) -> tuple[Record, list[str]]:
    """The record without the attributes of a wrong type, and where those stood.

    Raises:
        msgspec.ValidationError: They tell what the event is, or are too many.
    """
    tree = msgspec.json.decode(raw)
    unread: list[str] = []
    while len(unread) < MOST_ODD:
        found = _PATH.search(str(error))
        if found is None or _DECIDING.match(found[1]):
            break
        unread.append(found[1][2:])
        _take_out(tree, [name or int(place) for name, place in _STEP.findall(found[1])])
        try:
            return _RECORD.decode(msgspec.json.encode(tree)), unread
        except msgspec.ValidationError as another:
            error = another
    raise error


def _take_out(tree: Any, path: list[str | int]) -> None:
    *way, last = path
    for step in way:
        tree = tree[step]
    del tree[last]
