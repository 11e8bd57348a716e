"""What a source can't tell, filled from the operator's knowledge: how sensitive, whose, of which role."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Any, Final, Generic, Literal, Self, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from detector.destinations import Zones
from detector.events import ActorKind, Event, Target

KNOWN_MOST: Final = 10_000

_NEVER: Final = "(?!)"
"""What `translate` makes of a range that holds nothing."""

Patterns = tuple[str, ...]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Patterns = Field((), min_length=1, description="Patterns, as of file names; one must fit.")

    @field_validator("match")
    @classmethod
    def _each_pattern_says_something(cls, patterns: Patterns) -> Patterns:
        if not all(pattern.strip() for pattern in patterns):
            raise ValueError("an empty pattern fits nothing: take it out")
        for pattern in patterns:
            if pattern != pattern.strip():
                raise ValueError(f"{pattern!r} fits only what has spaces around it: take them out")
            if _NEVER in translate(pattern):
                raise ValueError(f"{pattern!r} fits nothing: the letters in [] go from the lower to the higher")
        return patterns


class ResourceLabel(_Rule):
    """Resources (`s3://hr-*`, `*/secrets/*`) and how sensitive they are."""

    sensitivity: Literal["public", "internal", "confidential", "restricted"] = Field(
        description="How sensitive they are."
    )


class PrincipalLabel(_Rule):
    """Principals (`arn:aws:iam::*:role/deploy-*`, `*@corp.example`), their role and what they are."""

    role: str = Field("", max_length=512, description="The peer group they are judged by.")
    kind: ActorKind | None = Field(
        None, description="What they are, whatever the source takes them for: it always says one of the three."
    )
    pin: bool = Field(
        False, description="Theirs is the `role` whatever the source says, and nobody's who is under no such label."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.role and self.kind is None:
            raise ValueError("says nothing of them: give a `role` or a `kind`")
        if self.pin and not self.role:
            raise ValueError("`pin` holds a `role` fast: give one")
        return self


class LabelSettings(BaseModel):
    """What the operator knows and a source can't tell. In order; of each list the first rule that fits counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resources: tuple[ResourceLabel, ...] = Field(
        (), description="Resources (`match`, patterns of URIs) and their `sensitivity`, where the source tells none."
    )
    principals: tuple[PrincipalLabel, ...] = Field(
        (),
        description="Principals (`match`, patterns of ids), their `role`, where the source tells none, and `kind`.",
    )

    @property
    def pinned(self) -> frozenset[str]:
        """The roles that no source can give to anybody."""
        return frozenset(label.role for label in self.principals if label.pin)


RuleT = TypeVar("RuleT", bound=_Rule)


class _First(Generic[RuleT]):
    """The first rule that fits a name, looked up once for each name as long as there is room."""

    def __init__(self, rules: Sequence[RuleT]) -> None:
        patterns = [(pattern, rule) for rule in rules for pattern in rule.match]
        self._rules = [rule for _, rule in patterns]
        self._pattern = re.compile("|".join(f"({translate(pattern)})" for pattern, _ in patterns))
        self._known: dict[str, RuleT | None] = {}

    def of(self, name: str) -> RuleT | None:
        try:
            return self._known[name]
        except KeyError:
            if len(self._known) >= KNOWN_MOST:
                self._known.clear()
            match = self._pattern.match(name)
            found = self._known[name] = self._rules[match.lastindex - 1] if match and match.lastindex else None
            return found


class Labels:
    """Fills what a source left open. Does nothing, and costs next to nothing, where nothing is configured.

    Args:
        settings: What is known of resources and principals.
        zones: What is known of destinations.
    """

    def __init__(self, settings: LabelSettings | None = None, zones: Zones | None = None) -> None:
        settings = settings or LabelSettings()
        self._resources = _First(settings.resources) if settings.resources else None
        self._principals = _First(settings.principals) if settings.principals else None
        self._pinned = settings.pinned
        self._zones = zones if zones is not None and zones.known else None
        self.idle = not (self._resources or self._principals or self._zones)

    def fill(self, event: Event) -> Event:
        """The event with what is known of it; itself if that is nothing new."""
        target = event.target
        if self._resources is not None and target is not None and target.sensitivity == "unknown":
            event = self._with_sensitivity(event, target, self._resources)
        if self._principals is not None:
            event = self._with_role(event, self._principals)
        return event if self._zones is None else self._zones.fill(event)

    @staticmethod
    def _with_sensitivity(event: Event, target: Target, rules: _First[ResourceLabel]) -> Event:
        rule = rules.of(target.uri) if event.kind != "control" else None  # whose target is an agent
        if rule is None:
            return event
        return msgspec.structs.replace(event, target=msgspec.structs.replace(target, sensitivity=rule.sensitivity))

    def _with_role(self, event: Event, rules: _First[PrincipalLabel]) -> Event:
        actor, rule = event.actor, rules.of(event.actor.id)
        role, kind = actor.role, actor.kind
        if role in self._pinned:  # which its label gives, and no source
            role = ""
        if rule is not None:
            role = rule.role if rule.pin else role or rule.role
            kind = rule.kind or kind
        if (role, kind) == (actor.role, actor.kind):
            return event
        return msgspec.structs.replace(event, actor=msgspec.structs.replace(actor, role=role, kind=kind))


_FILLED: Final[dict[str, Callable[[Event], Any]]] = {
    "sensitivity": lambda event: event.target and event.target.sensitivity,
    "role": lambda event: event.actor.role,
    "kind": lambda event: event.actor.kind,
    "zone": lambda event: event.destination and event.destination.zone,
}


def filled(before: Event, after: Event) -> dict[str, str]:
    """What was filled, by its name: for a person who wants to know why."""
    return {name: str(of(after)) for name, of in _FILLED.items() if of(before) != of(after)}
