"""Log lines on stderr: coloured on a terminal, JSON elsewhere."""

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

from detector.wording import printable


def for_terminals(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What came from outside can't move the cursor, or pass for a line of its own; tracebacks keep their lines."""
    return {
        name: "\n".join(map(printable, str(value).splitlines())) if name == "exception" else _neutral(value)
        for name, value in line.items()
    }


def _neutral(value: object) -> object:
    return printable(value if isinstance(value, str) else repr(value)) if not isinstance(value, int | float) else value


def _worker(number: int) -> structlog.typing.Processor:
    def add(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"worker": number, **line}

    return add


class _Stderr(io.TextIOBase):
    """Standard error, but that nobody reads it any more (a broken pipe) stops nothing that would have been told.

    Each line is one write, so that those of several workers don't run into each other.
    """

    def write(self, text: str) -> int:
        with suppress(BrokenPipeError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            sys.stderr.flush()


def log_to_stderr(level: int, worker: int | None = None) -> None:
    """Log from `level` on, with the number of the worker if it is one of several.

    Tracebacks come without local variables, in which secrets could stand.
    """
    rendering: list[structlog.typing.Processor] = (
        [for_terminals, structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
        processors=[
            *([_worker(worker)] if worker is not None else []),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *rendering,
        ],
    )
    logging.getLogger("kafka").setLevel(logging.ERROR)
