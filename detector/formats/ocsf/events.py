"""An OCSF event -> an event."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from detector.events import Actor, Event, Permission, Sensitivity, Target
from detector.formats.audit import (
    EPOCH,
    UNDATED,
    Act,
    BadRecordError,
    dig,
    digest,
    first,
    joined,
    kept,
    text,
    when,
    whole,
)
from detector.formats.ocsf import aws
from detector.formats.ocsf.classes import ACCESS, AUDIENCES, AUTH, CALL, CLASSES, ENTITY, SELF_SERVICE, TRANSFER, Class
from detector.formats.ocsf.parties import destination, outcome, volume, who
from detector.formats.ocsf.record import Cloud, Metadata, Product, Record, Thing
from detector.formats.ocsf.targets import ENTITIES, located, name_of, sensitivity, target_of
from detector.formats.ocsf.words import act_of, act_on

_NETWORK: Final = frozenset({4001, 4002})
_SENDING: Final = frozenset({6, 7, 9})  # of HTTP Activity: Post, Put, Patch
_CALLS: Final = frozenset({6001, 6003, 6005})
_ENRICHMENTS_MOST: Final = 8
_DIGITS: Final = re.compile(r"\d{1,16}")


def to_event(record: Record, raw: bytes, place: int) -> tuple[Event, ...]:
    """The event, or nothing for one of a class that is not read or that concerns nobody.

    Args:
        record: The OCSF event.
        raw: Its bytes; they give it an id if it has none,
        place: with its place among the records of its message.

    Raises:
        BadRecordError: It lacks what an event needs.
    """
    if record.class_uid is None:
        raise BadRecordError("no OCSF: class_uid is missing")
    about = CLASSES.get(record.class_uid)
    if about is None:
        return ()
    if aws.is_call(record):
        event = _of_aws(record, about)
    else:
        actor = who(record)
        if actor is None and record.class_uid in _NETWORK:
            return ()
        event = _of_class(record, about, actor or Actor("unknown", "service"))
    if record.metadata is None or not record.metadata.uid:
        event = msgspec.structs.replace(event, id=f"ocsf:{digest(raw)}-{place}")
    return (event,)


def _of_aws(record: Record, about: Class) -> Event:
    found, time = aws.read(record), _time(record)
    told = {name: value for name, value in found.attributes.items() if name != UNDATED}
    return msgspec.structs.replace(
        found,
        time=time,
        target=_graded(found.target, "unknown", record),
        trace_id=_trace(record),
        attributes=_kept(record, about.name, time) | told,
    )


def _of_class(record: Record, about: Class, actor: Actor) -> Event:
    act = _act(record, about, actor)
    target = target_of(record, about)
    if target is None and act.change is not None:  # what is changed must be named, or no detector reads the change
        target = Target(located(record, "class", about.name))
    out, into = _volume(record, act)
    time = _time(record)
    span = record.trace.span if record.trace is not None else None
    return Event(
        id=_id(record),
        time=time,
        actor=actor,
        kind=act.kind,
        action=_action(record, about.name),
        target=_graded(target, act.sensitivity, record),
        destination=destination(record),
        bytes_out=out,
        bytes_in=into,
        records=1 if act.kind == "delete" else 0,
        permission=_permission(record, act),
        trace_id=_trace(record),
        parent_id=text(span.parent_uid) or None if span is not None else None,
        outcome=outcome(record),
        attributes=_kept(record, about.name, time),
    )


def _time(record: Record) -> datetime:
    return _moment(record.time if record.time is not None else record.time_dt)


def _moment(value: float | str | None) -> datetime:
    """A time as `when` reads it, also milliseconds as text."""
    return when(int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value)


def _names(values: Any) -> list[str]:
    """The texts of a list, and the names of the objects in it."""
    each = values if isinstance(values, list) else [values]
    return [name for item in each if (name := first(item, dig(item, "name"), dig(item, "uid")))]


def _graded(target: Target | None, least: Sensitivity, record: Record) -> Target | None:
    """The target with its sensitivity: as it is known already, by the act, or by what the event tells of the data."""
    if target is None or target.sensitivity != "unknown":
        return target
    told = least if least != "unknown" else sensitivity(record)
    return target if told == "unknown" else msgspec.structs.replace(target, sensitivity=told)


def _act(record: Record, about: Class, actor: Actor) -> Act:
    """What was done: by the words of an operation or an entity where the class says too little, else by the table."""
    uid, activity = record.class_uid or 0, record.activity
    if uid in SELF_SERVICE and activity in SELF_SERVICE[uid] and name_of(record.user) in {"", actor.id}:
        return AUTH
    if uid in _NETWORK:
        sends = bool(volume(record)[0]) and destination(record) is not None
        return TRANSFER if sends and (uid == 4001 or activity in _SENDING) else CALL
    if uid == 3004:
        entity = record.entity
        kind = text(entity.type) or ENTITIES.get(entity.type_id or 0, "") if entity is not None else ""
        return act_on(ENTITY.get(activity, ""), kind, first(entity.name, entity.uid) if entity is not None else "")
    listed = about.acts.get(activity, CALL)
    if uid in _CALLS and record.api is not None and record.api.operation:
        thing = next((text(thing.type) for thing in record.things()), "")
        told = act_of(text(record.api.operation), thing)
        # A name that begins like a read ("CheckOut") does not overrule a class that says more was done.
        return told if told is not None and (told.kind != "access" or listed in {CALL, ACCESS}) else listed
    return listed


def _permission(record: Record, act: Act) -> Permission | None:
    if act.change is None:
        return None
    group = record.group or record.subgroup or Thing()
    receiver = record.subgroup or record.group or record.iam_role or Thing()
    is_group = act.audience == "group" or (record.user is None and record.group is not None)
    person = record.user or (record.entity.user if record.entity is not None else None)
    grantee = first(receiver.name, receiver.uid) if is_group else name_of(person)
    policies = [record.policy or Thing(), *(record.policies or ())]
    words: dict[str, Callable[[], str]] = {
        "@privileges": lambda: joined([*_names(record.privileges), *_names(record.access_list)]),
        "@policy": lambda: joined([name for item in policies if (name := first(item.name, item.uid))]),
        "@roles": lambda: joined([name for item in record.iam_roles or () if (name := first(item.name, item.uid))]),
        "@group": lambda: first(group.name, group.uid),
    }
    told = words[act.privilege]() if act.privilege in words else act.privilege
    audience = AUDIENCES.get((grantee or "").lower(), act.audience)
    if act.change == "widen" and any(thing.is_public for thing in record.things()):
        audience = "public"
    ends = record.expiration_time
    return Permission(
        act.change,
        grantee=grantee or None,
        audience=audience,
        privilege=told,
        expires_at=_moment(ends) if ends else None,
    )


def _volume(record: Record, act: Act) -> tuple[int, int]:
    out, into = volume(record)
    size = whole(record.file.size) if record.file is not None else 0
    return (out or size, into) if act.kind == "transfer" else (out, into or (size if act.kind == "access" else 0))


def _action(record: Record, name: str) -> str:
    operation = text(record.api.operation) if record.api is not None else ""
    method = text(record.http_request.http_method) if record.http_request is not None else ""
    return operation or first((record.metadata or Metadata()).event_code, method) or f"{name}: {record.activity}"


def _id(record: Record) -> str:
    metadata = record.metadata or Metadata()
    product, account = metadata.product or Product(), (record.cloud or Cloud()).account
    where = first(metadata.tenant_uid, account.uid if account is not None else "", product.uid, product.name)
    return f"ocsf:{where}:{text(metadata.uid)}"[:512]


def _trace(record: Record) -> str | None:
    told = record.trace.uid if record.trace is not None else None
    return first(told, (record.metadata or Metadata()).correlation_uid) or None


def _kept(record: Record, name: str, time: datetime) -> dict[str, Any]:
    """What helps an analyst and is nobody's secret."""
    metadata, cloud = record.metadata or Metadata(), record.cloud or Cloud()
    product, actor, source = metadata.product or Product(), record.actor, record.src_endpoint
    found: dict[str, Any] = {
        "class_uid": record.class_uid,
        "class": name,
        "activity_id": record.activity,
        "product": text(product.name),
        "vendor": text(product.vendor_name),
        "provider": text(cloud.provider),
        "account": text(cloud.account.uid) if cloud.account is not None else "",
        "region": text(cloud.region),
        "service": text(record.api.service.name) if record.api is not None and record.api.service is not None else "",
        "app": first(actor.app_name, actor.app_uid) if actor is not None else "",
        "invoked_by": text(actor.invoked_by) if actor is not None else "",
        "source_ip": first(source.ip, source.hostname) if source is not None else "",
        "user_agent": text(record.http_request.user_agent, 256) if record.http_request is not None else "",
        "severity_id": record.severity_id,
        "status_code": text(record.status_code, 128),
        "status_detail": text(record.status_detail, 256),
        "privileges": joined(_names(record.privileges)),
    }
    added = (record.enrichments or ())[:_ENRICHMENTS_MOST]
    found |= {f"enrichment.{text(item.name, 64)}": text(item.value, 128) for item in added if item.name}
    return kept(found) | ({UNDATED: True} if time == EPOCH else {})
