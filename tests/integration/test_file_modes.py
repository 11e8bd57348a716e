"""What is kept on disk is its owner's alone, whatever the umask says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from detector.store.client import _make_private

OPEN = """
import sys
from detector.store.client import connect
from detector.store.migrate import migrate
with connect(sys.argv[1]) as store:
    migrate(store)
"""


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.chdb
def test_an_embedded_store_and_what_is_above_it_are_the_owners(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "detector" / "store"
    subprocess.run([sys.executable, "-c", OPEN, f"chdb://{folder}"], check=True, timeout=60)
    assert any(folder.iterdir())
    assert {mode(path) for path in (folder, folder.parent, folder.parents[1])} == {0o700}


def test_a_store_that_stands_open_to_others_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir(mode=0o755)
    with structlog.testing.capture_logs() as lines:
        _make_private(folder)
    assert [line["event"] for line in lines] == ["store_open_to_others"]
    folder.chmod(0o700)
    with structlog.testing.capture_logs() as lines:
        _make_private(folder)
    assert lines == []
