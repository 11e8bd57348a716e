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


LIT = """
import ctypes, sys, threading
from detector.ending import Fuse

def holds_the_interpreter():
    ctypes.PyDLL(None).sleep(600)

with Fuse({seconds}) as fuse:
    {lit}
    {then}
"""


def test_a_lit_fuse_ends_what_lets_nobody_run_and_tells_where_it_stood() -> None:
    program = LIT.format(seconds=0.5, lit="fuse.light()", then="holds_the_interpreter()")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False, text=True)
    assert done.returncode == 1
    assert "in holds_the_interpreter" in done.stderr


@pytest.mark.parametrize(("lit", "then"), [("fuse.light()", "pass"), ("pass", "import time; time.sleep(0.5)")])
def test_a_fuse_ends_no_process_that_leaves_its_block_or_was_not_lit(lit: str, then: str) -> None:
    program = LIT.format(seconds=0.2, lit=lit, then=then) + "import time; time.sleep(0.5); sys.exit(3)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 3


def test_a_fuse_that_is_lit_again_does_not_burn_longer() -> None:
    again = "import time\n    while True: fuse.light(); time.sleep(0.1)"
    program = LIT.format(seconds=0.5, lit="fuse.light()", then=again)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
