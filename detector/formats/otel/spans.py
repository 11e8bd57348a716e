"""A span of an agent as every encoding of OTLP gives it, and what may be wrong with one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

GENAI: Final = ("gen_ai.", "mcp.")


class BadSpanError(Exception):
    """A span that can't become an event; the text says which and why."""


class Span(msgspec.Struct):
    """One span. Ids are lower-case hex, times nanoseconds since 1970, attributes plain Python values.

    `events` are the span's own, as name and attributes; `error` says that its status is one, `message` what
    the status says of it.
    """

    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]] = ()
    error: bool = False
    message: str = ""

    @property
    def id(self) -> str:
        """Trace and span id: unique wherever the span is seen."""
        return f"{self.trace_id}-{self.span_id}"

    @property
    def time(self) -> int:
        """When it began, nanoseconds since 1970; its end if it does not say."""
        return self.start or self.end
