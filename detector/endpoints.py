"""What an event reached, as names that can be counted: hosts, routes, buckets, recipients, segments."""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from detector.events import Event, Named, Zone

Namespace = Literal["host", "route", "bucket", "recipient", "account", "segment"]

_OPAQUE: Final = re.compile(
    r"^(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{12,}|(?=[^/]*\d)[A-Za-z0-9_=-]{20,})$"
)
_BUCKETS: Final = frozenset({"s3", "gs", "gcs", "azure", "abfs", "wasb", "oss"})
_REACHED: Final = frozenset({"email", "phone", "channel", "account", "host", "url"})
_WEB: Final = frozenset({"http", "https"})
_ADDRESS: Final = re.compile(r"^(?:\d+\.\d+\.\d+\.\d+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$")


class Endpoint(msgspec.Struct, frozen=True):
    """A name that was reached and the zone it lies in."""

    namespace: Namespace
    name: str
    zone: Zone


def template(path: str) -> str:
    """A path with its identifiers cut out, so that a route is one name whoever it is called for.

    >>> template("/v1/users/8812/orders/0b7e6c1a-9d1e-4c57-8f43-aaaaaaaaaaaa")
    '/v1/users/{id}/orders/{id}'
    >>> template("/v1/health")
    '/v1/health'
    """
    return "/".join("{id}" if _OPAQUE.match(part) else part for part in path.split("/"))


def segment(host: str) -> str | None:
    """The network that a literal address lies in (IPv4 /16, IPv6 /48), None for a name.

    >>> segment("10.42.7.9"), segment("db.corp.example")
    ('10.42.0.0/16', None)
    """
    if not _ADDRESS.match(host):
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return str(ipaddress.ip_network((address, 16 if address.version == 4 else 48), strict=False))


def endpoints(event: Event) -> list[Endpoint]:
    """Every endpoint that the event reached, each once; destination first.

    A web address as target gives its host and its route, a bucket address its bucket; a literal address
    gives its network segment instead of a host, since single addresses come and go.
    """
    to, target = event.destination, event.target
    found: list[Endpoint] = []
    if to is not None:
        if to.host:
            found.append(_host(to.host, to.zone))
        if to.account:
            found.append(Endpoint("account", to.account, to.zone))
        if to.recipient:
            found.append(Endpoint("recipient", to.recipient.lower(), to.zone))
    if target is not None:
        elsewhere: Zone = "unknown" if event.kind == "transfer" else "internal"
        of_target = _of_target(target.uri, elsewhere if to is None else to.zone, event.kind == "call")
        found += [endpoint for endpoint in of_target if endpoint not in found]
    return found


def places(event: Event) -> Iterator[str]:
    """Hosts, accounts, recipients and buckets that the event reached, as they are written, each by itself.

    Also those that an acting call's arguments name: an event has one destination, a mail many recipients.
    """
    to = event.destination
    if to is not None:
        yield from (name for name in (to.host, to.account, to.recipient) if name)
    address = _address(event)
    if address is not None:
        scheme, host, _ = address
        yield f"{scheme}://{host}" if scheme in _BUCKETS else host
    if event.content is not None and event.kind != "access":
        yield from (_place(item) for item in event.content.arguments if item.alone and item.kind in _REACHED)


def _place(named: Named) -> str:
    if named.kind != "url":
        return named.value
    scheme, mark, rest = named.value.rpartition("://")
    return scheme + mark + rest.partition("/")[0]


@lru_cache(maxsize=4096)
def _of_target(uri: str, zone: Zone, called: bool) -> tuple[Endpoint, ...]:
    address = _taken_apart(uri)
    if address is None:
        return ()
    scheme, host, path = address
    if scheme in _BUCKETS:
        return (Endpoint("bucket", f"{scheme}://{host}", zone),)
    if called:
        return _host(host, zone), Endpoint("route", host + template(path), zone)
    return (_host(host, zone),)


def _address(event: Event) -> tuple[str, str, str] | None:
    """Scheme, host and path of a target that is a bucket, a web address or on a literal address, else None."""
    return None if event.target is None else _taken_apart(event.target.uri)


@lru_cache(maxsize=4096)
def _taken_apart(uri: str) -> tuple[str, str, str] | None:
    if "://" not in uri:
        return None
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return None
    if parts.scheme in _BUCKETS or (host and (parts.scheme in _WEB or _ADDRESS.match(host))):
        return parts.scheme, host, parts.path
    return None


@lru_cache(maxsize=4096)
def _host(host: str, zone: Zone) -> Endpoint:
    network = segment(host)
    return Endpoint("segment", network, zone) if network else Endpoint("host", host.lower(), zone)
