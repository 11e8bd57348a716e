"""A run that is interrupted anywhere, however it was saved, finds what an uninterrupted one does, byte for byte."""

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector import assembly, partitions
from detector.capture import Capture
from detector.checkpoints import CheckpointStore, Part, Piece
from detector.checkpoints.pieces import decode
from detector.config import Config
from detector.detectors.transfer_rate import TransferRate
from detector.events import Actor, Envelope, Target
from detector.partitions import ScoringSettings
from detector.scoring import Scoring
from tests.support.events import envelope, event, human
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import SMALL, build_world

PARTITION = ("events", 0)
DAYS = Period(utc(2026, 3, 2), utc(2026, 3, 5))

# So small that principals are forgotten and come back, and the generations of ids change often.
TIGHT = Config.model_validate({"scoring": {"max_principals": 20, "dedup_window": 150, "idle_days": 0.5}})
ROOMY = Config()


@cache
def log() -> list[Envelope]:
    """Three days of a small company, some of it twice."""
    events = background(build_world(7, SMALL), DAYS)
    rng = random.Random(7)
    twice = [item for item in events for _ in range(1 + (rng.random() < 0.05))]
    return [Envelope(item, *PARTITION, i, item.time.timestamp(), b"") for i, item in enumerate(twice)]


@cache
def uninterrupted(tight: bool) -> tuple[list[bytes], dict[str, Any]]:
    """What is said of each event, and the state in the end."""
    scoring = assembly.scoring(TIGHT if tight else ROOMY)
    scoring.open(PARTITION)
    said = [scoring.step(item) for item in log()]
    assert any(scored.findings for scored in said)
    return [msgspec.json.encode(scored) for scored in said], scoring.snapshot(PARTITION)


class Worker:
    """Scores, and saves at random moments, bit by bit between events, until it is killed."""

    def __init__(self, scoring: Scoring, kept: CheckpointStore, rng: random.Random) -> None:
        self.scoring, self.kept, self.rng = scoring, kept, rng
        self.capture: tuple[int, Piece, Capture] | None = None
        saved = kept.load([PARTITION])[PARTITION]
        self.offset = saved.offset if saved is not None else 0
        self.parts = len(saved.parts) if saved is not None else 0
        scoring.open(PARTITION, *opening(saved.parts if saved is not None else ()))
        scoring.settle()

    def work(self, until: int) -> list[bytes]:
        """Go on to an offset; what was said of each event."""
        said = []
        for item in log()[self.offset : until]:
            said.append(msgspec.json.encode(self.scoring.step(item)))
            self.offset += 1
            if self.capture is not None:
                self.go_on()
            elif self.rng.random() < 0.005:
                whole = self.kept.wants_whole(PARTITION)
                head, principals = self.scoring.capture(PARTITION, whole=whole)
                self.capture = self.offset, Piece(head, whole=whole), principals
        return said

    def go_on(self) -> None:
        """Take some rows; when there are no more, save what was begun."""
        assert self.capture is not None
        offset, piece, principals = self.capture
        rows = principals.take(self.rng.randrange(1, 3))
        if rows:
            piece.add(rows)
        else:
            self.kept.save({PARTITION: (offset, piece)})
            self.capture = None


def opening(parts: Sequence[Part]) -> tuple[Any, ...]:
    """What `open` takes."""
    states = [{**part.head, "principals": part.rows} for part in parts]
    return (states[0], states[1:]) if states else ()


@pytest.mark.parametrize("tight", [False, True], ids=["roomy", "tight"])
@pytest.mark.parametrize("seed", range(6))
def test_interrupted_anywhere_it_goes_on_as_if_nothing_had_happened(tmp_path: Path, seed: int, tight: bool) -> None:
    expected, state = uninterrupted(tight)
    rng = random.Random(seed)
    pieces = kills = 0
    while True:
        worker = Worker(assembly.scoring(TIGHT if tight else ROOMY), CheckpointStore(str(tmp_path), "score"), rng)
        pieces = max(pieces, worker.parts)
        begin, end = worker.offset, worker.offset + rng.randrange(200, 2000)
        assert worker.work(end) == expected[begin:end]
        if end >= len(expected):
            break
        kills += 1
    assert kills > 1
    assert pieces > 1, "changes were restored too"
    assert worker.scoring.snapshot(PARTITION) == state


def saved_by(scoring: Scoring, *, whole: bool) -> Part:
    """A capture, taken at once and read again."""
    head, principals = scoring.capture(PARTITION, whole=whole)
    piece = Piece(head, whole=whole)
    piece.add(principals.take(10**9))
    return decode(piece.encode())


