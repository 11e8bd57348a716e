"""Okta's System Log: one LogEvent a message, a list of them, an event hook's `data.events` or EventBridge's `detail`.

| event | LogEvent |
| --- | --- |
| id | `uuid` |
| time | `published` |
| actor | `actor.alternateId`, else its id; a person unless Okta, an app or an API token acts |
| session | `authenticationContext.externalSessionId` |
| action | `eventType` |
| target | `okta://-/type/name`: what the event is about, else the person it concerns |
| kind, permission | by the event type: see `okta_events`; the grantee is the person or group among the targets |
| outcome | `outcome.result` |
"""

import re
from typing import Any, Final

import msgspec

from detector.events import Actor, ActorKind, Event, Outcome, Permission, Target
from detector.formats.audit import (
    EPOCH,
    UNDATED,
    Act,
    BadRecordError,
    dig,
    digest,
    each,
    first,
    kept,
    mappings,
    read,
    text,
    uri,
    when,
)
from detector.formats.okta.events import ALARMS, SELF_SERVICE, act_of
from detector.formats.parts import Decoded, Part

_PEOPLE: Final = ("User", "AppUser")
_RECEIVERS: Final = (*_PEOPLE, "UserGroup", "Group", "PublicClientApp", "AppInstance")
_POSITIVE: Final = re.compile(r"([A-Za-z][\w -]{2,40}?)\"?\s*[=:]\s*\"?POSITIVE")
_PHISHING: Final = re.compile(r"(?i)phishing")
_RISK: Final = re.compile(r"(?i)level\W{1,4}(low|medium|high)\b")
_OUTCOMES: Final[dict[str, Outcome]] = {"DENY": "denied", "FAILURE": "failure", "ABANDONED": "failure"}
_DENIED: Final = re.compile(r"(?i)denied|forbidden|not[ _]?authori[sz]ed|access_denied|insufficient")


class _Party(msgspec.Struct, rename="camel"):
    """An actor or a target."""

    id: str | None = None
    type: str | None = None
    alternate_id: str | None = None
    display_name: str | None = None


class _Outcome(msgspec.Struct):
    result: str | None = None
    reason: str | None = None


class _Session(msgspec.Struct, rename="camel"):
    external_session_id: str | None = None


class _Client(msgspec.Struct, rename="camel"):
    ip_address: str | None = None
    zone: str | None = None
    user_agent: dict[str, Any] | None = None


class LogEvent(msgspec.Struct, rename="camel"):
    """An entry of the log; the names in lower case are those of exports that fold them."""

    uuid: str | None = None
    published: str | None = None
    event_type: str | None = None
    folded_event_type: str | None = msgspec.field(name="eventtype", default=None)
    severity: str | None = None
    actor: _Party | None = None
    target: list[_Party] | None = None
    outcome: _Outcome | None = None
    client: _Client | None = None
    authentication_context: _Session | None = None
    folded_authentication_context: _Session | None = msgspec.field(name="authenticationcontext", default=None)
    debug_context: dict[str, Any] | None = None
    folded_debug_context: dict[str, Any] | None = msgspec.field(name="debugcontext", default=None)
    transaction: dict[str, Any] | None = None
    security_context: dict[str, Any] | None = None

    @property
    def debug(self) -> Any:
        """The details of the request."""
        return dig(self.debug_context or self.folded_debug_context, "debugData")


class _Hook(msgspec.Struct):
    events: list[msgspec.Raw] | None = None


class _Message(LogEvent, rename="camel"):
    """An entry, or an envelope around some."""

    data: _Hook | None = None
    detail: LogEvent | None = None


_DECODER: Final = msgspec.json.Decoder(_Message | list[msgspec.Raw])
_ENTRY: Final = msgspec.json.Decoder(LogEvent)


