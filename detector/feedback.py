"""What people say of an alert, and what follows: by stated rules, within bounds, until a day, and it can be taken back.

A verdict closes the alert. "false" (nothing of note happened) and "benign" (it happened, and may) also say that what
statistical detectors found in it is to be told no more, in so far:

| found by | covers | of whom ("false") | of whom ("benign") | days at most |
| --- | --- | --- | --- | --- |
| `new_endpoint` | this endpoint, unless it is public | the role | the principal | 90 |
| `transfer_rate`, `mass_deletion` | 1.5 times the amount, over the same time | the principal | the principal | 30 |
| `behaviour` | the same rule, up to 1.25 times the score | the principal | the principal | 7 |

Nothing follows for what a deterministic rule found, nor for anything of SEV1 or SEV0, nor for a finding that is graver
than the one that was judged; and what is covered is not learnt as normal. Nobody judges an alert that is about himself.
"""

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeGuard

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detector.approvals import fits
from detector.findings import Finding, stable_id
from detector.severity import Severity, at_least

Verdict = Literal["true", "false", "benign"]

# After which a verdict takes effect, in event time: by then every worker knows it, so that all of them judge the same
# events by it, as far as the clocks of agents and people agree.
DELAY: Final = timedelta(seconds=60)

# How far the clock of whoever takes a verdict may be from that of Kafka, in seconds.
CLOCKS_APART: Final = 86400.0

# Adjustments that one verdict can make.
MOST: Final = 50


# What a verdict can be about: detectors that weigh nothing but probabilities.
_AMOUNTS: Final = frozenset({"transfer_rate", "mass_deletion"})
ADJUSTABLE: Final = _AMOUNTS | {"new_endpoint", "behaviour"}
LONGEST: Final = timedelta(days=366)

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class FeedbackSettings(BaseModel):
    """Whose verdicts on alerts count, and how long what follows from them holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operators: tuple[str, ...] = Field(
        (),
        description="Who may judge alerts (`*@soc.example`), but nobody one about himself; empty: whoever can reach "
        "the service's API with its token, or write to the findings topic.",
    )
    endpoint_days: float = Field(90.0, gt=0, le=365, description="Days for which a new endpoint is covered at most.")
    amount_days: float = Field(30.0, gt=0, le=365, description="The same for amounts that are sent or deleted.")
    other_days: float = Field(7.0, gt=0, le=365, description="The same for what other statistical rules find.")

    def allows(self, by: str) -> bool:
        """Whether a verdict of this person counts."""
        return fits(self.operators, by)


class Feedback(msgspec.Struct, frozen=True, kw_only=True, tag="feedback"):
    """One verdict on an alert, or one that is taken back: a message of the findings topic.

    `time` is when it was given, by the clock of the program that took it. `until` shortens what follows. With
    `undoes`, the id of an earlier one on the same alert, `verdict` is None.

    Raises:
        ValueError: It says both or neither, or its names could pass for others on a screen.
    """

    id: Name
    time: Time
    by: Name
    alert: Name
    reason: Text
    verdict: Verdict | None = None
    until: Time | None = None
    undoes: Name | None = None

    def __post_init__(self) -> None:
        if (self.verdict is None) == (self.undoes is None):
            raise ValueError("give a `verdict` (true, false or benign), or `undoes` with the id of one")
        for name in ("id", "by", "alert", "reason"):
            if not getattr(self, name).strip():
                raise ValueError(f"`{name}` says nothing")
        if not self.by.isprintable():
            raise ValueError("`by` holds what no screen shows")


def same_person(one: str, other: str) -> bool:
    """Whether two names can't be told apart by eye.

    >>> same_person("Agent-1 ", "agent-1")
    True
    """
    return _seen(one) == _seen(other)


def _seen(name: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", name) if char.isprintable()).strip().casefold()


class Adjustable(msgspec.Struct, frozen=True, array_like=True):
    """What a verdict can be about in a finding: `size` is an amount or a score, 0 where it has none."""

    detector: str
    subject: str
    principal: str
    role: str
    severity: Severity
    size: float


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """What is told no more since a verdict: findings of a detector about a subject, from `begins` to before `ends`.

    One of `principal` and `role` is given. `most` is the largest amount or score that it covers, `up_to` the gravest
    severity. A later one with the same id replaces it: so it is taken back.

    Raises:
        ValueError: It would cover more than any verdict can.
    """

    id: Name
    feedback: Name
    detector: str
    subject: str
    principal: str = ""
    role: str = ""
    most: float
    up_to: Severity
    begins: Time
    ends: Time

    def __post_init__(self) -> None:
        if bool(self.principal) == bool(self.role):
            raise ValueError("an adjustment is about one principal or one role")
        if self.detector not in ADJUSTABLE or at_least(self.up_to, "SEV1") or self.ends - self.begins > LONGEST:
            raise ValueError("an adjustment that no verdict makes")

    def covers(self, finding: Finding, size: float) -> bool:
        """Whether a finding about the subject, and of this size, is one of those."""
        return (
            (not self.principal or self.principal == finding.principal)
            and (not self.role or self.role == finding.role)
            and size <= self.most
            and at_least(self.up_to, finding.severity)
            and self.begins <= finding.time < self.ends
        )


class Terms(NamedTuple):
    """For how long a verdict holds, and up to how many times the size that was judged."""

    days: float
    margin: float


def measured(finding: Finding) -> tuple[str, float] | None:
    """The subject and the size of a finding that a verdict may be about; None for one that no verdict silences."""
    if finding.p_value is None or finding.detector not in ADJUSTABLE or at_least(finding.severity, "SEV1"):
        return None
    evidence = finding.evidence
    if finding.detector == "new_endpoint":
        namespace, name, zone = (evidence.get(key) for key in ("namespace", "endpoint", "zone"))
        return None if zone == "public" or not name else (f"{namespace} {name}", 0.0)
    if finding.detector in _AMOUNTS:
        seen, over = evidence.get("seen"), evidence.get("half_life_seconds")
        subject = f"{finding.rule} {evidence.get('channel', '')} over {over} s"
        return (subject, float(seen)) if _is_number(seen) else None
    return finding.rule, finding.score


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float)


def adjustable(finding: Finding) -> Adjustable | None:
    """What a verdict on the finding's alert can be about in it; None if nothing."""
    found = measured(finding)
    if found is None:
        return None
    return Adjustable(finding.detector, found[0], finding.principal, finding.role, finding.severity, found[1])


