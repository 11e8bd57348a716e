"""Signals of the operating system: none is lost while the program starts, none is worked on in a handler."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Self

import structlog

log = structlog.get_logger(__name__)


@contextmanager
def hangups_held() -> Iterator[None]:
    """Hold a SIGHUP for the length of a block; one that came within it is taken after it.

    Programs that are begun meanwhile hold theirs, too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell_systemd(state: str) -> None:
    """Tell the service manager of a unit of `Type=notify` how far we are; without one, do nothing.

    It signals nobody who has not said READY=1: until then, a signal would meet a program that can't take it yet.
    What is begun from here is not the unit's main process, and is not told where to say so.
    """
    where = os.environ.pop("NOTIFY_SOCKET", "")
    if not where:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.connect("\0" + where[1:] if where.startswith("@") else where)
            manager.sendall(state.encode())
    except OSError as error:
        log.warning("systemd_not_told", socket=where, why=error.strerror or str(error))


class Signals:
    """Takes signals in a thread of its own, one after the other, and a held SIGHUP at once.

    A handler runs in the midst of whatever the main thread does. Were that to log or to set an event, and the handler
    too, it would wait for a lock that its own thread holds, for ever. And it runs in the main thread alone: where the
    kernel gives the signal to another one (as it does while somebody traces the main thread, be it only to look where
    it stands), a main thread that waits for a lock is not woken, and the signal is lost. So handlers do nothing here:
    the interpreter writes the number to a socket, in whatever thread it is, and the thread finds it there.

    Outside the main thread, which alone may take signals, it does nothing. Once they are taken, systemd is told that
    the service is there.

    Args:
        actions: What to do, by the signal's number; each is given it.
    """

    def __init__(self, actions: Mapping[signal.Signals, Callable[[int], None]]) -> None:
        self._actions = {int(number): act for number, act in actions.items()}
        self._undo = ExitStack()

    def _work(self, numbers: socket.socket) -> None:
        while came := numbers.recv(1):  # until there is nobody to write any more
            if (act := self._actions.get(came[0])) is None:
                continue
            try:
                act(came[0])
            except Exception:
                log.exception("signal_failed", signal=signal.Signals(came[0]).name)  # the next is to be heard, too

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        with ExitStack() as undo:
            numbers, wakes = socket.socketpair()
            undo.enter_context(numbers)
            thread = threading.Thread(target=self._work, args=(numbers,), name="signals", daemon=True)
            thread.start()
            undo.callback(thread.join)
            undo.enter_context(wakes).setblocking(False)
            before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
            undo.callback(signal.set_wakeup_fd, before)
            for number in self._actions:
                undo.callback(signal.signal, number, signal.signal(number, _noticed))
            held = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP} & self._actions.keys())
            undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, held)
            self._undo = undo.pop_all()
        tell_systemd("READY=1")
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


def _noticed(number: int, frame: object) -> None:
    """There must be a handler for the interpreter to write the number."""
