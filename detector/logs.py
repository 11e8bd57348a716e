"""Log lines on stderr: coloured on a terminal, JSON elsewhere."""

import logging
import sys

import structlog


def log_to_stderr(level: int) -> None:
    """Log from `level` on; tracebacks come without local variables, in which secrets could stand."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    logging.getLogger("kafka").setLevel(logging.ERROR)
