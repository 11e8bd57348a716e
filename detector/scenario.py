"""A sample scenario: its events, and what a detector should make of them."""

from datetime import datetime
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

from detector.alerts import Alert
from detector.severity import Severity, at_least

EXPECTED: Final = "expected.yaml"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Harm(_Part):
    """The first harmful event."""

    event_id: str
    time: datetime


class Incident(_Part):
    """When the incident was, who took part, and its turning points by name."""

    begins: datetime = Field(alias="from")
    ends: datetime = Field(alias="to")
    principals: tuple[str, ...]
    event_ids_of_story: dict[str, str] = {}


class ExpectedAlert(_Part):
    """An alert that must come: whom it names, how grave, how soon after the first harm, by which detectors."""

    names: tuple[str, ...]
    severity: Severity
    within_seconds: float
    detectors: tuple[str, ...]


class Expectation(_Part):
    """What `expected.yaml` says."""

    scenario: str
    seed: int
    first_harm: Harm
    incident: Incident
    alerts: tuple[ExpectedAlert, ...]
    quiet_from_severity: Severity = "SEV2"

    def is_of_incident(self, alert: Alert) -> bool:
        """Whether an alert is about the incident: raised while it went on, naming somebody who took part."""
        during = self.incident.begins <= alert.detected_at and alert.opened_at <= self.incident.ends
        return during and bool(set(alert.principals) & set(self.incident.principals))

    def seconds_to(self, alert: Alert) -> float:
        """Seconds of event time from the first harm to the alert; negative if it came before."""
        return (alert.detected_at - self.first_harm.time).total_seconds()

    def false_alarms(self, alerts: list[Alert]) -> list[Alert]:
        """Alerts that are as grave as should have stayed quiet, and not about the incident."""
        return [a for a in alerts if at_least(a.severity, self.quiet_from_severity) and not self.is_of_incident(a)]


class Scenario(_Part):
    """A folder of `sample_logs`."""

    folder: Path
    expected: Expectation

    @property
    def events(self) -> Path:
        """The file of events."""
        return next(path for path in sorted(self.folder.glob("events.ndjson*")))


def scenarios(root: Path) -> list[Scenario]:
    """The scenarios below a folder, by name.

    Raises:
        FileNotFoundError: There are none.
    """
    files = sorted(root.glob(f"*/{EXPECTED}"))
    if not files:
        raise FileNotFoundError(f"no scenario below {root}: a folder with {EXPECTED} and events.ndjson(.gz) is one")
    return [
        Scenario(folder=file.parent, expected=Expectation.model_validate(yaml.safe_load(file.read_text("utf-8"))))
        for file in files
    ]
