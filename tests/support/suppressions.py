"""Mutes and findings to be muted."""

from datetime import timedelta
from typing import Any

import msgspec

from detector.findings import Finding
from detector.pipeline import about
from detector.suppressions import Mute
from tests.support.events import START
from tests.support.nouns import a_finding

LATER = START + timedelta(days=30)


def mute(**given: Any) -> Mute:
    """A mute that holds for 30 days from the start unless told otherwise."""
    return Mute(**{"name": "m", "reason": "a test", "owner": "ops", "expires": LATER, **given})


def found(seconds: float, detector: str = "new_endpoint", severity: str = "SEV3", **given: Any) -> Finding:
    """A finding of `who`, with the entities of one."""
    who = given.pop("who", "agent-1")
    entities = (f"principal:{who}", *given.pop("entities", ()))
    facts = {"time": START + timedelta(seconds=seconds), "principal": who, "detector": detector, "severity": severity}
    rule = next(iter(about()[detector].rules)) if detector in about() else "open_too_long"
    made = a_finding(**{"rule": rule, "role": "assistant", "entities": entities, **facts, **given})
    return msgspec.structs.replace(made, id=f"f-{detector}-{who}-{seconds:g}", event_id=f"e-{who}-{seconds:g}")
