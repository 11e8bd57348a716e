"""What an audited request means: the noun that the tables of meanings fill in."""

from typing import Final, NamedTuple

from detector.events import Actor, Change, Destination, Kind, Permission, Sensitivity
from detector.formats.kubernetes.audit import Audit

DELETES: Final = frozenset({"delete", "deletecollection"})
READS: Final = frozenset({"get", "list", "watch"})
CHANGES: Final = frozenset({"update", "patch"})

ELEVATED: Final = "elevated: "
"""How a privilege begins that leads to control of nodes or of the cluster, whatever its own words."""

PUBLIC: Final = frozenset({"system:anonymous", "system:unauthenticated"})


class Act(NamedTuple):
    """A request with its actor, and the cluster and cloud it was made in."""

    audit: Audit
    actor: Actor
    cluster: str
    cloud: str

    @property
    def verb(self) -> str:
        """The request's verb, "" where the log has none."""
        return self.audit.verb or ""

    @property
    def namespace(self) -> str:
        """The namespace of the object; "" for what belongs to the cluster."""
        return (self.audit.object_ref.namespace if self.audit.object_ref else "") or ""

    @property
    def name(self) -> str:
        """The object's name; "" for lists and for names that the server makes up."""
        return (self.audit.object_ref.name if self.audit.object_ref else "") or ""

    @property
    def change(self) -> Change:
        """How a write changes who can reach what: a new object grants, a changed one widens."""
        return "widen" if self.verb in CHANGES else "grant"


class Meaning(NamedTuple):
    """The event's kind and what goes with it."""

    kind: Kind = "call"
    permission: Permission | None = None
    sensitivity: Sensitivity = "unknown"
    destination: Destination | None = None
    records: int = 0
    notes: tuple[tuple[str, str], ...] = ()
    """Attributes beside those of every event."""


def changed(permission: Permission, *notes: tuple[str, str], sensitivity: Sensitivity = "unknown") -> Meaning:
    """A change of who can reach what."""
    return Meaning("permission", permission, sensitivity, notes=notes)


def disabled(safeguard: str) -> Meaning:
    """A safeguard switched off."""
    return changed(Permission("disable", privilege=safeguard))


def account(namespace: str, name: str) -> str:
    """A service account as the API server calls it."""
    return f"system:serviceaccount:{namespace}:{name}"[:512]
