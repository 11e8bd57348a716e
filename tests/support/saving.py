"""A score stage over a script of turns, and what its checkpoints hold."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from detector.checkpoints import CheckpointStore
from detector.score_stage import ScoreStage
from detector.sources.alignment import Partition
from detector.sources.base import Record
from tests.support.events import sending
from tests.support.score_stage import FakeSource, record, stage_of

P0 = ("events", 0)

# So long a test waits for a thread that is at work.
PATIENCE = 20.0


def turns(count: int, agents: int = 3) -> list[Mapping[Partition, list[Record]]]:
    """One event a turn, of one agent after the other."""
    return [{P0: [record(sending(60.0 * i, f"agent-{i % agents}"), P0, i)]} for i in range(count)]


def stage(folder: Path, script: list[Any], **shell: Any) -> tuple[ScoreStage, FakeSource]:
    """A stage and its source."""
    source = FakeSource(script, threading.Event(), [P0])
    made = stage_of(folder, source=source, every=shell.pop("every", 0.0))
    made.shell = msgspec.structs.replace(made.shell, **shell)
    return made, source


def saved(folder: Path) -> tuple[int, set[str]]:
    """Offset of what a process that begins now would restore, and the principals in it."""
    found = CheckpointStore(str(folder), "score").load([P0])[P0]
    assert found is not None
    return found.offset, {msgspec.msgpack.decode(row)[0] for part in found.parts for row in part.rows}
