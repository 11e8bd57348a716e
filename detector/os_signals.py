"""Signals of the operating system: none is lost while the program starts, none is worked on in a handler."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
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
    too, it would wait for a lock that its own thread holds, for ever. So it does no more than put the number where
    the thread finds it.

    Outside the main thread, which alone may take signals, it does nothing. Once they are taken, systemd is told that
    the service is there.

    Args:
        actions: What to do, by the signal's number; each is given it.
    """

    def __init__(self, actions: Mapping[signal.Signals, Callable[[int], None]]) -> None:
        self._actions = {int(number): act for number, act in actions.items()}
        self._came: SimpleQueue[int | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="signals", daemon=True)
        self._before: dict[int, object] = {}
        self._held: set[int] = set()

    def _work(self) -> None:
        while (number := self._came.get()) is not None:
            try:
                self._actions[number](number)
            except Exception:
                log.exception("signal_failed", signal=signal.Signals(number).name)  # the next is to be heard, too

    def __enter__(self) -> Self:
        self._thread.start()
        if threading.current_thread() is threading.main_thread():
            for number in self._actions:
                self._before[number] = signal.signal(number, lambda came, _: self._came.put(came))
            self._held = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP} & self._actions.keys())
            tell_systemd("READY=1")
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._held)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._came.put(None)
        self._thread.join()