def test_changes_hold_only_what_changed() -> None:
    scoring = assembly.scoring(ROOMY)
    scoring.open(PARTITION)
    for item in log()[:2000]:
        scoring.step(item)
    whole = saved_by(scoring, whole=True)
    last = log()[2000:2003]
    for item in last:
        scoring.step(item)
    changes = saved_by(scoring, whole=False)
    assert len(changes.rows) == len({item.event.principal for item in last}) < len(whole.rows)
    assert len(changes.head["more_ids"][2]) == len({item.event.id for item in last})
    assert "published" not in changes.head
    assert "ids" not in changes.head
    nothing = saved_by(scoring, whole=False)
    assert list(nothing.rows) == []
    assert nothing.head["more_ids"] == [0, [], [], [], []]


def test_who_was_forgotten_is_not_restored() -> None:
    scoring = assembly.scoring(TIGHT)
    scoring.open(PARTITION)
    for item in log()[:1000]:
        scoring.step(item)
    parts = [saved_by(scoring, whole=True)]
    for item in log()[1000:2000]:
        scoring.step(item)
    parts.append(saved_by(scoring, whole=False))
    assert parts[1].head["gone"]
    twin = assembly.scoring(TIGHT)
    twin.open(PARTITION, *opening(parts))
    assert twin.snapshot(PARTITION)["principals"] == scoring.snapshot(PARTITION)["principals"]


@pytest.mark.parametrize("every", [10, 100, 160, 400], ids="every {}".format)
def test_ids_are_remembered_across_generations_of_them(every: int) -> None:
    scoring = assembly.scoring(TIGHT)
    scoring.open(PARTITION)
    parts = [saved_by(scoring, whole=True)]
    for offset in range(0, max(330, 4 * every), every):
        for item in log()[offset : offset + every]:
            scoring.step(item)
        parts.append(saved_by(scoring, whole=False))
        twin = assembly.scoring(TIGHT)
        twin.open(PARTITION, *opening(parts))
        assert twin.snapshot(PARTITION)["ids"] == scoring.snapshot(PARTITION)["ids"]


def test_the_order_of_who_is_kept_under_a_stop_is_restored() -> None:
    """A stopped one is passed over by the flood: it moves to the end of the order without having acted."""
    scoring = Scoring([], ScoringSettings(max_principals=4))
    scoring.open(PARTITION)
    stop = event(0, kind="control", action="stop", target=Target(uri="agent-0", type="agent"), actor=human("alice"))
    scoring.step(envelope(stop))
    for number in range(1, 4):
        scoring.step(envelope(event(number, actor=Actor(id=f"agent-{number}"))))
    parts = [saved_by(scoring, whole=True)]
    for number in range(4, 10):
        scoring.step(envelope(event(number, actor=Actor(id=f"agent-{number}"))))
        parts.append(saved_by(scoring, whole=False))
        twin = Scoring([], ScoringSettings(max_principals=4))
        twin.open(PARTITION, *opening(parts))
        assert twin.snapshot(PARTITION)["principals"] == scoring.snapshot(PARTITION)["principals"]
        assert "agent-0" in {row[0] for row in twin.snapshot(PARTITION)["principals"]}


def test_a_flood_of_newcomers_leaves_few_traces() -> None:
    """What came and went between two checkpoints was never saved, and need not be told to be gone."""
    scoring = assembly.scoring(TIGHT)
    scoring.open(PARTITION)
    saved_by(scoring, whole=True)
    for item in log()[:3000]:
        scoring.step(item)
    changes = saved_by(scoring, whole=False)
    assert changes.head["gone"] == []
    assert len(changes.rows) == scoring.principals


class Reshaped(TransferRate):
    """Reads only states of its own shape, which no saved one has."""

    def load(self, data: Any) -> Any:
        raise ValueError(f"not my shape: {data}")


def test_states_of_other_settings_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the first event of each principal, when it is too late to say what to do."""
    scoring = Scoring([TransferRate(TransferRate.Settings())])
    scoring.open(PARTITION)
    for item in log()[:2000]:
        scoring.step(item)
    parts = opening([saved_by(scoring, whole=True)])
    with pytest.raises(ValueError, match="not my shape"):
        Scoring([Reshaped(Reshaped.Settings())]).open(PARTITION, *parts)
    monkeypatch.setattr(partitions, "CHECKED", 0)
    Scoring([Reshaped(Reshaped.Settings())]).open(PARTITION, *parts)
    with pytest.raises(ValueError, match="not my shape"):
        Scoring([Reshaped(Reshaped.Settings(season=False))]).open(PARTITION, *parts)


def test_a_state_of_another_version_is_refused() -> None:
    scoring = assembly.scoring(ROOMY)
    scoring.open(PARTITION)
    part = saved_by(scoring, whole=True)
    part.head["version"] = 99
    with pytest.raises(ValueError, match="version 99, this program reads"):
        assembly.scoring(ROOMY).open(PARTITION, *opening([part]))
