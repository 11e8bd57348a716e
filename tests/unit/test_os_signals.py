"""Signals: none is lost before somebody takes it, none is worked on where the main thread may hold a lock."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from detector.os_signals import Signals, hangups_held, tell_systemd


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


def test_one_that_another_thread_was_given_is_taken_while_the_main_thread_waits_for_a_lock() -> None:
    """As where somebody traces the main thread: its handlers do not run before it has what it waits for."""
    came = threading.Event()
    with Signals({signal.SIGTERM: lambda _: came.set()}):
        begun = threading.Event()

        def work() -> None:
            begun.wait()
            time.sleep(0.1)  # the main thread waits by now
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        thread = threading.Thread(target=work)
        thread.start()
        begun.set()
        assert came.wait(timeout=10)
        thread.join()


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


def test_hangups_are_held_before_the_program_is_read() -> None:
    """What is read before takes time, in which a signal would end it."""
    asked = """
import signal, sys
before, sys.argv = set(sys.modules), ["detector", "run"]

def noted(how, which):
    read = {name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names}
    print(how == signal.SIG_BLOCK, *which, sorted(read - before))
    sys.exit()

signal.pthread_sigmask = noted
from detector.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True 1 ['detector', 'detector.__main__']\n"


def test_other_commands_hold_none() -> None:
    command = "import sys; sys.argv = ['detector', '--version']; from detector.__main__ import main; main()"
    begin = "import atexit, signal; signal.pthread_sigmask(signal.SIG_SETMASK, [])"  # who tests may hold some
    asked = f"{begin}; atexit.register(lambda: print(signal.pthread_sigmask(0, [])))\n{command}"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on to hear of a unit."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        yield manager


def test_systemd_is_told_once_signals_are_taken(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    came, done = list[tuple[int, str]](), threading.Semaphore(0)
    with Signals({signal.SIGHUP: noting(came, done)}):
        assert systemd.recv(100) == b"READY=1"
        assert "NOTIFY_SOCKET" not in os.environ, "what is begun from here is not the unit's main process"
        os.kill(os.getpid(), signal.SIGHUP)
        assert done.acquire(timeout=30)
    assert [number for number, _ in came] == [signal.SIGHUP]


@pytest.mark.parametrize("name", ["detector-test-{}", "@detector-test-{}"])
def test_systemd_that_does_not_listen_is_no_reason_to_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    where = name.format(os.getpid())
    monkeypatch.setenv("NOTIFY_SOCKET", where if where.startswith("@") else str(tmp_path / where))
    with capture_logs() as logs:
        tell_systemd("READY=1")
    assert [entry["event"] for entry in logs] == ["systemd_not_told"]


def test_an_abstract_socket_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # the kernel chooses an abstract name
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + manager.getsockname()[1:].decode())
        tell_systemd("READY=1")
        assert manager.recv(100) == b"READY=1"


def holds_hangups(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1], 16)
    return bool(blocked >> signal.SIGHUP - 1 & 1)
