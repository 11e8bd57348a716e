"""A place of checkpoints that hangs: what is read of it is waited for, but not for ever, and one can see it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.bounded import within
from detector.checkpoints import CheckpointError, CheckpointStore
from detector.checkpoints.patient import SLOW_SECONDS, Patient
from detector.checkpoints.storage import LocalFolder
from tests.support.checkpoints import PARTITION, opened, save, told
from tests.support.hanging_files import GATE, SCHEME, register

PATIENCE = 20.0


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """While it is there, nothing is read."""
    register()
    gate = tmp_path / GATE
    yield gate
    gate.unlink(missing_ok=True)  # threads that were left behind end


@pytest.mark.parametrize("known", [False, True], ids=["nothing saved", "a checkpoint"])
def test_a_restore_that_hangs_ends_with_what_to_look_at(tmp_path: Path, gate: Path, known: bool) -> None:
    url = f"{SCHEME}://{tmp_path}"
    if known:
        save(opened(url), 17, seen=1)
    kept = opened(url, "b", patience=0.3)
    gate.touch()
    with pytest.raises(CheckpointError, match=r"hanging://.*/3 can't be read: no answer in 0.3 s; does .*state.url.*"):
        kept.load([PARTITION])
    gate.unlink()
    assert told(kept.load([PARTITION])[PARTITION]) == ((17, [{"seen": 1}]) if known else None)


def test_a_place_that_hangs_at_the_start_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = threading.Event()
    monkeypatch.setattr("detector.checkpoints.store.open_storage", lambda *_: hangs.wait(PATIENCE))
    with pytest.raises(CheckpointError, match=r"state.url: checkpoints can't be kept there: no answer in 0.05 s"):
        CheckpointStore(str(tmp_path), "score", patience=0.05)
    hangs.set()


class Slow(LocalFolder):
    """A folder that is read when the test says so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked, self.gate = threading.Event(), threading.Event()

    def read(self, path: str) -> bytes | None:
        self.asked.set()
        assert self.gate.wait(PATIENCE)
        return super().read(path)


def test_one_can_see_what_is_waited_for_and_since_when(tmp_path: Path) -> None:
    now = 100.0
    slow = Slow(tmp_path)
    files = Patient(slow, PATIENCE, clock=lambda: now)
    assert files.trouble() is None
    reading = threading.Thread(target=files.read, args=("agent-events/3/whole",))
    reading.start()
    assert slow.asked.wait(PATIENCE)
    assert files.trouble() is None, "it takes its time, as files do"
    now += SLOW_SECONDS + 2.0
    assert files.trouble() == f"{tmp_path}/agent-events/3/whole has not been read for 7 s"
    slow.gate.set()
    reading.join(PATIENCE)
    assert files.trouble() is None


def test_work_within_a_time_gives_what_it_gives_and_raises_what_it_raises() -> None:
    assert within(PATIENCE, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(PATIENCE, lambda: 1 // 0)
    with pytest.raises(TimeoutError, match=r"no answer in 0.01 s"):
        within(0.01, lambda: threading.Event().wait(0.5))
