"""Calls to AWS that reached us as OCSF (Amazon Security Lake and others): read as the CloudTrail records they were.

OCSF says of `PutBucketPolicy` only that something was updated. CloudTrail's own tables know the operation, and parse
its policies, where the event still has the parameters: in `api.request.data`, or under `unmapped`, whole or with
dotted names ("requestParameters.bucketName").
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detector.events import Event
from detector.formats.audit import first, text
from detector.formats.cloudtrail import call as trail
from detector.formats.cloudtrail.events import to_event
from detector.formats.ocsf.record import Actor, Api, Metadata, Record, Response, Thing, User

_ENDING: Final = ".amazonaws.com"
_DEPTH_MOST: Final = 8


def is_call(record: Record) -> bool:
    """Whether the event is a call to one of AWS's services that names its operation."""
    api = record.api
    return api is not None and api.service is not None and bool(api.operation) and _source(api).endswith(_ENDING)


def read(record: Record) -> Event:
    """The event that CloudTrail's own record of the call would be, but for what OCSF alone knows."""
    api, unmapped = record.api or Api(), spread(plain(record.unmapped))
    given = api.request.data if api.request is not None else msgspec.Raw()
    metadata, cloud = record.metadata or Metadata(), record.cloud
    account = cloud.account if cloud is not None else None
    error, why = _error(record, api.response or Response())
    return to_event(
        trail.Record(
            event_name=text(api.operation),
            event_source=_source(api),
            event_id=text(metadata.uid) or None,
            aws_region=text(cloud.region) if cloud is not None else None,
            source_ip=record.src_endpoint.ip if record.src_endpoint is not None else None,
            user_agent=record.http_request.user_agent if record.http_request is not None else None,
            user_identity=_identity(record),
            error_code=error,
            error_message=why,
            request_id=text(api.request.uid) or None if api.request is not None else None,
            read_only=_switch(unmapped.get("readOnly")),
            session_credential_from_console=_switch(unmapped.get("sessionCredentialFromConsole")),
            event_type=text(unmapped.get("eventType")) or None,
            recipient_account_id=text(account.uid) or None if account is not None else None,
            request_parameters=plain(given) or _object(unmapped.get("requestParameters")),
            response_elements=_object(unmapped.get("responseElements")),
            additional_event_data=_object(unmapped.get("additionalEventData")) | _volume(record),
            resources=[_resource(thing.uid, thing.owner, thing.type) for thing in record.resources or ()],
        )
    )


def plain(raw: msgspec.Raw) -> dict[str, Any]:
    """An object, given as such or as its JSON in a string; empty for anything else."""
    found = msgspec.json.decode(raw) if bytes(raw) else None
    found = _parsed(found)
    return found if isinstance(found, dict) else {}


def spread(unmapped: Mapping[str, Any]) -> dict[str, Any]:
    """What `unmapped` holds, by its first names, be it whole, as a string, or over dotted names.

    >>> spread({"a.b.c": "1", "a.d": "[2]", "e": 3}), spread({"a": '{"b": 1}'})
    ({'a': {'b': {'c': '1'}, 'd': [2]}, 'e': 3}, {'a': {'b': 1}})
    """
    found: dict[str, Any] = {}
    for key, value in unmapped.items():
        *path, last = key.split(".", _DEPTH_MOST)
        place = found
        for step in path:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            place[last] = _parsed(value)
    return found


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parsed(value: Any) -> Any:
    """JSON in a string as what it says; any other value as it is."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return value
    return value


def _switch(value: Any) -> str | bool | None:
    return value if isinstance(value, (str, bool)) else None


def _source(api: Api) -> str:
    return text(api.service.name).lower() if api.service is not None else ""


def _identity(record: Record) -> trail.Identity:
    actor = record.actor or Actor()
    user, session = actor.user or User(), actor.session
    name = first(user.uid)
    mfa = session.is_mfa if session is not None else None
    issuer = text(session.issuer) if session is not None else ""
    return trail.Identity(
        type=text(user.type) or None,
        arn=name if name.startswith("arn:") else None,
        principal_id=first(user.uid_alt, name) or None,
        account_id=text((user.account or Thing()).uid) or None,
        access_key_id=text(user.credential_uid) or None,
        user_name=text(user.name) or None,
        invoked_by=text(actor.invoked_by) or None,
        session_context=trail.Session(
            session_issuer=trail.Issuer(issuer) if issuer.startswith("arn:") else None,
            attributes=trail.SessionAttributes(mfa) if mfa is not None else None,
        ),
    )


def _resource(uid: Any, owner: User | None, kind: Any) -> trail.Resource:
    account = owner.account if owner is not None else None
    name = text(uid)
    return trail.Resource(
        arn=name if name.startswith("arn:") else None,
        account_id=text(account.uid) or None if account is not None else None,
        type=text(kind) or None,
    )


def _error(record: Record, response: Response) -> tuple[str | None, str | None]:
    """The error's code and message; a failure without a code has its status for one."""
    code = first(response.error, record.status_code if record.status_id != 1 else None)
    why = first(response.error_message, record.status_detail if record.status_id == 2 else None)
    if record.status_id == 2 and not code:
        code = why or "Failure"
    return code or None, why or None


def _volume(record: Record) -> dict[str, Any]:
    """What a connection carried, as S3's records say it: seen from the service."""
    if record.traffic is None:
        return {}
    carried = {"bytesTransferredIn": record.traffic.bytes_out, "bytesTransferredOut": record.traffic.bytes_in}
    return {name: value for name, value in carried.items() if isinstance(value, (int, float))}
