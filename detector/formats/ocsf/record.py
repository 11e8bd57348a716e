"""An OCSF event as it is read: the objects and attributes that mean something here, by OCSF's own names.

OCSF has one dictionary for all classes: an attribute is the same object wherever it stands, so that one type reads
them all, from version 1.0 on.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

Text = str | int | None
Number = int | float | str | None


class Classification(msgspec.Struct):
    """How confidential data is, and of which kind."""

    confidentiality_id: int | None = None
    category_id: int | None = None


class Thing(msgspec.Struct):
    """What has a name: an account, a policy, a service, a product, an organisation."""

    uid: Text = None
    name: Text = None
    type: Text = None


class Product(Thing):
    """What reported the event."""

    vendor_name: Text = None


class Group(Thing):
    """A group, and what its members may do."""

    privileges: Any = None


class User(Thing):
    """An account of a person or a machine."""

    type_id: int | None = None
    email_addr: str | None = None
    uid_alt: Text = None
    credential_uid: Text = None
    account: Thing | None = None


class Session(Thing):
    """What an actor acted in. `issuer` is the role or the provider behind it."""

    issuer: Any = None
    is_mfa: bool | None = None


class Process(Thing):
    """A running program and whose it is."""

    user: User | None = None


class Actor(msgspec.Struct):
    """Who acted: a user, an application, a service or a process."""

    user: User | None = None
    session: Session | None = None
    process: Process | None = None
    app_name: Text = None
    app_uid: Text = None
    invoked_by: Text = None
    idp: Thing | None = None


class Url(msgspec.Struct):
    """An address on the web."""

    url_string: str | None = None
    hostname: str | None = None


class HttpRequest(msgspec.Struct):
    """What was asked by HTTP; the body is not part of it."""

    user_agent: str | None = None
    http_method: str | None = None
    url: Url | None = None
    body_length: Number = None


class HttpResponse(msgspec.Struct):
    """What was answered by HTTP."""

    code: Number = None
    body_length: Number = None


class Request(msgspec.Struct):
    """A call's arguments, undecoded until they are asked for."""

    uid: Text = None
    data: msgspec.Raw = msgspec.Raw()


class Response(msgspec.Struct):
    """How a call ended."""

    code: Number = None
    error: Text = None
    error_message: Text = None


class Api(msgspec.Struct):
    """A call: the operation and the service that offers it."""

    operation: Text = None
    service: Thing | None = None
    request: Request | None = None
    response: Response | None = None


class Cloud(msgspec.Struct):
    """Where in a cloud."""

    provider: Text = None
    region: Text = None
    account: Thing | None = None
    project_uid: Text = None


class Resource(Thing):
    """A thing that was acted on: a resource, a database, a table, a page."""

    namespace: Text = None
    url_string: str | None = None
    owner: User | None = None
    data_classification: Classification | None = None
    data_classifications: list[Classification] | None = None
    is_public: bool | None = None
    role_id: int | None = None


class File(Resource):
    """A file, or an object of a bucket."""

    path: Text = None
    uri: str | None = None
    url: Url | None = None
    size: Number = None
    confidentiality_id: int | None = None


class Databucket(Resource):
    """A bucket, and which of its objects."""

    type_id: int | None = None
    file: File | None = None


class Entity(Thing):
    """Something that is managed: a device, a user, a group, a policy, a network zone."""

    type_id: int | None = None
    user: User | None = None
    group: Group | None = None
    policy: Thing | None = None


class Endpoint(Thing):
    """One end of a connection."""

    hostname: str | None = None
    domain: str | None = None
    ip: str | None = None
    svc_name: str | None = None
    network_scope_id: int | None = None
    owner: User | None = None


class Connection(msgspec.Struct):
    """Which way a connection was made."""

    direction_id: int | None = None


class Traffic(msgspec.Struct):
    """How much went over a connection, out of the source and back."""

    bytes_out: Number = None
    bytes_in: Number = None


class Query(msgspec.Struct):
    """A query's size; its words are not read."""

    bytes: Number = None


class Span(msgspec.Struct):
    """A step of a trace."""

    uid: Text = None
    parent_uid: Text = None


class Trace(msgspec.Struct):
    """What the event is part of."""

    uid: Text = None
    span: Span | None = None


class Value(msgspec.Struct):
    """An enrichment, or an observable: a value and what it is (`type_id` 10: a resource's uid)."""

    name: Any = None
    type_id: int | None = None
    value: Any = None


class Metadata(msgspec.Struct):
    """The event's id and where it comes from."""

    uid: Text = None
    event_code: Text = None
    tenant_uid: Text = None
    correlation_uid: Text = None
    product: Product | None = None
    data_classification: Classification | None = None
    data_classifications: list[Classification] | None = None


class Record(msgspec.Struct, kw_only=True):
    """An event of any class."""

    class_uid: int | None = None
    activity_id: int | None = None
    type_uid: int | None = None
    time: Number = None
    time_dt: str | None = None
    severity_id: int | None = None
    status_id: int | None = None
    status_code: Number = None
    status_detail: Any = None
    action_id: int | None = None
    disposition_id: int | None = None
    metadata: Metadata | None = None
    actor: Actor | None = None
    user: User | None = None
    group: Group | None = None
    subgroup: Group | None = None
    entity: Entity | None = None
    iam_role: Thing | None = None
    iam_roles: list[Thing] | None = None
    policy: Thing | None = None
    policies: list[Thing] | None = None
    privileges: Any = None
    access_list: Any = None
    session: Session | None = None
    logon_type_id: int | None = None
    service: Thing | None = None
    app: Thing | None = None
    api: Api | None = None
    cloud: Cloud | None = None
    resource: Resource | None = None
    resources: list[Resource] | None = None
    web_resources: list[Resource] | None = None
    databucket: Databucket | None = None
    database: Resource | None = None
    table: Resource | None = None
    query_info: Query | None = None
    file: File | None = None
    expiration_time: Number = None
    src_endpoint: Endpoint | None = None
    dst_endpoint: Endpoint | None = None
    connection_info: Connection | None = None
    traffic: Traffic | None = None
    http_request: HttpRequest | None = None
    http_response: HttpResponse | None = None
    trace: Trace | None = None
    enrichments: list[Value] | None = None
    observables: list[Value] | None = None
    unmapped: msgspec.Raw = msgspec.Raw()

    @property
    def activity(self) -> int:
        """What was done, in the numbers of its class; 0 for unknown."""
        return self.activity_id if self.activity_id is not None else (self.type_uid or 0) % 100

    def things(self) -> Iterator[Resource]:
        """What the event says it was about, the main one first."""
        if self.resource is not None:
            yield self.resource
        yield from self.resources or ()
        yield from self.web_resources or ()
        yield from (thing for thing in (self.file, self.table, self.database, self.databucket) if thing is not None)
