"""How grave an act of consequence is, by what was done before: for detectors that know acts by habit."""

from collections.abc import Mapping
from typing import Final

from detector.detectors.base import Context
from detector.detectors.familiar import Standing
from detector.events import SENSITIVE, Event
from detector.severity import Severity

_TOLD: Final[Mapping[Standing, str]] = {
    "news": "",
    "common": "; several of its kind did so lately",
    "broad": "; it does many things of the sort",
    "peers": "; several of its role do so by habit",
    "act": "; but not to such a target",
    "habit": "; but this is noted at any rate",
}


def rated(standing: Standing, event: Event, context: Context, *, guarded: bool) -> Severity | None:
    """The severity of an act by its standing; None if it need not be told.

    What is done by habit to like targets is silent, and where only the act is known, not the target or not by this
    principal, it is a note. No such excuse holds for sensitive targets, and others' habits are none for what is
    `guarded`, which is noted at any rate.
    """
    sensitive = event.target is not None and event.target.sensitivity in SENSITIVE
    if standing == "habit":
        return "SEV4" if guarded or sensitive else None
    excused = not sensitive and (standing == "act" or (standing != "news" and not guarded))
    return "SEV4" if excused or context.answer == "approved" else "SEV3"


def told_of(standing: Standing) -> str:
    """What to say of a standing in a finding's reason; "" for what is simply new."""
    return _TOLD[standing]
