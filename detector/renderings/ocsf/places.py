"""Whom a finding is about and where that reached, as OCSF's users, endpoints and observables."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from detector.events import ActorKind
from detector.findings import Finding

# OCSF knows no agents among its users: 99 is "Other", and `type` says what.
_USERS: Final[Mapping[ActorKind, tuple[int, str]]] = {
    "agent": (99, "AI Agent"),
    "human": (1, "User"),
    "service": (4, "Service"),
}
# What the evidence calls a place -> the type of observable, its caption, and the attribute of `dst_endpoint`.
_KINDS: Final[Mapping[str, tuple[int, str, str]]] = {
    "host": (1, "Hostname", "hostname"),
    "ip": (2, "IP Address", "ip"),
    "email": (5, "Email Address", "name"),
    "url": (6, "URL String", "name"),
    "bucket": (10, "Resource UID", "name"),
    "segment": (12, "Subnet", "name"),
}


class Place(NamedTuple):
    """Where data or an act went, and what the name is: a key of `_KINDS`, or anything else for a bare name."""

    kind: str
    name: str


def place_of(finding: Finding) -> Place | None:
    """The place that the finding's evidence names; None without one.

    A host that is an address, and a recipient that is a mailbox, are told as what they are.
    """
    told = finding.evidence
    for name, kind in (("endpoint", "namespace"), ("recipient", "recipient_kind"), ("destination", "")):
        found = told.get(name)
        if isinstance(found, str) and found:
            return _place(found, str(told.get(kind, "")))
    return None


def user(principal: str, kind: ActorKind | None = None) -> dict[str, Any]:
    """A principal as OCSF's user."""
    if kind is None:
        return {"uid": principal, "name": principal}
    type_id, name = _USERS[kind]
    return {"uid": principal, "name": principal, "type_id": type_id, "type": name}


def endpoint(place: Place) -> dict[str, Any]:
    """The far end: by host name or address, else by whatever it is called."""
    attribute = _KINDS[place.kind][2] if place.kind in _KINDS else "name"
    return {attribute: place.name}


def observables(principals: Iterable[str], resources: Iterable[str], place: Place | None) -> list[dict[str, Any]]:
    """The values that an analyst searches for, and where in the event they stand."""
    found = [_observable("evidences.actor.user.uid", 31, "User Object: uid", name) for name in principals]
    found += [_observable("resources.uid", 10, "Resource UID", uri) for uri in resources]
    if place is not None and place.kind in _KINDS:
        type_id, caption, attribute = _KINDS[place.kind]
        found.append(_observable(f"evidences.dst_endpoint.{attribute}", type_id, caption, place.name))
    return found


def _place(name: str, kind: str) -> Place:
    if "@" in name and kind in {"recipient", "account", ""}:
        return Place("email", name)
    bare = name.rpartition(":")[0] if name.count(":") == 1 else name
    try:
        ip_address(bare)
    except ValueError:
        return Place(kind, name)
    return Place("ip", bare)


def _observable(name: str, type_id: int, kind: str, value: str) -> dict[str, Any]:
    return {"name": name, "type_id": type_id, "type": kind, "value": value}
