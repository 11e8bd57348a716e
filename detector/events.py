"""The event: one thing that an agent, a person or a service did, in one canonical shape.

The names are those of OCSF and of OpenTelemetry's GenAI conventions where these have one. A source's own
words stay in `action` and `attributes`; the original bytes travel beside the event, in its `Envelope`.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

SCHEMA_VERSION: Final = 1

Kind = Literal["access", "transfer", "call", "permission", "publish", "delete", "control", "auth"]
ActorKind = Literal["agent", "human", "service"]
Sensitivity = Literal["public", "internal", "confidential", "restricted", "unknown"]
Zone = Literal["internal", "approved", "external", "public", "unknown"]
Change = Literal["grant", "widen", "inherit", "narrow", "revoke", "expire", "disable"]
Audience = Literal["user", "group", "org", "public", "unknown"]
Outcome = Literal["success", "failure", "denied"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SENSITIVE: Final[frozenset[Sensitivity]] = frozenset({"confidential", "restricted"})
OUTSIDE: Final[frozenset[Zone]] = frozenset({"external", "public", "unknown"})

Identifier = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[str, Meta(max_length=512)]
Uri = Annotated[str, Meta(min_length=1, max_length=4096)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
UtcTime = Annotated[datetime, Meta(tz=True)]


class Actor(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who acted: `role` is the peer group it is judged by, `session` the run or conversation it acted in."""

    id: Identifier
    kind: ActorKind = "agent"
    role: Name = ""
    on_behalf_of: Name | None = None
    session: Name | None = None


class Target(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What was acted on. For a control event: the agent concerned, by its id."""

    uri: Uri
    type: Name = ""
    sensitivity: Sensitivity = "unknown"
    container_size: Count | None = None
    """How many records the container held before the act, when the source tells (a mailbox, a table)."""


class Destination(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where data went: a host, an account or a recipient, and the zone it lies in."""

    host: Name | None = None
    account: Name | None = None
    recipient: Name | None = None
    zone: Zone = "unknown"


class Permission(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A change of who can reach what. The resource is the event's target.

    "disable": a safeguard was switched off (an audit log, a second factor, encryption, a branch's protection),
    and `privilege` says which.
    """

    change: Change
    grantee: Name | None = None
    audience: Audience = "unknown"
    audience_count: Count | None = None
    privilege: Name = ""
    requested: Name | None = None
    """The privilege that was asked for, when the source tells it apart from what was granted."""
    temporary: bool = False
    expires_at: UtcTime | None = None
    inherited_from: Name | None = None


class Approval(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The human in the loop: was a yes required, which one is claimed, and who gave it."""

    required: bool = False
    id: Name | None = None
    by: Name | None = None


NamedKind = Literal["email", "account", "phone", "url", "host", "channel", "path", "name"]


class Named(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Something that words point at: an address, an account, a host.

    `value` is in canonical form (lower case; an account without spaces). `key` is the innermost argument
    or field it stood under ("recipients"), "" where there is none. `alone` says that it was a value of its
    own, as records hold it, rather than a word in running text, where anybody may have written it.
    """

    kind: NamedKind
    value: Name
    key: Name = ""
    alone: bool = False


class Content(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the words of an event name; the words themselves are not kept.

    `request` are the distinct lower-case words of what a person asked the agent, `arguments` what a call was
    told to act on, `result` what came back.
    """

    request: tuple[str, ...] = ()
    arguments: tuple[Named, ...] = ()
    result: tuple[Named, ...] = ()


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One action. `id` is its idempotency key; `time` is when it happened, aware, in any zone."""

    id: Identifier
    time: UtcTime
    actor: Actor
    kind: Kind
    action: Name = ""
    target: Target | None = None
    destination: Destination | None = None
    bytes_out: Count = 0
    bytes_in: Count = 0
    records: Count = 0
    permission: Permission | None = None
    approval: Approval | None = None
    thread: Name | None = None
    trace_id: Name | None = None
    parent_id: Name | None = None
    in_reply_to: Name | None = None
    outcome: Outcome = "success"
    content: Content | None = None
    attributes: dict[str, Any] = {}

    @property
    def principal(self) -> str:
        """The one whose behaviour this event is about, and the Kafka message key.

        The actor; for a control event (stop, resume, approve, deny, confirm) the agent it concerns, so that
        it meets that agent's actions in order.
        """
        if self.kind == "control" and self.target is not None:
            return self.target.uri
        return self.actor.id


Reason = Literal["empty", "too_large", "not_utf8", "not_json", "wrong_shape", "unknown_format", "not_storable"]


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A message that could not be understood, or stored: why, in a word for the metrics and a sentence for a person."""

    reason: Reason
    detail: str
    raw: bytes


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """An event with where it was read: unique by (topic, partition, offset, index), and the original bytes.

    `received_at` is the broker's time of arrival (unix seconds), or the reader's clock for a file: the one
    thing an event from the future can be told by, since the core has no clock.
    """

    event: Event
    topic: str
    partition: int
    offset: int
    received_at: float
    raw: bytes
    index: int = 0
    format: str = "native"


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A reject with where it was read: unique by (topic, partition, offset, index); all as in `Envelope`."""

    reject: Reject
    topic: str
    partition: int
    offset: int
    received_at: float
    index: int = 0
