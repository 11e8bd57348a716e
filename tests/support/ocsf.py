"""OCSF events as products write them, and the published schema to hold events against."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from detector.events import Event
from detector.formats.ocsf import decode
from detector.formats.parts import events_of

AT: Final = 1_772_442_000_123
ANN: Final = {"uid": "00u1", "name": "ann", "email_addr": "ann@acme.example", "type_id": 1}
BOB: Final = {"uid": "00u2", "name": "bob", "email_addr": "bob@acme.example", "type_id": 1}
ROBOT: Final = {"uid": "svc-7", "name": "reporter", "type_id": 4}
BILLING: Final = {"uid": "crm://billing", "name": "billing", "type": "collection"}


def record(class_uid: int, activity_id: int, **fields: Any) -> dict[str, Any]:
    """An event that the service account `reporter` made happen; a field of None is left out."""
    plain: dict[str, Any] = {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity_id,
        "type_uid": class_uid * 100 + activity_id,
        "severity_id": 1,
        "time": AT,
        "status_id": 1,
        "actor": {"user": ROBOT, "session": {"uid": "s-1"}},
        "src_endpoint": {"ip": "203.0.113.7"},
        "metadata": {"version": "1.8.0", "uid": "m-1", "product": {"name": "Acme Audit", "vendor_name": "Acme"}},
    }
    return {name: value for name, value in {**plain, **fields}.items() if value is not None}


def call(operation: str, activity_id: int = 99, service: str = "crm", **fields: Any) -> dict[str, Any]:
    """A call of API Activity."""
    api = {"operation": operation, "service": {"name": service}}
    return record(6003, activity_id, **{"api": api, **fields})


def one(made: dict[str, Any]) -> Event:
    """The event of a record that the schema allows; it must survive a round trip through our own format."""
    assert problems(made) == []
    return read(made)


def read(made: dict[str, Any]) -> Event:
    """The event of a record, whatever the schema says of it."""
    found = decode(msgspec.json.encode(made))
    assert isinstance(found, tuple), found
    (event,) = events_of(found)
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
    return event


def told(event: Event) -> tuple[str | None, ...]:
    """kind, or for a change of reach: change, audience, privilege, grantee."""
    change = event.permission
    return (event.kind,) if change is None else (change.change, change.audience, change.privilege, change.grantee)


def problems(event: dict[str, Any], version: str = "1.8.0") -> list[str]:
    """What the published schema has against an event: attributes that are unknown, missing, or of the wrong type."""
    profiles = tuple(event.get("metadata", {}).get("profiles", ()))
    found = _validator(event["class_uid"], profiles, version).iter_errors(event)
    return [f"{error.json_path}: {error.message}" for error in found]


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """An event that the schema allows, as its receiver reads it."""
    assert problems(event) == []
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return read


@cache
def _validator(class_uid: int, profiles: Sequence[str], version: str) -> Draft202012Validator:
    schema = _schema(version)
    return Draft202012Validator(schema.get_class_schema(schema.lookup_class_name_from_uid(class_uid), list(profiles)))


@cache
def _schema(version: str) -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