def decode(raw: bytes) -> Decoded:
    """One event an entry.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event | Part, ...]:
    message = _DECODER.decode(raw)
    if isinstance(message, list):
        return each(message, _entry)
    if message.data is not None and message.data.events is not None:
        return each(message.data.events, _entry)
    return (_event(message.detail or message, raw),)


def _entry(place: int, raw: bytes) -> tuple[Event, ...]:
    return (_event(_ENTRY.decode(raw), raw, place),)


def _event(entry: LogEvent, raw: bytes, place: int = 0) -> Event:
    action = first(entry.event_type, entry.folded_event_type)
    if not action:
        raise BadRecordError("no entry of Okta's System Log: eventType is missing")
    actor = _actor(entry)
    targets = entry.target or []
    receiver = next((t for kind in _RECEIVERS for t in targets if t.type == kind), None)
    act = _refined(entry, action, act_of(action))
    if action in SELF_SERVICE and receiver is not None and _name(receiver) == actor.id:
        act = Act("auth")
    about = next((t for t in targets if t is not receiver and t.type not in _PEOPLE), receiver)
    secret = act.sensitivity
    return Event(
        id=first(entry.uuid) or f"okta-{digest(raw)}-{place}",
        time=(time := when(entry.published)),
        actor=actor,
        kind=act.kind,
        action=action,
        target=Target(_uri(about), text(about.type), secret) if about else Target("okta://-", "org", secret),
        records=1 if act.kind == "delete" else 0,
        permission=_permission(entry, act, receiver),
        trace_id=text(dig(entry.transaction, "id")) or None,
        outcome=_outcome(entry),
        attributes=_attributes(entry, action) | ({UNDATED: True} if time == EPOCH else {}),
    )


def _refined(entry: LogEvent, action: str, act: Act) -> Act:
    """What only the entry tells of an app's settings: that another organisation is trusted, or given passwords."""
    if not action.startswith("application.lifecycle.") or act.kind == "delete":
        return act
    names = " ".join(text(target.display_name) for target in entry.target or ()).lower()
    if "org2org" in names.replace(" ", ""):
        return Act("permission", "grant", "credential:identity provider", "org")
    pushes = "push" in (told := text(entry.outcome.reason).lower() if entry.outcome else "") and "password" in told
    return Act("permission", "widen", "credential:users' passwords", "org") if pushes else act


def _permission(entry: LogEvent, act: Act, receiver: _Party | None) -> Permission | None:
    if act.change is None:
        return None
    debug = entry.debug
    told = first(dig(debug, "privilegeGranted"), dig(debug, "privilegeRevoked"), dig(debug, "roleName"))
    role = next((text(t.display_name) for t in entry.target or () if (t.type or "").upper() == "ROLE"), "")
    privilege = first(told, role) if act.privilege == "administrator" else ""
    concerned = act.audience in {"user", "group"} and receiver is not None
    grouped = receiver is not None and receiver.type in {"UserGroup", "Group"}
    return Permission(
        act.change,
        grantee=_name(receiver) if concerned and receiver is not None else None,
        audience="group" if concerned and grouped else act.audience,
        privilege=privilege or act.privilege,
    )


def _actor(entry: LogEvent) -> Actor:
    who = entry.actor or _Party()
    name = _name(who)
    kind: ActorKind = "human" if who.type in {"User", "AppUser", None} and who.id else "agent"
    if who.type == "SystemPrincipal" or name in {"system@okta.com", "okta_support", "system"}:
        kind = "service"
    elif dig(entry.transaction, "detail", "requestApiTokenId"):
        kind = "agent"
    context = entry.authentication_context or entry.folded_authentication_context
    session = text(context.external_session_id) if context else ""
    return Actor(name, kind, session=session if session not in {"", "unknown"} else None)


def _name(party: _Party) -> str:
    """The name that people know: an address for a person, the id for things, whose names change."""
    address = text(party.alternate_id)
    if party.type in {"User", "AppUser", "SystemPrincipal", None} and address not in {"", "unknown"}:
        return address
    return first(party.id, address, party.display_name) or "unknown"


def _uri(party: _Party) -> str:
    return uri(f"okta://-/{party.type or 'thing'}/{_name(party)}")


def _outcome(entry: LogEvent) -> Outcome:
    outcome = entry.outcome or _Outcome()
    found = _OUTCOMES.get((outcome.result or "").upper(), "success")
    return "denied" if found == "failure" and _DENIED.search((outcome.reason or "")[:512]) else found


def _attributes(entry: LogEvent, action: str) -> dict[str, Any]:
    client, debug = entry.client or _Client(), entry.debug
    targets = entry.target or []
    security = dig(debug, "logOnlySecurityData")
    told = (dig(debug, "behaviors"), security, dig(debug, "risk"))
    seen = [str(value)[:2048] for value in told if value]
    if dig(entry.security_context, "isProxy") is True:
        seen.append("Proxy=POSITIVE")
    reason = (entry.outcome.reason if entry.outcome else "") or ""
    unusual = dict.fromkeys(name.strip() for value in seen for name in _POSITIVE.findall(value.replace("'", '"')))
    found: dict[str, object] = {
        "severity": text(entry.severity),
        "source_ip": text(client.ip_address),
        "network_zone": text(client.zone) if client.zone != "null" else "",
        "user_agent": text(dig(client.user_agent, "rawUserAgent"), 256),
        "outcome": text(entry.outcome.result) if entry.outcome else "",
        "reason": text(entry.outcome.reason, 256) if entry.outcome else "",
        "target_names": ", ".join(text(t.display_name, 60) for t in targets[:6] if t.display_name),
        "unusual": ", ".join(unusual),
        "risk": next((m[1].lower() for value in seen if (m := _RISK.search(value))), ""),
        "threat_suspected": text(dig(debug, "threatSuspected")),
        "changes": len(mappings(dig(debug, "changeDetails"))) or None,
        "alarm": True if action in ALARMS or _PHISHING.search(reason[:512]) else None,
    }
    return kept(found)
