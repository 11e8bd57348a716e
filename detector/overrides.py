"""Overrides: what an operator sets otherwise for some principals, detectors or hours, with the reason why."""

import re
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from detector import chains
from detector.detectors import REGISTRY
from detector.detectors.base import Detector
from detector.hours import DAYS, Hours, minutes_between, time_zone
from detector.wording import nearest

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

SCOPES: Final = ("roles", "principals", "detectors", "between", "days")
EFFECTS: Final = ("threshold", "enabled", "settings")


class Override(BaseModel):
    """What holds for some principals, detectors or hours instead of what holds for all.

    Patterns are those of file names (`svc-backup-*`). It holds where each list that is given fits by any of its
    patterns, within the hours that are given. All overrides that hold apply together; where two set the same for a
    detector, the first of them counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="A short name; findings that were judged by it carry it.")
    reason: str = Field(description="Why, for whoever asks later.")
    owner: str | None = Field(None, description="Who answers for it.")
    expires: datetime | None = Field(
        None, description="Event time from which it no longer holds, with a time zone; none: it holds on."
    )
    roles: tuple[str, ...] = Field((), description="Roles (`backup`) that it holds for; empty: all.")
    principals: tuple[str, ...] = Field((), description="Principals (`svc-backup-*`); empty: all.")
    detectors: tuple[str, ...] = Field(
        (), description="Detectors (`transfer_rate`); empty: all that weigh probabilities, for a `threshold`."
    )
    between: str | None = Field(
        None, description="Hours of the day (`02:00-04:00`, or over midnight `22:00-04:00`); none: all day."
    )
    days: tuple[Day, ...] = Field((), description="Days (`mon` … `sun`) on which the hours begin; empty: every day.")
    zone: str = Field("UTC", description="Time zone of hours and days (`Europe/Berlin`).")
    threshold: float | None = Field(
        None,
        gt=0,
        le=300,
        description="Score (-log10 of the p-value, as findings show it) that must be passed, whatever the budget says.",
    )
    enabled: bool | None = Field(None, description="`false`: the detectors neither judge nor learn meanwhile.")
    settings: dict[str, Any] = Field({}, description="Other settings of the detectors named, by key.")

    @field_validator("name", "reason", "owner")
    @classmethod
    def _says_something(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("must say something: whoever finds this override in a year will want to know")
        return text

    @field_validator("expires")
    @classmethod
    def _is_a_point_in_time(cls, expires: datetime | None) -> datetime | None:
        if expires is not None and expires.tzinfo is None:
            raise ValueError(f"has no time zone: write for example {expires:%Y-%m-%dT%H:%M:%S}Z")
        return expires

    @field_validator("detectors")
    @classmethod
    def _name_what_there_is(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if pattern in chains.DERIVED:
                raise ValueError(f"`{pattern}` is found by correlation, which has no overrides: use `mutes`")
            if not any(fnmatchcase(name, pattern) for name in REGISTRY):
                raise ValueError(f"there is no detector `{pattern}`; {nearest(pattern, REGISTRY)}")
        return patterns

    @field_validator("between")
    @classmethod
    def _is_a_span_of_hours(cls, between: str | None) -> str | None:
        if between is not None:
            minutes_between(between)
        return between

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str) -> str:
        time_zone(zone)
        return zone

    @field_validator("threshold")
    @classmethod
    def _is_held_against_something(cls, threshold: float | None, info: ValidationInfo) -> float | None:
        for name in info.data.get("detectors", ()) if threshold is not None else ():
            if name in REGISTRY and not weighs(REGISTRY[name]):
                raise ValueError(f"`{name}` weighs no probabilities: see its `settings`, or `mutes`")
        return threshold

    @field_validator("enabled")
    @classmethod
    def _switches_off_what_is_named(cls, enabled: bool | None, info: ValidationInfo) -> bool | None:
        if enabled:
            raise ValueError("an override can only switch off: write `false`")
        if enabled is False:
            _each_by_name(info, "to switch detectors off")
        return enabled

    @field_validator("settings")
    @classmethod
    def _are_settings_of_each(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for name in _each_by_name(info, "to change `settings`") if settings else ():
            detector = REGISTRY[name]
            for key in settings:
                if key in detector.shaping | detector.house_wide | {"enabled"}:
                    raise PydanticCustomError("at_key", _NOT_HERE[key != "enabled"], {"at": (key,), "detector": name})
            try:
                detector.Settings.model_validate(settings)
            except ValidationError as error:
                within = {"error": error, "model": detector.Settings, "of": name}
                raise PydanticCustomError("within", "{error}", within) from None
        return settings

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if not any(getattr(self, name) for name in SCOPES):
            raise ValueError(f"would hold for everything: give at least one of {_listed(SCOPES)}, or set it for all")
        if self.threshold is None and self.enabled is None and not self.settings:
            raise ValueError(f"sets nothing: give at least one of {_listed(EFFECTS)}")
        return self

    def concerns(self, principal: str, role: str) -> bool:
        """Whether it can hold for a principal of a role."""
        return _fits(self.principals, principal) and _fits(self.roles, role)

    def concerns_detector(self, name: str) -> bool:
        """Whether it is about a detector."""
        return _fits(self.detectors, name)

    def hours(self) -> Hours | None:
        """When it holds; None for always."""
        if self.between is None and not self.days:
            return None
        first, last = minutes_between(self.between) if self.between is not None else (0, 1440)
        return Hours(first, last, frozenset(DAYS.index(day) for day in self.days), time_zone(self.zone))


_NOT_HERE: Final = (
    "to switch a detector off, write `enabled: false` beside `settings`, not in it",
    "holds for all principals alike: set it in `detectors.{detector}`",
)


def weighs(detector: type[Detector[Any]] | Detector[Any]) -> bool:
    """Whether a detector weighs probabilities, so that a threshold can be held against them."""
    return bool(detector.channels or detector.levels)


def changes(override: Override, detector: Detector[Any]) -> Mapping[str, Any]:
    """What an override that holds makes of a detector's settings: its own, and the levels that a threshold moves.

    Those that are given win over those that follow from the threshold.
    """
    given = detector.Settings.model_validate(override.settings)
    moved = {} if override.threshold is None else dict.fromkeys(detector.levels, 10.0**-override.threshold)
    return {**moved, **{key: getattr(given, key) for key in override.settings}}


def _each_by_name(info: ValidationInfo, what_for: str) -> tuple[str, ...]:
    names: tuple[str, ...] = info.data.get("detectors", ("",))
    if names == ("",):  # they were wrong themselves, and that is told
        return ()
    if not names or not all(name in REGISTRY for name in names):
        raise ValueError(f"{what_for}, name each of them in `detectors`, without patterns")
    return names


def _fits(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or _compiled(patterns).match(name) is not None


@lru_cache(maxsize=10_000)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """All patterns as one; `fnmatch` itself remembers too few for a long list of overrides."""
    return re.compile("|".join(map(translate, patterns)))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
