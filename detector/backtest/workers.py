"""Several configurations over one history at once: a process for each, all fed alike.

By configuration and not by partition: partitions exchange what they know of peers, so that one apart from the others
would judge otherwise.
"""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

import msgspec

from detector.history.rows import Row, blocks

_PATIENCE: Final = 60.0
"""Seconds that a process which has told its result may take to end."""

_ROWS: Final = msgspec.msgpack.Decoder(list[Row])


class Plays(Protocol):
    """What takes history and has a result in the end, which can be pickled."""

    def take(self, rows: Sequence[Row]) -> None:
        """Play some rows."""

    def result(self) -> Any:
        """What came of all of them."""


class PlayError(Exception):
    """A process that played history ended before its time; the message says which and why."""


def play(
    rows: Iterable[Row],
    makers: Sequence[Callable[[], Plays]],
    progress: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Any]:
    """Play one history by several players; by a single one in this process.

    Args:
        rows: The history; it is read once.
        makers: Make the players, where they play. They must be picklable if there are several.
        progress: Called with the number of rows after each block.
        stopped: Asked before each block; if it says so, the results are those of what was played until then.

    Raises:
        PlayError: A process ended.
    """
    if len(makers) == 1:
        player = makers[0]()
        for block in _until(blocks(rows), stopped):
            player.take(block)
            progress(len(block))
        return [player.result()]
    with _processes(makers) as pipes:
        for block in _until(blocks(rows), stopped):
            payload = msgspec.msgpack.encode(block)
            for pipe in pipes:
                _send(pipe, payload)
            progress(len(block))
        for pipe in pipes:
            _send(pipe, b"")
        return [_result(pipe) for pipe in pipes]


def _until(given: Iterator[list[Row]], stopped: Callable[[], bool]) -> Iterator[list[Row]]:
    while not stopped():
        block = next(given, None)
        if block is None:
            return
        yield block


@contextmanager
def _processes(makers: Sequence[Callable[[], Plays]]) -> Iterator[list[Connection]]:
    context = get_context("spawn")
    running, pipes = [], []
    try:
        for maker in makers:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(maker, theirs), daemon=True)
            process.start()
            theirs.close()
            running.append(process)
            pipes.append(ours)
        yield pipes
        for process in running:
            process.join(_PATIENCE)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in running:
            process.kill()


def _send(pipe: Connection, payload: bytes) -> None:
    try:
        pipe.send_bytes(payload)
    except OSError as error:
        raise PlayError(f"a process that played history ended too soon: {_last_words(pipe)}") from error


def _result(pipe: Connection) -> Any:
    try:
        done, result = pipe.recv()
    except (EOFError, OSError) as error:
        raise PlayError("a process that played history ended too soon: was there enough memory?") from error
    if not done:
        raise PlayError(f"a process that played history failed: {result}")
    return result


def _last_words(pipe: Connection) -> str:
    try:
        return str(pipe.recv()[1])
    except (EOFError, OSError):
        return "was there enough memory?"


def _work(maker: Callable[[], Plays], pipe: Connection) -> None:
    """Body of a process: blocks in, the result out. Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        player = maker()
        while payload := pipe.recv_bytes():
            player.take(_ROWS.decode(payload))
        pipe.send((True, player.result()))
    except EOFError:
        return  # the parent gave up
    except Exception as error:  # noqa: BLE001 - the parent tells it
        pipe.send((False, f"{type(error).__name__}: {error}"))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """While the block lasts, the first Ctrl-C only makes what is given say so; the second one interrupts."""
    heard: list[int] = []

    def hear(number: int, _: Any) -> None:
        heard.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: bool(heard)
    finally:
        signal.signal(signal.SIGINT, before)
