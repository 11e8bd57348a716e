"""What an OCSF event is about: its target's URI, type and sensitivity, by where its class says they stand."""

from collections.abc import Callable, Mapping
from typing import Final

from detector.events import Sensitivity, Target
from detector.formats.audit import first, text, uri
from detector.formats.ocsf.classes import Class
from detector.formats.ocsf.record import Cloud, File, Record, Resource, Thing, User

# `confidentiality_id` of OCSF: Not Confidential, Confidential, Secret, Top Secret, Private, Restricted.
CONFIDENTIALITY: Final[Mapping[int, Sensitivity]] = {
    1: "public",
    2: "confidential",
    3: "restricted",
    4: "restricted",
    5: "confidential",
    6: "restricted",
}
# `category_id` of data that is guarded where nobody told how confidential it is: Personal, Governmental, Financial,
# Military and Law Enforcement, Security.
GUARDED: Final = frozenset({1, 2, 3, 5, 6})
ENTITIES: Final[Mapping[int, str]] = {
    1: "Device",
    2: "User",
    3: "Group",
    4: "Organization",
    5: "Policy",
    6: "Email",
    7: "Network Zone",
}
_SCHEMES: Final[Mapping[int, str]] = {1: "s3", 2: "azblob", 3: "gs"}
_RESOURCE_UID: Final = 10
_PARTS: Final = {1: 0, 2: 3, 3: 1, 4: 2}  # role_id: the Target before Affected, Related and, last, the Actor
_WORST: Final[tuple[Sensitivity, ...]] = ("restricted", "confidential", "internal", "public")


def target_of(record: Record, about: Class) -> Target | None:
    """The target, from the first of the class's places that has one."""
    for place in about.about:
        found = _PLACES[place](record)
        if found is not None:
            return found
    return None


def sensitivity(record: Record) -> Sensitivity:
    """The worst that is told of the data: by its things, or by the event's own classification."""
    told: set[Sensitivity] = set()
    for thing in (*record.things(), record.metadata):
        if thing is None:
            continue
        for item in (thing.data_classification, *(thing.data_classifications or ())):
            if item is not None:
                known = CONFIDENTIALITY.get(item.confidentiality_id or 0)
                told.add(known or ("confidential" if item.category_id in GUARDED else "unknown"))
    if record.file is not None:
        told.add(CONFIDENTIALITY.get(record.file.confidentiality_id or 0, "unknown"))
    return next((level for level in _WORST if level in told), "unknown")


def name_of(user: User | None) -> str:
    """The name an account is known by: its address, its uid, its name."""
    if user is None:
        return ""
    if user.email_addr:
        return text(user.email_addr)
    name = text(user.name)
    return name if "@" in name else first(user.uid, name, user.uid_alt, user.credential_uid)


def located(record: Record, kind: str, *names: object) -> str:
    """A URI for a thing without one of its own: `ocsf://account/type/name`."""
    name = first(*names)
    if "://" in name or name.startswith(("arn:", "urn:")):
        return uri(name)
    cloud, metadata = record.cloud or Cloud(), record.metadata
    account = first((cloud.account or Thing()).uid, cloud.project_uid, metadata.tenant_uid if metadata else "")
    return uri(f"ocsf://{account or '-'}/{kind or 'thing'}/{name}")


def _of(record: Record, thing: Thing | None, kind: str) -> Target | None:
    if thing is None:
        return None
    address = (thing.url_string or "") if isinstance(thing, Resource) else ""
    name = first(_bare(address), thing.uid, _spaced(thing))
    kind = text(thing.type) or kind
    return Target(located(record, kind, name), kind) if name else None


def _bare(address: str) -> str:
    """A web address without its query, where tokens travel."""
    return address.partition("?")[0]


def _spaced(thing: Thing) -> str:
    space = text(thing.namespace) if isinstance(thing, Resource) else ""
    return f"{space}/{text(thing.name)}" if space and thing.name else text(thing.name)


def _user(record: Record) -> Target | None:
    name = name_of(record.user)
    return Target(located(record, "user", name), "user") if name else None


def _entity(record: Record) -> Target | None:
    entity = record.entity
    if entity is None:
        return None
    kind = text(entity.type) or ENTITIES.get(entity.type_id or 0, "entity")
    name = first(entity.uid, entity.name) or name_of(entity.user)
    inner = next((thing for thing in (entity.group, entity.policy) if thing is not None), Thing())
    name = name or first(inner.uid, inner.name)
    return Target(located(record, kind, name), kind) if name else None


def _bucket(record: Record) -> Target | None:
    bucket = record.databucket
    if bucket is None or not first(bucket.name, bucket.uid):
        return None
    scheme = _SCHEMES.get(bucket.type_id or 0, "")
    key = _path(bucket.file)
    if not scheme or not bucket.name:
        found = located(record, "databucket", bucket.uid, bucket.name)
        return Target(uri(f"{found}/{key}" if key else found), "object" if key else "bucket")
    return Target(uri(f"{scheme}://{bucket.name}" + (f"/{key}" if key else "")), "object" if key else "bucket")


def _table(record: Record) -> Target | None:
    table, database = record.table, record.database
    if table is None or not first(table.uid, table.name):
        return _of(record, database, "database")
    whole = text(database.name) if database is not None else ""
    return Target(located(record, "table", table.uid, f"{whole}/{text(table.name)}".lstrip("/")), "table")


def _file(record: Record) -> Target | None:
    file = record.file
    if file is None or not first(file.uri, file.path, file.uid, file.name):
        return None
    address = (file.url.url_string or "") if file.url is not None else ""
    name = first(_bare(file.uri or address), file.uid, _path(file))
    return Target(located(record, "file", name), text(file.type) or "file")


def _path(file: File | None) -> str:
    return first(file.path, file.name).lstrip("/") if file is not None else ""


def _things(record: Record) -> Target | None:
    # From version 1.5 on a resource says which part it plays; without that the first is meant.
    parts = sorted(record.things(), key=lambda thing: _PARTS.get(thing.role_id or 0, 1))
    return next((found for thing in parts if (found := _of(record, thing, "resource")) is not None), None)


def _api(record: Record) -> Target | None:
    api = record.api
    if api is None or not (api.operation or api.service):
        return None
    service = first(api.service.name, api.service.uid) if api.service is not None else ""
    return Target(located(record, "api", service or text(api.operation)), "api")


def _observable(record: Record) -> Target | None:
    values = (text(item.value) for item in record.observables or () if item.type_id == _RESOURCE_UID)
    return next((Target(located(record, "resource", value), "resource") for value in values if value), None)


def _endpoint(record: Record) -> Target | None:
    end = record.dst_endpoint
    name = first(end.hostname, end.domain, end.svc_name, end.name, end.ip, end.uid) if end is not None else ""
    return Target(located(record, "host", name), "host") if name else None


def _url(record: Record) -> Target | None:
    url = record.http_request.url if record.http_request is not None else None
    address = _bare(url.url_string or "") if url is not None else ""
    return Target(uri(address), "url") if address else None


_PLACES: Final[Mapping[str, Callable[[Record], Target | None]]] = {
    "api": _api,
    "app": lambda record: _of(record, record.app, "app"),
    "bucket": _bucket,
    "endpoint": _endpoint,
    "entity": _entity,
    "file": _file,
    "group": lambda record: _of(record, record.group, "group"),
    "observable": _observable,
    "role": lambda record: _of(record, record.iam_role, "role"),
    "service": lambda record: _of(record, record.service, "service"),
    "table": _table,
    "things": _things,
    "url": _url,
    "user": _user,
}
"""Where a class says its target stands -> what is there."""
