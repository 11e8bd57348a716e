"""Who acted in an OCSF event, where data went, and how it ended."""

import re
from typing import Any, Final

from detector.events import Actor as Who
from detector.events import ActorKind, Destination, Outcome, Zone
from detector.formats.audit import first, text, whole
from detector.formats.ocsf.record import Actor, Endpoint, Record, User
from detector.formats.ocsf.targets import name_of

_FAILURE: Final = 2
_DENIED_ACTION: Final = 2
_STOPPED: Final = frozenset({2, 25, 26})  # disposition_id: Blocked, Rejected, Unauthorized
_DENIED: Final = re.compile(
    r"(?i)denied|forbidden|unauthori[sz]ed|not[ _]?authori[sz]ed|\b40[13]\b"
    r"|(?:no|lacks?|missing|insufficient)[ _](?:\w{1,20}[ _])?(?:permission|privilege|right|scope)"
)
_MACHINE: Final = re.compile(
    r"(?i)(?:^|[^a-z])(?:role|service ?account|service principal|app|application|bot|agent|workload|machine|api ?key)"
    r"(?![a-z])|gserviceaccount\.com$|^system:serviceaccount:|assumed-?role"
)
_INTERACTIVE: Final = frozenset({2, 7, 10, 11, 12, 13})  # logon_type_id: somebody at a keyboard
_PEOPLE, _SYSTEM, _SERVICE = frozenset({1, 2}), 3, 4
_ZONES: Final[dict[int, Zone]] = {1: "internal", 2: "external"}
_INBOUND: Final = 1


def who(record: Record) -> Who | None:
    """The actor; None where the event names nobody.

    A login and a session's authorisation are acts of the user whom they concern, where no actor is named.
    """
    actor = record.actor or Actor()
    user = actor.user or (actor.process.user if actor.process is not None else None)
    if not name_of(user) and record.class_uid in {3002, 3003}:
        user = record.user
    if not name_of(user) and record.src_endpoint is not None:
        user = record.src_endpoint.owner or user
    process = actor.process.name if actor.process is not None else ""
    session = actor.session or record.session
    name = name_of(user) or first(actor.app_uid, actor.app_name, actor.invoked_by, process)
    if not name:
        return None
    return Who(name, _kind(record, actor, user, name), session=(text(session.uid) if session else "") or None)


def _kind(record: Record, actor: Actor, user: User | None, name: str) -> ActorKind:
    if user is None or not name_of(user):
        return "service" if not (actor.app_uid or actor.app_name) and actor.invoked_by else "agent"
    if user.type_id == _SYSTEM:
        return "service"
    if user.type_id == _SERVICE or _MACHINE.search(f"{text(user.type)} {name[:256]}"):
        return "agent"
    mfa = actor.session is not None and actor.session.is_mfa
    person = user.type_id in _PEOPLE or mfa or actor.idp is not None or record.logon_type_id in _INTERACTIVE
    return "human" if person or ("@" in name and user.type_id in {None, 0, 99}) else "agent"


def destination(record: Record) -> Destination | None:
    """Where data went: the other end of a connection that was made from here."""
    end = record.dst_endpoint
    if end is None or (record.connection_info is not None and record.connection_info.direction_id == _INBOUND):
        return None
    host = _host(end)
    return Destination(host=host, zone=_ZONES.get(end.network_scope_id or 0, "unknown")) if host else None


def _host(end: Endpoint) -> str:
    return first(end.hostname, end.domain, end.ip, end.svc_name, end.name)


def volume(record: Record) -> tuple[int, int]:
    """Bytes out and in: of the connection, else of the request and its answer, the query or the file."""
    traffic, request, answer = record.traffic, record.http_request, record.http_response
    if traffic is not None:
        return whole(traffic.bytes_out), whole(traffic.bytes_in)
    out = whole(request.body_length) if request is not None else 0
    back = whole(answer.body_length) if answer is not None else 0
    return out, back or (whole(record.query_info.bytes) if record.query_info is not None else 0)


def outcome(record: Record) -> Outcome:
    """Success unless the event says otherwise; a failure for want of permission is a denial."""
    response = record.api.response if record.api is not None else None
    if record.action_id == _DENIED_ACTION or record.disposition_id in _STOPPED:
        return "denied"
    codes: list[Any] = [record.http_response.code if record.http_response is not None else None]
    codes += [response.code, response.error, response.error_message] if response is not None else []
    told = [found for code in codes if (found := text(code))]
    bad = any(code.isdigit() and whole(code) in range(400, 600) for code in told)
    failed = bad or bool(response is not None and response.error)
    if record.status_id == _FAILURE or (failed and record.status_id != 1):
        why = " ".join((*told, text(record.status_code), text(record.status_detail)))
        return "denied" if _DENIED.search(why[:2048]) else "failure"
    return "success"
