"""The charter: what an agent was given to do, and which of its acts need a person's yes first."""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from detector.events import Event


class Charter(BaseModel):
    """Rules for one agent or one role. An act is named by its kind ("delete") or its action ("send_email")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs_approval: frozenset[str] = Field(
        frozenset(), description="Kinds or actions that need an approval before the act."
    )
    needs_confirmation: frozenset[str] = Field(
        frozenset(), description="Kinds or actions that the user must confirm before the act."
    )

    def asks(self, event: Event) -> bool:
        """Whether the charter demands a yes for this act."""
        rules = self.needs_approval | self.needs_confirmation
        return bool(rules) and (event.kind in rules or event.action in rules)

    def joined(self, other: Self) -> Self:
        """Both charters' demands together."""
        return self.model_copy(
            update={
                "needs_approval": self.needs_approval | other.needs_approval,
                "needs_confirmation": self.needs_confirmation | other.needs_confirmation,
            }
        )


NOTHING: Final = Charter()


class Charters:
    """The charters in force, by role and by agent; an agent's own demands add to its role's."""

    def __init__(self, roles: Mapping[str, Charter] | None = None, agents: Mapping[str, Charter] | None = None) -> None:
        self._roles = dict(roles or {})
        self._agents = dict(agents or {})

    def of(self, principal: str, role: str) -> Charter:
        """The charter of a principal in a role; one that demands nothing if none was written."""
        charter = self._roles.get(role, NOTHING)
        own = self._agents.get(principal)
        return charter if own is None else charter.joined(own)
