"""A process ends though a thread of it never does."""

import subprocess
import sys

import pytest

HANGS = """
import sys, threading
from detector.ending import ends_soon_after
with ends_soon_after(0.1):
    threading.Thread(target=threading.Event().wait).start()
    {end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [("pass", 0), ("sys.exit(3)", 3), ("sys.exit('why')", 1), ("sys.exit()", 0), ("raise ValueError", 1)],
)
def test_a_thread_that_is_left_behind_does_not_keep_the_process(end: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", HANGS.format(end=end)], capture_output=True, timeout=60, check=False)
    assert done.returncode == status


def test_a_process_that_ends_by_itself_is_not_waited_for() -> None:
    program = "from detector.ending import ends_soon_after\nwith ends_soon_after(600.0): pass"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