def adjustments(
    feedback: Feedback, about: Iterable[Adjustable], settings: FeedbackSettings | None = None
) -> list[Adjustment]:
    """What follows from a verdict: nothing from "true".

    Args:
        feedback: The verdict.
        about: What it can be about in the alert.
        settings: How long it holds at most.
    """
    if feedback.verdict not in {"false", "benign"}:
        return []
    begins = feedback.time + DELAY
    made: dict[str, Adjustment] = {}
    for one in about:
        terms = _terms(one.detector, settings or FeedbackSettings())
        by_role = one.detector == "new_endpoint" and feedback.verdict == "false" and bool(one.role)
        whom = {"role": one.role} if by_role else {"principal": one.principal}
        adjustment_id = stable_id("j", feedback.id, one.detector, one.subject, one.severity, *whom.values())
        ends = begins + timedelta(days=terms.days)
        same = made.get(adjustment_id)
        made[adjustment_id] = Adjustment(
            id=adjustment_id,
            feedback=feedback.id,
            detector=one.detector,
            subject=one.subject,
            most=max(one.size * terms.margin, same.most if same else 0.0),
            up_to=one.severity,
            begins=begins,
            ends=ends if feedback.until is None else max(begins, min(ends, feedback.until)),
            **whom,
        )
    return list(made.values())[:MOST]


def _terms(detector: str, settings: FeedbackSettings) -> Terms:
    if detector == "new_endpoint":
        return Terms(settings.endpoint_days, 1.0)
    return Terms(settings.amount_days, 1.5) if detector in _AMOUNTS else Terms(settings.other_days, 1.25)
