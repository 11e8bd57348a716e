"""The numbers of an evaluation: of each run, of each family of scenarios, and of all."""

import importlib.metadata
import math
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from detector import VERSION
from detector.calibration import Calibration
from detector.severity import SEVERITIES, Severity, at_least

LIBRARIES: Final = ("msgspec", "river", "scipy")
LOUD: Final[Severity] = "SEV2"


class FalseAlarm(msgspec.Struct, frozen=True):
    """An alert that is about no incident: how grave, resting on what, and why."""

    severity: Severity
    detectors: tuple[str, ...]
    principals: tuple[str, ...]
    reason: str


class Detection(msgspec.Struct, frozen=True):
    """What was made of one incident.

    `alerts` is how many alerts told of it; with none, all else says "not detected". Seconds are of event time
    from the first harm, below 0 if the alert came first: `seconds` to the first alert at any severity,
    `seconds_to_severity` to the first version that was as grave as it should be. `share_out` is the share of
    the incident's bytes that had left when the first alert came (1 if none did; None if none ever left).
    """

    wanted: Severity
    within_seconds: float
    alerts: int
    severity: Severity | None
    seconds: float | None
    seconds_to_severity: float | None
    share_out: float | None
    missing_detectors: tuple[str, ...]
    missing_names: tuple[str, ...]

    @property
    def detected(self) -> bool:
        """Whether any alert told of it."""
        return self.alerts > 0

    @property
    def in_time(self) -> bool:
        """Whether the first alert came within the bound."""
        return self.seconds is not None and self.seconds <= self.within_seconds

    @property
    def grave_in_time(self) -> bool:
        """Whether it was told as gravely as it should be within the bound."""
        return self.seconds_to_severity is not None and self.seconds_to_severity <= self.within_seconds

    @property
    def right_severity(self) -> bool:
        """Whether the alert ended as grave as it should be, no more and no less."""
        return self.severity == self.wanted


class Outcome(msgspec.Struct, frozen=True):
    """One labelled run; `detection` is None where there was nothing to detect.

    `unscored` is how many of the events were late, doubled, from the future or made a detector fail.
    """

    family: str
    variant: str
    seed: int | None
    events: int
    days: float
    detection: Detection | None
    false_alarms: tuple[FalseAlarm, ...]
    unscored: int = 0

    @property
    def loud(self) -> tuple[FalseAlarm, ...]:
        """False alarms that would wake somebody."""
        return tuple(alarm for alarm in self.false_alarms if at_least(alarm.severity, LOUD))


class Spread(msgspec.Struct, frozen=True):
    """Median, ninetieth percentile (nearest rank) and maximum."""

    median: float
    p90: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """The spread of some values; None if there are none.

        >>> Spread.of([5.0, 1.0, 3.0])
        Spread(median=3.0, p90=5.0, most=5.0)
        """
        ranked = sorted(values)
        if not ranked:
            return None
        at = [ranked[math.ceil(share * len(ranked)) - 1] for share in (0.5, 0.9, 1.0)]
        return cls(*(round(value, 4) for value in at))


class FamilyResult(msgspec.Struct, frozen=True):
    """A family of scenarios summed up; counts are of its incidents, 0 where it has none.

    `false_alarms` and `alerts_a_day` are by severity, outside the incidents.
    """

    family: str
    runs: int
    incidents: int
    detected: int
    in_time: int
    grave_in_time: int
    right_severity: int
    right_detectors: int
    all_named: int
    told_once: int
    seconds: Spread | None
    seconds_to_severity: Spread | None
    share_out: Spread | None
    days: float
    events: int
    unscored: int
    false_alarms: dict[Severity, int]
    alerts_a_day: dict[Severity, float]

    @property
    def loud(self) -> int:
        """False alarms that would wake somebody."""
        return sum(count for severity, count in self.false_alarms.items() if at_least(severity, LOUD))


class Origin(msgspec.Struct, frozen=True):
    """What an evaluation was made from: the day (ISO 8601), the seeds, and the versions of what made it."""

    date: str
    seeds: tuple[int, ...]
    versions: dict[str, str]

    @classmethod
    def of(cls, date: str, seeds: Iterable[int]) -> "Origin":
        """The origin of an evaluation that is made by this program, on this Python."""
        versions = {"detector": VERSION, "python": platform.python_version()}
        libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
        return cls(date, tuple(seeds), versions | libraries)


class Evaluation(msgspec.Struct, frozen=True):
    """All of it: by family, false alarms by severity and by what they rest on, and each run.

    `calibration` is by detector, of a clean log. A kept evaluation may leave the single runs (`outcomes`) out.
    """

    families: tuple[FamilyResult, ...]
    false_alarms: dict[Severity, dict[str, int]]
    outcomes: tuple[Outcome, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    origin: Origin | None = None


def summarise(
    outcomes: Sequence[Outcome], calibration: Sequence[Calibration] = (), origin: Origin | None = None
) -> Evaluation:
    """Sum runs up by family, in the order in which families first appear."""
    names = dict.fromkeys(outcome.family for outcome in outcomes)
    by_cause: dict[Severity, dict[str, int]] = {}
    for alarm in (alarm for outcome in outcomes for alarm in outcome.false_alarms):
        causes = by_cause.setdefault(alarm.severity, {})
        cause = " + ".join(sorted(alarm.detectors))
        causes[cause] = causes.get(cause, 0) + 1
    families = tuple(_family(name, [o for o in outcomes if o.family == name]) for name in names)
    return Evaluation(families, by_cause, tuple(outcomes), tuple(calibration), origin)


def _family(name: str, outcomes: Sequence[Outcome]) -> FamilyResult:
    found = [outcome.detection for outcome in outcomes if outcome.detection is not None]
    days = sum(outcome.days for outcome in outcomes)
    alarms = Counter(alarm.severity for outcome in outcomes for alarm in outcome.false_alarms)
    by_severity: dict[Severity, int] = {severity: alarms[severity] for severity in SEVERITIES if alarms[severity]}
    return FamilyResult(
        family=name,
        runs=len(outcomes),
        incidents=len(found),
        detected=sum(d.detected for d in found),
        in_time=sum(d.in_time for d in found),
        grave_in_time=sum(d.grave_in_time for d in found),
        right_severity=sum(d.right_severity for d in found),
        right_detectors=sum(d.detected and not d.missing_detectors for d in found),
        all_named=sum(d.detected and not d.missing_names for d in found),
        told_once=sum(d.alerts == 1 for d in found),
        seconds=Spread.of(d.seconds for d in found if d.seconds is not None),
        seconds_to_severity=Spread.of(d.seconds_to_severity for d in found if d.seconds_to_severity is not None),
        share_out=Spread.of(d.share_out for d in found if d.share_out is not None),
        days=round(days, 3),
        events=sum(outcome.events for outcome in outcomes),
        unscored=sum(outcome.unscored for outcome in outcomes),
        false_alarms=by_severity,
        alerts_a_day={severity: round(count / days, 4) for severity, count in by_severity.items()} if days else {},
    )
