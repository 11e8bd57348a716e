"""Scenarios as files: the events as gzipped NDJSON, and beside them what a detector is expected to say."""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from detector.events import Event
from tests.support.simulator.scenarios import Scenario
from tests.support.simulator.scenarios.story import Story

EVENTS = "events.ndjson.gz"
EXPECTED = "expected.yaml"
_LEVEL = 9


def write(scenario: Scenario, folder: Path, seed: int | None = None) -> int:
    """Write `events.ndjson.gz` and `expected.yaml` into the folder; returns the number of events.

    Other files of the folder, such as its hand-written README.md, are left alone.
    """
    events, story = scenario.run(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EVENTS).write_bytes(gzip.compress(ndjson(events), compresslevel=_LEVEL, mtime=0))
    expected = expectation(scenario, story, seed)
    text = yaml.safe_dump(expected, sort_keys=False, default_flow_style=None, width=110)
    (folder / EXPECTED).write_text(text, encoding="utf-8")
    return len(events)


def ndjson(events: list[Event]) -> bytes:
    """One JSON object a line, each line ended."""
    return msgspec.json.Encoder().encode_lines(events)


def expectation(scenario: Scenario, story: Story, seed: int | None = None) -> dict[str, Any]:
    """The content of `expected.yaml`; times are ISO 8601 strings in UTC, to the millisecond."""
    return described(scenario.name, scenario.seed if seed is None else seed, story)


def described(name: str, seed: int, story: Story) -> dict[str, Any]:
    """A story as `detector.scenario.Expectation` reads it."""
    return {
        "scenario": name,
        "seed": seed,
        "first_harm": {"event_id": story.first_harm.id, "time": _text(story.first_harm.time)},
        "incident": {
            "from": _text(story.events[0].time),
            "to": _text(story.events[-1].time),
            "principals": list(story.principals),
            "event_ids_of_story": {name: event.id for name, event in story.steps.items()},
        },
        "alerts": [
            {
                "names": list(alert.names),
                "severity": alert.severity,
                "within_seconds": alert.within_seconds,
                "detectors": list(alert.detectors),
            }
            for alert in story.alerts
        ],
        "quiet_from_severity": "SEV2",
    }


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
