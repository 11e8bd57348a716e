"""The charter: what an agent was given to do, and which of its acts need a person's yes first."""

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from detector.destinations import listed
from detector.events import Change, Event, Permission, Sensitivity

OPENING: Final[frozenset[Change]] = frozenset({"grant", "widen", "inherit"})


class Charter(BaseModel):
    """Rules for one agent or one role. An act is named by its kind ("delete") or its action ("send_email").

    A list of what is allowed that is left empty allows everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs_approval: frozenset[str] = Field(
        frozenset(), description="Kinds or actions that need an approval before the act."
    )
    needs_confirmation: frozenset[str] = Field(
        frozenset(), description="Kinds or actions that the user must confirm before the act."
    )
    actions: frozenset[str] = Field(frozenset(), description="Kinds or actions that are allowed; empty: all.")
    resources: tuple[str, ...] = Field(
        (), description="Targets that are allowed, as patterns (`db://crm/*`); empty: all."
    )
    sensitivities: frozenset[Sensitivity] = Field(
        frozenset(), description="Sensitivities of targets that are allowed; empty: all."
    )
    destinations: tuple[str, ...] = Field(
        (),
        description="Where data may go: hosts, suffixes (`.corp.example`), networks (`10.2.0.0/16`), "
        "patterns (`s3://team-*`, `*@corp.example`); empty: anywhere.",
    )

    grants_end_within: float | None = Field(
        None, gt=0, description="Seconds within which access that it gives must end; none: it may be lasting."
    )

    @field_serializer("needs_approval", "needs_confirmation", "actions", "sensitivities")
    def _in_order(self, names: frozenset[str]) -> list[str]:
        """The order of a set changes from process to process, and the configuration's hash must not."""
        return sorted(names)

    @field_validator("destinations")
    @classmethod
    def _networks_are_whole(cls, destinations: tuple[str, ...]) -> tuple[str, ...]:
        listed(destinations)
        return destinations

    def asks(self, event: Event) -> bool:
        """Whether the charter demands a yes for this act."""
        return _names(self.needs_approval, event) or _names(self.needs_confirmation, event)

    def breach(self, event: Event) -> tuple[str, str] | None:
        """The first rule that the event breaks, and by what; None if it is within the charter."""
        target, to = event.target, event.destination
        permission = event.permission
        if permission is not None and self._lasts_too_long(permission, event.time):
            return "grant", permission.grantee or permission.audience
        if self.actions and not _names(self.actions, event):
            return "action", event.action or event.kind
        if target is not None:
            if self.sensitivities and target.sensitivity not in {*self.sensitivities, "unknown"}:
                return "sensitivity", f"{target.sensitivity} {target.uri}"
            if self.resources and not any(fnmatchcase(target.uri, pattern) for pattern in self.resources):
                return "resource", target.uri
        if to is not None and self.destinations:
            names = [name for name in (to.host, to.account, to.recipient) if name]
            stray = next((name for name in names if not self.allows_destination(name)), None)
            if stray is not None:
                return "destination", stray
        return None

    def _lasts_too_long(self, permission: Permission, given: datetime) -> bool:
        """Whether it gives access that ends later than it may, or never."""
        if self.grants_end_within is None or permission.change not in OPENING:
            return False
        ends = permission.expires_at
        return ends is None or (ends - given).total_seconds() > self.grants_end_within

    def allows_destination(self, name: str) -> bool:
        """Whether the list of destinations names this host, account, recipient or bucket."""
        return listed(self.destinations).find(name) is not None

    def joined(self, other: Self) -> Self:
        """The role's charter with an agent's own: demands add up, and what the agent's allows is allowed too.

        A list that either leaves empty is the other's: an agent's own list can widen its role's, not void it.
        """
        both = {name: getattr(self, name) for name in type(self).model_fields}
        for name, mine in both.items():
            theirs = getattr(other, name)
            if name == "grants_end_within":
                both[name] = mine if theirs is None else theirs
                continue
            both[name] = mine | theirs if isinstance(mine, frozenset) else (*mine, *theirs)
        return self.model_copy(update=both)


def _names(rules: frozenset[str], event: Event) -> bool:
    return bool(rules) and (event.kind in rules or event.action in rules)


NOTHING: Final = Charter()
JOINED_MOST: Final = 10_000


class Charters:
    """The charters in force, by role and by agent; an agent's own adds to its role's."""

    def __init__(self, roles: Mapping[str, Charter] | None = None, agents: Mapping[str, Charter] | None = None) -> None:
        self._roles = dict(roles or {})
        self._agents = dict(agents or {})
        self._joined: dict[tuple[str, str], Charter] = {}

    def of(self, principal: str, role: str) -> Charter:
        """The charter of a principal in a role; one that demands and forbids nothing if none was written."""
        own = self._agents.get(principal)
        if own is None:
            return self._roles.get(role, NOTHING)
        charter = self._joined.get((principal, role))
        if charter is None:
            if len(self._joined) > JOINED_MOST:
                self._joined.clear()
            charter = self._joined[principal, role] = self._roles.get(role, NOTHING).joined(own)
        return charter
