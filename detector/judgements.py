"""Verdicts on alerts, as correlation takes them in: what they close, what follows, and what is refused and why."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, TypeVar

import msgspec

from detector.feedback import DELAY, Adjustable, Adjustment, Feedback, FeedbackSettings, adjustments, same_person
from detector.incidents import Incident
from detector.records import OperatorAction
from detector.severity import Severity

V = TypeVar("V")

# Ended alerts that can still be judged, and verdicts that can be taken back: the latest of each.
REMEMBERED: Final = 2_000


# Names of people that are remembered of an alert, so that none of them judges it.
PEOPLE: Final = 100


class Judgeable(msgspec.Struct, array_like=True):
    """What is remembered of an alert so that it can be judged after its end; `merged` names where it went."""

    severity: Severity
    detectors: list[str]
    principals: list[str]
    about: list[Adjustable]
    merged: str = ""

    @classmethod
    def of(cls, incident: Incident, merged: str = "") -> Self:
        """That of an incident that has an alert."""
        people = list(incident.principals)[:PEOPLE]
        return cls(incident.severity, list(incident.evidence), people, list(incident.adjustable), merged)


class Given(msgspec.Struct, array_like=True):
    """A verdict that can be taken back: the alert it is on, and what followed."""

    alert: str
    adjustments: list[Adjustment]


class Outcome(msgspec.Struct):
    """What came of a verdict: the record of it, what is told no more or again, and why it was refused ("" if not)."""

    action: OperatorAction
    adjustments: list[Adjustment]
    refused: str


class Judgements:
    """The verdicts of one correlator.

    Args:
        settings: Whose verdicts count, and how long what follows holds.
        config: The configuration that records say they were made under.
    """

    def __init__(self, settings: FeedbackSettings | None = None, config: str = "") -> None:
        self._settings = settings or FeedbackSettings()
        self._config = config
        self._ended: dict[str, Judgeable] = {}
        self._given: dict[str, Given] = {}

    def ended(self, incident: Incident, merged: str = "") -> None:
        """An incident that has an alert is kept no longer, or was `merged` into another."""
        _remember(self._ended, incident.id, Judgeable.of(incident, merged))

    def take(self, feedback: Feedback, incident: Incident | None) -> Outcome:
        """Take a verdict in, or the taking back of one.

        Args:
            feedback: What was said.
            incident: The one whose alert it is about; None if that has ended.
        """
        alert = self._ended.get(feedback.alert) if incident is None else Judgeable.of(incident)
        refused = self._objection(feedback, alert)
        made: list[Adjustment] = []
        replaced: list[str] = []
        if not refused:
            replaced = self._replaced(feedback)
            made = [one for key in replaced for one in _withdrawn(feedback, self._given[key].adjustments)]
            new = adjustments(feedback, alert.about if alert is not None else [], self._settings)
            for key in replaced:
                del self._given[key]
            if feedback.undoes is None:
                _remember(self._given, feedback.id, Given(feedback.alert, new))
            made += new
        details = {
            "verdict": feedback.verdict,
            "undoes": feedback.undoes,
            "replaces": replaced,
            "severity": alert.severity if alert is not None else None,
            "detectors": alert.detectors if alert is not None else [],
            "closed": incident is not None and feedback.undoes is None and not refused,
            "adjustments": [msgspec.to_builtins(adjustment) for adjustment in made],
            "refused": refused,
        }
        return Outcome(self._record(feedback, details), made, refused)

    def _replaced(self, feedback: Feedback) -> list[str]:
        """Earlier verdicts that hold no longer: the one taken back, or all on the alert, as the last word counts."""
        if feedback.undoes is not None:
            return [feedback.undoes]
        return [key for key, given in self._given.items() if given.alert == feedback.alert]

    def _objection(self, feedback: Feedback, alert: Judgeable | None) -> str:
        if not self._settings.allows(feedback.by):
            return f"{feedback.by} is none of those who may judge alerts (`feedback.operators`)"
        if alert is not None and any(same_person(feedback.by, name) for name in alert.principals):
            return "nobody judges an alert that is about himself"
        if feedback.undoes is not None:
            given = self._given.get(feedback.undoes)
            if given is None:
                return f"the verdict {feedback.undoes} is not known, or holds no longer"
            return "" if given.alert == feedback.alert else f"the verdict {feedback.undoes} is on {given.alert}"
        if alert is None:
            return f"the alert {feedback.alert} is not known, or ended too long ago"
        return f"the alert was merged into {alert.merged}: judge that one" if alert.merged else ""

    def _record(self, feedback: Feedback, details: dict[str, Any]) -> OperatorAction:
        return OperatorAction(
            id=feedback.id,
            time=feedback.time,
            operator=feedback.by,
            action="verdict" if feedback.undoes is None else "verdict_withdrawn",
            subject=f"alert:{feedback.alert}",
            reason=feedback.reason,
            details=details,
            config=self._config,
        )

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain data."""
        return {"ended": msgspec.to_builtins(self._ended), "given": msgspec.to_builtins(self._given)}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._ended = msgspec.convert(data["ended"], dict[str, Judgeable])
        self._given = msgspec.convert(data["given"], dict[str, Given])


def _withdrawn(feedback: Feedback, given: Iterable[Adjustment]) -> list[Adjustment]:
    ends = feedback.time + DELAY
    return [msgspec.structs.replace(one, ends=max(one.begins, min(one.ends, ends))) for one in given]


def _remember(kept: dict[str, V], key: str, value: V) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > REMEMBERED:
        del kept[next(iter(kept))]
