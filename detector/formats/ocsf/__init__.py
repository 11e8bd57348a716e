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

from typing import Final

import msgspec

from detector.events import Event
from detector.formats.audit import each, read
from detector.formats.ocsf.classes import CLASSES
from detector.formats.ocsf.events import to_event
from detector.formats.ocsf.record import Record
from detector.formats.parts import Decoded


class _Head(msgspec.Struct):
    class_uid: int | None = None


_RECORD: Final = msgspec.json.Decoder(Record)
_HEAD: Final = msgspec.json.Decoder(_Head)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


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
        record = _RECORD.decode(raw)
    except msgspec.ValidationError:
        uid = _HEAD.decode(raw).class_uid
        if uid is not None and uid not in CLASSES:
            return ()  # a class that is not read may use these names as it likes
        raise
    return to_event(record, raw, place)
