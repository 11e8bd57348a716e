"""Signals: none is lost before somebody takes it, none is worked on where the main thread may hold a lock."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.os_signals import Signals, hangups_held


def noting(into: list[tuple[int, str]], done: threading.Semaphore) -> Callable[[int], None]:
    def note(number: int) -> None:
        into.append((number, threading.current_thread().name))
        done.release()

    return note


def test_they_are_worked_on_in_a_thread_of_their_own_while_the_main_thread_holds_a_lock() -> None:
    """In a handler, the same would wait for ever."""
    lock, done, came = threading.Lock(), threading.Semaphore(0), list[int]()

    def act(number: int) -> None:
        with lock:
            came.append(number)
        done.release()

    with Signals({signal.SIGTERM: act, signal.SIGHUP: act}):
        with lock:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not done.acquire(timeout=0.05)
        assert all(done.acquire(timeout=30) for _ in range(2))
    assert sorted(came) == sorted([signal.SIGTERM, signal.SIGHUP])


def test_a_hangup_that_came_before_is_taken_and_afterwards_all_is_as_before() -> None:
    came, done, before = list[tuple[int, str]](), threading.Semaphore(0), signal.getsignal(signal.SIGHUP)
    with hangups_held():
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)  # would end this process
        with Signals({signal.SIGHUP: noting(came, done)}):
            assert done.acquire(timeout=30)
        assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert came == [(signal.SIGHUP, "signals")]
    assert signal.getsignal(signal.SIGHUP) is before
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_outside_the_main_thread_nothing_is_taken() -> None:
    taken, before = list[object](), signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with Signals({signal.SIGTERM: taken.append}):
            taken.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert taken == [before]


@pytest.mark.timeout(60)
def test_a_service_that_is_told_to_reload_before_it_has_begun_reloads_once_it_has(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "detector", "run", "--stage", "correlate"]
    settings = {
        "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "DETECTOR_METRICS__PORT": "0",
        "DETECTOR_STATE__URL": str(tmp_path),
    }
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **settings}) as service:
        try:
            assert service.stderr is not None
            while not holds_hangups(service.pid):
                assert service.poll() is None
                time.sleep(0.001)
            service.send_signal(signal.SIGHUP)
            lines = (json.loads(line) for line in service.stderr)
            assert next(line for line in lines if line["event"] == "config_unchanged")["by"] == "signal"
            service.send_signal(signal.SIGTERM)
            assert next(line for line in lines if line["event"] == "stopping")["signal"] == "SIGTERM"
        finally:
            service.kill()


def holds_hangups(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1], 16)
    return bool(blocked >> signal.SIGHUP - 1 & 1)
